//! All files of a source must have one schema, and its column names must be distinct.

use crate::{Error, Result};
use arrow_schema::{Field, Schema};
use std::collections::HashSet;
use std::path::Path;

/// The schema of a table whose files have these; a column is nullable if it is so in any of them.
pub(super) fn agree<'a>(mut files: impl Iterator<Item = (&'a Path, &'a Schema)>) -> Result<Schema> {
    let Some((first, schema)) = files.next() else {
        return Err(Error::internal("a source needs at least one file"));
    };
    distinct(schema).map_err(|error| error.file(first))?;
    let mut fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    for (file, other) in files {
        if let Some((column, difference)) = difference(&fields, other) {
            return Err(Error::source(format!(
                "`{}` has another schema than `{}`: {difference}",
                file.display(),
                first.display()
            ))
            .column(column)
            .hint("the files of one source need the same columns with the same types, in the same order"));
        }
        for (field, other) in fields.iter_mut().zip(other.fields()) {
            field.set_nullable(field.is_nullable() || other.is_nullable());
        }
    }
    Ok(Schema::new(fields))
}

/// Checks that no two columns have one name.
pub(super) fn distinct(schema: &Schema) -> Result<()> {
    let mut seen = HashSet::new();
    match schema.fields().iter().find(|field| !seen.insert(field.name())) {
        None => Ok(()),
        Some(twice) => Err(Error::source(format!("there are two columns named `{}`", twice.name()))
            .column(twice.name())
            .hint("rename or drop one of them where the file is written")),
    }
}

/// The first column in which a schema differs, and how.
fn difference(expected: &[Field], other: &Schema) -> Option<(String, String)> {
    for (index, field) in expected.iter().enumerate() {
        let name = field.name();
        let Some(found) = other.fields().get(index) else {
            return Some((name.clone(), format!("it lacks the column `{name}`")));
        };
        if found.name() != name {
            return Some((name.clone(), format!("column {} is `{}`, not `{name}`", index + 1, found.name())));
        }
        if found.data_type() != field.data_type() {
            let types = format!("`{name}` is `{}`, not `{}`", found.data_type(), field.data_type());
            return Some((name.clone(), types));
        }
    }
    let extra = other.fields().get(expected.len())?;
    Some((extra.name().clone(), format!("it also has the column `{}`", extra.name())))
}
