//! How far a stage has come, as text that fits a terminal of any width: what has no room on one line goes to the next ones.

use super::ledger::View;
use crate::cli::print::{counted, thousands};
use wafermill::memory::format_size;

/// Columns of the bar at least, and at most.
const BAR: (usize, usize) = (10, 40);

/// Columns of a stage's name at most: it may list hundreds of steps.
const NAME: usize = 60;

const GAP: &str = "  ";

/// The text for a terminal of so many columns.
pub(super) fn render(view: &View, width: usize) -> String {
    let width = width.max(1);
    let (name, facts) = (name(view), facts(view));
    let line = one_line(&name, &facts);
    let room = width.saturating_sub(line.chars().count());
    match share(view) {
        Some(share) if room >= BAR.0 + GAP.len() => {
            let bar = bar(share, (room - GAP.len()).min(BAR.1));
            one_line(&format!("{name}{GAP}{bar}"), &facts)
        }
        share => {
            let room = width.saturating_sub(name.chars().count() + GAP.len());
            match share.filter(|_| room >= BAR.0) {
                Some(share) => {
                    format!("{name}{GAP}{}\n{}", bar(share, room.min(BAR.1)), wrapped(facts.iter(), width))
                }
                None => wrapped(std::iter::once(&name).chain(&facts), width),
            }
        }
    }
}

/// The text for a line of any length.
pub(super) fn plain(view: &View) -> String {
    one_line(&name(view), &facts(view))
}

fn one_line(name: &str, facts: &[String]) -> String {
    std::iter::once(name).chain(facts.iter().map(String::as_str)).collect::<Vec<_>>().join(GAP)
}

fn name(view: &View) -> String {
    let name = view.stage.to_string();
    match name.char_indices().nth(NAME) {
        None => name,
        Some(_) => name.chars().take(NAME - 1).chain(['…']).collect(),
    }
}

fn facts(view: &View) -> Vec<String> {
    let mut facts = Vec::new();
    facts.extend(share(view).map(|share| format!("{:.0} %", (share * 100.0).floor())));
    match view.expected {
        Some(expected) if expected >= view.rows => {
            facts.push(format!("{}/{} rows", thousands(view.rows), thousands(expected)))
        }
        _ if view.rows > 0 => facts.push(counted(view.rows, "row")),
        _ => {}
    }
    facts.extend(view.rate().map(|rate| format!("{} rows/s", thousands(rate as u64))));
    if view.bytes > 0 {
        let rate = view.bytes as f64 / view.elapsed.as_secs_f64().max(1e-3);
        facts.push(format!("{}, {}/s", format_size(view.bytes), format_size(rate as u64)));
    }
    facts.push(match view.seconds_left() {
        Some(seconds) => format!("{} left", clock(seconds)),
        None => clock(view.elapsed.as_secs_f64()),
    });
    if view.memory > 0 {
        facts.push(format!("{} memory", format_size(view.memory)));
    }
    if view.spilled > 0 {
        facts.push(format!("{} spilled", format_size(view.spilled)));
    }
    if view.restarts > 0 {
        facts.push(counted(view.restarts, "restart"));
    }
    facts
}

/// How much of the stage is done, where that is known.
fn share(view: &View) -> Option<f64> {
    let expected = view.expected.filter(|expected| *expected > 0 && *expected >= view.rows)?;
    Some(view.rows as f64 / expected as f64)
}

fn bar(share: f64, width: usize) -> String {
    let done = (share * width as f64) as usize;
    (0..width).map(|column| if column < done { '█' } else { '░' }).collect()
}

/// Such as `7 s`, `2:05` and `1:02:05`.
fn clock(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// As many lines as it takes; what is longer than a line is broken.
fn wrapped<'a>(pieces: impl Iterator<Item = &'a String>, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut used = 0;
    for piece in pieces {
        let length = piece.chars().count();
        match lines.last_mut() {
            Some(line) if used + GAP.len() + length <= width => {
                line.push_str(GAP);
                line.push_str(piece);
                used += GAP.len() + length;
            }
            _ => {
                let characters: Vec<char> = piece.chars().collect();
                lines.extend(characters.chunks(width).map(String::from_iter));
                used = lines.last().map_or(0, |line| line.chars().count());
            }
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use wafermill::run::Stage;

    fn view(rows: u64, expected: Option<u64>) -> View {
        let steps = ["fill", "scale"].map(str::to_owned).to_vec();
        View {
            number: 1,
            stage: Stage { pass: Some(2), steps, ..Stage::named("fit") },
            expected,
            rows,
            skipped: 0,
            bytes: 3 << 20,
            elapsed: Duration::from_secs(2),
            spilled: 5 << 30,
            restarts: 3,
            memory: 100 << 20,
        }
    }

    const ALL: &str = "fit 2: fill, scale  25 %  1,000/4,000 rows  500 rows/s  3 MiB, 1.5 MiB/s  6 s left  100 MiB memory  5 GiB spilled  3 restarts";

    #[test]
    fn a_wide_terminal_shows_a_bar_and_a_narrow_one_the_same_on_more_lines() {
        let view = view(1_000, Some(4_000));
        assert_eq!(plain(&view), ALL);
        let wide = render(&view, 160);
        assert!(wide.starts_with("fit 2: fill, scale  ████████░░░") && wide.ends_with(" 3 restarts"), "{wide}");
        for width in 1..160 {
            let text = render(&view, width);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
            let letters =
                |text: &str| text.chars().filter(|c| !c.is_whitespace() && !"█░".contains(*c)).collect::<String>();
            assert_eq!(letters(&text), letters(ALL), "{width}");
        }
        assert_eq!(render(&view, 29).lines().next(), Some("fit 2: fill, scale  25 %"));
        assert_eq!(render(&view, 30).lines().next(), Some("fit 2: fill, scale  ██░░░░░░░░"));
    }

    #[test]
    fn what_is_not_known_is_not_shown() {
        let unknown = View { spilled: 0, restarts: 0, ..view(7, None) };
        assert_eq!(plain(&unknown), "fit 2: fill, scale  7 rows  3 rows/s  3 MiB, 1.5 MiB/s  2 s  100 MiB memory");
        let beyond = View { bytes: 0, memory: 0, ..view(8, Some(7)) };
        assert_eq!(plain(&beyond), "fit 2: fill, scale  8 rows  4 rows/s  2 s  5 GiB spilled  3 restarts");
        let nothing = View { bytes: 0, memory: 0, spilled: 0, restarts: 0, ..view(0, Some(0)) };
        assert_eq!(plain(&nothing), "fit 2: fill, scale  0/0 rows  2 s");
    }

    #[test]
    fn a_stage_of_many_steps_has_a_short_name() {
        let steps = (0..500).map(|step| format!("step-{step}")).collect();
        let many = View { stage: Stage { pass: Some(1), steps, ..Stage::named("fit") }, ..view(1, None) };
        assert_eq!(name(&many).chars().count(), NAME);
    }

    #[test]
    fn times_are_told_as_clocks_do() {
        assert_eq!([0.2, 59.0, 60.5, 3_725.0].map(clock), ["1 s", "59 s", "1:01", "1:02:05"]);
    }
}
