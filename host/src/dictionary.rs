//! Columns behind dictionaries.

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array, UInt32Array};
use arrow_schema::ArrowError;
use arrow_select::take::take;
use std::sync::Arc;

/// The same rows behind a dictionary without values that no row has.
///
/// # Errors
/// Where the values are of a type that cannot be taken from.
pub(crate) fn compact(column: &DictionaryArray<Int32Type>) -> Result<ArrayRef, ArrowError> {
    let values = column.values();
    let mut used = BooleanBufferBuilder::new(values.len());
    used.append_n(values.len(), false);
    column.keys().iter().flatten().for_each(|key| used.set_bit(key as usize, true));
    let used = used.finish();
    let kept: UInt32Array = used.set_indices().map(|index| Some(index as u32)).collect();
    let mut renumbered = vec![0_i32; values.len()];
    used.set_indices().zip(0..).for_each(|(old, new)| renumbered[old] = new);
    // What stands in a null's place may point anywhere.
    let renumber = |key: &i32| renumbered.get(*key as usize).copied().unwrap_or(0);
    let keys = Int32Array::new(column.keys().values().iter().map(renumber).collect(), column.nulls().cloned());
    DictionaryArray::try_new(keys, take(values, &kept, None)?).map(|column| Arc::new(column) as ArrayRef)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;

    #[test]
    fn compacting_a_dictionary_keeps_every_row() {
        let values: Vec<_> = (0..1_000).map(|value| format!("v{value}")).collect();
        let keys = Int32Array::from(vec![Some(999), None, Some(3), Some(999)]);
        let column = DictionaryArray::new(keys, Arc::new(arrow_array::StringArray::from(values)));
        let compacted = compact(&column).unwrap();
        let compacted = compacted.as_dictionary::<Int32Type>();
        assert_eq!(compacted.values().len(), 2);
        let words: Vec<_> = compacted.downcast_dict::<arrow_array::StringArray>().unwrap().into_iter().collect();
        assert_eq!(words, [Some("v999"), None, Some("v3"), Some("v999")]);
    }
}
