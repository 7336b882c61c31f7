//! Attributes that policies look at, so that Cedar is given no other: making one costs more than a policy does that looks at
//! it.

use std::sync::Arc;

use cedar_policy::Policy;
use cedar_policy::pst::{Clause, Expr, Var};

/// An attribute of who asks, of the document, or of the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    // Of who asks.
    Member,
    Practitioner,
    Role,
    Patient,
    Device,
    Related,
    Roles,
    RoleCodes,
    Names,
    Staff,
    Own,
    Acting,
    Delegated,
    // Of the document.
    Home,
    Subject,
    Type,
    Codes,
    Labels,
    Start,
    End,
    Ids,
    Authors,
    RelatedTo,
    Sensitive,
    Level,
    Dated,
    First,
    Last,
    // Of the context.
    Purpose,
    Purposes,
    Now,
    ConsentsKnown,
    ConsentsFound,
    BreakGlass,
    Emergency,
}

/// The attributes of who asks, by the schema's names.
pub(super) const REQUESTER: [(&str, Attribute); 13] = [
    ("member", Attribute::Member),
    ("practitioner", Attribute::Practitioner),
    ("role", Attribute::Role),
    ("patient", Attribute::Patient),
    ("device", Attribute::Device),
    ("related", Attribute::Related),
    ("roles", Attribute::Roles),
    ("role_codes", Attribute::RoleCodes),
    ("names", Attribute::Names),
    ("staff", Attribute::Staff),
    ("own", Attribute::Own),
    ("acting", Attribute::Acting),
    ("delegated", Attribute::Delegated),
];

/// Those of a document.
pub(super) const DOCUMENT: [(&str, Attribute); 15] = [
    ("home", Attribute::Home),
    ("patient", Attribute::Subject),
    ("type", Attribute::Type),
    ("codes", Attribute::Codes),
    ("labels", Attribute::Labels),
    ("start", Attribute::Start),
    ("end", Attribute::End),
    ("ids", Attribute::Ids),
    ("authors", Attribute::Authors),
    ("related", Attribute::RelatedTo),
    ("sensitive", Attribute::Sensitive),
    ("level", Attribute::Level),
    ("dated", Attribute::Dated),
    ("first", Attribute::First),
    ("last", Attribute::Last),
];

/// Those of the context.
pub(super) const CONTEXT: [(&str, Attribute); 7] = [
    ("purpose", Attribute::Purpose),
    ("purposes", Attribute::Purposes),
    ("now", Attribute::Now),
    ("consents_known", Attribute::ConsentsKnown),
    ("consents_found", Attribute::ConsentsFound),
    ("break_glass", Attribute::BreakGlass),
    ("emergency", Attribute::Emergency),
];

/// A set of attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reads(u64);

impl Reads {
    pub(super) const NONE: Self = Self(0);
    pub(super) const ALL: Self = Self(u64::MAX);

    /// What a policy looks at; everything if that cannot be told.
    pub(super) fn of(policy: &Policy) -> Self {
        let Ok(policy) = policy.to_pst() else {
            return Self::ALL;
        };
        let clauses = policy.body().clauses().iter();
        clauses.fold(Self::NONE, |reads, clause| match clause {
            Clause::When(condition) | Clause::Unless(condition) => reads.and(of(condition)),
        })
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn has(self, one: Attribute) -> bool {
        self.0 & (1 << (one as u64)) != 0
    }
}

fn of(expression: &Arc<Expr>) -> Reads {
    match expression.as_ref() {
        Expr::Literal(_) | Expr::Var(Var::Action) => Reads::NONE,
        Expr::GetAttr { expr, attr } => attribute_of(expr, attr),
        Expr::HasAttr { expr, attrs } => attribute_of(expr, &attrs.head),
        Expr::UnaryOp { expr, .. } => of(expr),
        Expr::BinaryOp { left, right, .. } => of(left).and(of(right)),
        Expr::IfThenElse {
            cond,
            then_expr,
            else_expr,
        } => of(cond).and(of(then_expr)).and(of(else_expr)),
        Expr::Set(all) => all
            .iter()
            .fold(Reads::NONE, |reads, one| reads.and(of(one))),
        // Whoever compares or hands on a whole record looks at all of it.
        _ => Reads::ALL,
    }
}

/// What it takes to look at an attribute of `expression`.
fn attribute_of(expression: &Arc<Expr>, name: &str) -> Reads {
    let known: &[(&str, Attribute)] = match expression.as_ref() {
        Expr::Var(Var::Principal) => &REQUESTER,
        Expr::Var(Var::Resource) => &DOCUMENT,
        Expr::Var(Var::Context) => &CONTEXT,
        _ => return of(expression),
    };
    let found = known.iter().find(|(known, _)| *known == name);
    found.map_or(Reads::ALL, |(_, one)| Reads(1 << (*one as u64)))
}

#[cfg(test)]
mod tests {
    use cedar_policy::PolicySet;

    use super::*;

    fn reads(condition: &str) -> Reads {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let set: PolicySet = text.parse().unwrap();
        Reads::of(set.policies().next().unwrap())
    }

    fn each(attributes: &[Attribute]) -> Reads {
        let bits = attributes.iter().map(|one| 1 << (*one as u64));
        Reads(bits.fold(0, |all: u64, bit: u64| all | bit))
    }

    #[test]
    fn what_a_policy_looks_at_is_found_wherever_it_stands() {
        let nested = "if resource has patient then principal.delegated.patient == resource.patient \
            else ![context.now, resource.first].contains(3)";
        let all = [
            Attribute::Subject,
            Attribute::Delegated,
            Attribute::Now,
            Attribute::First,
        ];
        assert_eq!(reads(nested), each(&all));
        assert_eq!(
            reads("principal has delegated.types && resource.type like \"O*\""),
            Reads::ALL,
            "what is not known to be harmless counts for everything"
        );
    }

    #[test]
    fn who_looks_at_a_whole_record_looks_at_all_of_it() {
        for whole in [
            "context == {purpose: \"TREAT\"}",
            "principal == resource",
            "[context].isEmpty()",
            "context.unheard == 1",
        ] {
            assert_eq!(reads(whole), Reads::ALL, "{whole}");
        }
    }

    #[test]
    fn every_attribute_has_a_place_of_its_own() {
        let tables = REQUESTER.iter().chain(&DOCUMENT).chain(&CONTEXT);
        let all: Vec<Attribute> = tables.map(|(_, one)| *one).collect();
        assert_eq!(each(&all).0.count_ones() as usize, all.len());
        assert_eq!(all.len(), Attribute::Emergency as usize + 1);
    }
}
