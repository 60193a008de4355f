//! Dates and times as people write them.

use arrow_schema::{DataType, TimeUnit};

const DAY: i64 = 86_400;

/// Days of 400 years.
const ERA: i64 = 146_097;

/// What a column of dates or timestamps holds for `2024-01-31` or `2024-01-31T12:00:00`, in UTC. Nothing where the text is neither, or
/// the type cannot hold it: a time of day is no date.
///
/// ```
/// use wafermill_sdk::{DataType, TimeUnit, instant};
///
/// assert_eq!(instant("1970-01-03", &DataType::Date32), Some(2));
/// assert_eq!(instant("1970-01-01T00:00:01", &DataType::Timestamp(TimeUnit::Millisecond, None)), Some(1_000));
/// assert_eq!(instant("1970-01-01T00:00:01", &DataType::Date32), None);
/// ```
pub fn instant(text: &str, data_type: &DataType) -> Option<i64> {
    let seconds = seconds(text)?;
    match data_type {
        DataType::Date32 => (seconds % DAY == 0).then_some(seconds / DAY),
        DataType::Date64 => seconds.checked_mul(1_000),
        DataType::Timestamp(unit, _) => seconds.checked_mul(match unit {
            TimeUnit::Second => 1,
            TimeUnit::Millisecond => 1_000,
            TimeUnit::Microsecond => 1_000_000,
            TimeUnit::Nanosecond => 1_000_000_000,
        }),
        _ => None,
    }
}

/// A day as `2024-01-31`, from the days since 1970-01-01, in the Gregorian calendar; Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms".
///
/// ```
/// use wafermill_sdk::date;
///
/// assert_eq!(date(19_753), "2024-01-31");
/// ```
pub fn date(days: i64) -> String {
    // 1970-01-01 is that day of the fifth era of 400 years; added later than the rest so that no day is too late.
    let since_era = days.rem_euclid(ERA) + 135_080;
    let (era, day_of_era) = (days.div_euclid(ERA) + 4 + since_era / ERA, since_era % ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Seconds since 1970.
fn seconds(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00"));
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time.strip_suffix('Z').unwrap_or(time), ':')?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let in_range = (1..=12).contains(&month) && (1..=*days.get(month as usize - 1)?).contains(&day);
    if !in_range || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(days_from_civil(year, month, day) * DAY + hour * 3_600 + minute * 60 + second)
}

fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(|part| part.parse::<u32>().ok().map(i64::from));
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// Days since 1970-01-01 in the Gregorian calendar; Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_timestamps_are_counted_from_1970() {
        assert_eq!(seconds("1970-01-01"), Some(0));
        assert_eq!(seconds("2000-02-29T00:00:01Z"), Some(951_782_401));
        assert_eq!(seconds("1969-12-31T23:59:59"), Some(-1));
        for bad in ["2023-02-29", "2023-13-01", "2023-00-01", "2023-1", "x", "2023-01-01T24:00:00"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn days_are_written_as_the_dates_from_which_they_are_counted() {
        for (days, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (19_753, "2024-01-31"),
            (-719_528, "0000-01-01"),
        ] {
            assert_eq!(date(days), text);
        }
        for days in (-800_000..3_000_000).step_by(97) {
            let text = date(days);
            assert!(text.starts_with('-') || seconds(&text) == Some(days * DAY), "{text}");
        }
        assert_eq!(date(i64::MAX), "25252734927768524-07-27");
        assert_eq!(date(i64::MIN), "-25252734927764585-06-07");
    }

    #[test]
    fn an_instant_beyond_its_type_is_none() {
        let nanoseconds = DataType::Timestamp(TimeUnit::Nanosecond, None);
        assert_eq!(instant("3000-01-01", &nanoseconds), None);
        assert!(instant("3000-01-01", &DataType::Timestamp(TimeUnit::Microsecond, None)).is_some());
        assert_eq!(instant("2024-01-01", &DataType::Int64), None);
    }
}
