"""The shapes of the tests' BigQuery's sessions: streams that are empty or split, long tables, snapshots, compression, the end."""

import datetime
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core import exceptions
from google.cloud.bigquery_storage_v1 import types
from storage import read, resource, serve, session

ROWS = 1_000
Codec = types.ArrowSerializationOptions.CompressionCodec
Whole = types.ReadSession.TableReadOptions.ResponseCompressionCodec
pytestmark = pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning")


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    path = tmp_path_factory.mktemp("sessions") / "people.parquet"
    words = np.random.default_rng(3).integers(0, 10, ROWS)
    table = pa.table({"i": np.arange(ROWS), "s": ["x" * word for word in words], "l": [[word] * word for word in words]})
    pq.write_table(table, path, row_group_size=300)
    return pq.read_table(path), path


def counts(client, stream, offset=0):
    return [message.row_count for message in client.read_rows(stream.name, offset)]


def column(client, stream, created, offset=0):
    return client.read_rows(stream.name, offset).rows(created).to_arrow()["i"].to_pylist()


def test_empty_streams_end_at_once_with_nothing(people):
    with serve("--table", f"data.set.people={people[1]}", "--empty-streams", 2) as client:
        created = session(client, 3)
        assert [sum(counts(client, stream)) for stream in created.streams] == [333, 333, 334, 0, 0]
        assert list(client.read_rows(created.streams[4].name)) == []
        with pytest.raises(exceptions.FailedPrecondition):
            list(client.read_rows(created.streams[4].name, 1))


def test_messages_may_have_one_row(people):
    with serve("--table", f"data.set.people={people[1]}", "--message-rows", 1) as client:
        created = session(client)
        assert counts(client, created.streams[0]) == [1] * ROWS
        assert read(client, created)["i"].to_pylist() == list(range(ROWS))


@pytest.mark.parametrize("limit", [1, 400, 5_000, 10**9])
def test_messages_have_as_many_bytes_as_they_may(people, limit):
    with serve("--table", f"data.set.people={people[1]}", "--message-bytes", limit) as client:
        created = session(client)
        messages = list(client.read_rows(created.streams[0].name))
        assert sum(message.row_count for message in messages) == ROWS
        schema = pa.ipc.read_schema(pa.py_buffer(created.arrow_schema.serialized_schema))
        for message, after in zip(messages, messages[1:]):
            batch, next_batch = (
                pa.ipc.read_record_batch(pa.py_buffer(message.arrow_record_batch.serialized_record_batch), schema)
                for message in (message, after)
            )
            # Eight bytes of `i`, four for the lengths of the others each, and what these hold.
            sizes = [8 + 4 + len(row["s"]) + 4 + 8 * len(row["l"]) for row in batch.to_pylist() + next_batch.to_pylist()[:1]]
            assert len(batch) == 1 or sum(sizes[:-1]) <= limit
            assert sum(sizes) > limit


def test_a_session_ends_when_its_time_is_over(people):
    with serve("--table", f"data.set.people={people[1]}", "--session-seconds", 1) as client:
        created = session(client)
        left = created.expire_time - datetime.datetime.now(datetime.timezone.utc)
        assert 0.5 < left.total_seconds() < 1
        assert sum(counts(client, created.streams[0])) == ROWS
        time.sleep(1)
        expired = r"there was an error operating on 'projects/.*': session expired at 2.*\+00:00"
        with pytest.raises(exceptions.FailedPrecondition, match=expired):
            counts(client, created.streams[0])
        with pytest.raises(exceptions.FailedPrecondition, match="session expired"):
            client.split_read_stream(request={"name": created.streams[0].name})


@pytest.mark.parametrize("codec", [None, Codec.ZSTD])
def test_a_table_may_be_served_many_times_over(people, codec):
    options = ["--table", f"data.set.people={people[1]}", "--repeat", "data.set.people=50", "--message-rows", 300]
    with serve(*options) as client:
        created = session(client, 7, codec=codec, selected_fields=["i"])
        assert created.estimated_row_count == 50 * ROWS
        assert created.estimated_total_bytes_scanned >= 50 * ROWS * 8
        assert read(client, created)["i"].to_pylist() == [*range(ROWS)] * 50
        # Messages end where the table does, so that each is encoded once.
        assert set(counts(client, created.streams[3])[1:-1]) == {300, 100}
        first = 50 * ROWS * 3 // 7
        for offset in [1, 999, 3_333]:
            start = (first + offset) % ROWS
            assert column(client, created.streams[3], created, offset)[:1_500] == [row % ROWS for row in range(start, start + 1_500)]


