//! What a query asks of the words of a resource: `(bone OR liver) AND "hip joint"`.

use super::filter::{Condition, Filter};
use super::limits::{EXPRESSION_DEPTH_MAX, EXPRESSION_TERMS_MAX, WORD_BYTES_MAX};
use super::parameter::SearchParameter;
use super::problem::QueryProblem;
use super::text::fold;
use super::wanted::Wanted;
use super::words::{Words, split};

/// Reads words, phrases in quotes, `AND`, `OR`, `NOT` and brackets. Words without anything between them are all wanted;
/// a comma is an `OR`, as in other parameters.
pub(super) fn read(parameter: &SearchParameter, text: &str) -> Result<Condition, QueryProblem> {
    let mut reader = Reader {
        tokens: tokens(text)?,
        parameter,
    };
    if reader.tokens.len() > EXPRESSION_TERMS_MAX {
        return Err(QueryProblem::ExpressionTooLarge);
    }
    // Taken from the end.
    reader.tokens.reverse();
    let filter = reader.any(0)?;
    if reader.tokens.is_empty() {
        Ok(filter.condition)
    } else {
        Err(QueryProblem::ValueMalformed)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    /// Words that stand one after the other.
    Phrase(String),
}

fn tokens(text: &str) -> Result<Vec<Token>, QueryProblem> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let after = rest.get(first.len_utf8()..).unwrap_or_default();
        rest = match first {
            '(' | ')' | ',' => {
                tokens.push(match first {
                    '(' => Token::Open,
                    ')' => Token::Close,
                    _ => Token::Or,
                });
                after
            }
            '"' => {
                let (quoted, after) = after.split_once('"').ok_or(QueryProblem::ValueMalformed)?;
                tokens.extend(phrase(quoted)?);
                after
            }
            _ => {
                let is_end = |letter: char| letter.is_whitespace() || "(),\"".contains(letter);
                let (word, after) = rest.split_at(rest.find(is_end).unwrap_or(rest.len()));
                tokens.extend(match word {
                    "AND" => Some(Token::And),
                    "OR" => Some(Token::Or),
                    "NOT" => Some(Token::Not),
                    word => phrase(word)?,
                });
                after
            }
        }
        .trim_start();
    }
    Ok(tokens)
}

/// `None` for what has neither a letter nor a digit.
fn phrase(text: &str) -> Result<Option<Token>, QueryProblem> {
    // Such words are not in the index.
    if split(&fold(text))
        .iter()
        .any(|word| word.len() > WORD_BYTES_MAX)
    {
        return Err(QueryProblem::ValueTooLong);
    }
    let mut words = Words::default();
    words.add(text);
    if words.is_full() {
        return Err(QueryProblem::ValueTooLong);
    }
    Ok(words.into_text().map(Token::Phrase))
}

struct Reader<'a> {
    tokens: Vec<Token>,
    parameter: &'a SearchParameter,
}

impl Reader<'_> {
    fn any(&mut self, depth: usize) -> Result<Filter, QueryProblem> {
        let mut ways = vec![self.all(depth)?];
        while self.takes(&Token::Or) {
            ways.push(self.all(depth)?);
        }
        Ok(self.of(ways, Condition::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Filter, QueryProblem> {
        let mut parts = vec![self.one(depth)?];
        while !matches!(self.tokens.last(), None | Some(Token::Close | Token::Or)) {
            self.takes(&Token::And);
            parts.push(self.one(depth)?);
        }
        Ok(self.of(parts, Condition::All))
    }

    fn one(&mut self, depth: usize) -> Result<Filter, QueryProblem> {
        if depth >= EXPRESSION_DEPTH_MAX {
            return Err(QueryProblem::ExpressionTooLarge);
        }
        match self.tokens.pop() {
            Some(Token::Phrase(text)) => {
                Ok(self.filter(Condition::AnyOf(vec![Wanted::Phrase(text)])))
            }
            Some(Token::Not) => {
                let inner = self.one(depth + 1)?;
                Ok(self.filter(Condition::Not(Box::new(inner))))
            }
            Some(Token::Open) => {
                let inner = self.any(depth + 1)?;
                let is_closed = self.takes(&Token::Close);
                is_closed
                    .then_some(inner)
                    .ok_or(QueryProblem::ValueMalformed)
            }
            None => Err(QueryProblem::ValueMissing),
            Some(_) => Err(QueryProblem::ValueMalformed),
        }
    }

    fn takes(&mut self, token: &Token) -> bool {
        self.tokens.pop_if(|next| next == token).is_some()
    }

    fn of(&self, mut filters: Vec<Filter>, group: fn(Vec<Filter>) -> Condition) -> Filter {
        match filters.pop() {
            Some(only) if filters.is_empty() => only,
            last => {
                filters.extend(last);
                self.filter(group(filters))
            }
        }
    }

    fn filter(&self, condition: Condition) -> Filter {
        Filter {
            parameter: self.parameter.name,
            kind: self.parameter.kind,
            condition,
        }
    }
}
