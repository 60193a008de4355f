//! The safety net under the shares of memory: what the process takes in fact, whatever was counted.
//!
//! An allocator keeps what was freed, in pieces between what is in use. How much that comes to nobody counts, so it is looked at from outside.

use super::{MemoryGauge, format_size};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
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
        self.0.as_ref().is_none_or(|watch| watch.has_room.load(Ordering::Relaxed))
    }

    /// Has something let go of what it holds, as long as it is there and whenever more than thirteen sixteenths of the memory are taken.
    pub fn relieve_by<R: Relief + 'static>(&self, relief: &Arc<R>) {
        if let Some(watch) = &self.0 {
            let relief: Weak<dyn Relief> = Arc::<R>::downgrade(relief);
            watch.reliefs.lock().unwrap_or_else(PoisonError::into_inner).push(relief);
        }
    }
}

/// What holds memory that only saves time.
pub trait Relief: Send + Sync {
    /// Lets go of some of it. Whether there was any.
    fn relieve(&self) -> bool;
}

type Reliefs = Arc<Mutex<Vec<Weak<dyn Relief>>>>;

/// Has all that are still there let go of something. Whether there was anything.
fn relieve(reliefs: &Reliefs) -> bool {
    let mut reliefs = reliefs.lock().unwrap_or_else(PoisonError::into_inner);
    reliefs.retain(|relief| relief.strong_count() > 0);
    let there: Vec<Arc<dyn Relief>> = reliefs.iter().filter_map(Weak::upgrade).collect();
    drop(reliefs);
    there.iter().fold(false, |any, relief| relief.relieve() | any)
}

#[derive(Debug)]
struct Watch {
    high: Arc<AtomicBool>,
    has_room: Arc<AtomicBool>,
    reliefs: Reliefs,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn start(memory: usize, warn: impl Fn(&str) + Send + 'static) -> Self {
        let (stop, stopped) = channel();
        let mut watched = Watched { memory: memory as u64, ..Watched::default() };
        let (high, has_room) = (watched.high.clone(), watched.has_room.clone());
        let reliefs = Reliefs::default();
        let held = reliefs.clone();
        let look = move || {
            let mut gauge = MemoryGauge::default();
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(EVERY) {
                if watched.look(|| gauge.resident(), || relieve(&held), give_back) {
                    let memory = format_size(memory as u64);
                    warn(&format!(
                        "memory is short: rows come one batch at a time, which takes longer; raise `--memory` above {memory}"
                    ));
                }
            }
        };
        // Without a thread there is no net, and the shares hold as they are.
        let thread = std::thread::Builder::new().name("memory".to_owned()).spawn(look).ok();
        Self { high, has_room, reliefs, stop: Some(stop), thread }
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
    has_room: Arc<AtomicBool>,
    /// What was resident when memory was given back last, and did not help.
    kept: u64,
    /// Looks at which the pressure was high.
    looks: u32,
}

impl Watched {
    /// Up to three quarters of the memory there is room for what only saves time, and above thirteen sixteenths it is let go of. Above seven
    /// eighths what was freed is given back, above fifteen sixteenths the pressure is high. Whether it is time to say so.
    fn look(&mut self, mut resident: impl FnMut() -> u64, relieve: impl Fn() -> bool, give_back: impl Fn()) -> bool {
        let mut now = resident();
        if now > self.memory / 16 * 13 && relieve() {
            // Else the next look would not see that it was.
            give_back();
            now = resident();
        }
        self.kept = self.kept.min(now);
        // Not again and again where it is all in use.
        if now > self.memory / 8 * 7 && now - self.kept >= self.memory / 32 {
            give_back();
            now = resident();
            self.kept = now;
        }
        self.has_room.store(now <= self.memory / 4 * 3, Ordering::Relaxed);
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
            watched.look(|| resident.get(), || false, give_back);
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
    fn what_only_saves_time_is_let_go_of_before_the_pressure_is_high() {
        let mut watched = Watched { memory: 1_600, ..Watched::default() };
        let (high, has_room) = (watched.high.clone(), watched.has_room.clone());
        let (held, free) = (Cell::new(400_u64), Cell::new(0));
        let mut look = |taken: u64| {
            let relieve = || {
                let half = held.get().div_ceil(2);
                held.set(held.get() - half);
                free.set(free.get() + half);
                half > 0
            };
            watched.look(|| taken + held.get() + free.get(), relieve, || free.set(0));
            (held.get(), has_room.load(Ordering::Relaxed), high.load(Ordering::Relaxed))
        };
        assert_eq!(look(700), (400, true, false));
        assert_eq!(look(850), (400, false, false));
        assert_eq!(look(950), (200, true, false));
        assert_eq!(look(1_300), (100, false, false));
        assert_eq!(look(1_550), (50, false, true));
        assert_eq!(look(800), (50, true, false));
    }

    #[test]
    fn who_holds_memory_is_asked_for_as_long_as_it_is_there() {
        struct Held(std::sync::atomic::AtomicUsize);
        impl Relief for Held {
            fn relieve(&self) -> bool {
                self.0.fetch_add(1, Ordering::Relaxed) < 3
            }
        }
        let reliefs = Reliefs::default();
        let held: Vec<Arc<Held>> = (0..2).map(|_| Arc::new(Held(Default::default()))).collect();
        held.iter().for_each(|held| reliefs.lock().unwrap().push(Arc::<Held>::downgrade(held)));
        assert_eq!([0; 5].map(|_| relieve(&reliefs)), [true, true, true, false, false]);
        drop(held);
        assert!(!relieve(&reliefs) && reliefs.lock().unwrap().is_empty());
    }

    #[test]
    fn where_the_pressure_stays_high_it_is_said_once() {
        let mut watched = Watched { memory: 1_000, ..Watched::default() };
        let mut told =
            |resident: u64, looks: u32| (0..looks).filter(|_| watched.look(|| resident, || false, || {})).count();
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
