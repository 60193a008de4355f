//! How often each value occurs.

use super::{ByteMap, DRAIN_ROWS};
use crate::plan::{Operator, Table};
use crate::plugin::Rows;
use crate::{Batch, Column, Error, Result, Values};
use arrow_schema::{DataType, Field};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// What values are counted as; each class present has a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyClass {
    /// Signed integers, Booleans, dates, times and timestamps, as Int64.
    Signed,
    /// UInt64.
    Unsigned,
    /// Floats, as Float64; −0.0 counts as 0.0, and all NaNs as one.
    Float,
    /// Strings.
    Text,
    /// Byte strings.
    Binary,
}

impl KeyClass {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Signed, Self::Unsigned, Self::Float, Self::Text, Self::Binary];

    /// The class of a column's values; nothing where they cannot be counted.
    pub fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::UInt64 => Self::Unsigned,
            DataType::Float32 | DataType::Float64 => Self::Float,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Dictionary(_, _) => Self::Text,
            DataType::Binary | DataType::LargeBinary => Self::Binary,
            DataType::Boolean | DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) => Self::Signed,
            DataType::Time32(_) | DataType::Time64(_) | DataType::Duration(_) => Self::Signed,
            integer if integer.is_integer() => Self::Signed,
            _ => return None,
        })
    }

    /// The classes of some fields, each once, in order.
    ///
    /// # Errors
    /// Where a field's values cannot be counted.
    pub fn of_all<'f>(fields: impl IntoIterator<Item = &'f Field>) -> Result<Vec<Self>> {
        let class = |field: &Field| {
            Self::of(field.data_type()).ok_or_else(|| {
                Error::unsupported_type(format!("values of type {} cannot be counted", field.data_type()))
                    .column(field.name())
            })
        };
        let present = fields.into_iter().map(class).collect::<Result<Vec<_>>>()?;
        Ok(Self::ALL.into_iter().filter(|class| present.contains(class)).collect())
    }

    /// Lower case, for a table's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Unsigned => "unsigned",
            Self::Float => "float",
            Self::Text => "text",
            Self::Binary => "binary",
        }
    }

    /// How values of this class are kept in a table.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Signed => DataType::Int64,
            Self::Unsigned => DataType::UInt64,
            Self::Float => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::Binary => DataType::Binary,
        }
    }
}

/// One value of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Category {
    /// See [`KeyClass::Signed`].
    Signed(i64),
    /// See [`KeyClass::Unsigned`].
    Unsigned(u64),
    /// See [`KeyClass::Float`].
    Float(f64),
    /// See [`KeyClass::Text`].
    Text(String),
    /// See [`KeyClass::Binary`].
    Binary(Vec<u8>),
}

type Map<K> = HashMap<K, i64, FixedState>;

#[derive(Debug)]
enum Counter {
    Signed(Map<i64>),
    Unsigned(Map<u64>),
    /// By their bits.
    Float(Map<u64>),
    Bytes(ByteMap<i64>),
}

/// Counts the values of some columns.
#[derive(Debug)]
pub struct Counts {
    classes: Vec<KeyClass>,
    columns: Vec<ColumnCounts>,
    /// The first columns, which were drained since the last batch.
    drained: usize,
}

#[derive(Debug)]
struct ColumnCounts {
    class: KeyClass,
    nulls: i64,
    counter: Counter,
}

/// The bits by which floats are counted: one for both zeros, one for all NaNs.
pub fn float_bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() }
}

fn count<K: std::hash::Hash + Eq>(map: &mut Map<K>, column: &Column, keys: impl Iterator<Item = K>) {
    for (row, key) in keys.enumerate() {
        if !column.is_null(row) {
            *map.entry(key).or_default() += 1;
        }
    }
}

impl ColumnCounts {
    fn new(class: KeyClass) -> Self {
        let counter = match class {
            KeyClass::Signed => Counter::Signed(Map::default()),
            KeyClass::Unsigned => Counter::Unsigned(Map::default()),
            KeyClass::Float => Counter::Float(Map::default()),
            KeyClass::Text | KeyClass::Binary => Counter::Bytes(ByteMap::default()),
        };
        Self { class, nulls: 0, counter }
    }

