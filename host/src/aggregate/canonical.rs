//! Brings the pieces of a column into one array whose form depends on its values only.

use crate::copy_values::copy_values;
use crate::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, PrimitiveArray, make_array};
use arrow_cast::CastOptions;
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType, Field};
use std::sync::Arc;

type Half = <Float16Type as ArrowPrimitiveType>::Native;

/// The bits of every NaN that reaches a file.
const NAN_16: u16 = 0x7e00;
const NAN_32: f32 = f32::from_bits(0x7fc0_0000);
const NAN_64: f64 = f64::from_bits(0x7ff8_0000_0000_0000);

/// Joins pieces for an encoder that looks at values only, not at what lies under nulls.
///
/// Dictionaries are unpacked: Parquet's writer cuts pages by the bytes of plain strings, but not by those of dictionaries.
pub(super) fn join(field: &Field, pieces: &[&ArrayRef]) -> Result<ArrayRef> {
    let joined = if field.data_type().is_nested() {
        exact(field, pieces)
    } else {
        unpack(field, pieces).and_then(|pieces| {
            let pieces: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
            arrow_select::concat::concat(&pieces)
        })
    };
    joined.and_then(without_idle_nulls).and_then(canonical_nans).map_err(|error| cannot_join(field, error))
}

/// Joins pieces for a writer that dumps buffers: what lies under nulls is zero, and nothing lies beyond the ends.
pub(super) fn join_exactly(field: &Field, pieces: &[&ArrayRef]) -> Result<ArrayRef> {
    exact(field, pieces).and_then(canonical_nans).map_err(|error| cannot_join(field, error))
}

fn exact(field: &Field, pieces: &[&ArrayRef]) -> Result<ArrayRef, ArrowError> {
    let pieces: Vec<ArrayData> = unpack(field, pieces)?.iter().map(Array::to_data).collect();
    copy_values(&pieces).map(make_array)
}

fn unpack(field: &Field, pieces: &[&ArrayRef]) -> Result<Vec<ArrayRef>, ArrowError> {
    pieces
        .iter()
        .map(|piece| match piece.data_type() == field.data_type() {
            true => Ok(Arc::clone(piece)),
            // A value that the file has no room for must not become a null.
            false => arrow_cast::cast_with_options(
                &super::interval::into_structs(piece)?,
                field.data_type(),
                &CastOptions { safe: false, ..CastOptions::default() },
            ),
        })
        .collect()
}

/// Drops a validity bitmap that marks nothing: writers treat it otherwise than none.
fn without_idle_nulls(array: ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.nulls() {
        Some(nulls) if nulls.null_count() == 0 => copy_values(&[array.to_data()]).map(make_array),
        _ => Ok(array),
    }
}

fn canonical_nans(array: ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(match array.data_type() {
        DataType::Float32 => replace(
            &array,
            array.as_primitive::<Float32Type>(),
            |value| value.is_nan() & (value.to_bits() != NAN_32.to_bits()),
            |value| if value.is_nan() { NAN_32 } else { value },
        ),
        DataType::Float64 => replace(
            &array,
            array.as_primitive::<Float64Type>(),
            |value| value.is_nan() & (value.to_bits() != NAN_64.to_bits()),
            |value| if value.is_nan() { NAN_64 } else { value },
        ),
        DataType::Float16 => replace(
            &array,
            array.as_primitive::<Float16Type>(),
            |value| value.is_nan() & (value.to_bits() != NAN_16),
            |value| if value.is_nan() { Half::from_bits(NAN_16) } else { value },
        ),
        nested if nested.is_nested() => {
            let data = array.to_data();
            if !has_floats(&data) {
                return Ok(array);
            }
            let children =
                data.child_data().iter().map(|child| Ok(canonical_nans(make_array(child.clone()))?.to_data()));
            let children = children.collect::<Result<_, ArrowError>>()?;
            make_array(data.into_builder().child_data(children).build()?)
        }
        _ => array,
    })
}

