"""The emulator of BigQuery, read by Google's clients: what was loaded comes back over both APIs."""

import datetime
import decimal

import pyarrow as pa
import pytest
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import types

ROWS = 1_200


def some(values, type):
    """The values over and over, with nulls in between."""
    return pa.array([None if row % 7 == 3 else values[row % len(values)] for row in range(ROWS)], type)


@pytest.fixture(scope="module")
def table():
    """Rows of the types that the emulator takes from Parquet."""
    entry = pa.struct([("a", pa.int64()), ("b", pa.string())])
    first, last = datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59, 999_999)
    return pa.table({
        "id": pa.array(range(ROWS), pa.int64()),
        "i": some([-(2**63), 2**63 - 1, 2**53 + 1, 0], pa.int64()),
        "f": some([0.0, 1.5, 1e300, 5e-324, float("inf"), -float("inf"), -0.1], pa.float64()),
        "flag": some([True, False], pa.bool_()),
        "s": some(["", "żółw 🐢", "a\"b\\c\n"], pa.string()),
        "raw": some([b"", b"\xff\x00", bytes(range(256))], pa.binary()),
        "day": some([first.date(), datetime.date(2024, 2, 29), last.date()], pa.date32()),
        "time": some([0, 1, 86_399_999_999], pa.time64("us")),
        "stamp": some([first, datetime.datetime(1969, 12, 31, 23, 59, 59, 999_999), last], pa.timestamp("us", "UTC")),
        "local": some([first, last], pa.timestamp("us")),
        "price": some([decimal.Decimal(text) for text in ("0", "-0.5", "1E-9", "12345678901234567890.5")], pa.decimal128(38, 9)),
        "list": pa.array([[row] * (row % 3) for row in range(ROWS)], pa.list_(pa.int64())),
        "record": some([{"a": 1, "b": None}, {"a": None, "b": "x"}], entry),
        "nested": pa.array([[{"a": row, "b": "y"}] * (row % 3) for row in range(ROWS)], pa.list_(entry)),
    })  # fmt: skip


@pytest.fixture(scope="module")
def client(emulator, table):
    client = emulator.client()
    client.create_dataset("data.loaded")
    emulator.load("data.loaded.people", table)
    return client


def read(emulator, table):
    """All rows of a table over the Storage Read API."""
    with emulator.storage() as storage:
        wanted = types.ReadSession(table=table.to_bqstorage(), data_format=types.DataFormat.ARROW)
        created = storage.create_read_session(parent="projects/billing", read_session=wanted, max_stream_count=1)
        streams = [storage.read_rows(stream.name).rows(created).to_arrow() for stream in created.streams]
        return pa.concat_tables(streams)


def by_id(rows):
    return sorted(rows, key=lambda row: row["id"])


@pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning")
def test_loaded_rows_come_back_over_both_apis(emulator, client, table):
    found = client.get_table("data.loaded.people")
    assert (found.num_rows, found.table_type) == (ROWS, "TABLE")
    assert [field.name for field in found.schema] == table.column_names
    assert by_id(read(emulator, found.reference).to_pylist()) == table.to_pylist()
    assert by_id(map(dict, client.list_rows(found))) == table.to_pylist()


@pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning")
@pytest.mark.parametrize("destination", [None, "data.loaded.result"])
def test_the_result_of_a_query_comes_back_over_both_apis(emulator, client, table, destination):
    options = bigquery.QueryJobConfig(destination=destination)
    job = client.query("SELECT * FROM `data.loaded.people` WHERE MOD(id, 2) = 0", job_config=options)
    job.result()
    expected = table.to_pylist()[::2]
    assert by_id(read(emulator, job.destination).to_pylist()) == expected
    assert by_id(map(dict, client.list_rows(job.destination))) == expected
