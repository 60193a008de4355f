//! The words, literals and signs of a condition.

use super::Error;

/// What a condition is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A keyword, or the name of a column without quotes.
    Word(String),
    /// A name in backquotes.
    Quoted(String),
    Number(String),
    Text(String),
    Sign(&'static str),
    End,
}

/// Longer signs come first.
const SIGNS: [&str; 12] = ["<=", ">=", "!=", "<>", "=", "<", ">", "(", ")", ",", "-", "+"];

const ESCAPE: &str = "Syntax error: Illegal escape sequence";

/// Cuts a condition into tokens, each with the byte where it begins.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, Error> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let place = text.len() - rest.len();
        let Some(first) = rest.chars().next() else {
            tokens.push((Token::End, place));
            return Ok(tokens);
        };
        let (token, length) = match first {
            '\'' | '"' | '`' => {
                let (content, length) = quoted(rest, first).map_err(|message| Error { message, place })?;
                (if first == '`' { Token::Quoted(content) } else { Token::Text(content) }, length)
            }
            '0'..='9' | '.' => {
                let length = number(rest);
                (Token::Number(rest[..length].to_owned()), length)
            }
            letter if letter.is_alphabetic() || letter == '_' => {
                let end = rest.find(|next: char| !(next.is_alphanumeric() || next == '_')).unwrap_or(rest.len());
                (Token::Word(rest[..end].to_owned()), end)
            }
            _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => (Token::Sign(sign), sign.len()),
                None => {
                    let message = format!("Syntax error: Illegal input character \"{first}\"");
                    return Err(Error { message, place });
                }
            },
        };
        tokens.push((token, place));
        rest = &rest[length..];
    }
}

/// How many bytes a number has.
fn number(text: &str) -> usize {
    let mut before = ' ';
    text.find(|next: char| {
        let exponent_sign = matches!(next, '-' | '+') && matches!(before, 'e' | 'E');
        before = next;
        !(next.is_ascii_alphanumeric() || next == '.' || exponent_sign)
    })
    .unwrap_or(text.len())
}

/// What stands between quotes, and how many bytes it takes with them.
fn quoted(text: &str, quote: char) -> Result<(String, usize), String> {
    let mut content = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((place, letter)) = letters.next() {
        match letter {
            _ if letter == quote => return Ok((content, place + 1)),
            '\n' => break,
            '\\' => content.push(match letters.next().map(|(_, letter)| letter) {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(same @ ('\\' | '\'' | '"' | '`' | '?')) => same,
                Some('u') => {
                    let digits: String = letters.by_ref().take(4).map(|(_, digit)| digit).collect();
                    u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).ok_or(ESCAPE)?
                }
                _ => return Err(ESCAPE.to_owned()),
            }),
            _ => content.push(letter),
        }
    }
    Err("Syntax error: Unclosed string literal".to_owned())
}
