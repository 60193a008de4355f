//! What a run tells while it is under way: progress, notes, warnings, events and metrics. A run writes to standard error through
//! this only, so that a bar and a message never mix.

mod events;
mod ledger;
mod line;
mod metrics;
mod options;

pub(super) use events::wrong_command_line;
pub(super) use options::{ConsoleArguments, asks_for_events};

use super::print::{readable, render};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ledger::Ledger;
use metrics::{Measured, MetricsFile, State, StepTimes};
use options::Mode;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use wafermill::memory::MemoryGauge;
use wafermill::run::{Count, Progress, Report, Stage, Timing, Watcher};
use wafermill::{Error, ErrorKind, Result};

/// How often what is shown is brought up to date.
const TICK: Duration = Duration::from_millis(100);

/// How often an event tells of progress.
const EVENT: Duration = Duration::from_secs(1);

/// How often a line does that stays.
const LINE: Duration = Duration::from_secs(10);

/// How often metrics are written.
const METRICS: Duration = Duration::from_secs(5);

/// Columns of a terminal that does not tell.
const COLUMNS: usize = 80;

/// Tells people and machines what a run is doing.
#[derive(Clone)]
pub(super) struct Console(Arc<Shared>);

struct Shared {
    command: &'static str,
    mode: Mode,
    quiet: bool,
    told: Mutex<Told>,
    metrics: Mutex<Option<MetricsFile>>,
    ticker: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

/// What was told, and what there is to tell.
struct Told {
    ledger: Ledger,
    gauge: MemoryGauge,
    bar: Option<ProgressBar>,
    /// When progress was told last, or a stage began.
    last: Instant,
    steps: Option<StepTimes>,
    report: Option<Report>,
    destination: Option<PathBuf>,
    state: State,
}

impl Console {
    /// Of a command that tells nothing but warnings and errors.
    pub(super) fn plain(command: &'static str) -> Self {
        Self::new(command, Mode::None, false)
    }

    /// Of a command with these arguments; it tells nothing yet.
    pub(super) fn of(command: &'static str, arguments: &ConsoleArguments) -> Self {
        Self::new(command, arguments.mode(), arguments.quiet)
    }

    fn new(command: &'static str, mode: Mode, quiet: bool) -> Self {
        let told = Told {
            ledger: Ledger::new(),
            gauge: MemoryGauge::default(),
            bar: None,
            last: Instant::now(),
            steps: None,
            report: None,
            destination: None,
            state: State::Running,
        };
        let (told, metrics, ticker) = (Mutex::new(told), Mutex::default(), Mutex::default());
        Self(Arc::new(Shared { command, mode, quiet, told, metrics, ticker }))
    }

    /// Begins to tell.
    ///
    /// # Errors
    /// Where the metrics cannot be written.
    pub(super) fn open(&self, metrics: Option<&Path>) -> Result<()> {
        let shared = &self.0;
        if shared.mode == Mode::Json {
            shared.say(&events::begun(shared.command));
        }
        if let Some(path) = metrics {
            let file = MetricsFile::at(path)?;
            file.write(&shared.lock().metrics(shared.command))?;
            *shared.metrics.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        }
        if shared.mode == Mode::None && metrics.is_none() {
            return Ok(());
        }
        let (stop, stopped) = bounded::<()>(0);
        let ticking = Arc::clone(shared);
        let tick = move || {
            let mut written = Instant::now();
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                ticking.tick();
                if written.elapsed() >= METRICS {
                    ticking.write_metrics();
                    written = Instant::now();
                }
            }
        };
        // Without it a run goes on in silence.
        if let Ok(thread) = std::thread::Builder::new().name("console".to_owned()).spawn(tick) {
            *shared.ticker.lock().unwrap_or_else(PoisonError::into_inner) = Some((stop, thread));
        }
        Ok(())
    }

    /// Whom those who work are to tell.
    pub(super) fn watcher(&self) -> Watcher {
        Watcher::new(Arc::clone(&self.0) as Arc<dyn Progress>)
    }

    /// Has the time of the steps told.
    pub(super) fn watch_steps(&self, timing: &Arc<Timing>, names: Vec<String>) {
        self.0.lock().steps = Some((Arc::clone(timing), names));
    }

    /// Whether results for people are not wanted.
    pub(super) fn is_quiet(&self) -> bool {
        self.0.quiet
    }

    /// Whether standard error is for machines.
    pub(super) fn tells_events(&self) -> bool {
        self.0.mode == Mode::Json
    }

    /// What people should know though nothing failed.
    pub(super) fn warn(&self, message: &str) {
        self.0.warn(message);
    }

    /// What people may want to know.
    pub(super) fn note(&self, message: &str) {
        if !self.0.quiet {
            self.0.message("note", message);
        }
    }

    /// Text for people, on standard error.
    pub(super) fn say(&self, text: &str) {
        self.0.say(text);
    }

    /// Keeps what the run came to, which is then told.
    pub(super) fn came_to(&self, report: &Report, destination: &Path) {
        let mut told = self.0.lock();
        (told.report, told.destination) = (Some(report.clone()), Some(destination.to_owned()));
    }

    /// Tells what the run came to where standard output holds the rows.
    pub(super) fn report(&self, report: &Report) {
        self.0.say(&events::report(report));
    }

