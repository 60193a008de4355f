"""The tables and rows of the REST API of the tests' BigQuery, judged by Google's own client: it gives the rows that the server was given."""

import datetime

import pyarrow as pa
import pytest
from dateutil.relativedelta import relativedelta
from google.api_core import exceptions
from rest_server import ROWS, assert_equal, client, expected, folder, serve, server, table  # noqa: F401

BILLED = 10 << 20
# What Google recommends instead is a package for pandas.
pytestmark = pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning")


def test_a_table_is_described(client, table):
    found = client.get_table("data.set.people")
    assert (found.project, found.dataset_id, found.table_id) == ("data", "set", "people")
    assert (found.table_type, found.num_rows, found.location) == ("TABLE", ROWS, "US")
    assert abs(found.created - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=5)
    assert found.modified == found.created
    kinds = {field.name: field.field_type for field in found.schema}
    assert kinds == {
        **{"id": "INTEGER", "i": "INTEGER", "f": "FLOAT", "flag": "BOOLEAN", "s": "STRING", "raw": "BYTES"},
        **{"day": "DATE", "time": "TIME", "stamp": "TIMESTAMP", "local": "DATETIME", "price": "NUMERIC"},
        **{"big": "BIGNUMERIC", "json": "JSON", "place": "GEOGRAPHY", "days": "RANGE", "moments": "RANGE"},
        **{"list": "INTEGER", "words": "STRING", "documents": "JSON", "record": "RECORD", "nested": "RECORD"},
    }
    modes = {field.name: field.mode for field in found.schema if field.mode != "NULLABLE"}
    assert modes == {"id": "REQUIRED", **dict.fromkeys(["list", "words", "documents", "nested"], "REPEATED")}
    fields = {field.name: field for field in found.schema}
    assert [(field.name, field.field_type, field.mode) for field in fields["nested"].fields] == [
        ("a", "INTEGER", "NULLABLE"), ("b", "STRING", "NULLABLE"), ("c", "FLOAT", "REPEATED")
    ]  # fmt: skip
    assert [fields[name].range_element_type.element_type for name in ["days", "moments"]] == ["DATE", "TIMESTAMP"]


def test_bytes_are_counted_as_they_are_billed(client, table):
    assert client.get_table("data.set.wide").num_bytes == 250 * (100_000 + 2)
    assert client.get_table("data.set.empty").num_bytes == 0


def test_a_view_shows_its_query_and_has_no_rows(client):
    view = client.get_table("data.set.view")
    assert (view.table_type, view.view_query, view.num_rows) == ("VIEW", "SELECT * FROM `data.set.people`", 0)
    assert len(view.schema) == 21
    assert client.get_table("data.set.blind").schema == []
    with pytest.raises(exceptions.BadRequest, match="Cannot list a table of type VIEW."):
        list(client.list_rows(view))


def test_listed_rows_are_the_rows_of_the_table(client, table):
    rows = client.list_rows("data.set.people")
    assert rows.total_rows == ROWS
    assert_equal(list(rows), expected(table))


