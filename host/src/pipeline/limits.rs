//! `[limits]`: what plugins may take, of all steps and of one.

use crate::memory::parse_size;
use crate::sandbox::{CALL_WITH_FUEL, FUEL, Limits};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a plugin and each instance of it may take. What is left out is as for all steps, or as by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsSection {
    /// Linear memory, such as `512MiB`; up to 4 GiB.
    pub memory: Option<String>,
    /// Elements of a table.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub table_elements: Option<usize>,
    /// Whether calls are measured by time or by instructions.
    pub mode: Option<LimitsMode>,
    /// Seconds of one call.
    #[schemars(range(min = 1, max = 86_400))]
    pub call_seconds: Option<u64>,
    /// Instructions of one call, with `mode = "fuel"`.
    #[schemars(range(min = 1_000_000, max = 1_000_000_000_000_000_u64))]
    pub fuel: Option<u64>,
    /// What one call may return; up to 1 GiB.
    pub returned: Option<String>,
    /// What a pass may leave to the next; up to 256 MiB.
    pub carry: Option<String>,
    /// What all instances may give away in one pass of a step; up to 64 TiB.
    pub partials: Option<String>,
    /// A step's model; up to 1 TiB.
    pub model: Option<String>,
    /// Columns of a schema.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub columns: Option<usize>,
    /// The name of a column with its metadata; up to 16 MiB.
    pub text: Option<String>,
    /// The component; up to 1 GiB.
    pub component: Option<String>,
    /// Seconds that compiling the component may take.
    #[schemars(range(min = 1, max = 86_400))]
    pub compile_seconds: Option<u64>,
    /// By how much the process may grow while the component is compiled; up to 64 GiB.
    pub compile_memory: Option<String>,
}

/// How calls are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LimitsMode {
    /// By time, which costs little.
    Time,
    /// By instructions, so that a run ends in the same way however busy the machine is.
    Fuel,
}

impl LimitsSection {
    /// What states these limits.
    pub(crate) fn of(limits: &Limits) -> Self {
        let size = |bytes: u64| Some(bytes.to_string());
        Self {
            memory: size(limits.memory as u64),
            table_elements: Some(limits.table_elements),
            mode: Some(if limits.fuel.is_some() { LimitsMode::Fuel } else { LimitsMode::Time }),
            call_seconds: Some(limits.call.as_secs()),
            fuel: limits.fuel,
            returned: size(limits.returned as u64),
            carry: size(limits.carry as u64),
            partials: size(limits.partials),
            model: size(limits.model),
            columns: Some(limits.columns),
            text: size(limits.text as u64),
            component: size(limits.component),
            compile_seconds: Some(limits.compile.as_secs()),
            compile_memory: size(limits.compile_memory),
        }
    }

    /// The limits of `base` with what is said here instead; `pointer` names where it stands in the pipeline file.
    ///
    /// # Errors
    /// Where a size is none, or larger than it may be.
    pub fn over(&self, base: &Limits, pointer: &str) -> Result<Limits> {
        let mut limits = base.clone();
        let size = |key: &str, text: &Option<String>, most: u64| match text {
            None => Ok(None),
            Some(text) => bounded(text, most).map(Some).map_err(|error| error.at(format!("{pointer}/{key}"))),
        };
        if let Some(memory) = size("memory", &self.memory, 4 << 30)? {
            limits = limits.memory(memory as usize);
        }
        let in_memory = [
            (size("returned", &self.returned, 1 << 30)?, &mut limits.returned),
            (size("carry", &self.carry, 256 << 20)?, &mut limits.carry),
            (size("text", &self.text, 16 << 20)?, &mut limits.text),
        ];
        for (stated, limit) in in_memory {
            *limit = stated.map_or(*limit, |bytes| bytes as usize);
        }
        limits.partials = size("partials", &self.partials, 64 << 40)?.unwrap_or(limits.partials);
        limits.model = size("model", &self.model, 1 << 40)?.unwrap_or(limits.model);
        limits.component = size("component", &self.component, 1 << 30)?.unwrap_or(limits.component);
        limits.compile_memory =
            size("compile_memory", &self.compile_memory, 64 << 30)?.unwrap_or(limits.compile_memory);
        limits.table_elements = self.table_elements.unwrap_or(limits.table_elements);
        limits.columns = self.columns.unwrap_or(limits.columns);
        limits.compile = self.compile_seconds.map_or(limits.compile, Duration::from_secs);
        match self.mode {
            Some(LimitsMode::Time) => (limits.fuel, limits.call) = (None, Limits::default().call),
            Some(LimitsMode::Fuel) => (limits.fuel, limits.call) = (Some(FUEL), CALL_WITH_FUEL),
            None => {}
        }
        limits.call = self.call_seconds.map_or(limits.call, Duration::from_secs);
        match (self.fuel, &mut limits.fuel) {
            (None, _) => {}
            (Some(stated), Some(fuel)) => *fuel = stated,
            (Some(_), None) => {
                let error = Error::usage("`fuel` is of no use where calls are measured by time");
                return Err(error.at(format!("{pointer}/fuel")).hint("add `mode = \"fuel\"`, or leave it out"));
            }
        }
        Ok(limits)
    }
}

fn bounded(text: &str, most: u64) -> Result<u64> {
    let bytes = parse_size(text)? as u64;
    match bytes <= most {
        true => Ok(bytes),
        false => Err(Error::usage(format!("`{text}` is more than {}", crate::memory::format_size(most)))
            .hint("no plugin needs so much; see docs/sandbox.md")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_stated_as_they_are() {
        let limits = Limits { fuel: Some(FUEL + 1), text: 12_345, ..Limits::with_memory(7 << 20) };
        for limits in [limits, Limits::default()] {
            assert_eq!(LimitsSection::of(&limits).over(&Limits::with_memory(1 << 20), "").unwrap(), limits);
        }
    }

    #[test]
    fn what_is_left_out_is_as_before() {
        let all = LimitsSection { memory: Some("64MiB".to_owned()), call_seconds: Some(3), ..Default::default() };
        let all = all.over(&Limits::default(), "/limits").unwrap();
        assert_eq!((all.memory, all.passed, all.call.as_secs()), (64 << 20, 8 << 20, 3));
        let one = LimitsSection { mode: Some(LimitsMode::Fuel), model: Some("1KiB".to_owned()), ..Default::default() };
        let one = one.over(&all, "/steps/0/limits").unwrap();
        assert_eq!((one.memory, one.model, one.fuel, one.call), (64 << 20, 1024, Some(FUEL), CALL_WITH_FUEL));
        let back = LimitsSection { mode: Some(LimitsMode::Time), ..Default::default() };
        assert_eq!(back.over(&one, "").unwrap().fuel, None);
        assert_eq!(LimitsSection::default().over(&one, "").unwrap(), one);
    }

    #[test]
    fn what_is_too_much_or_of_no_use_is_refused_at_its_place() {
        let of = |section: LimitsSection| section.over(&Limits::default(), "/limits").unwrap_err();
        let text = |text: &str| Some(text.to_owned());
        let error = of(LimitsSection { memory: text("5GiB"), ..Default::default() });
        assert_eq!(
            (error.message(), error.place().pointer.as_deref()),
            ("`5GiB` is more than 4 GiB", Some("/limits/memory"))
        );
        assert_eq!(of(LimitsSection { text: text("x"), ..Default::default() }).message(), "`x` is not a size");
        let error = of(LimitsSection { fuel: Some(1_000_000), ..Default::default() });
        assert_eq!(error.place().pointer.as_deref(), Some("/limits/fuel"));
    }
}
