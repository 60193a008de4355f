//! The numbers of a column without those that are missing, side by side, so that loops over them need not ask and can be vectorised.

use arrow_buffer::NullBuffer;

/// Most numbers of a chunk.
pub(super) const CHUNK: usize = 512;

/// Rows whose bits make one word.
const WORD: usize = 64;

/// Hands all values that are not missing to `each`, in their order, up to [`CHUNK`] at a time.
pub(super) fn dense_chunks(values: &[f64], nulls: Option<&NullBuffer>, mut each: impl FnMut(&[f64])) {
    let Some(nulls) = nulls else { return values.chunks(CHUNK).for_each(each) };
    let (mut dense, mut filled) = ([0.0; CHUNK], 0);
    for (values, valid) in values.chunks(WORD).zip(nulls.inner().bit_chunks().iter_padded()) {
        if filled + WORD > CHUNK {
            each(&dense[..filled]);
            filled = 0;
        }
        if let Some(free) = dense[filled..].first_chunk_mut() {
            filled += compact(values, valid, free);
        }
    }
    each(&dense[..filled]);
}

/// Hands numbers to `each`, in their order, up to [`CHUNK`] at a time.
pub(super) fn chunks_of(numbers: impl Iterator<Item = f64>, mut each: impl FnMut(&[f64])) {
    let (mut chunk, mut filled) = ([0.0; CHUNK], 0);
    for number in numbers {
        chunk[filled] = number;
        filled += 1;
        if filled == CHUNK {
            each(&chunk);
            filled = 0;
        }
    }
    each(&chunk[..filled]);
}

/// Writes the values whose bit is set side by side, and returns how many they are.
fn compact(values: &[f64], valid: u64, dense: &mut [f64; WORD]) -> usize {
    if valid == u64::MAX
        && let Some(values) = values.first_chunk()
    {
        *dense = *values;
        return WORD;
    }
    keep(values.iter().enumerate().map(|(row, value)| (*value, valid >> row & 1 == 1)), dense)
}

/// Writes the values that are to be kept side by side, and returns how many they are; `kept` has room for all of them.
#[inline]
pub(super) fn keep<const N: usize>(values: impl Iterator<Item = (f64, bool)>, kept: &mut [f64; N]) -> usize {
    let mut count = 0;
    for (value, is_kept) in values {
        // Each is written, and counted where it is kept: no branch on what cannot be foreseen. The remainder is the position itself.
        kept[count % N] = value;
        count += usize::from(is_kept);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_missing_comes_once_and_in_order() {
        for rows in [0, 1, 63, 64, 65, 511, 512, 513, 2_000] {
            for missing in [0, 1, 2, 3, 64, 3_000] {
                let is_there = |row: usize| missing == 0 || row % 67 % missing != missing - 1;
                let values: Vec<f64> = (0..rows).map(|row| row as f64).collect();
                let nulls = (missing > 0).then(|| NullBuffer::from_iter((0..rows).map(is_there)));
                let mut dense = Vec::new();
                dense_chunks(&values, nulls.as_ref(), |chunk| {
                    assert!(chunk.len() <= CHUNK);
                    dense.extend_from_slice(chunk);
                });
                assert_eq!(dense, (0..rows).filter(|row| is_there(*row)).map(|row| row as f64).collect::<Vec<_>>());
            }
        }
    }
}
