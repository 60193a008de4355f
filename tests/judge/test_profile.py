"""What `profile` says of columns is what numpy, pandas and pyarrow say of them."""

import datetime
import decimal
import json
import math
import random
import subprocess
import time
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import served
import tables
from kills import Killer
from mill import KEY_SPLIT, Model, pipeline_file, read_arrow, step, write

ROWS = 6_000
PARTS = ["test", "train", "val"]
QUANTILES = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
NUMBERS = ["x", "narrow", "n", "large", "small", "largest"]
OTHERS = ["word", "flag", "day", "at", "money", "bytes", "nothing"]


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(5)
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(int(day)) for day in rng.integers(0, 40, ROWS)]
    instants = 1_704_067_200_000_000 + rng.integers(0, 50, ROWS) * 1_000_001
    money = [decimal.Decimal(int(cents)) / 100 for cents in rng.integers(-10_000, 10_000, ROWS)]
    return tables.table(
        {
            "x": tables.nullable(rng, tables.with_nan(rng, rng.normal(0, 10, ROWS))),
            "narrow": tables.nullable(rng, rng.choice(np.array([0.1, 0.2, 0.3, -7.5], dtype=np.float32), ROWS)),
            "n": tables.nullable(rng, rng.integers(-100, 100, ROWS)),
            "large": tables.nullable(rng, 2**53 + rng.integers(0, 16, ROWS)),
            "largest": tables.nullable(rng, 2**64 - 1 - rng.integers(0, 4, ROWS).astype(np.uint64), type=pa.uint64()),
            "small": pa.array(rng.integers(0, 256, ROWS).astype(np.uint8)),
            "word": tables.nullable(rng, tables.words(rng, ROWS, 30), type=pa.string()),
            "flag": tables.nullable(rng, rng.random(ROWS) < 0.3),
            "day": tables.nullable(rng, days, type=pa.date32()),
            "at": tables.nullable(rng, instants, type=pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            "money": pa.array(money, pa.decimal128(12, 2)),
            "bytes": pa.array([bytes([value]) for value in rng.integers(0, 7, ROWS)], pa.binary()),
            "nothing": pa.nulls(ROWS, pa.float64()),
        }
    )


def aggregate(columns, name="profile", **params):
    return {"name": name, "plugin": "profile", "columns": columns, "params": params}


def run(mill, source, aggregates, *, steps=(), split=KEY_SPLIT, output=None, arguments=(), command="run"):
    """Runs a pipeline with aggregates."""
    pipeline, out = prepare(mill, source, aggregates, steps=steps, split=split, output=output)
    ran = mill.call(command, pipeline, "--out", out, *arguments, out=out)
    assert ran.status == 0, ran.stderr
    return ran


def prepare(mill, source, aggregates, *, steps=(), split=KEY_SPLIT, output=None):
    folder = mill.folder()
    if isinstance(source, pa.Table):
        source = write(source, folder / "table.parquet")
    pipeline = folder / "pipeline.toml"
    text = pipeline_file(source, steps, split, output)
    for section in aggregates:
        text += "\n" + pipeline_file({}, [section], None, None).split("[source]\n", 1)[1].replace("[[steps]]", "[[aggregate]]")
    pipeline.write_text(text, encoding="utf-8")
    return pipeline, folder / "out"


def tables_of(out, name="profile"):
    read = lambda path: pq.read_table(path) if path.suffix == ".parquet" else read_arrow(path)
    found = {path.name.rsplit(".", 1)[0]: read(path) for path in (out / "aggregates").iterdir()}
    return {table.removeprefix(name).removeprefix("."): rows for table, rows in found.items() if table.split(".")[0] == name}


def files(out):
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file() and path.name != "report.json"}


def by(rows, *keys):
    """The rows of a table by some of their columns."""
    return {tuple(row[key] for key in keys): row for row in rows.to_pylist()}


def part_of(out, name):
    return pa.concat_tables(pq.read_table(path) for path in sorted((out / name).iterdir()))


