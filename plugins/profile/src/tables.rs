//! The tables that are the result: a row for each group, and what has several rows for each.

use crate::carry::GroupPlan;
use crate::kind::Kind;
use crate::summary::{Frequent, Summary};
use crate::text::text;
use crate::{Params, keys::without_dictionary};
use wafermill_sdk::{DataType, Field, Output, Result, Rows, Schema, Table};

/// Rows that are given at once.
const ROWS: usize = 16_384;

/// All that is told of a group.
pub(crate) struct Described<'a> {
    pub(crate) part: Option<u8>,
    pub(crate) field: &'a Field,
    pub(crate) kind: Kind,
    pub(crate) plan: &'a GroupPlan,
    pub(crate) summary: Summary,
    /// One for each that was asked for; none where there are no numbers.
    pub(crate) quantiles: Vec<f64>,
}

fn of_group(more: impl IntoIterator<Item = (&'static str, DataType, bool)>) -> Vec<Field> {
    let group = [("wafermill:part", DataType::UInt8, true), ("column", DataType::Utf8, false)];
    let fields = group.into_iter().chain(more);
    fields.map(|(name, data_type, nullable)| Field::new(name, data_type, nullable)).collect()
}

/// `profile`, `quantiles`, `histogram` and `top`.
pub(crate) fn tables() -> [Table; 4] {
    use DataType::{Boolean, Float64, Int64, UInt32, Utf8};
    [
        Table::model(
            "profile",
            of_group([
                ("type", Utf8, false),
                ("count", Int64, false),
                ("nulls", Int64, false),
                ("nans", Int64, false),
                ("distinct", Int64, false),
                ("distinct_exact", Boolean, false),
                ("min", Float64, true),
                ("max", Float64, true),
                ("min_text", Utf8, true),
                ("max_text", Utf8, true),
                ("mean", Float64, true),
                ("variance", Float64, true),
            ]),
        ),
        Table::model("quantiles", of_group([("quantile", Float64, false), ("value", Float64, false)])),
        Table::model(
            "histogram",
            of_group([
                ("bin", UInt32, false),
                ("low", Float64, false),
                ("high", Float64, false),
                ("rows", Int64, false),
            ]),
        ),
        Table::model(
            "top",
            of_group([
                ("rank", UInt32, false),
                ("value", Utf8, false),
                ("number", Float64, true),
                ("rows", Int64, false),
            ]),
        ),
    ]
}

/// The rows of all tables.
pub(crate) fn write(mut groups: Vec<Described<'_>>, params: &Params) -> Result<Vec<Rows>> {
    let schemas = tables().map(|table| table.schema);
    let mut all = Vec::new();
    for groups in groups.chunks(ROWS) {
        all.push(Rows::new(0, &schemas[0], groups.len(), |output| write_profile(groups, output))?);
    }
    let quantiles = groups.iter().flat_map(|group| {
        params.quantiles.iter().zip(&group.quantiles).map(move |(quantile, value)| (group, (*quantile, *value)))
    });
    write_each(1, &schemas[1], quantiles, &mut all, |rows, output| {
        output.primitives(rows.iter().map(|(_, (quantile, _))| Some(*quantile)))?;
        output.primitives(rows.iter().map(|(_, (_, value))| Some(*value)))
    })?;
    let bins = groups.iter().flat_map(|group| {
        let edges = group.plan.bins(params).filter(|_| group.kind.is_spread());
        let edges: Vec<(f64, f64)> = edges.iter().flat_map(|bins| bins.edges()).collect();
        let rows = |bin: usize| group.summary.bins.get(bin).copied().unwrap_or(0);
        (0..edges.len()).map(move |bin| (group, (bin, edges[bin], rows(bin))))
    });
    write_each(2, &schemas[2], bins, &mut all, |rows, output| {
        output.primitives(rows.iter().map(|(_, (bin, ..))| Some(*bin as u32)))?;
        output.primitives(rows.iter().map(|(_, (_, (low, _), _))| Some(*low)))?;
        output.primitives(rows.iter().map(|(_, (_, (_, high), _))| Some(*high)))?;
        output.primitives(rows.iter().map(|(_, (.., rows))| Some(*rows)))
    })?;
    let top: Vec<Vec<Frequent>> = groups.iter_mut().map(frequent).collect();
    let top = groups.iter().zip(&top).flat_map(|(group, top)| (1_u32..).zip(top).map(move |ranked| (group, ranked)));
    write_each(3, &schemas[3], top, &mut all, |rows, output| {
        output.primitives(rows.iter().map(|(_, (rank, _))| Some(*rank)))?;
        output.strings(rows.iter().map(|(_, (_, it))| Some(it.text.as_str())))?;
        output.primitives(rows.iter().map(|(_, (_, it))| it.number))?;
        output.primitives(rows.iter().map(|(_, (_, it))| Some(it.rows)))
    })?;
    Ok(all)
}

fn frequent(group: &mut Described<'_>) -> Vec<Frequent> {
    group.summary.frequent(group.plan, group.kind, group.field.data_type())
}

/// The rows of a table that has several for a group: `write` writes what stands behind the columns of the group.
fn write_each<'g, 'f: 'g, T>(
    table: usize,
    schema: &Schema,
    rows: impl Iterator<Item = (&'g Described<'f>, T)>,
    all: &mut Vec<Rows>,
    write: impl Fn(&[(&'g Described<'f>, T)], &mut Output<'_>) -> Result<()>,
) -> Result<()> {
    let rows: Vec<_> = rows.collect();
    for rows in rows.chunks(ROWS) {
        all.push(Rows::new(table, schema, rows.len(), |output| {
            write_groups(rows.iter().map(|(group, _)| *group), output)?;
            write(rows, output)
        })?);
    }
    Ok(())
}

fn write_groups<'g, 'f: 'g>(
    groups: impl Iterator<Item = &'g Described<'f>> + Clone,
    output: &mut Output<'_>,
) -> Result<()> {
    output.primitives(groups.clone().map(|group| group.part))?;
    output.strings(groups.map(|group| Some(group.field.name().as_str())))
}

