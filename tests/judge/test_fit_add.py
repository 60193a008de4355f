"""Rows that are added to a model make of it, byte for byte, the model of all rows fitted at once; or are refused."""

import hashlib
import json
import re
import shutil
import signal
import subprocess

import mill as mills
import numpy as np
import pyarrow as pa
import pytest
import served
import tables
from mill import KEY_SPLIT, step, write
from stored import rows

ROWS = 3_000
DAYS = [(0, 1_300), (1_300, 1_350), (1_350, ROWS)]
ROW_SPLIT = {"params": {"parts": {"train": 0.6, "val": 0.4}, "seed": 3}}
NUMBERS = ["lognormal", "huge_mean", "large_integers", "int8", "uint64", "float32", "nulls_and_nans", "zeros"]
WORDS = ["text", "large_text", "binary", "boolean", "date", "timestamp", "int64", "float64"]


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(23)
    numbers, categories = tables.numbers(rng, ROWS), tables.categories(rng, ROWS)
    # Some values are met on the last day only.
    late = [f"late {row % 7}" if row >= DAYS[2][0] and row % 3 else word for row, word in enumerate(tables.words(rng, ROWS, 40))]
    return tables.table(
        {
            **{name: numbers[name] for name in NUMBERS},
            **{name: categories[name] for name in WORDS},
            "city": tables.nullable(rng, np.array(late, dtype=object), type=pa.string()),
            "target": tables.nullable(rng, rng.normal(0, 1, ROWS), 0.2),
        }
    )


@pytest.fixture(scope="module")
def days(table):
    return [table.slice(start, end - start) for start, end in DAYS]


def at_once(mill, days, steps, ending=".parquet", source=None, **options):
    """The model of all days, as the files of one source."""
    folder = mill.folder()
    for number, day in enumerate(days):
        write(day, folder / f"day-{number}{ending}")
    path = str(folder / f"*{ending}")
    return mill.fit(path if source is None else {"path": path, **source}, steps, **options)


def one_by_one(mill, days, steps, arguments=(), **options):
    """The model of the first day, to which the others are added."""
    model = mill.fit(days[0], steps, **options)
    for day in days[1:]:
        before = model.digests()
        added = mill.add(model, day, *arguments)
        assert model.digests() == before, "the model that is added to stays"
        model = added
    return model


def named(*steps):
    return [{"name": f"s{number}", **it} for number, it in enumerate(steps)]


# All that the bundled plugins can learn in one pass.
LEARNS = {
    "scale standard": named(step("scale", NUMBERS, method="standard")),
    "scale minmax": named(step("scale", NUMBERS, method="minmax", range=[-1, 1])),
    "scale maxabs": named(step("scale", NUMBERS, method="maxabs", output="float32")),
    "impute mean": named(step("impute", NUMBERS, strategy="mean", indicator=True)),
    "impute most_frequent": named(step("impute", ["int8", *WORDS], strategy="most_frequent")),
    "encode onehot": named(step("encode", ["text", "boolean", "city"], method="onehot", unseen="code")),
    "encode onehot of frequent ones": named(step("encode", ["text", "city"], min_frequency=5, nulls="ignore")),
    "encode onehot of few": named(step("encode", ["text", "city"], max_categories=6)),
    "encode ordinal": named(step("encode", ["int8", *WORDS], method="ordinal")),
    "encode frequency": named(step("encode", WORDS, method="frequency")),
    "encode hash": named(step("encode", ["text"], method="hash", buckets=9)),
    "impute constant": named(step("impute", ["int64"], strategy="constant", value=0)),
    "filter": named(step("filter", ["target"], drop_nulls=True), step("scale", ["int8"])),
    "filter of training rows": named({**step("filter", ["target"], min=0), "parts": ["train"]}, step("impute", ["int8"], strategy="mean")),
    "filter of other rows": named({**step("filter", ["target"], min=0), "parts": ["val"]}, step("encode", ["city"], method="ordinal")),
    "what learns nothing before what learns": named(
        step("impute", ["int64"], strategy="constant", value=5),
        step("filter", ["int64"], not_in=[2**53]),
        step("encode", ["text"], method="hash", buckets=9),
        step("scale", ["int64", "text"]),
    ),
    "much at once": named(
        step("filter", ["target"], drop_nulls=True),
        step("encode", ["city"], unseen="ignore"),
        step("scale", {"types": ["number"], "except": ["id", "target", "float64*"]}),
        step("impute", ["date"], strategy="most_frequent"),
    ),
}