@pytest.fixture(scope="module")
def profiled(mill, table):
    ran = run(mill, table, [aggregate(NUMBERS + OTHERS)])
    return ran.out, tables_of(ran.out), {part: part_of(ran.out, part) for part in PARTS}


def valid(column):
    """The values that are no null and no NaN."""
    column = column.drop_null()
    return column.filter(pc.invert(pc.is_nan(column))) if pa.types.is_floating(column.type) else column


def close(found, wanted):
    return found == wanted or math.isclose(found, wanted, rel_tol=1e-12)


def test_rows_are_ordered_by_part_and_column(profiled):
    _, found, _ = profiled
    rows = found[""].select(["part", "column"]).to_pylist()
    wanted = [{"part": part, "column": column} for part in PARTS for column in NUMBERS + OTHERS]
    assert sorted(rows, key=str) == sorted(wanted, key=str)
    columns = [row["column"] for row in rows[: len(NUMBERS + OTHERS)]]
    assert columns == NUMBERS + OTHERS
    assert len({row["part"] for row in rows[: len(columns)]}) == 1


def test_counts_are_those_of_pyarrow(profiled):
    _, found, parts = profiled
    for (part, name), row in by(found[""], "part", "column").items():
        column = parts[part][name]
        nans = pc.sum(pc.is_nan(column)).as_py() if pa.types.is_floating(column.type) else 0
        assert (row["count"], row["nulls"], row["nans"]) == (len(column), column.null_count, nans or 0), (part, name)
        assert row["distinct_exact"] and row["distinct"] == len(valid(column).unique()), (part, name)


def test_extremes_are_those_of_pyarrow(profiled):
    _, found, parts = profiled
    for (part, name), row in by(found[""], "part", "column").items():
        values = valid(parts[part][name])
        if not len(values):
            assert row["min"] is row["max"] is row["min_text"] is row["max_text"] is None
            continue
        if name in ("word", "bytes"):
            least, largest = sorted(values.to_pylist())[0], sorted(values.to_pylist())[-1]
            assert row["min"] is None and row["max"] is None
        else:
            extremes = pc.min_max(values).as_py()
            least, largest = extremes["min"], extremes["max"]
        text = {
            "flag": lambda value: str(value).lower(),
            "bytes": lambda value: value.hex(),
            "at": lambda value: value.replace(tzinfo=None).isoformat(),
        }.get(name, str)
        if name not in ("x", "narrow"):
            assert (row["min_text"], row["max_text"]) == (text(least), text(largest)), name
        if name in NUMBERS + ["money"]:
            assert (row["min"], row["max"]) == (float(least), float(largest)), name
        if name == "x":
            assert (float(row["min_text"]), float(row["max_text"])) == (least, largest)


def test_mean_and_variance_are_the_exact_ones_rounded_once(profiled):
    _, found, parts = profiled
    rows = by(found[""], "part", "column")
    for part in PARTS:
        for name in NUMBERS + ["money", "flag"]:
            values = valid(parts[part][name]).to_pylist()
            if name == "money":
                values = [float(value) for value in values]
            values = [Fraction(value) for value in values]
            mean = sum(values) / len(values)
            variance = sum((value - mean) ** 2 for value in values) / len(values)
            row = rows[part, name]
            assert (row["mean"], row["variance"]) == (float(mean), float(variance)), (part, name)
        frame = parts[part].select(["x", "n"]).to_pandas()
        assert close(rows[part, "x"]["mean"], frame["x"].mean()) and close(rows[part, "x"]["variance"], frame["x"].var(ddof=0))
        assert close(rows[part, "n"]["mean"], frame["n"].mean()) and close(rows[part, "n"]["variance"], frame["n"].var(ddof=0))


def numeric(column):
    """Numbers as doubles: of dates and times what they count."""
    values = valid(column)
    if pa.types.is_date(values.type):
        values = values.cast(pa.int32())
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    return np.array([float(value) for value in values.to_pylist()])


