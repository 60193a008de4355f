"""The faults of the tests' BigQuery, as Google's client sees them."""

import re
import time

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core import exceptions
from google.cloud.bigquery_storage_v1.services.big_query_read import BigQueryReadClient
from storage import read, serve, session

ROWS = 1_000
pytestmark = pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("faults") / "people.parquet"
    columns = {"i": np.arange(ROWS), "s": [str(row) * 5 for row in range(ROWS)], "f": np.arange(ROWS) / 7}
    pq.write_table(pa.table(columns), path)
    return pq.read_table(path), path


@pytest.fixture
def serving(table):
    """Serves the table with faults, in messages of 100 rows."""

    def start(*faults, options=()):
        faults = [word for fault in faults for word in ("--fault", fault)]
        return serve("--table", f"data.set.people={table[1]}", "--message-rows", 100, *faults, *options)

    return start


def call(client, name, offset=0, timeout=10):
    """The messages of one call of ReadRows, without Google's retries, and the error that it ended with, if any."""
    raw = BigQueryReadClient(transport=client.transport)
    messages = []
    try:
        for message in raw.read_rows(read_stream=name, offset=offset, retry=None, timeout=timeout):
            messages.append(message)
    except Exception as error:
        return messages, error
    return messages, None


def rows(messages):
    return sum(message.row_count for message in messages)


STATUSES = [
    ("unavailable", exceptions.ServiceUnavailable, ""),
    ("internal", exceptions.InternalServerError, "RST_STREAM with error code 2"),
    ("aborted", exceptions.Aborted, ""),
    ("cancelled", exceptions.Cancelled, ""),
    ("deadline-exceeded", exceptions.DeadlineExceeded, ""),
    ("unknown", exceptions.Unknown, ""),
    ("resource-exhausted", exceptions.ResourceExhausted, "Quota"),
    ("permission-denied", exceptions.PermissionDenied, "bigquery.readsessions.getData"),
    ("not-found", exceptions.NotFound, ""),
    ("unauthenticated", exceptions.Unauthenticated, ""),
    ("session-expired", exceptions.FailedPrecondition, "there was an error operating on 'projects/.*': session expired at 2"),
]
BREAKS = [
    ("rst-stream", exceptions.InternalServerError, "RST_STREAM"),
    ("tcp-reset", exceptions.ServiceUnavailable, "reset|Broken pipe"),
    ("tcp-close", exceptions.ServiceUnavailable, "closed"),
]


@pytest.mark.parametrize("row", [0, 250, ROWS, 10 * ROWS])
@pytest.mark.parametrize(("kind", "error", "message"), STATUSES)
def test_a_call_fails_at_its_row_and_the_next_does_not(serving, kind, error, message, row):
    with serving(f"0:{row}:{kind}") as client:
        name = session(client).streams[0].name
        messages, found = call(client, name)
        sent = min(row, ROWS)
        assert rows(messages) == sent
        assert isinstance(found, error) and re.search(message, str(found)), found
        rest, found = call(client, name, sent)
        assert rows(rest) == ROWS - sent and found is None


@pytest.mark.parametrize("row", [0, 250, ROWS, 10 * ROWS])
@pytest.mark.parametrize(("kind", "error", "message"), BREAKS)
def test_a_connection_breaks_at_its_row_and_another_does_not(serving, kind, error, message, row):
    with serving(f"0:{row}:{kind}") as client:
        name = session(client).streams[0].name
        messages, found = call(client, name)
        # Google's client may throw away messages that it has received and not yet handed out.
        assert rows(messages) in [sent for sent in (0, 100, 200, 250, *range(300, ROWS + 1, 100)) if sent <= row]
        assert isinstance(found, error) and re.search(message, str(found)), found
        sent = rows(messages)
        for _ in range(5):
            # It may not have noticed yet that the connection is gone.
            rest, found = call(client, name, sent)
            if not isinstance(found, exceptions.ServiceUnavailable):
                break
        assert rows(rest) == ROWS - sent and found is None


