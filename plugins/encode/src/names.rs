//! Names of the columns of a one-hot encoding.

use crate::codes::Codes;
use crate::{Params, Unseen};
use foldhash::fast::FixedState;
use hashbrown::HashSet;
use wafermill_sdk::stats::Category;
use wafermill_sdk::{DataType, Error, Field, Result, TimeUnit, date};

/// Bytes of a column's name, more than which the host does not take.
const LONGEST: usize = 64 << 10;

/// One name for each of the codes that get a column: `NAME_VALUE`, `NAME__infrequent`, `NAME__null`, `NAME__unseen`.
///
/// # Errors
/// Where two of them are the same, or one is too long.
pub(crate) fn column_names(field: &Field, codes: &Codes, params: &Params) -> Result<Vec<String>> {
    let (infrequent, null) = codes.specials(params);
    let unseen = params.unseen == Unseen::Code && !infrequent;
    let mut endings: Vec<String> = codes.values().iter().map(|value| display(value, field.data_type())).collect();
    let specials = [(infrequent, "_infrequent"), (null, "_null"), (unseen, "_unseen")];
    endings.extend(specials.into_iter().filter(|(there, _)| *there).map(|(_, ending)| ending.to_owned()));
    if let Some(ending) = endings.iter().find(|ending| field.name().len() + 1 + ending.len() > LONGEST) {
        return Err(Error::invalid_data(format!("a category of {} bytes is too long to name a column", ending.len()))
            .column(field.name())
            .hint("use the method `ordinal`"));
    }
    let names: Vec<String> = endings.into_iter().map(|ending| format!("{}_{ending}", field.name())).collect();
    let mut known = HashSet::with_hasher(FixedState::default());
    if let Some(name) = names.iter().find(|name| !known.insert(name.as_str())) {
        return Err(Error::invalid_data(format!("two of its categories would make a column `{name}`"))
            .column(field.name())
            .hint("use the method `ordinal`, or rename the value"));
    }
    drop(known);
    Ok(names)
}

fn display(value: &Category, data_type: &DataType) -> String {
    match (value, data_type) {
        (Category::Signed(value), DataType::Boolean) => (*value != 0).to_string(),
        (Category::Signed(days), DataType::Date32) => date(*days),
        (Category::Signed(value), DataType::Date64) => timestamp(*value, TimeUnit::Millisecond),
        (Category::Signed(value), DataType::Timestamp(unit, _)) => timestamp(*value, *unit),
        (Category::Signed(value), _) => value.to_string(),
        (Category::Unsigned(value), _) => value.to_string(),
        (Category::Float(value), DataType::Float32) => (*value as f32).to_string(),
        (Category::Float(value), _) => value.to_string(),
        (Category::Text(text), _) => text.clone(),
        (Category::Binary(bytes), _) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// A time counted from 1970-01-01 as `2024-01-31T12:00:00`, with as many decimals as it needs.
fn timestamp(value: i64, unit: TimeUnit) -> String {
    let (digits, second) = match unit {
        TimeUnit::Second => (0, 1),
        TimeUnit::Millisecond => (3, 1_000),
        TimeUnit::Microsecond => (6, 1_000_000),
        TimeUnit::Nanosecond => (9, 1_000_000_000),
    };
    let (seconds, fraction) = (value.div_euclid(second), value.rem_euclid(second));
    let (days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let text = format!("{}T{:02}:{:02}:{:02}", date(days), time / 3_600, time / 60 % 60, time % 60);
    if fraction == 0 {
        return text;
    }
    format!("{text}.{}", format!("{fraction:0digits$}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_to_their_last_decimal() {
        assert_eq!(timestamp(-1, TimeUnit::Second), "1969-12-31T23:59:59");
        assert_eq!(timestamp(1_706_702_400_050, TimeUnit::Millisecond), "2024-01-31T12:00:00.05");
        assert_eq!(timestamp(i64::MAX, TimeUnit::Nanosecond), "2262-04-11T23:47:16.854775807");
        assert_eq!(timestamp(i64::MIN, TimeUnit::Second), "-292277022657-01-27T08:29:52");
    }
}