def test_quantiles_are_those_of_numpy(profiled):
    _, found, parts = profiled
    rows = by(found["quantiles"], "part", "column", "quantile")
    assert {key[1] for key in rows} == {*NUMBERS, "day", "at", "money"}
    for (part, name, quantile), row in rows.items():
        assert close(row["value"], np.quantile(numeric(parts[part][name]), quantile)), (part, name, quantile)
    assert [row["quantile"] for row in found["quantiles"].to_pylist()[:7]] == QUANTILES


def test_histograms_are_those_of_numpy(profiled):
    _, found, parts = profiled
    frame = found["histogram"].to_pandas()
    assert set(frame["column"]) == {*NUMBERS, "day", "at", "money"}
    for (part, name), bins in frame.groupby(["part", "column"]):
        assert list(bins["bin"]) == list(range(10))
        if name in ("large", "largest"):
            # Its values are a few doubles beside each other, between which numpy makes no ten bins.
            assert bins["rows"].sum() == len(valid(parts[part][name]))
            continue
        counts, edges = np.histogram(numeric(parts[part][name]), bins=10)
        assert list(bins["rows"]) == list(counts), (part, name)
        assert list(bins["low"]) == list(edges[:-1]) and list(bins["high"]) == list(edges[1:]), (part, name)


def test_frequent_values_are_those_of_pandas(profiled):
    _, found, parts = profiled
    top = found["top"].to_pandas()
    for part in PARTS:
        for name in ("word", "n", "large", "small"):
            values = valid(parts[part][name]).to_pylist()
            counts = pd.Series(values, dtype=object).value_counts()
            wanted = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:10]
            rows = top[(top["part"] == part) & (top["column"] == name)]
            assert list(rows["rank"]) == list(range(1, len(wanted) + 1))
            assert list(zip(rows["value"], rows["rows"])) == [(str(value), count) for value, count in wanted], (part, name)
        flags = top[(top["part"] == part) & (top["column"] == "flag")]
        assert list(flags["value"]) == ["false", "true"] and list(flags["number"]) == [0.0, 1.0]


def test_types_are_those_of_arrow(profiled):
    _, found, _ = profiled
    types = {row["column"]: row["type"] for row in found[""].to_pylist()}
    assert types["x"] == "Float64" and types["word"] == "Utf8" and types["money"] == "Decimal128(12, 2)"
    assert types["day"] == "Date32" and types["largest"] == "UInt64"


def test_beyond_the_limit_distinct_values_are_estimated_and_frequent_ones_still_exact(mill):
    rng = np.random.default_rng(2)
    rows = 120_000
    values = np.where(rng.random(rows) < 0.3, 42, rng.integers(0, 2**40, rows))
    words = pa.array([f"w{value}" for value in values])
    ran = run(mill, pa.table({"v": values, "w": words}), [aggregate(["v", "w"], distinct_limit=2_000)], split=None)
    found = tables_of(ran.out)
    truth = len(np.unique(values))
    for row in found[""].to_pylist():
        assert row["part"] == "all" and not row["distinct_exact"]
        assert abs(row["distinct"] - truth) <= 4 * 0.01625 * truth
    top = found["top"].to_pylist()
    assert [(row["column"], row["value"], row["rows"]) for row in top] == [("v", "42", int((values == 42).sum())), ("w", "w42", int((values == 42).sum()))]


def test_up_to_the_limit_all_values_are_counted(mill):
    values = np.arange(20_000) % 9_990
    ran = run(mill, pa.table({"v": values}), [aggregate(["v"])], split=None)
    [row] = tables_of(ran.out)[""].to_pylist()
    assert (row["distinct"], row["distinct_exact"]) == (9_990, True)


