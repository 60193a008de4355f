//! JSON that comes from anywhere: how much of it is read into memory.

use crate::ipc::Cause;

/// Values of a document, about: a model of a hundred thousand columns in as many steps has seven million.
const MOST: usize = 8_000_000;

/// An object, which has a table of its keys, counts as so many values.
const OBJECT: usize = 4;

/// Checks that what a text holds does not take many times the memory of the text: a value takes seventy bytes, and two say one.
///
/// # Errors
/// Where there are more values than honest documents have.
pub(crate) fn check_values(text: &[u8]) -> Result<(), Cause> {
    // What is within strings counts as well, which is too much by little.
    let weigh = |byte: &u8| match byte {
        b',' | b'[' => 1,
        b'{' => OBJECT,
        _ => 0,
    };
    match text.iter().map(weigh).sum::<usize>() <= MOST {
        true => Ok(()),
        false => Err(format!("it has more than {MOST} values").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_many_times_its_length_is_refused() {
        assert!(check_values(&b"0,".repeat(MOST)).is_ok());
        assert!(check_values(&b"0,".repeat(MOST + 1)).is_err());
        assert!(check_values(&b"{}".repeat(MOST / OBJECT + 1)).is_err());
        assert!(check_values(&b"0".repeat(MOST + 1)).is_ok());
    }
}
