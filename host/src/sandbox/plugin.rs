//! A loaded plugin: what it is, what it plans, and instances of it.

use super::bindings::PluginPre;
use super::clock::Clock;
use super::convert;
use super::engine::too_large;
use super::guests::GuestMemory;
use super::instance::Instance;
use super::limits::Limits;
use super::meter::Meter;
use super::store::State;
use crate::contract::{Description, Selection, StepPlan};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A compiled plugin, from which any thread can make instances.
#[derive(Clone)]
pub struct Plugin {
    ready: PluginPre<State>,
    host: Host,
    path: PathBuf,
    digest: Arc<str>,
    /// Bytes of the component.
    size: u64,
    limits: Limits,
    description: Description,
    meter: Option<Arc<Meter>>,
}

/// What all plugins of a sandbox share.
#[derive(Clone)]
pub(super) struct Host {
    /// Without it no call would ever be late.
    #[expect(dead_code, reason = "it is held on to, and ticks by itself")]
    pub(super) clock: Arc<Clock>,
    pub(super) memory: GuestMemory,
}

impl Plugin {
    pub(super) fn new(
        ready: PluginPre<State>,
        host: Host,
        path: &Path,
        digest: String,
        size: u64,
        limits: Limits,
    ) -> Result<Self> {
        let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let digest = Arc::from(digest);
        let description = describe(Instance::new(&ready, (&name, &digest), &limits, &host.memory)?)?;
        Ok(Self { ready, host, path: path.to_owned(), digest, size, limits, description, meter: None })
    }

    /// The same plugin with other limits; nothing is compiled anew, so instructions must be counted in both or in none.
    ///
    /// # Errors
    /// Where it is larger than the limits allow.
    pub(crate) fn with_limits(&self, limits: &Limits) -> Result<Self> {
        if self.size > limits.component {
            return Err(too_large(&self.path, limits.component));
        }
        Ok(Self { limits: limits.clone(), ..self.clone() })
    }

    /// The same plugin, and a meter that counts what instances of it take from now on.
    pub fn metered(&self) -> (Self, Arc<Meter>) {
        let meter = Arc::new(Meter::default());
        (Self { meter: Some(meter.clone()), ..self.clone() }, meter)
    }

    /// What the plugin says of itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Asks again what it is, in a new instance.
    ///
    /// # Errors
    /// Where the plugin fails, or its description breaks the contract.
    pub fn describe(&self) -> Result<Description> {
        describe(self.instance()?)
    }

    /// The file it was loaded from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `sha256:` and the digest of the component's bytes.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What its instances may take.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What all instances take that are of the same sandbox, of whatever plugin.
    pub fn memory(&self) -> &GuestMemory {
        &self.host.memory
    }

    /// What a step with these parameters does with these columns.
    ///
    /// # Errors
    /// Where the plugin refuses them, or its plan breaks the contract.
    pub fn plan(&self, params: &str, selection: &Selection) -> Result<StepPlan> {
        let mut instance = self.instance()?;
        let columns = convert::selection(selection).map_err(|error| self.unspeakable(error))?;
        let plan = instance.call("plan", |store, guest| guest.call_plan(store, params, &columns))?;
        let plan =
            convert::step_plan(plan, selection, &self.limits).map_err(|reason| instance.broken("plan", reason))?;
        plan.check(&self.description, selection).map_err(|error| instance.error(error))?;
        Ok(plan)
    }

    pub(super) fn instance(&self) -> Result<Instance> {
        let named = (self.description.name.as_str(), &self.digest);
        Ok(Instance::new(&self.ready, named, &self.limits, &self.host.memory)?.metered(self.meter.clone()))
    }

    pub(super) fn unspeakable(&self, cause: crate::ipc::Cause) -> Error {
        Error::internal("a schema cannot be passed to a plugin").because(cause).in_plugin(&self.description.name)
    }
}

fn describe(mut instance: Instance) -> Result<Description> {
    let description = instance.call("describe", |store, guest| guest.call_describe(store).map(Ok))?;
    convert::description(description).map_err(|reason| instance.broken("describe", reason))
}
