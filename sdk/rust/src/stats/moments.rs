//! Count, sum, sum of squares, minimum and maximum of numbers.

use super::DRAIN_ROWS;
use super::dense::{CHUNK, chunks_of, dense_chunks, keep};
use crate::exact::{self, Adder, ExactSums, Sums, WIDEST};
use crate::plan::{Operator, Table};
use crate::plugin::Rows;
use crate::rational::Rational;
use crate::{Batch, Column, Error, Result, Values};
use arrow_schema::{DataType, Field};
use std::collections::VecDeque;

/// Gathers the moments of some columns: a row of counts and extremes for each, and a row of sums for each exponent among its numbers.
#[derive(Debug)]
pub struct Moments {
    columns: Vec<ColumnMoments>,
    adder: Adder,
    /// What was laid out and not given away yet.
    ready: VecDeque<Rows>,
    drained: bool,
}

/// The moments of one column.
///
/// NaNs are counted and otherwise left out; infinities count for the extremes, but not for the sums.
#[derive(Clone, Debug, Default)]
pub struct ColumnMoments {
    /// Rows with a finite number.
    pub count: i64,
    /// Rows with a null.
    pub nulls: i64,
    /// Rows with NaN.
    pub nans: i64,
    /// Rows with either infinity.
    pub infinities: i64,
    /// The least number; nothing where there is none.
    pub min: Option<f64>,
    /// The largest number.
    pub max: Option<f64>,
    sums: ExactSums,
}

const _: () = assert!(CHUNK <= exact::MOST, "a chunk of numbers can be added at once");

/// Where a table stands among those of moments.
const COUNTS: usize = 0;
const SUMS: usize = 1;

/// Wide enough for sums of products of 64 bits over any number of rows.
const SUM: DataType = DataType::Decimal128(38, 0);

impl Moments {
    /// The two tables of partials that moments are drained to: counts and extremes by column, and sums by column and exponent.
    pub fn tables() -> [Table; 2] {
        let field = |name: &str, data_type, nullable| Field::new(name, data_type, nullable);
        let column = || (field("column", DataType::UInt32, false), Operator::Key);
        let count = |name| (field(name, DataType::Int64, false), Operator::Sum);
        let sum = |name| (field(name, SUM, false), Operator::Sum);
        [
            Table::partials(
                "moments",
                [
                    column(),
                    count("count"),
                    count("nulls"),
                    count("nans"),
                    count("infinities"),
                    (field("min", DataType::Float64, true), Operator::Min),
                    (field("max", DataType::Float64, true), Operator::Max),
                ],
            ),
            Table::partials(
                "sums",
                [
                    column(),
                    (field("exponent", DataType::UInt32, false), Operator::Key),
                    sum("mantissas"),
                    sum("squares_of_highs"),
                    sum("highs_by_lows"),
                    sum("squares_of_lows"),
                ],
            ),
        ]
    }

    /// For so many columns.
    pub fn new(columns: usize) -> Self {
        Self {
            columns: vec![ColumnMoments::default(); columns],
            adder: Adder::default(),
            ready: VecDeque::new(),
            drained: true,
        }
    }

    /// Takes the first columns of a batch.
    ///
    /// # Errors
    /// Where one holds no numbers.
    pub fn update(&mut self, batch: &Batch) -> Result<()> {
        self.drained = false;
        for ((moments, column), field) in self.columns.iter_mut().zip(batch.columns()).zip(batch.fields()) {
            moments.update(column, &mut self.adder).ok_or_else(|| not_numeric(field))?;
        }
        Ok(())
    }

    /// Gives away some of what was gathered, as rows of the plan's partial tables from `first` on.
    ///
    /// # Errors
    /// Where it cannot be laid out.
    pub fn drain(&mut self, first: usize) -> Result<Option<Rows>> {
        if !std::mem::replace(&mut self.drained, true) {
            let fresh = vec![ColumnMoments::default(); self.columns.len()];
            let columns = std::mem::replace(&mut self.columns, fresh);
            let keyed: Vec<_> = (0..).zip(&columns).collect();
            self.ready.extend(Self::rows(first, &keyed)?);
        }
        Ok(self.ready.pop_front())
    }