def test_every_bundled_plugin_that_learns_is_tried(mill):
    listed = json.loads(mill.call("plugin", "list", "--plugins", mill.plugins, "--json").stdout)
    of_pipelines = {it["description"]["name"] for it in listed if it["description"]["role"] in ("transform", "filter")}
    assert of_pipelines == {it["plugin"] for steps in LEARNS.values() for it in steps}


@pytest.mark.parametrize("case", LEARNS)
def test_days_that_are_added_make_the_model_of_all_days(mill, days, case):
    steps = LEARNS[case]
    wanted = at_once(mill, days, steps, split=ROW_SPLIT).digests()
    assert one_by_one(mill, days, steps, split=ROW_SPLIT).digests() == wanted
    first = mill.fit(days[0], steps, split=ROW_SPLIT).digests()
    learns = any(name.endswith(".arrow") for name in wanted)
    assert (first != wanted) == learns, "the days differ"


MANY = LEARNS["much at once"]


@pytest.mark.parametrize("split", [None, ROW_SPLIT, KEY_SPLIT, {**KEY_SPLIT, "key": ["c*", "date"]}], ids=["none", "row", "key", "keys"])
def test_added_rows_go_through_the_split_of_the_model(mill, days, split):
    wanted = at_once(mill, days, MANY, split=split).digests()
    assert one_by_one(mill, days, MANY, split=split).digests() == wanted


def test_the_order_in_which_days_are_added_does_not_matter(mill, days):
    wanted = at_once(mill, days, MANY, split=ROW_SPLIT).digests()
    for order in [(2, 1, 0), (1, 0, 2)]:
        assert one_by_one(mill, [days[day] for day in order], MANY, split=ROW_SPLIT).digests() == wanted


@pytest.mark.parametrize(
    "arguments",
    [("--workers", "1"), ("--workers", "7", "--batch-rows", "13"), ("--spill-past", "4KiB"), ("--memory", "256MiB"), ("--memory", "8GiB", "--batch-rows", "100000")],
    ids=" ".join,
)
def test_bytes_do_not_depend_on_workers_batches_or_memory(mill, days, arguments):
    steps = [*MANY, {"name": "codes", **step("encode", ["id"], method="ordinal")}]
    wanted = at_once(mill, days, steps, split=ROW_SPLIT).digests()
    assert one_by_one(mill, days, steps, arguments, split=ROW_SPLIT).digests() == wanted


def test_memory_is_short_enough_to_spill(mill, days):
    model = mill.fit(days[0], [step("encode", ["id"], method="ordinal")])
    ran = mill.start_add(model, days[2], "--spill-past", "4KiB", "--json")
    report = json.loads(ran.stdout)
    assert report["spilled_partials"] > 0
    assert (report["rows"], report["output"]) == (len(days[2]), None)


CSV = {"types": {"id": "int64", "lognormal": "float64", "int8": "int64", "city": "string", "target": "float64"}}


@pytest.mark.parametrize("ending", [".csv", ".arrow"])
def test_files_of_any_format_can_be_added(mill, days, ending):
    days = [day.select(list(CSV["types"])) for day in days]
    wanted = at_once(mill, days, MANY[:3], ending=ending, split=ROW_SPLIT)
    folder = mill.folder()
    paths = [write(day, folder / f"day-{number}{ending}") for number, day in enumerate(days)]
    assert one_by_one(mill, paths, MANY[:3], split=ROW_SPLIT).digests() == wanted.digests()


def test_csv_files_are_read_as_the_models_were_and_with_its_types(mill):
    folder = mill.folder()
    # By themselves the numbers of the second day are integers, and those of the third are none.
    days = [("id|x|s", "1|0.5|a", "2|NA|b", "3|2.5|a"), ("id|x|s", "4|7|NA", "5|8|b"), ("id|x|s", "6|NA|c")]
    for number, lines in enumerate(days):
        (folder / f"day-{number}.csv").write_text("\n".join(lines) + "\n")
    csv = {"delimiter": "|", "nulls": ["NA"]}
    steps = named(step("scale", ["x"]), step("encode", ["s"]))
    model = mill.fit({"path": str(folder / "day-0.csv"), "csv": csv}, steps)
    for number in (1, 2):
        model = mill.add(model, folder / f"day-{number}.csv")
    typed = {"path": str(folder / "*.csv"), "csv": {**csv, "types": {"x": "float64"}}}
    assert model.digests() == mill.fit(typed, steps).digests()
    # Written otherwise, it is read as the flags say.
    (folder / "tabs.txt").write_text("id\tx\ts\n6\t-\tc\n")
    other = mill.fit({"path": str(folder / "day-[01].csv"), "csv": {**csv, "types": {"x": "float64"}}}, steps)
    flags = ["--source-format", "csv", "--delimiter", "\\t", "--null", "-"]
    assert mill.add(other, folder / "tabs.txt", *flags).digests() == model.digests()


