//! The functions of FHIRPath, by name.

mod collections;
mod conversions;
mod elements;
mod numbers;
mod strings;

use std::fmt;
use std::ops::RangeInclusive;

use regex::Regex;

use super::EvaluationError;
use super::ast::Expr;
use super::evaluate::{Run, Scope};
use super::item::{Item, Items};
use super::operators::{boolean, single};

pub(super) type Outcome<'a> = Result<Items<'a>, EvaluationError>;

/// A function.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// How many arguments it takes.
    pub(super) arguments: RangeInclusive<usize>,
    /// Whether its first argument is a regular expression.
    pub(super) takes_pattern: bool,
    pub(super) apply: for<'s, 'a> fn(&Invocation<'s, 'a>) -> Outcome<'a>,
}

impl fmt::Debug for Function {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name)
    }
}

/// A call: on what, with which arguments.
pub(super) struct Invocation<'s, 'a> {
    pub(super) run: &'s Run<'a>,
    pub(super) scope: Scope<'s, 'a>,
    pub(super) input: &'s [Item<'a>],
    pub(super) arguments: &'a [Expr],
    pub(super) pattern: Option<&'s Regex>,
}

/// The function with this name.
pub(super) fn named(name: &str) -> Option<&'static Function> {
    let tables = [
        collections::FUNCTIONS,
        conversions::FUNCTIONS,
        elements::FUNCTIONS,
        numbers::FUNCTIONS,
        strings::FUNCTIONS,
    ];
    tables
        .into_iter()
        .flatten()
        .find(|function| function.name == name)
}

const fn function(
    name: &'static str,
    arguments: RangeInclusive<usize>,
    apply: for<'s, 'a> fn(&Invocation<'s, 'a>) -> Outcome<'a>,
) -> Function {
    Function {
        name,
        arguments,
        takes_pattern: false,
        apply,
    }
}

impl<'a> Invocation<'_, 'a> {
    /// An argument, evaluated where the call stands.
    fn argument(&self, index: usize) -> Outcome<'a> {
        match self.arguments.get(index) {
            Some(expr) => self.run.evaluate(&self.scope, expr),
            None => Ok(Vec::new()),
        }
    }

    /// An argument, evaluated on one item of the input.
    fn on_item(&self, argument: usize, item: &Item<'a>, index: usize) -> Outcome<'a> {
        match self.arguments.get(argument) {
            Some(expr) => {
                let scope = self.scope.of_item(item, index);
                self.run.evaluate(&scope, expr)
            }
            None => Ok(Vec::new()),
        }
    }

    /// Whether the first argument is true of an item.
    fn holds_of(&self, item: &Item<'a>, index: usize) -> Result<bool, EvaluationError> {
        Ok(boolean(&self.on_item(0, item, index)?)?.unwrap_or(false))
    }

    fn integer(&self, index: usize) -> Result<Option<i64>, EvaluationError> {
        match single(&self.argument(index)?)?.and_then(Item::value) {
            None => Ok(None),
            Some(Item::Integer(integer)) => Ok(Some(integer)),
            Some(_) => Err(EvaluationError::Types),
        }
    }

    fn text(&self, index: usize) -> Result<Option<String>, EvaluationError> {
        match single(&self.argument(index)?)?.and_then(Item::value) {
            None => Ok(None),
            Some(Item::String(text)) => Ok(Some(text.into_owned())),
            Some(_) => Err(EvaluationError::Types),
        }
    }

    /// The input as one text.
    fn subject(&self) -> Result<Option<String>, EvaluationError> {
        let Some(item) = single(self.input)? else {
            return Ok(None);
        };
        match item.value() {
            Some(Item::String(text)) => Ok(Some(text.into_owned())),
            Some(Item::Temporal(temporal)) if matches!(item, Item::Element(_)) => {
                Ok(Some(temporal.text().to_owned()))
            }
            None => Ok(None),
            Some(_) => Err(EvaluationError::Types),
        }
    }
}