    /// Moments by what stands in the tables' first key, as rows of the plan's partial tables from `first` on.
    ///
    /// # Errors
    /// Where they cannot be laid out.
    pub fn rows(first: usize, keyed: &[(u32, &ColumnMoments)]) -> Result<Vec<Rows>> {
        let [counts, sums] = Self::tables();
        let columns: Vec<&ColumnMoments> = keyed.iter().map(|(_, moments)| *moments).collect();
        let counts = Rows::new(first + COUNTS, &counts.schema, keyed.len(), |output| {
            output.primitives(keyed.iter().map(|(key, _)| Some(*key)))?;
            output.primitives(columns.iter().map(|it| Some(it.count)))?;
            output.primitives(columns.iter().map(|it| Some(it.nulls)))?;
            output.primitives(columns.iter().map(|it| Some(it.nans)))?;
            output.primitives(columns.iter().map(|it| Some(it.infinities)))?;
            output.primitives(columns.iter().map(|it| it.min))?;
            output.primitives(columns.iter().map(|it| it.max))
        })?;
        let mut all = vec![counts];
        let exponents = keyed.iter().flat_map(|(key, it)| it.sums.exponents().iter().map(|sums| (*key, sums)));
        let exponents: Vec<(u32, &(u16, Sums))> = exponents.collect();
        for exponents in exponents.chunks(DRAIN_ROWS) {
            all.push(Rows::new(first + SUMS, &sums.schema, exponents.len(), |output| {
                output.primitives(exponents.iter().map(|(key, _)| Some(*key)))?;
                output.primitives(exponents.iter().map(|(_, (exponent, _))| Some(u32::from(*exponent))))?;
                output.primitives(exponents.iter().map(|(_, (_, sums))| Some(sums.mantissas)))?;
                (0..3).try_for_each(|product| {
                    output.primitives(exponents.iter().map(|(_, (_, sums))| Some(sums.products[product])))
                })
            })?);
        }
        Ok(all)
    }
}

/// Whether it is true of any value. All are looked at, so that many are at once.
fn any<T: Copy>(values: &[T], is: impl Fn(T) -> bool) -> bool {
    values.iter().fold(false, |any, value| any | is(*value))
}

/// Where a column holds no numbers.
pub(crate) fn not_numeric(field: &Field) -> Error {
    let message = format!("a column of type {} holds no numbers", field.data_type());
    Error::unsupported_type(message).column(field.name())
}

impl ColumnMoments {
    fn update(&mut self, column: &Column, adder: &mut Adder) -> Option<()> {
        self.nulls += column.null_count() as i64;
        match column.values() {
            Values::Int64(values) if any(values, |value| value.unsigned_abs() > WIDEST) => {
                self.integers(column, values.iter().map(|value| i128::from(*value)));
            }
            Values::UInt64(values) if any(values, |value| value > WIDEST) => {
                self.integers(column, values.iter().map(|value| i128::from(*value)));
            }
            _ => dense_chunks(&column.to_f64()?, column.nulls(), |numbers| self.add_chunk(numbers, adder)),
        }
        Some(())
    }

    /// Adds what another accumulator gathered. Nothing where its sums are none.
    pub fn merge(&mut self, other: &Self) -> Option<()> {
        self.count = self.count.checked_add(other.count)?;
        self.nulls = self.nulls.checked_add(other.nulls)?;
        self.nans = self.nans.checked_add(other.nans)?;
        self.infinities = self.infinities.checked_add(other.infinities)?;
        other.min.into_iter().chain(other.max).for_each(|extreme| self.extremes(extreme));
        other.sums.exponents().iter().try_for_each(|(exponent, sums)| self.sums.insert(*exponent, *sums))
    }

    /// Adds numbers, NaNs among them.
    pub fn add_all(&mut self, numbers: impl Iterator<Item = f64>, adder: &mut Adder) {
        chunks_of(numbers, |numbers| self.add_chunk(numbers, adder));
    }

    fn add_chunk(&mut self, numbers: &[f64], adder: &mut Adder) {
        if !any(numbers, |number| !number.is_finite()) {
            return self.add_finite(numbers, adder);
        }
        let mut finite = [0.0; CHUNK];
        let count = keep(numbers.iter().map(|number| (*number, number.is_finite())), &mut finite);
        self.add_finite(&finite[..count], adder);
        for number in numbers.iter().filter(|number| !number.is_finite()) {
            if number.is_nan() {
                self.nans += 1;
            } else {
                self.infinities += 1;
                self.extremes(*number);
            }
        }
    }

    fn add_finite(&mut self, numbers: &[f64], adder: &mut Adder) {
        if numbers.is_empty() {
            return;
        }
        self.count += numbers.len() as i64;
        adder.add(numbers, &mut self.sums);
        // Lanes of their own, which are compared side by side.
        let (mut least, mut most) = ([f64::INFINITY; 4], [f64::NEG_INFINITY; 4]);
        let (fours, rest) = numbers.as_chunks::<4>();
        for four in fours {
            for ((least, most), number) in least.iter_mut().zip(&mut most).zip(four) {
                *least = if number < least { *number } else { *least };
                *most = if *most < *number { *number } else { *most };
            }
        }
        least.iter().chain(&most).filter(|_| !fours.is_empty()).chain(rest).for_each(|number| self.extremes(*number));
    }

    fn integers(&mut self, column: &Column, values: impl Iterator<Item = i128>) {
        for (row, value) in values.enumerate() {
            if !column.is_null(row) {
                self.add_integer(value);
            }
        }
    }

    /// Whether doubles lack an integer or one of its neighbours, so that it is to be added by [`add_integer`](Self::add_integer).
    pub fn is_wide(integer: i128) -> bool {
        integer.unsigned_abs() > WIDEST.into()
    }

    /// Adds an integer of 64 bits, signed or not.
    pub fn add_integer(&mut self, value: i128) {
        self.count += 1;
        self.sums.add_integer(value);
        self.extremes(value as f64);
    }

