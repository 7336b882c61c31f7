//! `ConceptMap/$translate`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::ResourceType;
use interop::terminology::{ConceptMap, TerminologyProblem, Translate, translate as translated};

use super::asking::Asking;
use super::must_be;
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::{InstanceAddress, TypeAddress};
use crate::fhir::caller::Caller;
use crate::http::fhir_json;
use crate::problem::Problem;

const NAME: &str = "ConceptMap";

pub(super) async fn translate(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    asking: Asking,
) -> Result<Response, Problem> {
    must_be(resource_type, NAME)?;
    caller.may(resource_type, Permission::Read)?;
    let maps = fhir.maps(&caller, resource_type, &asking).await?;
    answer(&maps, &asking)
}

pub(super) async fn translate_by(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
    asking: Asking,
) -> Result<Response, Problem> {
    must_be(resource_type, NAME)?;
    let instance = fhir.instance(&caller, (resource_type, &id)).await?;
    answer(&[Arc::new(ConceptMap::of(&instance)?)], &asking)
}

fn answer(maps: &[Arc<ConceptMap>], asking: &Asking) -> Result<Response, Problem> {
    let text = |name: &str| asking.text(name).map(str::to_owned);
    let asked = Translate {
        codes: asking.codes("version")?,
        target_system: text("targetsystem"),
        source: text("source"),
        target: text("target"),
        is_reverse: asking.flag("reverse")?,
    };
    Ok(fhir_json(StatusCode::OK, &translated(maps, &asked)))
}

impl Fhir {
    /// The map that came along, the one that is named, or all that are loaded.
    async fn maps(
        &self,
        caller: &Caller,
        kind: ResourceType,
        asking: &Asking,
    ) -> Result<Vec<Arc<ConceptMap>>, Problem> {
        if let Some(resource) = asking.resource("conceptMap") {
            return Ok(vec![Arc::new(ConceptMap::of(resource)?)]);
        }
        let shelf = self.vocabularies.shelf();
        let Some(wanted) = asking.canonical("url", "conceptMapVersion") else {
            return Ok(shelf.maps().cloned().collect());
        };
        if let Some(map) = shelf.map(&wanted) {
            return Ok(vec![map]);
        }
        let found = self.of_records(caller, kind, &wanted).await?;
        let found = found.ok_or(TerminologyProblem::ConceptMapUnknown)?;
        Ok(vec![Arc::new(ConceptMap::of(&found.into_value())?)])
    }
}
