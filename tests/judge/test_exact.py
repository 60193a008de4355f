"""Fitted parameters are those of exact rational arithmetic over the training rows, to the last bit."""

import math
from collections import Counter

import exact
import numpy as np
import pytest
import tables
from mill import KEY_SPLIT, step

ROWS = 4_000


class Fitted:
    """A table, its training rows and the models of them."""

    def __init__(self, mill, table):
        self.mill, self.table = mill, table
        parts = mill.run(table.select(["id"]), [], split=KEY_SPLIT)
        self.train = tables.rows_of(table, parts.train["id"])
        assert 0.75 * ROWS < self.train.num_rows < 0.85 * ROWS

    def model(self, *described, columns=None):
        return self.mill.fit(self.table, [step(described[0], columns or self.columns, **described[1])], split=KEY_SPLIT)

    @property
    def columns(self):
        return [name for name in self.table.column_names if name != "id"]

    def values(self, name):
        """A column's training values that are neither null nor NaN."""
        return [value for value in self.train[name].to_pylist() if value is not None and value == value]


@pytest.fixture(scope="module")
def fitted(mill):
    return Fitted(mill, tables.table(tables.numbers(np.random.default_rng(1), ROWS)))


@pytest.fixture(scope="module")
def categories(mill):
    return Fitted(mill, tables.table(tables.categories(np.random.default_rng(2), ROWS)))


def assert_same(found, wanted):
    """Compares doubles by their bits, and names the columns that differ."""
    differ = {
        name: {key: (found[name][key], row[key]) for key in row if exact.bits(found[name][key]) != exact.bits(row[key])}
        for name, row in wanted.items()
    }
    assert {name: row for name, row in differ.items() if row} == {}
    assert list(found) == list(wanted)


def or_one(scale):
    return 1.0 if scale == 0.0 else scale


def scaling(count, center, scale, offset=0.0, variance=None):
    return {"count": count, "center": center, "scale": or_one(scale), "offset": offset, "variance": variance}


def standard(values):
    variance = exact.variance(values)
    center, scale = exact.rounded(exact.mean(values)), exact.square_root(variance)
    return scaling(len(values), center, scale, variance=exact.rounded(variance))


def test_standard_scales_by_the_rounded_mean_and_the_rounded_root_of_the_exact_variance(fitted):
    found = fitted.model("scale", {"method": "standard"}).rows("scaling")
    assert_same(found, {name: standard(fitted.values(name)) for name in fitted.columns})


def test_variances_past_the_largest_double_have_finite_roots(fitted):
    found = fitted.model("scale", {"method": "standard"}, columns=["huge_*"]).rows("scaling")
    assert found["huge_both_signs"]["variance"] == math.inf
    assert math.isfinite(found["huge_both_signs"]["scale"])


@pytest.mark.parametrize("low, high", [(0.0, 1.0), (-1.0, 2.5)])
def test_minmax_scales_by_the_least_and_the_largest(fitted, low, high):
    def minmax(values):
        least, most = min(map(float, values)) + 0.0, max(map(float, values)) + 0.0
        scale = or_one(most - least) / (high - low)
        return scaling(len(values), least, scale, offset=low)

    found = fitted.model("scale", {"method": "minmax", "range": [low, high]}).rows("scaling")
    assert_same(found, {name: minmax(fitted.values(name)) for name in fitted.columns})


def test_maxabs_scales_by_the_largest_magnitude(fitted):
    found = fitted.model("scale", {"method": "maxabs"}).rows("scaling")
    largest = {name: max(abs(float(value)) for value in fitted.values(name)) for name in fitted.columns}
    assert_same(found, {name: scaling(len(fitted.values(name)), 0.0, it) for name, it in largest.items()})


@pytest.mark.parametrize("percentiles", [[25.0, 75.0], [0.1, 99.9], [33.3, 100.0]])
def test_robust_scales_by_exact_percentiles(fitted, percentiles):
    def robust(values):
        low, median, high = (exact.quantile(values, percent) for percent in (percentiles[0], 50, percentiles[1]))
        return scaling(len(values), median, high - low)

    found = fitted.model("scale", {"method": "robust", "percentiles": percentiles}).rows("scaling")
    assert_same(found, {name: robust(fitted.values(name)) for name in fitted.columns})