def test_intervals_and_repeated_rows_are_listed(serve, folder):
    span, back, none = pa.MonthDayNano([14, 3, 3_661_000_001_000]), pa.MonthDayNano([-14, -3, -1_000]), pa.MonthDayNano([0, 0, 0])
    table = pa.table({"span": pa.array([span, back, None, none], pa.month_day_nano_interval())})
    with pa.OSFile(str(folder / "spans.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    with serve("--table", f"data.set.spans={folder}/spans.arrow", "--repeat", "data.set.spans=3") as server:
        found = server.client.get_table("data.set.spans")
        assert (found.num_rows, found.num_bytes, found.schema[0].field_type) == (12, 3 * 3 * 16, "INTERVAL")
        answer = server.get("data/datasets/set/tables/spans/data").json()
        texts = ["1-2 3 1:1:1.000001", "-1-2 -3 -0:0:0.000001", None, "0-0 0 0:0:0"]
        assert [row["f"][0]["v"] for row in answer["rows"]] == texts * 3
        spans = [row["span"] for row in server.client.list_rows("data.set.spans", start_index=7, page_size=2)]
        zero = relativedelta()
        forth = relativedelta(years=1, months=2, days=3, hours=1, minutes=1, seconds=1, microseconds=1)
        assert spans == [zero, forth, relativedelta(years=-1, months=-2, days=-3, microseconds=-1), None, zero]


def test_listed_rows_make_the_same_arrow_table(client, table):
    # Neither JSON and GEOGRAPHY nor the items of lists have Arrow types that both sides agree on.
    names = [name for name in table.column_names if name not in ("json", "place", "documents", "words", "days", "moments")]
    names = [name for name in names if name not in ("list", "record", "nested", "f")]
    fields = [field for field in client.get_table("data.set.people").schema if field.name in names]
    found = client.list_rows("data.set.people", selected_fields=fields).to_arrow(create_bqstorage_client=False)
    for name in names:
        assert found[name].combine_chunks().equals(table[name].combine_chunks()), name


@pytest.mark.parametrize("size", [1, 100, 499, 5_000])
def test_pages_together_are_the_table(client, table, size):
    table = table.slice(ROWS - 60) if size == 1 else table
    rows = client.list_rows("data.set.people", page_size=size, start_index=ROWS - table.num_rows)
    pages = [list(page) for page in rows.pages]
    assert [len(page) for page in pages[:-1]] == [size] * (len(pages) - 1)
    assert_equal([row for page in pages for row in page], expected(table))


def test_pages_have_at_most_ten_megabytes(client):
    sizes = [page.num_items for page in client.list_rows("data.set.wide").pages]
    assert sizes == [99, 99, 52]


def test_rows_may_begin_anywhere_and_end_early(client, table):
    found = list(client.list_rows("data.set.people", start_index=1_990, max_results=7))
    assert_equal(found, expected(table.slice(1_990, 7)))
    assert list(client.list_rows("data.set.people", start_index=ROWS)) == []
    assert list(client.list_rows("data.set.empty")) == []


def test_selected_fields_come_in_the_order_of_the_table(client, table):
    fields = {field.name: field for field in client.get_table("data.set.people").schema}
    found = list(client.list_rows("data.set.people", selected_fields=[fields["s"], fields["nested"]]))
    assert_equal(found, expected(table.select(["s", "nested"])))


def test_fields_of_fields_can_be_selected(server, table):
    answer = server.get("data/datasets/set/tables/people/data", selectedFields="nested.b,id,record.c", maxResults=20).json()
    assert answer["totalRows"] == str(ROWS)
    for found, row in zip(answer["rows"], table.slice(0, 20).to_pylist()):
        record = row["record"] and {"f": [{"v": [{"v": repr(item)} for item in row["record"]["c"]]}]}
        nested = [{"v": {"f": [{"v": entry["b"]}]}} for entry in row["nested"] or []]
        assert found == {"f": [{"v": str(row["id"])}, {"v": record}, {"v": nested}]}
    schema = server.get("data/datasets/set/tables/people", selectedFields="nested.b,id").json()["schema"]
    assert [field["name"] for field in schema["fields"]] == ["id", "nested"]
    assert [field["name"] for field in schema["fields"][1]["fields"]] == ["b"]
    for field in ["nobody", "nested.nobody", "id.a"]:
        assert server.get("data/datasets/set/tables/people/data", selectedFields=field).status_code == 400


def test_points_in_time_have_three_forms(server, table):
    row = next(row for row, value in enumerate(table["stamp"].to_pylist()) if value and value.year == 2015)
    where = {"startIndex": row, "maxResults": 1, "selectedFields": "stamp"}

    def stamp(**options):
        answer = server.get("data/datasets/set/tables/people/data", **where, **{f"formatOptions.{key}": value for key, value in options.items()})
        return answer.json()["rows"][0]["f"][0]["v"] if answer.ok else answer.status_code

    assert stamp() == stamp(useInt64Timestamp="false") == "1.447216127E9"
    assert stamp(useInt64Timestamp="true") == stamp(timestampOutputFormat="INT64") == "1447216127000000"
    assert stamp(timestampOutputFormat="ISO8601_STRING") == "2015-11-11T04:28:47.000000000000Z"
    assert stamp(timestampOutputFormat="ISO8601_STRING", useInt64Timestamp="true") == 400
