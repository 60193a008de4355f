//! Dates, times and intervals as text.

use super::number;
use arrow_array::types::IntervalMonthDayNano;
use chrono::{DateTime, Datelike, Timelike, Utc};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 24 * 60 * 60 * SECOND;

/// How points in time are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stamps {
    /// Seconds since 1970 as a double, which is the default and not always exact.
    Seconds,
    /// Microseconds since 1970.
    Microseconds,
    /// Text with a fraction of twelve digits.
    Text,
}

pub(crate) fn timestamp(microseconds: i64, stamps: Stamps) -> String {
    match stamps {
        Stamps::Seconds => number::double(microseconds as f64 / SECOND as f64),
        Stamps::Microseconds => microseconds.to_string(),
        Stamps::Text => {
            let fraction = microseconds.rem_euclid(SECOND);
            format!("{}.{fraction:06}000000Z", datetime(microseconds - fraction))
        }
    }
}

pub(crate) fn datetime(microseconds: i64) -> String {
    let time = microseconds.rem_euclid(DAY);
    // Days of 64-bit microseconds always fit.
    let day = date(((microseconds - time) / DAY) as i32);
    format!("{day}T{}", self::time(time))
}

pub(crate) fn date(days: i32) -> String {
    let Some(date) = DateTime::<Utc>::from_timestamp_secs(i64::from(days) * 24 * 60 * 60) else {
        // No date of BigQuery's, but a file may have it.
        return days.to_string();
    };
    format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
}

/// A time of day; its fraction has six digits or there is none.
pub(crate) fn time(microseconds: i64) -> String {
    let Some(time) = DateTime::<Utc>::from_timestamp_micros(microseconds) else {
        return microseconds.to_string();
    };
    let text = format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    match microseconds % SECOND {
        0 => text,
        fraction => format!("{text}.{fraction:06}"),
    }
}

/// An interval in BigQuery's canonical form: `years-months days hours:minutes:seconds`, each part with its sign.
pub(crate) fn interval(interval: IntervalMonthDayNano) -> String {
    let sign = |negative| if negative { "-" } else { "" };
    let months = interval.months.unsigned_abs();
    let microseconds = (interval.nanoseconds / 1_000).unsigned_abs();
    let (seconds, fraction) = (microseconds / SECOND as u64, microseconds % SECOND as u64);
    let time = format!("{}:{}:{}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let fraction = match fraction {
        0 => String::new(),
        fraction => format!(".{fraction:06}"),
    };
    let (of_months, of_time) = (sign(interval.months < 0), sign(interval.nanoseconds < 0));
    format!("{of_months}{}-{} {} {of_time}{time}{fraction}", months / 12, months % 12, interval.days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_moment_of_bigquery_are_written_in_each_form() {
        let (first, last) = (-62_135_596_800 * SECOND, 253_402_300_800 * SECOND - 1);
        assert_eq!(datetime(first), "0001-01-01T00:00:00");
        assert_eq!(datetime(last), "9999-12-31T23:59:59.999999");
        assert_eq!(timestamp(last, Stamps::Text), "9999-12-31T23:59:59.999999000000Z");
        assert_eq!(timestamp(-1, Stamps::Text), "1969-12-31T23:59:59.999999000000Z");
        assert_eq!(timestamp(1_447_216_127 * SECOND, Stamps::Seconds), "1.447216127E9");
        assert_eq!(timestamp(last, Stamps::Seconds), "2.534023008E11", "a double is not exact enough");
    }

    #[test]
    fn each_part_of_an_interval_has_its_sign() {
        assert_eq!(interval(IntervalMonthDayNano::new(0, 0, 0)), "0-0 0 0:0:0");
        assert_eq!(interval(IntervalMonthDayNano::new(-14, 3, -3_661_000_001_000)), "-1-2 3 -1:1:1.000001");
    }
}
