"""Outputs are scikit-learn's, where the two mean the same. Where they do not: test_differences.py."""

import numpy as np
import pyarrow as pa
import pytest
import tables
from mill import KEY_SPLIT, step
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

ROWS = 6_000
PARTS = ["train", "val", "test"]
EPSILON = np.finfo(np.float64).eps

NUMBERS = ["normal", "lognormal", "int8", "int16", "uint32", "float32", "duplicates", "zeros_and_ones", "constant"]
NUMBERS += ["nulls", "nans", "nulls_and_nans"]
CENTERS = {"standard": "mean_", "minmax": "data_min_", "maxabs": "", "robust": "center_"}
CATEGORIES = ["text", "dictionary", "integers", "floats"]


class Both:
    """A table, and what either program makes of it."""

    def __init__(self, mill, columns):
        self.mill, self.table, self.columns = mill, tables.table(columns), list(columns)
        split = mill.run(self.table.select(["id"]), [], split=KEY_SPLIT)
        self.inputs = {part: tables.rows_of(self.table, split.part(part)["id"]) for part in PARTS}
        assert all(rows.num_rows > 0 for rows in self.inputs.values())

    def wafermill(self, plugin, columns, **params):
        """The parts that wafermill writes."""
        dataset = self.mill.run(self.table, [step(plugin, columns, **params)], split=KEY_SPLIT)
        parts = {part: dataset.part(part) for part in PARTS}
        for part, rows in parts.items():
            assert rows["id"].equals(self.inputs[part]["id"])
        return {part: rows.drop_columns(["id"]) for part, rows in parts.items()}

    def sklearn(self, transformer, columns, as_array):
        """The parts that scikit-learn makes, from arrays with a column for each."""
        arrays = {part: as_array(rows, columns) for part, rows in self.inputs.items()}
        transformer.fit(arrays["train"])
        return {part: transformer.transform(array) for part, array in arrays.items()}


@pytest.fixture(scope="module")
def numbers(mill):
    columns = tables.numbers(np.random.default_rng(3), ROWS)
    return Both(mill, {name: columns[name] for name in NUMBERS})


@pytest.fixture(scope="module")
def categories(mill):
    rng = np.random.default_rng(4)
    columns = {
        "text": tables.nullable(rng, tables.words(rng, ROWS, 40), type=pa.string()),
        "dictionary": tables.nullable(rng, tables.words(rng, ROWS, 2_000, "ż"), type=pa.string()).dictionary_encode(),
        "integers": pa.array(np.minimum(rng.geometric(0.2, ROWS), 25) * (2**50)),
        "floats": pa.array(np.round(rng.normal(0, 1, ROWS), 1) + 0.0),
    }
    return Both(mill, columns)


