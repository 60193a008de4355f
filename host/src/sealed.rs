//! JSON that tells whether it is whole: before it stands its checksum. It protects against disks that err, not against people.

use crate::digest::checksum;
use crate::ipc::Cause;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What stands before the checksum, between it and the content, and behind that; all of it together is JSON.
const PARTS: [&[u8]; 3] = [br#"{"checksum":""#, br#"","content":"#, b"}"];

/// Bytes of a checksum.
const CHECKSUM: usize = "xxh3:0123456789abcdef".len();

/// A value with its checksum, in one line.
///
/// # Errors
/// Where it cannot be JSON.
pub(crate) fn seal(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let content = serde_json::to_vec(value)?;
    Ok([PARTS[0], checksum(&content).as_bytes(), PARTS[1], &content, PARTS[2]].concat())
}

/// The value that was sealed.
///
/// # Errors
/// Where the bytes are not what was written, or are no such value.
pub(crate) fn open<T: DeserializeOwned>(sealed: &[u8]) -> Result<T, Cause> {
    let content = unwrap(sealed).ok_or("it has no checksum, so that it is damaged or of another version")?;
    Ok(serde_json::from_slice(content.ok_or("it is damaged: its checksum is another")?)?)
}

/// The content, if there is any; and if it is what it was.
fn unwrap(sealed: &[u8]) -> Option<Option<&[u8]>> {
    let (told, rest) = sealed.strip_prefix(PARTS[0])?.split_at_checked(CHECKSUM)?;
    let content = rest.strip_prefix(PARTS[1])?.strip_suffix(PARTS[2])?;
    Some(Some(content).filter(|content| checksum(content).as_bytes() == told))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_json_and_any_flipped_bit_is_told() {
        let value = ("a \"text\" with } and ü".to_owned(), vec![1_u64, u64::MAX]);
        let sealed = seal(&value).unwrap();
        assert_eq!(open::<(String, Vec<u64>)>(&sealed).unwrap(), value);
        let json: serde_json::Value = serde_json::from_slice(&sealed).unwrap();
        assert_eq!(json["content"][0], value.0);
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open::<(String, Vec<u64>)>(&damaged).is_err(), "{bit}");
        }
        for end in 0..sealed.len() {
            assert!(open::<(String, Vec<u64>)>(&sealed[..end]).is_err(), "{end}");
        }
    }
}
