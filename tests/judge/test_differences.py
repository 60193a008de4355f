"""Where scikit-learn refuses or does something else: docs/scikit-learn.md has a table, each row of it a test."""

import re
from pathlib import Path

import exact
import numpy as np
import pyarrow as pa
import pytest
from mill import step
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

pytestmark = [
    # scikit-learn warns of what it divides by.
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

PAGE = Path(__file__).parents[2] / "docs" / "scikit-learn.md"
INFINITY = np.inf

SCALERS = {
    "standard": StandardScaler(),
    "minmax": MinMaxScaler(),
    "maxabs": MaxAbsScaler(),
    "robust": RobustScaler(),
}


def table(values, type=None):
    return pa.table({"x": pa.array(values, type=type)})


def array(values):
    """Nulls as NaN, as pandas makes them."""
    return np.array([[np.nan if value is None else value] for value in values])


def fitted_by(mill, values, method, **params):
    """The `scaling` that wafermill learns of one column."""
    return mill.fit(table(values), [step("scale", ["x"], method=method, **params)]).rows("scaling")["x"]


def made_by(mill, values, plugin, type=None, **params):
    """What wafermill makes of one column."""
    return mill.run(table(values, type), [step(plugin, ["x"], **params)]).part("all")


def refused_by(mill, values, plugin, type=None, **params):
    """What wafermill says of one column that it refuses; it must name the column."""
    message = mill.refused(table(values, type), [step(plugin, ["x"], **params)])
    assert message.startswith("error: ")
    assert "column `x`" in message
    assert "hint: " in message
    return message


def objects(values):
    return np.array([[value] for value in values], dtype=object)


# Infinities


@pytest.mark.parametrize("method", ["standard", "minmax", "maxabs"])
def test_infinities_in_training_rows_are_refused_by_name(mill, method):
    values = [1.0, 2.0, INFINITY]
    with pytest.raises(ValueError, match="infinity"):
        SCALERS[method].fit(array(values))
    assert "infinities" in refused_by(mill, values, "scale", method=method)


def test_robust_takes_infinities_that_its_percentiles_do_not_touch(mill):
    values = [-INFINITY, 1.0, 2.0, 3.0, 4.0, 5.0, INFINITY]
    with pytest.raises(ValueError, match="infinity"):
        RobustScaler().fit(array(values))
    scaling = fitted_by(mill, values, "robust")
    assert (scaling["count"], scaling["center"], scaling["scale"]) == (7, 3.0, 3.0)
    refused_by(mill, [-INFINITY, INFINITY, INFINITY], "scale", method="robust")


def test_infinities_in_other_rows_stay_infinite(mill):
    model = mill.fit(table([1.0, 2.0, 3.0]), [step("scale", ["x"], method="standard")])
    with pytest.raises(ValueError, match="infinity"):
        StandardScaler().fit(array([1.0, 2.0, 3.0])).transform(array([INFINITY]))
    found = mill.apply(model, table([INFINITY, 2.0, -INFINITY])).part("all")
    assert found["x"].to_pylist() == [INFINITY, 0.0, -INFINITY]


def test_impute_refuses_a_mean_that_is_not_finite_and_takes_a_median_that_is(mill):
    values = [1.0, 2.0, INFINITY, None]
    for strategy in ("mean", "median", "most_frequent"):
        with pytest.raises(ValueError, match="infinity"):
            SimpleImputer(strategy=strategy).fit(array(values))
    assert "infinities" in refused_by(mill, values, "impute", strategy="mean")
    assert made_by(mill, values, "impute", strategy="median")["x"].to_pylist() == [1.0, 2.0, INFINITY, 2.0]
    assert made_by(mill, values, "impute", strategy="most_frequent")["x"].to_pylist() == [1.0, 2.0, INFINITY, 1.0]


def test_infinities_are_categories(mill):
    values = [1.0, INFINITY, -INFINITY]
    with pytest.raises(ValueError, match="infinity"):
        OrdinalEncoder().fit(array(values))
    assert made_by(mill, values, "encode", method="ordinal")["x"].to_pylist() == [1, 2, 0]


# Nothing to learn from


def test_a_table_without_rows_has_no_parameters(mill):
    for estimator in (StandardScaler(), SimpleImputer(), OneHotEncoder()):
        with pytest.raises(ValueError, match="0 sample"):
            estimator.fit(np.zeros((0, 1)))
    for plugin in ("scale", "impute", "encode"):
        message = mill.refused(table([], pa.float64()), [step(plugin, ["x"])])
        assert "no rows to fit on" in message and "hint: the source has none" in message


def test_a_split_without_training_rows_has_no_parameters(mill):
    split = {"plugin": "split", "key": ["id"], "params": {"parts": {"train": 1e-9, "test": 1 - 1e-9}}}
    rows = pa.table({"id": [1, 2, 3], "x": [1.0, 2.0, 3.0]})
    message = mill.refused(rows, [step("scale", ["x"])], split=split)
    assert "no rows to fit on" in message and "hint: the training part of the split got none" in message


@pytest.mark.parametrize("method", list(SCALERS))
@pytest.mark.parametrize("missing", [None, np.nan], ids=["null", "nan"])
def test_a_column_without_values_is_not_scaled(mill, method, missing):
    assert np.isnan(SCALERS[method].fit_transform(array([None] * 3))).all()
    assert "no numbers" in refused_by(mill, [missing] * 3, "scale", pa.float64(), method=method)


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent"])
@pytest.mark.parametrize("missing", [None, np.nan], ids=["null", "nan"])
def test_a_column_without_values_is_filled_with_nothing_but_a_constant(mill, strategy, missing):
    assert SimpleImputer(strategy=strategy).fit_transform(array([None] * 3)).shape == (3, 0)
    refused_by(mill, [missing] * 3, "impute", pa.float64(), strategy=strategy)
    filled = made_by(mill, [missing] * 3, "impute", pa.float64(), strategy="constant", value=0.5)
    assert filled["x"].to_pylist() == [0.5] * 3


def test_a_column_of_nulls_is_one_category(mill):
    values = [None, None]
    assert OneHotEncoder(sparse_output=False).fit_transform(objects(values)).tolist() == [[1.0], [1.0]]
    assert made_by(mill, values, "encode", pa.string()).to_pydict() == {"x__null": [1, 1]}


# Rounding


def test_small_deviations_from_a_huge_mean_are_deviations(mill):
    values = list(1e15 + np.random.default_rng(1).normal(0, 1, 1_000))
    assert StandardScaler().fit(array(values)).scale_ == [1.0]
    scale = fitted_by(mill, values, "standard")["scale"]
    assert scale == exact.square_root(exact.variance(values))
    assert 0.9 < scale < 1.1


def test_deviations_round_once(mill):
    columns = [1e3 + np.random.default_rng(seed).normal(0, 1, 100) for seed in range(20)]
    wanted = [exact.square_root(exact.variance(values.tolist())) for values in columns]
    rows = pa.table({f"x{number}": values for number, values in enumerate(columns)})
    found = mill.fit(rows, [step("scale", ["x*"], method="standard")]).table("scaling")
    assert found["scale"].to_pylist() == wanted
    reference = StandardScaler().fit(np.column_stack(columns)).scale_
    assert (reference != wanted).any() and np.allclose(reference, wanted, rtol=1e-15)


def test_squares_past_the_largest_double_are_summed(mill):
    values = [1e200, -1e200, 5e199]
    assert np.isnan(StandardScaler().fit_transform(array(values))).all()
    scaled = made_by(mill, values, "scale", method="standard")["x"].to_numpy()
    assert np.allclose(scaled, StandardScaler().fit_transform(array([1.0, -1.0, 0.5]))[:, 0], rtol=1e-14)


def test_squares_below_the_least_double_are_summed(mill):
    values = [1e-200, 3e-200, 5e-200]
    assert StandardScaler().fit(array(values)).scale_ == [1.0]
    scaled = made_by(mill, values, "scale", method="standard")["x"].to_numpy()
    assert np.allclose(scaled, StandardScaler().fit_transform(array([1.0, 3.0, 5.0]))[:, 0], rtol=1e-14)


@pytest.mark.parametrize("method", ["minmax", "maxabs", "robust"])
def test_narrow_columns_are_not_constant(mill, method):
    values = [1e-16, 3e-16, 5e-16]
    assert SCALERS[method].fit(array(values)).scale_ == [1.0]
    scaled = made_by(mill, values, "scale", method=method)["x"].to_numpy()
    assert np.allclose(scaled, SCALERS[method].fit_transform(array([1.0, 3.0, 5.0]))[:, 0], rtol=1e-14)


def test_a_distance_past_the_largest_double_is_refused(mill):
    values = [1.7e308, -1.7e308, 0.0]
    assert MinMaxScaler().fit_transform(array(values)).tolist() == [[0.0]] * 3
    assert "too large" in refused_by(mill, values, "scale", method="minmax")


def test_integers_past_2_53_are_summed_as_they_are(mill):
    values = [2**53, 2**53 + 1, 2**53 + 2]
    reference = StandardScaler().fit(np.array(values)[:, None])
    assert abs(reference.var_[0] - 8 / 9) < 1e-12
    found = fitted_by(mill, values, "standard")
    assert (found["center"], found["variance"]) == (float(2**53), 2 / 3)


# Categories


@pytest.mark.parametrize("method, encoder", [("onehot", OneHotEncoder()), ("ordinal", OrdinalEncoder())])
def test_unseen_categories_are_errors_unless_the_file_says_otherwise(mill, method, encoder):
    with pytest.raises(ValueError, match="unknown categories"):
        encoder.fit(objects("ab")).transform(objects("c"))
    model = mill.fit(table(["a", "b"]), [step("encode", ["x"], method=method)])
    folder = mill.folder()
    source = mill.folder() / "table.parquet"
    pa.parquet.write_table(table(["a", "c"]), source)
    ran = mill.call("apply", model.path, source, "--out", folder / "out")
    assert ran.status == 1
    assert "column `x`" in ran.stderr and "hint: " in ran.stderr
    assert not (folder / "out").exists()


def unseen(mill, **params):
    """What becomes of `a` and of `z` where `a`, `b` and a null are seen."""
    model = mill.fit(table(["a", "b", None]), [step("encode", ["x"], **params)])
    return mill.apply(model, table(["a", "z"])).part("all").to_pydict()


def test_unseen_categories_are_null_or_minus_one_where_scikit_learn_has_a_number_of_your_choice(mill):
    for number in (np.nan, -1):
        encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=number).fit(objects("ab"))
        assert np.array_equal(encoder.transform(objects("az"))[:, 0], [0, number], equal_nan=True)
    assert unseen(mill, method="ordinal", unseen="ignore") == {"x": [0, None]}
    assert unseen(mill, method="ordinal", unseen="code") == {"x": [0, -1]}
    assert unseen(mill, method="frequency", unseen="ignore") == {"x": [1 / 3, None]}
    assert unseen(mill, method="frequency", unseen="code") == {"x": [1 / 3, 0.0]}


