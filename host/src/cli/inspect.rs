//! `inspect`: the columns and fragments of a table.

use super::arguments::InspectArguments;
use super::interrupt::context;
use super::prepare::open_table;
use super::print::{columns, counted, print, print_json};
use serde_json::json;
use std::collections::BTreeMap;
use wafermill::Result;
use wafermill::memory::format_size;
use wafermill::pipeline::CsvSection;

/// Prints what a table is.
pub(super) fn inspect(arguments: &InspectArguments) -> Result<()> {
    let (table, bigquery) = (&arguments.table, &arguments.bigquery);
    let source = open_table(&arguments.source, table, bigquery, &CsvSection::default(), BTreeMap::new(), context())?;
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
    let rows = rows.map_or_else(|| "an unknown number of rows".to_owned(), |rows| counted(rows, "row"));
    let fragments = counted(source.fragments().len() as u64, "fragment");
    let bytes = bytes.map_or_else(|| "an unknown size".to_owned(), format_size);
    let mut head = format!("{rows}, {bytes}, {fragments}\n");
    if let Some(price) = price {
        head += &format!("{price}\n");
    }
    let mut table = vec![["column", "type", "nulls"].map(str::to_owned).to_vec()];
    for field in fields {
        let nulls = if field.is_nullable() { "possible" } else { "none" };
        table.push(vec![field.name().clone(), field.data_type().to_string(), nulls.to_owned()]);
    }
    print(&(head + "\n" + &columns(&table)))
}
