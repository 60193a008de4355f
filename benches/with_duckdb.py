"""The benchmark's work in SQL of DuckDB: `with_duckdb.py TABLE OUT`."""

import os
import sys

import duckdb

from work import KEPT, NUMBERS, ONE_HOT, ORDINAL


def main(table, out):
    database = duckdb.connect()
    database.execute(f"set threads = {os.environ['BENCH_THREADS']}")
    database.execute("set preserve_insertion_order = false")
    database.execute(f"create view rows as select *, hash(id) % 100 as bucket from read_parquet('{table}')")
    medians = ", ".join(f"quantile_cont({name}, 0.5)" for name in NUMBERS)
    medians = database.execute(f"select {medians} from rows where bucket < 80").fetchone()
    filled = {
        name: f"coalesce({name}::double, '{median!r}'::double)" for name, median in zip(NUMBERS, medians, strict=True)
    }
    moments = ", ".join(f"avg({value}), stddev_pop({value})" for value in filled.values())
    moments = database.execute(f"select {moments} from rows where bucket < 80").fetchone()
    columns = list(KEPT)
    for position, (name, value) in enumerate(filled.items()):
        mean, deviation = moments[2 * position : 2 * position + 2]
        columns.append(f"({value} - '{mean!r}'::double) / '{deviation!r}'::double as {name}")
    joins = []
    for name in ONE_HOT + ORDINAL:
        counted = f"select {name} as word, count(*) as number from rows where bucket < 80 and {name} is not null group by 1"
        database.execute(f"create table {name}_words as select word, number, row_number() over (order by word) - 1 as code from ({counted})")
        (frequent,) = database.execute(f"select word from {name}_words order by number desc, word limit 1").fetchone()
        word = f"coalesce({name}, '{frequent}')"
        if name in ORDINAL:
            columns.append(f"coalesce({name}_words.code, -1)::int as {name}")
            joins.append(f"left join {name}_words on {name}_words.word = {word}")
            continue
        words = database.execute(f"select word from {name}_words order by code").fetchall()
        columns += [f"({word} = '{value}')::utinyint as \"{name}_{value}\"" for (value,) in words]
    part = "case when bucket < 80 then 'train' when bucket < 90 then 'val' else 'test' end as part"
    made = f"select {part}, {', '.join(columns)} from rows {' '.join(joins)}"
    database.execute(f"copy ({made}) to '{out}' (format parquet, compression snappy, partition_by (part))")


main(sys.argv[1], sys.argv[2])
