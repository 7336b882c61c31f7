//! `$import`: files are fetched, and each line is written as an update of the document that it names.
//! <https://github.com/smart-on-fhir/bulk-import/blob/master/import-manifest.md>

mod asked;
mod files;
mod step;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};
use uuid::Uuid;

use self::asked::Asked;
use super::Desk;
use super::job::{ImportRow, InputRow, JobRow, Work};
use super::routes::begin;
use crate::auth::{Permission, Word};
use crate::fhir::Caller;
use crate::problem::Problem;

pub(super) use files::Files;
pub(super) use step::step;

/// Where imports come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportConfig {
    /// Origins, such as `https://files.example.org`, from which files may be fetched. One with `http` has to be of this
    /// machine.
    pub allowed_origins: Vec<String>,
}

pub(super) async fn kick_off(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    caller.may_do(Word::Import)?;
    let asked = Asked::read(&headers, &body)?;
    for input in &asked.inputs {
        caller.may(input.kind, Permission::Create)?;
        caller.may(input.kind, Permission::Update)?;
        if !desk.files.permit(&input.url) {
            return Err(Problem::unprocessable(
                "an input's `url` is not of an origin from which this node may fetch",
            ));
        }
    }
    let inputs = (0..).zip(&asked.inputs).map(|(place, input)| InputRow {
        kind: input.kind.to_string(),
        url: input.url.clone(),
        place,
        written: 0,
        refused: 0,
    });
    let mut inputs: Vec<InputRow> = inputs.collect();
    // A record is refused whose patient is not here: patients come first.
    inputs.sort_by_key(|input| (input.kind != "Patient", input.place));
    let import = ImportRow {
        source: asked.source,
        inputs,
        at: 0,
        bytes: 0,
        lines: 0,
        etag: None,
        attempts: 0,
        planned: Vec::new(),
    };
    let request = format!("{}/$import", desk.base);
    begin(&desk, &caller, request, (Work::Import(import), None)).await
}

/// How far it is.
pub(super) fn progress(import: &ImportRow) -> String {
    let count = |of: fn(&InputRow) -> u64| import.inputs.iter().map(of).sum::<u64>();
    format!(
        "{} of {} files, {} resources, {} refused",
        import.at,
        import.inputs.len(),
        count(|input| input.written),
        count(|input| input.refused)
    )
}

/// What was imported, input by input as they were asked for, and what was not.
pub(super) fn manifest(base: &str, id: Uuid, job: &JobRow, import: &ImportRow) -> Value {
    let mut inputs: Vec<&InputRow> = import.inputs.iter().collect();
    inputs.sort_by_key(|input| input.place);
    let written = inputs.iter().map(|input| {
        json!({ "type": "OperationOutcome", "inputUrl": input.url, "count": input.written })
    });
    let refused = inputs
        .iter()
        .filter(|input| input.refused > 0)
        .map(|input| {
            json!({
                "type": "OperationOutcome",
                "inputUrl": input.url,
                "count": input.refused,
                "url": format!("{base}/$import-file/{id}/{}", input.refusals()),
            })
        });
    json!({
        "transactionTime": job.started(),
        "request": job.request,
        "requiresAccessToken": true,
        "output": written.collect::<Vec<_>>(),
        "error": refused.collect::<Vec<_>>(),
    })
}

impl InputRow {
    /// The name of the file of what was refused.
    fn refusals(&self) -> String {
        format!("refused-{}", self.place.saturating_add(1))
    }
}
