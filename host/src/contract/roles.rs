//! What a plan may be, by the role of its plugin.

use super::{Context, ModelTable, PART, Read, Role, StepPlan, broken, ensure, parts};
use crate::Result;
use arrow_schema::DataType;

impl StepPlan {
    /// Checks that the plan is one for a plugin of this role.
    pub(super) fn check_role(&self, role: Role) -> Result<()> {
        let single = match self.writes.as_slice() {
            [write] if write.family.is_none() => Some(&write.field),
            _ => None,
        };
        // The host takes what a split or a filter writes: it never becomes a column of the table.
        let alone = self.drops.is_empty() && self.writes.iter().all(|write| write.place.is_none());
        match role {
            Role::Transform => Ok(()),
            Role::Split => {
                let field = single.filter(|field| *field.data_type() == DataType::UInt8 && !field.is_nullable());
                let field = field.ok_or_else(|| broken("a split writes one UInt8 column without nulls".to_owned()))?;
                ensure(alone, || "a split neither drops nor replaces columns".to_owned())?;
                ensure(!self.reads.contains(&Read::Context(Context::Part)), || "a split asks for the part".to_owned())?;
                parts(field).map(drop)
            }
            Role::Filter => {
                let boolean = single.is_some_and(|field| *field.data_type() == DataType::Boolean);
                ensure(boolean, || "a filter writes one Boolean column".to_owned())?;
                ensure(alone, || "a filter neither drops nor replaces columns".to_owned())
            }
            Role::Aggregate => {
                let leaves_columns = self.writes.is_empty() && self.drops.is_empty();
                ensure(leaves_columns, || "an aggregate neither writes nor drops columns".to_owned())?;
                ensure(self.passes.least > 0, || "an aggregate asks for no passes".to_owned())?;
                ensure(!self.model.is_empty(), || "an aggregate learns no table".to_owned())?;
                self.model.iter().try_for_each(check_part_ids)
            }
        }
    }
}

/// Checks that the ids of parts in a table of an aggregate are ones, and that there is room for the names that stand for them.
fn check_part_ids(table: &ModelTable) -> Result<()> {
    let id = Context::Part.field();
    let Ok(field) = table.schema.field_with_name(id.name()) else { return Ok(()) };
    ensure(field.data_type() == id.data_type(), || format!("the table `{}` has parts that are no UInt8", table.name))?;
    let clashes = table.schema.field_with_name(PART).is_ok();
    ensure(!clashes, || format!("the table `{}` has a column `{PART}` beside `{}`", table.name, id.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Passes, Write};
    use arrow_schema::{Field, Schema};
    use std::sync::Arc;

    fn plan(drops: &[&str], writes: &[(Option<&str>, DataType)]) -> StepPlan {
        let write = |(place, data_type): &(Option<&str>, DataType)| Write {
            place: place.map(str::to_owned),
            field: Field::new("keep", data_type.clone(), true),
            family: None,
        };
        StepPlan {
            passes: Passes { least: 0, most: 0 },
            reads: Vec::new(),
            drops: drops.iter().map(|name| (*name).to_owned()).collect(),
            writes: writes.iter().map(write).collect(),
            partials: Vec::new(),
            model: Vec::new(),
        }
    }

    #[test]
    fn a_filter_writes_one_boolean_column_and_nothing_else() {
        let check = |plan: StepPlan| plan.check_role(Role::Filter);
        assert!(check(plan(&[], &[(None, DataType::Boolean)])).is_ok());
        let keep = (None, DataType::Boolean);
        for bad in [
            plan(&[], &[]),
            plan(&[], &[(None, DataType::UInt8)]),
            plan(&[], &[keep.clone(), keep.clone()]),
            plan(&["x"], std::slice::from_ref(&keep)),
            plan(&[], &[(Some("x"), DataType::Boolean)]),
        ] {
            assert!(check(bad.clone()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_aggregate_learns_a_table_and_leaves_the_columns_alone() {
        let table = |fields: &[(&str, DataType)]| {
            let fields = fields.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
            ModelTable { name: "t".to_owned(), schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())) }
        };
        let part = |data_type| ("wafermill:part", data_type);
        let learning = |plan: StepPlan, model| StepPlan { passes: Passes { least: 1, most: 2 }, model, ..plan };
        let check = |plan: StepPlan| plan.check_role(Role::Aggregate);
        let good = table(&[part(DataType::UInt8), ("x", DataType::Int64)]);
        assert!(check(learning(plan(&[], &[]), vec![good.clone()])).is_ok());
        for bad in [
            learning(plan(&[], &[(None, DataType::Boolean)]), vec![good.clone()]),
            learning(plan(&["x"], &[]), vec![good.clone()]),
            learning(plan(&[], &[]), vec![]),
            learning(plan(&[], &[]), vec![table(&[part(DataType::Int64)])]),
            learning(plan(&[], &[]), vec![table(&[part(DataType::UInt8), ("part", DataType::Utf8)])]),
            StepPlan { model: vec![good], ..plan(&[], &[]) },
        ] {
            assert!(check(bad.clone()).is_err(), "{bad:?}");
        }
    }
}
