//! `Patient/[id]/$open?member=…&reference=[type]/[id]`: one document that another member holds.
//!
//! The patient is named by the id here, the document by its reference at that member. The answer is
//! the resource, as a read there would give it.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::HeaderValue;
use axum::response::Response;
use interop::fhir::ResourceType;
use interop::fhir::resource::is_id;
use ledger::ids::MemberName;
use node::custody::CustodyError;

use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::answer;
use crate::fhir::caller::Caller;
use crate::http::pairs_of;
use crate::problem::Problem;

/// What the query names.
struct Wanted {
    member: MemberName,
    resource_type: ResourceType,
    id: String,
}

pub(crate) async fn open(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let patient_id = address.patient()?;
    let wanted = Wanted::parse(query.as_deref().unwrap_or_default())?;
    let Wanted {
        member,
        resource_type,
        id,
    } = &wanted;
    caller.may(*resource_type, Permission::Read)?;
    caller.may_touch_patient(&patient_id)?;
    if *member == fhir.identity.member {
        return Err(Problem::malformed(
            "`member` is this member: read the resource itself",
        ));
    }
    let by = caller.requester();
    let opened = fhir
        .network
        .open(by, &patient_id, member, *resource_type, id);
    let opened = opened.await.map_err(|error| match error {
        // The patient is of the URL here, not of a resource.
        CustodyError::UnknownPatient => Problem::from(CustodyError::NotFound),
        other => other.into(),
    })?;
    let url = HeaderValue::from_str(&fhir.full_url(&opened));
    let mut response = answer::opened(opened);
    let headers = response.headers_mut();
    headers.extend(url.map(|url| (axum::http::header::CONTENT_LOCATION, url)));
    Ok(response)
}

impl Wanted {
    fn parse(query: &str) -> Result<Self, Problem> {
        let (mut member, mut reference) = (None, None);
        for (name, value) in pairs_of(query) {
            let parameter = match name.as_str() {
                "member" => &mut member,
                "reference" => &mut reference,
                "_format" | "_pretty" => continue,
                _ => {
                    return Err(Problem::not_supported(
                        "the parameters of $open are `member` and `reference`",
                    ));
                }
            };
            if parameter.replace(value).is_some() {
                return Err(Problem::malformed("a parameter of $open is there twice"));
            }
        }
        let member = member.and_then(|name| name.parse().ok());
        let member =
            member.ok_or_else(|| Problem::malformed("`member` must name a member, once"))?;
        let reference = reference.unwrap_or_default();
        let (name, id) = reference.split_once('/').unwrap_or_default();
        match ResourceType::parse(name) {
            Some(resource_type) if is_id(id) => Ok(Self {
                member,
                resource_type,
                id: id.to_owned(),
            }),
            _ => Err(Problem::malformed(
                "`reference` must be a resource type of R4, a slash and an id, once",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_member_and_the_document_are_named_once() {
        let wanted = Wanted::parse("member=hospital&reference=Observation/1&_format=json");
        let wanted = wanted.map_err(|_| "refused").unwrap();
        assert_eq!(wanted.member.as_str(), "hospital");
        assert_eq!(
            (wanted.resource_type.as_str(), wanted.id.as_str()),
            ("Observation", "1")
        );
        for query in [
            "",
            "member=hospital",
            "reference=Observation/1",
            "member=hospital&reference=Observation",
            "member=hospital&reference=Rubbish/1",
            "member=hospital&reference=Observation/1/_history/1",
            "member=Not%20A%20Name&reference=Observation/1",
            "member=hospital&member=clinic&reference=Observation/1",
            "member=hospital&reference=Observation/1&version=1",
        ] {
            assert!(Wanted::parse(query).is_err(), "{query}");
        }
    }
}
