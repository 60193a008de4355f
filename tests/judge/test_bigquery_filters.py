"""Row restrictions of the tests' BigQuery, judged by pyarrow's expressions."""

import datetime
import decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from google.api_core import exceptions
from storage import read, resource, serve, session

import tables

ROWS = 3_000
F = pc.field
pytestmark = pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning")


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(5)
    words = ["it's", 'say "hi"', "back\\slash", "", "ü", "a", "b"]
    columns = {
        "i": tables.nullable(rng, rng.integers(-50, 50, ROWS)),
        "f": tables.nullable(rng, tables.with_nan(rng, rng.integers(-4, 4, ROWS) / 2 * rng.choice([-1.0, 1.0], ROWS))),
        "s": tables.nullable(rng, rng.choice(words, ROWS)),
        "flag": tables.nullable(rng, rng.random(ROWS) < 0.5),
        "day": pa.array([datetime.date(2024, 1, 1) + datetime.timedelta(row % 400) for row in range(ROWS)]),
        "stamp": pa.array([row * 10**9 for row in range(ROWS)], pa.timestamp("us", "UTC")),
        "price": pa.array([decimal.Decimal(row) / 8 for row in range(ROWS)], pa.decimal128(38, 9)),
        "or": np.arange(ROWS),
    }
    return pa.table(columns)


