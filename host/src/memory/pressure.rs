//! The safety net under the shares of memory: what the process takes in fact, whatever was counted.
//!
//! An allocator keeps what was freed, in pieces between what is in use. How much that comes to nobody counts, so it is looked at from outside.

use super::{MemoryGauge, format_size};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it is looked: in a few milliseconds a run does not allocate more than what lies above the marks.
const EVERY: Duration = Duration::from_millis(10);

/// Looks at which the pressure was high before somebody is told: ten seconds, together.
const PATIENCE: u32 = 1_000;

/// Whether the process is about to take more memory than it may; by default it never is.
#[derive(Clone, Debug, Default)]
pub struct Pressure(Option<Arc<Watch>>);

impl Pressure {
    /// Of a process that may take so many bytes: it is looked after until the last copy of this is dropped. Where the pressure is high for
    /// long, `warn` is told, once.
    pub fn of(memory: usize, warn: impl Fn(&str) + Send + 'static) -> Self {
        Self(Some(Arc::new(Watch::start(memory, warn))))
    }

    /// Whether no more should be begun than has to be.
    pub fn is_high(&self) -> bool {
        self.0.as_ref().is_some_and(|watch| watch.high.load(Ordering::Relaxed))
    }

    /// Whether there is room for what only saves time: up to three quarters of the memory.
    pub fn has_room(&self) -> bool {
        self.sixteenths() < 12
    }

    /// Whether what only saves time should be let go of: before what is free is given back, which takes time too.
    pub fn is_rising(&self) -> bool {
        self.sixteenths() >= 13
    }

    /// Of the memory, those that were taken when it was looked last.
    fn sixteenths(&self) -> u64 {
        self.0.as_ref().map_or(0, |watch| watch.sixteenths.load(Ordering::Relaxed))
    }
}

#[derive(Debug)]
struct Watch {
    high: Arc<AtomicBool>,
    sixteenths: Arc<AtomicU64>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn start(memory: usize, warn: impl Fn(&str) + Send + 'static) -> Self {
        let (stop, stopped) = channel();
        let mut watched = Watched { memory: memory as u64, ..Watched::default() };
        let (high, sixteenths) = (watched.high.clone(), watched.sixteenths.clone());
        let look = move || {
            let mut gauge = MemoryGauge::default();
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(EVERY) {
                if watched.look(|| gauge.resident(), give_back) {
                    let memory = format_size(memory as u64);
                    warn(&format!(
                        "memory is short: rows come one batch at a time, which takes longer; raise `--memory` above {memory}"
                    ));
                }
            }
        };
        // Without a thread there is no net, and the shares hold as they are.
        let thread = std::thread::Builder::new().name("memory".to_owned()).spawn(look).ok();
        Self { high, sixteenths, stop: Some(stop), thread }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread has nothing to panic on, and nothing would follow from it.
            let _ = thread.join();
        }
    }
}

#[derive(Default)]
struct Watched {
    memory: u64,
    high: Arc<AtomicBool>,
    sixteenths: Arc<AtomicU64>,
    /// What was resident when memory was given back last, and did not help.
    kept: u64,
    /// Looks at which the pressure was high.
    looks: u32,
}

impl Watched {
    /// Above seven eighths of the memory what was freed is given back, above fifteen sixteenths the pressure is high. Whether it is time to
    /// say so.
    fn look(&mut self, mut resident: impl FnMut() -> u64, give_back: impl Fn()) -> bool {
        let mut now = resident();
        self.kept = self.kept.min(now);
        // Not again and again where it is all in use.
        if now > self.memory / 8 * 7 && now - self.kept >= self.memory / 32 {
            give_back();
            now = resident();
            self.kept = now;
        }
        self.sixteenths.store(now / (self.memory / 16).max(1), Ordering::Relaxed);
        let high = now > self.memory / 16 * 15;
        self.high.store(high, Ordering::Relaxed);
        self.looks = self.looks.saturating_add(u32::from(high));
        high && self.looks == PATIENCE
    }
}

/// Has the allocator give back what is free, also between what is in use.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes a number, touches what is free only, and takes the locks of the allocator itself: malloc_trim(3).
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn what_is_free_is_given_back_and_pressure_is_high_where_that_does_not_help() {
        let mut watched = Watched { memory: 1_000, ..Watched::default() };
        let high = watched.high.clone();
        let (resident, free, given) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let mut look = |taken: u64, unused: u64| {
            resident.set(taken + unused);
            free.set(unused);
            let give_back = || {
                resident.set(resident.get() - free.take());
                given.set(given.get() + 1);
            };
            watched.look(|| resident.get(), give_back);
            (resident.get(), given.get(), high.load(Ordering::Relaxed))
        };
        assert_eq!(look(700, 40), (740, 0, false));
        assert_eq!(look(800, 100), (800, 1, false));
        assert_eq!(look(950, 30), (950, 2, true));
        assert_eq!(look(950, 10), (960, 2, true));
        assert_eq!(look(950, 60), (950, 3, true));
        assert_eq!(look(300, 0), (300, 3, false));
        assert_eq!(look(800, 90), (800, 4, false));
    }

    #[test]
    fn where_the_pressure_stays_high_it_is_said_once() {
        let mut watched = Watched { memory: 1_000, ..Watched::default() };
        let mut told = |resident: u64, looks: u32| (0..looks).filter(|_| watched.look(|| resident, || {})).count();
        assert_eq!(told(970, PATIENCE - 1), 0);
        assert_eq!(told(300, PATIENCE), 0);
        assert_eq!(told(970, 3 * PATIENCE), 1);
    }

    #[test]
    fn a_process_that_takes_more_than_it_may_is_under_pressure() {
        let (small, large) = (Pressure::of(1 << 10, |_| {}), Pressure::of(1 << 50, |_| {}));
        let high = (0..1_000).any(|_| {
            std::thread::sleep(EVERY);
            small.is_high()
        });
        assert!(high && !large.is_high() && !Pressure::default().is_high());
    }
}
