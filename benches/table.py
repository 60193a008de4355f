"""The benchmark's table: the same bytes for the same number of rows.

An id, ten floats with a tenth of nulls, three counts and four columns of categories with a twentieth of nulls, a timestamp, a boolean and a label.
Categories are drawn by Zipf's law, as words and places are.
"""

import numpy
import pyarrow
from pyarrow import parquet

ROW_GROUP = 131_072
CATEGORIES = {"c5": 5, "c50": 50, "c1k": 1_000, "c100k": 100_000}
DAY = 1_700_000_000_000_000


def write(path, rows, seed=3):
    """Writes so many rows to a Parquet file; one that is not finished has another name."""
    random = numpy.random.default_rng(seed)
    unfinished = path.with_suffix(".unfinished")
    writer = None
    for start in range(0, rows, ROW_GROUP):
        group = rows_of(random, start, min(ROW_GROUP, rows - start))
        writer = writer or parquet.ParquetWriter(unfinished, group.schema, compression="snappy")
        writer.write_table(group, row_group_size=ROW_GROUP)
    writer.close()
    unfinished.rename(path)


def rows_of(random, start, rows):
    def missing(share):
        return random.random(rows) < share

    columns = {"id": numpy.arange(start, start + rows)}
    for number in range(10):
        normal = number % 2 == 0
        values = random.normal(number, 1 + number, rows) if normal else random.lognormal(0, 0.3 + number / 10, rows)
        columns[f"f{number}"] = pyarrow.array(values, mask=missing(0.1))
    for number in range(3):
        columns[f"i{number}"] = pyarrow.array(random.poisson(3 ** (number + 1), rows).astype("int64"), mask=missing(0.05))
    for name, count in CATEGORIES.items():
        keys = numpy.minimum(random.zipf(1.3, rows) - 1, count - 1).astype("int32")
        words = pyarrow.array([f"{name}_{word:06d}" for word in range(count)])
        column = pyarrow.DictionaryArray.from_arrays(pyarrow.array(keys, mask=missing(0.05)), words)
        columns[name] = column.cast(pyarrow.string())
    instants = DAY + random.integers(0, 10**13, rows)
    columns["ts"] = pyarrow.array(instants, type=pyarrow.timestamp("us", tz="UTC"))
    columns["flag"] = random.random(rows) < 0.3
    columns["label"] = (random.random(rows) < 0.2).astype("int64")
    return pyarrow.table(columns)
