//! Assigns each row to a part by a hash of its key, or of its whole content where it has none.
//!
//! The part of a row depends on nothing but its hash, the ratios and the seed: equal keys always meet in one part, and rows
//! added tomorrow move none of today's.

use schemars::JsonSchema;
use std::collections::BTreeMap;
use wafermill_sdk::{
    Batch, ColumnRole, ContextColumn, DataType, Error, Field, Output, Plan, PluginRole, Result, Selection, Task,
    Transform, Values, export, serde_json,
};

/// The metadata key under which a split names its parts.
const PARTS: &str = "wafermill:parts";

/// How rows are divided.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The parts' names and their shares, which add up to 1.
    #[serde(default = "default_parts")]
    pub parts: BTreeMap<String, f64>,
    /// The part that later steps are fitted on.
    #[serde(default = "default_train")]
    pub train: String,
    /// Another seed divides the rows in another way.
    #[serde(default)]
    pub seed: u64,
}

fn default_parts() -> BTreeMap<String, f64> {
    [("train", 0.8), ("val", 0.1), ("test", 0.1)].map(|(name, share)| (name.to_owned(), share)).into()
}

fn default_train() -> String {
    "train".to_owned()
}

impl Params {
    /// The parts' names and shares: that of the training rows, then the others by name. The order in which a file lists them means
    /// nothing, since tables in TOML and objects in JSON have none.
    fn in_order(&self) -> Result<Vec<(&str, f64)>> {
        let Some(train) = self.parts.get(&self.train) else {
            return Err(Error::invalid_params(format!("no part has the name `{}`", self.train))
                .hint("name the part that later steps are fitted on with `train`"));
        };
        let others = self.parts.iter().filter(|(name, _)| **name != self.train);
        let others = others.map(|(name, share)| (name.as_str(), *share));
        Ok([(self.train.as_str(), *train)].into_iter().chain(others).collect())
    }

    /// For each part the first 64-bit hash that is not its own; the last part takes all that is left.
    fn bounds(&self) -> Result<Vec<u64>> {
        let parts = self.in_order()?;
        let total: f64 = parts.iter().map(|(_, share)| share).sum();
        if parts.len() > 255 {
            return Err(Error::invalid_params(format!("a split makes 1 to 255 parts, not {}", parts.len())));
        }
        if let Some((name, share)) = parts.iter().find(|(_, share)| share.is_nan() || *share <= 0.0) {
            return Err(Error::invalid_params(format!("part `{name}` has the share {share}, which is not above 0")));
        }
        if (total - 1.0).abs() > 1e-9 {
            return Err(Error::invalid_params(format!("the shares of the parts add up to {total}, not to 1")));
        }
        let bounds = parts.iter().scan(0.0, |below, (_, share)| {
            *below += share;
            // 2⁶⁴ as a double; the cast saturates.
            Some((*below * 18_446_744_073_709_551_616.0) as u64)
        });
        Ok(bounds.collect())
    }
}

/// Spreads a hash and a seed over all 64 bits: the finalizer of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(hash: u64, seed: u64) -> u64 {
    let mut mixed = hash ^ seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// The plugin.
#[derive(Debug)]
pub struct Split {
    bounds: Vec<u64>,
    seed: u64,
}

export!(Split);

impl Transform for Split {
    const NAME: &'static str = "split";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "assigns rows to parts by a hash of their key or content";
    const ROLE: PluginRole = PluginRole::Split;
    type Params = Params;

    fn plan(params: &Params, selection: &Selection) -> Result<Plan> {
        params.bounds()?;
        let names: Vec<_> = params.in_order()?.into_iter().map(|(name, _)| name).collect();
        let names = serde_json::to_string(&names).map_err(|error| Error::internal(error.to_string()))?;
        let field = Field::new("part", DataType::UInt8, false).with_metadata([(PARTS, names)]);
        let keyed = selection.with_role(ColumnRole::Key).next().is_some();
        let hash = if keyed { ContextColumn::KeyHash } else { ContextColumn::RowHash };
        Ok(Plan::default().read_context(hash).add(None, field))
    }

    fn open(task: Task<Params>) -> Result<Self> {
        let bounds = task.params.bounds()?;
        Ok(Self { bounds, seed: task.params.seed })
    }

    fn apply(&self, batch: &Batch, output: &mut Output<'_>) -> Result<()> {
        let Values::UInt64(hashes) = batch.column(0).values() else {
            return Err(Error::internal("the host passed no hashes"));
        };
        let last = self.bounds.len() - 1;
        let parts = output.primitive::<u8>(None)?;
        for (part, hash) in parts.iter_mut().zip(hashes.iter()) {
            let mixed = mix(*hash, self.seed);
            *part = self.bounds[..last].iter().filter(|bound| mixed >= **bound).count() as u8;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
