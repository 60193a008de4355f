//! What a plan may be, by the role of its plugin.

use super::{Context, Read, Role, StepPlan, broken, ensure, parts};
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
            Role::Aggregate => ensure(self.writes.is_empty(), || "an aggregate writes no columns".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Passes, Write};
    use arrow_schema::Field;

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
}
