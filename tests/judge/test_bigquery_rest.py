"""The REST API of the tests' BigQuery, judged by Google's own client: it gives the rows that the server was given, and errs as Google does."""

import contextlib
import datetime
import decimal
import json
import os
import subprocess

import google.auth.exceptions
import grpc
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from dateutil.relativedelta import relativedelta
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

from types_of_bigquery import all_types

ROWS = 2_003
BILLED = 10 << 20
SQL = "SELECT name, COUNT(*) AS n\n  FROM `data.set.people` WHERE name != 'x=y' GROUP BY name"
# What Google recommends instead is a package for pandas.
pytestmark = pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning")


@pytest.fixture(scope="module")
def table():
    return all_types(ROWS)


@pytest.fixture(scope="module")
def folder(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rest")
    pq.write_table(table, folder / "people.parquet", row_group_size=500)
    pq.write_table(table.slice(0, 0), folder / "empty.parquet")
    pq.write_table(pa.table({"text": ["x" * 100_000] * 250}), folder / "wide.parquet")
    return folder


class Server:
    """A server and Google's clients of it."""

    def __init__(self, address, project="billing"):
        self.url = address
        options = {"api_endpoint": address}
        self.client = bigquery.Client(project, credentials=AnonymousCredentials(), client_options=options)

    @contextlib.contextmanager
    def storage(self):
        options = [("grpc.max_receive_message_length", -1)]
        with grpc.insecure_channel(self.url.removeprefix("http://"), options) as channel:
            yield BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))

    def get(self, path, **parameters):
        """The answer to a request that is made without the client."""
        return requests.get(f"{self.url}/bigquery/v2/projects/{path}", parameters, timeout=5)


