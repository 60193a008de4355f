//! Columns behind dictionaries.

use arrow_array::cast::AsArray;
use arrow_array::{AnyDictionaryArray, Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::ArrowError;
use arrow_select::dictionary::garbage_collect_any_dictionary;

/// The words of a column that are behind a dictionary.
pub(crate) fn words(column: &dyn Array) -> Option<&StringArray> {
    column.as_any_dictionary_opt()?.values().as_string_opt()
}

/// Whether two columns share their words, and not only have the same ones. As long as one of them is there, nothing else is at its place.
pub(crate) fn are_shared(words: &StringArray, others: &StringArray) -> bool {
    words.offsets().ptr_eq(others.offsets())
}

/// The same rows, where the dictionaries that are `wanted` have no values that no row has.
///
/// # Errors
/// Where the values are of a type that cannot be chosen from.
pub(crate) fn without_unused(
    batch: &RecordBatch,
    wanted: impl Fn(&dyn AnyDictionaryArray) -> bool,
) -> Result<RecordBatch, ArrowError> {
    let column = |column: &ArrayRef| match column.as_any_dictionary_opt().filter(|dictionary| wanted(*dictionary)) {
        Some(dictionary) => garbage_collect_any_dictionary(dictionary),
        None => Ok(column.clone()),
    };
    let columns = batch.columns().iter().map(column).collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns, &options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::types::Int32Type;
    use arrow_array::{DictionaryArray, Int32Array};
    use std::sync::Arc;

    #[test]
    fn compacting_a_dictionary_keeps_every_row() {
        let values: Vec<_> = (0..1_000).map(|value| format!("v{value}")).collect();
        let keys = Int32Array::from(vec![Some(999), None, Some(3), Some(999)]);
        let column: ArrayRef = Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(values))));
        let batch = RecordBatch::try_from_iter_with_nullable([("word", column, true)]).unwrap();
        let compacted = without_unused(&batch, |_| true).unwrap();
        let compacted = compacted.column(0).as_dictionary::<Int32Type>();
        assert_eq!(compacted.values().len(), 2);
        let words: Vec<_> = compacted.downcast_dict::<StringArray>().unwrap().into_iter().collect();
        assert_eq!(words, [Some("v999"), None, Some("v3"), Some("v999")]);
        let kept = without_unused(&batch, |_| false).unwrap();
        assert_eq!(kept.column(0).as_dictionary::<Int32Type>().values().len(), 1_000);
    }
}
