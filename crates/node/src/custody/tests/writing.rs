//! Writing under consents.

use interop::fhir::audit::AuditOutcome;

use super::*;
use crate::custody::audit::AuditWanted;

/// A consent of patient `p` that keeps this member from an action, on what `more` names.
pub(super) fn keeping(action: &str, status: &str, more: &Value) -> Change {
    let mut rule = json!({
        "type": "deny",
        "actor": [{"role": {"coding": [{"code": "IRCP"}]}, "reference":
            {"identifier": {"system": "urn:careledger:member", "value": "hospital"}}}],
        "action": [{"coding": [{"code": action}]}],
    });
    let (rule_of, more) = (rule.as_object_mut().unwrap(), more.as_object().unwrap());
    rule_of.extend(more.clone());
    update(
        json!({"resourceType": "Consent", "id": "c", "status": status,
            "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope",
                "code": "patient-privacy"}]},
            "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
            "patient": {"reference": "Patient/p"},
            "policyRule": {"text": "x"}, "provision": rule}),
        None,
    )
}

fn haemoglobin() -> Value {
    json!({"code": [{"coding": [{"system": "http://loinc.org", "code": "718-7"}]}]})
}

fn named(id: &str, code: &str) -> Change {
    let mut resource = observation("p", "x");
    resource["id"] = json!(id);
    resource["code"]["coding"][0]["code"] = json!(code);
    update(resource, None)
}

fn condition() -> Change {
    create(
        json!({"resourceType": "Condition", "subject": {"reference": "Patient/p"},
        "code": {"text": "x"}}),
    )
}

async fn is_refused(custody: &Custody, changes: Vec<Change>) -> bool {
    match custody.write(&clinician("hospital"), changes).await {
        Ok(_) => false,
        Err(CustodyError::Denied { determining, .. }) => {
            assert!(
                determining.iter().all(|id| id.starts_with("consent/")),
                "{determining:?}"
            );
            true
        }
        Err(other) => panic!("{other:?}"),
    }
}

async fn file(custody: &Custody, consent: Change) {
    let by = clinician("hospital");
    custody.write(&by, vec![consent]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn x7_what_a_patient_forbids_to_collect_is_not_written_until_it_is_withdrawn() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    let first = vec![update(patient("p"), None), named("old", "718-7")];
    custody.write(&clinician("hospital"), first).await.unwrap();
    file(&custody, keeping("collect", "active", &haemoglobin())).await;
    assert!(is_refused(&custody, vec![named("new", "718-7")]).await);
    assert!(is_refused(&custody, vec![condition(), named("new", "718-7")]).await);
    assert!(!is_refused(&custody, vec![named("other", "789-8")]).await);
    assert!(
        !is_refused(&custody, vec![named("old", "718-7")]).await,
        "it is corrected"
    );
    let log = custody.audit_log(&AuditWanted::all(), 100).unwrap();
    let refused = log.iter().map(|(_, entry)| entry);
    let refused = refused.filter(|entry| entry.outcome == AuditOutcome::Denied);
    let refused: Vec<_> = refused
        .map(|one| (one.interaction.as_str(), one.target.as_str()))
        .collect();
    assert_eq!(
        refused,
        [("create", "Observation/new"), ("create", "Observation/new")]
    );
    let conditions = log
        .iter()
        .filter(|(_, entry)| entry.target.starts_with("Condition/"));
    assert_eq!(
        conditions.count(),
        0,
        "nothing of the transaction is written"
    );
    file(&custody, keeping("collect", "inactive", &haemoglobin())).await;
    assert!(!is_refused(&custody, vec![named("new", "718-7")]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn x7_what_a_patient_forbids_to_correct_is_neither_changed_nor_deleted() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    let first = vec![
        update(patient("p"), None),
        named("old", "718-7"),
        named("more", "789-8"),
    ];
    custody.write(&clinician("hospital"), first).await.unwrap();
    file(&custody, keeping("correct", "active", &haemoglobin())).await;
    assert!(is_refused(&custody, vec![named("old", "718-7")]).await);
    assert!(
        is_refused(&custody, vec![named("old", "789-8")]).await,
        "what it says now counts"
    );
    assert!(
        is_refused(&custody, vec![named("more", "718-7")]).await,
        "what it will say counts"
    );
    let deletion = Change::Delete {
        resource_type: interop::fhir::ResourceType::parse("Observation").unwrap(),
        id: "old".to_owned(),
        if_match: None,
    };
    assert!(is_refused(&custody, vec![deletion]).await);
    assert!(!is_refused(&custody, vec![named("more", "789-8")]).await);
    assert!(
        !is_refused(&custody, vec![named("new", "718-7")]).await,
        "it is collected"
    );
}
