//! Schemas in messages.
//!
//! Format: <https://github.com/apache/arrow/blob/main/format/Schema.fbs>

use crate::flatbuffer::{Table, slot};
use crate::{Error, Result};
use arrow_schema::{DataType, Field, IntervalUnit, Metadata, Schema, TimeUnit};
use flatbuffers::{FlatBufferBuilder, TableFinishedWIPOffset, WIPOffset};
use std::sync::Arc;

type Offset = WIPOffset<TableFinishedWIPOffset>;

/// The fields of `Schema`, by their number.
const FIELDS: u16 = 1;

/// The fields of `Field`.
mod field {
    pub(super) const NAME: u16 = 0;
    pub(super) const NULLABLE: u16 = 1;
    pub(super) const TYPE_TAG: u16 = 2;
    pub(super) const TYPE: u16 = 3;
    pub(super) const DICTIONARY: u16 = 4;
    pub(super) const CHILDREN: u16 = 5;
    pub(super) const METADATA: u16 = 6;
}

/// The union `Type`.
mod tag {
    pub(super) const NULL: u8 = 1;
    pub(super) const INT: u8 = 2;
    pub(super) const FLOAT: u8 = 3;
    pub(super) const BINARY: u8 = 4;
    pub(super) const UTF8: u8 = 5;
    pub(super) const BOOL: u8 = 6;
    pub(super) const DECIMAL: u8 = 7;
    pub(super) const DATE: u8 = 8;
    pub(super) const TIME: u8 = 9;
    pub(super) const TIMESTAMP: u8 = 10;
    pub(super) const INTERVAL: u8 = 11;
    pub(super) const LIST: u8 = 12;
    pub(super) const STRUCT: u8 = 13;
    pub(super) const FIXED_SIZE_BINARY: u8 = 15;
    pub(super) const FIXED_SIZE_LIST: u8 = 16;
    pub(super) const MAP: u8 = 17;
    pub(super) const DURATION: u8 = 18;
    pub(super) const LARGE_BINARY: u8 = 19;
    pub(super) const LARGE_UTF8: u8 = 20;
    pub(super) const LARGE_LIST: u8 = 21;
}

/// Units of time in the order of their numbers.
const UNITS: [TimeUnit; 4] = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
const INTERVAL_UNITS: [IntervalUnit; 3] = [IntervalUnit::YearMonth, IntervalUnit::DayTime, IntervalUnit::MonthDayNano];

/// A schema, and the dictionary id of each of its fields.
pub(crate) fn decode(schema: Table<'_>) -> Result<(Schema, Vec<Option<i64>>)> {
    let ids = schema.tables(FIELDS).map(|it| it.table(field::DICTIONARY).map(|dictionary| dictionary.i64(0)));
    let fields = schema.tables(FIELDS).map(decode_field).collect::<Result<Vec<_>>>()?;
    Ok((Schema::new(fields), ids.collect()))
}

fn decode_field(table: Table<'_>) -> Result<Field> {
    let name = table.text(field::NAME).unwrap_or_default();
    let children = table.tables(field::CHILDREN).map(decode_field).collect::<Result<Vec<_>>>()?;
    let data_type = decode_type(table, children).and_then(|data_type| match table.table(field::DICTIONARY) {
        None => Some(data_type),
        Some(dictionary) => {
            let keys = dictionary.table(1).map_or(Some(DataType::Int32), integer)?;
            Some(DataType::Dictionary(keys.into(), data_type.into()))
        }
    });
    let Some(data_type) = data_type else {
        return Err(Error::unsupported_type("plugins cannot be given columns of this type").column(name));
    };
    let mut metadata = Metadata::default();
    for entry in table.tables(field::METADATA) {
        metadata.insert(entry.text(0).unwrap_or_default(), entry.text(1).unwrap_or_default());
    }
    Ok(Field::new(name, data_type, table.bool(field::NULLABLE)).with_metadata(metadata))
}