    fn update(&mut self, column: &Column) -> Option<()> {
        self.nulls += column.null_count() as i64;
        match (&mut self.counter, column.values()) {
            (Counter::Signed(map), Values::Boolean(values)) => count(map, column, values.iter().map(i64::from)),
            (Counter::Signed(map), _) => count(map, column, column.to_i64()?.iter().copied()),
            (Counter::Unsigned(map), Values::UInt64(values)) => count(map, column, values.iter().copied()),
            (Counter::Float(map), _) => count(map, column, column.to_f64()?.iter().map(|value| float_bits(*value))),
            (Counter::Bytes(map), Values::Bytes(values)) => {
                for row in (0..column.len()).filter(|row| !column.is_null(*row)) {
                    *map.entry(values.get(row), i64::default) += 1;
                }
            }
            (Counter::Bytes(map), Values::Dictionary(dictionary)) => {
                let words = dictionary.values().bytes()?;
                let mut counts = vec![0_i64; words.len()];
                for (row, key) in dictionary.keys().iter().enumerate() {
                    if !column.is_null(row) {
                        *counts.get_mut(*key as usize)? += 1;
                    }
                }
                for (word, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
                    *map.entry(words.get(word), i64::default) += count;
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// Takes some values out, a null first.
    fn take(&mut self, most: usize) -> Vec<(Option<Category>, i64)> {
        let mut taken = Vec::new();
        if self.nulls > 0 {
            taken.push((None, std::mem::take(&mut self.nulls)));
        }
        fn extract<K: Eq + std::hash::Hash>(
            map: &mut Map<K>,
            most: usize,
            taken: &mut Vec<(Option<Category>, i64)>,
            category: impl Fn(K) -> Category,
        ) {
            let room = most.saturating_sub(taken.len());
            taken.extend(map.extract_if(|_, _| true).take(room).map(|(key, count)| (Some(category(key)), count)));
        }
        match &mut self.counter {
            Counter::Signed(map) => extract(map, most, &mut taken, Category::Signed),
            Counter::Unsigned(map) => extract(map, most, &mut taken, Category::Unsigned),
            Counter::Float(map) => extract(map, most, &mut taken, |bits| Category::Float(f64::from_bits(bits))),
            Counter::Bytes(map) => {
                let is_text = self.class == KeyClass::Text;
                let category = |bytes: Box<[u8]>| match is_text {
                    true => Category::Text(String::from_utf8_lossy(&bytes).into_owned()),
                    false => Category::Binary(bytes.into()),
                };
                let room = most.saturating_sub(taken.len());
                taken.extend(map.extract(room).map(|(bytes, count)| (Some(category(bytes)), count)));
            }
        }
        taken
    }
}

impl Counts {
    /// The tables of partials for columns of these classes: `column`, `value` and `count`.
    pub fn tables(classes: &[KeyClass]) -> Vec<Table> {
        let table = |class: &KeyClass| {
            Table::partials(
                &format!("counts-{}", class.name()),
                [
                    (Field::new("column", DataType::UInt32, false), Operator::Key),
                    (Field::new("value", class.data_type(), true), Operator::Key),
                    (Field::new("count", DataType::Int64, false), Operator::Sum),
                ],
            )
        };
        classes.iter().map(table).collect()
    }

    /// For the columns with these fields.
    ///
    /// # Errors
    /// Where one's values cannot be counted.
    pub fn new<'f>(fields: impl IntoIterator<Item = &'f Field> + Clone) -> Result<Self> {
        let classes = KeyClass::of_all(fields.clone())?;
        let columns = fields.into_iter().filter_map(|field| KeyClass::of(field.data_type()));
        Ok(Self { columns: columns.map(ColumnCounts::new).collect(), classes, drained: 0 })
    }

    /// Takes the first columns of a batch.
    ///
    /// # Errors
    /// Where one has another type than its field said.
    pub fn update(&mut self, batch: &Batch) -> Result<()> {
        self.drained = 0;
        for ((counts, column), field) in self.columns.iter_mut().zip(batch.columns()).zip(batch.fields()) {
            counts
                .update(column)
                .ok_or_else(|| Error::internal("its values cannot be counted").column(field.name()))?;
        }
        Ok(())
    }

    /// Gives away some of what was counted, as rows of the plan's partial tables from `first` on.
    ///
    /// # Errors
    /// Where it cannot be laid out.
    pub fn drain(&mut self, first: usize) -> Result<Option<Rows>> {
        // Columns of one class share a table, and so a batch.
        let mut class = None;
        let mut taken: Vec<(u32, Option<Category>, i64)> = Vec::new();
        while taken.len() < DRAIN_ROWS
            && let Some(counts) = self.columns.get_mut(self.drained)
            && class.is_none_or(|class| class == counts.class)
        {
            let column = self.drained as u32;
            let rows = counts.take(DRAIN_ROWS - taken.len());
            if rows.is_empty() {
                self.drained += 1;
                continue;
            }
            class = Some(counts.class);
            taken.extend(rows.into_iter().map(|(value, count)| (column, value, count)));
        }
        let Some(class) = class else { return Ok(None) };
        let table = self.classes.iter().position(|known| *known == class);
        let table = table.ok_or_else(|| Error::internal("counts of a class that was not planned"))?;
        let schema = Self::tables(&[class]).remove(0).schema;
        let rows = Rows::new(first + table, &schema, taken.len(), |output| {
            output.primitives(taken.iter().map(|(column, ..)| Some(*column)))?;
            write_categories(output, class, taken.iter().map(|(_, value, _)| value.as_ref()))?;
            output.primitives(taken.iter().map(|(.., count)| Some(*count)))
        });
        rows.map(Some)
    }
}

/// Writes values of one class as a column of the class's type.
///
/// # Errors
/// Where the next field of the schema has another type.
pub fn write_categories<'v>(
    output: &mut crate::Output<'_>,
    class: KeyClass,
    mut values: impl Iterator<Item = Option<&'v Category>>,
) -> Result<()> {
    write(output, class, &mut values)
}

/// Compiled once, not for each caller.
fn write(
    output: &mut crate::Output<'_>,
    class: KeyClass,
    values: &mut dyn Iterator<Item = Option<&Category>>,
) -> Result<()> {
    match class {
        KeyClass::Signed => output.primitives(values.map(|it| match it {
            Some(Category::Signed(value)) => Some(*value),
            _ => None,
        })),
        KeyClass::Unsigned => output.primitives(values.map(|it| match it {
            Some(Category::Unsigned(value)) => Some(*value),
            _ => None,
        })),
        KeyClass::Float => output.primitives(values.map(|it| match it {
            Some(Category::Float(value)) => Some(*value),
            _ => None,
        })),
        KeyClass::Text | KeyClass::Binary => output.bytes(values.map(|it| match it {
            Some(Category::Text(text)) => Some(text.as_bytes()),
            Some(Category::Binary(bytes)) => Some(bytes.as_slice()),
            _ => None,
        })),
    }
}

/// Reads the combined partials of [`Counts`].
#[derive(Debug)]
pub struct CountsReader {
    classes: Vec<KeyClass>,
}

impl CountsReader {
    /// For tables of these classes, in the order of [`Counts::tables`].
    pub fn new(classes: Vec<KeyClass>) -> Self {
        Self { classes }
    }

    /// Hands each row of the partial table at `table` (counted from the first table of counts) to `each`: the column's position,
    /// the value or null, and how often it occurred. They come ordered by column, then by value, a null first.
    ///
    /// # Errors
    /// Where they are not what [`Counts::drain`] gave, or `each` fails.
    pub fn push(
        &self,
        table: usize,
        rows: &Batch,
        mut each: impl FnMut(usize, Option<Category>, i64) -> Result<()>,
    ) -> Result<()> {
        let malformed = || Error::invalid_model("these partials are no counts");
        let class = *self.classes.get(table).ok_or_else(malformed)?;
        let [columns, values, counts] = rows.columns() else { return Err(malformed()) };
        let (columns, counts) = (columns.to_i64().ok_or_else(malformed)?, counts.to_i64().ok_or_else(malformed)?);
        for row in 0..rows.rows() {
            let value =
                if values.is_null(row) { None } else { Some(read_category(class, values, row).ok_or_else(malformed)?) };
            each(columns[row] as usize, value, counts[row])?;
        }
        Ok(())
    }
}

/// One value of a column that has the class's type, as [`write_categories`] writes it; nothing where it has another.
///
/// # Panics
/// Where there is no such row.
pub fn read_category(class: KeyClass, values: &Column, row: usize) -> Option<Category> {
    Some(match (class, values.values()) {
        (KeyClass::Signed, Values::Int64(values)) => Category::Signed(values[row]),
        (KeyClass::Unsigned, Values::UInt64(values)) => Category::Unsigned(values[row]),
        (KeyClass::Float, Values::Float64(values)) => Category::Float(values[row]),
        (KeyClass::Text, Values::Bytes(values)) => Category::Text(values.text(row).to_owned()),
        (KeyClass::Binary, Values::Bytes(values)) => Category::Binary(values.get(row).to_vec()),
        _ => return None,
    })
}
