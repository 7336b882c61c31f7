//! What a kick-off request asks for: JSON as the proposal has it, or the same in `Parameters`.

use axum::http::HeaderMap;
use interop::fhir::ResourceType;
use serde_json::{Map, Value};

use crate::bulk::asked::is_async;
use crate::problem::Problem;

const FORMATS: [&str; 3] = ["application/fhir+ndjson", "application/ndjson", "ndjson"];
const INPUTS_MAX: usize = 1_000;
const TEXT_BYTES_MAX: usize = 4 << 10;

/// What is to be imported.
pub(super) struct Asked {
    pub(super) source: String,
    pub(super) inputs: Vec<Input>,
}

/// A file.
pub(super) struct Input {
    pub(super) kind: ResourceType,
    pub(super) url: String,
}

impl Asked {
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Problem> {
        if !is_async(headers) {
            return Err(Problem::malformed(
                "an import is asked for with `Prefer: respond-async`",
            ));
        }
        let body: Value =
            serde_json::from_slice(body).map_err(|_| Problem::malformed("the body is not JSON"))?;
        let body = match body.get("resourceType").and_then(Value::as_str) {
            None => body,
            Some("Parameters") => Value::Object(plain(&body)),
            Some(_) => return Err(Problem::malformed("the body is no Parameters")),
        };
        let format = text(&body, "inputFormat")?;
        if !FORMATS.contains(&format) {
            return Err(Problem::malformed(
                "`inputFormat` names a format that is not supported",
            ));
        }
        let storage = body.get("storageDetail");
        let is_https = match storage {
            None => true,
            Some(detail) => {
                detail.get("type").and_then(Value::as_str) == Some("https")
                    && detail.get("contentEncoding").is_none()
            }
        };
        if !is_https {
            return Err(Problem::malformed(
                "`storageDetail` names what is not supported: files are fetched by https, as they are",
            ));
        }
        let inputs = body.get("input").and_then(Value::as_array);
        let inputs = inputs.filter(|inputs| (1..=INPUTS_MAX).contains(&inputs.len()));
        let inputs = inputs.ok_or_else(|| {
            Problem::malformed(format!("`input` has to name 1 to {INPUTS_MAX} files"))
        })?;
        let source = text(&body, "inputSource")?;
        if source.chars().any(char::is_whitespace) {
            return Err(Problem::malformed("`inputSource` is no URI"));
        }
        Ok(Self {
            source: source.to_owned(),
            inputs: inputs.iter().map(input).collect::<Result<_, _>>()?,
        })
    }
}

fn input(value: &Value) -> Result<Input, Problem> {
    let kind = ResourceType::parse(text(value, "type")?);
    Ok(Input {
        kind: kind.ok_or_else(|| Problem::malformed("`input.type` names no R4 resource type"))?,
        url: text(value, "url")?.to_owned(),
    })
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, Problem> {
    let text = value.get(name).and_then(Value::as_str);
    text.filter(|text| (1..=TEXT_BYTES_MAX).contains(&text.len()))
        .ok_or_else(|| Problem::malformed(format!("`{name}` is missing, or is no text")))
}

/// Parameters as an object: parts are objects, and `input` is a list.
fn plain(holder: &Value) -> Map<String, Value> {
    let listed = holder.get("parameter").or_else(|| holder.get("part"));
    let mut object = Map::new();
    for one in listed.and_then(Value::as_array).into_iter().flatten() {
        let Some(name) = one.get("name").and_then(Value::as_str) else {
            continue;
        };
        let value = if one.get("part").is_some() {
            Value::Object(plain(one))
        } else {
            let mut given = one.as_object().into_iter().flatten();
            let given = given.find(|(name, _)| name.starts_with("value"));
            given.map_or(Value::Null, |(_, value)| value.clone())
        };
        if name == "input" {
            let inputs = object
                .entry(name)
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(inputs) = inputs {
                inputs.push(value);
            }
        } else {
            object.insert(name.to_owned(), value);
        }
    }
    object
}
