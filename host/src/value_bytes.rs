//! How many bytes the values of rows have, whatever their layout: each row counts its own, also where a dictionary or a run of equal
//! rows holds them once, and what lies under nulls does not count.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, RunEndIndexType};
use arrow_array::{Array, OffsetSizeTrait, RecordBatch};
use arrow_buffer::{ArrowNativeType, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;

/// Bytes of all rows.
pub(crate) fn value_bytes(batch: &RecordBatch) -> u64 {
    let rows = batch.num_rows() as u64;
    batch.columns().iter().map(|column| all_bytes(column.as_ref(), rows)).sum()
}

/// Bytes of all values of a column.
pub(crate) fn column_bytes(column: &dyn Array) -> u64 {
    all_bytes(column, column.len() as u64)
}

/// Bytes of the first row, of the first two, of the first three …
pub(crate) fn running_bytes(batch: &RecordBatch) -> Vec<u64> {
    let mut bytes = vec![0; batch.num_rows()];
    batch.columns().iter().for_each(|column| add_bytes(column.as_ref(), &mut bytes));
    let mut total = 0;
    bytes.iter_mut().for_each(|row| {
        total = u64::saturating_add(total, *row);
        *row = total;
    });
    bytes
}

/// How many of the first rows have at most so many bytes; one at least.
pub(crate) fn rows_within(batch: &RecordBatch, most: u64) -> usize {
    let rows = batch.num_rows();
    if rows < 2 || value_bytes(batch) <= most {
        return rows;
    }
    running_bytes(batch).partition_point(|bytes| *bytes <= most).max(1)
}

fn all_bytes(array: &dyn Array, rows: u64) -> u64 {
    if let Some(width) = array.data_type().primitive_width() {
        return rows * width as u64;
    }
    match array.data_type() {
        DataType::Utf8 if array.null_count() == 0 => span(array.as_string::<i32>().offsets()),
        DataType::Binary if array.null_count() == 0 => span(array.as_binary::<i32>().offsets()),
        _ => text_bytes(array).unwrap_or_else(|| {
            let mut bytes = vec![0; array.len()];
            add_bytes(array, &mut bytes);
            bytes.iter().sum()
        }),
    }
}

/// Of texts behind a dictionary, as most are that are read: without an allocation for each batch.
fn text_bytes(array: &dyn Array) -> Option<u64> {
    let dictionary = array.as_dictionary_opt::<Int32Type>()?;
    let texts = dictionary.values().as_string_opt::<i32>().filter(|texts| texts.null_count() == 0)?;
    let offsets = texts.value_offsets();
    let length = |key: i32| u64::from(offsets[key as usize + 1].abs_diff(offsets[key as usize]));
    Some(match dictionary.nulls() {
        None => dictionary.keys().values().iter().map(|key| length(*key)).sum(),
        Some(_) => dictionary.keys().iter().flatten().map(length).sum(),
    })
}

fn span<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> u64 {
    (offsets.last().as_usize() - offsets.first().as_usize()) as u64
}

/// Adds the bytes of each row to those that it has in other columns.
pub(crate) fn add_bytes(array: &dyn Array, bytes: &mut [u64]) {
    if let Some(width) = array.data_type().primitive_width() {
        return bytes.iter_mut().for_each(|row| *row += width as u64);
    }
    let nulls = array.nulls();
    match array.data_type() {
        DataType::Boolean | DataType::Null => {}
        DataType::Utf8 => add_lengths(array.as_string::<i32>().offsets(), 1, nulls, bytes),
        DataType::LargeUtf8 => add_lengths(array.as_string::<i64>().offsets(), 1, nulls, bytes),
        DataType::Binary => add_lengths(array.as_binary::<i32>().offsets(), 1, nulls, bytes),
        DataType::LargeBinary => add_lengths(array.as_binary::<i64>().offsets(), 1, nulls, bytes),
        DataType::Utf8View => add_views(array.as_string_view().lengths(), nulls, bytes),
        DataType::BinaryView => add_views(array.as_binary_view().lengths(), nulls, bytes),
        DataType::FixedSizeBinary(width) => bytes.iter_mut().for_each(|row| *row += *width as u64),
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let mut values = vec![0; dictionary.values().len()];
            add_bytes(dictionary.values().as_ref(), &mut values);
            // Keys of nulls may point anywhere.
            let keys = if values.is_empty() { Vec::new() } else { dictionary.normalized_keys() };
            let valid = keys.into_iter().enumerate().filter(|(row, _)| array.is_valid(*row));
            valid.for_each(|(row, key)| bytes[row] += values[key]);
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            add_items(list.values().as_ref(), list.offsets(), nulls, bytes);
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            add_items(list.values().as_ref(), list.offsets(), nulls, bytes);
        }
        DataType::Map(..) => {
            let map = array.as_map();
            add_items(map.entries(), map.offsets(), nulls, bytes);
        }
        DataType::FixedSizeList(_, size) => {
            let mut items = vec![0; array.len() * *size as usize];
            add_bytes(array.as_fixed_size_list().values().as_ref(), &mut items);
            let rows = items.chunks(((*size).max(1)) as usize).zip(bytes).enumerate();
            rows.filter(|(row, _)| array.is_valid(*row))
                .for_each(|(_, (items, row))| *row += items.iter().sum::<u64>());
        }
        DataType::Struct(_) => {
            let mut own = vec![0; array.len()];
            array.as_struct().columns().iter().for_each(|column| add_bytes(column.as_ref(), &mut own));
            let rows = own.into_iter().zip(bytes).enumerate();
            rows.filter(|(row, _)| array.is_valid(*row)).for_each(|(_, (own, row))| *row += own);
        }
        DataType::ListView(_) => {
            let list = array.as_list_view::<i32>();
            add_ranges(list.values().as_ref(), list.offsets(), list.sizes(), nulls, bytes);
        }
        DataType::LargeListView(_) => {
            let list = array.as_list_view::<i64>();
            add_ranges(list.values().as_ref(), list.offsets(), list.sizes(), nulls, bytes);
        }
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => add_runs::<Int16Type>(array, bytes),
            DataType::Int32 => add_runs::<Int32Type>(array, bytes),
            _ => add_runs::<Int64Type>(array, bytes),
        },
        // What else there is, no file is made of.
        _ => {}
    }
}

