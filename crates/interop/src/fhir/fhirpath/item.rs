//! What collections hold: elements of a resource, and values of the system types.

use std::borrow::Cow;
use std::fmt;

use rust_decimal::Decimal;
use serde_json::{Map, Value};

use super::quantity::Quantity;
use super::temporal::{Temporal, TemporalKind};

/// A collection.
pub type Items<'a> = Vec<Item<'a>>;

/// One item of a collection. Debug shows its type alone.
#[derive(Clone)]
pub enum Item<'a> {
    /// An element or a resource.
    Element(Element<'a>),
    /// `System.Boolean`
    Boolean(bool),
    /// `System.Integer`
    Integer(i64),
    /// `System.Decimal`
    Decimal(Decimal),
    /// `System.String`
    String(Cow<'a, str>),
    /// `System.Date`, `System.DateTime`, `System.Time`
    Temporal(Temporal),
    /// `System.Quantity`
    Quantity(Quantity),
    /// What `type()` gives: namespace and name.
    Type(&'static str, Cow<'a, str>),
}

/// An element of a resource, with its type as R4 names it (`HumanName`, `Patient.contact`; empty
/// if the definitions do not tell).
#[derive(Clone, Copy)]
pub struct Element<'a> {
    pub(super) content: Content<'a>,
    /// The id and extensions of a primitive.
    pub(super) extra: Option<&'a Map<String, Value>>,
    pub(super) kind: &'static str,
}

/// The JSON of an element. Debug shows its form alone.
#[derive(Clone, Copy)]
pub enum Content<'a> {
    /// A resource, or an element that is not primitive.
    Object(&'a Map<String, Value>),
    /// The value of a primitive.
    Primitive(&'a Value),
    /// A primitive that has extensions and no value.
    Absent,
}

impl fmt::Debug for Item<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Item({})", self.type_name().1)
    }
}

impl fmt::Debug for Content<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Object(_) => "Object",
            Self::Primitive(_) => "Primitive",
            Self::Absent => "Absent",
        })
    }
}

impl fmt::Debug for Element<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Element({})", self.kind)
    }
}

impl<'a> Element<'a> {
    /// An object of this type.
    pub fn object(object: &'a Map<String, Value>, kind: &'static str) -> Self {
        Self {
            content: Content::Object(object),
            extra: None,
            kind,
        }
    }

    /// An element of this type as it stands in JSON, with what stands under its name with `_`.
    pub fn of_json(value: &'a Value, extra: Option<&'a Value>, kind: &'static str) -> Self {
        let content = match value {
            Value::Object(object) => Content::Object(object),
            Value::Null => Content::Absent,
            other => Content::Primitive(other),
        };
        Self {
            content,
            extra: extra.and_then(Value::as_object),
            kind,
        }
    }

    /// The type.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The JSON.
    pub fn content(&self) -> Content<'a> {
        self.content
    }

    /// The id and extensions of a primitive.
    pub fn extra(&self) -> Option<&'a Map<String, Value>> {
        self.extra
    }

    /// Whether both are the same place of the same tree.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self.content, other.content) {
            (Content::Object(one), Content::Object(two)) => std::ptr::eq(one, two),
            (Content::Primitive(one), Content::Primitive(two)) => std::ptr::eq(one, two),
            (Content::Absent, Content::Absent) => match (self.extra, other.extra) {
                (Some(one), Some(two)) => std::ptr::eq(one, two),
                _ => false,
            },
            _ => false,
        }
    }

    /// The system value of a primitive, if it has a value that its type allows.
    fn system(self) -> Option<Item<'a>> {
        let Content::Primitive(value) = self.content else {
            return None;
        };
        match value {
            Value::Bool(value) => Some(Item::Boolean(*value)),
            Value::Number(number) => {
                let text = number.as_str();
                if self.kind != "decimal"
                    && let Ok(integer) = text.parse()
                {
                    return Some(Item::Integer(integer));
                }
                decimal(text).map(Item::Decimal)
            }
            Value::String(text) => {
                let temporal = match self.kind {
                    "date" => Temporal::parse(text, TemporalKind::Date),
                    "dateTime" | "instant" => Temporal::parse(text, TemporalKind::DateTime),
                    "time" => Temporal::parse(text, TemporalKind::Time),
                    _ => None,
                };
                Some(temporal.map_or_else(
                    || Item::String(Cow::Borrowed(text.as_str())),
                    Item::Temporal,
                ))
            }
            _ => None,
        }
    }
}

impl<'a> Item<'a> {
    /// The item as a value of a system type, if it is or has one.
    pub fn value(&self) -> Option<Item<'a>> {
        match self {
            Self::Element(element) => element.system(),
            other => Some(other.clone()),
        }
    }

    /// The item as a quantity, also when it is a FHIR Quantity or a number.
    pub(super) fn quantity(&self) -> Option<Quantity> {
        match self {
            Self::Quantity(quantity) => Some(quantity.clone()),
            Self::Element(Element {
                content: Content::Object(object),
                ..
            }) => {
                let value = object.get("value")?.as_number()?;
                let text = |name| object.get(name).and_then(Value::as_str);
                let system = text("system");
                let unit = match system {
                    Some("http://unitsofmeasure.org") => text("code")?,
                    _ => text("code").or_else(|| text("unit")).unwrap_or("1"),
                };
                Some(Quantity::new(
                    decimal(value.as_str())?,
                    unit.to_owned(),
                    false,
                ))
            }
            _ => None,
        }
    }

    /// The type: namespace and name.
    pub(super) fn type_name(&self) -> (&'static str, &'static str) {
        match self {
            Self::Element(element) => ("FHIR", element.kind),
            Self::Boolean(_) => ("System", "Boolean"),
            Self::Integer(_) => ("System", "Integer"),
            Self::Decimal(_) => ("System", "Decimal"),
            Self::String(_) => ("System", "String"),
            Self::Temporal(temporal) => ("System", temporal.kind().name()),
            Self::Quantity(_) => ("System", "Quantity"),
            Self::Type(..) => ("System", "TypeInfo"),
        }
    }

    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::String(text.into())
    }
}

/// A decimal as JSON writes it.
pub(super) fn decimal(text: &str) -> Option<Decimal> {
    if text.contains(['e', 'E']) {
        Decimal::from_scientific(text).ok()
    } else {
        text.parse().ok()
    }
}
