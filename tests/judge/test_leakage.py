"""Fitting sees the training rows and no others."""

import numpy as np
import pyarrow as pa
import pytest
import tables
from mill import KEY_SPLIT, step

ROWS = 3_000

STEPS = [
    {"name": "fill", **step("impute", ["x", "y", "n"], strategy="median")},
    {"name": "fill-words", **step("impute", ["word"], strategy="most_frequent")},
    {"name": "standard", **step("scale", ["x"], method="standard")},
    {"name": "robust", **step("scale", ["y"], method="robust")},
    {"name": "minmax", **step("scale", ["n"], method="minmax")},
    {"name": "onehot", **step("encode", ["word"], method="onehot", max_categories=20)},
    {"name": "ordinal", **step("encode", ["rare"], method="ordinal", unseen="code")},
    {"name": "frequency", **step("encode", ["often"], method="frequency", unseen="code")},
    {"name": "mean", **step("impute", ["z"], strategy="mean", indicator=True)},
]


@pytest.fixture(scope="module")
def clean():
    rng = np.random.default_rng(7)
    return tables.table(
        {
            "x": tables.nullable(rng, rng.normal(0, 1, ROWS)),
            "y": tables.nullable(rng, rng.lognormal(0, 1, ROWS)),
            "z": tables.nullable(rng, rng.normal(5, 1, ROWS)),
            "n": tables.nullable(rng, rng.integers(0, 100, ROWS)),
            "word": tables.nullable(rng, tables.words(rng, ROWS, 100), type=pa.string()),
            "rare": pa.array(tables.words(rng, ROWS, 2_000)),
            "often": tables.nullable(rng, rng.integers(0, 7, ROWS).astype(np.int32)),
        }
    )


POISON = {"x": 1e300, "y": -1e300, "z": float("inf"), "n": 2**62, "word": "poison", "rare": "poison", "often": -1}


def poisoned(table, ids):
    """The table with other values, of every kind, in the rows with these ids."""
    chosen = pa.compute.is_in(table["id"], value_set=pa.array(ids.to_pylist()))
    columns = {"id": table["id"]}
    for name, poison in POISON.items():
        column = table[name]
        columns[name] = pa.compute.if_else(chosen, pa.scalar(poison, column.type), column)
    return pa.table(columns)


@pytest.fixture(scope="module")
def before(mill, clean):
    return mill.run(clean, STEPS, split=KEY_SPLIT)


def test_rows_of_other_parts_leave_no_trace_in_the_model(mill, clean, before):
    others = pa.chunked_array([*before.val["id"].chunks, *before.test["id"].chunks])
    assert len(others) > ROWS / 10
    after = mill.run(poisoned(clean, others), STEPS, split=KEY_SPLIT)
    assert after.model.digests() == before.model.digests()
    assert after.train.equals(before.train)
    for part in ("val", "test"):
        assert after.part(part)["id"].equals(before.part(part)["id"])
        assert not after.part(part).equals(before.part(part))
        assert min(after.part(part)["x"].to_pylist()) > 1e290


def test_a_single_training_row_does_leave_a_trace(mill, clean, before):
    after = mill.run(poisoned(clean, before.train["id"].slice(0, 1)), STEPS[2:3], split=KEY_SPLIT)
    clean_again = mill.run(clean, STEPS[2:3], split=KEY_SPLIT)
    assert after.model.digests() != clean_again.model.digests()