fn add_views(lengths: impl Iterator<Item = u32>, nulls: Option<&NullBuffer>, bytes: &mut [u64]) {
    let valid = lengths.zip(bytes).enumerate().filter(|(row, _)| nulls.is_none_or(|nulls| nulls.is_valid(*row)));
    valid.for_each(|(_, (length, row))| *row += u64::from(length));
}

/// Adds the bytes of items of lists that may lie anywhere, and over each other.
fn add_ranges<O: OffsetSizeTrait>(
    items: &dyn Array,
    offsets: &ScalarBuffer<O>,
    sizes: &ScalarBuffer<O>,
    nulls: Option<&NullBuffer>,
    bytes: &mut [u64],
) {
    // As in lists of offsets, items weigh something even where they have no bytes.
    let weighs = items.data_type().primitive_width().is_none();
    let mut before = vec![0; items.len()];
    add_bytes(items, &mut before);
    let mut total = 0;
    before.iter_mut().for_each(|item| {
        let own = std::mem::replace(item, total).saturating_add(u64::from(weighs));
        total = u64::saturating_add(total, own);
    });
    before.push(total);
    let ranges = offsets.iter().zip(sizes.iter()).zip(bytes).enumerate();
    for (_, ((offset, size), row)) in ranges.filter(|(row, _)| nulls.is_none_or(|nulls| nulls.is_valid(*row))) {
        let start = offset.as_usize();
        *row = row.saturating_add(before[start + size.as_usize()] - before[start]);
    }
}

/// Adds the bytes of the values that stand for runs of rows.
fn add_runs<R: RunEndIndexType>(array: &dyn Array, bytes: &mut [u64]) {
    let Some(runs) = array.as_run_opt::<R>() else { return };
    let values = runs.values_slice();
    let mut lengths = vec![0; values.len()];
    add_bytes(values.as_ref(), &mut lengths);
    let mut start = 0;
    for (end, length) in runs.run_ends().sliced_values().zip(lengths) {
        let end = end.as_usize().min(bytes.len());
        bytes[start..end].iter_mut().for_each(|row| *row += length);
        start = end;
    }
}

/// Adds what lies between offsets, `width` bytes for each step.
fn add_lengths<O: OffsetSizeTrait>(
    offsets: &OffsetBuffer<O>,
    width: u64,
    nulls: Option<&NullBuffer>,
    bytes: &mut [u64],
) {
    let lengths = offsets.lengths().zip(bytes).enumerate();
    let valid = lengths.filter(|(row, _)| nulls.is_none_or(|nulls| nulls.is_valid(*row)));
    valid.for_each(|(_, (length, row))| *row += length as u64 * width);
}

