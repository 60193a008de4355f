//! Which faults a stream has, and how often each may still strike.

use super::{Failure, Fault, Kind};
use crate::connection::Cut;
use crate::random::Random;
use std::sync::{Mutex, PoisonError};

/// What the streams of all sessions are to suffer.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    Given(Vec<Fault>),
    /// Faults that a reader can recover from, as a seed has them.
    Random {
        seed: u64,
        stalls: bool,
    },
}

/// The faults of one stream of a session.
pub(crate) struct Faults {
    faults: Vec<(usize, Kind)>,
    left: Mutex<Vec<Option<usize>>>,
}

impl Plan {
    /// The faults of the stream with this index, which has so many rows.
    pub(crate) fn faults(&self, stream: usize, rows: usize) -> Faults {
        let faults = match self {
            Self::Given(faults) => {
                faults.iter().filter(|fault| fault.stream.is_none_or(|index| index == stream)).cloned().collect()
            }
            Self::Random { seed, stalls } => random(&mut Random::new(*seed, stream as u64), rows, *stalls),
        };
        let left = faults.iter().map(|fault| fault.times).collect();
        // A fault beyond the end strikes at the end.
        let faults = faults.iter().map(|fault| (fault.row.min(rows), fault.kind)).collect();
        Faults { faults, left: Mutex::new(left) }
    }
}

/// None in a quarter of the streams, otherwise one to three.
fn random(random: &mut Random, rows: usize, stalls: bool) -> Vec<Fault> {
    let faults = random.below(4);
    let fault = |_| {
        let kind = match random.below(if stalls { 11 } else { 10 }) {
            0 => Kind::Fails(Failure::Unavailable),
            1 => Kind::Fails(Failure::Internal),
            2 => Kind::ResetsStream,
            3 => Kind::Fails(Failure::ResourceExhausted(Some(1 + random.below(50) as u64))),
            4 => Kind::Cuts(Cut::Reset),
            5 => Kind::Cuts(Cut::Close),
            6 => Kind::Ends,
            7 => Kind::Fails(Failure::Aborted),
            8 => Kind::SchemaOnly,
            9 => Kind::Empty,
            _ => Kind::Stalls,
        };
        Fault { stream: None, row: random.below(rows + 1), kind, times: Some(1 + random.below(3)) }
    };
    (0..faults).map(fault).collect()
}

impl Faults {
    /// Takes the faults that strike a call which has reached a row, up to one that ends it.
    pub(crate) fn strike(&self, row: usize, begins: bool) -> Vec<Kind> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kinds = Vec::new();
        for ((_, kind), left) in self.faults.iter().zip(left.iter_mut()).filter(|((at, _), _)| *at == row) {
            if *left == Some(0) || (*kind == Kind::StallsConnecting && !begins) {
                continue;
            }
            if let Some(left) = left {
                *left -= 1;
            }
            kinds.push(*kind);
            if kind.ends_the_call() {
                break;
            }
        }
        kinds
    }

    /// The first row behind `row` at which a fault is left, where a message has to end.
    pub(crate) fn next_row(&self, row: usize) -> Option<usize> {
        self.left().filter(|(at, _)| *at > row).map(|(at, _)| at).min()
    }

    /// Whether the call will end at a row with the claim that the stream does.
    pub(crate) fn lies_at(&self, row: usize) -> bool {
        self.left().any(|fault| fault == (row, Kind::EndsLying))
    }

    fn left(&self) -> impl Iterator<Item = (usize, Kind)> {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.faults.iter().copied().zip(left).filter(|(_, left)| *left != Some(0)).map(|(fault, _)| fault)
    }
}