    fn extremes(&mut self, value: f64) {
        // Adding zero turns -0.0 into 0.0, so that the extremes do not depend on which of the two came first.
        let value = value + 0.0;
        self.min = Some(self.min.map_or(value, |min| min.min(value)));
        self.max = Some(self.max.map_or(value, |max| max.max(value)));
    }

    /// The mean of the finite numbers, rounded once; nothing where there are none.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sums.sum().over(self.count as u64).to_f64())
    }

    /// (n Σx² − (Σx)²) / n², exactly: the variance of the whole, not of a sample of it (`ddof = 0`).
    fn exact_variance(&self) -> Option<Rational> {
        let count = u64::try_from(self.count).ok().filter(|count| *count > 0)?;
        let sum = self.sums.sum();
        let squares = self.sums.squares().times(&Rational::integer(count));
        // No numbers have a negative one, but partials that were tampered with may.
        let difference = Some(squares.minus(&sum.times(&sum))).filter(|difference| !difference.is_negative())?;
        Some(difference.over(count).over(count))
    }

    /// The variance (`ddof = 0`), rounded once.
    pub fn variance(&self) -> Option<f64> {
        Some(self.exact_variance()?.to_f64())
    }

    /// The standard deviation (`ddof = 0`), rounded once.
    pub fn standard_deviation(&self) -> Option<f64> {
        Some(self.exact_variance()?.sqrt_to_f64())
    }
}

/// Reads the combined partials of [`Moments`].
#[derive(Debug)]
pub struct MomentsReader {
    columns: Vec<ColumnMoments>,
}

impl MomentsReader {
    /// For so many columns.
    pub fn new(columns: usize) -> Self {
        Self { columns: vec![ColumnMoments::default(); columns] }
    }

    /// Takes rows of the partial table at `table` (counted from the first of [`Moments::tables`]).
    ///
    /// # Errors
    /// Where they are not what [`Moments::drain`] gave.
    pub fn push(&mut self, table: usize, rows: &Batch) -> Result<()> {
        self.read(table, rows).ok_or_else(|| Error::invalid_model("these partials are no moments"))
    }

    fn read(&mut self, table: usize, rows: &Batch) -> Option<()> {
        for (column, moments) in Self::read_keyed(table, rows)? {
            self.columns.get_mut(column as usize)?.merge(&moments)?;
        }
        Some(())
    }

    /// What the rows of the partial table at `table` add to the moments of what stands in their key; nothing where they are not what
    /// [`Moments::rows`] gave.
    pub fn read_keyed(table: usize, rows: &Batch) -> Option<Vec<(u32, ColumnMoments)>> {
        let (keys, columns) = rows.columns().split_first()?;
        let Values::UInt32(keys) = keys.values() else { return None };
        let moments = match table {
            COUNTS => read_counts(columns)?,
            SUMS => read_sums(columns)?,
            _ => return None,
        };
        Some(keys.iter().copied().zip(moments).collect())
    }

    /// The moments of each column. Those of a column of which no row was seen are empty.
    pub fn finish(self) -> Vec<ColumnMoments> {
        self.columns
    }
}

fn read_counts(columns: &[Column]) -> Option<Vec<ColumnMoments>> {
    let [count, nulls, nans, infinities, min, max] = columns else { return None };
    let rows = count.len();
    let (count, nulls, nans, infinities) = (count.to_i64()?, nulls.to_i64()?, nans.to_i64()?, infinities.to_i64()?);
    let (least, most) = (min.to_f64()?, max.to_f64()?);
    let of_row = |row: usize| {
        let moments = ColumnMoments {
            count: count[row],
            nulls: nulls[row],
            nans: nans[row],
            infinities: infinities[row],
            min: (!min.is_null(row)).then(|| least[row]),
            max: (!max.is_null(row)).then(|| most[row]),
            sums: ExactSums::default(),
        };
        let counts = [moments.count, moments.nulls, moments.nans, moments.infinities];
        let is_nan = moments.min.into_iter().chain(moments.max).any(f64::is_nan);
        Some(moments).filter(|_| !is_nan && counts.iter().all(|count| *count >= 0))
    };
    (0..rows).map(of_row).collect()
}

fn read_sums(columns: &[Column]) -> Option<Vec<ColumnMoments>> {
    let [exponents, sums @ ..] = columns else { return None };
    let Values::UInt32(exponents) = exponents.values() else { return None };
    let decimals = |column: &Column| match column.values() {
        Values::Decimal128(values) => Some(values.clone()),
        _ => None,
    };
    let [mantissas, high, mixed, low] = sums else { return None };
    let (mantissas, products) = (decimals(mantissas)?, [decimals(high)?, decimals(mixed)?, decimals(low)?]);
    let of_row = |(row, exponent): (usize, &u32)| {
        let mut moments = ColumnMoments::default();
        let products = products.each_ref().map(|sums| sums[row]);
        moments.sums.insert(u16::try_from(*exponent).ok()?, Sums { mantissas: mantissas[row], products })?;
        Some(moments)
    };
    exponents.iter().enumerate().map(of_row).collect()
}