def test_rows_of_bigquery_can_be_added(mill, days, tmp_path):
    names = ["id", "lognormal", "large_integers", "city", "target"]
    days = [day.select(names) for day in days]
    wanted = at_once(mill, days, MANY[:3], split=KEY_SPLIT)
    model = one_by_one(mill, days[:2], MANY[:3], split=KEY_SPLIT)
    with served.serve(tmp_path, {"t": days[2]}, "--message-rows", 100) as address:
        endpoints = ["--storage-endpoint", address, "--rest-endpoint", address, "--billing-project", served.BILLING]
        added = mill.add(model, "data.set.t", "--credentials", "anonymous", *endpoints)
    assert added.digests() == wanted.digests()


def test_a_sample_is_added_to_a_sample(mill, table, days):
    sampled = ("--sample", "0.4", "--sample-seed", "9")
    wanted = mill.fit(table, MANY, split=ROW_SPLIT, arguments=sampled)
    model = mill.fit(days[0], MANY, split=ROW_SPLIT, arguments=sampled)
    for day in days[1:]:
        model = mill.add(model, day, *sampled)
    assert model.digests() == wanted.digests()
    first = mill.add(mill.fit(days[0], MANY), days[2], "--limit", "20")
    assert first.digests() == at_once(mill, [days[0], days[2].slice(0, 20)], MANY).digests()


def test_days_without_training_rows_change_nothing(mill, days):
    model = mill.fit(days[0], MANY, split=KEY_SPLIT)
    of_val = mill.run(days[1], [], split=KEY_SPLIT).val
    assert 0 < len(of_val) < len(days[1])
    for nothing in (days[1].slice(0, 0), of_val):
        assert mill.add(model, nothing).digests() == model.digests()


def test_the_model_of_a_dataset_can_be_added_to(mill, days):
    wanted = at_once(mill, days[:2], MANY, split=KEY_SPLIT)
    dataset = mill.run(days[0], [{**it, "params": it["params"] | ({"unseen": "ignore"} if it["plugin"] == "encode" else {})} for it in MANY], split=KEY_SPLIT)
    assert mill.add(dataset, days[1]).digests() == wanted.digests()
    # What comes of it can be applied.
    applied = [mill.apply(model, days[2]).digests() for model in (mill.add(dataset, days[1]), wanted)]
    assert applied[0] == applied[1]


# Behind a step that learns names of columns, globs may mean them.
BEHIND = named(
    step("encode", ["city", "text"], unseen="ignore"),
    step("impute", ["city_*", "t*_w*"], strategy="constant", value=3),
)


def test_steps_that_learn_nothing_take_the_columns_that_added_rows_bring_about(mill, days):
    wanted = at_once(mill, days, BEHIND, split=ROW_SPLIT)
    model = one_by_one(mill, days, BEHIND, split=ROW_SPLIT)
    assert model.digests() == wanted.digests()
    first = mill.fit(days[0], BEHIND, split=ROW_SPLIT)
    of_first, of_all = ({it["name"] for it in manifest(it)["steps"][2]["columns"]} for it in (first, model))
    assert of_first < of_all and "city_late 3" in of_all - of_first


def manifest(model):
    return json.loads((model.path / "manifest.json").read_text())


def test_numbers_in_parameters_are_those_of_the_pipeline(mill, days):
    steps = [step("scale", ["int8"], method="minmax", range=[0.19844004278856286, 31.245270191439438])]
    assert one_by_one(mill, days, steps).digests() == at_once(mill, days, steps).digests()


def with_required(table, *names):
    fields = [field.with_nullable(field.name not in names) for field in table.schema]
    return table.cast(pa.schema(fields))


