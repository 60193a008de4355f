//! From the values of one column to codes.

use crate::model::Summary;
use crate::{Method, Nulls, Params, Unseen};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use wafermill_sdk::stats::{ByteMap, Category, KeyClass, float_bits};
use wafermill_sdk::{Column, Error, Field, Result, Values};
use xxhash_rust::xxh3::xxh3_64;

/// The code of a row that gets none.
pub(crate) const NOTHING: i32 = i32::MIN;

/// The code of a value that no training row has.
pub(crate) const UNSEEN: i32 = -1;

/// The code of a row that must not be there.
const REFUSED: i32 = i32::MIN + 1;

/// How many rows an error names.
const ROWS_NAMED: usize = 5;

type Map<K> = HashMap<K, i32, FixedState>;

/// The codes of one column.
///
/// Categories have the codes from zero on, in the order of their values; then come the rare ones together, then nulls.
#[derive(Debug)]
pub(crate) struct Codes {
    column: String,
    lookup: Lookup,
    values: Vec<Category>,
    counts: Vec<i64>,
    keep_values: bool,
    summary: Option<Summary>,
    unseen: i32,
    null: i32,
}

#[derive(Debug)]
enum Lookup {
    Integers(Map<u64>),
    Bytes(ByteMap<i32>),
    Hash(u32),
}

impl Codes {
    /// Empty ones for a column.
    pub(crate) fn new(field: &Field, params: &Params) -> Result<Self> {
        let class = KeyClass::of(field.data_type()).ok_or_else(|| Error::internal("values that cannot be counted"))?;
        let lookup = match (params.method, params.buckets, class) {
            (Method::Hash, Some(buckets), _) => Lookup::Hash(buckets),
            (_, _, KeyClass::Text | KeyClass::Binary) => Lookup::Bytes(ByteMap::default()),
            _ => Lookup::Integers(Map::default()),
        };
        Ok(Self {
            column: field.name().clone(),
            lookup,
            values: Vec::new(),
            counts: Vec::new(),
            keep_values: params.method == Method::Onehot,
            summary: None,
            unseen: REFUSED,
            null: REFUSED,
        })
    }

    /// The column's name.
    pub(crate) fn column(&self) -> &str {
        &self.column
    }

    /// The categories with a column of their own, in the order of their codes; kept for `onehot` only.
    pub(crate) fn values(&self) -> &[Category] {
        &self.values
    }

    /// Takes what is known of the column.
    pub(crate) fn summarize(&mut self, summary: Summary) {
        self.summary = Some(summary);
    }

    /// Takes the next category. Nothing where its code is not the next one, or its value of another class.
    pub(crate) fn add(&mut self, value: Category, code: i64, count: i64) -> Option<()> {
        let code = i32::try_from(code).ok().filter(|code| *code as usize == self.counts.len())?;
        let entry = match (&mut self.lookup, &value) {
            (Lookup::Integers(map), Category::Signed(value)) => map.entry(*value as u64).or_default(),
            (Lookup::Integers(map), Category::Unsigned(value)) => map.entry(*value).or_default(),
            (Lookup::Integers(map), Category::Float(value)) => map.entry(float_bits(*value)).or_default(),
            (Lookup::Bytes(map), Category::Text(text)) => map.entry(text.as_bytes(), i32::default),
            (Lookup::Bytes(map), Category::Binary(bytes)) => map.entry(bytes, i32::default),
            _ => return None,
        };
        *entry = code;
        self.counts.push(count);
        if self.keep_values {
            self.values.push(value);
        }
        Some(())
    }

    /// Settles the codes of rare values, nulls and unseen values, once the model was loaded.
    pub(crate) fn complete(&mut self, params: &Params) -> Result<()> {
        if let Lookup::Hash(buckets) = self.lookup {
            self.null = if params.nulls == Nulls::Code { buckets as i32 } else { NOTHING };
            return Ok(());
        }
        let summary = self.summary.filter(|summary| summary.categories == self.counts.len() as i64);
        let summary = summary.ok_or_else(|| Error::invalid_model("the model lacks categories").column(&self.column))?;
        // Each training row was counted once.
        let counts = self.counts.iter().copied().chain([summary.nulls, summary.infrequent.unwrap_or(0)]);
        if counts.clone().any(|count| count < 0) || counts.map(i128::from).sum::<i128>() != summary.rows.into() {
            return Err(Error::invalid_model("the model's counts do not add up to its rows").column(&self.column));
        }
        self.unseen = match (summary.infrequent, params.unseen) {
            (Some(infrequent), _) => self.push_special(infrequent),
            (None, Unseen::Error) => REFUSED,
            (None, Unseen::Ignore) => NOTHING,
            (None, Unseen::Code) => UNSEEN,
        };
        self.null = match params.nulls {
            Nulls::Ignore => NOTHING,
            Nulls::Code if summary.nulls > 0 => self.push_special(summary.nulls),
            Nulls::Code => self.unseen,
        };
        Ok(())
    }