def test_faults_strike_each_stream_as_often_as_they_say(serving):
    with serving("1:100:unavailable*3", "*:200:internal**") as client:
        streams = [stream.name for stream in session(client, 2).streams]
        # A call that begins at the row meets the fault again.
        for offset, sent in [(0, 100), (100, 0), (50, 50)]:
            messages, error = call(client, streams[1], offset)
            assert rows(messages) == sent and isinstance(error, exceptions.ServiceUnavailable)
        for stream, offset in [(1, 100), (0, 0), (1, 200), (0, 200), (0, 150)]:
            messages, error = call(client, streams[stream], offset)
            assert rows(messages) == 200 - offset and isinstance(error, exceptions.InternalServerError)
        assert rows(call(client, streams[0], 201)[0]) == 299


def test_an_exhausted_resource_says_when_to_try_again(serving, table):
    with serving("0:300:resource-exhausted=70", "0:300:resource-exhausted=30") as client:
        waits = []
        created = session(client)
        stream = client.read_rows(created.streams[0].name, retry_delay_callback=waits.append)
        assert stream.rows(created).to_arrow().equals(table[0]) and waits == [0.07, 0.03]


@pytest.mark.parametrize("kind", ["stall", "stall-connect"])
def test_a_stalled_call_sends_nothing_more(serving, kind):
    with serving(f"*:0:{kind}") as client:
        messages, error = call(client, session(client).streams[0].name, timeout=0.3)
        # The server's library ends the call at the deadline as well, and may be first.
        assert messages == [] and isinstance(error, (exceptions.DeadlineExceeded, exceptions.Cancelled))


def test_a_stall_in_the_middle_comes_after_the_rows_before(serving):
    with serving("*:250:stall", "*:250:stall-connect") as client:
        name = session(client).streams[0].name
        assert rows(call(client, name, timeout=0.5)[0]) == 250
        assert call(client, name, 250, timeout=0.3)[0] == []
        assert rows(call(client, name, 250)[0]) == 750


def test_a_slow_stream_takes_its_time(serving):
    with serving("0:900:slow=10000") as client:
        start = time.monotonic()
        messages, error = call(client, session(client).streams[0].name)
        assert rows(messages) == ROWS and error is None and time.monotonic() - start > 0.2


def test_an_early_end_shows_in_progress_unless_it_lies(serving):
    with serving("0:250:end", "0:450:end-lying*2") as client:
        name = session(client).streams[0].name
        messages, error = call(client, name)
        assert error is None and rows(messages) == 250 and messages[-1].stats.progress.at_response_end == 0.25
        messages, error = call(client, name, 250)
        assert error is None and rows(messages) == 200 and messages[-1].stats.progress.at_response_end == 1
        assert messages[-2].stats.progress.at_response_end == 0.4
        assert call(client, name, 450) == ([], None)
        assert rows(call(client, name, 450)[0]) == 550


def test_messages_without_rows_and_throttling_lose_nothing(serving, table):
    faults = ["0:0:empty", "0:0:schema-only", "0:150:empty", "0:200:schema-only", "0:300:throttle=40", f"0:{ROWS}:empty"]
    with serving(*faults) as client:
        created = session(client)
        messages, error = call(client, created.streams[0].name)
        assert error is None and rows(messages) == ROWS
        assert [message.row_count for message in messages if message.row_count != 100] == [0, 0, 50, 0, 50, 0, 0]
        assert [bool(message.arrow_schema.serialized_schema) for message in messages[:3]] == [False, True, False]
        throttled = [message.throttle_state.throttle_percent for message in messages]
        assert throttled == [0] * 8 + [40] * 7 + [0]


def batches(created, messages):
    schema = pa.ipc.read_schema(pa.py_buffer(created.arrow_schema.serialized_schema))
    return [pa.ipc.read_record_batch(pa.py_buffer(m.arrow_record_batch.serialized_record_batch), schema) for m in messages]


@pytest.mark.parametrize("kind", ["truncated", "garbage"])
def test_a_broken_message_cannot_be_read(serving, kind):
    with serving(f"0:500:{kind}") as client:
        created = session(client)
        messages, error = call(client, created.streams[0].name)
        assert error is None and rows(messages) == ROWS
        assert sum(map(len, batches(created, messages[:5] + messages[6:]))) == ROWS - 100
        with pytest.raises((pa.ArrowInvalid, OSError)):
            batches(created, messages[5:6])


