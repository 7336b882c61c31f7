use interop::fhir::Resource;
use interop::fhir::search::IndexTerms;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn scopes(text: &str) -> Scopes {
    text.parse().unwrap()
}

fn observation(category: &str) -> Resource {
    Resource::from_value(json!({
        "resourceType": "Observation", "id": "o1", "status": "final",
        "category": [{"coding": [{"system": "urn:categories", "code": category}]}],
        "code": {"text": "x"}, "subject": {"reference": "Patient/p1"},
    }))
    .unwrap()
}

fn admits(text: &str, category: &str, permission: Permission, patient: Option<&str>) -> bool {
    let resource = observation(category);
    let terms = IndexTerms::of(&resource);
    let subject = Reached {
        resource_type: resource.resource_type(),
        patient_id: Some("p1"),
        terms: &terms,
        id: "o1",
    };
    scopes(text).admit(&subject, permission, patient)
}

#[test]
fn scopes_round_trip_in_the_words_of_version_2() {
    for (text, shown) in [
        ("system/*.cruds", "system/*.cruds"),
        ("system/Observation.read", "system/Observation.rs"),
        ("patient/Consent.write", "patient/Consent.cud"),
        ("user/*.*", "user/*.cruds"),
        (
            "openid fhirUser launch/patient",
            "openid fhirUser launch/patient",
        ),
        (
            "system/*.* patient/Patient.r",
            "system/*.cruds patient/Patient.r",
        ),
        (
            "patient/Observation.rs?category=http://x.org/c|laboratory",
            "patient/Observation.rs?category=http%3A%2F%2Fx.org%2Fc%7Claboratory",
        ),
    ] {
        assert_eq!(scopes(text).to_string(), shown);
        assert_eq!(scopes(shown), scopes(text));
    }
    for text in [
        "",
        "address",
        "system/Observation",
        "system/Observations.r",
        "planet/*.r",
        "system/*.sr",
        "system/*.rr",
        "system/*.",
        "system/*.rs?category=x",
        "system/Observation.rs?",
        "system/Observation.rs?category=",
        "system/Observation.rs?rubbish=x",
        "system/Observation.rs?_count=1",
        "system/Observation.rs?_has:Provenance:target:agent=x",
        "system/Observation.rs?patient.name=x",
    ] {
        assert_eq!(text.parse::<Scopes>(), Err(ScopeError), "{text}");
    }
}

#[test]
fn no_more_is_granted_than_is_allowed() {
    let allowed = scopes("system/Observation.rs system/Patient.cruds openid");
    let granted = |wanted: &str| scopes(wanted).within(&allowed).map(|some| some.to_string());
    assert_eq!(
        granted("system/*.cr").as_deref(),
        Some("system/Observation.r system/Patient.cr")
    );
    assert_eq!(
        granted("system/Observation.cruds openid fhirUser").as_deref(),
        Some("openid system/Observation.rs")
    );
    assert_eq!(granted("system/Condition.r"), None);
    assert_eq!(granted("patient/Observation.r"), None);
    let narrow = scopes("system/Observation.rs?category=laboratory");
    let both = scopes("system/Observation.r?status=final").within(&narrow);
    assert_eq!(
        both.unwrap().to_string(),
        "system/Observation.r?status=final&category=laboratory"
    );
    assert_eq!(scopes("system/*.rs").within(&narrow), Some(narrow));
}

#[test]
fn a_scope_permits_its_type_and_letters() {
    let some = scopes("system/Observation.rs system/Patient.c");
    let observation = ResourceType::parse("Observation").unwrap();
    assert!(some.permit(observation, Permission::Search));
    assert!(!some.permit(observation, Permission::Create));
    assert!(some.permit(ResourceType::PATIENT, Permission::Create));
    assert!(!some.permit_all_types(Permission::Read));
    assert!(scopes("system/*.r").permit_all_types(Permission::Read));
}

#[test]
fn a_scope_admits_what_matches_and_is_in_context() {
    let own = Some("p1");
    let read = Permission::Read;
    assert!(admits("user/Observation.r", "laboratory", read, None));
    assert!(admits("patient/Observation.r", "laboratory", read, own));
    assert!(!admits(
        "patient/Observation.r",
        "laboratory",
        read,
        Some("p2")
    ));
    assert!(!admits("patient/Observation.r", "laboratory", read, None));
    let laboratory = "user/Observation.rs?category=laboratory";
    assert!(admits(laboratory, "laboratory", read, None));
    assert!(!admits(laboratory, "vital-signs", read, None));
    let mixed = "user/Observation.r?category=laboratory user/Observation.s";
    assert!(!admits(mixed, "vital-signs", read, None));
    assert!(admits(mixed, "vital-signs", Permission::Search, None));
    let several = "user/Observation.r?category=laboratory user/Observation.r?category=vital-signs";
    assert!(admits(several, "vital-signs", read, None));
}

proptest! {
    #[test]
    fn whatever_is_read_reads_the_same_when_shown(text in "(system|user|patient)/(\\*|Observation|Patient)\\.[cruds]{1,5}(\\?[a-z]{2,8}=[!-~]{1,12})?") {
        if let Ok(read) = text.parse::<Scopes>() {
            prop_assert_eq!(&read.to_string().parse::<Scopes>().unwrap(), &read);
        }
    }

    #[test]
    fn no_text_breaks_the_reader(text in ".{0,200}") {
        let _read = text.parse::<Scopes>();
    }

    #[test]
    fn what_is_within_is_within_both(wanted in 1_u8..32, allowed in 1_u8..32, laboratory: bool) {
        let letters = |bits: u8| PERMISSIONS.iter().filter(|one| bits & one.bit() != 0)
            .map(|one| one.letter()).collect::<String>();
        let category = if laboratory { "?category=laboratory" } else { "" };
        let (wanted, allowed) = (
            format!("user/*.{}", letters(wanted)),
            format!("user/Observation.{}{category}", letters(allowed)),
        );
        let granted = scopes(&wanted).within(&scopes(&allowed));
        for permission in PERMISSIONS {
            for one in ["laboratory", "vital-signs"] {
                let is_granted = granted.as_ref().is_some_and(|granted| admits(&granted.to_string(), one, permission, None));
                let is_both = admits(&wanted, one, permission, None) && admits(&allowed, one, permission, None);
                prop_assert_eq!(is_granted, is_both);
            }
        }
    }
}
