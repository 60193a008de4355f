//! Count, sum, sum of squares, minimum and maximum of numbers.

use super::order::{decode, encode};
use crate::exact::{Digits, ExactSum, Rational};
use crate::plan::{Operator, Table};
use crate::plugin::Rows;
use crate::{Batch, Column, Error, Result, Values};
use arrow_schema::{DataType, Field};

/// Gathers the moments of some columns: one partial row for each.
#[derive(Debug)]
pub struct Moments {
    columns: Vec<ColumnMoments>,
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
    sum: ExactSum<false>,
    squares: ExactSum<true>,
}

impl Moments {
    /// The table of partials that moments are drained to.
    pub fn table() -> Table {
        let limbs = |count| DataType::FixedSizeList(Field::new("item", DataType::Int64, false).into(), count as i32);
        let field = |name: &str, data_type, nullable| Field::new(name, data_type, nullable);
        Table::partials(
            "moments",
            [
                (field("column", DataType::UInt32, false), Operator::Key),
                (field("count", DataType::Int64, false), Operator::Sum),
                (field("nulls", DataType::Int64, false), Operator::Sum),
                (field("nans", DataType::Int64, false), Operator::Sum),
                (field("infinities", DataType::Int64, false), Operator::Sum),
                (field("min", DataType::Float64, true), Operator::Min),
                (field("max", DataType::Float64, true), Operator::Max),
                (field("sum", limbs(ExactSum::<false>::LIMBS), false), Operator::Sum),
                (field("squares", limbs(ExactSum::<true>::LIMBS), false), Operator::Sum),
            ],
        )
    }

    /// For so many columns.
    pub fn new(columns: usize) -> Self {
        Self { columns: vec![ColumnMoments::default(); columns], drained: true }
    }

    /// Takes the first columns of a batch.
    ///
    /// # Errors
    /// Where one holds no numbers.
    pub fn update(&mut self, batch: &Batch) -> Result<()> {
        self.drained = false;
        for ((moments, column), field) in self.columns.iter_mut().zip(batch.columns()).zip(batch.fields()) {
            moments.update(column).ok_or_else(|| not_numeric(field))?;
        }
        Ok(())
    }

    /// Gives away what was gathered, as rows of the plan's partial table `table`.
    ///
    /// # Errors
    /// Where it cannot be laid out.
    pub fn drain(&mut self, table: usize) -> Result<Option<Rows>> {
        if std::mem::replace(&mut self.drained, true) {
            return Ok(None);
        }
        let fresh = vec![ColumnMoments::default(); self.columns.len()];
        let columns = std::mem::replace(&mut self.columns, fresh);
        let keyed: Vec<_> = (0..).zip(&columns).collect();
        Self::rows(table, &keyed).map(Some)
    }

    /// Moments by what stands in the table's key, as rows of the plan's partial table `table`.
    ///
    /// # Errors
    /// Where they cannot be laid out.
    pub fn rows(table: usize, keyed: &[(u32, &ColumnMoments)]) -> Result<Rows> {
        let columns: Vec<&ColumnMoments> = keyed.iter().map(|(_, moments)| *moments).collect();
        Rows::new(table, &Self::table().schema, keyed.len(), |output| {
            output.primitives(keyed.iter().map(|(key, _)| Some(*key)))?;
            output.primitives(columns.iter().map(|it| Some(it.count)))?;
            output.primitives(columns.iter().map(|it| Some(it.nulls)))?;
            output.primitives(columns.iter().map(|it| Some(it.nans)))?;
            output.primitives(columns.iter().map(|it| Some(it.infinities)))?;
            output.primitives(columns.iter().map(|it| it.min))?;
            output.primitives(columns.iter().map(|it| it.max))?;
            let sums = output.lists::<i64>()?;
            for (slot, it) in sums.chunks_exact_mut(ExactSum::<false>::LIMBS).zip(&columns) {
                slot.copy_from_slice(it.sum.limbs());
            }
            let squares = output.lists::<i64>()?;
            for (slot, it) in squares.chunks_exact_mut(ExactSum::<true>::LIMBS).zip(&columns) {
                slot.copy_from_slice(it.squares.limbs());
            }
            Ok(())
        })
    }
}

/// Where a column holds no numbers.
pub(crate) fn not_numeric(field: &Field) -> Error {
    let message = format!("a column of type {} holds no numbers", field.data_type());
    Error::unsupported_type(message).column(field.name())
}

impl ColumnMoments {
    fn update(&mut self, column: &Column) -> Option<()> {
        self.nulls += column.null_count() as i64;
        match column.values() {
            Values::Float64(values) => self.floats(column, values),
            Values::Float32(_) => self.floats(column, &column.to_f64()?),
            Values::UInt64(values) => self.integers(column, values.iter().map(|value| i128::from(*value))),
            _ => self.integers(column, column.to_i64()?.iter().map(|value| i128::from(*value))),
        }
        Some(())
    }

