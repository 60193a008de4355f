//! The grammar of conditions, by recursive descent.

use super::Error;
use super::predicate::{Comparison, Literal, Predicate};
use super::token::Token;
use arrow_schema::Schema;

/// Deeper conditions are refused before they exhaust the stack.
const DEEPEST: usize = 100;

/// Types whose literals are written as a word and a text.
const TYPES: [&str; 6] = ["DATE", "TIMESTAMP", "DATETIME", "TIME", "NUMERIC", "BIGNUMERIC"];

/// Words that are no names of columns.
const RESERVED: [&str; 8] = ["AND", "OR", "NOT", "IS", "IN", "NULL", "TRUE", "FALSE"];

struct Parser<'a> {
    tokens: Vec<(Token, usize)>,
    next: usize,
    depth: usize,
    schema: &'a Schema,
}

/// Parses a whole condition.
pub(super) fn condition(tokens: Vec<(Token, usize)>, schema: &Schema) -> Result<Predicate, Error> {
    let mut parser = Parser { tokens, next: 0, depth: 0, schema };
    let predicate = parser.any()?;
    match parser.peek() {
        Token::End => Ok(predicate),
        _ => Err(parser.unexpected()),
    }
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Predicate, Error> {
        let mut terms = vec![self.all()?];
        while self.word("OR") {
            terms.push(self.all()?);
        }
        Ok(Predicate::Any(terms))
    }

    fn all(&mut self) -> Result<Predicate, Error> {
        let mut terms = vec![self.term()?];
        while self.word("AND") {
            terms.push(self.term()?);
        }
        Ok(Predicate::All(terms))
    }

    fn term(&mut self) -> Result<Predicate, Error> {
        let mut negated = false;
        while self.word("NOT") {
            negated = !negated;
        }
        let predicate = if self.sign("(") {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(self.error("Resources exceeded during query execution: Not enough stack space".to_owned()));
            }
            let inner = self.any()?;
            self.depth -= 1;
            self.expect(")")?;
            inner
        } else {
            self.comparison()?
        };
        Ok(predicate.negated_if(negated))
    }

    fn comparison(&mut self) -> Result<Predicate, Error> {
        let column = self.column()?;
        if self.word("IS") {
            let negated = self.word("NOT");
            return match self.word("NULL") {
                true => Ok(Predicate::IsNull(column).negated_if(negated)),
                false => Err(self.unexpected()),
            };
        }
        let negated = self.word("NOT");
        if self.word("IN") {
            self.expect("(")?;
            let mut terms = Vec::new();
            loop {
                terms.push(self.compared(column, Comparison::Equal)?);
                if !self.sign(",") {
                    break;
                }
            }
            self.expect(")")?;
            return Ok(Predicate::Any(terms).negated_if(negated));
        }
        if negated {
            return Err(self.unexpected());
        }
        for (sign, comparison) in [
            ("=", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<>", Comparison::NotEqual),
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("<", Comparison::Less),
            (">", Comparison::More),
        ] {
            if self.sign(sign) {
                return self.compared(column, comparison);
            }
        }
        let data_type = self.schema.field(column).data_type();
        Predicate::truth(column, data_type).map_err(|message| self.error(message))
    }

    /// A column compared with the literal that follows.
    fn compared(&mut self, column: usize, comparison: Comparison) -> Result<Predicate, Error> {
        let (data_type, place) = (self.schema.field(column).data_type(), self.tokens[self.next].1);
        let literal = self.literal()?;
        Predicate::compare(column, data_type, comparison, literal).map_err(|message| Error { message, place })
    }

    /// The position of a column; their names do not differ by case alone.
    fn column(&mut self) -> Result<usize, Error> {
        let (token, place) = self.tokens[self.next].clone();
        let name = match token {
            Token::Word(word) if !RESERVED.iter().any(|reserved| word.eq_ignore_ascii_case(reserved)) => word,
            Token::Quoted(name) => name,
            _ => return Err(self.unexpected()),
        };
        self.next += 1;
        let mut fields = self.schema.fields().iter();
        let position = fields.position(|field| field.name().eq_ignore_ascii_case(&name));
        position.ok_or_else(|| Error { message: format!("Unrecognized name: {name}"), place })
    }

    fn literal(&mut self) -> Result<Literal, Error> {
        let sign = if self.sign("-") {
            "-"
        } else {
            self.sign("+");
            ""
        };
        let typed =
            matches!(self.peek(), Token::Word(word) if TYPES.iter().any(|name| word.eq_ignore_ascii_case(name)));
        if typed && sign.is_empty() {
            self.next += 1;
        }
        let literal = match self.peek() {
            Token::Number(number) if !typed => Literal::Number(format!("{sign}{number}")),
            Token::Text(text) if sign.is_empty() => Literal::Text(text.clone()),
            Token::Word(word) if sign.is_empty() && !typed && word.eq_ignore_ascii_case("TRUE") => Literal::Truth(true),
            Token::Word(word) if sign.is_empty() && !typed && word.eq_ignore_ascii_case("FALSE") => {
                Literal::Truth(false)
            }
            _ => return Err(self.unexpected()),
        };
        self.next += 1;
        Ok(literal)
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.next].0
    }

    fn word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(word) if word.eq_ignore_ascii_case(wanted));
        self.next += usize::from(found);
        found
    }

    fn sign(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(sign) if *sign == wanted);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), Error> {
        if self.sign(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> Error {
        let what = match self.peek() {
            Token::Word(word) => match RESERVED.iter().find(|reserved| word.eq_ignore_ascii_case(reserved)) {
                Some(reserved) => format!("Unexpected keyword {reserved}"),
                None => format!("Unexpected identifier \"{word}\""),
            },
            Token::Quoted(name) => format!("Unexpected identifier `{name}`"),
            Token::Number(number) => format!("Unexpected number \"{number}\""),
            Token::Text(text) => format!("Unexpected string literal '{text}'"),
            Token::Sign(sign) => format!("Unexpected \"{sign}\""),
            Token::End => "Unexpected end of expression".to_owned(),
        };
        self.error(format!("Syntax error: {what}"))
    }

    /// An error at the next token.
    fn error(&self, message: String) -> Error {
        Error { message, place: self.tokens[self.next].1 }
    }
}
