//! Some of a table's rows, chosen by what is in them: the same ones every time, from wherever and in whatever order they come.

use super::{BatchReader, Fragment, Position, Source, SourceBatch};
use crate::hash;
use crate::{Error, Result};
use arrow_array::{ArrayRef, BooleanArray, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::filter::filter_record_batch;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// 2⁶⁴.
const WHOLE: f64 = 18_446_744_073_709_551_616.0;

/// Sets the seeds of samples apart from those of splits: `sample` in ASCII.
const SAMPLE: u64 = 0x7361_6d70_6c65;

/// A fraction of rows, above 0 and at most 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fraction(f64);

impl Fraction {
    /// Checks a number.
    ///
    /// # Errors
    /// Where it is not above 0 and at most 1.
    pub fn new(number: f64) -> Result<Self> {
        match number > 0.0 && number <= 1.0 {
            true => Ok(Self(number)),
            false => Err(no_fraction(&number.to_string())),
        }
    }

    /// The fraction of a number.
    fn of(self, number: u64) -> u64 {
        (number as f64 * self.0).round() as u64
    }
}

impl FromStr for Fraction {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = text.parse().map_err(|_| no_fraction(text))?;
        Self::new(number)
    }
}

impl TryFrom<String> for Fraction {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// As text, which is read again without loss.
impl From<Fraction> for String {
    fn from(fraction: Fraction) -> Self {
        fraction.0.to_string()
    }
}

fn no_fraction(text: &str) -> Error {
    let error = Error::usage(format!("a sample is a fraction above 0 and at most 1, and `{text}` is none"));
    error.hint("`0.01` takes about one of a hundred rows")
}

/// A table of which only a sample is read.
pub struct Sample {
    source: Box<dyn Source>,
    fraction: Fraction,
    chosen: Chosen,
}

impl Sample {
    /// A fraction of the rows of a source, in its order; another seed chooses others. Equal rows are all chosen, or none of them.
    pub fn new(source: Box<dyn Source>, fraction: Fraction, seed: u64) -> Self {
        Self { source, fraction, chosen: Chosen::new(fraction, seed) }
    }
}

/// Which rows are chosen. Documented in docs/hash.md.
#[derive(Clone, Copy, Debug)]
struct Chosen {
    salt: u64,
    /// Nothing where all are.
    below: Option<u64>,
}

impl Chosen {
    fn new(fraction: Fraction, seed: u64) -> Self {
        // The product is exact, and the cast rounds it down.
        let below = (fraction.0 < 1.0).then_some((fraction.0 * WHOLE) as u64);
        Self { salt: mix(seed ^ SAMPLE), below }
    }

    fn contains(&self, row_hash: u64) -> bool {
        self.below.is_none_or(|below| mix(row_hash ^ self.salt) < below)
    }
}

/// Spreads a hash once more, so that splits and folds by the same hash are independent of the sample (finalizer of SplitMix64; Steele, Lea and
/// Flood 2014).
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

impl Source for Sample {
    fn schema(&self) -> &SchemaRef {
        self.source.schema()
    }

    fn fragments(&self) -> &[Fragment] {
        self.source.fragments()
    }

    fn inner(&self) -> Option<&dyn Source> {
        Some(self.source.as_ref())
    }

    fn reading_bytes(&self, _: &[usize]) -> u64 {
        let all: Vec<usize> = (0..self.schema().fields().len()).collect();
        self.source.reading_bytes(&all)
    }

    fn estimated_rows(&self) -> Option<u64> {
        self.source.estimated_rows().map(|rows| self.fraction.of(rows))
    }

    fn pass_bytes(&self) -> Option<u64> {
        self.source.pass_bytes().map(|bytes| self.fraction.of(bytes))
    }

    /// Reads all columns, whatever is asked for: a row is known by all of them.
    fn read(&self, columns: &[usize], batch_rows: usize) -> Result<BatchReader<'_>> {
        let all: Vec<usize> = (0..self.schema().fields().len()).collect();
        let reader = self.source.read(&all, batch_rows)?;
        Ok(Box::new(Sampled { reader, columns: columns.to_vec(), chosen: self.chosen, failed: false }))
    }
}

/// The chosen rows of what a reader gives.
struct Sampled<'a> {
    reader: BatchReader<'a>,
    columns: Vec<usize>,
    chosen: Chosen,
    failed: bool,
}

