//! `inspect`: the columns and fragments of a table.

use super::arguments::{BigQueryArguments, InspectArguments};
use super::console::Console;
use super::interrupt::context;
use super::prepare::{named_table, open_table};
use super::print::{columns, counted, print, print_json};
use serde_json::json;
use std::collections::BTreeMap;
use wafermill::Result;
use wafermill::memory::{default_budget, format_size, parse_size};
use wafermill::pipeline::CsvSection;

/// Prints what a table is.
pub(super) fn inspect(arguments: &InspectArguments, console: &Console) -> Result<()> {
    // What is too dear to read may be looked at.
    let bigquery = BigQueryArguments { max_bytes: None, ..arguments.bigquery.clone() };
    let most = arguments.bigquery.max_bytes.as_deref().map(parse_size).transpose()?;
    let table = named_table(&arguments.source, &arguments.table, &bigquery, &CsvSection::default());
    let source = open_table(&table, BTreeMap::new(), default_budget(), context(console))?;
    let (rows, bytes) = (source.estimated_rows(), source.estimated_bytes());
    let fields = source.schema().fields();
    let price = source.price();
    if arguments.json {
        let fields = fields.iter().map(|field| {
            json!({ "name": field.name(), "type": field.data_type().to_string(), "nullable": field.is_nullable() })
        });
        let fragments = source.fragments().iter();
        let fragments = fragments.map(|it| json!({ "name": &*it.name, "rows": it.rows, "bytes": it.bytes }));
        let fragments: Vec<_> = fragments.collect();
        let columns: Vec<_> = fields.collect();
        let dollars = price.map(|price| price.dollars);
        return print_json(
            &json!({ "rows": rows, "bytes": bytes, "dollars": dollars, "columns": columns, "fragments": fragments }),
        );
    }
    let mut head = vec![match rows {
        None => "an unknown number of rows".to_owned(),
        Some(rows) if bigquery.filter.is_some() => format!("{} before the filter", counted(rows, "row")),
        Some(rows) => counted(rows, "row"),
    }];
    head.push(bytes.map_or_else(|| "an unknown size".to_owned(), format_size));
    // What a query gives is known once it has run.
    if price.is_none() || !source.fragments().is_empty() {
        head.push(counted(source.fragments().len() as u64, "fragment"));
    }
    let mut head = head.join(", ") + "\n";
    if let Some(price) = price {
        head += &format!("{price}\n");
    }
    if let Some(most) = most.filter(|most| bytes.is_some_and(|bytes| bytes > *most as u64)) {
        head += &format!("that is more than the {} that `--max-bytes` allows\n", format_size(most as u64));
    }
    let mut table = vec![["column", "type", "nulls"].map(str::to_owned).to_vec()];
    for field in fields {
        let nulls = if field.is_nullable() { "possible" } else { "none" };
        table.push(vec![field.name().clone(), field.data_type().to_string(), nulls.to_owned()]);
    }
    print(&(head + "\n" + &columns(&table)))
}
