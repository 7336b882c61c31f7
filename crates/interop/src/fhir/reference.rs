//! References between resources: what one means, finding them, changing them.

use std::fmt;

use serde_json::{Map, Value};

use super::resource::is_id;
use super::{ElementPath, Resource, ResourceType};

/// The meaning of the text in `Reference.reference`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// `Type/id`, `Type/id/_history/version`: on this server.
    Relative(Local<'a>),
    /// A URL; with the resource that it ends in, if it has that form.
    Absolute(&'a str, Option<Local<'a>>),
    /// `urn:uuid:…` or `urn:oid:…`: an entry of the same Bundle.
    Urn(&'a str),
    /// `#id`: in `contained`. Empty for the containing resource itself.
    Contained(&'a str),
    /// `Type?query`: whatever matches when the transaction is executed.
    Conditional(ResourceType, &'a str),
    /// None of these forms.
    Unknown,
}

/// A resource on a server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Local<'a> {
    /// The type.
    pub resource_type: ResourceType,
    /// The logical id.
    pub id: &'a str,
    /// The version, in a version-specific reference.
    pub version: Option<&'a str>,
}

// Ids belong to patients: Debug shows the form alone.
impl fmt::Debug for Target<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Relative(_) => "Relative(..)",
            Self::Absolute(..) => "Absolute(..)",
            Self::Urn(_) => "Urn(..)",
            Self::Contained(_) => "Contained(..)",
            Self::Conditional(..) => "Conditional(..)",
            Self::Unknown => "Unknown",
        })
    }
}

impl fmt::Debug for Local<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Local({}/..)", self.resource_type)
    }
}

impl<'a> Target<'a> {
    /// Reads the text of a reference.
    pub fn parse(text: &'a str) -> Self {
        if let Some(id) = text.strip_prefix('#') {
            return Self::Contained(id);
        }
        if text.starts_with("urn:uuid:") || text.starts_with("urn:oid:") {
            return Self::Urn(text);
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return Self::Absolute(text, local_at_end(text));
        }
        if let Some((name, query)) = text.split_once('?') {
            return match ResourceType::parse(name) {
                Some(resource_type) if !query.is_empty() => Self::Conditional(resource_type, query),
                _ => Self::Unknown,
            };
        }
        let parts: Vec<&str> = text.split('/').collect();
        local(&parts).map_or(Self::Unknown, Self::Relative)
    }

    /// The resource on this or another server, if the reference names one.
    pub fn local(self) -> Option<Local<'a>> {
        match self {
            Self::Relative(local) => Some(local),
            Self::Absolute(_, local) => local,
            _ => None,
        }
    }
}

/// A reference that was found in a resource.
pub struct Found<'a> {
    /// Where the Reference stands.
    pub path: &'a ElementPath,
    /// The Reference with all its elements.
    pub object: &'a Map<String, Value>,
}

impl<'a> Found<'a> {
    /// The text of `reference`; `None` for a logical reference, by identifier alone.
    pub fn text(&self) -> Option<&'a str> {
        self.object.get("reference").and_then(Value::as_str)
    }

    /// The meaning of the text.
    pub fn target(&self) -> Option<Target<'a>> {
        self.text().map(Target::parse)
    }

    /// System and value of the identifier.
    pub fn identifier(&self) -> Option<(&'a str, &'a str)> {
        let identifier = self.object.get("identifier")?;
        Some((
            identifier.get("system")?.as_str()?,
            identifier.get("value")?.as_str()?,
        ))
    }
}

impl fmt::Debug for Found<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Found({})", self.path)
    }
}