fn write_profile(groups: &[Described<'_>], output: &mut Output<'_>) -> Result<()> {
    write_groups(groups.iter(), output)?;
    let types: Vec<String> = groups.iter().map(|it| without_dictionary(it.field.data_type()).to_string()).collect();
    output.strings(types.iter().map(|data_type| Some(data_type.as_str())))?;
    let integers = |output: &mut Output<'_>, value: fn(&Described<'_>) -> i64| {
        output.primitives(groups.iter().map(|group| Some(value(group))))
    };
    let numbers = |output: &mut Output<'_>, value: fn(&Summary) -> Option<f64>| {
        output.primitives(groups.iter().map(|group| value(&group.summary)))
    };
    integers(output, |group| group.summary.rows)?;
    integers(output, |group| group.summary.nulls)?;
    integers(output, |group| group.summary.nans)?;
    integers(output, |group| group.summary.distinct(group.plan).0)?;
    output.booleans(None, |row| groups[row].summary.distinct(groups[row].plan).1)?;
    numbers(output, |summary| summary.min)?;
    numbers(output, |summary| summary.max)?;
    for pick in [|(least, _): &(Vec<u8>, Vec<u8>)| least.clone(), |(_, largest): &(Vec<u8>, Vec<u8>)| largest.clone()] {
        let texts = groups.iter().map(|group| {
            let key = group.summary.extremes.as_ref().map(pick)?;
            Some(text(&key, group.kind, group.field.data_type()))
        });
        let texts: Vec<Option<String>> = texts.collect();
        output.strings(texts.iter().map(Option::as_deref))?;
    }
    numbers(output, |summary| summary.mean)?;
    numbers(output, |summary| summary.variance)
}