def test_unseen_categories_can_have_a_column(mill):
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(objects(["a", "b", None]))
    assert encoder.transform(objects("z")).tolist() == [[0.0, 0.0, 0.0]]
    ignored = {"x_a": [1, 0], "x_b": [0, 0], "x__null": [0, 0]}
    assert unseen(mill, method="onehot", unseen="ignore") == ignored
    assert unseen(mill, method="onehot", unseen="code") == ignored | {"x__unseen": [0, 1]}


def test_unseen_categories_are_rare_ones_where_there_are_rare_ones(mill):
    params = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    encoder = OrdinalEncoder(min_frequency=2, **params).fit(objects("aab"))
    assert encoder.transform(objects("abz"))[:, 0].tolist() == [0, 1, -1]
    model = mill.fit(table(list("aab")), [step("encode", ["x"], method="ordinal", min_frequency=2, unseen="code")])
    assert mill.apply(model, table(list("abz"))).part("all").to_pydict() == {"x": [0, 1, 1]}


def kept_by(mill, values, **params):
    """The categories that wafermill keeps apart."""
    model = mill.fit(table(values), [step("encode", ["x"], **params)])
    return [row["value"] for row in model.table("categories-text").to_pylist()]


def rare_in(values, **params):
    """The categories that scikit-learn puts together."""
    [rare] = OneHotEncoder(**params).fit(objects(values)).infrequent_categories_
    return [] if rare is None else rare.tolist()