fn has_floats(data: &ArrayData) -> bool {
    data.data_type().is_floating() || data.child_data().iter().any(has_floats)
}

fn replace<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    values: &PrimitiveArray<T>,
    odd: impl Fn(T::Native) -> bool,
    mend: impl Fn(T::Native) -> T::Native,
) -> ArrayRef {
    // no early exit: the loop without branches is the faster one
    match values.values().iter().fold(false, |found, &value| found | odd(value)) {
        true => Arc::new(values.unary::<_, T>(mend)),
        false => Arc::clone(array),
    }
}

fn cannot_join(field: &Field, error: ArrowError) -> Error {
    Error::output("cannot join the rows of a column").column(field.name()).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::builder::{Float64Builder, Int32Builder, ListBuilder};
    use arrow_array::{Float64Array, Int32Array, StructArray};
    use arrow_buffer::NullBuffer;
    use arrow_schema::Fields;

    #[test]
    fn every_nan_gets_the_same_bits() {
        let odd = f64::from_bits(0xfff8_0000_0000_1234);
        let column: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(odd), None, Some(-0.0)]));
        let field = Field::new("x", DataType::Float64, true);
        for joined in [join(&field, &[&column]).unwrap(), join_exactly(&field, &[&column]).unwrap()] {
            let joined = joined.as_primitive::<Float64Type>();
            assert_eq!(joined.value(1).to_bits(), 0x7ff8_0000_0000_0000);
            assert!(joined.is_null(2));
            assert_eq!(joined.value(3).to_bits(), (-0.0_f64).to_bits());
        }
    }

    #[test]
    fn nans_within_lists_and_structs_get_the_same_bits_too() {
        let odd = f64::from_bits(0xfff8_0000_0000_1234);
        let mut lists = ListBuilder::new(Float64Builder::new());
        lists.append_value([Some(odd), None, Some(1.0)]);
        lists.append_null();
        let column: ArrayRef =
            Arc::new(StructArray::try_from(vec![("lists", Arc::new(lists.finish()) as ArrayRef)]).unwrap());
        let joined = join(&Field::new("x", column.data_type().clone(), true), &[&column]).unwrap();
        let lists = joined.as_struct().column(0).as_list::<i32>();
        assert_eq!(lists.values().as_primitive::<Float64Type>().value(0).to_bits(), NAN_64.to_bits());
        assert_eq!((joined.len(), lists.is_null(1), lists.values().is_null(1)), (2, true, true));
    }

    #[test]
    fn what_lies_under_nulls_is_cleared() {
        let nulls = NullBuffer::from(vec![true, false, true]);
        let leaf: ArrayRef = Arc::new(Int32Array::new(vec![1, 77, 3].into(), Some(nulls.clone())));
        let fields = Fields::from(vec![Field::new("leaf", DataType::Int32, true)]);
        let column: ArrayRef = Arc::new(StructArray::new(fields.clone(), vec![leaf], Some(nulls)));
        let field = Field::new("x", DataType::Struct(fields), true);
        let joined = join_exactly(&field, &[&column]).unwrap();
        assert_eq!(joined.as_struct().column(0).as_primitive::<arrow_array::types::Int32Type>().values(), &[1, 0, 3]);
    }

    #[test]
    fn lists_keep_only_the_elements_of_their_rows() {
        let mut lists = ListBuilder::new(Int32Builder::new());
        for row in 0..10 {
            (0..row).for_each(|value| lists.values().append_value(value));
            lists.append(row % 3 != 0);
        }
        let whole: ArrayRef = Arc::new(lists.finish());
        let field = Field::new("x", whole.data_type().clone(), true);
        let slice = whole.slice(2, 5);
        let joined = join(&field, &[&slice]).unwrap();
        assert_eq!(&joined, &slice);
        assert_eq!(joined.as_list::<i32>().values().len(), 2 + 4 + 5);
    }
}