    /// The next code, for rows that have it together.
    fn push_special(&mut self, rows: i64) -> i32 {
        self.counts.push(rows);
        self.counts.len() as i32 - 1
    }

    /// Whether rare values have a code together, and whether nulls have one of their own.
    pub(crate) fn specials(&self, params: &Params) -> (bool, bool) {
        let summary = self.summary.unwrap_or_default();
        (summary.infrequent.is_some(), params.nulls == Nulls::Code && summary.nulls > 0)
    }

    /// The codes that get a column, in the order of the columns.
    pub(crate) fn one_hot_codes(&self, params: &Params) -> impl Iterator<Item = i32> + use<> {
        let unseen = (params.unseen == Unseen::Code && self.unseen == UNSEEN).then_some(UNSEEN);
        (0..self.counts.len() as i32).chain(unseen)
    }

    /// The share of the training rows that have a code.
    pub(crate) fn share(&self, code: i32) -> f64 {
        let rows = self.summary.map_or(0, |summary| summary.rows);
        match usize::try_from(code).ok().and_then(|code| self.counts.get(code)) {
            Some(count) if rows > 0 => *count as f64 / rows as f64,
            _ => 0.0,
        }
    }

    /// The code of each row.
    ///
    /// # Errors
    /// Where a value is unseen and that is an error, with some of the rows.
    pub(crate) fn encode(&self, column: &Column, field: &Field) -> Result<Vec<i32>> {
        let wrong = || Error::internal("a column of another type than its field").column(field.name());
        match column.values() {
            Values::Dictionary(dictionary) => {
                let words = dictionary.values().bytes().ok_or_else(wrong)?;
                let codes: Vec<i32> = (0..words.len()).map(|word| self.bytes(words.get(word))).collect();
                self.rows(column, field, dictionary.keys().iter(), |key| codes[*key as usize])
            }
            Values::Bytes(bytes) => self.rows(column, field, 0..column.len(), |row| self.bytes(bytes.get(row))),
            Values::Boolean(values) => self.rows(column, field, values.iter(), |value| self.integer(value.into())),
            Values::UInt64(values) => self.rows(column, field, values.iter(), |value| self.integer(*value)),
            Values::Float32(_) | Values::Float64(_) => {
                let values = column.to_f64().ok_or_else(wrong)?;
                self.rows(column, field, values.iter(), |value| self.integer(float_bits(*value)))
            }
            _ => {
                let values = column.to_i64().ok_or_else(wrong)?;
                self.rows(column, field, values.iter(), |value| self.integer(*value as u64))
            }
        }
    }

    /// The codes of values, of which those of missing rows are not looked at.
    fn rows<T>(
        &self,
        column: &Column,
        field: &Field,
        values: impl Iterator<Item = T>,
        code: impl Fn(T) -> i32,
    ) -> Result<Vec<i32>> {
        let encoded: Vec<i32> = match column.nulls() {
            None => values.map(code).collect(),
            Some(nulls) => {
                values.zip(nulls).map(|(value, is_there)| if is_there { code(value) } else { self.null }).collect()
            }
        };
        let refused = encoded.iter().enumerate().filter(|(_, code)| **code == REFUSED);
        let refused: Vec<usize> = refused.map(|(row, _)| row).take(ROWS_NAMED).collect();
        if refused.is_empty() {
            return Ok(encoded);
        }
        Err(Error::invalid_data("the rows hold values that no training row has")
            .column(field.name())
            .rows(refused)
            .hint("set `unseen` to `ignore` or `code`"))
    }

    fn bytes(&self, bytes: &[u8]) -> i32 {
        match &self.lookup {
            Lookup::Bytes(map) => map.get(bytes).copied().unwrap_or(self.unseen),
            Lookup::Hash(buckets) => (xxh3_64(bytes) % u64::from(*buckets)) as i32,
            Lookup::Integers(_) => self.unseen,
        }
    }

    fn integer(&self, value: u64) -> i32 {
        match &self.lookup {
            Lookup::Integers(map) => map.get(&value).copied().unwrap_or(self.unseen),
            Lookup::Hash(buckets) => (xxh3_64(&value.to_le_bytes()) % u64::from(*buckets)) as i32,
            Lookup::Bytes(_) => self.unseen,
        }
    }
}
