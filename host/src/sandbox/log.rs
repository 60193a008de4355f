//! What a plugin says: the last lines are kept for the error that may follow.

use super::limits::{LOG_LINE, LOG_LINES};
use std::collections::VecDeque;

/// The last lines.
#[derive(Debug, Default)]
pub(super) struct Log {
    lines: VecDeque<String>,
    /// What standard output and error have behind their last line, up to the length of one.
    begun: [Vec<u8>; 2],
}

/// A stream that a program writes to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Standard {
    Output,
    Error,
}

impl Standard {
    fn name(self) -> &'static str {
        match self {
            Self::Output => "stdout",
            Self::Error => "stderr",
        }
    }
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

    /// Takes bytes that were written to a stream, line by line.
    pub(super) fn write(&mut self, stream: Standard, bytes: &[u8]) {
        let mut begun = std::mem::take(&mut self.begun[stream as usize]);
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let room = LOG_LINE - begun.len();
            begun.extend_from_slice(&piece[..piece.len().min(room)]);
            if pieces.peek().is_some() {
                self.push(stream.name(), &String::from_utf8_lossy(&begun));
                begun.clear();
            }
        }
        self.begun[stream as usize] = begun;
    }

    /// The lines, oldest first; nothing where there are none.
    pub(super) fn text(&self) -> Option<String> {
        let mut all = Self { lines: self.lines.clone(), ..Self::default() };
        for stream in [Standard::Output, Standard::Error] {
            let begun = &self.begun[stream as usize];
            if !begun.is_empty() {
                all.push(stream.name(), &String::from_utf8_lossy(begun));
            }
        }
        (!all.lines.is_empty()).then(|| Vec::from(all.lines).join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_cut_into_lines_wherever_they_were_cut() {
        let mut log = Log::default();
        for piece in ["a", "b\n", "", "c\nd"] {
            log.write(Standard::Output, piece.as_bytes());
        }
        log.write(Standard::Error, b"\xff\x1b");
        assert_eq!(log.text().unwrap(), "stdout: ab\nstdout: c\nstdout: d\nstderr: \u{fffd} ");
        for _ in 0..1_000 {
            log.write(Standard::Output, &[b'x'; 1_000]);
        }
        let text = log.text().unwrap();
        assert!(text.len() < 2 * LOG_LINE, "{}", text.len());
        log.write(Standard::Output, &[b'\n'; 1_000]);
        assert_eq!(log.text().unwrap().lines().count(), LOG_LINES);
    }

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
