//! FHIRPath (<https://hl7.org/fhirpath/N1/>, with the additions of R4) on resources in JSON.
//!
//! Pure: an expression depends on its context alone. `now()` and `today()` answer the time that
//! the context holds, and are errors without one. Functions that need a terminology server or
//! profiles (`memberOf`, `conformsTo` beyond base types) are errors, never guesses.
//!
//! # Bounds
//!
//! Depth of an expression, steps of an evaluation and items of a collection are bounded: patches
//! bring expressions of strangers. Patterns are of the linear kind.

mod ast;
mod equality;
mod evaluate;
mod functions;
mod item;
mod lex;
mod navigate;
mod operators;
mod parse;
mod quantity;
mod temporal;
pub(crate) mod types;

use std::fmt;

use thiserror::Error;

pub use item::{Content, Element, Item, Items};

use evaluate::{Run, Scope};

/// The deepest nesting of an expression.
const DEPTH_MAX: usize = 60;
/// The longest expression.
const BYTES_MAX: usize = 16 << 10;

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SyntaxError {
    /// What stands there cannot stand there.
    #[error("the expression is not FHIRPath at byte {at}")]
    Unexpected {
        /// The byte.
        at: usize,
    },
    /// A function that is not known here.
    #[error("the expression calls an unknown function at byte {at}")]
    UnknownFunction {
        /// The byte.
        at: usize,
    },
    /// A function with more or fewer arguments than it has.
    #[error("the number of arguments of `{function}` is wrong")]
    Arguments {
        /// Its name.
        function: &'static str,
    },
    /// A pattern that is not one, or too large.
    #[error("a pattern in the expression is malformed or too large")]
    Pattern,
    /// More nesting than is read.
    #[error("the expression is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// More text than is read.
    #[error("the expression is longer than {BYTES_MAX} bytes")]
    TooLong,
}

/// Why an expression has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EvaluationError {
    /// One item was wanted.
    #[error("an operand has several items where one is allowed")]
    SeveralItems,
    /// The operand's type is not one that the operation has.
    #[error("an operand has a type that the operation does not have")]
    Types,
    /// A name of a type that R4 does not have.
    #[error("the expression names an unknown type")]
    UnknownType,
    /// A name with `%` that the context does not have.
    #[error("the expression names an unknown variable")]
    UnknownVariable,
    /// The time was asked for, and none was given.
    #[error("the expression depends on the time")]
    NoTime,
    /// Something of FHIRPath that is not here.
    #[error("the expression needs {0}, which is not supported")]
    Unsupported(&'static str),
    /// A pattern made by the expression is malformed.
    #[error("a pattern is malformed or too large")]
    Pattern,
    /// More steps or items than an evaluation may take.
    #[error("the expression takes too many steps")]
    TooCostly,
}

/// A compiled expression.
pub struct Expression {
    tree: ast::Expr,
    text: String,
}

/// What an expression is evaluated on.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Where it begins.
    pub focus: Element<'a>,
    /// `%resource`: the resource that the focus is in.
    pub resource: Element<'a>,
    /// `%rootResource`: the resource that contains it, or the same.
    pub root: Element<'a>,
    /// The time, as a FHIR instant.
    pub now: Option<&'a str>,
}

impl Expression {
    /// Compiles a text.
    pub fn compile(text: &str) -> Result<Self, SyntaxError> {
        if text.len() > BYTES_MAX {
            return Err(SyntaxError::TooLong);
        }
        Ok(Self {
            tree: parse::parse(text)?,
            text: text.to_owned(),
        })
    }

    /// What was compiled.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The result.
    pub fn evaluate<'a>(&'a self, context: &Context<'a>) -> Result<Items<'a>, EvaluationError> {
        let run = Run::of(context);
        let focus = [Item::Element(context.focus)];
        run.evaluate(&Scope::root(&focus), &self.tree)
    }

    /// Whether the result is false, as of an invariant that does not hold. An empty result is no
    /// contradiction: R4's invariants are empty for elements that are absent (ref-1, ras-2).
    pub fn fails(&self, context: &Context<'_>) -> Result<bool, EvaluationError> {
        Ok(operators::boolean(&self.evaluate(context)?)? == Some(false))
    }
}

/// The children of an element that have this name; a choice goes by the name without the type.
pub(crate) fn children_named<'a>(element: Element<'a>, name: &str) -> Items<'a> {
    let mut found = Vec::new();
    navigate::member(element, name, &mut found);
    found
}

impl fmt::Debug for Expression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Expression({})", self.text)
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Context({:?} in {:?})", self.focus, self.resource)
    }
}

#[cfg(test)]
mod tests;
