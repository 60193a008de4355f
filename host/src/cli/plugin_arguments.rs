//! The arguments of `plugin …`.

use super::arguments::PluginFolder;
use clap::{Args, Subcommand};
use serde_json::Value;
use std::path::PathBuf;

/// `plugin …`.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// List the installed plugins
    List(PluginListArguments),
    /// Show what a plugin is and which parameters it takes
    Info(PluginInfoArguments),
    /// Check the laws of the contract on a plugin, with generated tables
    Check(PluginCheckArguments),
    /// Make a call again that failed, as `--dump-batch` wrote it down
    Replay(PluginReplayArguments),
}

/// `plugin list`.
#[derive(Debug, Args)]
pub(crate) struct PluginListArguments {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) plugins: PluginFolder,
}

/// `plugin info`.
#[derive(Debug, Args)]
pub(crate) struct PluginInfoArguments {
    /// The plugin's name, or the path of its component
    pub(crate) plugin: String,
    /// Only read the component, to show what it imports and exports: nothing of it is compiled or run
    #[arg(long = "static")]
    pub(crate) is_static: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) plugins: PluginFolder,
}

/// `plugin check`.
#[derive(Debug, Args)]
pub(crate) struct PluginCheckArguments {
    /// The plugin's name, or the path of its component
    pub(crate) plugin: String,
    /// The parameters, as JSON [default: sets derived from the plugin's schema]
    #[arg(long, value_parser = json)]
    pub(crate) params: Option<Value>,
    /// Rows of the largest table
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rows: u32,
    /// Random ways to cut, order and share out the rows that a plugin learns from
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) partitions: u32,
    /// Another seed makes other tables and partitions
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) plugins: PluginFolder,
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{error}; quote it: `--params '{{\"seed\": 7}}'`"))
}

/// `plugin replay`.
#[derive(Debug, Args)]
pub(crate) struct PluginReplayArguments {
    /// The folder of the call: one of those that `--dump-batch` made
    pub(crate) call: PathBuf,
    /// The plugin's name, or the path of its component [default: the component that failed; with `--plugins` that of its name there]
    #[arg(long, value_name = "PLUGIN")]
    pub(crate) plugin: Option<String>,
    /// Take the plugin though it is another one than that of the call, such as one that was mended
    #[arg(long)]
    pub(crate) any_digest: bool,
    /// Rows to print of what is returned
    #[arg(long, default_value_t = 10)]
    pub(crate) rows: usize,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) plugins: PluginFolder,
}
