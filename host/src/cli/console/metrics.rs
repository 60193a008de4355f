//! The metrics of a run, in the text exposition format of Prometheus 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use super::events::slug;
use super::ledger::{Ledger, Tally};
use std::fmt::{Display, Write as _};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wafermill::run::{Report, Timing};
use wafermill::{Error, Result};

/// The first line of each file, by which wafermill knows its own.
const FIRST_LINE: &str = "# metrics of a run of wafermill\n";

/// How a run ended, or that it has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Running,
    Succeeded,
    Failed,
    Interrupted,
}

const STATES: [(State, &str); 4] = [
    (State::Running, "running"),
    (State::Succeeded, "succeeded"),
    (State::Failed, "failed"),
    (State::Interrupted, "interrupted"),
];

/// The time of the steps of a run, by their names.
pub(super) type StepTimes = (Arc<Timing>, Vec<String>);

/// What metrics tell of.
pub(super) struct Measured<'a> {
    pub(super) command: &'a str,
    pub(super) state: State,
    pub(super) ledger: &'a Ledger,
    pub(super) steps: Option<&'a StepTimes>,
    pub(super) report: Option<&'a Report>,
}

type Labels<'a> = &'a [(&'a str, String)];

/// A text that grows by one family of metrics after the other.
struct Families(String);

impl Families {
    fn begin(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.begin(name, kind, help);
        self.sample(name, &[], value);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

impl Measured<'_> {
    /// The content of a file of metrics.
    pub(super) fn text(&self) -> String {
        let mut families = Families(FIRST_LINE.to_owned());
        self.run(&mut families);
        self.stages(&mut families);
        self.steps(&mut families);
        self.output(&mut families);
        families.0
    }

    fn run(&self, families: &mut Families) {
        let ledger = self.ledger;
        families.begin("wafermill_run_info", "gauge", "What is run.");
        let labels = [("version", env!("CARGO_PKG_VERSION").to_owned()), ("command", self.command.to_owned())];
        families.sample("wafermill_run_info", &labels, 1);
        families.begin("wafermill_run_state", "gauge", "1 for the state that the run is in.");
        for (state, name) in STATES {
            families.sample("wafermill_run_state", &[("state", name.to_owned())], u8::from(state == self.state));
        }
        let start = SystemTime::now().checked_sub(ledger.start.elapsed());
        let start =
            start.and_then(|start| start.duration_since(UNIX_EPOCH).ok()).map_or(0.0, |start| start.as_secs_f64());
        families.single(
            "wafermill_run_start_time_seconds",
            "gauge",
            "When the run began, since the epoch.",
            format!("{start:.3}"),
        );
        families.single("wafermill_run_seconds", "gauge", "How long the run takes.", seconds(ledger.start.elapsed()));
        families.single("wafermill_memory_bytes", "gauge", "Resident memory of the process.", ledger.memory);
        families.single(
            "wafermill_peak_memory_bytes",
            "gauge",
            "The most resident memory of the process.",
            ledger.peak_memory,
        );
        let (rows, bytes) = ledger.read();
        families.single("wafermill_passes_total", "counter", "Passes over the source that have ended.", ledger.passes);
        families.single(
            "wafermill_rows_read_total",
            "counter",
            "Rows of the source that were read, over all passes.",
            rows,
        );
        let help = "Bytes of these rows in memory, of the columns that were read.";
        families.single("wafermill_bytes_read_total", "counter", help, bytes);
        families.single(
            "wafermill_bytes_spilled_total",
            "counter",
            "Bytes that were spilled to disk.",
            ledger.spilled(),
        );
        if let Some(restarts) = ledger.restarts {
            let help = "How often a stream of the source was opened again.";
            families.single("wafermill_stream_restarts_total", "counter", help, restarts);
        }
        families.single("wafermill_warnings_total", "counter", "Warnings that were given.", ledger.warnings);
    }

    fn stages(&self, families: &mut Families) {
        let tallies = self.ledger.tallies();
        let mut family = |name: &str, help: &str, value: fn(&Tally) -> String| {
            families.begin(name, "counter", help);
            for tally in &tallies {
                families.sample(name, &labels(tally), value(tally));
            }
        };
        family("wafermill_stage_seconds_total", "Time of each stage.", |tally| seconds(tally.elapsed));
        family("wafermill_stage_rows_total", "Rows that went through each stage.", |tally| tally.rows.to_string());
        family("wafermill_stage_bytes_total", "Bytes of these rows in memory.", |tally| tally.bytes.to_string());
    }

    fn steps(&self, families: &mut Families) {
        let Some((timing, names)) = self.steps else { return };
        let name = "wafermill_step_seconds_total";
        families.begin(name, "counter", "Time in which each step learned and was applied, over all workers.");
        for (index, step) in names.iter().enumerate() {
            let (fit, apply) = timing.of(index);
            for (activity, time) in [("fit", fit), ("apply", apply)] {
                families.sample(name, &[("step", step.clone()), ("activity", activity.to_owned())], seconds(time));
            }
        }
    }

    fn output(&self, families: &mut Families) {
        let Some(report) = self.report else { return };
        if let Some(bytes) = report.billed_bytes {
            families.single("wafermill_bytes_billed_total", "counter", "Bytes that reading was billed for.", bytes);
        }
        let Some(output) = &report.output else { return };
        families.begin("wafermill_part_rows", "gauge", "Rows of each part that was written.");
        for part in &output.parts {
            families.sample("wafermill_part_rows", &[("part", part.name.clone())], part.rows);
        }
        families.begin("wafermill_part_bytes", "gauge", "Bytes of the files of each part.");
        for part in &output.parts {
            let bytes: u64 = part.files.iter().map(|file| file.bytes).sum();
            families.sample("wafermill_part_bytes", &[("part", part.name.clone())], bytes);
        }
    }
}

fn labels(tally: &Tally) -> Vec<(&'static str, String)> {
    let stage = &tally.stage;
    let mut labels = vec![("stage", slug(stage))];
    labels.extend(stage.pass.map(|pass| ("pass", pass.to_string())));
    if !stage.steps.is_empty() {
        labels.push(("steps", stage.steps.join(",")));
    }
    labels.extend(stage.part.clone().map(|part| ("part", part)));
    labels
}

fn seconds(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64())
}

/// The file of metrics, which others may read at any time.
#[derive(Debug)]
pub(super) struct MetricsFile(PathBuf);

impl MetricsFile {
    /// The file at a path, or where a link there leads to.
    ///
    /// # Errors
    /// Where something else is there.
    pub(super) fn at(path: &Path) -> Result<Self> {
        let refused = |message: &str| Error::usage(message).file(path).hint("choose another file for `--metrics`");
        match std::fs::metadata(path) {
            Ok(found) if !found.is_file() => return Err(refused("metrics are kept in a plain file, and this is none")),
            Ok(_) => {
                let mut start = Vec::new();
                let read = File::open(path).and_then(|file| file.take(FIRST_LINE.len() as u64).read_to_end(&mut start));
                read.map_err(|error| refused("the file cannot be read").because(error))?;
                if start != FIRST_LINE.as_bytes() {
                    return Err(refused("the file is not one of metrics that wafermill wrote, and is not replaced"));
                }
            }
            _ => {}
        }
        Ok(Self(path.canonicalize().unwrap_or_else(|_| path.to_owned())))
    }

    /// Replaces the file by one rename.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn write(&self, text: &str) -> Result<()> {
        let failed = |error: std::io::Error| {
            let error = Error::output("the metrics cannot be written").file(&self.0).because(error);
            error.hint(
                "see that the folder is there and that you may write there, or choose another file for `--metrics`",
            )
        };
        let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Whoever collects the metrics is as a rule another user; the umask has its say.
        let permissions = std::fs::Permissions::from_mode(0o666);
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix(".wafermill-metrics-").suffix(".tmp").permissions(permissions);
        let mut file = builder.tempfile_in(folder).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.persist(&self.0).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wafermill::run::{Count, Stage};

    #[test]
    fn metrics_tell_each_family_once_with_all_its_samples() {
        let mut ledger = Ledger::new();
        for pass in [1, 2] {
            let steps = vec!["a\"b\\c".to_owned()];
            ledger.begin(Stage { pass: Some(pass), steps, ..Stage::named("fit") }, None);
            ledger.advance(10);
            ledger.end();
        }
        ledger.begin(Stage { part: Some("val".to_owned()), ..Stage::named("write spilled rows") }, None);
        ledger.count(Count::Restarts, 2);
        let steps = (Arc::new(Timing::new(1)), vec!["s".to_owned()]);
        let measured =
            Measured { command: "run", state: State::Failed, ledger: &ledger, steps: Some(&steps), report: None };
        let text = measured.text();
        for line in [
            r#"wafermill_run_state{state="failed"} 1"#,
            r#"wafermill_run_state{state="running"} 0"#,
            r#"wafermill_stage_rows_total{stage="fit",pass="2",steps="a\"b\\c"} 10"#,
            r#"wafermill_stage_rows_total{stage="write_spilled_rows",part="val"} 0"#,
            "wafermill_rows_read_total 20",
            "wafermill_stream_restarts_total 2",
            r#"wafermill_step_seconds_total{step="s",activity="apply"} 0.000"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let mut types: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let count = types.len();
        types.dedup();
        assert_eq!((types.len(), text.matches("# HELP").count()), (count, count));
    }

    #[test]
    fn only_metrics_are_replaced_and_nothing_else_stays_in_the_folder() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("run.prom");
        let file = MetricsFile::at(&path).unwrap();
        file.write(FIRST_LINE).unwrap();
        MetricsFile::at(&path).unwrap().write("# metrics of a run of wafermill\nx 1\n").unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("x 1\n"));
        let link = home.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        MetricsFile::at(&link).unwrap().write(FIRST_LINE).unwrap();
        assert_eq!((std::fs::read_to_string(&path).unwrap().as_str(), link.is_symlink()), (FIRST_LINE, true));
        std::fs::write(&path, "precious").unwrap();
        assert!(MetricsFile::at(&path).is_err() && MetricsFile::at(home.path()).is_err());
        assert!(MetricsFile::at(Path::new("/dev/null")).is_err());
        assert!(MetricsFile::at(&home.path().join("no/such")).unwrap().write("").is_err());
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 2);
    }
}
