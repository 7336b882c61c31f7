//! What leads to other resources: chains, includes, compartments.

use super::Row;

pub(super) const CHAINS: &[Row] = &[
    (
        "one step",
        "Observation?subject:Patient.family=jones",
        "Observation/b3",
    ),
    (
        "one step, type implied",
        "Observation?patient.gender=female",
        "Observation/b1 Observation/b2",
    ),
    (
        "several steps",
        "Observation?encounter.service-provider.partof.name=saint",
        "Observation/b1",
    ),
    (
        "`_has`",
        "Patient?_has:Observation:patient:code=85354-9",
        "Patient/p2",
    ),
    (
        "`_has` after `_has`",
        "Practitioner?_has:Patient:general-practitioner:_has:Condition:patient:code=38341003",
        "Practitioner/d1",
    ),
    (
        "`_has` in a chain",
        "Encounter?patient._has:Condition:patient:code=38341003",
        "Encounter/e1",
    ),
];

pub(super) const INCLUDES: &[Row] = &[
    (
        "`_include`",
        "Observation?_id=b3&_include=Observation:subject",
        "Observation/b3 +Patient/p2",
    ),
    (
        "`_include` of a type",
        "Observation?_id=b1&_include=Observation:subject:Patient",
        "Observation/b1 +Patient/p1",
    ),
    (
        "`_include=*`",
        "Encounter?_id=e1&_include=*",
        "Encounter/e1 +Organization/o2 +Patient/p1",
    ),
    (
        "`_include:iterate`",
        "Observation?_id=b1&_include=Observation:encounter&_include:iterate=Encounter:service-provider",
        "Observation/b1 +Encounter/e1 +Organization/o2",
    ),
    (
        "`_revinclude`",
        "Encounter?_id=e1&_revinclude=Condition:encounter",
        "Encounter/e1 +Condition/c1",
    ),
    (
        "`_revinclude` and `_include`",
        "Patient?_id=p2&_revinclude=Observation:subject&_include=Patient:link",
        "Patient/p2 +Observation/b3 +Patient/p1",
    ),
    ("`_contained`", "Patient?_contained=true", "400"),
];

pub(super) const WIDE: &[Row] = &[
    (
        "several types",
        "?_type=RiskAssessment,Encounter",
        "Encounter/e1 RiskAssessment/r1 RiskAssessment/r2",
    ),
    (
        "all types, by common parameters",
        "?_tag=urn:tags|study",
        "Patient/p1",
    ),
    (
        "a patient's compartment",
        "Patient/p2/Observation",
        "Observation/b3",
    ),
    (
        "all of a compartment",
        "Patient/p2/*?_type=Observation,RiskAssessment",
        "Observation/b3 RiskAssessment/r2",
    ),
    (
        "an encounter's compartment",
        "Encounter/e1/Condition",
        "Condition/c1",
    ),
    (
        "a practitioner's compartment",
        "Practitioner/d1/Observation",
        "Observation/b1",
    ),
];
