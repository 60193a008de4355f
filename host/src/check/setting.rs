//! The roles that columns of a table may have for a plugin.

use crate::contract::{ColumnRole, Role};
use serde::Serialize;

/// The roles of a table's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Of the columns whose types are tried.
    pub role: ColumnRole,
    /// Of one column more, for plugins that look at two.
    pub beside: Option<ColumnRole>,
}

/// What is tried for a role of a plugin: the first one counts with which it takes a column.
pub(super) fn settings(role: Role) -> Vec<Setting> {
    use ColumnRole::{Feature, Key, Target, Weight};
    let alone = |role| Setting { role, beside: None };
    let beside = |other| Setting { role: Feature, beside: Some(other) };
    match role {
        Role::Split => vec![alone(Key), alone(Feature), beside(Key)],
        _ => {
            vec![alone(Feature), beside(Target), beside(Key), beside(Weight), alone(Key), alone(Target), alone(Weight)]
        }
    }
}

impl Setting {
    /// For people: the roles of the columns.
    pub fn words(self) -> String {
        let name = |role| match role {
            ColumnRole::Feature => "feature",
            ColumnRole::Target => "target",
            ColumnRole::Key => "key",
            ColumnRole::Weight => "weight",
        };
        match self.beside {
            None => name(self.role).to_owned(),
            Some(beside) => format!("{} beside a {}", name(self.role), name(beside)),
        }
    }
}
