//! Faults that a test asks for: what goes wrong, in which stream, after how many rows, and how often.

mod damage;
mod failure;
mod schedule;

pub(crate) use damage::Damage;
pub(crate) use failure::Failure;
pub(crate) use schedule::{Faults, Plan};

use crate::connection::Cut;
use anyhow::{Context, Result, bail};

/// A fault of the streams of every session.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// The stream's index in its session, or every stream.
    pub(crate) stream: Option<usize>,
    /// The rows of the stream that are sent before it strikes.
    pub(crate) row: usize,
    pub(crate) kind: Kind,
    /// How often it strikes in each stream; for ever, if none.
    pub(crate) times: Option<usize>,
}

/// A fault of CreateReadSession.
#[derive(Clone, Debug)]
pub(crate) struct SessionFault {
    /// A call that fails, or one that is never answered.
    pub(crate) failure: Option<Failure>,
    pub(crate) times: Option<usize>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Fails(Failure),
    ResetsStream,
    Cuts(Cut),
    Stalls,
    /// Only a call that begins at the row.
    StallsConnecting,
    /// To so many bytes per second.
    Slows(u64),
    Ends,
    EndsLying,
    /// In percent.
    Throttles(i32),
    SchemaOnly,
    Empty,
    Repeats,
    Damages(Damage),
}

impl Fault {
    /// Parses `STREAM:ROW:KIND`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let [stream, row, kind] = text.splitn(3, ':').collect::<Vec<_>>()[..] else {
            bail!("`{text}` is not STREAM:ROW:KIND");
        };
        let stream = match stream {
            "*" => None,
            index => Some(index.parse().with_context(|| format!("`{index}` is no index of a stream, nor `*`"))?),
        };
        let row = row.parse().with_context(|| format!("`{row}` is no number of rows"))?;
        let (kind, times) = repeated(kind)?;
        Ok(Self { stream, row, kind: Kind::parse(kind)?, times })
    }
}

impl SessionFault {
    /// Parses `KIND`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (kind, times) = repeated(text)?;
        let failure = match Kind::parse(kind)? {
            Kind::Fails(failure) => Some(failure),
            Kind::Stalls => None,
            _ => bail!("a session can only fail with a status or `stall`, not by `{kind}`"),
        };
        Ok(Self { failure, times })
    }
}

/// Parses `KIND*N`: once where nothing is said, for ever after `**`.
fn repeated(text: &str) -> Result<(&str, Option<usize>)> {
    Ok(match text.split_once('*') {
        None => (text, Some(1)),
        Some((kind, "*")) => (kind, None),
        Some((kind, times)) => {
            (kind, Some(times.parse().with_context(|| format!("`{times}` is no number of times, nor `*`"))?))
        }
    })
}

impl Kind {
    fn parse(text: &str) -> Result<Self> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => {
                (name, Some(value.parse::<u64>().with_context(|| format!("`{value}` in `{text}` is no number"))?))
            }
            None => (text, None),
        };
        Ok(match (name, value) {
            ("rst-stream", None) => Self::ResetsStream,
            ("tcp-reset", None) => Self::Cuts(Cut::Reset),
            ("tcp-close", None) => Self::Cuts(Cut::Close),
            ("stall", None) => Self::Stalls,
            ("stall-connect", None) => Self::StallsConnecting,
            ("slow", Some(rate @ 1..)) => Self::Slows(rate),
            ("end", None) => Self::Ends,
            ("end-lying", None) => Self::EndsLying,
            ("throttle", Some(percent @ 0..=100)) => Self::Throttles(percent as i32),
            ("schema-only", None) => Self::SchemaOnly,
            ("empty", None) => Self::Empty,
            ("repeat", None) => Self::Repeats,
            ("corrupt", None) => Self::Damages(Damage::Corrupt),
            ("truncated", None) => Self::Damages(Damage::Truncated),
            ("garbage", None) => Self::Damages(Damage::Garbage),
            ("rows-lie", None) => Self::Damages(Damage::RowsLie),
            ("negative-rows", None) => Self::Damages(Damage::NegativeRows),
            ("schema-change", None) => Self::Damages(Damage::SchemaChange { silent: false }),
            ("schema-change-silent", None) => Self::Damages(Damage::SchemaChange { silent: true }),
            ("bomb", None) => Self::Damages(Damage::Bomb),
            _ => match Failure::parse(name, value) {
                Some(failure) => Self::Fails(failure),
                None => bail!("there is no fault `{text}`; see --help"),
            },
        })
    }

    /// Whether nothing comes after it in a call.
    fn ends_the_call(self) -> bool {
        matches!(
            self,
            Self::Fails(_)
                | Self::ResetsStream
                | Self::Cuts(_)
                | Self::Stalls
                | Self::StallsConnecting
                | Self::Ends
                | Self::EndsLying
        )
    }
}
