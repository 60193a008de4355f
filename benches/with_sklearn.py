"""The benchmark's work with pandas and scikit-learn: `with_sklearn.py TABLE OUT`."""

import sys
from pathlib import Path

import numpy
import pandas
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from work import KEPT, NUMBERS, ONE_HOT, ORDINAL


def main(table, out):
    out.mkdir()
    rows = pandas.read_parquet(table)
    for name in ONE_HOT + ORDINAL:
        rows[name] = rows[name].astype(object).where(rows[name].notna(), numpy.nan)
    bucket = pandas.util.hash_pandas_object(rows["id"], index=False).to_numpy() % 100
    parts = {"train": bucket < 80, "val": (bucket >= 80) & (bucket < 90), "test": bucket >= 90}
    one_hot = OneHotEncoder(sparse_output=False, dtype=numpy.uint8, handle_unknown="ignore")
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, dtype=numpy.int32)
    steps = [
        ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
        ("one-hot", make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot), ONE_HOT),
        ("ordinal", make_pipeline(SimpleImputer(strategy="most_frequent"), ordinal), ORDINAL),
        ("kept", "passthrough", KEPT),
    ]
    transformer = ColumnTransformer(steps, verbose_feature_names_out=False).set_output(transform="pandas")
    transformer.fit(rows[parts["train"]])
    for name, part in parts.items():
        transformer.transform(rows[part]).to_parquet(out / f"{name}.parquet", compression="snappy")


main(sys.argv[1], Path(sys.argv[2]))