def test_a_corrupt_message_differs_in_some_bits_that_the_seed_chooses(serving):
    found = []
    for seed in [1, 1, 2]:
        with serving("0:500:corrupt", options=["--fault-seed", seed]) as client:
            name = session(client).streams[0].name
            broken, whole = call(client, name, 500)[0][0], call(client, name, 500)[0][0]
            pair = [np.frombuffer(m.arrow_record_batch.serialized_record_batch, np.uint8) for m in (broken, whole)]
            assert 1 <= np.unpackbits(pair[0] ^ pair[1]).sum() <= 8
            found.append(pair[0].tobytes())
    assert found[0] == found[1] != found[2]


def test_a_bomb_claims_a_length_that_nobody_has(serving):
    with serving("0:500:bomb") as client:
        messages, _ = call(client, session(client).streams[0].name)
        assert (1 << 40).to_bytes(8, "little") in messages[5].arrow_record_batch.serialized_record_batch


def test_counts_of_rows_lie(serving):
    with serving("0:200:rows-lie", "0:300:negative-rows", "0:400:repeat") as client:
        created = session(client)
        messages, error = call(client, created.streams[0].name)
        assert error is None
        assert [message.row_count for message in messages] == [100, 100, 101, -100] + [100] * 7
        found = batches(created, messages)
        assert {len(batch) for batch in found} == {100} and found[3].equals(found[4])
        assert [m.stats.progress.at_response_start for m in messages[3:6]] == [0.3, 0.3, 0.4]


@pytest.mark.parametrize("silent", [False, True])
def test_a_schema_changes_on_the_way(serving, silent):
    with serving("0:500:schema-change" + "-silent" * silent) as client:
        created = session(client)
        message = call(client, created.streams[0].name)[0][5]
        assert bool(message.arrow_schema.serialized_schema) != silent
        schema = pa.schema([("i", pa.string()), ("s", pa.string()), ("f", pa.float64())])
        if not silent:
            assert pa.ipc.read_schema(pa.py_buffer(message.arrow_schema.serialized_schema)).equals(schema)
        batch = pa.ipc.read_record_batch(pa.py_buffer(message.arrow_record_batch.serialized_record_batch), schema)
        assert batch["i"][3].as_py() == "3" and batch["f"][0].as_py() == 500 / 7


def resumed(client, stream):
    """Reads a stream to its last row, whatever happens; and says what did."""
    offset, events = 0, []
    while offset < ROWS // 10 or not events or events[-1] != "end":
        messages, error = call(client, stream.name, offset, timeout=2)
        offset += rows(messages)
        # How often a broken connection is met is up to the client.
        if not isinstance(error, exceptions.ServiceUnavailable):
            events.append(type(error).__name__ if error else "end")
    assert offset == ROWS // 10
    return events


def test_a_seed_makes_faults_that_can_be_recovered_from(serving):
    runs = []
    for seed in [5, 5, 6]:
        with serving(options=["--fault-seed", seed, "--fault-stall-free"]) as client:
            runs.append([resumed(client, stream) for stream in session(client, 10).streams])
    assert runs[0] == runs[1] != runs[2]
    assert any(len(events) == 1 for events in runs[0]) and any(len(events) > 2 for events in runs[0])


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("unavailable*2", exceptions.ServiceUnavailable),
        ("internal*2", exceptions.InternalServerError),
        ("resource-exhausted=5*2", exceptions.ResourceExhausted),
        ("permission-denied*2", exceptions.PermissionDenied),
        ("unauthenticated*2", exceptions.Unauthenticated),
    ],
)
def test_creating_a_session_fails_as_often_as_it_should(serving, table, kind, error):
    with serving(options=["--session-fault", kind]) as client:
        for _ in range(2):
            with pytest.raises(error):
                session(client)
        assert read(client, session(client)).equals(table[0])


def test_creating_a_session_stalls(serving):
    with serving(options=["--session-fault", "stall"]) as client:
        with pytest.raises(grpc.RpcError):
            method = "/google.cloud.bigquery.storage.v1.BigQueryRead/CreateReadSession"
            client.transport.grpc_channel.unary_unary(method)(b"", timeout=0.2)
        assert session(client).streams


@pytest.mark.parametrize("fault", ["0:1", "0:1:nothing", "x:1:stall", "0:x:stall", "0:1:stall*x", "0:1:slow", "0:1:throttle=101"])
def test_a_fault_that_there_is_not_is_refused_at_the_start(serving, fault):
    with pytest.raises(AssertionError), serving(fault):
        pass