fn add_items<O: OffsetSizeTrait>(
    items: &dyn Array,
    offsets: &OffsetBuffer<O>,
    nulls: Option<&NullBuffer>,
    bytes: &mut [u64],
) {
    if let Some(width) = items.data_type().primitive_width() {
        return add_lengths(offsets, width as u64, nulls, bytes);
    }
    // Items weigh something even where they have no bytes, as booleans and empty texts: their number is bounded too.
    add_lengths(offsets, 1, nulls, bytes);
    if matches!(items.data_type(), DataType::Null | DataType::Boolean) {
        // Billions of these stand in a few bytes: to look at each would cost more than they weigh.
        return;
    }
    // A slice of a list keeps all items.
    let first = offsets.first().as_usize();
    let items = items.slice(first, offsets.last().as_usize() - first);
    let mut lengths = vec![0; items.len()];
    add_bytes(items.as_ref(), &mut lengths);
    for (row, (window, total)) in offsets.windows(2).zip(bytes).enumerate() {
        if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
            *total += lengths[window[0].as_usize() - first..window[1].as_usize() - first].iter().sum::<u64>();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::builder::{ListBuilder, StringBuilder};
    use arrow_array::{ArrayRef, Int32Array, Int64Array, ListArray, NullArray, RunArray, StringArray, StructArray};
    use arrow_schema::Field;
    use std::sync::Arc;

    #[test]
    fn nulls_and_dictionaries_do_not_change_what_values_weigh() {
        let words = StringArray::from(vec![Some("one"), None, Some("three"), Some("")]);
        let packed = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let packed = arrow_cast::cast(&words, &packed).unwrap();
        let mut lists = ListBuilder::new(StringBuilder::new());
        lists.append_value([Some("ab"), None, Some("c")]);
        lists.append_null();
        lists.append_value([Some("def")]);
        lists.append_value([None::<&str>]);
        let numbers = [Some(vec![Some(1), None]), None, Some(vec![Some(2)]), Some(vec![])];
        let numbers = ListArray::from_iter_primitive::<Int64Type, _, _>(numbers);
        let inner: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
        let column = |array: ArrayRef| RecordBatch::try_from_iter_with_nullable([("x", array, true)]).unwrap();
        let structs = StructArray::try_from(vec![("a", inner), ("b", Arc::new(words.clone()) as ArrayRef)]).unwrap();
        let cast = |array: &dyn Array, data_type: &DataType| arrow_cast::cast(array, data_type).unwrap();
        let lists = lists.finish();
        let item = Arc::new(Field::new_list_field(DataType::Utf8, true));
        let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![2, 3, 4]), &words.slice(0, 3)).unwrap();
        for (array, expected) in [
            (Arc::new(words.clone()) as ArrayRef, [3, 3, 8, 8]),
            (packed, [3, 3, 8, 8]),
            (Arc::new(lists.clone()), [6, 6, 10, 11]),
            (Arc::new(numbers), [16, 16, 24, 24]),
            (Arc::new(structs), [11, 19, 32, 40]),
            (cast(&words, &DataType::Utf8View), [3, 3, 8, 8]),
            (cast(&lists, &DataType::ListView(item)), [6, 6, 10, 11]),
            (Arc::new(runs), [3, 6, 6, 11]),
        ] {
            assert_eq!(running_bytes(&column(array.clone())), expected, "{}", array.data_type());
            assert_eq!(value_bytes(&column(array.clone())), expected[3]);
            assert_eq!(
                running_bytes(&column(array.slice(2, 2))),
                [expected[2] - expected[1], expected[3] - expected[1]]
            );
        }
    }

    #[test]
    fn billions_of_items_without_bytes_are_weighed_in_no_memory() {
        let items = i32::MAX - 1;
        let field = Arc::new(Field::new_list_field(DataType::Null, true));
        let offsets = OffsetBuffer::new(vec![0, items].into());
        let lists = ListArray::new(field, offsets, Arc::new(NullArray::new(items as usize)), None);
        let batch = RecordBatch::try_from_iter_with_nullable([("x", Arc::new(lists) as ArrayRef, true)]).unwrap();
        assert_eq!(value_bytes(&batch), items as u64);
    }

    #[test]
    fn rows_are_counted_that_have_so_many_bytes() {
        let words: ArrayRef = Arc::new(StringArray::from(vec!["12", "", "345", "6"]));
        let batch = RecordBatch::try_from_iter([("x", words)]).unwrap();
        let within: Vec<_> = [0, 2, 4, 5, 6].iter().map(|most| rows_within(&batch, *most)).collect();
        assert_eq!(within, [1, 2, 2, 3, 4]);
        assert_eq!(rows_within(&batch.slice(0, 0), 0), 0);
    }
}
