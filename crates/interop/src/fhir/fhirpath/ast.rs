//! The tree of an expression.

use regex::Regex;

use super::functions::Function;
use super::item::Item;

#[derive(Debug)]
pub(super) enum Expr {
    Literal(Item<'static>),
    /// `{}`
    Nothing,
    /// `%name`
    External(String),
    This,
    Index,
    Total,
    /// `name`, of the focus or of another expression.
    Member(Option<Box<Self>>, String),
    Call(Box<Call>),
    Indexer(Box<Self>, Box<Self>),
    Negated(Box<Self>),
    Binary(Operator, Box<Self>, Box<Self>),
    Is(Box<Self>, TypeName),
    As(Box<Self>, TypeName),
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) on: Option<Expr>,
    pub(super) function: &'static Function,
    pub(super) arguments: Vec<Expr>,
    /// The first argument as a pattern, if it is a literal: compiled once.
    pub(super) pattern: Option<Regex>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TypeName {
    /// `System` or `FHIR`, if it was written.
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Implies,
    Or,
    Xor,
    And,
    In,
    Contains,
    Equal,
    NotEqual,
    Equivalent,
    NotEquivalent,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Union,
    Plus,
    Minus,
    Concatenate,
    Times,
    Divide,
    Div,
    Mod,
}

impl Expr {
    /// The expression as the name of a type: `Patient` or `FHIR.Patient`.
    pub(super) fn type_name(&self) -> Option<TypeName> {
        match self {
            Self::Member(None, name) => Some(TypeName {
                namespace: None,
                name: name.clone(),
            }),
            Self::Member(Some(on), name) => match on.as_ref() {
                Self::Member(None, namespace) => Some(TypeName {
                    namespace: Some(namespace.clone()),
                    name: name.clone(),
                }),
                _ => None,
            },
            _ => None,
        }
    }
}