fn decode_type(table: Table<'_>, children: Vec<Field>) -> Option<DataType> {
    let details = table.table(field::TYPE)?;
    let unit = |default| UNITS.get(details.i16(0, default) as usize).copied();
    let child = || children.first().cloned().map(Arc::new);
    Some(match table.u8(field::TYPE_TAG) {
        tag::NULL => DataType::Null,
        tag::BOOL => DataType::Boolean,
        tag::INT => integer(details)?,
        tag::FLOAT => {
            [DataType::Float16, DataType::Float32, DataType::Float64].get(details.i16(0, 0) as usize)?.clone()
        }
        tag::BINARY => DataType::Binary,
        tag::LARGE_BINARY => DataType::LargeBinary,
        tag::UTF8 => DataType::Utf8,
        tag::LARGE_UTF8 => DataType::LargeUtf8,
        tag::FIXED_SIZE_BINARY => DataType::FixedSizeBinary(details.i32(0, 0)),
        tag::DECIMAL => decimal(details)?,
        tag::DATE if details.i16(0, 1) == 0 => DataType::Date32,
        tag::DATE => DataType::Date64,
        tag::TIME if details.i32(1, 32) == 32 => DataType::Time32(unit(1)?),
        tag::TIME => DataType::Time64(unit(1)?),
        tag::TIMESTAMP => DataType::Timestamp(unit(0)?, details.text(1).map(Arc::from)),
        tag::DURATION => DataType::Duration(unit(1)?),
        tag::INTERVAL => DataType::Interval(*INTERVAL_UNITS.get(details.i16(0, 0) as usize)?),
        tag::LIST => DataType::List(child()?),
        tag::LARGE_LIST => DataType::LargeList(child()?),
        tag::FIXED_SIZE_LIST => DataType::FixedSizeList(child()?, details.i32(0, 0)),
        tag::STRUCT => DataType::Struct(children.into()),
        tag::MAP => DataType::Map(child()?, details.bool(0)),
        _ => return None,
    })
}

fn integer(details: Table<'_>) -> Option<DataType> {
    Some(match (details.i32(0, 0), details.bool(1)) {
        (8, true) => DataType::Int8,
        (16, true) => DataType::Int16,
        (32, true) => DataType::Int32,
        (64, true) => DataType::Int64,
        (8, false) => DataType::UInt8,
        (16, false) => DataType::UInt16,
        (32, false) => DataType::UInt32,
        (64, false) => DataType::UInt64,
        _ => return None,
    })
}

fn decimal(details: Table<'_>) -> Option<DataType> {
    let (precision, scale) = (details.i32(0, 0).try_into().ok()?, details.i32(1, 0).try_into().ok()?);
    Some(match details.i32(2, 128) {
        32 => DataType::Decimal32(precision, scale),
        64 => DataType::Decimal64(precision, scale),
        128 => DataType::Decimal128(precision, scale),
        256 => DataType::Decimal256(precision, scale),
        _ => return None,
    })
}

/// Writes a schema. The dictionaries of its fields are numbered in their order, from zero.
pub(crate) fn encode(builder: &mut FlatBufferBuilder<'_>, schema: &Schema) -> Result<Offset> {
    let mut dictionaries = 0;
    let fields = schema.fields().iter().map(|field| encode_field(builder, field, &mut dictionaries));
    let fields = fields.collect::<Result<Vec<_>>>()?;
    let fields = builder.create_vector(&fields);
    let table = builder.start_table();
    builder.push_slot_always(slot(FIELDS), fields);
    Ok(builder.end_table(table))
}

fn encode_field(builder: &mut FlatBufferBuilder<'_>, field: &Field, dictionaries: &mut i64) -> Result<Offset> {
    let (values, dictionary) = match field.data_type() {
        DataType::Dictionary(keys, values) => {
            let (_, keys) = encode_type(builder, keys).ok_or_else(|| unwritable(field))?;
            let table = builder.start_table();
            builder.push_slot_always(slot(0), *dictionaries);
            builder.push_slot_always(slot(1), keys);
            *dictionaries += 1;
            (values.as_ref(), Some(builder.end_table(table)))
        }
        data_type => (data_type, None),
    };
    let children: Vec<&Field> = match values {
        DataType::List(child) | DataType::LargeList(child) => vec![child],
        DataType::FixedSizeList(child, _) | DataType::Map(child, _) => vec![child],
        DataType::Struct(children) => children.iter().map(AsRef::as_ref).collect(),
        _ => Vec::new(),
    };
    let children = children.into_iter().map(|child| encode_field(builder, child, dictionaries));
    let children = children.collect::<Result<Vec<_>>>()?;
    let children = builder.create_vector(&children);
    let metadata: Vec<_> = field.metadata().iter().map(|(key, value)| encode_entry(builder, key, value)).collect();
    let metadata = builder.create_vector(&metadata);
    let name = builder.create_string(field.name());
    let (tag, data_type) = encode_type(builder, values).ok_or_else(|| unwritable(field))?;
    let table = builder.start_table();
    builder.push_slot_always(slot(field::NAME), name);
    builder.push_slot_always(slot(field::NULLABLE), field.is_nullable());
    builder.push_slot_always(slot(field::TYPE_TAG), tag);
    builder.push_slot_always(slot(field::TYPE), data_type);
    if let Some(dictionary) = dictionary {
        builder.push_slot_always(slot(field::DICTIONARY), dictionary);
    }
    builder.push_slot_always(slot(field::CHILDREN), children);
    builder.push_slot_always(slot(field::METADATA), metadata);
    Ok(builder.end_table(table))
}

