"""Streams that fail: whatever a server does, a run gives exactly the rows of the table, or one clear error and nothing that looks complete."""

import pyarrow as pa
import pytest

import served

ROWS = 2_000
STREAMS = 4

# What strikes a stream on its way and is gone when it is opened again.
PASSING = [
    "unavailable",
    "internal",
    "rst-stream",
    "aborted",
    "cancelled",
    "deadline-exceeded",
    "resource-exhausted",
    "resource-exhausted=300",
    "tcp-reset",
    "tcp-close",
    "stall",
    "stall-connect",
    "end",
    "schema-only",
    "empty",
    "throttle=80",
]

# What stays, with a word of what is said of it.
LASTING = {
    "permission-denied": "PERMISSION_DENIED",
    "not-found": "NOT_FOUND",
    "unauthenticated": "UNAUTHENTICATED",
    "session-expired": "the read session has expired",
    "unknown": "UNKNOWN",
    "truncated": "a message cannot be decoded",
    "garbage": "a message cannot be decoded",
    "rows-lie": "a message cannot be decoded",
    "negative-rows": "a message cannot be decoded",
    "bomb": "a message cannot be decoded",
    "schema-change": "the stream has another schema than its session",
    "schema-change-silent": "a message cannot be decoded",
}

# What is tried again until patience ends.
ENDLESS = {
    "unavailable": "UNAVAILABLE",
    "rst-stream": "times in a row",
    "tcp-reset": "times in a row",
    "resource-exhausted=60000": "the server asks to wait for",
    "stall": "the stream was silent",
    "end": "before its last row",
}


