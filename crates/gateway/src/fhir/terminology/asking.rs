//! What an operation is asked: parameters of the URL, and of a `Parameters` where one is posted.

use axum::extract::{FromRequest, Request};
use axum::http::Method;
use interop::fhir::{Resource, ResourceType};
use interop::terminology::{Asked, Canonical};
use serde_json::{Value, json};

use crate::fhir::limits;
use crate::http::{Payload, pairs_of};
use crate::problem::Problem;

/// What is asked.
pub(super) struct Asking(Vec<(String, Value)>);

/// What a general parameter says, and this server does not do.
const UNSUPPORTED: [&str; 9] = [
    "context",
    "contextDirection",
    "date",
    "exclude-system",
    "system-version",
    "check-system-version",
    "force-system-version",
    "profile",
    "dependency",
];

impl<S: Send + Sync> FromRequest<S> for Asking {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let query = request.uri().query().unwrap_or_default();
        let mut all: Vec<(String, Value)> = pairs_of(query)
            .map(|(name, value)| (name, value.into()))
            .collect();
        if request.method() == Method::POST {
            let Payload(body) = Payload::from_request(request, state).await?;
            all.extend(posted(&body)?);
        }
        match all
            .iter()
            .find(|(name, _)| UNSUPPORTED.contains(&name.as_str()))
        {
            Some(_) => Err(Problem::not_supported(format!(
                "none of these parameters is supported: {}",
                UNSUPPORTED.join(", ")
            ))),
            None => Ok(Self(all)),
        }
    }
}

/// The parameters of a `Parameters`.
fn posted(body: &[u8]) -> Result<Vec<(String, Value)>, Problem> {
    let kind = ResourceType::parse("Parameters");
    let kind = kind.ok_or_else(|| Problem::internal("R4 has no Parameters"))?;
    let resource = Resource::parse_as(kind, body, &limits())?;
    let parameters = resource.get("parameter").and_then(Value::as_array);
    let named = parameters.into_iter().flatten().filter_map(|one| {
        let name = one.get("name")?.as_str()?.to_owned();
        let mut elements = one.as_object()?.iter();
        let value = elements
            .find(|(element, _)| element.starts_with("value") || element.as_str() == "resource");
        Some((name, value?.1.clone()))
    });
    Ok(named.collect())
}

impl Asking {
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        let mut all = self.0.iter();
        all.find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// A text, or `None` if it is not there or empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let text = self.value(name).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
    }

    /// A text that has to be there.
    pub(super) fn needed(&self, name: &str) -> Result<&str, Problem> {
        let missing = || Problem::malformed(format!("the parameter `{name}` must be there"));
        self.text(name).ok_or_else(missing)
    }

    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let named = self.0.iter().filter(|(own, _)| own == name);
        let texts = named.filter_map(|(_, value)| value.as_str());
        texts.map(str::to_owned).collect()
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.value(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text == "false" => Ok(false),
            Some(_) => Err(Problem::malformed(format!(
                "the parameter `{name}` is not true or false"
            ))),
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<usize>, Problem> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let number = match value {
            Value::String(text) => text.parse().ok(),
            other => other
                .as_u64()
                .and_then(|number| usize::try_from(number).ok()),
        };
        let malformed = || {
            let said = format!("the parameter `{name}` is not a number from 0 on");
            Problem::malformed(said)
        };
        number.map(Some).ok_or_else(malformed)
    }

    /// A canonical URL and the version beside it.
    pub(super) fn canonical(&self, name: &str, version: &str) -> Option<Canonical> {
        let url = self.text(name)?;
        Some(Canonical::parse(url).with_version(self.text(version)))
    }

    /// The codes that are asked about, in one of the forms that operations take: `code` with `system`, `coding`,
    /// `codeableConcept`.
    pub(super) fn codes(&self, version: &str) -> Result<Vec<Asked>, Problem> {
        let forms = ["coding", "codeableConcept"];
        let structured = forms.iter().find_map(|name| self.value(name));
        let asked = match (structured, self.text("code")) {
            (Some(value), None) => Asked::of(value),
            (None, Some(code)) => vec![Asked {
                system: self.canonical("system", version),
                code: code.to_owned(),
                display: self.text("display").map(str::to_owned),
            }],
            _ => Vec::new(),
        };
        if asked.is_empty() {
            return Err(Problem::malformed(
                "one of the parameters `code`, `coding` and `codeableConcept` must be there, with a code",
            ));
        }
        Ok(asked)
    }

    /// A resource that came along.
    pub(super) fn resource(&self, name: &str) -> Option<&Value> {
        self.value(name).filter(|value| value.is_object())
    }

    /// A code by itself, or the one of a Coding: code, and code system if it is named.
    pub(super) fn one_of(&self, code: &str, coding: &str) -> Result<Asked, Problem> {
        let coding = match self.text(code) {
            Some(code) => Some(json!({ "code": code })),
            None => self.value(coding).cloned(),
        };
        let read = coding.as_ref().map(Asked::of).unwrap_or_default();
        let missing = || Problem::malformed(format!("the parameter `{code}` must be there"));
        read.into_iter().next().ok_or_else(missing)
    }
}
