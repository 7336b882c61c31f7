use super::super::life::withdrawn;
use super::super::template::{DataClass, Grant, access};
use super::*;

#[test]
fn what_patients_usually_grant_is_what_opens() {
    let grant = access(&Grant {
        patient: "Patient/p",
        grantee: "clinic",
        data: &[DataClass::Laboratory, DataClass::Medications],
        purpose: "TREAT",
        start: "2026-06-01T00:00:00Z",
        end: "2026-06-30T23:59:59Z",
    });
    let category = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory";
    let table = format!(
        "
        clinic TREAT  Observation code={category}           => permit
        clinic TREAT  MedicationRequest                     => permit
        clinic TREAT  Observation                           => deny
        clinic TREAT  Condition                             => deny
        clinic TREAT  MedicationRequest label=PSY           => deny
        clinic HPAYMT MedicationRequest                     => deny
        payer  TREAT  MedicationRequest                     => deny
        clinic TREAT  MedicationRequest @2026-07-01         => deny
        clinic TREAT  MedicationRequest @2026-05-31         => deny
    "
    );
    check_consents(&[read("a", &grant).unwrap()], &table);
    let withdrawn = read("a", &withdrawn(grant)).unwrap();
    check_consents(&[withdrawn], "clinic TREAT MedicationRequest => deny");
    for (word, class) in [
        ("conditions", "Condition"),
        ("allergies", "AllergyIntolerance"),
        ("immunizations", "Immunization"),
        ("all", "Procedure"),
    ] {
        let data = DataClass::parse(word).unwrap();
        let grant = Grant {
            patient: "Patient/p",
            grantee: "clinic",
            data: &[data],
            purpose: "TREAT",
            start: "2026",
            end: "2026",
        };
        let consent = read("a", &access(&grant)).unwrap();
        check_consents(&[consent], &format!("clinic TREAT {class} => permit"));
    }
    assert_eq!(DataClass::parse("everything"), None);
}
