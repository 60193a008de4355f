//! What a run has done so far: its stages, and what it counts.

use std::time::{Duration, Instant};
use wafermill::run::{Count, Stage};

/// Stages that read the source.
const READING: [&str; 3] = ["fit", "apply", "aggregate"];

/// What a run has done so far.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) start: Instant,
    /// The stages that are under way, the innermost last.
    open: Vec<OpenStage>,
    /// What came of those that have ended; stages of one name, pass and part are one.
    ended: Vec<Tally>,
    /// Stages that have begun.
    begun: u64,
    spilled_rows: u64,
    spilled_partials: u64,
    /// Of the stage that is under way.
    spilled_partials_now: u64,
    pub(super) restarts: Option<u64>,
    pub(super) warnings: u64,
    /// Passes over the source that have ended.
    pub(super) passes: u64,
    /// Bytes of the process.
    pub(super) memory: u64,
    pub(super) peak_memory: u64,
}

/// A stage that is under way.
#[derive(Debug)]
struct OpenStage {
    number: u64,
    stage: Stage,
    expected: Option<u64>,
    rows: u64,
    /// Rows that an earlier run had done.
    skipped: u64,
    bytes: u64,
    start: Instant,
}

/// How far a stage has come.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Counts the stages of the run, from 1 on.
    pub(super) number: u64,
    pub(super) stage: Stage,
    pub(super) expected: Option<u64>,
    pub(super) rows: u64,
    pub(super) skipped: u64,
    pub(super) bytes: u64,
    pub(super) elapsed: Duration,
    pub(super) spilled: u64,
    pub(super) restarts: u64,
    pub(super) memory: u64,
}

/// What stages of one kind came to.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) stage: Stage,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) elapsed: Duration,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            open: Vec::new(),
            ended: Vec::new(),
            begun: 0,
            spilled_rows: 0,
            spilled_partials: 0,
            spilled_partials_now: 0,
            restarts: None,
            warnings: 0,
            passes: 0,
            memory: 0,
            peak_memory: 0,
        }
    }

    pub(super) fn begin(&mut self, stage: Stage, expected: Option<u64>) {
        self.begun += 1;
        let (number, start) = (self.begun, Instant::now());
        self.open.push(OpenStage { number, stage, expected, rows: 0, skipped: 0, bytes: 0, start });
    }

    pub(super) fn advance(&mut self, rows: u64) {
        self.open.last_mut().into_iter().for_each(|open| open.rows += rows);
    }

    pub(super) fn skip(&mut self, rows: u64) {
        self.open
            .last_mut()
            .into_iter()
            .for_each(|open| (open.rows, open.skipped) = (open.rows + rows, open.skipped + rows));
    }

    pub(super) fn bytes(&mut self, bytes: u64) {
        self.open.last_mut().into_iter().for_each(|open| open.bytes += bytes);
    }

    pub(super) fn count(&mut self, what: Count, total: u64) {
        match what {
            Count::SpilledPartials => self.spilled_partials_now = total,
            Count::SpilledRows => self.spilled_rows = total,
            Count::Restarts => self.restarts = Some(total),
        }
    }

    /// Ends the innermost stage, and tells how far it came.
    pub(super) fn end(&mut self) -> Option<View> {
        let view = self.view()?;
        let open = self.open.pop()?;
        self.spilled_partials += std::mem::take(&mut self.spilled_partials_now);
        self.passes += u64::from(READING.contains(&open.stage.name.as_str()));
        add(&mut self.ended, open.tally());
        Some(view)
    }

    /// How far the innermost stage has come.
    pub(super) fn view(&self) -> Option<View> {
        let open = self.open.last()?;
        Some(View {
            number: open.number,
            stage: open.stage.clone(),
            expected: open.expected,
            rows: open.rows,
            skipped: open.skipped,
            bytes: open.bytes,
            elapsed: open.start.elapsed(),
            spilled: self.spilled(),
            restarts: self.restarts.unwrap_or(0),
            memory: self.memory,
        })
    }

    /// What all stages have come to, in the order in which they began to end.
    pub(super) fn tallies(&self) -> Vec<Tally> {
        let mut tallies = self.ended.clone();
        self.open.iter().for_each(|open| add(&mut tallies, open.tally()));
        tallies
    }

    /// Rows of the source that were read, in all passes together, and their bytes.
    pub(super) fn read(&self) -> (u64, u64) {
        let tallies = self.tallies();
        let reading = tallies.iter().filter(|tally| READING.contains(&tally.stage.name.as_str()));
        reading.fold((0, 0), |(rows, bytes), tally| (rows + tally.rows, bytes + tally.bytes))
    }

    /// Bytes that were spilled.
    pub(super) fn spilled(&self) -> u64 {
        self.spilled_rows + self.spilled_partials + self.spilled_partials_now
    }
}