def test_of_equally_frequent_categories_the_first_ones_are_kept(mill):
    values = list("aaabbbccc" + "d" * 9)
    assert rare_in(values, max_categories=3) == ["a", "b"]
    assert kept_by(mill, values, max_categories=3) == ["a", "d"]


def test_as_many_categories_as_allowed_are_all_kept(mill):
    values = list("abbccc")
    assert rare_in(values, max_categories=3) == ["a"]
    assert kept_by(mill, values, max_categories=3) == ["a", "b", "c"]


def test_nulls_are_neither_counted_among_the_categories_nor_ever_rare(mill):
    values = ["a", "a", "b", "b", "b", None]
    assert rare_in(values, max_categories=2) == ["a", None]
    found = made_by(mill, values, "encode", max_categories=2)
    assert found.column_names == ["x_a", "x_b", "x__null"]


# Nulls and NaN


def test_null_and_nan_are_two_categories(mill):
    values = [1.0, None, np.nan]
    encoder = OrdinalEncoder().fit(array(values))
    assert len(encoder.categories_[0]) == 2
    assert made_by(mill, values, "encode", method="ordinal")["x"].to_pylist() == [0, 2, 1]
    assert made_by(mill, values, "encode").column_names == ["x_1", "x_NaN", "x__null"]
    assert made_by(mill, values, "encode", method="ordinal", nulls="ignore")["x"].to_pylist() == [0, None, 1]