/// Calls `visit` for each Reference of the resource, contained resources and extensions
/// included, in document order.
pub fn walk(resource: &Resource, mut visit: impl FnMut(&Found<'_>)) {
    let mut path = ElementPath::root(resource.resource_type());
    walk_object(resource.object(), &mut path, &mut visit);
}

/// Lets `change` replace each Reference of the resource, in document order. Nothing else
/// changes, neither in value nor in place.
pub fn rewrite<E>(
    resource: &mut Resource,
    mut change: impl FnMut(&ElementPath, &mut Map<String, Value>) -> Result<(), E>,
) -> Result<(), E> {
    let mut path = ElementPath::root(resource.resource_type());
    rewrite_object(resource.object_mut(), &mut path, &mut change)
}

/// Reference, or an object of the same form: text in `reference`, or an identifier alone with
/// nothing that a Reference does not have.
fn is_reference(object: &Map<String, Value>) -> bool {
    match object.get("reference") {
        Some(reference) => reference.is_string(),
        None => {
            object.get("identifier").is_some_and(Value::is_object)
                && object.keys().all(|name| {
                    matches!(
                        name.as_str(),
                        "id" | "extension" | "type" | "identifier" | "display"
                    )
                })
        }
    }
}

fn walk_object(
    object: &Map<String, Value>,
    path: &mut ElementPath,
    visit: &mut impl FnMut(&Found<'_>),
) {
    if is_reference(object) {
        visit(&Found { path, object });
    }
    for (name, value) in object {
        path.push_name(name);
        walk_value(value, path, visit);
        path.pop();
    }
}

fn walk_value(value: &Value, path: &mut ElementPath, visit: &mut impl FnMut(&Found<'_>)) {
    match value {
        Value::Object(object) => walk_object(object, path, visit),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push_index(index);
                walk_value(item, path, visit);
                path.pop();
            }
        }
        _ => {}
    }
}

fn rewrite_object<E>(
    object: &mut Map<String, Value>,
    path: &mut ElementPath,
    change: &mut impl FnMut(&ElementPath, &mut Map<String, Value>) -> Result<(), E>,
) -> Result<(), E> {
    if is_reference(object) {
        change(path, object)?;
    }
    for (name, value) in object.iter_mut() {
        path.push_name(name);
        rewrite_value(value, path, change)?;
        path.pop();
    }
    Ok(())
}

fn rewrite_value<E>(
    value: &mut Value,
    path: &mut ElementPath,
    change: &mut impl FnMut(&ElementPath, &mut Map<String, Value>) -> Result<(), E>,
) -> Result<(), E> {
    match value {
        Value::Object(object) => rewrite_object(object, path, change),
        Value::Array(items) => items.iter_mut().enumerate().try_for_each(|(index, item)| {
            path.push_index(index);
            rewrite_value(item, path, change)?;
            path.pop();
            Ok(())
        }),
        _ => Ok(()),
    }
}

fn local<'a>(parts: &[&'a str]) -> Option<Local<'a>> {
    let (name, id, version) = match parts {
        [name, id] => (name, id, None),
        [name, id, "_history", version] if is_id(version) => (name, id, Some(*version)),
        _ => return None,
    };
    let resource_type = ResourceType::parse(name)?;
    is_id(id).then_some(Local {
        resource_type,
        id,
        version,
    })
}