impl Sampled<'_> {
    fn next_batch(&mut self) -> Result<Option<SourceBatch>> {
        while let Some(SourceBatch { position, batch }) = self.reader.next().transpose()? {
            let rows = self.choose(&batch).map_err(|error| position.place(error))?;
            let chosen = rows.count_set_bits();
            let wanted = batch.project(&self.columns).map_err(internal)?;
            if chosen == batch.num_rows() {
                return Ok(Some(SourceBatch { position, batch: wanted }));
            }
            if chosen > 0 {
                let position = position.of_rows(rows.set_indices());
                let batch = filter_record_batch(&wanted, &BooleanArray::from(rows)).map_err(internal)?;
                return Ok(Some(SourceBatch { position, batch }));
            }
        }
        Ok(None)
    }

    fn choose(&self, batch: &RecordBatch) -> Result<BooleanBuffer> {
        let schema = batch.schema();
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let columns: Vec<(&str, ArrayRef)> = names.zip(batch.columns().iter().cloned()).collect();
        let hashes = hash::row_hash(&columns)?;
        Ok(BooleanBuffer::collect_bool(hashes.len(), |row| self.chosen.contains(hashes.value(row))))
    }
}

impl Iterator for Sampled<'_> {
    type Item = Result<SourceBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_batch();
        self.failed = next.is_err();
        next.transpose()
    }
}

fn internal(error: ArrowError) -> Error {
    Error::internal("a sample cannot be taken of a batch").because(error)
}

impl Position {
    /// The place of some of the rows that begin here.
    fn of_rows(self, rows: impl Iterator<Item = usize>) -> Self {
        let rows = match &self.rows {
            Some(origin) => rows.filter_map(|row| origin.get(row).copied()).collect(),
            None => rows.map(|row| self.start + row as u64).collect(),
        };
        Self { rows: Some(rows), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_above_zero_and_at_most_one() {
        for text in ["0", "-0.0", "-0.5", "1.0000001", "2", "nan", "inf", "-inf", "half", "", "0,5"] {
            assert!(text.parse::<Fraction>().is_err(), "{text}");
        }
        for text in ["1", "1e-9", "0.3", "0.1234567890123456789"] {
            let fraction: Fraction = text.parse().unwrap();
            let json = serde_json::to_string(&fraction).unwrap();
            assert_eq!(serde_json::from_str::<Fraction>(&json).unwrap(), fraction);
        }
        assert!(serde_json::from_str::<Fraction>("\"1.5\"").is_err());
    }

    fn chosen(fraction: f64, seed: u64) -> Chosen {
        Chosen::new(Fraction::new(fraction).unwrap(), seed)
    }

    #[test]
    fn a_larger_sample_has_the_rows_of_a_smaller_one_and_all_are_all() {
        let (small, large, all) = (chosen(0.1, 3), chosen(0.2, 3), chosen(1.0, 3));
        let hashes = || (0..10_000_u64).map(mix);
        assert!(hashes().all(|hash| (!small.contains(hash) || large.contains(hash)) && all.contains(hash)));
        assert!(all.contains(u64::MAX) && all.contains(0));
        assert!(hashes().any(|hash| large.contains(hash) && !small.contains(hash)));
    }

    #[test]
    fn as_many_rows_are_chosen_as_are_asked_for_and_others_by_another_seed() {
        const ROWS: u64 = 100_000;
        let hashes = || (0..ROWS).map(|row| mix(row.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        for fraction in [0.001, 0.1, 0.5, 0.9] {
            let (one, other) = (chosen(fraction, 0), chosen(fraction, 1));
            let count = hashes().filter(|hash| one.contains(*hash)).count() as f64;
            let both = hashes().filter(|hash| one.contains(*hash) && other.contains(*hash)).count() as f64;
            let near = |found: f64, share: f64| {
                let rows = ROWS as f64;
                (found - share * rows).abs() < 5.0 * (share * (1.0 - share) * rows).sqrt() + 1.0
            };
            assert!(near(count, fraction) && near(both, fraction * fraction), "{fraction}: {count}, {both}");
        }
    }

    /// The numbers of docs/hash.md.
    #[test]
    fn samples_are_what_the_docs_state() {
        assert_eq!((chosen(0.5, 0).salt, chosen(0.5, 7).salt), (SALT_0, SALT_7));
        assert_eq!(mix(0x0b5a_b016_adf5_a137 ^ SALT_0), MIXED);
    }

    const SALT_0: u64 = 0xb74b_efc6_df41_7f60;
    const SALT_7: u64 = 0x4a71_0a7a_685e_1236;
    const MIXED: u64 = 0x862b_0a4e_9807_89f9;
}
