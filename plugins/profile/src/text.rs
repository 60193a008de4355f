//! Values as text, and as numbers, from their keys.

use crate::keys::{KEPT, decimal_to_f64, to_float, to_signed, to_wide, without_dictionary};
use crate::kind::Kind;
use std::fmt::Write as _;
use wafermill_sdk::{DataType, TimeUnit, date};

const DAY: i64 = 86_400;

/// A value for people; exactly, but for strings that were cut, which end with `…`.
pub(crate) fn text(key: &[u8], kind: Kind, data_type: &DataType) -> String {
    match kind {
        Kind::Text | Kind::Binary => {
            let kept = &key[..key.len().min(KEPT)];
            let mut text = if kind == Kind::Text { whole_characters(kept) } else { hexadecimal(kept) };
            if key.len() > KEPT {
                text.push('…');
            }
            text
        }
        Kind::Boolean => (word(key) & 1 == 1).to_string(),
        Kind::Unsigned => word(key).to_string(),
        // The shortest digits that mean this number.
        Kind::Float if *data_type == DataType::Float32 => format!("{:?}", to_float(word(key)) as f32),
        Kind::Float => format!("{:?}", to_float(word(key))),
        Kind::Decimal(scale) => decimal(to_wide(key.try_into().unwrap_or_default()), scale),
        Kind::Signed => time(to_signed(word(key)), without_dictionary(data_type)),
    }
}

/// The number that a value is or stands for, as the nearest double.
pub(crate) fn number(key: &[u8], kind: Kind) -> Option<f64> {
    Some(match kind {
        Kind::Text | Kind::Binary => return None,
        Kind::Boolean | Kind::Signed => to_signed(word(key)) as f64,
        Kind::Unsigned => word(key) as f64,
        Kind::Float => to_float(word(key)),
        Kind::Decimal(scale) => decimal_to_f64(to_wide(key.try_into().ok()?), scale),
    })
}

fn word(key: &[u8]) -> u64 {
    u64::from_be_bytes(key.try_into().unwrap_or_default())
}

/// A string that may have been cut within a character.
fn whole_characters(bytes: &[u8]) -> String {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    };
    valid.to_owned()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn decimal(value: i128, scale: i8) -> String {
    let digits = value.unsigned_abs().to_string();
    let sign = if value < 0 { "-" } else { "" };
    match usize::try_from(scale) {
        Ok(0) => format!("{sign}{digits}"),
        Ok(scale) => {
            let digits = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            format!("{sign}{whole}.{fraction}")
        }
        Err(_) if value == 0 => digits,
        Err(_) => format!("{sign}{digits}{}", "0".repeat(usize::from(scale.unsigned_abs()))),
    }
}

/// An integer, or what it counts in a column of dates or times.
fn time(value: i64, data_type: &DataType) -> String {
    match data_type {
        DataType::Date32 => date(value),
        DataType::Date64 if value % (DAY * 1_000) == 0 => date(value / (DAY * 1_000)),
        DataType::Date64 => instant(value, TimeUnit::Millisecond),
        DataType::Timestamp(unit, _) => instant(value, *unit),
        DataType::Time32(unit) | DataType::Time64(unit) if (0..DAY * per_second(*unit)).contains(&value) => {
            clock(value, *unit)
        }
        _ => value.to_string(),
    }
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

fn instant(value: i64, unit: TimeUnit) -> String {
    let day = DAY * per_second(unit);
    format!("{}T{}", date(value.div_euclid(day)), clock(value.rem_euclid(day), unit))
}

/// A time of day, with a fraction where it has one.
fn clock(value: i64, unit: TimeUnit) -> String {
    let (seconds, rest) = (value / per_second(unit), value % per_second(unit));
    let text = format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let digits = per_second(unit).ilog10() as usize;
    if rest == 0 { text } else { format!("{text}.{rest:0digits$}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_written_as_people_write_them() {
        assert_eq!(time(-1, &DataType::Timestamp(TimeUnit::Millisecond, None)), "1969-12-31T23:59:59.999");
        assert_eq!(time(951_782_401, &DataType::Timestamp(TimeUnit::Second, None)), "2000-02-29T00:00:01");
        assert_eq!(time(1_500, &DataType::Time64(TimeUnit::Microsecond)), "00:00:00.001500");
        assert_eq!(time(86_399, &DataType::Time32(TimeUnit::Second)), "23:59:59");
        assert_eq!(time(90, &DataType::Duration(TimeUnit::Second)), "90");
        assert_eq!(time(86_400_000, &DataType::Date64), "1970-01-02");
        for unit in [TimeUnit::Second, TimeUnit::Nanosecond] {
            assert!(time(i64::MIN, &DataType::Timestamp(unit, None)).contains('T'));
            assert!(time(i64::MAX, &DataType::Timestamp(unit, None)).contains('T'));
        }
    }

    #[test]
    fn decimals_keep_their_digits() {
        assert_eq!(decimal(-5, 3), "-0.005");
        assert_eq!(decimal(12_340, 2), "123.40");
        assert_eq!(decimal(7, -2), "700");
        assert_eq!(decimal(0, -2), "0");
        assert_eq!(decimal(i128::MIN, 0), i128::MIN.to_string());
    }

    #[test]
    fn strings_are_cut_between_characters() {
        let long = "ä".repeat(200);
        let cut = text(&[long.as_bytes(), &[0; 16]].concat(), Kind::Text, &DataType::Utf8);
        assert_eq!(cut, "ä".repeat(128) + "…");
        let odd = format!("x{long}");
        assert_eq!(text(&odd.as_bytes()[..257], Kind::Text, &DataType::Utf8), format!("x{}…", "ä".repeat(127)));
        assert_eq!(text(&[0, 255], Kind::Binary, &DataType::Binary), "00ff");
    }
}
