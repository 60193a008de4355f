//! Histograms of one column: how many numbers have the same upper bits in their codes.

use super::dense::{CHUNK, keep};
use super::order::{decode, encode, upper_half};
use super::progress::{Progress, STEP};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// The upper `bits` bits.
pub(super) fn upper(code: u64, bits: u32) -> u64 {
    if bits == 0 { 0 } else { code >> (64 - bits) << (64 - bits) }
}

/// What a pass counts of one column.
#[derive(Debug)]
pub(super) enum Histogram {
    /// The first pass: all numbers.
    Coarse(Coarse),
    /// A later one: numbers near the wanted ones.
    Fine(Fine),
    /// All that is wanted is known.
    Known,
}

impl Histogram {
    /// Of the first pass.
    pub(super) fn first() -> Self {
        Self::Coarse(Coarse::default())
    }

    /// Of the pass behind the one that came so far.
    pub(super) fn of(progress: &Progress) -> Self {
        match progress {
            Progress { known: 0, .. } => Self::first(),
            progress if progress.done() => Self::Known,
            progress => Self::Fine(Fine::new(progress)),
        }
    }

    /// Takes up to [`CHUNK`] numbers; NaNs count nothing.
    pub(super) fn add(&mut self, numbers: &[f64]) {
        match self {
            Self::Coarse(coarse) => coarse.add(numbers),
            Self::Fine(fine) => fine.add(numbers),
            Self::Known => {}
        }
    }

    /// Buckets with their counts, which are then gone: all of the first pass, or up to `most` of a later one.
    pub(super) fn take(&mut self, most: usize) -> Vec<(u64, i64)> {
        match self {
            Self::Coarse(coarse) => std::mem::take(coarse).counts().collect(),
            Self::Fine(fine) => fine.take(most),
            Self::Known => Vec::new(),
        }
    }
}

/// Counts of the first pass, by the two upper bytes.
#[derive(Debug)]
pub(super) struct Coarse {
    /// For each upper byte the position of its block, counted from one; zero where it has none.
    places: Box<[u16; 256]>,
    blocks: Vec<[i64; 256]>,
}

impl Default for Coarse {
    fn default() -> Self {
        Self { places: Box::new([0; 256]), blocks: Vec::new() }
    }
}

impl Coarse {
    fn add(&mut self, numbers: &[f64]) {
        let (mut buckets, mut any_nan) = ([0; CHUNK], false);
        for (bucket, number) in buckets.iter_mut().zip(numbers) {
            *bucket = (upper_half(*number) >> 16) as u16;
            any_nan |= number.is_nan();
        }
        let buckets = buckets.iter().zip(numbers);
        if any_nan {
            buckets.filter(|(_, number)| !number.is_nan()).for_each(|(bucket, _)| self.count(*bucket));
        } else {
            buckets.for_each(|(bucket, _)| self.count(*bucket));
        }
    }

    #[inline]
    fn count(&mut self, bucket: u16) {
        let [high, low] = bucket.to_be_bytes().map(usize::from);
        let place = match self.places[high] {
            0 => self.begin(high),
            place => place,
        };
        self.blocks[usize::from(place) - 1][low] += 1;
    }

    #[cold]
    fn begin(&mut self, high: usize) -> u16 {
        self.blocks.push([0; 256]);
        self.places[high] = self.blocks.len() as u16;
        self.places[high]
    }

    /// Buckets with their counts.
    fn counts(self) -> impl Iterator<Item = (u64, i64)> {
        let Self { places, blocks } = self;
        let begun = (0_u64..).zip(*places).filter(|(_, place)| *place > 0);
        begun.flat_map(move |(high, place)| {
            let counts = (0_u64..).zip(blocks[usize::from(place) - 1]).filter(|(_, count)| *count > 0);
            counts.map(move |(low, count)| (high << 56 | low << 48, count))
        })
    }
}

/// Counts of a later pass, in the buckets that hold a wanted number.
#[derive(Debug)]
pub(super) struct Fine {
    /// Upper bits that tell those buckets.
    known: u32,
    /// Upper bits that tell the finer ones.
    next: u32,
    /// The buckets, ascending.
    buckets: Vec<u64>,
    /// Between these lie all numbers of the buckets, and maybe others.
    range: (f64, f64),
    counts: HashMap<u64, i64, FixedState>,
    /// The finer bucket that was met last, and how often in a row; not yet among the counts.
    last: (u64, i64),
}

impl Fine {
    fn new(progress: &Progress) -> Self {
        let Progress { known, next, ref ranks, .. } = *progress;
        let mut buckets: Vec<u64> = ranks.iter().map(|rank| rank.bucket).collect();
        buckets.sort_unstable();
        buckets.dedup();
        // What codes beyond those of the infinities stand for is NaN.
        let number = |code: u64, infinity: f64| if decode(code).is_nan() { infinity } else { decode(code) };
        let least = buckets.first().map_or(f64::INFINITY, |bucket| number(*bucket, f64::NEG_INFINITY));
        let most = buckets.last().map_or(f64::NEG_INFINITY, |bucket| number(bucket | !upper(!0, known), f64::INFINITY));
        Self { known, next, buckets, range: (least, most), counts: HashMap::default(), last: (0, 0) }
    }

    fn add(&mut self, numbers: &[f64]) {
        let (least, most) = self.range;
        let mut near = [0.0; CHUNK];
        let is_near = |number: f64| (least <= number) & (number <= most);
        let count = keep(numbers.iter().map(|number| (*number, is_near(*number))), &mut near);
        for code in near[..count].iter().map(|number| encode(*number)) {
            if self.buckets.contains(&upper(code, self.known)) {
                self.count(upper(code, self.next));
            }
        }
    }

    /// Columns of few distinct numbers meet the same one again and again.
    #[inline]
    fn count(&mut self, bucket: u64) {
        if self.last.0 != bucket {
            self.settle();
            self.last.0 = bucket;
        }
        self.last.1 += 1;
    }

    fn settle(&mut self) {
        let (bucket, count) = std::mem::take(&mut self.last);
        if count > 0 {
            *self.counts.entry(bucket).or_default() += count;
        }
    }

    fn take(&mut self, most: usize) -> Vec<(u64, i64)> {
        self.settle();
        self.counts.extract_if(|_, _| true).take(most).collect()
    }
}

const _: () = assert!(STEP == 16, "the buckets of `Coarse` are those of the first pass");
