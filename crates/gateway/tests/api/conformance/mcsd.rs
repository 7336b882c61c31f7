//! IHE Mobile Care Services Discovery (mCSD 4.0): the parameters that a Directory has to take.

use super::requests::{Row, row};

const SECTION: &str = "IHE mCSD";
const SERVICES: &str = r#"{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Endpoint","id":"m-e","identifier":[{"value":"e-1"}],"status":"active","connectionType":{"code":"hl7-fhir-rest"},"managingOrganization":{"reference":"Organization/m-o"},"payloadType":[{"coding":[{"code":"any"}]}],"address":"https://a.example/fhir"},"request":{"method":"PUT","url":"Endpoint/m-e"}},{"resource":{"resourceType":"Organization","id":"m-p","active":true,"identifier":[{"value":"o-2"}],"type":[{"coding":[{"code":"urn:ihe:iti:mcsd:2019:jurisdiction"}]}],"name":"Northern District","partOf":{"reference":"Organization/m-q"}},"request":{"method":"PUT","url":"Organization/m-p"}},{"resource":{"resourceType":"Organization","id":"m-q","active":true,"identifier":[{"value":"o-3"}],"name":"Coast"},"request":{"method":"PUT","url":"Organization/m-q"}},{"resource":{"resourceType":"Organization","id":"m-s","active":true,"name":"Stores","extension":[{"url":"https://profiles.ihe.net/ITI/mCSD/StructureDefinition/IHE.mCSD.OrganizationHierarchy","extension":[{"url":"hierarchy-type","valueCodeableConcept":{"coding":[{"code":"supply"}]}},{"url":"part-of","valueReference":{"reference":"Organization/m-t"}}]}]},"request":{"method":"PUT","url":"Organization/m-s"}},{"resource":{"resourceType":"Organization","id":"m-t","active":true,"name":"Depot"},"request":{"method":"PUT","url":"Organization/m-t"}},{"resource":{"resourceType":"Organization","id":"m-o","active":true,"extension":[{"url":"https://profiles.ihe.net/ITI/mCSD/StructureDefinition/IHE.mCSD.OrganizationHierarchy","extension":[{"url":"hierarchy-type","valueCodeableConcept":{"coding":[{"code":"supply"}]}},{"url":"part-of","valueReference":{"reference":"Organization/m-s"}}]}],"identifier":[{"value":"o-1"}],"type":[{"coding":[{"code":"urn:ihe:iti:mcsd:2019:facility"}]}],"name":"Harbour Hospital","partOf":{"reference":"Organization/m-p"},"endpoint":[{"reference":"Endpoint/m-e"}]},"request":{"method":"PUT","url":"Organization/m-o"}},{"resource":{"resourceType":"Location","id":"m-m","status":"active","identifier":[{"value":"l-2"}],"name":"Harbour"},"request":{"method":"PUT","url":"Location/m-m"}},{"resource":{"resourceType":"Location","id":"m-l","status":"active","identifier":[{"value":"l-1"}],"name":"Harbour House","type":[{"coding":[{"code":"HOSP"}]}],"managingOrganization":{"reference":"Organization/m-o"},"partOf":{"reference":"Location/m-m"},"position":{"longitude":10.0,"latitude":54.0}},"request":{"method":"PUT","url":"Location/m-l"}},{"resource":{"resourceType":"Location","id":"m-k","status":"active","name":"Room 4","partOf":{"reference":"Location/m-l"}},"request":{"method":"PUT","url":"Location/m-k"}},{"resource":{"resourceType":"HealthcareService","id":"m-h","active":true,"identifier":[{"value":"h-1"}],"name":"Harbour Radiology","providedBy":{"reference":"Organization/m-o"},"type":[{"coding":[{"code":"rad"}]}],"location":[{"reference":"Location/m-l"}]},"request":{"method":"PUT","url":"HealthcareService/m-h"}},{"resource":{"resourceType":"Practitioner","id":"m-d","active":true,"identifier":[{"value":"d-1"}],"name":[{"family":"Sorensen","given":["Inge"]}]},"request":{"method":"PUT","url":"Practitioner/m-d"}},{"resource":{"resourceType":"PractitionerRole","id":"m-r","active":true,"practitioner":{"reference":"Practitioner/m-d"},"organization":{"reference":"Organization/m-o"},"code":[{"coding":[{"code":"doctor"}]}],"specialty":[{"coding":[{"code":"394914008"}]}],"location":[{"reference":"Location/m-l"}],"healthcareService":[{"reference":"HealthcareService/m-h"}]},"request":{"method":"PUT","url":"PractitionerRole/m-r"}},{"resource":{"resourceType":"OrganizationAffiliation","id":"m-a","active":true,"identifier":[{"value":"a-1"}],"period":{"start":"2026-01-01"},"organization":{"reference":"Organization/m-p"},"participatingOrganization":{"reference":"Organization/m-o"},"code":[{"coding":[{"code":"member"}]}],"endpoint":[{"reference":"Endpoint/m-e"}]},"request":{"method":"PUT","url":"OrganizationAffiliation/m-a"}}]}"#;

