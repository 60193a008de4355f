//! How many lengths the delta encodings of texts say that a page has: the parquet crate makes room for them at their word.

/// Values that any page may have, and how many for each byte of it: writers put 128 in a block of ten bytes at the best.
const MOST: u64 = 4 << 20;
const FOR_EACH_BYTE: u64 = 128;

/// Checks the values of a page in `DELTA_LENGTH_BYTE_ARRAY`, or with `prefixes` in `DELTA_BYTE_ARRAY`. `values` are those of the page.
pub(super) fn check(data: &[u8], prefixes: bool, values: u64) -> Result<(), &'static str> {
    let most = values.min(MOST.max((data.len() as u64).saturating_mul(FOR_EACH_BYTE)));
    let (count, end) = pass(data, most)?;
    if prefixes {
        let (suffixes, _) = pass(data.get(end..).ok_or(SHORT)?, most)?;
        if count != suffixes {
            return Err("a page has lengths of prefixes and suffixes that are not equally many");
        }
    }
    Ok(())
}

const SHORT: &str = "a page ends within its lengths";

/// The count of a run of lengths, and where it ends: Parquet's `DELTA_BINARY_PACKED`.
fn pass(data: &[u8], most: u64) -> Result<(u64, usize), &'static str> {
    let mut at = 0;
    let (block, parts, count) = (varint(data, &mut at)?, varint(data, &mut at)?, varint(data, &mut at)?);
    varint(data, &mut at)?;
    if count > most {
        return Err("a page says that it has more lengths than it can have");
    }
    if block == 0 || parts == 0 || block % parts != 0 {
        return Err("a page has blocks of lengths that cannot be");
    }
    let (part, parts) = (block / parts, usize::try_from(parts).map_err(|_| SHORT)?);
    let mut left = count.saturating_sub(1);
    while left > 0 {
        varint(data, &mut at)?;
        let end = at.checked_add(parts).ok_or(SHORT)?;
        let widths = data.get(at..end).ok_or(SHORT)?;
        at = end;
        for width in widths {
            // what stands behind the last value has no bytes, whatever its width
            if left > 0 {
                let bytes = u64::from(*width).saturating_mul(part) / 8;
                at = at.checked_add(usize::try_from(bytes).map_err(|_| SHORT)?).ok_or(SHORT)?;
            }
            left = left.saturating_sub(part);
        }
    }
    Ok((count, at))
}

fn varint(data: &[u8], at: &mut usize) -> Result<u64, &'static str> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *data.get(*at).ok_or(SHORT)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(SHORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_lengths_than_values_are_refused_first_or_second() {
        // blocks of 128 in 4 parts, 3 lengths from 1 on, all the same
        let three = [128, 1, 4, 3, 2, 0, 0, 0, 0, 0];
        let many = [128, 1, 4, 0xff, 0xff, 0xff, 0xff, 7, 2, 0, 0, 0, 0, 0];
        let pair = |second: &[u8]| [&three, second, b"abcdefghi"].concat();
        assert_eq!(check(&pair(&three), true, 3), Ok(()));
        assert_eq!(check(&three, false, 3), Ok(()));
        assert!(check(&three, false, 2).is_err());
        assert!(check(&many, false, u64::MAX).is_err());
        assert!(check(&pair(&many), true, u64::MAX).is_err());
        assert!(check(&three[..7], false, 3).is_err());
    }
}
