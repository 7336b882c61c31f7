//! `Composition/[id]/$document`: the composition and what it refers to, as a document
//! (<https://hl7.org/fhir/R4/composition-operation-document.html>).
//!
//! What the requester may not read is left out, as is what is not here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::timespan::format_instant;
use interop::fhir::{ResourceType, reference};
use node::custody::{CustodyError, Opened};
use serde_json::{Value, json};

use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::caller::Caller;
use crate::http::{fhir_json, pairs_of};
use crate::problem::Problem;

/// References that are followed at most.
const REFERENCES_MAX: usize = 1_000;

pub(crate) async fn document(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    if resource_type.as_str() != "Composition" {
        return Err(Problem::not_supported(
            "the operation is defined for Composition",
        ));
    }
    let persists = pairs_of(query.as_deref().unwrap_or_default())
        .any(|(name, value)| name == "persist" && value != "false");
    if persists {
        return Err(Problem::not_supported(
            "documents are not stored: write the Bundle to keep it",
        ));
    }
    caller.may(resource_type, Permission::Read)?;
    let by = caller.requester();
    let composition = fhir.custody.read(by, resource_type, &id).await?;
    caller.may_touch(&composition.resource)?;
    let mut opened = fhir.referred(&caller, &composition).await?;
    opened.insert(0, composition);
    let body = fhir.document(&opened);
    Ok(fhir_json(StatusCode::OK, &body))
}

impl Fhir {
    /// The resources that a composition refers to, those that the requester may read.
    async fn referred(
        &self,
        caller: &Caller,
        composition: &Opened,
    ) -> Result<Vec<Opened>, Problem> {
        let mut places: BTreeSet<(ResourceType, String)> = BTreeSet::new();
        let mut in_order = Vec::new();
        reference::walk(&composition.resource, |found| {
            let local = found.target().and_then(reference::Target::local);
            if let Some(local) = local {
                let place = (local.resource_type, local.id.to_owned());
                if places.insert(place.clone()) {
                    in_order.push(place);
                }
            }
        });
        if in_order.len() > REFERENCES_MAX {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                interop::fhir::IssueType::TooCostly,
                format!("the composition refers to more than {REFERENCES_MAX} resources"),
            ));
        }
        let mut opened = Vec::new();
        for (resource_type, id) in in_order {
            if caller.may(resource_type, Permission::Read).is_err() {
                continue;
            }
            match self
                .custody
                .read(caller.requester(), resource_type, &id)
                .await
            {
                Ok(one) if caller.may_touch(&one.resource).is_ok() => opened.push(one),
                Ok(_)
                | Err(
                    CustodyError::NotFound
                    | CustodyError::Gone
                    | CustodyError::Deleted { .. }
                    | CustodyError::Denied { .. },
                ) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(opened)
    }

    /// A document of these, the composition first.
    fn document(&self, opened: &[Opened]) -> Value {
        let entries: Vec<Value> = opened
            .iter()
            .map(|one| json!({ "fullUrl": self.full_url(one), "resource": one.presented() }))
            .collect();
        document_of(&entries)
    }
}

/// A Bundle of type document with a name and time of its own.
pub(super) fn document_of(entries: &[Value]) -> Value {
    let name = uuid::Uuid::new_v4();
    json!({
        "resourceType": "Bundle",
        "identifier": { "system": "urn:ietf:rfc:3986", "value": format!("urn:uuid:{name}") },
        "type": "document",
        "timestamp": now(),
        "entry": entries,
    })
}

pub(super) fn now() -> String {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let ms = since_1970.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    });
    format_instant(ms)
}
