//! The walk over the tree of an expression.

use std::cell::Cell;

use rust_decimal::Decimal;

use super::ast::{Expr, Operator, TypeName};
use super::functions::Invocation;
use super::item::{Element, Item, Items};
use super::navigate;
use super::operators::{apply, boolean, logic, single, truth};
use super::types;
use super::{Context, EvaluationError};

/// The most steps of one evaluation: some tens of milliseconds.
const STEPS_MAX: u32 = 500_000;

type Outcome<'a> = Result<Items<'a>, EvaluationError>;

/// One evaluation.
pub(super) struct Run<'a> {
    pub(super) resource: Element<'a>,
    pub(super) root: Element<'a>,
    pub(super) now: Option<&'a str>,
    context: Element<'a>,
    steps: Cell<u32>,
}

/// Where in an evaluation an expression stands.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s, 'a> {
    pub(super) this: &'s [Item<'a>],
    pub(super) index: Option<usize>,
    pub(super) total: &'s [Item<'a>],
    pub(super) is_root: bool,
}

impl<'s, 'a> Scope<'s, 'a> {
    pub(super) fn root(this: &'s [Item<'a>]) -> Self {
        Self {
            this,
            index: None,
            total: &[],
            is_root: true,
        }
    }

    /// The scope of a criterion, on one item.
    pub(super) fn of_item(self, item: &'s Item<'a>, index: usize) -> Self {
        Self {
            this: std::slice::from_ref(item),
            index: Some(index),
            ..self
        }
    }
}

impl<'a> Run<'a> {
    pub(super) fn of(context: &Context<'a>) -> Self {
        Self {
            resource: context.resource,
            root: context.root,
            now: context.now,
            context: context.focus,
            steps: Cell::new(0),
        }
    }

    /// Counts work that is about to be done.
    pub(super) fn spend(&self, steps: usize) -> Result<(), EvaluationError> {
        let steps = u32::try_from(steps).unwrap_or(STEPS_MAX);
        let spent = self.steps.get().saturating_add(steps);
        self.steps.set(spent);
        if spent > STEPS_MAX {
            Err(EvaluationError::TooCostly)
        } else {
            Ok(())
        }
    }

    pub(super) fn evaluate(&self, scope: &Scope<'_, 'a>, expr: &'a Expr) -> Outcome<'a> {
        self.spend(1)?;
        match expr {
            Expr::Literal(item) => Ok(vec![item.clone()]),
            Expr::Nothing => Ok(Vec::new()),
            Expr::External(name) => self.external(name),
            Expr::This => Ok(scope.this.to_vec()),
            Expr::Index => Ok(scope
                .index
                .and_then(|index| i64::try_from(index).ok())
                .map(Item::Integer)
                .into_iter()
                .collect()),
            Expr::Total => Ok(scope.total.to_vec()),
            Expr::Member(None, name) => self.first_member(scope, name),
            Expr::Member(Some(on), name) => {
                let items = self.evaluate(scope, on)?;
                self.members(&items, name)
            }
            Expr::Call(call) => {
                let input = match &call.on {
                    Some(on) => self.evaluate(scope, on)?,
                    None => scope.this.to_vec(),
                };
                (call.function.apply)(&Invocation {
                    run: self,
                    scope: *scope,
                    input: &input,
                    arguments: &call.arguments,
                    pattern: call.pattern.as_ref(),
                })
            }
            Expr::Indexer(on, index) => {
                let items = self.evaluate(scope, on)?;
                let index = self.evaluate(scope, index)?;
                let index = match single(&index)?.and_then(Item::value) {
                    None => return Ok(Vec::new()),
                    Some(Item::Integer(index)) => usize::try_from(index).ok(),
                    Some(_) => return Err(EvaluationError::Types),
                };
                Ok(index
                    .and_then(|index| items.into_iter().nth(index))
                    .into_iter()
                    .collect())
            }
            Expr::Negated(operand) => self.negated(scope, operand),
            Expr::Binary(operator, one, two) => self.binary(scope, *operator, one, two),
            Expr::Is(operand, name) => {
                let items = self.evaluate(scope, operand)?;
                match single(&items)? {
                    None => Ok(Vec::new()),
                    Some(item) => Ok(truth(Some(is_of_type(item, name)?))),
                }
            }
            Expr::As(operand, name) => {
                let items = self.evaluate(scope, operand)?;
                cast(items, name)
            }
        }
    }

    /// A name at the begin of a path: a member of the focus, or the focus' own type.
    fn first_member(&self, scope: &Scope<'_, 'a>, name: &str) -> Outcome<'a> {
        let is_type = scope.is_root && name.starts_with(|first: char| first.is_ascii_uppercase());
        if is_type && let [Item::Element(element)] = scope.this {
            return Ok(if types::is_a(element.kind, name) {
                scope.this.to_vec()
            } else {
                Vec::new()
            });
        }
        self.members(scope.this, name)
    }