@pytest.fixture(scope="module")
def serve(folder):
    """Starts servers of the same tables with further options."""

    @contextlib.contextmanager
    def serve(*options):
        command = [os.environ["WAFERMILL_TEST_BIGQUERY"], "--view", "data.set.view=data.set.people", "--view", "data.set.blind"]
        command += ["--query", f"{SQL}=data.set.wide", "--query", "SELECT 1=data.set.empty"]
        for name in ["people", "empty", "wide"]:
            command += ["--table", f"data.set.{name}={folder / name}.parquet"]
        with subprocess.Popen([*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            address = server.stdout.readline().strip()
            assert address, "the server did not start"
            yield Server(address)
            server.stdin.close()

    return serve


@pytest.fixture(scope="module")
def server(serve):
    with serve() as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    return server.client


def expected(table):
    """Rows as Google's client gives them: no lists are null, and JSON is parsed."""
    rows = table.to_pylist()
    for row in rows:
        for name, value in row.items():
            if value is None and pa.types.is_list(table.schema.field(name).type):
                row[name] = []
        for name in ["json", "documents"]:
            value = row.get(name)
            if value is not None:
                row[name] = [json.loads(text) for text in value] if isinstance(value, list) else json.loads(value)
    return rows


def assert_equal(found, expected):
    """Equality of rows, value by value, in which a NaN equals itself and zero has a sign."""
    assert len(found) == len(expected)
    for row, (left, right) in enumerate(zip(found, expected)):
        assert list(left.keys()) == list(right.keys())
        for name, value in right.items():
            same = left[name] == value if not isinstance(value, float) else repr(left[name]) == repr(value)
            assert same, f"row {row}, column {name}: {left[name]!r} instead of {value!r}"


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


@pytest.mark.parametrize(
    "sql", [SQL, " ".join(SQL.split()) + " ;", "SELECT * FROM `data.set.view`", "SELECT * FROM `data.set.people`", "SELECT 1"]
)
def test_a_query_has_a_destination_that_both_apis_read(server, table, sql):
    wide = pa.table({"text": ["x" * 100_000] * 250})
    result = {"SELECT 1": table.slice(0, 0)}.get(sql, table if "*" in sql and "COUNT" not in sql else wide)
    job = server.client.query(sql)
    assert job.state == "RUNNING" and not job.errors
    rows = list(job.result())
    assert job.state == "DONE" and job.location == "US"
    assert_equal(rows, expected(result))
    destination = job.destination
    assert destination.project == "billing" and destination.dataset_id.startswith("_") and destination.table_id.startswith("anon")
    assert_equal(list(server.client.list_rows(destination, max_results=10)), expected(result.slice(0, 10)))
    with server.storage() as storage:
        wanted = types.ReadSession(table=destination.to_bqstorage(), data_format=types.DataFormat.ARROW)
        created = storage.create_read_session(parent="projects/billing", read_session=wanted, max_stream_count=1)
        assert created.estimated_row_count == result.num_rows
        for stream in created.streams:
            read = storage.read_rows(stream.name).rows(created).to_arrow()
            assert read.num_rows == result.num_rows and read.column_names == result.column_names


def test_a_job_runs_until_it_was_asked_for_often_enough(serve):
    with serve("--job-polls", "3") as server:
        job = server.client.query("SELECT 1")
        states = []
        for _ in range(5):
            job.reload()
            states.append(job.state)
        assert states == ["RUNNING"] * 3 + ["DONE"] * 2
    with serve("--job-polls", "0") as server:
        assert server.client.query("SELECT 1").state == "DONE"


def test_a_dry_run_tells_bytes_and_schema_and_leaves_no_job(client, table):
    job = client.query("SELECT * FROM `data.set.view`", job_config=bigquery.QueryJobConfig(dry_run=True))
    assert job.state == "DONE" and job.dry_run
    assert job.total_bytes_processed == client.get_table("data.set.people").num_bytes > 0
    assert [field.name for field in job.schema] == table.column_names
    assert job.referenced_tables[0].table_id == "view"
    with pytest.raises(exceptions.NotFound):
        client.get_job(job.job_id or "none")


def test_a_query_may_be_billed_only_so_much(client):
    def query(most):
        return client.query(SQL, job_config=bigquery.QueryJobConfig(maximum_bytes_billed=most))

    billed = 24 << 20
    job = query(billed)
    job.result(max_results=1)
    assert job.total_bytes_billed == billed and job.total_bytes_processed == 250 * 100_002
    with pytest.raises(exceptions.GoogleAPICallError, match=f"bytes billed: {billed - 1}. {billed} or higher required") as error:
        query(billed - 1).result()
    assert error.value.errors[0]["reason"] == "bytesBilledLimitExceeded"
    assert client.query("SELECT 1").result() is not None


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("data.set.nobody", exceptions.NotFound, "Not found: Table data:set.nobody"),
        ("data.nothing.people", exceptions.NotFound, "Not found: Dataset data:nothing"),
    ],
)
def test_unknown_tables_are_not_found(client, path, error, message):
    with pytest.raises(error, match=message) as raised:
        client.get_table(path)
    assert raised.value.errors[0]["reason"] == "notFound"
    with pytest.raises(error, match=message):
        list(client.list_rows(bigquery.Table(path, [bigquery.SchemaField("a", "STRING")])))


@pytest.mark.parametrize(
    ("sql", "change", "error", "reason"),
    [
        ("SELECT 2", {}, exceptions.BadRequest, "invalidQuery"),
        ("SELECT * FROM `data.set.blind`", {}, exceptions.BadRequest, "invalidQuery"),
        ("SELECT * FROM `data.set.view`", {"use_legacy_sql": True}, exceptions.BadRequest, "invalidQuery"),
        ("SELECT 1", {"project": "other"}, exceptions.Forbidden, "accessDenied"),
        ("SELECT 1", {"location": "EU"}, exceptions.NotFound, "notFound"),
        ("SELECT 1", {"job_id": "taken"}, exceptions.Conflict, "duplicate"),
    ],
)
def test_queries_are_refused_as_by_google(client, sql, change, error, reason):
    if "job_id" in change:
        client.query(sql, job_retry=None, **change)
    if "use_legacy_sql" in change:
        change = {"job_config": bigquery.QueryJobConfig(**change)}
    with pytest.raises(error) as raised:
        # The client makes up for a conflict by asking for the job, unless the name was given.
        client.query(sql, retry=None, job_retry=None, **change)
    assert raised.value.errors[0]["reason"] == reason
    if reason == "accessDenied":
        assert "bigquery.jobs.create" in raised.value.message


def test_jobs_are_found_in_their_location_only(client):
    job = client.query("SELECT 1")
    assert client.get_job(job.job_id, location="us").job_id == job.job_id
    for change in [{"location": "EU"}, {"project": "other"}]:
        with pytest.raises(exceptions.NotFound, match="Not found: Job"):
            client.get_job(job.job_id, **change)


