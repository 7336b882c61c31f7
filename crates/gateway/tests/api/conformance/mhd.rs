//! IHE Mobile access to Health Documents (MHD 4.2): the parameters that a Document Responder has to take.

use super::requests::{Row, row};

const SECTION: &str = "IHE MHD";
const BUNDLE: &str = r#"{"resourceType":"Bundle","type":"transaction","meta":{"profile":["https://profiles.ihe.net/ITI/MHD/StructureDefinition/IHE.MHD.Minimal.ProvideBundle"]},"entry":[{"fullUrl":"urn:uuid:aaaaaaaa-bbbb-4ccc-8ddd-e00111100001","resource":{"resourceType":"List","extension":[{"url":"https://profiles.ihe.net/ITI/MHD/StructureDefinition/ihe-sourceId","valueIdentifier":{"value":"urn:oid:1.2.3.4"}},{"url":"https://profiles.ihe.net/ITI/MHD/StructureDefinition/ihe-designationType","valueCodeableConcept":{"coding":[{"system":"http://loinc.org","code":"34133-9"}]}}],"identifier":[{"system":"urn:ietf:rfc:3986","value":"urn:oid:1.2.9.1"}],"status":"current","mode":"working","code":{"coding":[{"system":"https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes","code":"submissionset"}]},"subject":{"reference":"Patient/p1"},"date":"2026-05-02T10:00:00Z","source":{"reference":"Practitioner/d1"},"entry":[{"item":{"reference":"urn:uuid:aaaaaaaa-bbbb-4ccc-8ddd-e00111100002"}}]},"request":{"method":"POST","url":"List"}},{"fullUrl":"urn:uuid:aaaaaaaa-bbbb-4ccc-8ddd-e00111100002","resource":{"resourceType":"DocumentReference","id":"m1","masterIdentifier":{"system":"urn:ietf:rfc:3986","value":"urn:oid:1.2.9.2"},"status":"current","type":{"coding":[{"system":"http://loinc.org","code":"34133-9"}]},"category":[{"coding":[{"system":"http://loinc.org","code":"11503-0"}]}],"subject":{"reference":"Patient/p1"},"date":"2026-05-02T10:00:00Z","author":[{"reference":"Practitioner/d1"}],"securityLabel":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"N"}]}],"content":[{"attachment":{"contentType":"text/plain","url":"urn:uuid:aaaaaaaa-bbbb-4ccc-8ddd-e00111100003","size":11,"hash":"Ck1VqNd45QIvq3AZd8XYQLvEhtA=","creation":"2026-05-01"},"format":{"system":"http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode","code":"urn:ihe:iti:xds-sd:text:2008"}}],"context":{"event":[{"coding":[{"code":"29554-3"}]}],"period":{"start":"2026-05-01","end":"2026-05-01"},"facilityType":{"coding":[{"code":"22232009"}]},"practiceSetting":{"coding":[{"code":"408443003"}]},"related":[{"reference":"Practitioner/d1"}]}},"request":{"method":"PUT","url":"DocumentReference/m1"}},{"fullUrl":"urn:uuid:aaaaaaaa-bbbb-4ccc-8ddd-e00111100003","resource":{"resourceType":"Binary","id":"m2","contentType":"text/plain","data":"SGVsbG8gV29ybGQ="},"request":{"method":"PUT","url":"Binary/m2"}}]}"#;
const ONE: &[&str] = &["200", "\"total\":1"];
/// Others of the same patient are found too.
const AMONG: &[&str] = &["200", "/DocumentReference/m1\""];
const NONE: &[&str] = &["200", "\"total\":0"];

macro_rules! list {
    ($feature:literal, $query:literal, $answer:expr) => {
        row(
            SECTION,
            $feature,
            concat!(
                "GET /List?patient=p1&code=submissionset&status=current",
                $query
            ),
            "",
            $answer,
        )
    };
}

macro_rules! document {
    ($feature:literal, $query:literal, $answer:expr) => {
        row(
            SECTION,
            $feature,
            concat!("GET /DocumentReference?patient=p1&status=current", $query),
            "",
            $answer,
        )
    };
}

/// In this order, on one server.
pub(super) const ROWS: &[Row] = &[
    row(
        SECTION,
        "ITI-65 Provide Document Bundle",
        "POST /",
        BUNDLE,
        &["200", "transaction-response", "!\"status\":\"4"],
    ),
    list!("ITI-66 Find Document Lists: patient, code, status", "", ONE),
    row(
        SECTION,
        "ITI-66: patient.identifier",
        "GET /List?patient.identifier=urn:mrn|42&code=submissionset&status=current",
        "",
        ONE,
    ),
    list!("ITI-66: date", "&date=lt2026-05-02", NONE),
    list!("ITI-66: identifier", "&identifier=urn:oid:1.2.9.1", ONE),
    list!(
        "ITI-66: source.family",
        "&source:Practitioner.family=Welby",
        ONE
    ),
    list!(
        "ITI-66: designationType (IHE)",
        "&designationType=http://loinc.org|34133-9",
        ONE
    ),
    list!(
        "ITI-66: designationType (IHE), another",
        "&designationType=http://loinc.org|0",
        NONE
    ),
    list!("ITI-66: sourceId (IHE)", "&sourceId=urn:oid:1.2.3.4", ONE),
    list!(
        "ITI-66: sourceId (IHE), another",
        "&sourceId=urn:oid:9",
        NONE
    ),
    document!(
        "ITI-67 Find Document References: patient, status",
        "",
        AMONG
    ),
    row(
        SECTION,
        "ITI-67: patient.identifier",
        "GET /DocumentReference?patient.identifier=urn:mrn|42&status=current",
        "",
        AMONG,
    ),
    row(
        SECTION,
        "ITI-67: by POST",
        "POST /DocumentReference/_search\ncontent-type: application/x-www-form-urlencoded",
        "patient=p1&status=current",
        AMONG,
    ),
    document!(
        "ITI-67: author.family, author.given",
        "&author:Practitioner.family=Welby&author:Practitioner.given=Marcus",
        ONE
    ),
    document!(
        "ITI-67: category",
        "&category=http://loinc.org|11503-0",
        ONE
    ),
    document!("ITI-67: creation (IHE)", "&creation=2026-05-01", ONE),
    document!(
        "ITI-67: creation (IHE), another",
        "&creation=2020-01-01",
        NONE
    ),
    document!("ITI-67: date", "&date=lt2026-05-02", NONE),
    document!("ITI-67: event", "&event=29554-3", ONE),
    document!("ITI-67: facility", "&facility=22232009", ONE),
    document!(
        "ITI-67: format",
        "&format=urn:ihe:iti:xds-sd:text:2008",
        ONE
    ),
    document!(
        "ITI-67: identifier",
        "&identifier=urn:ietf:rfc:3986|urn:oid:1.2.9.2",
        ONE
    ),
    document!("ITI-67: period", "&period=2026-05-01", ONE),
    document!("ITI-67: related", "&related=Practitioner/d1", ONE),
    document!("ITI-67: security-label", "&security-label=N", ONE),
    document!("ITI-67: setting", "&setting=408443003", ONE),
    document!("ITI-67: type", "&type=http://loinc.org|34133-9", ONE),
    row(
        SECTION,
        "ITI-68 Retrieve Document",
        "GET /Binary/m2\naccept: text/plain",
        "",
        &["200", "content-type: text/plain", "Hello World"],
    ),
];
