//! What one pass over a column tells the next one on the way to its quantiles.

use crate::{Error, Result};

/// Bits of the code that one pass resolves.
pub(super) const STEP: u32 = 16;

/// What is known of a column between two passes.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// Rows with a number.
    pub(super) count: u64,
    /// Upper bits of the wanted values that are known.
    pub(super) known: u32,
    /// Upper bits that the next pass tells apart.
    pub(super) next: u32,
    /// The wanted ranks, ascending.
    pub(super) ranks: Vec<Rank>,
}

/// What is known of the value with a rank.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rank {
    /// Counted from zero, over the rows with a number.
    pub(super) rank: u64,
    /// The upper bits of its code.
    pub(super) bucket: u64,
    /// Rows with a lower bucket.
    pub(super) below: u64,
    /// Rows in the bucket.
    pub(super) rows: u64,
}

impl Progress {
    /// Whether every wanted value is known.
    pub(super) fn done(&self) -> bool {
        self.known == 64 || self.ranks.is_empty()
    }
}

/// What the next pass must know, as numbers of 64 bits, little-endian.
pub(super) fn write_carry(columns: &[Progress]) -> Vec<u8> {
    let mut carry = Vec::new();
    for Progress { count, known, next, ranks } in columns {
        carry.extend([*count, u64::from(*known), u64::from(*next), ranks.len() as u64]);
        carry.extend(ranks.iter().flat_map(|it| [it.rank, it.bucket, it.below, it.rows]));
    }
    carry.into_iter().flat_map(u64::to_le_bytes).collect()
}

/// What the first pass begins with, or what [`write_carry`] wrote.
pub(super) fn read_carry(columns: usize, carry: Option<&[u8]>) -> Result<Vec<Progress>> {
    let Some(carry) = carry else {
        return Ok(vec![Progress { next: STEP, ..Progress::default() }; columns]);
    };
    let (numbers, rest) = carry.as_chunks::<8>();
    let mut numbers = numbers.iter().map(|number| u64::from_le_bytes(*number));
    let progress: Option<Vec<Progress>> = (0..columns).map(|_| read_progress(&mut numbers)).collect();
    let progress = progress.filter(|_| rest.is_empty() && numbers.next().is_none());
    progress.ok_or_else(|| Error::invalid_model("this carry is not one of quantiles of these columns"))
}

fn read_progress(numbers: &mut impl Iterator<Item = u64>) -> Option<Progress> {
    let (count, known, next, length) = (numbers.next()?, numbers.next()?, numbers.next()?, numbers.next()?);
    let mut rank =
        || Some(Rank { rank: numbers.next()?, bucket: numbers.next()?, below: numbers.next()?, rows: numbers.next()? });
    let ranks = (0..length).map(|_| rank()).collect::<Option<_>>()?;
    let in_order = (1..=next).contains(&known) && next <= 64;
    in_order.then_some(Progress { count, known: known as u32, next: next as u32, ranks })
}