fn local_at_end(url: &str) -> Option<Local<'_>> {
    let parts: Vec<&str> = url.split('/').collect();
    let tail = |count: usize| {
        parts
            .len()
            .checked_sub(count)
            .and_then(|at| parts.get(at..))
    };
    tail(4).and_then(local).or_else(|| tail(2).and_then(local))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::Checking;
    use proptest::prelude::*;
    use serde_json::json;

    fn resource(value: Value) -> Resource {
        Resource::from_value_noting(value, Checking::Stored)
            .unwrap()
            .0
    }

    #[test]
    fn forms_of_references() {
        let patient = |id, version| Local {
            resource_type: ResourceType::PATIENT,
            id,
            version,
        };
        let table = [
            ("Patient/1", Target::Relative(patient("1", None))),
            (
                "Patient/1/_history/2",
                Target::Relative(patient("1", Some("2"))),
            ),
            (
                "http://a.org/fhir/Patient/1",
                Target::Absolute("http://a.org/fhir/Patient/1", Some(patient("1", None))),
            ),
            (
                "https://a.org/Patient/1/_history/2",
                Target::Absolute(
                    "https://a.org/Patient/1/_history/2",
                    Some(patient("1", Some("2"))),
                ),
            ),
            (
                "http://a.org/thing",
                Target::Absolute("http://a.org/thing", None),
            ),
            ("urn:uuid:x", Target::Urn("urn:uuid:x")),
            ("urn:oid:1.2", Target::Urn("urn:oid:1.2")),
            ("#coverage", Target::Contained("coverage")),
            ("#", Target::Contained("")),
            (
                "Patient?identifier=a|b",
                Target::Conditional(ResourceType::PATIENT, "identifier=a|b"),
            ),
            ("Patient?", Target::Unknown),
            ("patient/1", Target::Unknown),
            ("Patient/a b", Target::Unknown),
            ("Patient/1/2", Target::Unknown),
            ("Patient/1/_history/", Target::Unknown),
            ("", Target::Unknown),
        ];
        for (text, expected) in table {
            assert!(Target::parse(text) == expected, "{text}");
        }
    }

    #[test]
    fn walking_finds_contained_logical_and_extension_references() {
        let claim = resource(json!({
            "resourceType": "Basic",
            "contained": [{"resourceType": "Coverage", "id": "c", "status": "active",
                "beneficiary": {"reference": "urn:uuid:p"}, "payor": [{"display": "x"}]}],
            "identifier": [{"system": "s", "value": "v"}],
            "extension": [{"url": "http://e.org", "valueReference": {"reference": "#c"}}],
            "subject": {"type": "Patient", "identifier": {"system": "s", "value": "v"}},
            "author": {"display": "nobody", "reference": "Patient/1"},
        }));
        let mut found = Vec::new();
        walk(&claim, |site| {
            found.push(format!(
                "{} {}",
                site.path,
                site.text().unwrap_or("logical")
            ));
        });
        assert_eq!(
            found,
            [
                "Basic.contained[0].beneficiary urn:uuid:p",
                "Basic.extension[0].valueReference #c",
                "Basic.subject logical",
                "Basic.author Patient/1",
            ]
        );
    }

    fn arbitrary_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!("urn:uuid:1")),
            Just(json!("Patient/1")),
            Just(json!("x")),
            Just(json!(1)),
            Just(json!(true)),
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            let name = prop_oneof![
                Just("reference"),
                Just("subject"),
                Just("identifier"),
                Just("b")
            ];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 1..4).prop_map(Value::Array),
                proptest::collection::btree_map(name, inner, 1..4).prop_map(|map| {
                    Value::Object(map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
                }),
            ]
        })
    }

    fn replace(resource: &mut Resource, from: &str, to: &str) {
        let done: Result<(), ()> = rewrite(resource, |_, object| {
            if object.get("reference").and_then(Value::as_str) == Some(from) {
                object.insert("reference".to_owned(), to.into());
            }
            Ok(())
        });
        done.unwrap();
    }

    proptest! {
        #[test]
        fn rewriting_there_and_back_changes_nothing(content in arbitrary_json()) {
            let original = resource(json!({"resourceType": "Basic", "b": content}));
            let text = original.clone().into_value().to_string();
            let mut changed = original;
            replace(&mut changed, "urn:uuid:1", "Patient/new");
            let mut left = 0;
            walk(&changed, |site| left += usize::from(site.text() == Some("urn:uuid:1")));
            prop_assert_eq!(left, 0);
            replace(&mut changed, "Patient/new", "urn:uuid:1");
            prop_assert_eq!(changed.into_value().to_string(), text);
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,60}") {
            let _ = Target::parse(&text);
        }
    }
}