def test_jobs_end_in_errors_as_often_as_wanted(serve):
    # The client takes an error of getQueryResults for one of the request, and asks once more: so jobs end at once here.
    fails = ["--query-fails", "backendError*2", "--query-fails", "quotaExceeded"]
    with serve("--job-polls", "0", "--location", "europe-west1", *fails) as server:
        for error, reason in [(exceptions.InternalServerError, "backendError")] * 2 + [(exceptions.Forbidden, "quotaExceeded")]:
            job = server.client.query("SELECT 1", location="europe-west1", job_retry=None)
            with pytest.raises(error):
                job.result()
            assert job.error_result["reason"] == reason and job.state == "DONE"
        assert list(server.client.query("SELECT 1", location="europe-west1").result()) == []


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        ("500", 500, "internalError"),
        ("502", 502, None),
        ("503", 503, "backendError"),
        ("429", 429, "rateLimitExceeded"),
        ("403", 403, "accessDenied"),
        ("401", 401, "authError"),
        ("rate-limit", 403, "rateLimitExceeded"),
        ("quota", 403, "quotaExceeded"),
        ("html", 403, None),
        ("garbage", 200, None),
    ],
)
def test_faults_strike_the_requests_that_they_are_for_and_no_more(serve, kind, status, reason):
    with serve("--rest-fault", f"tables/people:{kind}*2") as server:
        assert server.get("data/datasets/set/tables/empty").status_code == 200
        for _ in range(2):
            answer = server.get("data/datasets/set/tables/people")
            assert answer.status_code == status
            assert ("Retry-After" in answer.headers) == (kind == "429")
            if reason:
                assert answer.json()["error"]["errors"][0]["reason"] == reason
            else:
                with pytest.raises(requests.JSONDecodeError):
                    answer.json()
        assert server.client.get_table("data.set.people").num_rows == ROWS


def test_connections_break_and_stall(serve):
    path = "data/datasets/set/tables/people"
    with serve("--rest-fault", "close", "--rest-fault", "reset", "--rest-fault", "stall", "--rest-fault", "jobs:reset") as server:
        with pytest.raises(requests.ConnectionError, match="RemoteDisconnected|reset"):
            server.get(path)
        with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError), match="IncompleteRead|reset"):
            server.get(path)
        with pytest.raises(requests.exceptions.ReadTimeout):
            requests.get(f"{server.url}/bigquery/v2/projects/{path}", timeout=0.2)
        # The job was made though its answer was lost.
        with pytest.raises((exceptions.GoogleAPICallError, requests.RequestException, google.auth.exceptions.TransportError)):
            server.client.query("SELECT 1", job_id="lost", retry=None, job_retry=None)
        assert server.client.get_job("lost").job_id == "lost"


def test_the_client_reads_on_after_faults(serve, table):
    options = [option for kind in ["503", "data:page-short*3", "502"] for option in ("--rest-fault", kind)]
    with serve(*options) as server:
        assert_equal(list(server.client.list_rows("data.set.people", page_size=900)), expected(table))


def test_pages_may_end_before_the_last_row(serve):
    with serve("--rest-fault", "truncated") as server:
        rows = server.client.list_rows("data.set.people")
        assert (len(list(rows)), rows.total_rows) == (ROWS // 2, ROWS)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--no-storage-api", "the user does not have 'bigquery.readsessions.create' permission for 'projects/billing'"),
        ("--storage-api-disabled", "BigQuery Storage API has not been used in project billing before or it is disabled"),
    ],
)
def test_the_storage_api_may_be_out_of_reach(serve, option, message):
    with serve(option) as server, server.storage() as storage:
        wanted = types.ReadSession(table="projects/data/datasets/set/tables/people", data_format=types.DataFormat.ARROW)
        with pytest.raises(exceptions.PermissionDenied, match=message) as error:
            storage.create_read_session(parent="projects/billing", read_session=wanted)
        if option == "--storage-api-disabled":
            assert error.value.reason == "SERVICE_DISABLED" and error.value.domain == "googleapis.com"
            assert error.value.metadata == {"service": "bigquerystorage.googleapis.com", "consumer": "projects/billing"}
        assert server.client.get_table("data.set.people").num_rows == ROWS
