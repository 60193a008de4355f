//! How the pipeline file states the compression of Arrow IPC: of rows on disk, and on their way.

use crate::source::bigquery::BufferCompression;
use crate::spool::SpoolCompression;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the buffers of record batches are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IpcCompression {
    /// Not at all.
    #[default]
    None,
    /// Fast.
    Lz4,
    /// Small.
    Zstd,
}

impl From<IpcCompression> for SpoolCompression {
    fn from(stated: IpcCompression) -> Self {
        match stated {
            IpcCompression::None => Self::None,
            IpcCompression::Lz4 => Self::Lz4,
            IpcCompression::Zstd => Self::Zstd,
        }
    }
}

impl From<IpcCompression> for BufferCompression {
    fn from(stated: IpcCompression) -> Self {
        match stated {
            IpcCompression::None => Self::None,
            IpcCompression::Lz4 => Self::Lz4,
            IpcCompression::Zstd => Self::Zstd,
        }
    }
}
