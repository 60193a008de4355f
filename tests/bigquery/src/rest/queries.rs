//! The queries whose results are known, and the tables that hold them.

use crate::catalog::{self, Catalog, Entry, TableName};
use anyhow::{Result, bail};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// The query that reads nothing, by which clients find out whether they may query.
const CONSTANT: &str = "SELECT 1";

/// What queries and views give.
pub(crate) struct Queries {
    /// For each text, without needless spaces: the table that it reads, and the one that holds the result.
    results: HashMap<String, (TableName, TableName)>,
    /// For each view, the table that it shows.
    views: HashMap<TableName, TableName>,
}

impl Queries {
    /// Adds the table of each result to the catalog. BigQuery, too, writes equal queries' results to one table.
    pub(crate) fn new(
        queries: Vec<(String, TableName)>,
        views: Vec<(TableName, Option<TableName>)>,
        project: &str,
        catalog: &mut Catalog,
    ) -> Result<Self> {
        let names = views.iter().map(|(view, _)| view.clone());
        catalog.extend(names.map(|view| (view, Entry::View)));
        let views: HashMap<_, _> = views.into_iter().filter_map(|(view, table)| Some((view, table?))).collect();
        let known = catalog.iter().filter(|(name, entry)| matches!(entry, Entry::Table(_)) || views.contains_key(name));
        let mut known: Vec<_> = known.map(|(name, _)| (everything(name), name.clone())).collect();
        known.extend(queries);
        let mut results = HashMap::new();
        let constant = anonymous(project, CONSTANT);
        catalog.insert(constant.clone(), Entry::Table(Arc::new(catalog::one()?)));
        results.insert(CONSTANT.to_owned(), (constant.clone(), constant));
        for (text, read) in known {
            let table = views.get(&read).unwrap_or(&read);
            let Some(Entry::Table(found)) = catalog.get(table).cloned() else {
                bail!("there is no table `{table}` for the query `{text}`");
            };
            let text = plain(&text);
            let result = anonymous(project, &text);
            catalog.insert(result.clone(), Entry::Table(found));
            results.insert(text, (read, result));
        }
        Ok(Self { results, views })
    }

    /// The table or view that a query reads, and the table that holds its result.
    pub(crate) fn result(&self, text: &str) -> Option<&(TableName, TableName)> {
        self.results.get(&plain(text))
    }

    /// The table that a view shows; any other name is its own.
    pub(crate) fn behind<'a>(&'a self, name: &'a TableName) -> &'a TableName {
        self.views.get(name).unwrap_or(name)
    }

    /// A view's query.
    pub(crate) fn of_view(&self, name: &TableName) -> String {
        self.views.get(name).map_or_else(|| "SELECT 1 AS one".to_owned(), everything)
    }
}

fn everything(TableName { project, dataset, table }: &TableName) -> String {
    format!("SELECT * FROM `{project}.{dataset}.{table}`")
}

/// A query's text without needless spaces and without the semicolon at its end.
fn plain(text: &str) -> String {
    let words: Vec<&str> = text.trim().trim_end_matches(';').split_whitespace().collect();
    words.join(" ")
}

/// The name of the table for a query's result: BigQuery's are as long, and are hidden because of the underscore.
fn anonymous(project: &str, text: &str) -> TableName {
    let digits = |of: (&str, &str)| {
        let mut hasher = DefaultHasher::new();
        of.hash(&mut hasher);
        hasher.finish()
    };
    let dataset = format!("_{:040x}", digits(("dataset", project)));
    let table = format!("anon{:064x}", digits(("table", text)));
    TableName { project: project.to_owned(), dataset, table }
}