def table():
    rows = range(ROWS)
    return pa.table(
        {
            "id": pa.array(rows, pa.int64()),
            "x": pa.array([None if row % 7 == 0 else row / 3 for row in rows]),
            "s": pa.array([None if row % 5 == 0 else f"value {row}" for row in rows]),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("faults")


def run(mill, folder, *faults, expect=0, message_rows=100, options=(), **source):
    """Copies the served table, with faults; returns what the run wrote or said."""
    flags = [argument for fault in faults for argument in ("--fault", fault)]
    source = {"max_streams": STREAMS, "silence_seconds": 1, "patience_seconds": 20} | source
    with served.serve(folder, {"t": table()}, "--message-rows", message_rows, *flags, *options) as address:
        start = mill.start("run", served.source(address, "t", **source), [])
    assert start.status == expect, start.stderr
    if expect == 0:
        return start
    assert not start.out.exists()
    assert not list(start.out.parent.glob(".*")), "something was left behind"
    return start.stderr


def rows(start):
    [part] = (start.out / "all").glob("*.parquet")
    return sorted(pa.parquet.read_table(part).to_pylist(), key=lambda row: row["id"])


@pytest.mark.parametrize("row", [0, 150, 499, 500])
@pytest.mark.parametrize("kind", PASSING)
def test_what_passes_costs_no_row_and_doubles_none(mill, folder, kind, row):
    if kind in ("stall", "stall-connect") and row != 150:
        pytest.skip("each takes a second")
    assert rows(run(mill, folder, f"1:{row}:{kind}*2", f"3:{row}:{kind}")) == table().to_pylist()


@pytest.mark.parametrize("kind", LASTING)
def test_what_lasts_is_an_error_that_names_stream_and_row(mill, folder, kind):
    said = run(mill, folder, f"2:150:{kind}**", expect=1)
    assert LASTING[kind] in said
    assert "/sessions/" in said and "/streams/2" in said
    assert "row 150" in said


@pytest.mark.parametrize("kind", ENDLESS)
def test_what_does_not_pass_is_given_up_in_the_end(mill, folder, kind):
    said = run(mill, folder, f"2:150:{kind}**", expect=1, patience_seconds=2)
    assert ENDLESS[kind] in said
    assert "/streams/2" in said and "row 150" in said


@pytest.mark.parametrize("row", [0, 150, 499])
def test_a_stream_that_ends_early_and_says_that_it_is_complete_is_found_out(mill, folder, row):
    said = run(mill, folder, f"0:{row}:end-lying**", expect=1, patience_seconds=1)
    assert "before its last row" in said and "/streams/0" in said and f"row {row}" in said


def test_a_filtered_stream_that_ends_early_and_says_that_it_is_complete_is_found_out_too(mill, folder):
    filtered = {"filter": "id >= 0", "patience_seconds": 1}
    said = run(mill, folder, "0:300:end-lying**", expect=1, **filtered)
    assert "before its last row" in said and "row 300" in said
    assert rows(run(mill, folder, "0:300:end-lying", **filtered)) == table().to_pylist()


def test_rows_that_come_twice_are_found_out(mill, folder):
    said = run(mill, folder, "1:200:repeat", expect=1)
    assert "more rows than it has" in said and "/streams/1" in said


def test_rows_that_come_twice_are_found_out_though_others_are_missing(mill, folder):
    said = run(mill, folder, "0:200:repeat", "1:400:end-lying**", expect=1, patience_seconds=1)
    assert "more rows than it has" in said or "before its last row" in said


@pytest.mark.parametrize("message_rows", [20, 37, 50, 64, 90, 100, 200, 350])
def test_a_message_with_flipped_bits_is_refused_or_has_as_many_rows(mill, folder, message_rows):
    """Bits of values say nothing; what they are flipped in depends on the message."""
    with served.serve(folder, {"t": table()}, "--message-rows", message_rows, "--fault", "1:0:corrupt**") as address:
        start = mill.start("run", served.source(address, "t", max_streams=STREAMS), [])
    if start.status == 0:
        assert len(rows(start)) == len(table())
    else:
        assert start.status == 1 and "/streams/1" in start.stderr and not start.out.exists()


def test_a_message_whose_bits_are_flipped_in_its_frame_is_refused(mill, folder):
    said = run(mill, folder, "1:200:corrupt**", expect=1)
    assert "a message cannot be decoded" in said and "row 200" in said


@pytest.mark.parametrize("seed", range(20))
def test_random_schedules_of_what_passes_give_the_rows_of_the_table(mill, folder, seed):
    options = ("--fault-seed", seed, *(["--fault-stall-free"] if seed >= 3 else []))
    assert rows(run(mill, folder, options=options)) == table().to_pylist()


def test_long_rows_are_read_within_little_memory(mill, folder):
    # 400 MB, in rows of a megabyte; messages are joined by their bytes, and few are under way.
    long = pa.table({"id": pa.array(range(40), pa.int64()), "s": pa.array([f"{row:04}" * 250_000 for row in range(40)])})
    options = ["--message-rows", 3, "--repeat", "data.set.long=10"]
    with served.serve(folder, {"long": long}, *options) as address:
        source = served.source(address, "long", max_streams=STREAMS, read_ahead="16MiB")
        start, peak = mill.measured("run", source, [], output={"compression": "zstd"})
    assert start.status == 0, start.stderr
    ids = pa.parquet.read_table(start.out / "all", columns=["id"]).column("id").to_pylist()
    assert sorted(ids) == sorted([*range(40)] * 10)
    assert peak < 700 << 20


@pytest.mark.parametrize("rows_of_message", [1, 7, 5_000])
def test_messages_of_any_size_give_the_same_dataset(mill, folder, rows_of_message):
    expected = run(mill, folder)
    found = run(mill, folder, message_rows=rows_of_message)
    [expected], [found] = ([*(start.out / "all").iterdir()] for start in (expected, found))
    assert found.read_bytes() == expected.read_bytes()


def test_streams_without_rows_and_schema_are_no_trouble(mill, folder):
    options = ("--max-streams", STREAMS, "--empty-streams", 3)
    assert rows(run(mill, folder, options=options, max_streams=8)) == table().to_pylist()


@pytest.mark.parametrize("kind", ["unavailable", "internal", "resource-exhausted", "stall"])
def test_a_session_is_asked_for_again(mill, folder, kind):
    assert rows(run(mill, folder, options=("--session-fault", f"{kind}*2"))) == table().to_pylist()


def test_a_session_that_has_expired_is_told(mill, folder):
    said = run(mill, folder, "1:100:stall", expect=1, options=("--session-seconds", 1))
    assert "the read session has expired" in said