    fn floats(&mut self, column: &Column, values: &[f64]) {
        match column.nulls() {
            None => self.add_all(values.iter().copied()),
            Some(nulls) => self.add_all(nulls.valid_indices().map(|row| values[row])),
        }
    }

    /// Adds numbers, NaNs among them.
    fn add_all(&mut self, values: impl Iterator<Item = f64>) {
        let (mut count, mut nans, mut infinities) = (0, 0, 0);
        // Codes that order as the numbers do are compared as integers.
        let (mut least, mut most) = (u64::MAX, 0);
        for value in values {
            if value.is_finite() {
                let digits = Digits::of(value);
                self.sum.add_digits(&digits);
                self.squares.add_square_of(&digits);
                count += 1;
            } else if value.is_nan() {
                nans += 1;
                continue;
            } else {
                infinities += 1;
            }
            let code = encode(value);
            least = least.min(code);
            most = most.max(code);
        }
        self.count += count;
        self.nans += nans;
        self.infinities += infinities;
        if count + infinities > 0 {
            self.extremes(decode(least));
            self.extremes(decode(most));
        }
    }

    /// Adds a number, or NaN.
    pub fn add(&mut self, value: f64) {
        self.add_all(std::iter::once(value));
    }

    fn integers(&mut self, column: &Column, values: impl Iterator<Item = i128>) {
        for (row, value) in values.enumerate() {
            if !column.is_null(row) {
                self.add_integer(value);
            }
        }
    }

    /// Adds an integer of 64 bits, signed or not.
    #[inline]
    pub fn add_integer(&mut self, value: i128) {
        self.count += 1;
        let digits = Digits::of_integer(value);
        self.sum.add_digits(&digits);
        self.squares.add_square_of(&digits);
        self.extremes(value as f64);
    }

    #[inline]
    fn extremes(&mut self, value: f64) {
        // Adding zero turns -0.0 into 0.0, so that the extremes do not depend on which of the two came first.
        let value = value + 0.0;
        self.min = Some(self.min.map_or(value, |min| min.min(value)));
        self.max = Some(self.max.map_or(value, |max| max.max(value)));
    }

    /// The mean of the finite numbers, rounded once; nothing where there are none.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum.to_rational().over(self.count as u64).to_f64())
    }

    /// (n Σx² − (Σx)²) / n², exactly: the variance of the whole, not of a sample of it (`ddof = 0`).
    fn exact_variance(&self) -> Option<Rational> {
        let count = u64::try_from(self.count).ok().filter(|count| *count > 0)?;
        let sum = self.sum.to_rational();
        let squares = self.squares.to_rational().times(&Rational::integer(count));
        Some(squares.minus(&sum.times(&sum)).over(count).over(count))
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

    /// Takes rows of the partial table.
    ///
    /// # Errors
    /// Where they are not what [`Moments::drain`] gave.
    pub fn push(&mut self, rows: &Batch) -> Result<()> {
        self.read(rows).ok_or_else(|| Error::invalid_model("these partials are no moments"))
    }

    fn read(&mut self, rows: &Batch) -> Option<()> {
        for (column, moments) in Self::read_keyed(rows)? {
            *self.columns.get_mut(column as usize)? = moments;
        }
        Some(())
    }

    /// The moments in rows of the partial table, by what stands in its key; nothing where they are not what [`Moments::rows`] gave.
    pub fn read_keyed(rows: &Batch) -> Option<Vec<(u32, ColumnMoments)>> {
        let [columns, count, nulls, nans, infinities, min, max, sum, squares] = rows.columns() else { return None };
        let Values::UInt32(columns) = columns.values() else { return None };
        let counts = [count, nulls, nans, infinities].map(Column::to_i64);
        let [count, nulls, nans, infinities] = counts.each_ref().map(Option::as_ref);
        let (least, most) = (min.to_f64()?, max.to_f64()?);
        let (Values::List(_, sums), Values::List(_, squares)) = (sum.values(), squares.values()) else { return None };
        let (sums, squares) = (sums.to_i64()?, squares.to_i64()?);
        let of_row = |(row, column): (usize, &u32)| {
            let limbs = |limbs: &[i64], length: usize| limbs.get(row * length..(row + 1) * length).map(<[i64]>::to_vec);
            let moments = ColumnMoments {
                count: count?[row],
                nulls: nulls?[row],
                nans: nans?[row],
                infinities: infinities?[row],
                min: (!min.is_null(row)).then(|| least[row]),
                max: (!max.is_null(row)).then(|| most[row]),
                sum: ExactSum::from_limbs(&limbs(&sums, ExactSum::<false>::LIMBS)?)?,
                squares: ExactSum::from_limbs(&limbs(&squares, ExactSum::<true>::LIMBS)?)?,
            };
            Some((*column, moments))
        };
        columns.iter().enumerate().map(of_row).collect()
    }

    /// The moments of each column. Those of a column of which no row was seen are empty.
    pub fn finish(self) -> Vec<ColumnMoments> {
        self.columns
    }
}
