//! `Parameters`, read and written.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use interop::fhir::{Resource, ResourceType};
use serde_json::{Map, Value, json};

use crate::fhir::limits;
use crate::problem::Problem;

/// The parameters of a request.
pub(crate) struct Given(Vec<Value>);

impl Given {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let kind = ResourceType::parse("Parameters")
            .ok_or_else(|| Problem::internal("R4 has no Parameters"))?;
        let resource = Resource::parse_as(kind, body, &limits())?;
        let parameters = resource.get("parameter").and_then(Value::as_array);
        Ok(Self(parameters.cloned().unwrap_or_default()))
    }

    /// The bytes of a parameter in base64 or base64url, as `valueBase64Binary` or `valueString`.
    pub(super) fn bytes(&self, name: &'static str) -> Result<Vec<u8>, Problem> {
        let mut named = self
            .0
            .iter()
            .filter(|parameter| parameter.get("name").and_then(Value::as_str) == Some(name));
        let (Some(parameter), None) = (named.next(), named.next()) else {
            return Err(Problem::malformed(format!(
                "the parameter `{name}` must be there once"
            )));
        };
        ["valueBase64Binary", "valueString"]
            .iter()
            .find_map(|element| parameter.get(element))
            .and_then(Value::as_str)
            .and_then(decode)
            .ok_or_else(|| Problem::malformed(format!("the parameter `{name}` is not base64")))
    }

    /// The value of a parameter, in the first of these elements that it has.
    pub(crate) fn value(&self, name: &str, elements: &[&str]) -> Option<Value> {
        let is_named = |one: &&Value| one.get("name").and_then(Value::as_str) == Some(name);
        let parameter = self.0.iter().find(is_named)?;
        elements
            .iter()
            .find_map(|element| parameter.get(element))
            .cloned()
    }

    /// A parameter that must be there and say something.
    pub(super) fn words(&self, name: &'static str) -> Result<String, Problem> {
        let value = self.value(name, &["valueString", "valueCode"]);
        let words = value.as_ref().and_then(Value::as_str).map(str::trim);
        let words = words.filter(|words| !words.is_empty());
        let missing = || Problem::malformed(format!("the parameter `{name}` must be there"));
        words.map(str::to_owned).ok_or_else(missing)
    }

    /// The numbers under a name, in `valueUnsignedInt`, `valuePositiveInt`, `valueInteger` or as text.
    pub(super) fn numbers(&self, name: &'static str) -> Result<Vec<u64>, Problem> {
        let is_named = |one: &&Value| one.get("name").and_then(Value::as_str) == Some(name);
        let elements = [
            "valueUnsignedInt",
            "valuePositiveInt",
            "valueInteger",
            "valueString",
        ];
        let number = |one: &Value| {
            let value = elements.iter().find_map(|element| one.get(element))?;
            let text = value.as_str().and_then(|text| text.parse().ok());
            value.as_u64().or(text)
        };
        let malformed = || Problem::malformed(format!("the parameter `{name}` is no number"));
        let named = self.0.iter().filter(is_named);
        named.map(|one| number(one).ok_or_else(malformed)).collect()
    }

    /// The values of a parameter that may be there several times.
    pub(crate) fn all(&self, name: &str, elements: &[&str]) -> Vec<Value> {
        let is_named = |one: &&Value| one.get("name").and_then(Value::as_str) == Some(name);
        let value = |one: &Value| {
            elements
                .iter()
                .find_map(|element| one.get(element))
                .cloned()
        };
        let named = self.0.iter().filter(is_named);
        named.map(|one| value(one).unwrap_or_default()).collect()
    }

    /// The text or code of a parameter that is there once at most.
    pub(crate) fn string(&self, name: &'static str) -> Result<Option<String>, Problem> {
        let said = self.all(name, &["valueString", "valueCode", "valueMarkdown"]);
        match said.as_slice() {
            [] => Ok(None),
            [Value::String(text)] => Ok(Some(text.clone())),
            _ => Err(Problem::malformed(format!(
                "the parameter `{name}` is a text, and is there once"
            ))),
        }
    }

    /// A parameter of 32 bytes.
    pub(super) fn key(&self, name: &'static str) -> Result<[u8; 32], Problem> {
        self.bytes(name)?
            .try_into()
            .map_err(|_| Problem::malformed(format!("the parameter `{name}` is not 32 bytes")))
    }
}

/// A parameter with bytes.
pub(super) fn binary(name: &str, bytes: &[u8]) -> Value {
    json!({ "name": name, "valueBase64Binary": STANDARD.encode(bytes) })
}

/// A parameter with text.
pub(crate) fn text(name: &str, text: impl Into<String>) -> Value {
    json!({ "name": name, "valueString": text.into() })
}

/// The resource that holds these.
pub(crate) fn parameters(parameters: Vec<Value>) -> Value {
    let mut resource = Map::new();
    resource.insert("resourceType".to_owned(), "Parameters".into());
    // An empty array is not FHIR.
    if !parameters.is_empty() {
        resource.insert("parameter".to_owned(), parameters.into());
    }
    resource.into()
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let url_safe = text
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_");
    URL_SAFE_NO_PAD.decode(url_safe).ok()
}