def test_a_repeated_table_is_served_without_more_work(people):
    options = ["--table", f"data.set.people={people[1]}", "--repeat", "data.set.people=20000", "--max-streams", 1]
    with serve(*options) as client:
        start = time.monotonic()
        messages = sum(1 for _ in client.read_rows(session(client, selected_fields=["i"]).streams[0].name, 19_000 * ROWS))
        assert messages == 1_000 and time.monotonic() - start < 2


def test_a_snapshot_is_the_state_of_its_time(people, tmp_path):
    options = []
    for year, rows in [(2026, 30), (2024, 10), (2025, 20)]:
        pq.write_table(people[0].slice(0, rows), tmp_path / f"{year}.parquet")
        options += ["--table", f"data.set.people@{year}-01-01T00:00:00Z={tmp_path / str(year)}.parquet"]
    with serve(*options, "--table", f"data.set.always={people[1]}") as client:

        def at(*moment, table="people"):
            snapshot = datetime.datetime(*moment, tzinfo=datetime.timezone.utc) if moment else None
            return session(client, table=resource(table), snapshot=snapshot).estimated_row_count

        assert at() == 30
        assert [at(2024, 1, 1), at(2024, 12, 31, 23, 59, 59), at(2025, 1, 1), at(2026, 1, 1)] == [10, 10, 20, 30]
        assert at(1999, 1, 1, table="always") == ROWS
        with pytest.raises(exceptions.InvalidArgument, match="is before the table's creation"):
            at(2023, 12, 31)
        with pytest.raises(exceptions.InvalidArgument, match="is in the future"):
            at(2999, 1, 1)
        modifiers = types.ReadSession.TableModifiers()
        types.ReadSession.TableModifiers.pb(modifiers).snapshot_time.seconds = 2**63 - 1
        wanted = types.ReadSession(table=resource("people"), data_format=types.DataFormat.ARROW, table_modifiers=modifiers)
        with pytest.raises(exceptions.InvalidArgument):
            client.create_read_session(parent="projects/billing", read_session=wanted)


@pytest.mark.parametrize("restriction", ["", "i >= 100 AND i < 260"])
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.99])
def test_the_parts_of_a_split_stream_are_the_stream(people, restriction, fraction):
    with serve("--table", f"data.set.people={people[1]}", "--message-rows", 70) as client:
        created = session(client, 2, row_restriction=restriction)
        for stream in created.streams:
            whole = column(client, stream, created)
            parts = client.split_read_stream(request={"name": stream.name, "fraction": fraction})
            names = [parts.primary_stream.name, parts.remainder_stream.name]
            assert len({*names, *(stream.name for stream in created.streams)}) == 4
            primary, remainder = (column(client, part, created) for part in (parts.primary_stream, parts.remainder_stream))
            assert primary + remainder == whole == column(client, stream, created)
            if not restriction:
                assert len(primary) == int((fraction or 0.5) * 500)
            # A part may be split again.
            again = client.split_read_stream(request={"name": names[1], "fraction": 0.5})
            assert sum((column(client, part, created) for part in (again.primary_stream, again.remainder_stream)), []) == remainder


def test_what_cannot_be_split_is_not(people):
    with serve("--table", f"data.set.people={people[1]}") as client:
        name = session(client, 1_000).streams[0].name
        parts = client.split_read_stream(request={"name": name, "fraction": 0.5})
        assert parts == types.SplitReadStreamResponse()
        for fraction in [-0.1, 1.0, float("nan")]:
            with pytest.raises(exceptions.InvalidArgument):
                client.split_read_stream(request={"name": name, "fraction": fraction})
        with pytest.raises(exceptions.NotFound):
            client.split_read_stream(request={"name": name + "0"})


def test_responses_may_be_compressed_as_a_whole(people):
    with serve("--table", f"data.set.people={people[1]}") as client:
        created = session(client, response_compression_codec=Whole.RESPONSE_COMPRESSION_CODEC_LZ4)
        schema = pa.ipc.read_schema(pa.py_buffer(created.arrow_schema.serialized_schema))
        (message,) = client.read_rows(created.streams[0].name)
        size, data = message.uncompressed_byte_size, message.arrow_record_batch.serialized_record_batch
        assert size > len(data)
        batch = pa.decompress(data, decompressed_size=size, codec="lz4_raw")
        assert pa.ipc.read_record_batch(batch, schema)["i"].to_pylist() == list(range(ROWS))
        # What would not shrink is sent as it is.
        (message,) = client.read_rows(created.streams[0].name, ROWS - 1)
        assert message.uncompressed_byte_size in (-1, *range(1, 1_000))
        with pytest.raises(exceptions.InvalidArgument, match="at most one"):
            session(client, codec=Codec.ZSTD, response_compression_codec=Whole.RESPONSE_COMPRESSION_CODEC_LZ4)