macro_rules! finds {
    ($feature:literal, $query:literal, $id:literal) => {
        row(
            SECTION,
            concat!("ITI-90 ", $feature),
            concat!("GET /", $query, "\nprefer: handling=strict"),
            "",
            // A link has the reference that was asked for, and not the base before it.
            &["200", concat!("/fhir/", $id, "\"")],
        )
    };
}

macro_rules! finds_none {
    ($feature:literal, $query:literal) => {
        row(
            SECTION,
            concat!("ITI-90 ", $feature),
            concat!("GET /", $query, "\nprefer: handling=strict"),
            "",
            &["200", "\"total\":0"],
        )
    };
}

/// These two and nothing else.
macro_rules! finds_two {
    ($feature:literal, $query:literal, $one:literal, $other:literal) => {
        row(
            SECTION,
            concat!("ITI-90 ", $feature),
            concat!("GET /", $query, "\nprefer: handling=strict"),
            "",
            &[
                "200",
                concat!("/fhir/", $one, "\""),
                concat!("/fhir/", $other, "\""),
                "\"total\":2",
            ],
        )
    };
}

/// In this order, on one server.
pub(super) const ROWS: &[Row] = &[
    row(
        SECTION,
        "care services as a transaction",
        "POST /",
        SERVICES,
        &["200", "transaction-response", "!\"status\":\"4"],
    ),
    finds!(
        "Organization: `_id`",
        "Organization?_id=m-o",
        "Organization/m-o"
    ),
    finds!(
        "`_lastUpdated` with `gt`",
        "Organization?_id=m-o&_lastUpdated=gt2026-05-01",
        "Organization/m-o"
    ),
    finds!(
        "`_lastUpdated` with `ge`",
        "Organization?_id=m-o&_lastUpdated=ge2026-05-01",
        "Organization/m-o"
    ),
    finds!(
        "`_lastUpdated` with `sa`",
        "Organization?_id=m-o&_lastUpdated=sa2026-05-01",
        "Organization/m-o"
    ),
    finds!(
        "`_lastUpdated` with `lt`",
        "Organization?_id=m-o&_lastUpdated=lt2026-12-01",
        "Organization/m-o"
    ),
    finds!(
        "`_lastUpdated` with `le`",
        "Organization?_id=m-o&_lastUpdated=le2026-12-01",
        "Organization/m-o"
    ),
    finds!(
        "`_lastUpdated` with `eb`",
        "Organization?_id=m-o&_lastUpdated=eb2026-12-01",
        "Organization/m-o"
    ),
    finds!(
        "Organization: active",
        "Organization?active=true&name=Harbour",
        "Organization/m-o"
    ),
    finds!(
        "Organization: identifier",
        "Organization?identifier=o-1",
        "Organization/m-o"
    ),
    finds!(
        "Organization: name",
        "Organization?name=harbour",
        "Organization/m-o"
    ),
    finds!(
        "Organization: name:contains",
        "Organization?name:contains=bour",
        "Organization/m-o"
    ),
    finds!(
        "Organization: name:exact",
        "Organization?name:exact=Harbour Hospital",
        "Organization/m-o"
    ),
    finds_none!(
        "Organization: name:exact of other case",
        "Organization?name:exact=harbour hospital"
    ),
    finds!(
        "Organization: partof",
        "Organization?partof=Organization/m-p",
        "Organization/m-o"
    ),
    finds_two!(
        "Organization: partof:above, those whose whole it is or is under",
        "Organization?partof:above=Organization/m-p",
        "Organization/m-p",
        "Organization/m-o"
    ),
    finds_two!(
        "Organization: partof:below, parts of parts too",
        "Organization?partof:below=Organization/m-q",
        "Organization/m-p",
        "Organization/m-o"
    ),
    finds_none!(
        "Organization: partof:below of what has no parts",
        "Organization?partof:below=Organization/m-o"
    ),
    finds!(
        "Organization: type",
        "Organization?type=urn:ihe:iti:mcsd:2019:facility",
        "Organization/m-o"
    ),
    finds!(
        "Organization: partof.identifier",
        "Organization?partof.identifier=o-2",
        "Organization/m-o"
    ),
    finds!(
        "Organization: partof.name",
        "Organization?partof.name=Northern",
        "Organization/m-o"
    ),
    finds!(
        "Organization: endpoint.connection-type",
        "Organization?endpoint.connection-type=hl7-fhir-rest",
        "Organization/m-o"
    ),
    finds!(
        "Organization: endpoint.payload-type",
        "Organization?endpoint.payload-type=any",
        "Organization/m-o"
    ),
    finds!(
        "Organization: _include endpoint",
        "Organization?_id=m-o&_include=Organization:endpoint",
        "Endpoint/m-e"
    ),
    finds!(
        "Organization: _revinclude Location",
        "Organization?_id=m-o&_revinclude=Location:organization",
        "Location/m-l"
    ),
    finds!(
        "Organization: _revinclude OrganizationAffiliation",
        "Organization?_id=m-o&_revinclude=OrganizationAffiliation:participating-organization",
        "OrganizationAffiliation/m-a"
    ),
    finds!(
        "Organization: ihe-mcsd-hierarchy-type (IHE)",
        "Organization?ihe-mcsd-hierarchy-type=supply&name=Harbour",
        "Organization/m-o"
    ),
    finds!(
        "Organization: ihe-mcsd-hierarchy-partof (IHE)",
        "Organization?ihe-mcsd-hierarchy-partof=Organization/m-s",
        "Organization/m-o"
    ),
    finds_none!(
        "Organization: ihe-mcsd-hierarchy-partof (IHE), of a whole by partOf",
        "Organization?ihe-mcsd-hierarchy-partof=Organization/m-p"
    ),
    finds_two!(
        "Organization: ihe-mcsd-hierarchy-partof:below (IHE), parts of parts too",
        "Organization?ihe-mcsd-hierarchy-partof:below=Organization/m-t",
        "Organization/m-s",
        "Organization/m-o"
    ),
    finds_two!(
        "Organization: ihe-mcsd-hierarchy-partof:above (IHE)",
        "Organization?ihe-mcsd-hierarchy-partof:above=Organization/m-s",
        "Organization/m-s",
        "Organization/m-o"
    ),
    finds!(
        "Location: identifier",
        "Location?identifier=l-1",
        "Location/m-l"
    ),
    finds!(
        "Location: name",
        "Location?name=Harbour House",
        "Location/m-l"
    ),
    finds!(
        "Location: organization",
        "Location?organization=Organization/m-o",
        "Location/m-l"
    ),
    finds!(
        "Location: partof",
        "Location?partof=Location/m-m",
        "Location/m-l"
    ),
    finds_two!(
        "Location: partof:below, parts of parts too",
        "Location?partof:below=Location/m-m",
        "Location/m-l",
        "Location/m-k"
    ),
    finds!(
        "Location: organization:below",
        "Location?organization:below=Organization/m-q",
        "Location/m-l"
    ),
    finds!(
        "Location: status",
        "Location?status=active&name=Harbour House",
        "Location/m-l"
    ),
    finds!("Location: type", "Location?type=HOSP", "Location/m-l"),
    finds!(
        "Location: partof.identifier",
        "Location?partof.identifier=l-2",
        "Location/m-l"
    ),
    finds!(
        "Location: partof.name",
        "Location?partof.name=Harbour",
        "Location/m-l"
    ),
    finds!(
        "Location: organization.active, .identifier, .name",
        "Location?organization.active=true&organization.identifier=o-1&organization.name=Harbour",
        "Location/m-l"
    ),
    finds!(
        "Location: _include organization",
        "Location?_id=m-l&_include=Location:organization",
        "Organization/m-o"
    ),
    finds!(
        "Location: near (Location Distance Option)",
        "Location?near=54.01|10.01|5|km",
        "Location/m-l"
    ),
    finds!(
        "Practitioner: active, identifier",
        "Practitioner?active=true&identifier=d-1",
        "Practitioner/m-d"
    ),
    finds!(
        "Practitioner: name",
        "Practitioner?name=Sorensen",
        "Practitioner/m-d"
    ),
    finds!(
        "Practitioner: given, family",
        "Practitioner?given=Inge&family=Sorensen",
        "Practitioner/m-d"
    ),
    finds!(
        "PractitionerRole: active, location, organization, practitioner",
        "PractitionerRole?active=true&location=Location/m-l&organization=Organization/m-o&practitioner=Practitioner/m-d",
        "PractitionerRole/m-r"
    ),
    finds!(
        "PractitionerRole: role, service, specialty",
        "PractitionerRole?role=doctor&service=HealthcareService/m-h&specialty=394914008",
        "PractitionerRole/m-r"
    ),
    finds!(
        "PractitionerRole: practitioner.identifier, .name, .given, .family",
        "PractitionerRole?practitioner.identifier=d-1&practitioner.name=Sorensen&practitioner.given=Inge&practitioner.family=Sorensen",
        "PractitionerRole/m-r"
    ),
    finds!(
        "PractitionerRole: _include practitioner",
        "PractitionerRole?_id=m-r&_include=PractitionerRole:practitioner",
        "Practitioner/m-d"
    ),
    finds!(
        "PractitionerRole: organization.active, .identifier, .name",
        "PractitionerRole?organization.active=true&organization.identifier=o-1&organization.name=Harbour",
        "PractitionerRole/m-r"
    ),
    finds!(
        "PractitionerRole: location.status, .identifier, .name",
        "PractitionerRole?location.status=active&location.identifier=l-1&location.name=Harbour",
        "PractitionerRole/m-r"
    ),
    finds!(
        "PractitionerRole: service.active, .identifier, .location, .name, .organization",
        "PractitionerRole?service.active=true&service.identifier=h-1&service.location=Location/m-l&service.name=Harbour&service.organization=Organization/m-o",
        "PractitionerRole/m-r"
    ),
    finds!(
        "HealthcareService: active, identifier, location, name, organization, service-type",
        "HealthcareService?active=true&identifier=h-1&location=Location/m-l&name=Harbour&organization=Organization/m-o&service-type=rad",
        "HealthcareService/m-h"
    ),
    finds!(
        "HealthcareService: organization.active, .identifier, .name",
        "HealthcareService?organization.active=true&organization.identifier=o-1&organization.name=Harbour",
        "HealthcareService/m-h"
    ),
    finds!(
        "HealthcareService: location.status, .identifier, .name",
        "HealthcareService?location.status=active&location.identifier=l-1&location.name=Harbour",
        "HealthcareService/m-h"
    ),
    finds!(
        "Endpoint: connection-type, identifier, organization, payload-type, status",
        "Endpoint?connection-type=hl7-fhir-rest&identifier=e-1&organization=Organization/m-o&payload-type=any&status=active",
        "Endpoint/m-e"
    ),
    finds!(
        "OrganizationAffiliation: active, date, endpoint, identifier",
        "OrganizationAffiliation?active=true&date=ge2026-01-01&endpoint=Endpoint/m-e&identifier=a-1",
        "OrganizationAffiliation/m-a"
    ),
    finds!(
        "OrganizationAffiliation: participating-organization, primary-organization, role",
        "OrganizationAffiliation?participating-organization=Organization/m-o&primary-organization=Organization/m-p&role=member",
        "OrganizationAffiliation/m-a"
    ),
    row(
        SECTION,
        "ITI-90 by POST",
        "POST /Organization/_search\ncontent-type: application/x-www-form-urlencoded",
        "name=Harbour",
        &["200", "/fhir/Organization/m-o\""],
    ),
    row(
        SECTION,
        "ITI-91 Request Care Services Updates: `_since`",
        "GET /HealthcareService/_history?_since=2026-05-01T00:00:00Z",
        "",
        &["200", "/fhir/HealthcareService/m-h\""],
    ),
];
