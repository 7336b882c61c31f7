//! Code systems by OID, and the ConceptMaps of the guide (`CF-…`).

/// Codes of one system for those of another.
pub(in crate::ccda) type Table = &'static [(&'static str, &'static str)];

/// The code for one.
pub(in crate::ccda) fn code(table: Table, from: &str) -> Option<&'static str> {
    let found = table.iter().find(|(own, _)| *own == from);
    found.map(|(_, to)| *to)
}

/// The URIs of code systems (HL7 Terminology, External Code Systems).
pub(in crate::ccda) const SYSTEMS: Table = &[
    ("2.16.840.1.113883.6.1", "http://loinc.org"),
    ("2.16.840.1.113883.6.96", "http://snomed.info/sct"),
    (
        "2.16.840.1.113883.6.88",
        "http://www.nlm.nih.gov/research/umls/rxnorm",
    ),
    (
        "2.16.840.1.113883.6.90",
        "http://hl7.org/fhir/sid/icd-10-cm",
    ),
    ("2.16.840.1.113883.6.3", "http://hl7.org/fhir/sid/icd-10"),
    (
        "2.16.840.1.113883.6.4",
        "http://www.cms.gov/Medicare/Coding/ICD10",
    ),
    (
        "2.16.840.1.113883.6.103",
        "http://hl7.org/fhir/sid/icd-9-cm",
    ),
    (
        "2.16.840.1.113883.6.104",
        "http://hl7.org/fhir/sid/icd-9-cm",
    ),
    ("2.16.840.1.113883.12.292", "http://hl7.org/fhir/sid/cvx"),
    (
        "2.16.840.1.113883.12.227",
        "http://terminology.hl7.org/CodeSystem/MVX",
    ),
    ("2.16.840.1.113883.6.69", "http://hl7.org/fhir/sid/ndc"),
    ("2.16.840.1.113883.6.12", "http://www.ama-assn.org/go/cpt"),
    (
        "2.16.840.1.113883.6.285",
        "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    ),
    ("2.16.840.1.113883.4.9", "http://fdasis.nlm.nih.gov"),
    ("2.16.840.1.113883.6.345", "http://va.gov/terminology/medrt"),
    (
        "2.16.840.1.113883.3.26.1.1",
        "http://ncithesaurus-stage.nci.nih.gov",
    ),
    (
        "2.16.840.1.113883.6.101",
        "http://nucc.org/provider-taxonomy",
    ),
    ("2.16.840.1.113883.6.8", "http://unitsofmeasure.org"),
    ("2.16.840.1.113883.6.238", "urn:oid:2.16.840.1.113883.6.238"),
    ("2.16.840.1.113883.6.121", "urn:ietf:bcp:47"),
    (
        "2.16.840.1.113883.5.1",
        "http://terminology.hl7.org/CodeSystem/v3-AdministrativeGender",
    ),
    (
        "2.16.840.1.113883.5.2",
        "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus",
    ),
    (
        "2.16.840.1.113883.5.4",
        "http://terminology.hl7.org/CodeSystem/v3-ActCode",
    ),
    (
        "2.16.840.1.113883.5.8",
        "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    ),
    (
        "2.16.840.1.113883.5.25",
        "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
    ),
    (
        "2.16.840.1.113883.5.60",
        "http://terminology.hl7.org/CodeSystem/v3-LanguageAbilityMode",
    ),
    (
        "2.16.840.1.113883.5.61",
        "http://terminology.hl7.org/CodeSystem/v3-LanguageAbilityProficiency",
    ),
    (
        "2.16.840.1.113883.5.83",
        "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    ),
    (
        "2.16.840.1.113883.5.84",
        "http://terminology.hl7.org/CodeSystem/v3-ObservationMethod",
    ),
    (
        "2.16.840.1.113883.5.88",
        "http://terminology.hl7.org/CodeSystem/v3-ParticipationFunction",
    ),
    (
        "2.16.840.1.113883.5.111",
        "http://terminology.hl7.org/CodeSystem/v3-RoleCode",
    ),
    (
        "2.16.840.1.113883.5.112",
        "http://terminology.hl7.org/CodeSystem/v3-RouteOfAdministration",
    ),
    (
        "2.16.840.1.113883.5.1008",
        "http://terminology.hl7.org/CodeSystem/v3-NullFlavor",
    ),
    (
        "2.16.840.1.113883.5.1063",
        "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    ),
    (
        "2.16.840.1.113883.5.1076",
        "http://terminology.hl7.org/CodeSystem/v3-ReligiousAffiliation",
    ),
    (
        "2.16.840.1.113883.12.112",
        "http://terminology.hl7.org/CodeSystem/v2-0112",
    ),
    (
        "2.16.840.1.113883.6.259",
        "https://www.cdc.gov/nhsn/cdaportal/terminology/codesystem/hsloc.html",
    ),
];

/// The URIs of identifier systems.
pub(in crate::ccda) const AUTHORITIES: Table = &[
    ("2.16.840.1.113883.4.1", "http://hl7.org/fhir/sid/us-ssn"),
    ("2.16.840.1.113883.4.6", "http://hl7.org/fhir/sid/us-npi"),
    (
        "2.16.840.1.113883.4.572",
        "http://hl7.org/fhir/sid/us-medicare",
    ),
    ("2.16.840.1.113883.4.927", "http://hl7.org/fhir/sid/us-mbi"),
];

pub(in crate::ccda) const NULL_FLAVOR: Table = &[
    ("OTH", "unsupported"),
    ("NINF", "negative-infinity"),
    ("PINF", "positive-infinity"),
    ("MSK", "masked"),
    ("NA", "not-applicable"),
    ("ASKU", "asked-unknown"),
    ("NAV", "temp-unknown"),
    ("NASK", "not-asked"),
    ("TRC", "unsupported"),
];

pub(in crate::ccda) const GENDER: Table = &[
    ("M", "male"),
    ("F", "female"),
    ("UN", "other"),
    ("UNK", "unknown"),
];

pub(in crate::ccda) const NAME_USE: Table = &[
    ("A", "nickname"),
    ("C", "official"),
    ("L", "usual"),
    ("P", "nickname"),
];

pub(in crate::ccda) const ADDRESS_USE: Table = &[
    ("BAD", "old"),
    ("H", "home"),
    ("HP", "home"),
    ("HV", "home"),
    ("TMP", "temp"),
    ("WP", "work"),
    ("DIR", "work"),
    ("PUB", "work"),
];

pub(in crate::ccda) const TELECOM_USE: Table = &[
    ("AS", "work"),
    ("BAD", "old"),
    ("DIR", "work"),
    ("H", "home"),
    ("HP", "home"),
    ("HV", "home"),
    ("MC", "mobile"),
    ("PG", "mobile"),
    ("PUB", "work"),
    ("TMP", "temp"),
    ("WP", "work"),
];

pub(in crate::ccda) const TELECOM_SYSTEM: Table = &[
    ("tel", "phone"),
    ("mailto", "email"),
    ("fax", "fax"),
    ("x-text-fax", "fax"),
    ("sms", "sms"),
    ("http", "url"),
    ("https", "url"),
];

/// Statuses of an act, as those of concerns.
pub(in crate::ccda) const CONCERN_STATUS: Table = &[
    ("aborted", "inactive"),
    ("active", "active"),
    ("completed", "inactive"),
    ("suspended", "inactive"),
];

/// SNOMED CT codes of a problem's status.
pub(in crate::ccda) const PROBLEM_STATUS: Table = &[
    ("246455001", "recurrence"),
    ("263855007", "relapse"),
    ("277022003", "remission"),
    ("413322009", "resolved"),
    ("55561003", "active"),
    ("73425007", "inactive"),
];

pub(in crate::ccda) const ALLERGY_STATUS: Table = &[
    ("413322009", "resolved"),
    ("73425007", "inactive"),
    ("55561003", "active"),
];

pub(in crate::ccda) const ALLERGY_TYPE: Table = &[
    ("235719002", "intolerance"),
    ("414285001", "allergy"),
    ("416098002", "allergy"),
    ("419199007", "allergy"),
    ("59037007", "intolerance"),
];

pub(in crate::ccda) const ALLERGY_CATEGORY: Table = &[
    ("235719002", "food"),
    ("414285001", "food"),
    ("418471000", "food"),
    ("416098002", "medication"),
    ("419511003", "medication"),
    ("59037007", "medication"),
];

/// What a negated allergy says that names no substance.
pub(in crate::ccda) const NO_KNOWN_ALLERGY: Table = &[
    ("414285001", "429625007"),
    ("416098002", "409137002"),
    ("419199007", "716186003"),
];

pub(in crate::ccda) const CRITICALITY: Table = &[
    ("CRITH", "high"),
    ("CRITL", "low"),
    ("CRITU", "unable-to-assess"),
];

pub(in crate::ccda) const SEVERITY: Table = &[
    ("255604002", "mild"),
    ("6736007", "moderate"),
    ("24484000", "severe"),
];

pub(in crate::ccda) const MEDICATION_STATUS: Table = &[
    ("active", "active"),
    ("suspended", "on-hold"),
    ("aborted", "stopped"),
    ("completed", "completed"),
    ("nullified", "entered-in-error"),
];

pub(in crate::ccda) const IMMUNIZATION_STATUS: Table = &[
    ("completed", "completed"),
    ("nullified", "entered-in-error"),
];

pub(in crate::ccda) const PROCEDURE_STATUS: Table = &[
    ("aborted", "stopped"),
    ("active", "in-progress"),
    ("cancelled", "not-done"),
    ("completed", "completed"),
];

pub(in crate::ccda) const GOAL_STATUS: Table = &[
    ("active", "active"),
    ("completed", "completed"),
    ("aborted", "cancelled"),
    ("cancelled", "cancelled"),
    ("suspended", "on-hold"),
    ("held", "on-hold"),
    ("nullified", "entered-in-error"),
];

/// Kinds of values that Goal and Observation have.
pub(in crate::ccda) const DETAILS: [&str; 6] = [
    "Quantity",
    "Range",
    "CodeableConcept",
    "String",
    "Boolean",
    "Integer",
];

/// Statuses of what is planned.
pub(in crate::ccda) const REQUEST_STATUS: Table = &[
    ("active", "active"),
    ("completed", "completed"),
    ("aborted", "revoked"),
    ("cancelled", "revoked"),
    ("suspended", "on-hold"),
    ("held", "on-hold"),
    ("new", "draft"),
    ("nullified", "entered-in-error"),
];

/// Moods of what is planned.
pub(in crate::ccda) const INTENT: Table = &[
    ("INT", "plan"),
    ("RQO", "order"),
    ("ARQ", "order"),
    ("APT", "order"),
    ("PRP", "proposal"),
    ("PRMS", "directive"),
];

pub(in crate::ccda) const PRIORITY: Table = &[
    ("R", "routine"),
    ("UR", "urgent"),
    ("A", "asap"),
    ("EM", "stat"),
    ("S", "stat"),
];

pub(in crate::ccda) const DEVICE_STATUS: Table = &[
    ("active", "active"),
    ("completed", "completed"),
    ("aborted", "stopped"),
    ("suspended", "on-hold"),
    ("nullified", "entered-in-error"),
];

pub(in crate::ccda) const TEAM_STATUS: Table = &[
    ("active", "active"),
    ("completed", "inactive"),
    ("aborted", "inactive"),
    ("suspended", "suspended"),
    ("nullified", "entered-in-error"),
];

pub(in crate::ccda) const REPORT_STATUS: Table = &[
    ("aborted", "cancelled"),
    ("active", "registered"),
    ("cancelled", "cancelled"),
    ("completed", "final"),
    ("held", "registered"),
    ("suspended", "registered"),
];

pub(in crate::ccda) const ENCOUNTER_STATUS: Table = &[
    ("active", "in-progress"),
    ("cancelled", "cancelled"),
    ("completed", "finished"),
    ("held", "planned"),
    ("suspended", "onleave"),
    ("nullified", "entered-in-error"),
];

/// CPT codes of evaluation and management, whose class the guide gives.
pub(in crate::ccda) const CPT_CLASS: &[(std::ops::RangeInclusive<u32>, &str)] = &[
    (99_211..=99_215, "AMB"),
    (99_202..=99_205, "AMB"),
    (99_221..=99_223, "IMP"),
    (99_281..=99_285, "EMER"),
];
