//! FHIRPath Patch: <https://hl7.org/fhir/R4/fhirpatch.html>

use serde_json::{Map, Value};

use super::place::{Place, object_at, place_of};
use super::{OPERATIONS_MAX, OperationProblem, PatchError};
use crate::fhir::fhirpath::{Context, Element, Expression, Item, types};
use crate::fhir::{Resource, ResourceType};

/// The deepest nesting of a value in parts.
const DEPTH_MAX: usize = 16;

/// One operation.
pub(super) struct Operation {
    path: Expression,
    action: Action,
}

enum Action {
    Add { name: String, value: Given },
    Insert { index: usize, value: Given },
    Delete,
    Replace { value: Given },
    Move { source: usize, destination: usize },
}

/// A value as parameters carry it.
#[derive(Clone)]
enum Given {
    /// `value[x]`, with the datatype.
    Typed(&'static str, Value),
    /// The elements of one that R4 defines in place.
    Parts(Vec<(String, Self)>),
}

pub(super) fn read(parameters: &Resource) -> Result<Vec<Operation>, PatchError> {
    if parameters.resource_type().as_str() != "Parameters" {
        return Err(PatchError::NotParameters);
    }
    let list = parameters.get("parameter").and_then(Value::as_array);
    let list = list.map_or(&[][..], Vec::as_slice);
    if list.len() > OPERATIONS_MAX {
        return Err(PatchError::TooManyOperations);
    }
    list.iter()
        .enumerate()
        .map(|(index, parameter)| {
            let name = parameter.get("name").and_then(Value::as_str);
            if name != Some("operation") {
                return Err(PatchError::NotParameters);
            }
            read_operation(parameter).map_err(|problem| PatchError::Operation { index, problem })
        })
        .collect()
}

fn read_operation(parameter: &Value) -> Result<Operation, OperationProblem> {
    let parts = parameter.get("part").and_then(Value::as_array);
    let parts = parts.map_or(&[][..], Vec::as_slice);
    let part = |name: &str| {
        parts
            .iter()
            .find(|part| part.get("name").and_then(Value::as_str) == Some(name))
    };
    let text = |name: &'static str| {
        let given = part(name).and_then(|part| given(part, 0));
        match given {
            Some(Given::Typed(_, Value::String(text))) => Ok(text),
            _ => Err(OperationProblem::Part(name)),
        }
    };
    let number = |name: &'static str| {
        let given = part(name).and_then(|part| given(part, 0));
        let number = match given {
            Some(Given::Typed(_, value)) => value.as_u64(),
            _ => None,
        };
        number
            .and_then(|number| usize::try_from(number).ok())
            .ok_or(OperationProblem::Part(name))
    };
    let value = || {
        let given = part("value").and_then(|part| given(part, 0));
        given.ok_or(OperationProblem::Part("value"))
    };
    let action = match text("type")?.as_str() {
        "add" => Action::Add {
            name: text("name")?,
            value: value()?,
        },
        "insert" => Action::Insert {
            index: number("index")?,
            value: value()?,
        },
        "delete" => Action::Delete,
        "replace" => Action::Replace { value: value()? },
        "move" => Action::Move {
            source: number("source")?,
            destination: number("destination")?,
        },
        _ => return Err(OperationProblem::UnknownType),
    };
    let path = Expression::compile(&text("path")?)?;
    Ok(Operation { path, action })
}

/// The value of a parameter or part.
fn given(part: &Value, depth: usize) -> Option<Given> {
    if depth > DEPTH_MAX {
        return None;
    }
    let object = part.as_object()?;
    if let Some(parts) = object.get("part").and_then(Value::as_array) {
        let parts = parts.iter().map(|part| {
            let name = part.get("name").and_then(Value::as_str)?;
            Some((name.to_owned(), given(part, depth + 1)?))
        });
        return parts.collect::<Option<Vec<_>>>().map(Given::Parts);
    }
    object.iter().find_map(|(name, value)| {
        let kind = types::choice(name.strip_prefix("value")?)?;
        Some(Given::Typed(kind, value.clone()))
    })
}

impl Operation {
    pub(super) fn apply(&self, document: &mut Value) -> Result<(), OperationProblem> {
        let found = self.find(document)?;
        match &self.action {
            Action::Add { name, value } => {
                let (place, kind) = one(&found)?.ok_or_else(|| self.nothing())?;
                add(object_at(document, place.as_ref())?, kind, name, value)
            }
            Action::Delete => match one(&found)? {
                // What is not there is deleted already.
                None => Ok(()),
                Some((None, _)) => Err(OperationProblem::NotAnElement),
                Some((Some(place), _)) => place.remove(document),
            },
            Action::Replace { value } => match one(&found)? {
                None => Err(self.nothing()),
                Some((None, _)) => Err(OperationProblem::NotAnElement),
                Some((Some(place), kind)) => {
                    let name = renamed(&place.name, kind, value);
                    let value = value.build(kind)?;
                    place.replace(document, &name, value)
                }
            },
            Action::Insert { index, value } => {
                let (place, kind) = self.list(&found)?;
                let value = value.build(kind)?;
                place.insert(document, *index, value)
            }
            Action::Move {
                source,
                destination,
            } => {
                let (place, _) = self.list(&found)?;
                place.shift(document, *source, *destination)
            }
        }
    }

