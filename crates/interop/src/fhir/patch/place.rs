//! Where in a JSON document an element stands, and changes there.
//!
//! The value of a primitive and its extensions stand under two names (`birthDate` and
//! `_birthDate`); both change together.

use serde_json::{Map, Value};

use super::OperationProblem;
use crate::fhir::fhirpath::{Content, Element};

/// The object that holds an element, the element's name in it, and its index in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    holder: Vec<Step>,
    pub(super) name: String,
    pub(super) index: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(usize),
}

/// The place of an element that was found in this document; none for the document itself.
pub(super) fn place_of(document: &Value, wanted: Element<'_>) -> Option<Place> {
    let mut holder = Vec::new();
    search(document.as_object()?, wanted, &mut holder)
}

fn search(object: &Map<String, Value>, wanted: Element<'_>, at: &mut Vec<Step>) -> Option<Place> {
    for (name, value) in object {
        let plain = name.strip_prefix('_').unwrap_or(name);
        let place = |index| Place {
            holder: at.clone(),
            name: plain.to_owned(),
            index,
        };
        match value {
            Value::Array(values) => {
                let found = values.iter().position(|value| is_at(value, wanted));
                if found.is_some() {
                    return Some(place(found));
                }
            }
            value if is_at(value, wanted) => return Some(place(None)),
            _ => {}
        }
        at.push(Step::Name(name.clone()));
        let found = match value {
            Value::Object(inner) => search(inner, wanted, at),
            Value::Array(values) => values.iter().enumerate().find_map(|(index, value)| {
                at.push(Step::Index(index));
                let found = value
                    .as_object()
                    .and_then(|inner| search(inner, wanted, at));
                at.pop();
                found
            }),
            _ => None,
        };
        at.pop();
        if found.is_some() {
            return found;
        }
    }
    None
}

fn is_at(value: &Value, wanted: Element<'_>) -> bool {
    match (wanted.content(), value) {
        (Content::Object(object), Value::Object(other)) => std::ptr::eq(object, other),
        (Content::Primitive(primitive), other) => std::ptr::eq(primitive, other),
        (Content::Absent, Value::Object(other)) => wanted
            .extra()
            .is_some_and(|extra| std::ptr::eq(extra, other)),
        _ => false,
    }
}

/// The object of an element, or the document's.
pub(super) fn object_at<'v>(
    document: &'v mut Value,
    place: Option<&Place>,
) -> Result<&'v mut Map<String, Value>, OperationProblem> {
    let value = match place {
        None => Some(document),
        Some(place) => {
            let holder = place.holder(document)?;
            let value = holder.get_mut(&place.name);
            match place.index {
                None => value,
                Some(index) => value.and_then(|values| values.get_mut(index)),
            }
        }
    };
    value
        .and_then(Value::as_object_mut)
        .ok_or(OperationProblem::NotAnElement)
}

impl Place {
    fn holder<'v>(
        &self,
        document: &'v mut Value,
    ) -> Result<&'v mut Map<String, Value>, OperationProblem> {
        let mut value = document;
        for step in &self.holder {
            let next = match step {
                Step::Name(name) => value.get_mut(name),
                Step::Index(index) => value.get_mut(index),
            };
            value = next.ok_or(OperationProblem::NotAnElement)?;
        }
        value.as_object_mut().ok_or(OperationProblem::NotAnElement)
    }

    /// Whether both are in the same list.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.holder == other.holder && self.name == other.name
    }

    pub(super) fn remove(&self, document: &mut Value) -> Result<(), OperationProblem> {
        let holder = self.holder(document)?;
        for name in self.names() {
            match (holder.get_mut(&name), self.index) {
                (Some(Value::Array(values)), Some(index)) => {
                    if index < values.len() {
                        values.remove(index);
                    }
                    // An empty list is no FHIR, nor is one of nulls.
                    if values.iter().all(Value::is_null) {
                        holder.shift_remove(&name);
                    }
                }
                (Some(_), _) => {
                    holder.shift_remove(&name);
                }
                (None, _) => {}
            }
        }
        Ok(())
    }

    /// Puts a value in the element's place, under this name.
    pub(super) fn replace(
        &self,
        document: &mut Value,
        name: &str,
        value: Value,
    ) -> Result<(), OperationProblem> {
        let holder = self.holder(document)?;
        let companion = format!("_{}", self.name);
        if let Some(index) = self.index {
            if let Some(extra) = holder.get_mut(&companion).and_then(|it| it.get_mut(index)) {
                *extra = Value::Null;
            }
            let place = holder
                .get_mut(name)
                .and_then(|values| values.get_mut(index));
            *place.ok_or(OperationProblem::NotAnElement)? = value;
            return Ok(());
        }
        holder.shift_remove(&companion);
        let at = holder.keys().position(|key| *key == self.name);
        holder.shift_remove(&self.name);
        let at = at.unwrap_or(holder.len()).min(holder.len());
        holder.shift_insert(at, name.to_owned(), value);
        Ok(())
    }

    /// Puts a value into the element's list.
    pub(super) fn insert(
        &self,
        document: &mut Value,
        index: usize,
        value: Value,
    ) -> Result<(), OperationProblem> {
        let values = self.list(document, &self.name)?;
        if index > values.len() {
            return Err(OperationProblem::IndexTooLarge);
        }
        values.insert(index, value);
        if let Ok(extras) = self.list(document, &format!("_{}", self.name))
            && index <= extras.len()
        {
            extras.insert(index, Value::Null);
        }
        Ok(())
    }

    /// Moves an item within the element's list.
    pub(super) fn shift(
        &self,
        document: &mut Value,
        source: usize,
        destination: usize,
    ) -> Result<(), OperationProblem> {
        let values = self.list(document, &self.name)?;
        let count = values.len();
        if source >= count || destination >= count {
            return Err(OperationProblem::IndexTooLarge);
        }
        let moved = values.remove(source);
        values.insert(destination, moved);
        if let Ok(extras) = self.list(document, &format!("_{}", self.name)) {
            extras.resize(count, Value::Null);
            let moved = extras.remove(source);
            extras.insert(destination, moved);
        }
        Ok(())
    }

    fn list<'v>(
        &self,
        document: &'v mut Value,
        name: &str,
    ) -> Result<&'v mut Vec<Value>, OperationProblem> {
        let list = self.holder(document)?.get_mut(name);
        list.and_then(Value::as_array_mut)
            .ok_or(OperationProblem::NotAList)
    }

    fn names(&self) -> [String; 2] {
        [self.name.clone(), format!("_{}", self.name)]
    }
}
