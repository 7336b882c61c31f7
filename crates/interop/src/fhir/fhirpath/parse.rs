//! Tokens to a tree, by precedence.

use regex::Regex;

use super::ast::{Call, Expr, Operator, TypeName};
use super::functions;
use super::item::Item;
use super::lex::{Token, tokens};
use super::quantity::{Quantity, calendar_unit};
use super::temporal::Temporal;
use super::{DEPTH_MAX, SyntaxError};

/// The most steps and operators of an expression.
const STEPS_MAX: usize = 1_000;
/// The lowest precedence of a binary operator.
const LOWEST: u8 = 1;
/// The precedence of `is` and `as`.
const TYPE: u8 = 8;

pub(super) fn parse(text: &str) -> Result<Expr, SyntaxError> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
        steps: 0,
        end: text.len(),
    };
    let expr = parser.expression(LOWEST)?;
    match parser.tokens.get(parser.at) {
        None => Ok(expr),
        Some((at, _)) => Err(SyntaxError::Unexpected { at: *at }),
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    at: usize,
    depth: usize,
    /// Steps and operators so far. Each may be a level of the tree, which is walked by recursion.
    steps: usize,
    end: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += 1;
        token
    }

    fn fault(&self) -> SyntaxError {
        let at = self.tokens.get(self.at.saturating_sub(1));
        SyntaxError::Unexpected {
            at: at.map_or(self.end, |(at, _)| *at),
        }
    }

    fn accept(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(next)) if *next == symbol);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), SyntaxError> {
        if self.accept(symbol) {
            Ok(())
        } else {
            self.at += 1;
            Err(self.fault())
        }
    }

    fn step(&mut self) -> Result<(), SyntaxError> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(SyntaxError::TooDeep);
        }
        Ok(())
    }

    fn expression(&mut self, lowest: u8) -> Result<Expr, SyntaxError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(SyntaxError::TooDeep);
        }
        let mut left = self.unary()?;
        loop {
            self.step()?;
            let word = match self.peek() {
                Some(Token::Name(word)) => word.clone(),
                Some(Token::Symbol(symbol)) => (*symbol).to_owned(),
                _ => break,
            };
            if matches!(word.as_str(), "is" | "as") {
                if TYPE < lowest {
                    break;
                }
                self.at += 1;
                let name = self.type_name()?;
                left = if word == "is" {
                    Expr::Is(Box::new(left), name)
                } else {
                    Expr::As(Box::new(left), name)
                };
                continue;
            }
            let Some((operator, precedence)) = binary(&word) else {
                break;
            };
            if precedence < lowest {
                break;
            }
            self.at += 1;
            let right = self.expression(precedence + 1)?;
            left = Expr::Binary(operator, Box::new(left), Box::new(right));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, SyntaxError> {
        let mut is_negative = false;
        let mut count = 0;
        loop {
            if self.accept("-") {
                is_negative = !is_negative;
            } else if !self.accept("+") {
                break;
            }
            count += 1;
        }
        let operand = self.postfix()?;
        Ok(match (count, is_negative) {
            (0, _) => operand,
            (_, true) => Expr::Negated(Box::new(operand)),
            // `+x` has the demands of `-x`: one number.
            (_, false) => Expr::Negated(Box::new(Expr::Negated(Box::new(operand)))),
        })
    }

    fn postfix(&mut self) -> Result<Expr, SyntaxError> {
        let mut expr = self.term()?;
        loop {
            self.step()?;
            if self.accept(".") {
                expr = match self.next() {
                    Some(Token::Name(name)) => self.invocation(Some(expr), name)?,
                    Some(Token::Quoted(name)) => Expr::Member(Some(Box::new(expr)), name),
                    _ => return Err(self.fault()),
                };
            } else if self.accept("[") {
                let index = self.expression(LOWEST)?;
                self.expect("]")?;
                expr = Expr::Indexer(Box::new(expr), Box::new(index));
            } else {
                return Ok(expr);
            }
        }
    }

    fn term(&mut self) -> Result<Expr, SyntaxError> {
        match self.next() {
            Some(Token::Symbol("(")) => {
                let inner = self.expression(LOWEST)?;
                self.expect(")")?;
                Ok(inner)
            }
            Some(Token::Symbol("{")) => {
                self.expect("}")?;
                Ok(Expr::Nothing)
            }
            Some(Token::Text(text)) => Ok(Expr::Literal(Item::String(text.into()))),
            Some(Token::Number(digits)) => self.number(&digits),
            Some(Token::Temporal(text)) => Temporal::literal(&text)
                .map(|temporal| Expr::Literal(Item::Temporal(temporal)))
                .ok_or_else(|| self.fault()),
            Some(Token::External(name)) => Ok(Expr::External(name)),
            Some(Token::Special(name)) => match name.as_str() {
                "this" => Ok(Expr::This),
                "index" => Ok(Expr::Index),
                "total" => Ok(Expr::Total),
                _ => Err(self.fault()),
            },
            Some(Token::Name(name)) => match name.as_str() {
                "true" => Ok(Expr::Literal(Item::Boolean(true))),
                "false" => Ok(Expr::Literal(Item::Boolean(false))),
                _ => self.invocation(None, name),
            },
            Some(Token::Quoted(name)) => Ok(Expr::Member(None, name)),
            Some(Token::Symbol(_)) | None => Err(self.fault()),
        }
    }

    fn number(&mut self, digits: &str) -> Result<Expr, SyntaxError> {
        let unit = match self.peek() {
            Some(Token::Text(unit)) => Some(unit.clone()),
            Some(Token::Name(word)) => calendar_unit(word).map(str::to_owned),
            _ => None,
        };
        if let Some(unit) = unit {
            let is_calendar = matches!(self.peek(), Some(Token::Name(_)));
            self.at += 1;
            let value = digits.parse().map_err(|_| self.fault())?;
            let quantity = Quantity::new(value, unit, is_calendar);
            return Ok(Expr::Literal(Item::Quantity(quantity)));
        }
        let item = if digits.contains('.') {
            digits.parse().ok().map(Item::Decimal)
        } else {
            digits.parse().ok().map(Item::Integer)
        };
        item.map(Expr::Literal).ok_or_else(|| self.fault())
    }

    fn invocation(&mut self, on: Option<Expr>, name: String) -> Result<Expr, SyntaxError> {
        if !self.accept("(") {
            return Ok(Expr::Member(on.map(Box::new), name));
        }
        let begin = self.at;
        let function = functions::named(&name).ok_or_else(|| {
            let at = self.tokens.get(begin.saturating_sub(2));
            SyntaxError::UnknownFunction {
                at: at.map_or(0, |(at, _)| *at),
            }
        })?;
        let mut arguments = Vec::new();
        if !self.accept(")") {
            loop {
                arguments.push(self.expression(LOWEST)?);
                if !self.accept(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        if !function.arguments.contains(&arguments.len()) {
            return Err(SyntaxError::Arguments {
                function: function.name,
            });
        }
        let pattern = match arguments.first() {
            Some(Expr::Literal(Item::String(text))) if function.takes_pattern => {
                Some(pattern(text).ok_or(SyntaxError::Pattern)?)
            }
            _ => None,
        };
        Ok(Expr::Call(Box::new(Call {
            on,
            function,
            arguments,
            pattern,
        })))
    }

    fn type_name(&mut self) -> Result<TypeName, SyntaxError> {
        let first = self.identifier()?;
        if self.accept(".") {
            let name = self.identifier()?;
            return Ok(TypeName {
                namespace: Some(first),
                name,
            });
        }
        Ok(TypeName {
            namespace: None,
            name: first,
        })
    }

    fn identifier(&mut self) -> Result<String, SyntaxError> {
        match self.next() {
            Some(Token::Name(name) | Token::Quoted(name)) => Ok(name),
            _ => Err(self.fault()),
        }
    }
}

/// A regular expression of FHIRPath: a dot matches line ends too.
pub(super) fn pattern(text: &str) -> Option<Regex> {
    regex::RegexBuilder::new(text)
        .dot_matches_new_line(true)
        .size_limit(1 << 20)
        .build()
        .ok()
}

fn binary(word: &str) -> Option<(Operator, u8)> {
    Some(match word {
        "implies" => (Operator::Implies, 1),
        "or" => (Operator::Or, 2),
        "xor" => (Operator::Xor, 2),
        "and" => (Operator::And, 3),
        "in" => (Operator::In, 4),
        "contains" => (Operator::Contains, 4),
        "=" => (Operator::Equal, 5),
        "!=" => (Operator::NotEqual, 5),
        "~" => (Operator::Equivalent, 5),
        "!~" => (Operator::NotEquivalent, 5),
        "<" => (Operator::Less, 6),
        "<=" => (Operator::LessOrEqual, 6),
        ">" => (Operator::Greater, 6),
        ">=" => (Operator::GreaterOrEqual, 6),
        "|" => (Operator::Union, 7),
        "+" => (Operator::Plus, 9),
        "-" => (Operator::Minus, 9),
        "&" => (Operator::Concatenate, 9),
        "*" => (Operator::Times, 10),
        "/" => (Operator::Divide, 10),
        "div" => (Operator::Div, 10),
        "mod" => (Operator::Mod, 10),
        _ => return None,
    })
}
