//! Conditions in Cedar's terms.

use std::sync::Arc;

use cedar_policy::pst::{BinaryOp, EntityType, EntityUID, Expr, Literal, Name, UnaryOp, Var};

use crate::access::Action;

pub(super) type Condition = Arc<Expr>;

pub(super) fn principal(attribute: &str) -> Condition {
    attribute_of(Var::Principal, attribute)
}

pub(super) fn resource(attribute: &str) -> Condition {
    attribute_of(Var::Resource, attribute)
}

pub(super) fn context(attribute: &str) -> Condition {
    attribute_of(Var::Context, attribute)
}

pub(super) fn text(value: &str) -> Condition {
    literal(Literal::String(value.into()))
}

pub(super) fn number(value: i64) -> Condition {
    literal(Literal::Long(value))
}

pub(super) fn truth(value: bool) -> Condition {
    literal(Literal::Bool(value))
}

/// Texts that are not none: Cedar knows no type of an empty set.
pub(super) fn texts<'a>(values: impl IntoIterator<Item = &'a String>) -> Condition {
    let values = values.into_iter().map(|value| text(value));
    Arc::new(Expr::Set(values.collect()))
}

/// Whether the action is one of these.
pub(super) fn is_action(actions: impl IntoIterator<Item = Action>) -> Condition {
    let is = |action: Action| {
        let name = literal(Literal::EntityUID(uid_of(action)?));
        Some(both(BinaryOp::Eq, Arc::new(Expr::Var(Var::Action)), name))
    };
    any(actions.into_iter().filter_map(is).collect())
}

pub(super) fn equal(left: Condition, right: Condition) -> Condition {
    both(BinaryOp::Eq, left, right)
}

pub(super) fn at_least(left: Condition, right: i64) -> Condition {
    both(BinaryOp::GreaterEq, left, number(right))
}

pub(super) fn at_most(left: Condition, right: i64) -> Condition {
    both(BinaryOp::LessEq, left, number(right))
}

pub(super) fn before(left: Condition, right: i64) -> Condition {
    both(BinaryOp::Less, left, number(right))
}

pub(super) fn contains(set: Condition, one: Condition) -> Condition {
    both(BinaryOp::Contains, set, one)
}

pub(super) fn contains_any(set: Condition, others: Condition) -> Condition {
    both(BinaryOp::ContainsAny, set, others)
}

pub(super) fn contains_all(set: Condition, others: Condition) -> Condition {
    both(BinaryOp::ContainsAll, set, others)
}

pub(super) fn is_empty(set: Condition) -> Condition {
    one(UnaryOp::IsEmpty, set)
}

pub(super) fn not(condition: Condition) -> Condition {
    one(UnaryOp::Not, condition)
}

pub(super) fn when(condition: Condition, then: Condition, otherwise: Condition) -> Condition {
    Arc::new(Expr::IfThenElse {
        cond: condition,
        then_expr: then,
        else_expr: otherwise,
    })
}

pub(super) fn all(conditions: Vec<Condition>) -> Condition {
    joined(BinaryOp::And, conditions).unwrap_or_else(|| truth(true))
}

pub(super) fn any(conditions: Vec<Condition>) -> Condition {
    joined(BinaryOp::Or, conditions).unwrap_or_else(|| truth(false))
}

/// Joined pairwise: a list of hundreds must not nest hundreds deep.
fn joined(op: BinaryOp, mut conditions: Vec<Condition>) -> Option<Condition> {
    while conditions.len() > 1 {
        let pairs = conditions.chunks(2).map(|pair| match pair {
            [left, right] => both(op, Arc::clone(left), Arc::clone(right)),
            rest => rest.first().cloned().unwrap_or_else(|| truth(true)),
        });
        conditions = pairs.collect();
    }
    conditions.pop()
}

fn uid_of(action: Action) -> Option<EntityUID> {
    Some(EntityUID {
        ty: EntityType(Name::unqualified("Action").ok()?),
        eid: action.name().into(),
    })
}

fn attribute_of(variable: Var, attribute: &str) -> Condition {
    Arc::new(Expr::GetAttr {
        expr: Arc::new(Expr::Var(variable)),
        attr: attribute.into(),
    })
}

/// Whether the document has the attribute.
pub(super) fn has(attribute: &str) -> Condition {
    Arc::new(Expr::HasAttr {
        expr: Arc::new(Expr::Var(Var::Resource)),
        attrs: (attribute.into(), Vec::new()).into(),
    })
}

fn literal(value: Literal) -> Condition {
    Arc::new(Expr::Literal(value))
}

fn one(op: UnaryOp, expr: Condition) -> Condition {
    Arc::new(Expr::UnaryOp { op, expr })
}

fn both(op: BinaryOp, left: Condition, right: Condition) -> Condition {
    Arc::new(Expr::BinaryOp { op, left, right })
}
