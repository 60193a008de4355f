"""A table with a column of each type that BigQuery has, as its Storage Read API gives them in Arrow."""

import datetime
import decimal

import numpy as np
import pyarrow as pa

import tables


def marked(name, type, extension):
    """A field of a type that Arrow has no own type for."""
    metadata = {"google:sqlType": "range"} if extension == "range" else {"ARROW:extension:name": f"google:sqlType:{extension}"}
    return pa.field(name, type, metadata=metadata)


def all_types(count):
    """Rows of all types that Parquet can hold, with nulls in most columns."""
    rng = np.random.default_rng(17)
    rows = range(count)
    entry = pa.struct([("a", pa.int64()), ("b", pa.string()), ("c", pa.list_(pa.float64()))])
    floats = rng.choice([0.0, -0.0, 1.5, 0.1, 1e10, -1e-5, 1e300, 5e-324, 123456789.125, np.inf, -np.inf, np.nan], count)
    stamps = rng.choice([-62_135_596_800_000_000, -1, 0, 1, 1_447_216_127_000_000, 253_402_300_799_999_999], count)
    day, far = datetime.date(2024, 2, 29), datetime.date(9999, 12, 31)
    ranges = [None, {"start": day, "end": far}, {"start": None, "end": day}, {"start": None, "end": None}]
    stamp = datetime.datetime(2024, 2, 29, 1, 2, 3, 456789, datetime.UTC)
    days, moments = (pa.struct([("start", end), ("end", end)]) for end in (pa.date32(), pa.timestamp("us", "UTC")))

    def some(values, type):
        return pa.array([None if row % 7 == 3 else values[row % len(values)] for row in rows], type)

    columns = [
        (pa.field("id", pa.int64(), nullable=False), pa.array(rows, pa.int64())),
        (pa.field("i", pa.int64()), tables.nullable(rng, rng.choice([-(2**63), 2**63 - 1, 2**53 + 1, 0], count))),
        (pa.field("f", pa.float64()), tables.nullable(rng, floats)),
        (pa.field("flag", pa.bool_()), tables.nullable(rng, rng.random(count) < 0.5)),
        (pa.field("s", pa.string()), some(["", "żółw 🐢", "a\"b\\c\n\u0000\u2028", "NaN"], pa.string())),
        (pa.field("raw", pa.binary()), some([b"", b"\xff\x00", b"abc", bytes(range(256))], pa.binary())),
        (pa.field("day", pa.date32()), some([datetime.date(1, 1, 1), day, far], pa.date32())),
        (pa.field("time", pa.time64("us")), some([0, 1, 3_723_000_000, 86_399_999_999], pa.time64("us"))),
        (pa.field("stamp", pa.timestamp("us", "UTC")), tables.nullable(rng, stamps, type=pa.timestamp("us", "UTC"))),
        (pa.field("local", pa.timestamp("us")), tables.nullable(rng, stamps, type=pa.timestamp("us"))),
        (
            pa.field("price", pa.decimal128(38, 9)),
            some([decimal.Decimal(text) for text in ("0", "-0.5", "1E-9", "-99999999999999999999999999999.999999999")], pa.decimal128(38, 9)),
        ),
        (
            pa.field("big", pa.decimal256(76, 38)),
            some([decimal.Decimal(text) for text in ("0", "-1.5", "1E-38", "1E37")], pa.decimal256(76, 38)),
        ),
        (marked("json", pa.string(), "json"), some(['{"a":[1,null,"x"]}', "null", "1.5", '""'], pa.string())),
        (marked("place", pa.string(), "geography"), some(["POINT(1 2)", "LINESTRING(0 0, 1 1)"], pa.string())),
        (marked("days", days, "range"), some(ranges, days)),
        (marked("moments", moments, "range"), some([{"start": stamp, "end": None}], moments)),
        (pa.field("list", pa.list_(pa.int64())), pa.array([[row] * (row % 3) for row in rows])),
        (pa.field("words", pa.list_(pa.string())), some([[], ["a", ""], None], pa.list_(pa.string()))),
        (marked("documents", pa.list_(pa.string()), "json"), some([[], ['{"a":1}', "2"]], pa.list_(pa.string()))),
        (pa.field("record", entry), some([None, {"a": 1, "b": None, "c": [0.5]}, {"a": None, "b": "x", "c": []}], entry)),
        (pa.field("nested", pa.list_(entry)), some([[], [{"a": 1, "b": "y", "c": [1e300, 2.0]}] * 2], pa.list_(entry))),
    ]
    return pa.table([column for _, column in columns], pa.schema([field for field, _ in columns]))


def without_null_arrays(table):
    """The same rows where arrays are empty instead of null, as BigQuery stores them."""
    for index, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            values = [[] if value is None else value for value in table.column(index).to_pylist()]
            table = table.set_column(index, field, pa.array(values, field.type))
    return table


def with_intervals(table):
    """The same rows with intervals, which Parquet can't hold."""
    values = [(0, 0, 0), (14, 3, 14_706_789_000_000), (-14, -3, -1_000), (1, -2, 3_000), (120_000, 3_660_000, 0), None]
    type = pa.month_day_nano_interval()
    intervals = pa.array([values[row % len(values)] for row in range(len(table))], type)
    lists = pa.array([[value for value in values[: row % 4] if value] for row in range(len(table))], pa.list_(type))
    table = table.append_column(marked("span", type, "interval"), intervals)
    return table.append_column(marked("spans", pa.list_(type), "interval"), lists)