@pytest.fixture(scope="module")
def client(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("filters") / "people.parquet"
    pq.write_table(table, path, row_group_size=700)
    names = [word for name in ["people", "twice"] for word in ("--table", f"data.set.{name}={path}")]
    with serve(*names, "--repeat", "data.set.twice=2", "--message-rows", 100) as client:
        yield client


@pytest.mark.parametrize(
    ("restriction", "expression"),
    [
        ("i = 7", F("i") == 7),
        ("I != -7", F("i") != -7),
        ("i <> 7 AND i > -10", (F("i") != 7) & (F("i") > -10)),
        ("i<10 and i>=0", (F("i") < 10) & (F("i") >= 0)),
        ("i <= 1.5", F("i") <= 1.5),
        ("i > 10 OR f < 0 AND flag", (F("i") > 10) | ((F("f") < 0) & F("flag"))),
        ("(i > 10 OR f < 0) AND flag = TRUE", ((F("i") > 10) | (F("f") < 0)) & F("flag")),
        ("NOT (i > 10 OR s = 'a')", ~((F("i") > 10) | (F("s") == "a"))),
        ("NOT NOT i > 10", F("i") > 10),
        ("f = 0", F("f") == 0.0),
        ("f != 1", F("f") != 1.0),
        ("f > 0.5", F("f") > 0.5),
        ("NOT f <= 1e0", ~(F("f") <= 1.0)),
        ("i IS NULL", F("i").is_null()),
        ("i IS NOT NULL and NOT flag is null", F("i").is_valid() & F("flag").is_valid()),
        ("i IN (1, 2, -3)", F("i").isin([1, 2, -3])),
        ("i NOT IN (1, 2)", F("i").is_valid() & ~F("i").isin([1, 2])),
        ("s IN ('a', \"b\", '')", F("s").isin(["a", "b", ""])),
        (r"s = 'it\'s'", F("s") == "it's"),
        ("s = \"it's\"", F("s") == "it's"),
        (r"s = 'back\\slash'", F("s") == "back\\slash"),
        (r"s = '\u00fc' OR s = 'say " + '"hi"' + "'", F("s").isin(["ü", 'say "hi"'])),
        ("s >= 'b'", F("s") >= "b"),
        ("flag", F("flag")),
        ("NOT flag", ~F("flag")),
        ("flag = false", ~F("flag")),
        ("day < '2024-03-01'", F("day") < datetime.date(2024, 3, 1)),
        ("day = DATE '2024-03-01'", F("day") == datetime.date(2024, 3, 1)),
        ("stamp >= TIMESTAMP '1970-01-01T00:10:00Z'", F("stamp") >= datetime.datetime(1970, 1, 1, 0, 10, tzinfo=datetime.timezone.utc)),
        ("price > 12.5", F("price") > decimal.Decimal("12.5")),
        ("`or` = 3\n OR\t`or` = 5", F("or").isin([3, 5])),
        ("i > 1000", F("i") > 1000),
    ],
)
def test_rows_are_those_that_fit(client, table, restriction, expression):
    expected = table.filter(expression)
    created = session(client, 4, row_restriction=restriction)
    assert created.estimated_row_count == ROWS
    assert len(created.streams) == (4 if expected.num_rows else 0)
    if expected.num_rows:
        found = read(client, created)
        # NaNs are not equal to themselves.
        assert found.drop(["f"]).equals(expected.drop(["f"]).cast(found.drop(["f"]).schema))
        assert str(found["f"].to_pylist()) == str(expected["f"].to_pylist())


def test_streams_keep_their_parts_of_the_table_and_progress_counts_its_rows(client):
    created = session(client, 3, row_restriction="`or` >= 990 AND `or` < 1290")
    streams = [list(client.read_rows(stream.name)) for stream in created.streams]
    assert [sum(message.row_count for message in stream) for stream in streams] == [10, 290, 0]
    assert [message.stats.progress.at_response_start for message in streams[0]] == [0]
    assert [message.stats.progress.at_response_end for message in streams[0]] == [1]
    # Messages have at most 100 of the rows that fit, counted over the table.
    assert [round(message.stats.progress.at_response_end, 3) for message in streams[1]] == [0.09, 0.19, 1]
    # A stream without rows has no schema either, only an end.
    assert streams[2] == []
    assert client.read_rows(created.streams[1].name, 280).rows(created).to_arrow()["or"].to_pylist() == list(range(1280, 1290))


def test_a_table_that_is_served_twice_is_filtered_twice(client):
    created = session(client, 2, resource("twice"), row_restriction="`or` < 150", selected_fields=["or"])
    assert created.estimated_row_count == 2 * ROWS
    assert read(client, created)["or"].to_pylist() == [*range(150)] * 2
    for offset in [0, 1, 149]:
        rows = client.read_rows(created.streams[1].name, offset).rows(created).to_arrow()
        assert rows["or"].to_pylist() == [*range(offset, 150)]


@pytest.mark.parametrize(
    ("restriction", "message"),
    [
        ("nobody = 1", r"Unrecognized name: nobody at \[1:1\]"),
        ("i =", r"Syntax error: Unexpected end of expression at \[1:4\]"),
        ("i = 1 AND\n and", r"Syntax error: Unexpected keyword AND at \[2:2\]"),
        ("i = 1 2", "Unexpected number"),
        ("(i = 1", "Unexpected end"),
        ("i IN ()", "Unexpected"),
        ("i LIKE 'x'", "WHERE clause should return type BOOL|Unexpected identifier"),
        ("i", "should return type BOOL"),
        ("i = 'x'", "No matching signature"),
        ("s = 1", "No matching signature"),
        ("i = 99999999999999999999", "Could not cast literal"),
        ("day = 'x'", "Could not cast literal"),
        ("s = 'x", "Unclosed string literal"),
        ("s = '\\", "Unclosed string literal|Illegal escape"),
        ("s = '\\q'", "Illegal escape"),
        ("i = 1; DROP TABLE x", "Illegal input character"),
        ("   ", "Unexpected end"),
        ("(" * 100_000, "Resources exceeded"),
        ("NOT " * 100_000, "Unexpected end"),
    ],
)
def test_other_conditions_are_refused(client, restriction, message):
    with pytest.raises(exceptions.InvalidArgument, match=f"request failed: Query error: .*({message})"):
        session(client, row_restriction=restriction)


def test_a_condition_has_at_most_a_mebibyte(client):
    condition = "i = 1" + " " * ((1 << 20) - 5)
    assert session(client, row_restriction=condition).streams
    with pytest.raises(exceptions.InvalidArgument, match="exceeded maximum allowed length. Maximum bytes allowed: 1048576"):
        session(client, row_restriction=condition + " ")