def test_impute_fills_nulls_and_fills_nan_unless_it_is_kept(mill):
    values = [1.0, 3.0, None, np.nan]
    assert SimpleImputer().fit_transform(array(values))[:, 0].tolist() == [1.0, 3.0, 2.0, 2.0]
    assert made_by(mill, values, "impute", strategy="mean")["x"].to_pylist() == [1.0, 3.0, 2.0, 2.0]
    kept = made_by(mill, values, "impute", strategy="mean", nan="keep", indicator=True).to_pydict()
    assert repr(kept) == repr({"x": [1.0, 3.0, 2.0, np.nan], "x_missing": [0, 0, 1, 0]})


def test_scale_leaves_nulls_null_and_nan_nan_and_learns_from_neither(mill):
    values = [1.0, 3.0, None, np.nan]
    assert np.isnan(StandardScaler().fit_transform(array(values))[2:]).all()
    found = made_by(mill, values, "scale", method="standard")["x"]
    assert repr(found.to_pylist()) == "[-1.0, 1.0, None, nan]"
    assert fitted_by(mill, values, "standard")["count"] == 2


def test_every_column_gets_an_indicator(mill):
    model = mill.fit(table([1.0, 2.0]), [step("impute", ["x"], indicator=True)])
    reference = SimpleImputer(add_indicator=True).fit(array([1.0, 2.0]))
    assert reference.transform(array([None])).tolist() == [[1.5]]
    assert mill.apply(model, table([None], pa.float64())).part("all").to_pydict() == {"x": [1.5], "x_missing": [1]}


def test_booleans_and_dates_are_filled_with_the_most_frequent(mill):
    for values in (np.array([[True], [False]]), np.array([["2024-01-31"], ["NaT"]], dtype="datetime64[us]")):
        with pytest.raises(ValueError, match="does not support data with dtype"):
            SimpleImputer(strategy="most_frequent").fit(values)
    assert made_by(mill, [True, None], "impute", strategy="most_frequent")["x"].to_pylist() == [True, True]
    filled = made_by(mill, [19_753, None], "impute", pa.date32(), strategy="most_frequent")["x"]
    assert filled.cast(pa.int32()).to_pylist() == [19_753, 19_753]


def test_outputs_have_types_of_their_own(mill):
    floats = np.array([[1.0], [3.0]], dtype=np.float32)
    assert StandardScaler().fit_transform(floats).dtype == np.float32
    assert OneHotEncoder(sparse_output=False).fit_transform(floats).dtype == np.float64
    assert made_by(mill, [1.0, 3.0], "scale", pa.float32())["x"].type == pa.float64()
    assert made_by(mill, [1.0, 3.0], "scale", pa.float32(), output="float32")["x"].type == pa.float32()
    assert made_by(mill, [1.0, 3.0], "impute", pa.float32())["x"].type == pa.float32()
    assert made_by(mill, [1, 3], "impute", pa.int8())["x"].type == pa.float64()
    assert made_by(mill, [1, 3], "encode", pa.int8())["x_1"].type == pa.uint8()
    assert made_by(mill, [1, 3], "encode", pa.int8(), method="ordinal")["x"].type == pa.int32()


# The page


def test_each_row_of_the_page_has_a_test_and_each_test_a_row():
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    tests.remove("each_row_of_the_page_has_a_test_and_each_test_a_row")
    named = re.findall(r"\| `(\w+)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(tests)
