"""The benchmark's work in Polars, lazy and streaming: `with_polars.py TABLE OUT`."""

import sys
from pathlib import Path

import polars
from polars import col

from work import KEPT, NUMBERS, ONE_HOT, ORDINAL


def main(table, out):
    out.mkdir()
    rows = polars.scan_parquet(table).with_columns((col("id").hash(7) % 100).cast(polars.UInt8).alias("hash"))
    train = rows.filter(col("hash") < 80)
    counted = [train.select(col(name)).drop_nulls().group_by(name).len() for name in ONE_HOT + ORDINAL]
    medians = train.select(col(name).median() for name in NUMBERS)
    medians, *counts = polars.collect_all([medians, *counted], engine="streaming")
    medians = medians.row(0, named=True)
    words = {count.columns[0]: count[count.columns[0]].sort() for count in counts}
    frequent = {
        name: count.sort(["len", name], descending=[True, False])[name][0] for name, count in zip(words, counts, strict=True)
    }

    filled = {name: col(name).cast(polars.Float64).fill_null(medians[name]) for name in NUMBERS}
    moments = train.select(
        *(filled[name].mean().alias(f"{name} mean") for name in NUMBERS),
        *(filled[name].std(ddof=0).alias(f"{name} deviation") for name in NUMBERS),
    )
    moments = moments.collect(engine="streaming").row(0, named=True)
    columns = [col(name) for name in KEPT]
    columns += [((filled[name] - moments[f"{name} mean"]) / moments[f"{name} deviation"]).alias(name) for name in NUMBERS]
    for name in ONE_HOT:
        word = col(name).fill_null(frequent[name])
        columns += [(word == value).cast(polars.UInt8).alias(f"{name}_{value}") for value in words[name]]
    for name in ORDINAL:
        codes = polars.int_range(0, len(words[name]), eager=True)
        word = col(name).fill_null(frequent[name])
        columns.append(word.replace_strict(words[name], codes, default=-1, return_dtype=polars.Int32))
    made = rows.select(col("hash"), *columns)
    parts = {"train": col("hash") < 80, "val": (col("hash") >= 80) & (col("hash") < 90), "test": col("hash") >= 90}
    sinks = [
        made.filter(part).drop("hash").sink_parquet(out / f"{name}.parquet", compression="snappy", lazy=True)
        for name, part in parts.items()
    ]
    polars.collect_all(sinks, engine="streaming")


main(sys.argv[1], Path(sys.argv[2]))
