//! How far a run has come, on standard error; nothing where that is no terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Mutex;
use wafermill::run::Progress;

/// A bar for each pass.
#[derive(Default)]
pub(super) struct Bar(Mutex<Option<ProgressBar>>);

const KNOWN: &str = "{msg:24} {wide_bar} {human_pos}/{human_len} rows  {per_sec}  {eta}";
const UNKNOWN: &str = "{msg:24} {spinner} {human_pos} rows  {per_sec}";

impl Progress for Bar {
    fn begin(&self, stage: &str, rows: Option<u64>) {
        let (bar, template) = match rows {
            Some(rows) => (ProgressBar::new(rows), KNOWN),
            None => (ProgressBar::new_spinner(), UNKNOWN),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(stage.to_owned());
        if let Ok(mut current) = self.0.lock() {
            *current = Some(bar);
        }
    }

    fn advance(&self, rows: u64) {
        if let Ok(Some(bar)) = self.0.lock().as_deref() {
            bar.inc(rows);
        }
    }

    fn end(&self) {
        if let Ok(Some(bar)) = self.0.lock().map(|mut bar| bar.take()) {
            bar.finish_and_clear();
        }
    }
}
