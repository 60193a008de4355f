"""Whether an engine did the work of work.py: what it wrote is computed again, by numpy, from the rows that it took for training."""

import numpy
import pyarrow
from pyarrow import compute, parquet

from work import KEPT, NUMBERS, ONE_HOT, ORDINAL, PARTS

# Sums of millions of numbers in another order differ in their last digits.
TOLERANCE = 1e-9


def verify(table, out):
    """Raises an AssertionError that says what is wrong."""
    ids = {part: read(out, part, "id") for part in PARTS}
    rows = parquet.read_metadata(table).num_rows
    known = numpy.sort(numpy.concatenate(list(ids.values())))
    assert numpy.array_equal(known, numpy.arange(rows)), "not every row comes out once"
    for part, share in PARTS.items():
        spread = 6 * (share * (1 - share) / rows) ** 0.5
        assert abs(len(ids[part]) / rows - share) < spread, f"{part} has {len(ids[part])} of {rows} rows"

    def compare(name, expected, source):
        for part in PARTS:
            found = read(out, part, name).astype(expected.dtype)
            same = numpy.isclose(found, expected[ids[part]], rtol=TOLERANCE, atol=TOLERANCE)
            if not same.all():
                row = int(numpy.argmin(same))
                line = ids[part][row]
                raise AssertionError(
                    f"{name} of row {line} ({part}) is {found[row]}, not {expected[line]}; there stands {source[line]}"
                )

    for name in NUMBERS:
        values = column(table, name).to_numpy(zero_copy_only=False).astype(float)
        training = values[ids["train"]]
        filled = numpy.where(numpy.isnan(values), numpy.nanmedian(training), values)
        training = filled[ids["train"]]
        compare(name, (filled - training.mean()) / training.std(), values)
    for name in ONE_HOT + ORDINAL:
        words = column(table, name)
        counts = compute.value_counts(words.take(pyarrow.array(ids["train"])).drop_null()).to_pylist()
        frequent = min(counts, key=lambda count: (-count["counts"], count["values"]))["values"]
        known = sorted(count["values"] for count in counts)
        codes = compute.index_in(words.fill_null(frequent), value_set=pyarrow.array(known)).fill_null(-1).to_numpy()
        if name in ORDINAL:
            compare(name, codes, words)
            continue
        for code, word in enumerate(known):
            compare(f"{name}_{word}", (codes == code).astype("uint8"), words)
    for name in KEPT:
        values = column(table, name)
        for part in PARTS:
            assert read_part(out, part, name).cast(values.type) == values.take(pyarrow.array(ids[part])), name


def column(table, name):
    return parquet.read_table(table, columns=[name]).column(name).combine_chunks()


def read_part(out, part, name):
    """A column of a part, wherever an engine puts its files."""
    for place in (out / part, out / f"part={part}", out / f"{part}.parquet"):
        if place.exists():
            return parquet.read_table(place, columns=[name], partitioning=None).column(name).combine_chunks()
    raise AssertionError(f"there is no `{part}` in {out}")


def read(out, part, name):
    return read_part(out, part, name).to_numpy(zero_copy_only=False)
