"""Models whose tables somebody edited, and whose manifest names them as they are now, are refused where no rows can have made them."""

import pyarrow as pa
import pytest
from mill import step
from test_fit_add import partials, pin, write_partials

TABLE = pa.table({"x": [1.0, 2.0, None, 4.0], "s": ["a", "b", "a", None]})
STEPS = [
    {"name": "scale", **step("scale", ["x"])},
    {"name": "codes", **step("encode", ["s"], method="frequency")},
]
IMPOSSIBLE = {
    "negative count of numbers": ("01-scale/model/scaling", "count", -1, "scales as no rows can have it"),
    "center is no number": ("01-scale/model/scaling", "center", float("nan"), "scales as no rows can have it"),
    "scale of zero": ("01-scale/model/scaling", "scale", 0.0, "scales as no rows can have it"),
    "negative count of a category": ("02-codes/model/categories-text", "count", -2, "counts do not add up to its rows"),
    "more of a category than rows": ("02-codes/model/categories-text", "count", 2**62, "counts do not add up to its rows"),
    "negative count of nulls": ("02-codes/model/columns", "nulls", -1, "counts do not add up to its rows"),
    "fewer rows than they have values": ("02-codes/model/columns", "rows", 2, "counts do not add up to its rows"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_no_rows_can_have_made_is_refused(mill, case):
    name, column, value, reason = IMPOSSIBLE[case]
    model = mill.fit(TABLE, STEPS)
    assert mill.apply(model, TABLE).part("all").num_rows == 4
    path = model.path / "steps" / f"{name}.arrow"
    table = partials(path)
    index = table.schema.get_field_index(column)
    values = [value, *table[column].to_pylist()[1:]]
    write_partials(table.set_column(index, table.schema.field(index), pa.array(values, table.schema.field(index).type)), path)
    pin(model, path)
    folder = mill.folder()
    ran = mill.call("apply", model.path, model.path.parent / "table.parquet", "--out", folder / "out")
    assert ran.status == 1 and reason in ran.stderr and not (folder / "out").exists(), ran.stderr