def test_a_column_can_be_null_if_it_can_be_so_on_any_day(mill, days):
    days = [day.select(["id", "zeros", "city"]) for day in days]
    steps = [step("scale", ["zeros"])]
    for required in [
        (("id", "zeros"), ("id", "zeros")),
        (("id", "zeros"), ("zeros",)),
        (("zeros",), ("id", "zeros")),
        ((), ("id", "zeros")),
    ]:
        some = [with_required(day, *names) for day, names in zip(days, required, strict=False)]
        wanted = at_once(mill, some, steps)
        assert one_by_one(mill, some, steps).digests() == wanted.digests(), required
    model = mill.fit(with_required(days[0], "zeros"), steps)
    said = refused(mill, model, days[1])
    assert "`scale` learned from `zeros` when no row of it could be null, and added ones can" in said


def refused(mill, model, source, *arguments):
    """What the program says of rows that it must not add; it may leave nothing behind, and the model as it is."""
    before = model.digests()
    ran = mill.start_add(model, source, *arguments)
    assert ran.status == 1, f"exit status {ran.status}\n{ran.stderr}"
    assert not ran.out.exists() and [it.name for it in ran.out.parent.iterdir()] in ([], ["table.parquet"])
    assert model.digests() == before
    return ran.stderr


# Steps, and what is said of those among them that would have to see the old rows again.
REFUSED = {
    "median": (named(step("impute", ["int8"])), ["`s0` takes 2 passes over the rows"]),
    "robust": (named(step("scale", ["lognormal"], method="robust")), ["`s0` takes 2 passes over the rows"]),
    "scale behind impute": (
        named(step("impute", ["int8"], strategy="mean"), step("scale", ["zeros", "int8"])),
        ["`s1` reads `int8`, which depends on what `s0` learns"],
    ),
    "behind what learns nothing": (
        named(step("scale", ["int8"]), step("impute", ["int8"], strategy="constant", value=1.5), step("encode", ["int8"])),
        ["`s2` reads `int8`, which depends on what `s0` learns"],
    ),
    "behind a filter": (
        named(step("encode", ["text"], method="ordinal"), step("filter", ["text"], max=3), step("scale", ["int8"])),
        ["`s2` sees the rows that `s1` keeps, which depend on what `s0` learns"],
    ),
    "names that are learned": (
        named(step("encode", ["city"]), step("encode", ["c*"], method="ordinal")),
        ["`s1` may read columns whose names depend on what `s0` learns"],
    ),
    "several": (
        named(step("impute", ["int8"]), step("scale", ["int8"]), step("encode", ["city"])),
        ["`s0` takes 2 passes", "`s1` reads `int8`, which depends on what `s0` learns"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_steps_that_would_have_to_see_the_old_rows_again_are_named(mill, days, case):
    steps, reasons = REFUSED[case]
    # Were a row read, another error would be told.
    broken = mill.folder() / "broken.parquet"
    write(days[1], broken, row_group_size=50)
    flipped = bytearray(broken.read_bytes())
    for offset in range(4, 2_000):
        flipped[offset] ^= 0xFF
    broken.write_bytes(flipped)
    model = mill.fit(days[0], steps, split=ROW_SPLIT)
    said = refused(mill, model, broken)
    assert "rows cannot be added to this model: " in said and "fit the pipeline on the old and the new rows together" in said
    told = said.split("this model: ")[1].splitlines()[0].split("; ")
    assert len(told) == len(reasons) and all(reason in one for reason, one in zip(reasons, told, strict=True)), told


def renamed(table, old, new):
    return table.rename_columns([new if name == old else name for name in table.column_names])


OTHERS = {
    "missing": (lambda t: t.drop_columns(["city"]), "the table lacks the column `city`, which the model was fitted on"),
    "renamed": (lambda t: renamed(t, "int8", "int9"), "the table lacks the column `int8`, which the model was fitted on"),
    "more": (lambda t: t.append_column("more", t["id"]), "the table has a column `more`, which the model was not fitted on"),
    "order": (lambda t: t.select(["city", "int8", "id"]), "column 1 is `city`, and was `id` where the model was fitted"),
    "type": (lambda t: t.set_column(1, "int8", t["int8"].cast(pa.int64())), "`int8` is of type Int64, and the model was fitted on Int8"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_table_with_other_columns_is_refused(mill, days, case):
    change, reason = OTHERS[case]
    some = [day.select(["id", "int8", "city"]) for day in days]
    model = mill.fit(some[0], [step("scale", ["int8"])])
    assert reason in refused(mill, model, change(some[1]))


def test_nothing_that_is_read_is_replaced(mill, days):
    model = mill.fit(days[0], MANY)
    before = model.digests()
    source = write(days[1], mill.folder() / "table.parquet")
    for out in (model.path, source.parent):
        ran = mill.call("fit", "--add", model.path, source, "--out", out, "--overwrite")
        assert ran.status == 1 and "which is read" in ran.stderr, ran.stderr
    assert model.digests() == before
    # Another model is, where that is asked for.
    out = mill.fit(days[2], MANY).path
    command = ["fit", "--add", model.path, source, "--out", out]
    assert "the destination is not empty" in mill.call(*command).stderr
    assert mill.call(*command, "--overwrite").status == 0
    assert mills.digests(out) == at_once(mill, days[:2], MANY).digests()


@pytest.fixture
def copied(mill, days):
    """A model, to be damaged, and one of its tables of partials."""
    model = mills.Model(mill.folder() / "model")
    shutil.copytree(mill.fit(days[0], MANY).path, model.path)
    return model, model.path / "steps" / "02-s1" / "partials" / "counts-text.arrow"


def pin(model, path):
    """Has the manifest name a file as it is now."""
    told, name = manifest(model), str(path.relative_to(model.path))
    [entry] = [it for step in told["steps"] for it in step["model"] + step["partials"] if it["file"] == name]
    entry["digest"] = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    (model.path / "manifest.json").write_text(json.dumps(told))


def partials(path):
    with pa.ipc.open_file(path) as reader:
        return reader.read_all()


def write_partials(table, path, rows=None):
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)


@pytest.mark.parametrize("pinned", [False, True], ids=["not pinned", "pinned"])
def test_partials_that_are_damaged_are_refused(mill, days, copied, pinned):
    model, path = copied
    whole = path.read_bytes()
    told = (model.path / "manifest.json").read_bytes()

    def said_of(data):
        (model.path / "manifest.json").write_bytes(told)
        path.write_bytes(data)
        if pinned:
            pin(model, path)
        return refused(mill, model, days[1])

    said = [said_of(whole[: len(whole) // 2]), said_of(b"")]
    assert all("a saved table cannot be read" in it and "counts-text.arrow" in it and "step `s1`" in it for it in said), said
    if not pinned:
        # Of what is pinned, some bits are values like any other.
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 1
        assert "its digest is another" in said_of(bytes(flipped))
        path.unlink()
        assert "counts-text.arrow" in refused(mill, model, days[1])


def test_flipped_bits_of_partials_never_panic(mill, days, copied):
    model, path = copied
    whole = path.read_bytes()
    chance = np.random.default_rng(4)
    for bit in chance.choice(len(whole) * 8, 40, replace=False):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        pin(model, path)
        ran = mill.start_add(model, days[1])
        assert ran.status in (0, 1) and "panicked" not in ran.stderr and "bug" not in ran.stderr, ran.stderr


def test_partials_of_another_form_are_refused(mill, days, copied):
    model, path = copied
    table = partials(path)
    write_partials(table.drop_columns([table.column_names[-1]]), path)
    pin(model, path)
    assert "the saved table has other columns than the plugin announces" in refused(mill, model, days[1])
    many = pa.concat_tables([table.slice(0, 1)] * 20_000).combine_chunks()
    write_partials(many, path)
    pin(model, path)
    assert "has 20000 rows in one batch" in refused(mill, model, days[1])


def test_partials_in_any_order_and_cut_come_to_the_same(mill, days, copied):
    model, path = copied
    wanted = mill.add(model, days[1]).digests()
    table = partials(path)
    assert table.num_rows > 20
    write_partials(table.take(np.random.default_rng(6).permutation(table.num_rows)).combine_chunks(), path, rows=7)
    pin(model, path)
    assert mill.add(model, days[1]).digests() == wanted


def test_partials_in_one_batch_are_read_where_memory_holds_it(mill):
    table = pa.table({"id": range(300), "text": [f"{row:04}" * 25_000 for row in range(300)]})
    steps = [{"name": "s1", **step("encode", ["text"], method="frequency")}]
    model = mill.fit(write(table, mill.folder() / "t.parquet", row_group_size=20), steps)
    wanted = mill.add(model, table.slice(0, 5)).digests()
    path = model.path / "steps" / "01-s1" / "partials" / "counts-text.arrow"
    write_partials(partials(path).combine_chunks(), path)
    pin(model, path)
    said = refused(mill, model, table.slice(0, 5), "--memory", "128MiB")
    assert "a saved table has 28.6 MiB in one batch, more than the memory allows" in said
    [missing] = re.findall(r"raise `--memory` by ([0-9]+) MiB", said)
    assert mill.add(model, table.slice(0, 5), "--memory", f"{128 + int(missing)}MiB").digests() == wanted


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda it: it["steps"][0].pop("select"), "kept too little of this model to add rows to it"),
        (lambda it: it["steps"][2]["select"][0].update(columns={"names": ["id"]}), "it chooses other columns than the step was fitted on"),
        (lambda it: it["steps"][2].update(partials=[]), "the model's manifest does not name a table that its step needs"),
        (lambda it: it["steps"][1].update(passes=0), "has learned nothing in one pass"),
        (lambda it: it["source"].pop(), "the table has a column `target`, which the model was not fitted on"),
        (lambda it: it["steps"].pop(0) and it["steps"][0].update(ordinal=0), "which is no split"),
    ],
    ids=["select is gone", "selects another", "partials are gone", "no passes", "a column is gone", "a step as split"],
)
def test_a_manifest_that_does_not_fit_itself_is_refused(mill, days, copied, change, reason):
    model, _ = copied
    told = manifest(model)
    change(told)
    (model.path / "manifest.json").write_text(json.dumps(told))
    said = refused(mill, model, days[1])
    assert reason in said and "hint:" in said, said


def test_a_model_of_another_version_is_added_to_with_a_note(mill, days, copied):
    model, _ = copied
    wanted = mill.add(model, days[1]).digests()
    told = manifest(model)
    now, told["wafermill"] = told["wafermill"], "0.0.9"
    (model.path / "manifest.json").write_text(json.dumps(told))
    ran = mill.start_add(model, days[1])
    assert f"the model was fitted by wafermill 0.0.9, and rows are added by {now}" in ran.stderr
    assert mills.digests(ran.out) == wanted


def test_what_is_killed_leaves_nothing_that_looks_complete_and_is_begun_again(mill, table):
    model = mill.fit(table, MANY, split=ROW_SPLIT)
    source = write(pa.concat_tables([table] * 10), mill.folder() / "table.parquet")
    out = mill.folder() / "added"
    command = ["fit", "--add", model.path, source, "--out", out]
    slow = [mill.binary, *command, "--plugins", mill.plugins, "--batch-rows", "1", "--workers", "1", "--progress", "json"]
    for sign, left in [(signal.SIGKILL, True), (signal.SIGTERM, False)]:
        process = subprocess.Popen([str(it) for it in slow], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while json.loads(process.stderr.readline()).get("stage") != "fit":
            assert process.poll() is None
        process.send_signal(sign)
        process.communicate()
        assert process.returncode in (-sign, 130)
        assert not out.exists()
        assert (out.parent / ".added.run").exists() == left
    assert mill.call(*command).status == 0
    assert [it.name for it in out.parent.iterdir()] == ["added"]
    assert mills.digests(out) == mill.add(model, source).digests()


def test_rows_of_a_store_are_added_and_the_model_is_written_to_one(case):
    steps = [{"name": "codes", **step("encode", ["s"])}, step("scale", ["x", "y"])]
    days = [rows(0, 3_000), rows(3_000, 500)]
    files = [write(day, case.folder / f"{number}.parquet", row_group_size=200) for number, day in enumerate(days)]
    case.put(files)
    case.run("fit", case.pipeline(str(case.folder / "?.parquet"), steps), "--out", case.folder / "wanted")
    case.run("fit", case.pipeline(str(files[0]), steps), "--out", case.folder / "first")
    wanted, source = mills.digests(case.folder / "wanted"), case.bucket.url("in/1.parquet")
    case.run("fit", "--add", case.folder / "first", source, "--out", case.folder / "added")
    assert mills.digests(case.folder / "added") == wanted
    case.run("fit", "--add", case.folder / "first", source, "--out", case.bucket.url("added"))
    assert case.dataset("added/") == wanted
    assert case.work() == [] and case.bucket.uploads() == []
