//! The name of a table in all of BigQuery.

use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// What a table's name may begin with where a file's path could stand too.
pub const SCHEME: &str = "bigquery:";

const HINT: &str = "a table is named PROJECT.DATASET.TABLE, such as `bigquery-public-data.ml_datasets.penguins`";

/// A table by project, dataset and its own name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableName {
    /// Which may have a domain, as in `example.com:project`.
    pub project: String,
    /// The dataset.
    pub dataset: String,
    /// The table.
    pub table: String,
}

impl TableName {
    /// As requests name it.
    pub(super) fn resource(&self) -> String {
        format!("projects/{}/datasets/{}/tables/{}", self.project, self.dataset, self.table)
    }
}

/// Without the scheme.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.project, self.dataset, self.table)
    }
}

impl FromStr for TableName {
    type Err = Error;

    /// Parses `project.dataset.table`, also in backticks or behind `bigquery:`.
    fn from_str(text: &str) -> Result<Self> {
        let bare = text.strip_prefix(SCHEME).unwrap_or(text).trim_matches('`');
        let refused = |why: &str| Err(Error::usage(format!("`{text}` is no table of BigQuery: {why}")).hint(HINT));
        // A project may have dots in its domain; datasets and tables have none.
        let parts: Vec<&str> = bare.rsplitn(3, '.').collect();
        let &[table, dataset, project] = parts.as_slice() else {
            return refused("it needs a project, a dataset and a table, with dots between them");
        };
        if [table, dataset, project].contains(&"") {
            return refused("a part of it is empty");
        }
        if let Some(decorator) = table.find(['$', '@', '*']) {
            return match &table[decorator..=decorator] {
                "$" => refused("partitions are read by a `filter` on the partitioning column"),
                "@" => refused("an earlier state is read by `snapshot`"),
                _ => refused("wildcards are read by a `query`"),
            };
        }
        let is_project = |sign: char| sign.is_ascii_alphanumeric() || "-_.:".contains(sign);
        let is_dataset = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
        // Letters of all scripts are allowed in tables; what would change the path of a request is not.
        let is_table = |sign: char| sign.is_alphanumeric() || "-_ ".contains(sign);
        if !project.chars().all(is_project) || !dataset.chars().all(is_dataset) || !table.chars().all(is_table) {
            return refused("it has a sign that names may not have");
        }
        Ok(Self { project: project.to_owned(), dataset: dataset.to_owned(), table: table.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_in_all_their_forms() {
        for text in ["p-1.d_2.t-3", "bigquery:p-1.d_2.t-3", "`p-1.d_2.t-3`", "bigquery:`p-1.d_2.t-3`"] {
            let name: TableName = text.parse().unwrap();
            assert_eq!(name.resource(), "projects/p-1/datasets/d_2/tables/t-3");
            assert_eq!(name.to_string(), "p-1.d_2.t-3");
        }
        let name: TableName = "example.com:project.set.größe".parse().unwrap();
        assert_eq!((&*name.project, &*name.dataset, &*name.table), ("example.com:project", "set", "größe"));
    }

    #[test]
    fn what_is_no_name_of_a_table_is_refused() {
        for text in
            ["", "t", "d.t", "p..t", ".d.t", "p.d.", "p.d.t/x", "p/d.d.t", "p.d-e.t", "p.d.t$20240101", "p.d.t*"]
        {
            let error = text.parse::<TableName>().unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Usage, "{text}");
        }
    }
}