    fn members(&self, items: &[Item<'a>], name: &str) -> Outcome<'a> {
        let mut found = Vec::new();
        for item in items {
            match item {
                Item::Element(element) => {
                    navigate::member(*element, name, &mut found);
                }
                Item::Type(namespace, _) if name == "namespace" => {
                    found.push(Item::text(*namespace));
                }
                Item::Type(_, own) if name == "name" => found.push(Item::String(own.clone())),
                _ => {}
            }
        }
        self.spend(found.len())?;
        Ok(found)
    }

    fn external(&self, name: &str) -> Outcome<'a> {
        let text = |text: String| Ok(vec![Item::text(text)]);
        match name {
            "resource" => Ok(vec![Item::Element(self.resource)]),
            "rootResource" => Ok(vec![Item::Element(self.root)]),
            "context" => Ok(vec![Item::Element(self.context)]),
            "ucum" => text("http://unitsofmeasure.org".to_owned()),
            "sct" => text("http://snomed.info/sct".to_owned()),
            "loinc" => text("http://loinc.org".to_owned()),
            _ => {
                if let Some(set) = name.strip_prefix("vs-") {
                    text(format!("http://hl7.org/fhir/ValueSet/{set}"))
                } else if let Some(extension) = name.strip_prefix("ext-") {
                    text(format!(
                        "http://hl7.org/fhir/StructureDefinition/{extension}"
                    ))
                } else {
                    Err(EvaluationError::UnknownVariable)
                }
            }
        }
    }

    fn negated(&self, scope: &Scope<'_, 'a>, operand: &'a Expr) -> Outcome<'a> {
        let items = self.evaluate(scope, operand)?;
        let Some(item) = single(&items)? else {
            return Ok(Vec::new());
        };
        match item.value() {
            Some(Item::Integer(integer)) => {
                let negated = integer.checked_neg();
                Ok(negated.map(Item::Integer).into_iter().collect())
            }
            Some(Item::Decimal(decimal)) => Ok(vec![Item::Decimal(-decimal)]),
            Some(Item::Quantity(mut quantity)) => {
                quantity.value = Decimal::ZERO - quantity.value;
                Ok(vec![Item::Quantity(quantity)])
            }
            _ => Err(EvaluationError::Types),
        }
    }

    fn binary(
        &self,
        scope: &Scope<'_, 'a>,
        operator: Operator,
        one: &'a Expr,
        two: &'a Expr,
    ) -> Outcome<'a> {
        let left = self.evaluate(scope, one)?;
        // The right side of a condition that is decided is not walked.
        match operator {
            Operator::And | Operator::Or | Operator::Implies => {
                let left = boolean(&left)?;
                let decided = logic(operator, left, None);
                if decided.is_some() {
                    return Ok(truth(decided));
                }
                let right = boolean(&self.evaluate(scope, two)?)?;
                Ok(truth(logic(operator, left, right)))
            }
            Operator::In | Operator::Contains | Operator::Union | Operator::Equal => {
                let right = self.evaluate(scope, two)?;
                self.spend(left.len().saturating_add(right.len()))?;
                apply(operator, left, right)
            }
            _ => {
                let right = self.evaluate(scope, two)?;
                apply(operator, left, right)
            }
        }
    }
}

/// Whether an item is of a type, or of one that specialises it.
pub(super) fn is_of_type(item: &Item<'_>, wanted: &TypeName) -> Result<bool, EvaluationError> {
    let name = wanted.name.as_str();
    let is_system = |name: &str| {
        matches!(
            name,
            "Boolean"
                | "Integer"
                | "Decimal"
                | "String"
                | "Date"
                | "DateTime"
                | "Time"
                | "Quantity"
        )
    };
    let (space, own) = item.type_name();
    match wanted.namespace.as_deref() {
        Some("System") if is_system(name) => Ok(space == "System" && own == name),
        Some("FHIR") if types::known(name).is_some() => {
            Ok(space == "FHIR" && types::is_a(own, name))
        }
        Some(_) => Err(EvaluationError::UnknownType),
        None => {
            if types::known(name).is_none() && !is_system(name) {
                return Err(EvaluationError::UnknownType);
            }
            if space == "System" {
                return Ok(own == name);
            }
            // R4 has an invariant that says `is Boolean` of an element (que-7).
            let lower = name.to_ascii_lowercase();
            Ok(types::is_a(own, name)
                || (name == "Boolean" && own == lower)
                || (own.is_empty() && types::known(name).is_some() && is_like(item, name)))
        }
    }
}

/// An item as a type: itself, or nothing.
pub(super) fn cast<'a>(items: Items<'a>, name: &TypeName) -> Outcome<'a> {
    if items.len() > 1 {
        return Err(EvaluationError::SeveralItems);
    }
    of_type(items, name)
}

/// The items that are exactly of a type; of a type that specialises it too, if it is no primitive.
pub(super) fn of_type<'a>(items: Items<'a>, name: &TypeName) -> Outcome<'a> {
    let mut kept = Vec::new();
    for item in items {
        let is_exact = item.type_name().1 == name.name;
        if is_of_type(&item, name)? && (is_exact || !types::is_primitive(&name.name)) {
            kept.push(item);
        }
    }
    Ok(kept)
}

/// An element whose type the definitions do not tell.
fn is_like(item: &Item<'_>, name: &str) -> bool {
    match item.value() {
        Some(Item::Boolean(_)) => name == "boolean",
        Some(Item::String(_)) => name == "string",
        _ => false,
    }
}