def as_doubles(rows, columns):
    """Nulls as NaN: scikit-learn has no others. Column after column: numpy sums neighbours with less rounding."""
    column = lambda name: rows[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.array([column(name) for name in columns]).T


def as_objects(rows, columns):
    return np.array([rows[name].to_pylist() for name in columns], dtype=object).T


def ulps(found, wanted, unit):
    """The largest distance in units in the last place of `unit`; NaN must be where NaN is."""
    assert np.array_equal(np.isnan(found), np.isnan(wanted))
    distance = np.nan_to_num(np.abs(found - wanted)) / (EPSILON * np.maximum(np.nan_to_num(unit), np.finfo(float).tiny))
    return distance.max()


def assert_nulls_stay(found, rows, columns):
    for name in columns:
        assert found[name].is_null().equals(rows[name].is_null()), name


@pytest.mark.parametrize(
    "params, scaler",
    [
        ({"method": "standard"}, StandardScaler()),
        ({"method": "minmax"}, MinMaxScaler()),
        ({"method": "minmax", "range": [-3.0, 10.0]}, MinMaxScaler(feature_range=(-3, 10))),
        ({"method": "maxabs"}, MaxAbsScaler()),
        ({"method": "robust"}, RobustScaler()),
        ({"method": "robust", "percentiles": [5.0, 99.0]}, RobustScaler(quantile_range=(5, 99))),
    ],
    ids=str,
)
def test_scaled_numbers_are_those_of_scikit_learn_within_a_few_ulp(numbers, params, scaler):
    found = numbers.wafermill("scale", NUMBERS, **params)
    wanted = numbers.sklearn(scaler, NUMBERS, as_doubles)
    center = np.abs(getattr(scaler, CENTERS[params["method"]], 0.0))
    # For MinMaxScaler the factor, otherwise the divisor.
    scale = 1 / scaler.scale_ if isinstance(scaler, MinMaxScaler) else scaler.scale_
    for part, rows in numbers.inputs.items():
        assert_nulls_stay(found[part], rows, NUMBERS)
        unit = (np.abs(as_doubles(rows, NUMBERS)) + center) / scale + np.abs(params.get("range", [0.0])[0])
        assert ulps(as_doubles(found[part], NUMBERS), wanted[part], unit) <= 8


def test_narrow_outputs_are_the_wide_ones_rounded(numbers):
    wide = numbers.wafermill("scale", NUMBERS, method="standard")
    narrow = numbers.wafermill("scale", NUMBERS, method="standard", output="float32")
    for part in PARTS:
        for name in NUMBERS:
            assert narrow[part][name].type == pa.float32()
            assert np.array_equal(narrow[part][name], wide[part][name].cast(pa.float32(), safe=False), equal_nan=True)


@pytest.mark.parametrize("strategy, tolerance", [("mean", 4), ("median", 1), ("most_frequent", 0), ("constant", 0)])
def test_missing_numbers_are_filled_as_scikit_learn_fills_them(numbers, strategy, tolerance):
    constant = {"value": 7} if strategy == "constant" else {}
    found = numbers.wafermill("impute", NUMBERS, strategy=strategy, **constant)
    imputer = SimpleImputer(strategy=strategy, fill_value=7.0 if constant else None)
    wanted = numbers.sklearn(imputer, NUMBERS, as_doubles)
    for part in PARTS:
        assert all(found[part][name].null_count == 0 for name in NUMBERS)
        # Fillings of Float32 columns are rounded to Float32.
        for name, reference in zip(NUMBERS, wanted[part].T):
            values = found[part][name]
            if values.type == pa.float32():
                reference = reference.astype(np.float32)
            distance = ulps(values.cast(pa.float64()).to_numpy(), reference.astype(float), np.abs(reference))
            assert distance <= tolerance, name


@pytest.mark.parametrize("strategy", ["most_frequent", "constant"])
def test_missing_strings_are_filled_as_scikit_learn_fills_them(categories, strategy):
    columns = ["text", "dictionary"]
    constant = {"value": "ø"} if strategy == "constant" else {}
    found = categories.wafermill("impute", columns, strategy=strategy, **constant)
    imputer = SimpleImputer(missing_values=None, strategy=strategy, fill_value="ø" if constant else None)
    wanted = categories.sklearn(imputer, columns, as_objects)
    for part in PARTS:
        assert (as_objects(found[part], columns) == wanted[part]).all()


def test_missing_indicators_are_those_of_scikit_learn(numbers):
    found = numbers.wafermill("impute", NUMBERS, strategy="median", indicator=True)
    wanted = numbers.sklearn(MissingIndicator(features="all"), NUMBERS, as_doubles)
    for part in PARTS:
        indicators = np.column_stack([found[part][f"{name}_missing"] for name in NUMBERS])
        assert np.array_equal(indicators, wanted[part])


def one_hot(found, name, rows):
    """The columns that one column became, in the table's order."""
    made = [column for column in found.column_names if column.startswith(f"{name}_")]
    return made, np.column_stack([found[column] for column in made]) if made else np.zeros((rows, 0))


def test_onehot_columns_are_those_of_scikit_learn(categories):
    found = categories.wafermill("encode", CATEGORIES, method="onehot", unseen="ignore")
    for name in CATEGORIES:
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        wanted = categories.sklearn(encoder, [name], as_objects)
        for part, rows in categories.inputs.items():
            made, matrix = one_hot(found[part], name, rows.num_rows)
            if name in ("text", "dictionary"):
                values = ["_null" if value is None else value for value in encoder.categories_[0]]
                assert made == [f"{name}_{value}" for value in values]
            assert np.array_equal(matrix, wanted[part]), name
    # Values that are in no training row were met.
    assert (one_hot(found["val"], "dictionary", 0)[1].sum(axis=1) == 0).any()


def test_ordinal_codes_are_those_of_scikit_learn(categories):
    found = categories.wafermill("encode", CATEGORIES, method="ordinal", unseen="code")
    for name in CATEGORIES:
        null = categories.inputs["train"][name].null_count > 0
        values = len(categories.inputs["train"][name].drop_null().unique())
        missing = {"encoded_missing_value": values} if null else {}
        encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, **missing)
        wanted = categories.sklearn(encoder, [name], as_objects)
        for part in PARTS:
            assert np.array_equal(found[part][name].to_numpy(), wanted[part][:, 0]), name


