//! Selected fields: `a,e.d.f` are a column and a field of a field of another.

use super::refusal::Refusal;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, StructArray};
use arrow_schema::{DataType, Field, FieldRef, Fields};
use std::sync::Arc;

/// Some of a table's or a struct's fields, in their order, each with what is selected of it.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) fields: Fields,
    children: Vec<(usize, Option<Selection>)>,
}

impl Selection {
    /// Looks for paths among fields; without a path all fields are selected.
    pub(crate) fn new(fields: &Fields, paths: Option<&str>) -> Result<Self, Refusal> {
        let paths = paths.map(|paths| paths.split(',').map(|path| path.trim().split('.').collect()).collect());
        Self::of(fields, paths)
    }

    fn of(fields: &Fields, paths: Option<Vec<Vec<&str>>>) -> Result<Self, Refusal> {
        let Some(paths) = paths else {
            let children = (0..fields.len()).map(|index| (index, None)).collect();
            return Ok(Self { fields: fields.clone(), children });
        };
        // Names are the same in any case of letters.
        let begins = |path: &Vec<&str>, field: &Field| path[0].eq_ignore_ascii_case(field.name());
        if let Some(path) = paths.iter().find(|path| !fields.iter().any(|field| begins(path, field))) {
            return Err(unknown(path));
        }
        let (mut selected, mut children) = (Vec::new(), Vec::new());
        for (index, field) in fields.iter().enumerate() {
            let paths: Vec<_> =
                paths.iter().filter(|path| begins(path, field)).map(|path| path[1..].to_vec()).collect();
            if paths.is_empty() {
                continue;
            }
            let whole = paths.iter().any(Vec::is_empty);
            let child = match inner(field) {
                _ if whole => None,
                Some(inner) => Some(Self::of(inner, Some(paths))?),
                None => return Err(unknown(&[&[field.name().as_str()], &paths[0][..]].concat())),
            };
            selected.push(child.as_ref().map_or_else(|| field.clone(), |child| with_inner(field, &child.fields)));
            children.push((index, child));
        }
        Ok(Self { fields: selected.into(), children })
    }

    /// The selected ones of some columns.
    pub(crate) fn columns(&self, columns: &[ArrayRef]) -> Vec<ArrayRef> {
        let column = |(index, child): &(usize, Option<Self>)| {
            child.as_ref().map_or_else(|| columns[*index].clone(), |child| child.inside(&columns[*index]))
        };
        self.children.iter().map(column).collect()
    }

    /// A column of structs, or of lists of them, with the selected fields only.
    fn inside(&self, column: &ArrayRef) -> ArrayRef {
        if let Some(lists) = column.as_list_opt::<i32>() {
            let items = self.inside(lists.values());
            let item = Arc::new(Field::new("item", items.data_type().clone(), true));
            return Arc::new(ListArray::new(item, lists.offsets().clone(), items, lists.nulls().cloned()));
        }
        let structs = column.as_struct();
        Arc::new(StructArray::new(self.fields.clone(), self.columns(structs.columns()), structs.nulls().cloned()))
    }
}

fn unknown(path: &[&str]) -> Refusal {
    Refusal::invalid(format!("No such field: {}.", path.join(".")))
}

/// The fields of a struct, or of an array's structs.
fn inner(field: &Field) -> Option<&Fields> {
    match field.data_type() {
        DataType::Struct(fields) => Some(fields),
        DataType::List(item) => inner(item),
        _ => None,
    }
}

fn with_inner(field: &FieldRef, fields: &Fields) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::List(item) => DataType::List(with_inner(item, fields)),
        _ => DataType::Struct(fields.clone()),
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}