    /// Ends: nothing of a bar stays, and events and metrics tell how.
    pub(super) fn close(&self, outcome: &Result<()>, exit_status: u8) {
        self.stop_ticking();
        let shared = &self.0;
        let mut told = shared.lock();
        told.clear();
        told.measure();
        told.state = match outcome {
            Ok(()) => State::Succeeded,
            Err(_) if exit_status == super::INTERRUPTED => State::Interrupted,
            Err(_) => State::Failed,
        };
        let (events, ended) = (shared.mode == Mode::Json, told.done());
        drop(told);
        // What that warns of comes before the last event.
        shared.write_metrics();
        match outcome {
            Ok(()) if events => shared.say(&ended),
            Ok(()) => {}
            Err(error) if events => shared.say(&events::error(error, exit_status)),
            Err(error) => shared.say(&readable(&render(error))),
        }
    }

    /// Ends at once, without waiting for anything: takes a bar off the terminal, and tells what can be done about what is left.
    pub(super) fn abandon(&self, left: Option<&str>) {
        self.0.lock().clear();
        let left = left.map_or_else(String::new, |left| format!(": {left}"));
        let message = format!("interrupted at once{left}");
        match self.0.mode {
            Mode::Json => {
                let error = Error::new(ErrorKind::Interrupted, message);
                self.0.say(&events::error(&error, super::INTERRUPTED));
            }
            _ => self.0.say(&readable(&(message + "\n"))),
        }
    }

    fn stop_ticking(&self) {
        let ticker = self.0.ticker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = ticker {
            drop(stop);
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes to standard error, at once and as a whole; where nobody reads it, that is no error.
    fn say(&self, text: &str) {
        self.lock().say(text);
    }

    fn tick(&self) {
        let mut told = self.lock();
        told.measure();
        let Some(view) = told.ledger.view() else { return };
        let due = |every| told.last.elapsed() >= every;
        match self.mode {
            Mode::Bar => told.draw(&line::render(&view, columns())),
            Mode::Json if due(EVENT) => told.tell(&events::progress(&view)),
            Mode::Lines if due(LINE) => told.tell(&readable(&(line::plain(&view) + "\n"))),
            _ => {}
        }
    }

    fn write_metrics(&self) {
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = &*metrics else { return };
        let text = self.lock().metrics(self.command);
        if let Err(error) = file.write(&text) {
            // Once is enough.
            *metrics = None;
            drop(metrics);
            let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
            self.warn(&format!("{}{cause}: they are given up", error.message()));
        }
    }

    fn warn(&self, message: &str) {
        self.lock().ledger.warnings += 1;
        self.message("warning", message);
    }

    fn message(&self, event: &str, message: &str) {
        match self.mode {
            Mode::Json => self.say(&events::message(event, message)),
            _ => self.say(&readable(&format!("{event}: {message}\n"))),
        }
    }
}

impl Told {
    fn say(&self, text: &str) {
        let write = || {
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Tells of progress.
    fn tell(&mut self, text: &str) {
        self.last = Instant::now();
        self.say(text);
    }

    fn draw(&mut self, text: &str) {
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
        });
        bar.set_message(readable(text).into_owned());
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn measure(&mut self) {
        (self.ledger.memory, self.ledger.peak_memory) = self.gauge.read();
    }

    fn metrics(&self, command: &str) -> String {
        let (steps, report) = (self.steps.as_ref(), self.report.as_ref());
        Measured { command, state: self.state, ledger: &self.ledger, steps, report }.text()
    }

    fn done(&self) -> String {
        let destination = self.destination.as_ref().map(|path| path.display().to_string());
        let rows = self.report.as_ref().and_then(|report| report.rows);
        let seconds = self.ledger.start.elapsed().as_secs_f64();
        events::done(seconds, rows, destination.as_deref(), self.ledger.peak_memory)
    }
}

impl Progress for Shared {
    fn begin(&self, stage: &str, rows: Option<u64>) {
        self.enter(&Stage::named(stage), rows);
    }

    fn enter(&self, stage: &Stage, rows: Option<u64>) {
        let mut told = self.lock();
        told.ledger.begin(stage.clone(), rows);
        told.last = Instant::now();
        if let (Mode::Json, Some(view)) = (self.mode, told.ledger.view()) {
            told.say(&events::stage_begun(&view));
        }
    }

    fn advance(&self, rows: u64) {
        self.lock().ledger.advance(rows);
    }

    fn skip(&self, rows: u64) {
        self.lock().ledger.skip(rows);
    }

    fn bytes(&self, bytes: u64) {
        self.lock().ledger.bytes(bytes);
    }

    fn count(&self, what: Count, total: u64) {
        self.lock().ledger.count(what, total);
    }

    fn end(&self) {
        let mut told = self.lock();
        let Some(view) = told.ledger.end() else { return };
        if told.ledger.view().is_none() {
            told.clear();
        }
        match self.mode {
            Mode::Json => told.say(&events::stage_ended(&view)),
            Mode::Lines => told.say(&readable(&(line::plain(&view) + "\n"))),
            Mode::Bar | Mode::None => {}
        }
    }
}

/// How wide the terminal is now.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok().filter(|size| size.ws_col > 0);
    // The last column is left free: some terminals go on to the next line behind it.
    size.map_or(COLUMNS, |size| usize::from(size.ws_col)).saturating_sub(1).max(1)
}