fn unwritable(field: &Field) -> Error {
    Error::unsupported_type(format!("plugins cannot write columns of type {}", field.data_type())).column(field.name())
}

fn encode_entry(builder: &mut FlatBufferBuilder<'_>, key: &str, value: &str) -> Offset {
    let (key, value) = (builder.create_string(key), builder.create_string(value));
    let table = builder.start_table();
    builder.push_slot_always(slot(0), key);
    builder.push_slot_always(slot(1), value);
    builder.end_table(table)
}

/// Writes the details of a type; gives its tag and where they are.
fn encode_type(builder: &mut FlatBufferBuilder<'_>, data_type: &DataType) -> Option<(u8, Offset)> {
    let zone = match data_type {
        DataType::Timestamp(_, Some(zone)) => Some(builder.create_string(zone)),
        _ => None,
    };
    let table = builder.start_table();
    if let Some(zone) = zone {
        builder.push_slot_always(slot(1), zone);
    }
    let tag = match data_type {
        DataType::Null => tag::NULL,
        DataType::Boolean => tag::BOOL,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            encode_integer(builder, data_type, true)
        }
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
            encode_integer(builder, data_type, false)
        }
        DataType::Float16 => encode_i16(builder, tag::FLOAT, 0),
        DataType::Float32 => encode_i16(builder, tag::FLOAT, 1),
        DataType::Float64 => encode_i16(builder, tag::FLOAT, 2),
        DataType::Binary => tag::BINARY,
        DataType::LargeBinary => tag::LARGE_BINARY,
        DataType::Utf8 => tag::UTF8,
        DataType::LargeUtf8 => tag::LARGE_UTF8,
        DataType::FixedSizeBinary(width) => encode_i32s(builder, tag::FIXED_SIZE_BINARY, &[*width]),
        DataType::Decimal32(precision, scale) => encode_decimal(builder, *precision, *scale, 32),
        DataType::Decimal64(precision, scale) => encode_decimal(builder, *precision, *scale, 64),
        DataType::Decimal128(precision, scale) => encode_decimal(builder, *precision, *scale, 128),
        DataType::Decimal256(precision, scale) => encode_decimal(builder, *precision, *scale, 256),
        DataType::Date32 => encode_i16(builder, tag::DATE, 0),
        DataType::Date64 => encode_i16(builder, tag::DATE, 1),
        DataType::Time32(unit) => encode_time(builder, 32, *unit),
        DataType::Time64(unit) => encode_time(builder, 64, *unit),
        DataType::Timestamp(unit, _) => encode_i16(builder, tag::TIMESTAMP, *unit as i16),
        DataType::Duration(unit) => encode_i16(builder, tag::DURATION, *unit as i16),
        DataType::Interval(unit) => encode_i16(builder, tag::INTERVAL, *unit as i16),
        DataType::List(_) => tag::LIST,
        DataType::LargeList(_) => tag::LARGE_LIST,
        DataType::FixedSizeList(_, length) => encode_i32s(builder, tag::FIXED_SIZE_LIST, &[*length]),
        DataType::Struct(_) => tag::STRUCT,
        DataType::Map(_, sorted) => {
            builder.push_slot_always(slot(0), *sorted);
            tag::MAP
        }
        _ => 0,
    };
    let table = builder.end_table(table);
    (tag != 0).then_some((tag, table))
}

fn encode_i16(builder: &mut FlatBufferBuilder<'_>, tag: u8, value: i16) -> u8 {
    builder.push_slot_always(slot(0), value);
    tag
}

fn encode_i32s(builder: &mut FlatBufferBuilder<'_>, tag: u8, values: &[i32]) -> u8 {
    for (field, value) in (0..).zip(values) {
        builder.push_slot_always(slot(field), *value);
    }
    tag
}

fn encode_decimal(builder: &mut FlatBufferBuilder<'_>, precision: u8, scale: i8, bits: i32) -> u8 {
    encode_i32s(builder, tag::DECIMAL, &[precision.into(), scale.into(), bits])
}

fn encode_time(builder: &mut FlatBufferBuilder<'_>, bits: i32, unit: TimeUnit) -> u8 {
    builder.push_slot_always(slot(1), bits);
    encode_i16(builder, tag::TIME, unit as i16)
}

fn encode_integer(builder: &mut FlatBufferBuilder<'_>, data_type: &DataType, signed: bool) -> u8 {
    builder.push_slot_always(slot(1), signed);
    encode_i32s(builder, tag::INT, &[8 * data_type.primitive_width().unwrap_or(0) as i32])
}