@pytest.mark.parametrize("method", ["standard", "minmax", "maxabs", "robust"])
def test_scaled_numbers_are_one_difference_one_quotient_and_one_sum_of_doubles(fitted, method):
    steps = [step("scale", fitted.columns, method=method, **({"range": [2.0, 5.0]} if method == "minmax" else {}))]
    dataset = fitted.mill.run(fitted.table, steps, split=KEY_SPLIT)
    scaling = dataset.model.rows("scaling")
    for name in fitted.columns:
        values = fitted.train[name].cast("float64", safe=False).to_numpy()
        with np.errstate(over="ignore", invalid="ignore"):
            row = scaling[name]
            wanted = (values - row["center"]) / row["scale"] + row["offset"]
        found = dataset.train[name].to_numpy()
        assert np.array_equal(found, wanted, equal_nan=True), name


def test_impute_fills_with_the_rounded_mean(fitted):
    found = fitted.model("impute", {"strategy": "mean"}).rows("fill-float")
    wanted = {name: {"value": exact.rounded(exact.mean(fitted.values(name)))} for name in fitted.columns}
    assert_same(found, wanted)


def test_impute_fills_with_the_exact_median(fitted):
    found = fitted.model("impute", {"strategy": "median"}).rows("fill-float")
    assert_same(found, {name: {"value": exact.quantile(fitted.values(name), 50)} for name in fitted.columns})


def stored(values):
    """Values as a model keeps them: dates and times as numbers."""
    number = {"bool": "int64", "date32[day]": "int32", "timestamp[us, tz=UTC]": "int64"}.get(str(values.type))
    return (values.cast(number) if number else values).to_pylist()


def counts(fitted, name):
    """How often each value of a column occurs, in ascending order: NaN last, both zeros one, no nulls."""
    values = [value for value in stored(fitted.train[name]) if value is not None]
    counted = Counter(value + 0.0 if isinstance(value, float) else value for value in values if value == value)
    nans = sum(value != value for value in values)
    return sorted(counted.items()) + ([(math.nan, nans)] if nans else [])


CLASSES = {
    "text": ["text", "large_text", "dictionary"],
    "binary": ["binary"],
    "signed": ["boolean", "date", "timestamp", "int8", "int64"],
    "unsigned": ["uint64"],
    "float": ["float32", "float64"],
}


def test_impute_fills_with_the_most_frequent_value_the_least_of_several(categories):
    model = categories.model("impute", {"strategy": "most_frequent"})
    for kind, columns in CLASSES.items():
        found = {name: row["value"] for name, row in model.rows(f"fill-{kind}").items()}
        # The first of several that are as frequent; NaN is never the filling.
        most = lambda name: max((it for it in counts(categories, name) if it[0] == it[0]), key=lambda it: it[1])[0]
        assert found == {name: most(name) for name in columns}


def test_encode_counts_each_category(categories):
    model = categories.model("encode", {"method": "ordinal"})
    for kind, columns in CLASSES.items():
        found = model.table(f"categories-{kind}").to_pylist()
        wanted = [
            {"column": name, "value": value, "code": code, "count": count}
            for name in columns
            for code, (value, count) in enumerate(counts(categories, name))
        ]
        # NaN differs from itself, but not by its text; and columns may come in any order.
        by_column = lambda row: columns.index(row["column"])
        assert list(map(repr, sorted(found, key=by_column))) == list(map(repr, wanted))


def test_encode_counts_rows_and_nulls(categories):
    found = categories.model("encode", {"method": "frequency"}).rows("columns")
    for name in categories.columns:
        column = categories.train[name]
        assert found[name]["rows"] == len(column)
        assert found[name]["nulls"] == column.null_count
        assert found[name]["categories"] == len(counts(categories, name))
        assert found[name]["infrequent"] is None
