"""The BigQuery of the tests, judged by Google's own client: it reads the rows that the server was given, and is refused as by Google."""

import decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core import exceptions
from google.cloud.bigquery_storage_v1 import types
from storage import assert_equal, read, resource, serve, session

import tables

ROWS = 5_003
# What Google recommends instead is a package for pandas.
pytestmark = pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning")
Codec = types.ArrowSerializationOptions.CompressionCodec


@pytest.fixture(scope="module")
def table():
    """Rows of types that BigQuery has itself."""
    rng = np.random.default_rng(11)
    rows = range(ROWS)
    entry = pa.struct([("a", pa.int64()), ("b", pa.string())])
    columns = {
        "i": tables.nullable(rng, rng.integers(-(2**62), 2**62, ROWS)),
        "f": tables.nullable(rng, tables.with_nan(rng, rng.normal(size=ROWS))),
        "s": tables.nullable(rng, tables.words(rng, ROWS, 500)),
        "flag": tables.nullable(rng, rng.random(ROWS) < 0.5),
        "raw": pa.array([None if row % 5 == 0 else bytes([row % 256]) * (row % 4) for row in rows]),
        "day": pa.array([None if row % 6 == 0 else row - 2_000 for row in rows], pa.date32()),
        "time": pa.array([row * 1_000_003 for row in rows], pa.time64("us")),
        "stamp": pa.array([row * 10**9 - 10**12 for row in rows], pa.timestamp("us", "UTC")),
        "local": pa.array([row * 10**9 - 10**12 for row in rows], pa.timestamp("us")),
        "price": pa.array([decimal.Decimal(row) / 8 for row in rows], pa.decimal128(38, 9)),
        "list": pa.array([[row] * (row % 3) for row in rows], pa.list_(pa.int64())),
        "nested": pa.array([[{"a": row, "b": None if row % 3 else str(row)}] * (row % 3) for row in rows], pa.list_(entry)),
    }
    return as_bigquery(pa.table(columns))


def as_bigquery(table):
    """The table with arrays that are never null, as BigQuery's are not."""
    fields = [field.with_nullable(not pa.types.is_list(field.type)) for field in table.schema]
    return table.cast(pa.schema(fields))


@pytest.fixture(scope="module")
def client(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bigquery")
    pq.write_table(table, folder / "people.parquet", row_group_size=1_000)
    pq.write_table(table.slice(0, 0), folder / "empty.parquet")
    options = ["--view", "data.set.view"]
    for name in ["people", "empty"]:
        options += ["--table", f"data.set.{name}={folder / name}.parquet"]
    with serve(*options) as client:
        yield client


@pytest.mark.parametrize("streams", [1, 4, 16])
@pytest.mark.parametrize("codec", [None, Codec.LZ4_FRAME, Codec.ZSTD])
def test_all_streams_together_are_the_rows_of_the_table(client, table, streams, codec):
    created = session(client, streams, codec=codec)
    assert len(created.streams) == streams
    assert created.estimated_row_count == table.num_rows
    assert_equal(read(client, created), table)


def test_selected_fields_come_in_the_order_of_the_table(client, table):
    created = session(client, selected_fields=["nested", "i"])
    assert_equal(read(client, created), table.select(["i", "nested"]))


@pytest.mark.parametrize("offset", [0, 1, 999, 1_000, 2_500, ROWS - 1])
def test_an_offset_may_lie_anywhere_in_a_message(client, table, offset):
    created = session(client)
    rows = client.read_rows(created.streams[0].name, offset=offset).rows(created).to_arrow()
    assert_equal(rows, table.slice(offset))


def test_the_offset_behind_the_last_row_is_a_clean_end_and_beyond_it_is_an_error(client, table):
    name = session(client).streams[0].name
    assert list(client.read_rows(name, offset=table.num_rows)) == []
    with pytest.raises(exceptions.FailedPrecondition):
        list(client.read_rows(name, offset=table.num_rows + 1))


def test_a_table_without_rows_has_a_schema_and_no_streams(client):
    created = session(client, table=resource("empty"))
    assert len(created.streams) == 0
    assert created.arrow_schema.serialized_schema


def test_progress_goes_from_zero_to_one(client):
    created = session(client, 3)
    for stream in created.streams:
        progress = [message.stats.progress for message in client.read_rows(stream.name)]
        assert progress[0].at_response_start == 0 and progress[-1].at_response_end == 1
        assert all(a.at_response_end == b.at_response_start for a, b in zip(progress, progress[1:]))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"table": resource("nobody")}, exceptions.NotFound, "Not found: Table data:set.nobody"),
        ({"table": resource("view")}, exceptions.InvalidArgument, "non-table entities"),
        ({"table": "people"}, exceptions.InvalidArgument, "invalid format"),
        ({"parent": "projects/other"}, exceptions.PermissionDenied, "bigquery.readsessions.create"),
        ({"selected_fields": ["nobody"]}, exceptions.InvalidArgument, "do not exist in the table schema: nobody"),
        ({"streams": -1}, exceptions.InvalidArgument, "max_stream_count"),
    ],
)
def test_what_google_refuses_is_refused(client, change, error, message):
    with pytest.raises(error, match=message):
        session(client, **change)


def test_an_unknown_stream_is_not_found(client):
    with pytest.raises(exceptions.NotFound):
        list(client.read_rows("projects/billing/locations/us/sessions/none/streams/0"))
