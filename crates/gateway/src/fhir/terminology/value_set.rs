//! `ValueSet/$expand` and `$validate-code`, which code systems have too.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::ResourceType;
use interop::fhir::timespan::format_instant;
use interop::terminology::{Expand, ValueSet, expand as expanded, validated_in};
use serde_json::Value;

use super::asking::Asking;
use super::must_be;
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::{InstanceAddress, TypeAddress};
use crate::fhir::caller::Caller;
use crate::http::fhir_json;
use crate::problem::Problem;

const NAME: &str = "ValueSet";

pub(super) async fn expand(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    asking: Asking,
) -> Result<Response, Problem> {
    must_be(resource_type, NAME)?;
    caller.may(resource_type, Permission::Read)?;
    fhir.expanded(&caller, &asking, None).await
}

pub(super) async fn expand_of(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
    asking: Asking,
) -> Result<Response, Problem> {
    must_be(resource_type, NAME)?;
    let instance = fhir.instance(&caller, (resource_type, &id)).await?;
    fhir.expanded(&caller, &asking, Some(&instance)).await
}

/// Of a type: of code systems or of value sets.
pub(super) async fn validate_code(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    asking: Asking,
) -> Result<Response, Problem> {
    if resource_type == ResourceType::CODE_SYSTEM {
        caller.may(resource_type, Permission::Read)?;
        return fhir.code_validated(&caller, &asking, None).await;
    }
    must_be(resource_type, NAME)?;
    caller.may(resource_type, Permission::Read)?;
    validate_code_in(&fhir, &caller, &asking, None).await
}

pub(super) async fn validate_code_in(
    fhir: &Fhir,
    caller: &Caller,
    asking: &Asking,
    instance: Option<&Value>,
) -> Result<Response, Problem> {
    let codes = asking.codes("systemVersion")?;
    let value_set = fhir.asked_for(caller, asking, instance).await?;
    let language = asking.text("displayLanguage").map(str::to_owned);
    let desk = fhir.desk_with(caller, &value_set).await?;
    let answer =
        desk.answer(move |desk| validated_in(&value_set, &codes, desk, language.as_deref()));
    Ok(fhir_json(StatusCode::OK, &answer.await?))
}

impl Fhir {
    async fn expanded(
        &self,
        caller: &Caller,
        asking: &Asking,
        instance: Option<&Value>,
    ) -> Result<Response, Problem> {
        let asked = Expand {
            filter: asking.text("filter").map(str::to_owned),
            offset: asking.number("offset")?.unwrap_or_default(),
            count: asking.number("count")?,
            active_only: asking.flag("activeOnly")?,
            language: asking.text("displayLanguage").map(str::to_owned),
            has_designations: asking.flag("includeDesignations")?,
        };
        let value_set = self.asked_for(caller, asking, instance).await?;
        let desk = self.desk_with(caller, &value_set).await?;
        let identifier = format!("urn:uuid:{}", uuid::Uuid::new_v4());
        let now = format_instant(i64::try_from(self.custody.now_ms()).unwrap_or(i64::MAX));
        let answer =
            desk.answer(move |desk| expanded(&value_set, &asked, desk, (&identifier, &now)));
        Ok(fhir_json(StatusCode::OK, &answer.await?))
    }

    /// The value set that is asked for: an instance, one that came along, or one by its URL.
    async fn asked_for(
        &self,
        caller: &Caller,
        asking: &Asking,
        instance: Option<&Value>,
    ) -> Result<Arc<ValueSet>, Problem> {
        if let Some(resource) = instance.or_else(|| asking.resource("valueSet")) {
            return Ok(Arc::new(ValueSet::of(resource)?));
        }
        asking.needed("url")?;
        let wanted = asking.canonical("url", "valueSetVersion");
        let wanted = wanted.ok_or_else(|| Problem::malformed("the parameter `url` is empty"))?;
        self.value_set(caller, &wanted).await
    }
}
