"""A table of 20 columns, numbers and texts, as that of customers might be; soaks serve it over and over."""

import numpy as np
import pyarrow as pa

ROWS = 500_000


def table() -> pa.Table:
    rng = np.random.default_rng(3)
    columns = {f"x{index}": pa.array(rng.normal(size=ROWS), mask=rng.random(ROWS) < 0.1) for index in range(12)}
    columns |= {f"n{index}": pa.array(rng.integers(0, 1_000_000, ROWS)) for index in range(4)}
    words = np.array([f"category {word}" for word in range(1_000)])
    columns |= {f"s{index}": pa.array(words[rng.integers(0, 1_000, ROWS)]) for index in range(4)}
    return pa.table(columns)
