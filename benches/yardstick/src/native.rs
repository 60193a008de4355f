//! The plugins' own crates, called natively.

use anyhow::{Context, Result, bail};
use arrow_array::RecordBatch;
use wafermill_plugin_encode::Encode;
use wafermill_plugin_impute::Impute;
use wafermill_plugin_scale::Scale;
use wafermill_sdk::harness::{self, Harness};
use wafermill_sdk::{Batch, Fit, Fitter, Transform};

use wafermill_yardstick::batches;

/// A step with its model, whose batch is at hand.
pub(crate) trait Native {
    /// Passes that fitting took.
    fn passes(&self) -> usize;

    /// Begins a pass.
    fn begin(&mut self, pass: usize) -> Result<()>;

    /// Learns from the batch once more.
    fn update(&mut self) -> Result<()>;

    /// The message of what becomes of the batch.
    fn apply(&self) -> Result<Vec<u8>>;
}

/// Fits a plugin on a batch.
pub(crate) fn open(plugin: &str, params: &str, batch: &RecordBatch) -> Result<Box<dyn Native>> {
    Ok(match plugin {
        "encode" => Box::new(Linked::<Encode>::fit(params, batch)?),
        "impute" => Box::new(Linked::<Impute>::fit(params, batch)?),
        "scale" => Box::new(Linked::<Scale>::fit(params, batch)?),
        other => bail!("`{other}` is not linked"),
    })
}

struct Linked<P: Fit> {
    harness: Harness<P>,
    passes: usize,
    batch: Batch,
    fitter: Option<P::Fitter>,
    transformer: harness::Native<P>,
}

impl<P: Fit> Linked<P> {
    fn fit(params: &str, batch: &RecordBatch) -> Result<Self> {
        let mut harness = Harness::<P>::new(params, batches::logical_fields(batch))?.with_dictionaries()?;
        let message = batches::message(batch)?;
        let passes = harness.fit(std::slice::from_ref(&message))? as usize;
        let (batch, transformer) = (harness.read(message)?, harness.transformer()?);
        Ok(Self { harness, passes, batch, fitter: None, transformer })
    }
}

impl<P: Fit<Fitter: Fitter<<P as Transform>::Params>>> Native for Linked<P> {
    fn passes(&self) -> usize {
        self.passes
    }

    fn begin(&mut self, pass: usize) -> Result<()> {
        self.fitter = self.harness.fitter(pass)?;
        Ok(())
    }

    fn update(&mut self) -> Result<()> {
        Ok(self.fitter.as_mut().context("no pass was begun")?.update(&self.batch)?)
    }

    fn apply(&self) -> Result<Vec<u8>> {
        Ok(self.transformer.apply(&self.batch)?)
    }
}
