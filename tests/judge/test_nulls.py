"""What becomes of null and of NaN, plugin by plugin: the first table of docs/scikit-learn.md."""

import numpy as np
import pyarrow as pa
import pytest
from mill import KEY_SPLIT, step

NAN = float("nan")


def table(values, type=None):
    return pa.table({"x": pa.array(values, type=type)})


def fit_then_apply(mill, plugin, training, others, **params):
    """What a plugin that learned from one column makes of another."""
    model = mill.fit(table(training), [step(plugin, ["x"], **params)])
    column = table(others, pa.array(training).type)
    return mill.apply(model, column).part("all").to_pydict()


def test_nulls_and_nans_are_keys_that_stay_together(mill):
    keys = pa.array([None, NAN, -NAN, 0.0, -0.0] * 20)
    dataset = mill.run(pa.table({"id": keys, "kind": [0, 1, 1, 2, 2] * 20}), [], split=KEY_SPLIT)
    kinds = [set(dataset.part(part)["kind"].to_pylist()) for part in ("train", "val", "test")]
    assert sum(map(len, kinds)) == 3


@pytest.mark.parametrize("strategy, fill", [("mean", 3.0), ("median", 2.0), ("most_frequent", 2.0)])
def test_impute_learns_from_neither_and_fills_both(mill, strategy, fill):
    training = [2.0, 2.0, 5.0] + [None] * 4 + [NAN] * 4
    assert fit_then_apply(mill, "impute", training, [None, NAN, 9.0], strategy=strategy) == {"x": [fill, fill, 9.0]}
    kept = fit_then_apply(mill, "impute", training, [None, NAN, 9.0], strategy=strategy, nan="keep")
    assert repr(kept) == repr({"x": [fill, NAN, 9.0]})


@pytest.mark.parametrize("method, scaled", [("standard", 2.0), ("minmax", 1.5), ("maxabs", 1.0), ("robust", 2.0)])
def test_scale_learns_from_neither_and_keeps_both(mill, method, scaled):
    training = [0.0, None, NAN, 4.0, None, NAN]
    found = fit_then_apply(mill, "scale", training, [None, NAN, 6.0 if method != "maxabs" else 4.0], method=method)
    assert repr(found) == repr({"x": [None, NAN, scaled]})


@pytest.mark.parametrize("method, null, nan", [("ordinal", 2, 1), ("frequency", 0.25, 0.5)])
def test_encode_gives_either_a_category(mill, method, null, nan):
    training = [7.0, NAN, NAN, None]
    assert fit_then_apply(mill, "encode", training, [None, NAN], method=method) == {"x": [null, nan]}
    assert fit_then_apply(mill, "encode", training, [None, NAN], method=method, nulls="ignore") == {"x": [None, nan]}


def test_encode_gives_either_a_column(mill):
    found = fit_then_apply(mill, "encode", [7.0, NAN, None], [None, NAN])
    assert found == {"x_7": [0, 0], "x_NaN": [0, 1], "x__null": [1, 0]}
    ignored = fit_then_apply(mill, "encode", [7.0, NAN, None], [None, NAN], nulls="ignore")
    assert ignored == {"x_7": [0, 0], "x_NaN": [0, 1]}


def test_either_is_unseen_where_no_training_row_has_it(mill):
    found = fit_then_apply(mill, "encode", [7.0, 8.0], [None, NAN, 8.0], method="ordinal", unseen="code")
    assert found == {"x": [-1, -1, 1]}
    found = fit_then_apply(mill, "encode", [7.0, 8.0], [None, NAN], method="frequency", unseen="ignore")
    assert found == {"x": [None, None]}


def test_nan_can_be_rare_and_null_cannot(mill):
    training = [7.0, 7.0, NAN, None]
    found = fit_then_apply(mill, "encode", training, [7.0, NAN, None], method="ordinal", min_frequency=2)
    assert found == {"x": [0, 1, 2]}


def test_hash_has_a_code_for_nulls_and_one_for_all_nans(mill):
    values = pa.array([None, NAN, 1.0, 2.0, None]).to_pylist() + [float(np.copysign(NAN, -1))]
    steps = [step("encode", ["x"], method="hash", buckets=1_000)]
    null, nan, one, two, again, other_nan = mill.run(table(values), steps).part("all")["x"].to_pylist()
    assert null == again == 1_000
    assert nan == other_nan < 1_000
    assert len({null, nan, one, two}) == 4
    steps[0]["params"]["nulls"] = "ignore"
    assert mill.run(table(values), steps).part("all")["x"].to_pylist() == [None, nan, one, two, None, nan]
