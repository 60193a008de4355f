//! The query that reads a table.

use super::TableName;
use super::options::BigQueryOptions;
use crate::{Error, Result};

/// Selects columns (all of them where there are none) of what the options say of a table, in GoogleSQL.
///
/// # Errors
/// Where a column's name cannot be written.
pub(super) fn select(table: &TableName, columns: &[String], options: &BigQueryOptions) -> Result<String> {
    let columns = columns.iter().map(|column| quoted(column)).collect::<Result<Vec<_>>>()?;
    let columns = if columns.is_empty() { "*".to_owned() } else { columns.join(", ") };
    let mut sql = format!("SELECT {columns} FROM {}", quoted_name(&table.to_string())?);
    if let Some(snapshot) = options.snapshot {
        sql += &format!(" FOR SYSTEM_TIME AS OF TIMESTAMP '{}'", String::from(snapshot));
    }
    if let Some(filter) = &options.filter {
        // A comment at the filter's end must not swallow the bracket.
        sql += &format!(" WHERE ({filter}\n)");
    }
    Ok(sql)
}

fn quoted(column: &str) -> Result<String> {
    if column.contains('.') {
        let error = Error::usage(format!("`{column}` cannot be read by a query")).at("/source/bigquery/columns");
        return Err(error.hint("state whole columns, or a `query` that selects the field"));
    }
    quoted_name(column)
}

fn quoted_name(name: &str) -> Result<String> {
    if name.contains(['`', '\\', '\n']) {
        return Err(Error::usage(format!("{name:?} is no name")));
    }
    Ok(format!("`{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::bigquery::parse_snapshot;

    #[test]
    fn a_table_is_selected_as_the_options_say() {
        let table = "p-1.d.t".parse().unwrap();
        assert_eq!(select(&table, &[], &BigQueryOptions::default()).unwrap(), "SELECT * FROM `p-1.d.t`");
        let columns = ["a".to_owned(), "größe".to_owned()];
        let options = BigQueryOptions {
            filter: Some("a > 1 -- all of them".to_owned()),
            snapshot: Some(parse_snapshot("2026-11-01T08:30:00Z").unwrap()),
            ..BigQueryOptions::default()
        };
        let sql = "SELECT `a`, `größe` FROM `p-1.d.t` FOR SYSTEM_TIME AS OF TIMESTAMP '2026-11-01T08:30:00Z' WHERE (a > 1 -- all of them\n)";
        assert_eq!(select(&table, &columns, &options).unwrap(), sql);
        assert!(select(&table, &["a`; DROP TABLE x".to_owned()], &options).is_err());
    }
}
