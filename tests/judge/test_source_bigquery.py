"""BigQuery as a source: the rows, types and models are those of the table, whichever way they come."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import served
from mill import Dataset, step
from types_of_bigquery import all_types, with_intervals, without_null_arrays

ROWS = 1_003
EXAMPLE = Path(__file__).parents[2] / "examples/penguins"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def table():
    return with_intervals(without_null_arrays(all_types(ROWS)))


@pytest.fixture(scope="module")
def penguins():
    options = pa.csv.ConvertOptions(strings_can_be_null=True)
    return pa.csv.read_csv(EXAMPLE / "penguins.csv", convert_options=options)


def copied(mill, source, **options):
    """The rows that a run without steps writes, and what it said."""
    ran = mill.start("run", source, [], **options)
    assert ran.status == 0, ran.stderr
    return Dataset(ran.out).part("all"), ran.stderr


def parts(dataset):
    return {name: sorted(map(str, dataset.part(name).to_pylist())) for name in ("train", "val", "test")}


@pytest.mark.parametrize("streams", [1, 4, 16])
def test_the_example_gives_the_same_model_and_rows_from_any_number_of_streams(mill, folder, penguins, streams):
    text = (EXAMPLE / "pipeline.toml").read_text()
    local = mill.folder()
    expected = mill.call("run", EXAMPLE / "pipeline.toml", "--out", local / "out", out=local / "out")
    assert expected.status == 0, expected.stderr
    with served.serve(folder, {"penguins": penguins}, "--message-rows", 37) as address:
        pipeline = local / "pipeline.toml"
        pipeline.write_text(text.replace('path = "penguins.csv"', served.toml(served.source(address, "penguins", max_streams=streams))))
        found = mill.call("run", pipeline, "--out", local / "found", out=local / "found")
    assert found.status == 0, found.stderr
    expected, found = Dataset(expected.out), Dataset(found.out)
    assert found.model.digests() == expected.model.digests()
    assert parts(found) == parts(expected)


def assert_same(found, table):
    """Compares what was written with what was served, value by value and with the marks of types."""
    found = found.sort_by("id")
    assert found.column_names == table.column_names
    for name in table.column_names:
        expected = table.column(name).to_pylist()
        if name in ("span", "spans"):
            expected = list(map(interval, expected))
        # Texts tell NaNs from nulls and -0.0 from 0.0.
        assert list(map(repr, found.column(name).to_pylist())) == list(map(repr, expected)), name
        if name not in ("span", "spans"):
            assert found.schema.field(name).type == table.schema.field(name).type or pa.types.is_nested(found.schema.field(name).type)
        assert found.schema.field(name).nullable == table.schema.field(name).nullable or pa.types.is_list(found.schema.field(name).type)
        for mark in (b"ARROW:extension:name", b"google:sqlType"):
            if mark in (table.schema.field(name).metadata or {}):
                assert found.schema.field(name).metadata[mark] == table.schema.field(name).metadata[mark], name


def interval(value):
    """An interval as Parquet has it."""
    if isinstance(value, list):
        return [interval(item) for item in value]
    return None if value is None else {"months": value.months, "days": value.days, "nanoseconds": value.nanoseconds}


@pytest.mark.parametrize("way", [{}, {"compression": "lz4"}, {"compression": "zstd"}, {"storage_api": False}], ids=str)
def test_every_type_comes_through_value_by_value(mill, folder, table, way):
    with served.serve(folder, {"t": table}, "--message-rows", 100) as address:
        found, said = copied(mill, served.source(address, "t", max_streams=3, **way))
    assert_same(found, table)
    assert ("the Storage API is not used, as asked" in said) == ("storage_api" in way)


@pytest.mark.parametrize(("flag", "missing"), [("--no-storage-api", "bigquery.readsessions.create"), ("--storage-api-disabled", "is not enabled")])
def test_where_sessions_are_not_permitted_rows_come_over_rest_and_it_is_said(mill, folder, table, flag, missing):
    with served.serve(folder, {"t": table}, flag) as address:
        found, said = copied(mill, served.source(address, "t"))
    assert_same(found, table)
    [warning] = [line for line in said.splitlines() if line.startswith("warning")]
    assert missing in warning and "slower" in warning


def test_both_ways_give_the_same_dataset_of_one_stream(mill, folder, table):
    with served.serve(folder, {"t": table}) as address:
        [found, expected] = [copied(mill, served.source(address, "t", max_streams=1, storage_api=way))[0] for way in (True, False)]
    assert found.column_names == expected.column_names
    for name in expected.column_names:
        assert list(map(repr, found.column(name).to_pylist())) == list(map(repr, expected.column(name).to_pylist())), name


QUERY = "SELECT * FROM somewhere WHERE x > 3"


@pytest.mark.parametrize("way", [{}, {"storage_api": False}], ids=["storage", "rest"])
def test_the_result_of_a_query_is_read(mill, folder, table, way):
    with served.serve(folder, {"t": table}, "--query", f"{QUERY}=data.set.t", "--job-polls", 3) as address:
        source = served.source(address, "t", **way)
        del source["table"]
        found, _ = copied(mill, source | {"query": QUERY})
    assert_same(found, table)


def test_a_view_is_read_by_a_query_and_it_is_said(mill, folder, table):
    with served.serve(folder, {"t": table}, "--view", "data.set.view=data.set.t") as address:
        found, said = copied(mill, served.source(address, "view"))
    assert_same(found, table)
    assert "warning: `data.set.view` is a view: it is read by a query, which is billed at $6.25 per TiB instead of $1.10" in said


def refused(mill, source, *arguments):
    ran = mill.start("run", source, [], arguments=arguments)
    assert ran.status == 1, ran.stderr
    assert not ran.out.exists()
    return ran.stderr


def test_queries_that_fail_are_told(mill, folder, table):
    with served.serve(folder, {"t": table}, "--query", f"{QUERY}=data.set.t", "--query-fails", "resourcesExceeded") as address:
        source = served.source(address, "t")
        del source["table"]
        said = refused(mill, source | {"query": "SELEKT"})
        assert "the query is refused" in said
        said = refused(mill, source | {"query": QUERY})
        assert "the query failed" in said and "resourcesExceeded" in said
        said = refused(mill, source | {"query": QUERY, "bigquery": source["bigquery"] | {"billing_project": "foreign"}})
        assert "roles/bigquery.jobUser" in said
        said = refused(mill, source | {"query": QUERY, "bigquery": source["bigquery"] | {"filter": "x > 1"}})
        assert "write them into the query" in said


PASSING = ["500*2", "502", "503*2", "429", "rate-limit*2", "reset", "jobs:reset", "close", "queries:page-short*2"]


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_over_rest_costs_no_row(mill, folder, table, fault):
    with served.serve(folder, {"t": table}, "--rest-fault", fault) as address:
        found, _ = copied(mill, served.source(address, "t", storage_api=False, silence_seconds=2))
    assert_same(found, table)


LASTING = {
    "403*99": "PERMISSION_DENIED",
    "401*99": "the credentials are not accepted",
    "garbage*99": "the query is refused",
    "html*99": "the query is refused",
    "queries:truncated*99": "the result ends after",
    # Patience ends while an answer is waited for, or right after the last one.
    "500*99": r"no answer from BigQuery within 2 s|An internal error occurred\. \(INTERNAL\)",
}


@pytest.mark.parametrize("fault", LASTING)
def test_what_lasts_over_rest_is_an_error(mill, folder, table, fault):
    with served.serve(folder, {"t": table}, "--rest-fault", fault) as address:
        said = refused(mill, served.source(address, "t", storage_api=False, silence_seconds=2, patience_seconds=2))
    assert re.search(LASTING[fault], said, re.IGNORECASE) and "hint: " in said


def test_larger_reads_than_allowed_are_refused_before_the_first_byte(mill, folder, table):
    with served.serve(folder, {"t": table}, "--query", f"{QUERY}=data.set.t") as address:
        source = served.source(address, "t")
        assert "are allowed" in refused(mill, source, "--max-bytes", "1KiB")
        assert "are allowed" in refused(mill, source | {"bigquery": source["bigquery"] | {"max_bytes": "1KiB"}})
        assert "are allowed" in refused(mill, {"query": QUERY, "bigquery": source["bigquery"] | {"max_bytes": "1KiB"}})
        # Each pass counts; with a spool there is one.
        allowed = inspected(mill, address, "data.set.t")["bytes"]
        median = [step("impute", ["f", "i"], strategy="median")]
        ran = mill.start("run", source | {"spool": "never"}, median, arguments=["--max-bytes", allowed])
        assert ran.status == 1 and "after the" in ran.stderr and "of earlier passes" in ran.stderr and "in all" in ran.stderr
        assert mill.start("run", source, median, arguments=["--max-bytes", allowed]).status == 0


def inspected(mill, address, name, *arguments):
    access = ["--storage-endpoint", address, "--rest-endpoint", address, "--credentials", "anonymous", "--billing-project", served.BILLING]
    ran = mill.call("inspect", name, *access, "--json", *arguments)
    assert ran.status == 0, ran.stderr
    return json.loads(ran.stdout)


def test_inspect_tells_columns_rows_streams_and_the_price(mill, folder, table):
    with served.serve(folder, {"t": table, "none": table.slice(0, 0)}, "--view", "data.set.view=data.set.t") as address:
        found = inspected(mill, address, "bigquery:data.set.t", "--max-streams", 3)
        assert found["rows"] == ROWS and len(found["fragments"]) == 3
        assert [column["name"] for column in found["columns"]] == table.column_names
        assert found["dollars"] == pytest.approx(found["bytes"] / 2**40 * 1.1)
        found = inspected(mill, address, "data.set.t", "--columns", "id,s")
        assert [column["name"] for column in found["columns"]] == ["id", "s"]
        found = inspected(mill, address, "data.set.none")
        assert found["rows"] == 0 and found["fragments"] == []
        found = inspected(mill, address, "data.set.view")
        assert found["dollars"] == pytest.approx(found["bytes"] / 2**40 * 6.25)


@pytest.mark.parametrize("way", [{}, {"storage_api": False}], ids=["storage", "rest"])
def test_some_columns_are_read_in_the_order_of_the_table(mill, folder, table, way):
    query = ["--query", "SELECT `id`, `s` FROM `data.set.t`=data.set.few"]
    with served.serve(folder, {"t": table, "few": table.select(["id", "s"])}, *query) as address:
        found, _ = copied(mill, served.source(address, "t", columns=["s", "id"], **way))
    assert found.sort_by("id").equals(table.select(["id", "s"]).cast(found.schema))


def test_a_table_without_rows_is_read(mill, folder, table):
    with served.serve(folder, {"t": table.slice(0, 0)}) as address:
        for way in (True, False):
            assert mill.start("run", served.source(address, "t", storage_api=way), []).status == 0


def doctor(mill, address, *arguments, credentials="anonymous", table="data.set.t"):
    access = ["--storage-endpoint", address, "--rest-endpoint", address, "--credentials", credentials]
    ran = mill.call("doctor", *([table] if table else []), *access, "--json", *arguments)
    findings = json.loads(ran.stdout)["findings"]
    assert len({finding["check"] for finding in findings}) == len(findings) == 7
    return ran.status, {finding["check"]: finding for finding in findings}


def test_doctor_finds_what_is_missing_and_says_what_to_do(mill, folder, table):
    billing = ["--billing-project", served.BILLING]
    view = ["--view", "data.set.view=data.set.t"]
    with served.serve(folder, {"t": table}, *view) as address:
        status, findings = doctor(mill, address, *billing)
        assert status == 0 and all(finding["state"] == "ok" for finding in findings.values()), findings
        status, findings = doctor(mill, address, *billing, table="data.set.view")
        assert status == 0 and findings["table readable"]["state"] == "warning" and "by a query" in findings["table readable"]["detail"]
        status, findings = doctor(mill, address, table=None)
        assert status == 1 and findings["billing project"]["state"] == "failed"
        assert "--billing-project" in findings["billing project"]["fix"]
        status, findings = doctor(mill, address, "--billing-project", "foreign")
        assert status == 1
        assert "roles/bigquery.readSessionUser" in findings["read sessions permitted"]["fix"]
        assert "roles/bigquery.jobUser" in findings["queries permitted"]["fix"]
    with served.serve(folder, {"other": table}) as address:
        status, findings = doctor(mill, address, *billing)
        assert status == 1 and findings["table readable"]["state"] == "failed"
        assert findings["Storage API reached"]["state"] == "ok"
    with served.serve(folder, {"t": table}, "--no-storage-api") as address:
        status, findings = doctor(mill, address, *billing)
        assert status == 0 and findings["read sessions permitted"]["state"] == "warning"
    with served.serve(folder, {"t": table}, "--storage-api-disabled") as address:
        status, findings = doctor(mill, address, *billing)
        assert status == 0 and "gcloud services enable" in findings["Storage API enabled"]["fix"]
    status, findings = doctor(mill, "http://127.0.0.1:1", *billing)
    assert status == 1 and findings["Storage API reached"]["state"] == "failed"
    status, findings = doctor(mill, "http://127.0.0.1:1", *billing, credentials="/nowhere.json")
    assert status == 1 and findings["credentials"]["state"] == "failed"


@pytest.mark.parametrize("way", [{}, {"storage_api": False}], ids=["storage", "rest"])
def test_a_filter_is_left_to_bigquery(mill, folder, table, way):
    query = ["--query", "SELECT * FROM `data.set.t` WHERE (id < 10\n)=data.set.few"]
    with served.serve(folder, {"t": table, "few": table.slice(0, 10)}, *query) as address:
        found, _ = copied(mill, served.source(address, "t", filter="id < 10", max_streams=7, **way))
        assert_same(found, table.slice(0, 10))
        said = refused(mill, served.source(address, "t", filter="id <", **way))
        assert "hint: " in said


def test_a_filter_that_finds_nothing_gives_a_dataset_without_rows(mill, folder, table):
    with served.serve(folder, {"t": table}) as address:
        ran = mill.start("run", served.source(address, "t", filter="id < 0"), [])
    assert ran.status == 0 and ran.stdout.startswith(b"0 rows")


def test_fields_of_structs_are_selected(mill, folder, table):
    with served.serve(folder, {"t": table}) as address:
        found, _ = copied(mill, served.source(address, "t", columns=["record.b", "id"]))
    found = found.sort_by("id")
    expected = [None if value is None else {"b": value["b"]} for value in table.column("record").to_pylist()]
    assert found.column("record").to_pylist() == expected
    assert found.column_names == ["id", "record"]


def test_all_passes_of_a_run_see_one_state_and_an_earlier_one_can_be_asked_for(mill, folder, table):
    past, now = table.slice(0, 400), table
    states = {"t@2026-01-01T00:00:00Z": past, "t@2026-02-01T00:00:00Z": now}
    with served.serve(folder, states) as address:
        found, _ = copied(mill, served.source(address, "t", snapshot="2026-01-15T00:00:00Z"))
        assert_same(found, past)
        found, _ = copied(mill, served.source(address, "t"))
        assert_same(found, now)
        assert "snapshot" in refused(mill, served.source(address, "t", snapshot="2025-01-01T00:00:00Z"))
        assert "is no time" in refused(mill, served.source(address, "t", snapshot="yesterday"))
    # A table which is younger than this machine's clock says cannot be pinned.
    with served.serve(folder, {"t@2100-01-01T00:00:00Z": now}) as address:
        found, said = copied(mill, served.source(address, "t"))
        assert_same(found, now)
        assert "cannot be pinned" in said


def test_long_streams_are_split_where_the_session_has_few_and_no_row_is_lost(mill, folder):
    rows = pa.table({"id": pa.array(range(1_000), pa.int64())})
    options = ["--max-streams", 3, "--repeat", "data.set.t=1200"]
    with served.serve(folder, {"t": rows}, *options) as address:
        found, _ = copied(mill, served.source(address, "t", max_streams=8))
        again, _ = copied(mill, served.source(address, "t", max_streams=8))
        few, _ = copied(mill, served.source(address, "t", max_streams=3))
    counts = found.column("id").value_counts()
    assert len(counts) == 1_000 and {count["counts"].as_py() for count in counts} == {1_200}
    assert found.equals(again) and found.sort_by("id").equals(few.sort_by("id"))
    assert not found.equals(few), "the streams were not split"


def test_the_report_tells_which_state_was_read(mill, folder, table):
    with served.serve(folder, {"t": table}) as address:
        first = mill.start("run", served.source(address, "t"), [])
        [before, snapshot] = json.loads((first.out / "report.json").read_text())["source"].split(" as of ")
        assert before == "bigquery:data.set.t"
        again = mill.start("run", served.source(address, "t", snapshot=snapshot), [])
    assert again.status == 0, again.stderr
    assert Dataset(again.out).digests() == Dataset(first.out).digests()