def test_aggregates_see_what_comes_out_of_the_steps(mill, table):
    steps = [
        step("filter", ["n"], min=0) | {"name": "rows"},
        step("impute", ["x"], strategy="median"),
        step("filter", ["small"], max=100) | {"name": "train-only", "parts": ["train"]},
        step("encode", ["flag"], method="onehot"),
    ]
    ran = run(mill, table, [aggregate({"names": ["x", "n", "flag_*"]}), aggregate(["small"], name="other", top=3)], steps=steps)
    found = by(tables_of(ran.out)[""], "part", "column")
    assert {key[1] for key in found} == {"x", "n", "flag_false", "flag_true", "flag__null"}
    for part in PARTS:
        rows = part_of(ran.out, part)
        row = found[part, "x"]
        assert (row["count"], row["nulls"], row["distinct"]) == (len(rows), 0, len(rows["x"].unique()))
        assert close(row["mean"], pc.mean(rows["x"]).as_py())
        other = by(tables_of(ran.out, "other")[""], "part", "column")[part, "small"]
        assert other["max"] == pc.max(rows["small"]).as_py() and (part != "train" or other["max"] <= 100)
    report = json.loads((ran.out / "report.json").read_text())
    assert [(it["name"], it["plugin"], it["passes"], len(it["files"])) for it in report["aggregates"]] == [("profile", "profile", 2, 4), ("other", "profile", 2, 4)]
    assert report["aggregates"][0]["files"][0]["path"] == "aggregates/profile.parquet"
    assert report["aggregates"][0]["files"][0]["rows"] == 15


def test_bytes_do_not_depend_on_workers_batches_or_memory(mill, table):
    steps = [step("filter", ["n"], min=-50), step("impute", ["x"], strategy="median")]
    first = None
    for arguments in [(), ("--workers", 1, "--batch-rows", 100_000), ("--workers", 4, "--batch-rows", 97), ("--spill-past", "2MB", "--workers", 3)]:
        ran = run(mill, table, [aggregate(NUMBERS + OTHERS)], steps=steps, arguments=arguments)
        found = files(ran.out)
        first = first or found
        assert found.keys() == first.keys() and [name for name in found if found[name] != first[name]] == []


def test_tables_do_not_depend_on_the_order_of_rows_or_the_file(mill, table):
    shuffled = table.take(np.random.default_rng(1).permutation(len(table)))
    out = mill.folder()
    sources = [write(table, out / "a.parquet"), write(shuffled, out / "b.parquet", row_group_size=777), write(shuffled, out / "c.arrow", max_chunksize=500)]
    found = [files(run(mill, source, [aggregate(NUMBERS + OTHERS)]).out) for source in sources]
    aggregates = [{name: content for name, content in it.items() if name.startswith("aggregates/")} for it in found]
    assert len(aggregates[0]) == 4 and aggregates[0] == aggregates[1] == aggregates[2]


@pytest.mark.parametrize("output", [{"aggregate": "custom"}, {"order": "hash"}, {"format": "arrow"}, {"aggregate": "list"}])
def test_every_way_of_writing_rows_gives_the_same_tables(mill, table, output, profiled):
    out, wanted, _ = profiled
    ran = run(mill, table, [aggregate(NUMBERS + OTHERS)], output=output)
    found = tables_of(ran.out)
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert found[name].equals(wanted[name])
    kept = {path.name for path in ran.out.iterdir()}
    rows = {"custom", "list"} & {output.get("aggregate")}
    assert kept == {"aggregates", "model", "report.json"} | (set() if rows else set(PARTS))
    report = json.loads((ran.out / "report.json").read_text())
    assert report["rows"] == ROWS
    if output.get("aggregate") == "list":
        assert pa.ipc.open_stream(ran.stdout).read_all().num_rows == ROWS


def test_custom_reads_only_what_the_aggregates_need(mill, table):
    steps = [step("filter", ["n"], min=0, drop_nulls=True), step("scale", ["x"])]
    ran = run(mill, table, [aggregate(["x"])], steps=steps, output={"aggregate": "custom"})
    report = json.loads((ran.out / "report.json").read_text())
    assert report["output"]["parts"] == [] and report["rows"] == ROWS
    dropped = {it["name"]: it.get("dropped") for it in report["steps"]}
    assert dropped["filter"] == ROWS - pc.sum(pc.fill_null(pc.greater_equal(table["n"], 0), False)).as_py()
    assert [it["steps"] for it in report["passes"]] == [["scale"], ["profile"], ["profile"]]


