"""Filters drop the rows that pandas and pyarrow would, and steps behind them are fitted on what is left."""

import datetime
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import tables
from mill import KEY_SPLIT, step, write

ROWS = 4_000
PARTS = ("train", "val", "test")


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(11)
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(int(day)) for day in rng.integers(0, 100, ROWS)]
    instants = 1_704_067_200_000_000 + rng.integers(0, 10 * 86_400, ROWS) * 1_000_000
    return tables.table(
        {
            "x": tables.nullable(rng, tables.with_nan(rng, rng.normal(0, 10, ROWS))),
            "narrow": tables.nullable(rng, rng.choice(np.array([0.1, 0.2, 0.3], dtype=np.float32), ROWS)),
            "n": tables.nullable(rng, rng.integers(-100, 100, ROWS)),
            "large": tables.nullable(rng, 2**53 + rng.integers(0, 16, ROWS)),
            "largest": tables.nullable(rng, 2**64 - 1 - rng.integers(0, 4, ROWS).astype(np.uint64), type=pa.uint64()),
            "small": pa.array(rng.integers(0, 256, ROWS).astype(np.uint8)),
            "word": tables.nullable(rng, tables.words(rng, ROWS, 30), type=pa.string()),
            "flag": tables.nullable(rng, rng.random(ROWS) < 0.3),
            "day": tables.nullable(rng, days, type=pa.date32()),
            "at": tables.nullable(rng, instants, type=pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            "money": tables.nullable(rng, rng.integers(0, 100, ROWS)).cast(pa.decimal128(25, 2)),
            "target": tables.nullable(rng, rng.normal(0, 1, ROWS), 0.2),
        }
    )


def between(column, low=None, high=None):
    """Which values are in a range, nulls kept."""
    tests = [test(column, bound) for test, bound in [(pc.greater_equal, low), (pc.less_equal, high)] if bound is not None]
    return pc.fill_null(tests[0] if len(tests) == 1 else pc.and_(*tests), True)


def among(column, values):
    """Which values are in a set, nulls kept."""
    return pc.or_(pc.is_null(column), pc.is_in(column, value_set=pa.array(values, column.type)))


def not_nan(column):
    return pc.fill_null(pc.invert(pc.is_nan(column)), True)


BOUND = datetime.datetime(2024, 1, 5, 12, tzinfo=datetime.timezone.utc)

# Columns, parameters, and what pyarrow says of a table's rows.
CASES = {
    "nulls": (["target", "word"], {"drop_nulls": True}, lambda t: pc.and_(t["target"].is_valid(), t["word"].is_valid())),
    "nulls of decimals": (["money"], {"drop_nulls": True}, lambda t: t["money"].is_valid()),
    # What is no number is in no range.
    "range": (["x"], {"min": -5, "max": 7.25}, lambda t: between(t["x"], -5.0, 7.25)),
    "range with NaN": (["x"], {"max": 0, "nan": "keep"}, lambda t: pc.or_(between(t["x"], None, 0.0), pc.invert(not_nan(t["x"])))),
    "NaN": (["x"], {"nan": "drop"}, lambda t: not_nan(t["x"])),
    "NaN and nulls": (["x"], {"nan": "drop", "drop_nulls": True}, lambda t: pc.and_(not_nan(t["x"]), t["x"].is_valid())),
    "two columns": (["n", "small"], {"min": 10, "max": 90}, lambda t: pc.and_(between(t["n"], 10, 90), between(t["small"], 10, 90))),
    "fractions for integers": (["n"], {"min": -0.5, "max": 8.5}, lambda t: between(t["n"], 0, 8)),
    "past 2 ** 53": (["large"], {"min": 2**53 + 3, "max": 2**53 + 9}, lambda t: between(t["large"], 2**53 + 3, 2**53 + 9)),
    "one past 2 ** 53": (["large"], {"in": [2**53 + 1]}, lambda t: among(t["large"], [2**53 + 1])),
    "unsigned": (["largest"], {"max": 2**64 - 2}, lambda t: between(t["largest"], None, pa.scalar(2**64 - 2, pa.uint64()))),
    "beyond the type": (["small"], {"min": -1, "max": 300}, lambda t: pc.is_valid(t["small"])),
    "narrow floats": (["narrow"], {"max": 0.2}, lambda t: between(t["narrow"], None, pa.scalar(0.2, pa.float32()))),
    "a set of floats": (["narrow"], {"in": [0.1, 0.3]}, lambda t: among(t["narrow"], [0.1, 0.3])),
    "strings": (["word"], {"in": ["w00001", "w00003", "none"]}, lambda t: among(t["word"], ["w00001", "w00003"])),
    "no strings": (["word"], {"not_in": ["w00001"], "drop_nulls": True}, lambda t: pc.not_equal(t["word"], "w00001")),
    "flags": (["flag"], {"in": [True], "drop_nulls": True}, lambda t: t["flag"]),
    "dates": (["day"], {"min": "2024-02-01"}, lambda t: between(t["day"], pa.scalar(datetime.date(2024, 2, 1)))),
    "instants": (["at"], {"max": "2024-01-05T12:00:00"}, lambda t: between(t["at"], None, pa.scalar(BOUND, pa.timestamp("us", "UTC")))),
}


def kept(table, mask):
    return table.filter(pc.fill_null(mask, False))


def same(found, wanted):
    """Compares values, NaN with NaN as well, and types."""
    assert found.schema.names == wanted.schema.names
    assert found.num_rows == wanted.num_rows
    pd.testing.assert_frame_equal(frame(found), frame(wanted))
    for name in wanted.column_names:
        assert found[name].null_count == wanted[name].null_count


def frame(table):
    return pd.DataFrame({name: pd.Series(table[name].to_pylist(), dtype=object) for name in table.column_names})


@pytest.mark.parametrize("case", CASES)
def test_a_filter_keeps_the_rows_that_pyarrow_keeps(mill, table, case):
    columns, params, mask = CASES[case]
    wanted = kept(table, mask(table))
    assert 0 < len(wanted) and (len(wanted) < ROWS or case == "beyond the type")
    ran = mill.run(table, [step("filter", columns, **params)])
    same(ran.part("all"), wanted)
    [filtered] = report(ran)["steps"]
    assert filtered["dropped"] == ROWS - len(wanted)


def report(dataset):
    return json.loads((dataset.path / "report.json").read_text())


def test_pandas_agrees_on_rows_without_missing_values(mill, table):
    complete = table.select(["id", "x", "n", "word"])
    steps = [
        step("filter", ["x", "n", "word"], drop_nulls=True, nan="drop"),
        step("filter", ["x"], min=-10, max=10),
        step("filter", ["word"], **{"not_in": ["w00001", "w00002"]}),
    ]
    steps = [{"name": f"f{index}", **it} for index, it in enumerate(steps)]
    found = mill.run(complete, steps).part("all").to_pandas()
    rows = complete.to_pandas().dropna()
    rows = rows[rows["x"].between(-10, 10) & ~rows["word"].isin(["w00001", "w00002"])]
    assert found["id"].tolist() == rows["id"].tolist()


def training(mill, table):
    """The ids of each part, as the split alone gives them."""
    ran = mill.run(table, [], split=KEY_SPLIT)
    return {part: ran.part(part)["id"] for part in PARTS}


def test_filters_leave_the_parts_of_rows_as_they_are(mill, table):
    ran = mill.run(table, [step("filter", ["n"], min=0)], split=KEY_SPLIT)
    for part, ids in training(mill, table).items():
        rows = tables.rows_of(table, ids)
        same(ran.part(part), kept(rows, between(rows["n"], 0)))


def test_steps_are_fitted_on_the_rows_that_filters_before_them_keep(mill, table):
    before = {"name": "before", **step("impute", ["n"], strategy="median")}
    low = {"name": "low", **step("filter", ["x"], min=-5, nan="keep")}
    middle = {"name": "middle", **step("impute", ["x"], strategy="median")}
    high = {"name": "high", **step("filter", ["large"], max=2**53 + 7)}
    after = {"name": "after", **step("impute", ["small", "large"], strategy="mean")}
    ran = mill.run(table, [before, low, middle, high, after], split=KEY_SPLIT)
    rows = tables.rows_of(table, training(mill, table)["train"]).to_pandas(integer_object_nulls=True)
    value = lambda name, ordinal: ran.model.rows("fill-float", ordinal)[name]["value"]
    assert value("n", 1) == rows["n"].dropna().astype(float).median()
    # To pandas both null and NaN are NaN, and both were kept.
    rows = rows[~(rows["x"] < -5)]
    assert value("x", 3) == rows["x"].median()
    rows = rows[[large is None or large <= 2**53 + 7 for large in rows["large"]]]
    assert value("small", 5) == rows["small"].astype(float).mean()
    assert len(ran.train) == len(rows)


def test_a_filter_waits_for_the_step_that_writes_its_column(mill, table):
    steps = [
        {"name": "fill", **step("impute", ["n"], strategy="median")},
        {"name": "center", **step("scale", ["n"], method="standard")},
        {"name": "near", **step("filter", ["n"], min=-1, max=1)},
        {"name": "last", **step("impute", ["small"], strategy="mean")},
    ]
    ran = mill.run(table, steps, split=KEY_SPLIT)
    rows = tables.rows_of(table, training(mill, table)["train"]).to_pandas()
    n = rows["n"].fillna(rows["n"].median())
    near = ((n - n.mean()) / n.std(ddof=0)).abs() <= 1
    assert len(ran.train) == near.sum() > 0
    assert ran.model.rows("fill-float", 4)["small"]["value"] == rows[near]["small"].astype(float).mean()


def test_a_step_behind_one_that_learns_nothing_waits_for_what_that_reads(mill, table):
    # The constant learns nothing, but what it fills is known only once the codes are.
    steps = [
        {"name": "codes", **step("encode", ["word"], method="ordinal", nulls="ignore", unseen="code")},
        {"name": "none", **step("impute", ["word"], strategy="constant", value=-1)},
        {"name": "center", **step("scale", ["word"], method="minmax")},
    ]
    train = mill.run(table, steps, split=KEY_SPLIT).train
    assert (min(train["word"].to_pylist()), max(train["word"].to_pylist())) == (0.0, 1.0)


def test_a_filter_of_some_parts_leaves_the_others_alone(mill, table):
    outliers = {"parts": ["train", "test"], **step("filter", ["x"], min=-5, max=5)}
    fill = {"name": "fill", **step("impute", ["x"], strategy="mean")}
    ran = mill.run(table, [outliers, fill], split=KEY_SPLIT)
    untouched = mill.run(table, [fill], split=KEY_SPLIT)
    ids = training(mill, table)
    for part in PARTS:
        rows = tables.rows_of(table, ids[part])
        rows = rows if part == "val" else kept(rows, between(rows["x"], -5.0, 5.0))
        assert ran.part(part)["id"].equals(rows["id"])
    assert not ran.train["x"].equals(untouched.train["x"])
    manifest = json.loads((ran.path / "model" / "manifest.json").read_text())
    assert [it.get("parts") for it in manifest["steps"]] == [None, ["train", "test"], None]


def test_a_filter_of_other_parts_is_not_seen_in_fitting(mill, table):
    fill = {"name": "fill", **step("impute", ["x", "n"], strategy="median")}
    # It drops all of its rows.
    others = {"parts": ["val"], **step("filter", ["n"], min=1000, drop_nulls=True)}
    ran = mill.run(table, [others, fill], split=KEY_SPLIT)
    alone = mill.run(table, [fill], split=KEY_SPLIT)
    assert ran.model.table("fill-float", 2).equals(alone.model.table("fill-float", 1))
    assert len(ran.val) == 0 and ran.train.equals(alone.train) and ran.test.equals(alone.test)


def test_apply_leaves_filters_of_parts_out(mill, table):
    steps = [
        {"name": "labelled", "parts": list(PARTS), **step("filter", ["target"], drop_nulls=True)},
        {"name": "positive", **step("filter", ["n"], min=0)},
        {"name": "fill", **step("impute", ["n"], strategy="median")},
    ]
    ran = mill.run(table, steps, split=KEY_SPLIT)
    assert sum(ran.part(part)["target"].null_count for part in PARTS) == 0
    # The new table needs no target.
    new = table.drop_columns(["target"])
    applied = mill.apply(ran.model, new)
    wanted = kept(new, between(new["n"], 0))
    assert applied.part("all")["id"].equals(wanted["id"])
    assert [it.get("dropped") for it in report(applied)["steps"]] == [ROWS - len(wanted), None]


def test_a_model_with_filters_applied_to_rows_of_the_run_gives_the_same_rows(mill, table):
    steps = [
        {"name": "low", **step("filter", ["x"], min=-5)},
        {"name": "center", **step("scale", ["x"], method="standard")},
        {"name": "near", **step("filter", ["x"], max=1)},
    ]
    ran = mill.run(table, steps, split=KEY_SPLIT)
    val = tables.rows_of(table, training(mill, table)["val"])
    same(mill.apply(ran.model, val).part("all"), ran.val)


def test_bytes_do_not_depend_on_workers_or_batches(mill, table):
    steps = [
        {"name": "low", **step("filter", ["x"], min=-8, nan="keep")},
        {"name": "fill", **step("impute", ["x", "n"], strategy="median")},
        {"name": "words", "parts": ["train"], **step("filter", ["word"], **{"not_in": ["w00001"]})},
        {"name": "codes", **step("encode", ["word"], method="ordinal", unseen="code")},
    ]
    source = write(table, mill.folder() / "table.parquet", row_group_size=700)
    runs = [(), ("--workers", "1", "--batch-rows", "100"), ("--workers", "7", "--batch-rows", "33"), ("--spill-past", "8MiB")]
    first, *others = [mill.run(source, steps, split=KEY_SPLIT, arguments=it).digests() for it in runs]
    assert all(it == first for it in others)
    as_arrow = write(table, mill.folder() / "table.arrow", max_chunksize=999)
    assert mill.run(as_arrow, steps, split=KEY_SPLIT).digests() == first


def test_the_hashes_of_rows_are_those_of_the_source(mill, table):
    # The split has no key, so that it hashes whole rows; it comes before the filter.
    split = {"plugin": "split", "params": {"parts": {"train": 0.5, "test": 0.5}}}
    rows = table.select(["id", "n", "word"])
    alone = mill.run(rows, [], split=split)
    ran = mill.run(rows, [step("filter", ["n"], min=0, drop_nulls=True)], split=split)
    for part in ("train", "test"):
        same(ran.part(part), kept(alone.part(part), pc.greater_equal(alone.part(part)["n"], 0)))


def test_errors_behind_filters_name_the_rows_of_the_source(mill):
    rows = pa.table({"id": range(6), "n": [5, -1, 5, -1, 5, 5], "word": ["a", "a", "a", "b", "a", "z"]})
    new = rows.slice(0, 5)
    steps = [
        {"name": "positive", **step("filter", ["n"], min=0)},
        {"name": "codes", **step("encode", ["word"], method="ordinal")},
    ]
    model = mill.run(new, steps).model
    folder = mill.folder()
    source = write(rows, folder / "table.parquet")
    ran = mill.call("apply", model.path, source, "--out", folder / "out")
    assert ran.status == 1
    assert "row 5" in ran.stderr, ran.stderr


def test_steps_without_a_row_to_fit_on_are_named_with_their_filters(mill, table):
    steps = [
        {"name": "fill", **step("impute", ["x"], strategy="mean")},
        {"name": "none", **step("filter", ["n"], min=1000, drop_nulls=True)},
        {"name": "center", **step("scale", ["x"], method="standard")},
    ]
    said = mill.refused(table, steps, split=KEY_SPLIT)
    assert said.startswith("error: there are no rows to fit on\n")
    assert "in step `center`" in said
    assert "hint: the filters before it drop all training rows: check `none`" in said


@pytest.mark.parametrize("split", [None, KEY_SPLIT], ids=["whole", "split"])
def test_where_nothing_is_fitted_all_rows_can_be_dropped(mill, table, split):
    steps = [step("filter", ["n"], min=1000, drop_nulls=True), step("impute", ["x"], strategy="constant", value=0)]
    ran = mill.run(table, steps, split=split)
    for part in PARTS if split else ["all"]:
        assert ran.part(part).num_rows == 0
        assert ran.part(part).schema.names == table.schema.names
    assert report(ran)["steps"][-2]["dropped"] == ROWS


def test_the_stream_of_rows_has_no_rows_that_were_dropped(mill, table):
    source = {"split": KEY_SPLIT, "output": {"aggregate": "list"}}
    ran = mill.start("run", table.select(["id", "n"]), [step("filter", ["n"], min=0, drop_nulls=True)], **source)
    assert ran.status == 0, ran.stderr
    streamed = pa.ipc.open_stream(ran.stdout).read_all()
    wanted = kept(table, pc.greater_equal(table["n"], 0))
    assert streamed["id"].equals(wanted["id"])
