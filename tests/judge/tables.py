"""Random tables; the same ones in every run."""

import datetime

import numpy as np
import pyarrow as pa


def nullable(rng, values, share=0.1, type=None):
    """An array with nulls here and there."""
    values = np.asarray(values)
    return pa.array(values, mask=rng.random(len(values)) < share, type=type)


def words(rng, rows, count, prefix="w"):
    """Strings of which some are frequent and some occur once."""
    ranks = np.minimum(rng.zipf(1.5, rows), count)
    return np.array([f"{prefix}{rank:05}" for rank in ranks], dtype=object)


def with_nan(rng, values, share=0.1):
    values = np.array(values, dtype=np.float64)
    values[rng.random(len(values)) < share] = np.nan
    return values


def numbers(rng, rows):
    """Columns of numbers of which each is hard for another reason, by name."""
    normal = rng.normal(3, 2, rows)
    signs = rng.choice([-1.0, 1.0], rows)
    return {
        "normal": pa.array(normal),
        "lognormal": pa.array(rng.lognormal(0, 2, rows)),
        "huge_mean": pa.array(1e15 + rng.normal(0, 1, rows)),
        "mean_of_nothing": pa.array(np.concatenate([normal, -normal])[rng.permutation(2 * rows)[:rows]]),
        "subnormal": pa.array(rng.integers(1, 1000, rows) * 5e-324),
        "both_signs_subnormal": pa.array(rng.integers(-2, 3, rows) * 5e-324),
        "huge_and_small": pa.array(np.where(rng.random(rows) < 0.01, 1.7e308 * rng.random(rows), normal)),
        "huge_both_signs": pa.array(np.where(rng.random(rows) < 0.5, 8e307 * signs * rng.random(rows), normal)),
        "all_exponents": pa.array(signs * np.ldexp(rng.random(rows), rng.integers(-1073, 1023, rows))),
        "large_integers": pa.array(rng.integers(-(2**62), 2**62, rows)),
        "neighbours_past_2_53": pa.array(2**53 + rng.integers(0, 16, rows)),
        "extreme_integers": pa.array(rng.choice([-(2**63), 2**63 - 1, 1], rows)),
        "int8": pa.array(rng.integers(-128, 128, rows).astype(np.int8)),
        "int16": nullable(rng, rng.integers(-1000, 1000, rows).astype(np.int16)),
        "uint32": pa.array(rng.integers(0, 2**32, rows).astype(np.uint32)),
        "uint64": nullable(rng, rng.integers(0, 2**64, rows, dtype=np.uint64)),
        "float32": nullable(rng, rng.normal(1, 1, rows).astype(np.float32)),
        "constant": pa.array(np.full(rows, 0.1)),
        "constant_integer": pa.array(np.full(rows, 2**60 + 1)),
        "duplicates": pa.array(np.round(rng.normal(0, 1, rows), 1)),
        "zeros": pa.array(rng.choice([0.0, -0.0], rows)),
        "zeros_and_ones": nullable(rng, rng.choice([0.0, -0.0, -1.0, 1.0], rows)),
        "nulls": nullable(rng, rng.normal(0, 1, rows), 0.5),
        "nans": pa.array(with_nan(rng, rng.normal(0, 1, rows), 0.3)),
        "nulls_and_nans": nullable(rng, with_nan(rng, rng.integers(0, 9, rows)), 0.3),
    }


def categories(rng, rows):
    """Columns of categories of every type that can be counted, by name."""
    days = rng.integers(-400, 400, rows)
    timestamps = 1_700_000_000_000_000 + rng.integers(0, 30, rows)
    return {
        "text": nullable(rng, words(rng, rows, 300), type=pa.string()),
        "large_text": nullable(rng, words(rng, rows, 30, "żółw "), type=pa.large_string()),
        "dictionary": nullable(rng, words(rng, rows, 50), type=pa.string()).dictionary_encode(),
        "binary": nullable(rng, [word.encode() + b"\xff\x00" for word in words(rng, rows, 20)], type=pa.binary()),
        "boolean": nullable(rng, rng.random(rows) < 0.3),
        "date": nullable(rng, [datetime.date(1970, 1, 1) + datetime.timedelta(int(day)) for day in days]),
        "timestamp": nullable(rng, timestamps, type=pa.int64()).cast(pa.timestamp("us", tz="UTC")),
        "int8": pa.array(rng.integers(-128, 128, rows).astype(np.int8)),
        "int64": nullable(rng, rng.choice([-(2**63), 2**53, 2**53 + 1, 2**63 - 1], rows)),
        "uint64": nullable(rng, rng.choice(np.array([0, 2**63, 2**64 - 1], dtype=np.uint64), rows)),
        "float32": nullable(rng, rng.choice(np.array([0.1, -0.5, 3e38], dtype=np.float32), rows)),
        "float64": nullable(rng, with_nan(rng, rng.choice([0.0, -0.0, -1.5, 1e300, np.inf, -np.inf], rows))),
    }


def table(columns):
    """A table of these columns with an `id` in front."""
    rows = len(next(iter(columns.values())))
    return pa.table({"id": pa.array(np.arange(rows, dtype=np.int64)), **columns})


def rows_of(table, ids):
    """The rows of a table that have one of these ids, in the table's order."""
    return table.filter(pa.compute.is_in(table["id"], value_set=ids.combine_chunks()))
