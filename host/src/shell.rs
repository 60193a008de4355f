//! Commands as people paste them into a shell.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

/// A word of a command, quoted where a shell would take it for something else.
///
/// What is no text, or might steer a terminal, is written in the form `$'\x1b'`, which POSIX knows since 2024 and bash and zsh always did.
pub fn quoted(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    let is_seen = |c: char| c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ';
    match word.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(is_plain) => text.to_owned(),
        Some(text) if text.chars().all(is_seen) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => {
            let mut quoted = "$'".to_owned();
            for byte in word.as_bytes() {
                // Writing to a string cannot fail.
                let _ = match byte {
                    b'\'' | b'\\' => write!(quoted, "\\{}", char::from(*byte)),
                    b' '..=b'~' => write!(quoted, "{}", char::from(*byte)),
                    _ => write!(quoted, "\\x{byte:02x}"),
                };
            }
            quoted + "'"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_shell_reads_what_was_quoted() {
        let words =
            ["/tmp/out", "/tmp/größe", "a b  c", "it's", "$HOME `id` \\ \"x\" *", "", "-x", "~/a", "a;b&c|d", "#no"];
        for word in words {
            let echoed = Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(word))).output().unwrap();
            assert_eq!(String::from_utf8(echoed.stdout).unwrap(), word);
        }
        assert_eq!(quoted("/tmp/out-1_2.x"), "/tmp/out-1_2.x");
        assert_eq!(quoted("a\u{202e}b"), r"$'a\xe2\x80\xaeb'");
        assert_eq!(quoted(OsStr::from_bytes(b"a\n'\\\xff")), r"$'a\x0a\'\\\xff'");
    }
}
