//! The sizes of rows, to cut messages by bytes.

use arrow_array::cast::AsArray;
use arrow_array::types::ByteArrayType;
use arrow_array::{Array, GenericByteArray, RecordBatch};
use arrow_schema::DataType;

/// Where messages of so many bytes at most end, if a row is not larger by itself.
pub(crate) fn ends(batches: &[RecordBatch], bytes: usize) -> Vec<usize> {
    let mut ends = Vec::new();
    let (mut row, mut message) = (0, 0);
    for batch in batches {
        let mut sizes = vec![0; batch.num_rows()];
        for column in batch.columns() {
            add(column, &mut sizes);
        }
        for size in sizes {
            if message > 0 && message + size > bytes {
                ends.push(row);
                message = 0;
            }
            // No row is nothing, so that a message of such rows ends as well.
            message += size.max(1);
            row += 1;
        }
    }
    ends.push(row);
    ends
}

/// Adds the bytes of each value to the size of its row.
fn add(array: &dyn Array, sizes: &mut [usize]) {
    let mut each = |size: &dyn Fn(usize) -> usize| {
        for (row, total) in sizes.iter_mut().enumerate() {
            *total += size(row);
        }
    };
    match array.data_type() {
        DataType::Utf8 => each(&of_bytes(array.as_string::<i32>())),
        DataType::Binary => each(&of_bytes(array.as_binary::<i32>())),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let mut items = vec![0; list.values().len()];
            add(list.values(), &mut items);
            let offsets = list.value_offsets();
            each(&|row| 4 + items[offsets[row] as usize..offsets[row + 1] as usize].iter().sum::<usize>());
        }
        DataType::Struct(_) => {
            for column in array.as_struct().columns() {
                add(column, sizes);
            }
        }
        // Booleans are counted as a byte.
        other => {
            let width = other.primitive_width().unwrap_or(1);
            each(&|_| width);
        }
    }
}

fn of_bytes<T: ByteArrayType<Offset = i32>>(array: &GenericByteArray<T>) -> impl Fn(usize) -> usize + '_ {
    let offsets = array.value_offsets();
    |row| 4 + (offsets[row + 1] - offsets[row]) as usize
}
