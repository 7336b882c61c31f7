//! `CodeSystem/$lookup`, `$validate-code` and `$subsumes`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::ResourceType;
use interop::terminology::{
    Canonical, Library as _, TerminologyProblem, lookup as looked_up, subsumes as subsumed,
    validated,
};

use super::asking::Asking;
use super::must_be;
use super::value_set::validate_code_in;
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::{InstanceAddress, TypeAddress};
use crate::fhir::caller::Caller;
use crate::http::fhir_json;
use crate::problem::Problem;

const NAME: &str = "CodeSystem";

pub(super) async fn lookup(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    asking: Asking,
) -> Result<Response, Problem> {
    must_be(resource_type, NAME)?;
    caller.may(resource_type, Permission::Read)?;
    let asked = asking.codes("version")?.into_iter().next();
    let asked = asked.ok_or(TerminologyProblem::CodeUnknown)?;
    let missing = || Problem::malformed("the parameter `system` must be there");
    let system = asked.system.ok_or_else(missing)?;
    let properties = asking.texts("property");
    let language = asking.text("displayLanguage").map(str::to_owned);
    let desk = fhir.desk_for(&caller, Some(&system)).await?;
    let answer = desk.answer(move |desk| {
        let concepts = desk.code_system(&system);
        let concepts = concepts.ok_or(TerminologyProblem::CodeSystemUnknown)?;
        looked_up(
            concepts.as_ref(),
            &asked.code,
            &properties,
            language.as_deref(),
        )
    });
    Ok(fhir_json(StatusCode::OK, &answer.await?))
}

pub(super) async fn subsumes(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    asking: Asking,
) -> Result<Response, Problem> {
    must_be(resource_type, NAME)?;
    caller.may(resource_type, Permission::Read)?;
    let system = asking.canonical("system", "version");
    fhir.subsumed(&caller, &asking, (system, None)).await
}

pub(super) async fn subsumes_of(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
    asking: Asking,
) -> Result<Response, Problem> {
    must_be(resource_type, NAME)?;
    let instance = fhir.instance(&caller, (resource_type, &id)).await?;
    fhir.subsumed(&caller, &asking, (None, Some(instance)))
        .await
}

/// Of an instance: a code system's or a value set's.
pub(super) async fn validate_code_of(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
    asking: Asking,
) -> Result<Response, Problem> {
    let instance = || fhir.instance(&caller, (resource_type, &id));
    match resource_type {
        ResourceType::VALUE_SET => {
            let instance = instance().await?;
            validate_code_in(&fhir, &caller, &asking, Some(&instance)).await
        }
        _ => {
            must_be(resource_type, NAME)?;
            let instance = instance().await?;
            fhir.code_validated(&caller, &asking, Some(&instance)).await
        }
    }
}

impl Fhir {
    /// Whether a code is of a code system: the one that is given, or the one that is named.
    pub(super) async fn code_validated(
        &self,
        caller: &Caller,
        asking: &Asking,
        given: Option<&serde_json::Value>,
    ) -> Result<Response, Problem> {
        let codes = asking.codes("version")?;
        let named = asking.canonical("url", "version");
        let of_code = || codes.first().and_then(|code| code.system.clone());
        let mut system = named.or_else(of_code);
        let given = given.or_else(|| asking.resource("codeSystem"));
        let fetched = system.as_ref().filter(|_| given.is_none());
        let mut desk = self.desk_for(caller, fetched).await?;
        if let Some(resource) = given {
            system = Some(desk.take_system(resource)?);
        }
        let missing = || Problem::malformed("the parameter `url` must be there");
        let system: Canonical = system.ok_or_else(missing)?;
        let language = asking.text("displayLanguage").map(str::to_owned);
        let answer = desk.answer(move |desk| {
            let concepts = desk.code_system(&system);
            let concepts = concepts.ok_or(TerminologyProblem::CodeSystemUnknown)?;
            let is_meant = |wanted: &Canonical| wanted.url == system.url;
            let mut codes = codes;
            codes.retain(|code| code.system.as_ref().is_none_or(is_meant));
            validated(concepts.as_ref(), &codes, language.as_deref())
        });
        Ok(fhir_json(StatusCode::OK, &answer.await?))
    }

    async fn subsumed(
        &self,
        caller: &Caller,
        asking: &Asking,
        (system, given): (Option<Canonical>, Option<serde_json::Value>),
    ) -> Result<Response, Problem> {
        let one = asking.one_of("codeA", "codingA")?;
        let other = asking.one_of("codeB", "codingB")?;
        let mut system = system.or_else(|| one.system.clone());
        let mut desk = self.desk_for(caller, system.as_ref()).await?;
        if let Some(resource) = given {
            system = Some(desk.take_system(&resource)?);
        }
        let missing = || Problem::malformed("the parameter `system` must be there");
        let system = system.ok_or_else(missing)?;
        let is_other = |code: &interop::terminology::Asked| {
            code.system
                .as_ref()
                .is_some_and(|own| own.url != system.url)
        };
        if is_other(&one) || is_other(&other) {
            return Err(Problem::malformed(
                "the codes are of different code systems",
            ));
        }
        let answer = desk.answer(move |desk| {
            let concepts = desk.code_system(&system);
            let concepts = concepts.ok_or(TerminologyProblem::CodeSystemUnknown)?;
            subsumed(concepts.as_ref(), &one.code, &other.code)
        });
        Ok(fhir_json(StatusCode::OK, &answer.await?))
    }
}
