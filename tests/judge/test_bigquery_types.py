"""Every type that BigQuery has for a column, in Arrow with the metadata that the Storage Read API gives."""

import datetime
import decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from storage import read, resource, serve, session

NAME, DATA = b"ARROW:extension:name", b"ARROW:extension:metadata"
DATETIME, INTERVAL = {NAME: b"google:sqlType:datetime"}, {NAME: b"google:sqlType:interval"}
JSON = {NAME: b"google:sqlType:json"}
GEOGRAPHY = {NAME: b"google:sqlType:geography", DATA: b'{"encoding": "WKT"}'}
RANGE = {b"google:sqlType": b"range"}
pytestmark = pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning")


def field(name, data_type, metadata=None, nullable=True):
    return pa.field(name, data_type, nullable, metadata)


def array_of(name, data_type, metadata=None):
    """REPEATED, as the API has it: never null, with the metadata of its items."""
    return field(name, pa.list_(pa.field("item", data_type)), metadata, nullable=False)


DAYS = pa.struct([("start", pa.date32()), ("end", pa.date32())])
FIELDS = [
    field("local", pa.timestamp("us"), DATETIME),
    field("stamp", pa.timestamp("us", "UTC")),
    field("json", pa.string(), JSON),
    field("place", pa.string(), GEOGRAPHY),
    field("days", DAYS, RANGE),
    field("numeric", pa.decimal128(38, 9)),
    field("bignumeric", pa.decimal256(76, 38)),
    field("required", pa.int64(), nullable=False),
    array_of("locals", pa.timestamp("us"), DATETIME),
    array_of("jsons", pa.string(), JSON),
    array_of("ranges", DAYS, RANGE),
    field("inner", pa.struct([field("local", pa.timestamp("us"), DATETIME), array_of("days", pa.date32())])),
    field("span", pa.month_day_nano_interval(), INTERVAL),
]
DAY, TIME = datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 12, 34, 56, 789_012)
ROWS = {
    "local": [TIME, None],
    "stamp": [TIME.replace(tzinfo=datetime.timezone.utc), None],
    "json": ['{"a": 1}', None],
    "place": ["POINT(1 2)", None],
    "days": [{"start": DAY, "end": None}, None],
    "numeric": [decimal.Decimal("1.123456789"), None],
    "bignumeric": [decimal.Decimal(10) ** 37, None],
    "required": [1, 2],
    "locals": [[TIME], []],
    "jsons": [["1", "null"], []],
    "ranges": [[{"start": DAY, "end": DAY}], []],
    "inner": [{"local": TIME, "days": [DAY]}, None],
    "span": [pa.MonthDayNano([14, -3, 5_000]), None],
}


def rows(fields):
    return pa.table([pa.array(ROWS[field.name], field.type) for field in fields], schema=pa.schema(fields))


def served(path, **options):
    with serve("--table", f"data.set.people={path}") as client:
        return read(client, session(client, table=resource("people"), **options))


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_types_and_their_metadata_are_those_of_the_api(tmp_path, form):
    # Parquet has no INTERVAL that Arrow would read.
    fields = FIELDS if form == "arrow" else FIELDS[:-1]
    expected, path = rows(fields), tmp_path / f"table.{form}"
    if form == "arrow":
        with pa.ipc.new_file(path, expected.schema) as file:
            file.write_table(expected)
    else:
        pq.write_table(expected, path)
    found = served(path)
    assert found.schema.equals(expected.schema, check_metadata=True), found.schema
    assert found.equals(expected)


def test_what_bigquery_does_not_store_becomes_what_it_does(tmp_path):
    inner = pa.struct([("list", pa.list_(pa.int8()))])
    given = pa.table(
        {
            "local": pa.array([TIME], pa.timestamp("ms")),
            "small": pa.array([1], pa.int8()),
            "list": pa.array([None], pa.list_(pa.field("element", pa.large_string(), metadata=JSON))),
            "inner": pa.array([{"list": None}], inner),
        }
    )
    with pa.ipc.new_file(tmp_path / "table.arrow", given.schema) as file:
        file.write_table(given)
    found = served(tmp_path / "table.arrow")
    fields = [
        field("local", pa.timestamp("us"), DATETIME),
        field("small", pa.int64()),
        array_of("list", pa.string(), JSON),
        field("inner", pa.struct([array_of("list", pa.int64())])),
    ]
    assert found.schema.equals(pa.schema(fields), check_metadata=True), found.schema
    assert found.select(["list", "inner"]).to_pylist() == [{"list": [], "inner": {"list": []}}]


def test_fields_of_structs_are_selected_in_the_order_of_the_table(tmp_path):
    deep = pa.struct([("x", pa.int64()), ("y", pa.struct([("p", pa.string()), ("q", pa.int64())])), ("z", pa.date32())])
    value = {"x": 1, "y": {"p": "a", "q": 2}, "z": DAY}
    table = pa.table(
        {
            "one": pa.array([value, None, {**value, "y": None}], deep),
            "many": pa.array([[value, None], [], [value]], pa.list_(deep)),
            "last": [1, 2, 3],
        }
    )
    pq.write_table(table, tmp_path / "table.parquet")
    found = served(tmp_path / "table.parquet", selected_fields=["last", "many.y.q", "one.y.q", "one.x", "one.y.q"])
    assert found.to_pylist() == [
        {"one": {"x": 1, "y": {"q": 2}}, "many": [{"y": {"q": 2}}, None], "last": 1},
        {"one": None, "many": [], "last": 2},
        {"one": {"x": 1, "y": None}, "many": [{"y": {"q": 2}}], "last": 3},
    ]
    whole = served(tmp_path / "table.parquet", selected_fields=["one.y", "one.y.q", "one"])
    assert whole.to_pylist() == table.select(["one"]).to_pylist()
    for unknown in ["one.none", "one.x.none", "many.y.none", "last.x", "one.", ".one", "none"]:
        with pytest.raises(Exception, match=f"do not exist in the table schema: {unknown}$"):
            served(tmp_path / "table.parquet", selected_fields=["last", "one", unknown])
