"""The queries, jobs and errors of the REST API of the tests' BigQuery, judged by Google's own client: it errs as Google does."""

import google.auth.exceptions
import pyarrow as pa
import pytest
import requests
from google.api_core import exceptions
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import types
from rest_server import ROWS, SQL, assert_equal, client, expected, folder, serve, server, table  # noqa: F401

# What Google recommends instead is a package for pandas.
pytestmark = pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning")


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