impl OpenStage {
    fn tally(&self) -> Tally {
        let rows = self.rows - self.skipped;
        Tally { stage: self.stage.clone(), rows, bytes: self.bytes, elapsed: self.start.elapsed() }
    }
}

fn add(tallies: &mut Vec<Tally>, new: Tally) {
    match tallies.iter_mut().find(|tally| tally.stage == new.stage) {
        None => tallies.push(new),
        Some(tally) => {
            tally.rows += new.rows;
            tally.bytes += new.bytes;
            tally.elapsed += new.elapsed;
        }
    }
}

impl View {
    /// Rows a second, as soon as it can be told.
    pub(super) fn rate(&self) -> Option<f64> {
        let (rows, seconds) = (self.rows - self.skipped, self.elapsed.as_secs_f64());
        (rows > 0 && seconds > 0.0).then(|| rows as f64 / seconds)
    }

    /// Seconds until the stage ends, at this rate. Nothing where there are more rows than expected: the number was an estimate.
    pub(super) fn seconds_left(&self) -> Option<f64> {
        let left = self.expected?.checked_sub(self.rows)?;
        Some(left as f64 / self.rate()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_within_another_counts_for_itself_and_the_outer_one_goes_on() {
        let mut ledger = Ledger::new();
        ledger.begin(Stage::named("apply"), Some(100));
        ledger.advance(10);
        for part in ["a", "b", "a"] {
            ledger.begin(Stage { part: Some(part.to_owned()), ..Stage::named("write spilled rows") }, Some(5));
            ledger.advance(5);
            ledger.bytes(50);
            assert_eq!(ledger.end().map(|view| (view.rows, view.bytes)), Some((5, 50)));
        }
        ledger.advance(20);
        let view = ledger.view().unwrap();
        assert_eq!((view.number, view.rows, view.bytes), (1, 30, 0));
        let tallies: Vec<_> = ledger.tallies().into_iter().map(|tally| (tally.stage.to_string(), tally.rows)).collect();
        let expected = [("write spilled rows: a", 10), ("write spilled rows: b", 5), ("apply", 30)];
        assert_eq!(tallies, expected.map(|(name, rows)| (name.to_owned(), rows)));
        assert!(ledger.end().is_some() && ledger.end().is_none());
        assert_eq!((ledger.read(), ledger.passes), ((30, 0), 1));
    }

    #[test]
    fn rows_of_an_earlier_run_are_no_speed_of_this_one() {
        let mut ledger = Ledger::new();
        ledger.begin(Stage::named("apply"), Some(1_000));
        ledger.skip(900);
        let view = View { elapsed: Duration::from_secs(2), ..ledger.view().unwrap() };
        assert_eq!((view.rows, view.rate(), view.seconds_left()), (900, None, None));
        ledger.advance(50);
        let view = View { elapsed: Duration::from_secs(2), ..ledger.view().unwrap() };
        assert_eq!((view.rows, view.rate(), view.seconds_left()), (950, Some(25.0), Some(2.0)));
        ledger.advance(100);
        assert_eq!(ledger.view().unwrap().seconds_left(), None);
        assert_eq!(ledger.read().0, 150);
    }

    #[test]
    fn what_passes_spill_adds_up() {
        let mut ledger = Ledger::new();
        for _ in 0..2 {
            ledger.begin(Stage::named("fit"), None);
            ledger.count(Count::SpilledPartials, 5);
            ledger.count(Count::SpilledPartials, 10);
            ledger.end();
        }
        ledger.count(Count::SpilledRows, 7);
        assert_eq!(ledger.spilled(), 27);
    }
}
