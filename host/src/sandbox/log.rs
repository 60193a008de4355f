//! What a plugin says: the last lines are kept for the error that may follow.

use super::limits::{LOG_LINE, LOG_LINES};
use std::collections::VecDeque;

/// The last lines.
#[derive(Debug, Default)]
pub(super) struct Log {
    lines: VecDeque<String>,
}

impl Log {
    /// Takes a message; control characters, such as those that steer a terminal, are replaced.
    pub(super) fn push(&mut self, level: &str, message: &str) {
        if self.lines.len() == LOG_LINES {
            self.lines.pop_front();
        }
        let end = message.floor_char_boundary(LOG_LINE.min(message.len()));
        let clean: String = message[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.lines.push_back(format!("{level}: {clean}"));
    }

    /// The lines, oldest first; nothing where there are none.
    pub(super) fn text(&self) -> Option<String> {
        (!self.lines.is_empty()).then(|| self.lines.iter().cloned().collect::<Vec<_>>().join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_kept_and_long_ones_are_cut() {
        let mut log = Log::default();
        assert_eq!(log.text(), None);
        for line in 0..1_000 {
            log.push("info", &format!("line {line} {}\u{1b}[2J", "é".repeat(10_000)));
        }
        let text = log.text().unwrap();
        assert!(text.starts_with("info: line 980") && text.lines().count() == LOG_LINES);
        assert!(text.len() < LOG_LINES * (LOG_LINE + 20) && !text.contains('\u{1b}'));
    }
}