    /// The places that the path names, and the types there. The document itself has none.
    fn find(
        &self,
        document: &Value,
    ) -> Result<Vec<(Option<Place>, &'static str)>, OperationProblem> {
        let object = document.as_object().ok_or(OperationProblem::NotAnElement)?;
        let kind = object.get("resourceType").and_then(Value::as_str);
        let kind = kind
            .and_then(ResourceType::parse)
            .ok_or(OperationProblem::NotAnElement)?;
        let root = Element::object(object, kind.as_str());
        let context = Context {
            focus: root,
            resource: root,
            root,
            now: None,
        };
        let items = self.path.evaluate(&context)?;
        let places = items.into_iter().map(|item| match item {
            Item::Element(element) if element.is_same(&root) => Ok((None, kind.as_str())),
            Item::Element(element) => place_of(document, element)
                .map(|place| (Some(place), element.kind()))
                .ok_or(OperationProblem::NotAnElement),
            _ => Err(OperationProblem::NotAnElement),
        });
        places.collect()
    }

    /// The one list of which the path names all elements.
    fn list<'f>(
        &self,
        found: &'f [(Option<Place>, &'static str)],
    ) -> Result<(&'f Place, &'static str), OperationProblem> {
        let Some((first, kind)) = found.first() else {
            return Err(self.nothing());
        };
        let first = first.as_ref().ok_or(OperationProblem::NotAList)?;
        let is_beside =
            |place: &Option<Place>| place.as_ref().is_some_and(|it| it.is_beside(first));
        if first.index.is_none() || !found.iter().all(|(place, _)| is_beside(place)) {
            return Err(OperationProblem::NotAList);
        }
        Ok((first, kind))
    }

    /// The text of a path may hold values: it is not repeated.
    fn nothing(&self) -> OperationProblem {
        OperationProblem::NothingThere {
            path: "path".to_owned(),
        }
    }
}

type Found = (Option<Place>, &'static str);

fn one(found: &[Found]) -> Result<Option<&Found>, OperationProblem> {
    match found {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => Err(OperationProblem::SeveralElements),
    }
}

fn add(
    object: &mut Map<String, Value>,
    holder: &str,
    name: &str,
    given: &Given,
) -> Result<(), OperationProblem> {
    let plain = types::child(holder, name);
    let (name, declared) = match (plain, given) {
        (Some(declared), _) => (name.to_owned(), declared),
        (None, Given::Typed(kind, _)) => {
            let full = types::choice_name(name, kind);
            let declared = types::child(holder, &full).filter(|it| it.is_choice);
            (full, declared.ok_or(OperationProblem::UnknownName)?)
        }
        (None, Given::Parts(_)) => return Err(OperationProblem::UnknownName),
    };
    let value = given.build(declared.kind)?;
    if declared.is_repeating {
        let list = object
            .entry(name)
            .or_insert_with(|| Value::Array(Vec::new()));
        list.as_array_mut()
            .ok_or(OperationProblem::NotAList)?
            .push(value);
        return Ok(());
    }
    let is_occupied = object.contains_key(&name)
        || object.contains_key(&format!("_{name}"))
        || declared.is_choice && is_chosen(object, types::choice_base(&name, declared.kind));
    if is_occupied {
        return Err(OperationProblem::Occupied);
    }
    object.insert(name, value);
    Ok(())
}

/// Whether some alternative of a choice is there.
fn is_chosen(object: &Map<String, Value>, base: &str) -> bool {
    object.keys().any(|key| {
        let key = key.strip_prefix('_').unwrap_or(key);
        key.strip_prefix(base).and_then(types::choice).is_some()
    })
}

/// The name of the element that a value replaces: another alternative of a choice has another.
fn renamed(name: &str, kind: &'static str, given: &Given) -> String {
    let Given::Typed(given, _) = given else {
        return name.to_owned();
    };
    let base = types::choice_base(name, kind);
    if types::choice_name(base, kind) == name && !base.is_empty() && base.len() < name.len() {
        types::choice_name(base, given)
    } else {
        name.to_owned()
    }
}

impl Given {
    fn build(&self, kind: &str) -> Result<Value, OperationProblem> {
        match self {
            Self::Typed(_, value) => Ok(value.clone()),
            Self::Parts(parts) => {
                let mut object = Map::new();
                for (name, part) in parts {
                    add(&mut object, kind, name, part)?;
                }
                Ok(Value::Object(object))
            }
        }
    }
}