def test_frequencies_are_shares_of_the_training_rows(categories):
    found = categories.wafermill("encode", CATEGORIES, method="frequency", unseen="code")
    for name in CATEGORIES:
        train = categories.inputs["train"][name].to_pylist()
        share = {value: train.count(value) / len(train) for value in set(train)}
        for part, rows in categories.inputs.items():
            assert found[part][name].to_pylist() == [share.get(value, 0.0) for value in rows[name].to_pylist()]


GROUPED = ["text", "integers"]


@pytest.fixture(scope="module")
def no_nulls(mill):
    """Categories of which no two are equally frequent, where that decides which of them are kept."""
    rng = np.random.default_rng(5)
    text = np.concatenate([np.repeat(f"w{rank:02}", 30 * rank) for rank in range(1, 20)])
    integers = np.concatenate([np.repeat(-rank, 30 * rank) for rank in range(1, 20)])
    return Both(mill, {"text": pa.array(rng.permutation(text)), "integers": pa.array(rng.permutation(integers))})


@pytest.mark.parametrize(
    "limits",
    [{"min_frequency": 200}, {"max_categories": 5}, {"max_categories": 2}, {"min_frequency": 200, "max_categories": 8}],
    ids=str,
)
def test_rare_categories_are_grouped_as_scikit_learn_groups_them(no_nulls, limits):
    for name in GROUPED:
        counts = no_nulls.inputs["train"][name].value_counts().field("counts").to_pylist()
        kept = sorted(counts, reverse=True)[: limits.get("max_categories", len(counts)) - 1]
        assert counts.count(kept[-1]) == 1, "a tie, which scikit-learn resolves in another way"

    hot = no_nulls.wafermill("encode", GROUPED, method="onehot", **limits)
    for name in GROUPED:
        encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", sparse_output=False, **limits)
        wanted = no_nulls.sklearn(encoder, [name], as_objects)
        for part, rows in no_nulls.inputs.items():
            made, matrix = one_hot(hot[part], name, rows.num_rows)
            assert made[-1] == f"{name}__infrequent"
            assert np.array_equal(matrix, wanted[part]), name

    codes = no_nulls.wafermill("encode", GROUPED, method="ordinal", **limits)
    wanted = no_nulls.sklearn(OrdinalEncoder(**limits), GROUPED, as_objects)
    for part in PARTS:
        assert np.array_equal(np.column_stack([codes[part][name] for name in GROUPED]), wanted[part])


def test_impute_then_scale_then_encode_is_the_pipeline_of_scikit_learn(mill):
    rng = np.random.default_rng(6)
    columns = {
        "x": tables.nullable(rng, rng.lognormal(0, 1, ROWS)),
        "n": tables.nullable(rng, rng.poisson(20, ROWS)),
        "city": tables.nullable(rng, tables.words(rng, ROWS, 12), type=pa.string()),
    }
    both = Both(mill, columns)
    steps = [
        step("impute", ["x", "n"], strategy="median"),
        step("scale", ["x", "n"], method="standard"),
        step("impute", ["city"], strategy="most_frequent"),
        step("encode", ["city"], method="onehot", unseen="ignore"),
    ]
    for number, it in enumerate(steps):
        it["name"] = f"step-{number}"
    dataset = mill.run(both.table, steps, split=KEY_SPLIT)
    imputer, scaler = SimpleImputer(strategy="median"), StandardScaler()
    scaler.fit(imputer.fit_transform(as_doubles(both.inputs["train"], ["x", "n"])))
    mode = SimpleImputer(missing_values=None, strategy="most_frequent")
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    encoder.fit(mode.fit_transform(as_objects(both.inputs["train"], ["city"])))
    for part, rows in both.inputs.items():
        filled = imputer.transform(as_doubles(rows, ["x", "n"]))
        unit = (np.abs(filled) + np.abs(scaler.mean_)) / scaler.scale_
        found = dataset.part(part)
        assert ulps(as_doubles(found, ["x", "n"]), scaler.transform(filled), unit) <= 8
        wanted = encoder.transform(mode.transform(as_objects(rows, ["city"])))
        assert np.array_equal(one_hot(found, "city", rows.num_rows)[1], wanted)