def test_fit_and_apply_run_no_aggregates(mill, table):
    ran = run(mill, table, [aggregate(["x"])], command="fit")
    assert not (ran.out / "aggregates").exists()
    done = run(mill, table, [aggregate(["x"])], steps=[step("scale", ["x"])])
    applied = mill.apply(Model(done.out / "model"), table)
    assert {path.name for path in applied.path.iterdir()} == {"all", "report.json"}


def test_the_first_pass_is_that_which_applies_the_steps(mill, table):
    ran = run(mill, table, [aggregate(["x"])])
    report = json.loads((ran.out / "report.json").read_text())
    assert [it["steps"] for it in report["passes"]] == [["profile"]]


@pytest.mark.parametrize("output", [{"row_group_rows": 500, "file_rows": 1_000}, {"aggregate": "custom"}])
def test_killed_runs_come_to_the_same_bytes(mill, table, output):
    steps = [step("impute", ["x"], strategy="median"), step("filter", ["n"], min=-90)]
    large = pa.concat_tables([table] * 6)
    pipeline, expected = prepare(mill, large, [aggregate(NUMBERS + OTHERS)], steps=steps, output=output)
    began = time.monotonic()
    ran = mill.call("run", pipeline, "--out", expected, out=expected)
    duration = time.monotonic() - began
    assert ran.status == 0, ran.stderr
    resumed = 0
    for seed in range(2):
        out = expected.parent / f"out-{seed}"
        killer = Killer(mill, ["run", pipeline], out, random.Random(seed), duration, "fit.json")
        killer.finish(2)
        assert files(out) == files(expected), seed
        resumed += killer.resumed
    assert resumed > 0


def test_a_run_that_goes_on_behind_written_rows_shows_all_rows_to_its_aggregates(mill, table):
    large = pa.concat_tables([table] * 20)
    pipeline, out = prepare(mill, large, [aggregate(NUMBERS)], output={"row_group_rows": 500, "file_rows": 1_000})
    expected = out.parent / "expected"
    assert mill.call("run", pipeline, "--out", expected).status == 0
    segments = out.parent / f".{out.name}.run" / "segments"
    command = [mill.binary, "run", str(pipeline), "--out", str(out), "--plugins", mill.plugins, "--workers", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        while process.poll() is None and not (segments.exists() and segments.stat().st_size > 1_000):
            time.sleep(0.001)
        process.kill()
    assert not out.exists(), "it was too fast to be killed"
    resumed = mill.call("resume", out, "--plugins", mill.plugins)
    assert resumed.status == 0, resumed.stderr
    assert files(out) == files(expected)
    passes = [it["steps"] for it in json.loads((out / "report.json").read_text())["passes"]]
    assert passes == [["profile"], ["profile"]], "the first pass of the aggregate was one of its own"


@pytest.fixture(scope="module")
def of_bigquery(mill, table):
    """The columns that BigQuery has types for, and what is said of them in a file."""
    columns = ["x", "n", "large", "word", "flag", "day", "at"]
    out = run(mill, table.select(["id", *columns]), [aggregate(columns)]).out
    return columns, tables_of(out)


@pytest.mark.parametrize("streams", [1, 16])
def test_bigquery_is_read_once_and_its_streams_change_nothing(mill, table, of_bigquery, streams):
    columns, wanted = of_bigquery
    narrow = table.select(["id", *columns])
    with served.serve(mill.folder(), {"t": narrow}, "--message-rows", 37) as address:
        ran = run(mill, served.source(address, "t", max_streams=streams), [aggregate(columns)])
    found = tables_of(ran.out)
    assert all(found[name].equals(wanted[name]) for name in wanted)
    assert json.loads((ran.out / "report.json").read_text())["billed_bytes"] < 1.5 * narrow.nbytes
