//! Text to tokens: <https://hl7.org/fhirpath/N1/grammar.html>

use super::SyntaxError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// An identifier or a word of the language.
    Name(String),
    /// An identifier in backticks: never a word of the language.
    Quoted(String),
    Text(String),
    Number(String),
    /// A date, dateTime or time, without its `@`.
    Temporal(String),
    /// `%name`
    External(String),
    /// `$this`, `$index`, `$total`
    Special(String),
    Symbol(&'static str),
}

/// Longer symbols stand before their prefixes.
const SYMBOLS: [&str; 21] = [
    "!=", "!~", "<=", ">=", ".", "(", ")", "[", "]", "{", "}", ",", "+", "-", "*", "/", "&", "|",
    "=", "~", "<",
];

/// Tokens, each with the byte at which it begins.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, SyntaxError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks()?;
        let start = lexer.at;
        match lexer.next()? {
            Some(token) => tokens.push((start, token)),
            None => return Ok(tokens),
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn fault(&self) -> SyntaxError {
        SyntaxError::Unexpected { at: self.at }
    }

    fn skip_blanks(&mut self) -> Result<(), SyntaxError> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if let Some(comment) = trimmed.strip_prefix("//") {
                let end = comment.find('\n').unwrap_or(comment.len());
                self.at += 2 + end;
            } else if let Some(comment) = trimmed.strip_prefix("/*") {
                let end = comment.find("*/").ok_or_else(|| self.fault())?;
                self.at += end + 4;
            } else {
                return Ok(());
            }
        }
    }

    fn next(&mut self) -> Result<Option<Token>, SyntaxError> {
        let Some(first) = self.peek() else {
            return Ok(None);
        };
        let token = match first {
            '\'' => Token::Text(self.delimited('\'')?),
            '`' => Token::Quoted(self.delimited('`')?),
            '0'..='9' => Token::Number(self.number()),
            '@' => {
                self.at += 1;
                let length = temporal_length(self.rest());
                if length == 0 {
                    return Err(self.fault());
                }
                Token::Temporal(self.take(length))
            }
            '%' => {
                self.at += 1;
                Token::External(self.external()?)
            }
            '$' => {
                self.at += 1;
                Token::Special(self.name()?)
            }
            'A'..='Z' | 'a'..='z' | '_' => Token::Name(self.name()?),
            _ => self.symbol()?,
        };
        Ok(Some(token))
    }

    fn take(&mut self, length: usize) -> String {
        let taken = self.rest().get(..length).unwrap_or_default().to_owned();
        self.at += length;
        taken
    }

    fn name(&mut self) -> Result<String, SyntaxError> {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let rest = self.rest();
        let length = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.fault());
        }
        Ok(self.take(length))
    }

    fn external(&mut self) -> Result<String, SyntaxError> {
        match self.peek() {
            Some(quote @ ('\'' | '`')) => self.delimited(quote),
            // `%"vs-name"` is the older form of FHIR.
            Some('"') => self.delimited('"'),
            _ => self.name(),
        }
    }

    fn number(&mut self) -> String {
        let rest = self.rest();
        let digits = |text: &str| {
            text.bytes()
                .take_while(|byte| byte.is_ascii_digit())
                .count()
        };
        let whole = digits(rest);
        let fraction = rest
            .get(whole..)
            .and_then(|rest| rest.strip_prefix('.'))
            .map_or(0, digits);
        let length = if fraction > 0 {
            whole + 1 + fraction
        } else {
            whole
        };
        self.take(length)
    }

    fn symbol(&mut self) -> Result<Token, SyntaxError> {
        let rest = self.rest();
        let known = SYMBOLS.iter().chain(&[">"]);
        for symbol in known {
            if rest.starts_with(symbol) {
                self.at += symbol.len();
                return Ok(Token::Symbol(symbol));
            }
        }
        Err(self.fault())
    }

    fn delimited(&mut self, quote: char) -> Result<String, SyntaxError> {
        let mut text = String::new();
        let mut letters = self.rest().char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            match letter {
                _ if letter == quote => {
                    self.at += at + quote.len_utf8();
                    return Ok(text);
                }
                '\\' => {
                    let (_, escaped) = letters.next().ok_or_else(|| self.fault())?;
                    text.push(match escaped {
                        'n' => '\n',
                        'r' => '\r',
                        't' => '\t',
                        'f' => '\u{c}',
                        'u' => {
                            let digits: String =
                                letters.by_ref().take(4).map(|(_, digit)| digit).collect();
                            let code = u32::from_str_radix(&digits, 16).ok();
                            code.and_then(char::from_u32).ok_or_else(|| self.fault())?
                        }
                        // R4 has expressions that escape letters without need (eld-19).
                        other => other,
                    });
                }
                _ => text.push(letter),
            }
        }
        Err(self.fault())
    }
}

/// How many bytes belong to the date or time.
fn temporal_length(rest: &str) -> usize {
    let mut length = 0;
    let bytes = rest.as_bytes();
    let mut is_time = false;
    while let Some(&byte) = bytes.get(length) {
        let next_is_digit = bytes.get(length + 1).is_some_and(u8::is_ascii_digit);
        let belongs = match byte {
            b'0'..=b'9' => true,
            b'T' => {
                is_time = true;
                true
            }
            b'Z' => is_time,
            b'-' | b'+' => next_is_digit,
            b':' => is_time && next_is_digit,
            // A dot followed by a letter begins an invocation.
            b'.' => is_time && next_is_digit,
            _ => false,
        };
        if !belongs {
            break;
        }
        length += 1;
        if byte == b'Z' {
            break;
        }
    }
    length
}
