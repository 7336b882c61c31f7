//! Security labels: what makes a resource sensitive.
//!
//! A resource gets a label by a code in it (SNOMED CT, LOINC, ICD-10, RxNorm; the rules are data,
//! `labels.json`) or by a label in `meta.security`. A security label that is not understood
//! restricts. Any sensitivity implies confidentiality `R`.
//!
//! Limits: the rules are a small set, not a terminology service; a resource without a listed
//! code is not found by its text, and one that only refers to a sensitive resource does not
//! take its label.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Resource;

/// The rules as they are compiled in: the input of their digest.
pub const RULES_BYTES: &[u8] = include_bytes!("labels.json");

const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
const SENSITIVITY: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const ICD_10_CM: &str = "http://hl7.org/fhir/sid/icd-10-cm";
const ICD_10: &str = "http://hl7.org/fhir/sid/icd-10";

/// A label that an access decision looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// `ETH`: substance use, alcohol included.
    SubstanceUse,
    /// `GDIS`: genetic disease.
    Genetic,
    /// `HIV`.
    Hiv,
    /// `PSY`: mental health.
    MentalHealth,
    /// `SDV`: sexual assault, abuse, domestic violence.
    Violence,
    /// `SEX`: sexuality and reproductive health.
    Reproductive,
    /// `STD`: sexually transmitted disease.
    SexuallyTransmitted,
    /// Confidentiality `R`.
    Restricted,
}

impl Label {
    /// All labels.
    pub const ALL: [Self; 8] = [
        Self::SubstanceUse,
        Self::Genetic,
        Self::Hiv,
        Self::MentalHealth,
        Self::Violence,
        Self::Reproductive,
        Self::SexuallyTransmitted,
        Self::Restricted,
    ];

    /// The code, of v3-ActCode or v3-Confidentiality.
    pub fn code(self) -> &'static str {
        match self {
            Self::SubstanceUse => "ETH",
            Self::Genetic => "GDIS",
            Self::Hiv => "HIV",
            Self::MentalHealth => "PSY",
            Self::Violence => "SDV",
            Self::Reproductive => "SEX",
            Self::SexuallyTransmitted => "STD",
            Self::Restricted => "R",
        }
    }

    /// The system of the code.
    pub fn system(self) -> &'static str {
        if self == Self::Restricted {
            CONFIDENTIALITY
        } else {
            SENSITIVITY
        }
    }

    /// The label with this code.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|label| label.code() == code)
    }
}

/// The labels of a resource.
pub fn labels_of(resource: &Resource) -> BTreeSet<Label> {
    let mut labels = BTreeSet::new();
    collect_security(resource.object(), &mut labels);
    for contained in resource
        .get("contained")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        contained
            .as_object()
            .into_iter()
            .for_each(|it| collect_security(it, &mut labels));
    }
    // The codes in a Consent say what it is about, not what the patient has.
    if resource.resource_type().as_str() != "Consent" {
        collect_codes(resource.object(), &mut labels);
    }
    if !labels.is_empty() {
        labels.insert(Label::Restricted);
    }
    labels
}

/// Whether the labels put a resource into the restricted stream.
pub fn is_restricted(labels: &BTreeSet<Label>) -> bool {
    !labels.is_empty()
}

/// The version of the rules.
pub fn rules_version() -> &'static str {
    &RULES.version
}

fn collect_security(object: &Map<String, Value>, labels: &mut BTreeSet<Label>) {
    let in_meta = object.get("meta").and_then(|meta| meta.get("security"));
    let codings = in_meta.and_then(Value::as_array).into_iter().flatten();
    let concepts = object
        .get("securityLabel")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let in_concepts = concepts
        .filter_map(|it| it.get("coding")?.as_array())
        .flatten();
    for coding in codings.chain(in_concepts) {
        let text = |name: &str| coding.get(name).and_then(Value::as_str).unwrap_or_default();
        labels.extend(security_label(text("system"), text("code")));
    }
}

fn security_label(system: &str, code: &str) -> Option<Label> {
    if RULES
        .security_systems_without_sensitivity
        .iter()
        .any(|known| known == system)
    {
        return None;
    }
    let known = RULES.security.get(system).and_then(|codes| {
        codes
            .iter()
            .find(|(_, codes)| codes.iter().any(|it| it == code))
            .map(|(label, _)| label)
    });
    match known {
        // Known to say that nothing is sensitive.
        Some(label) if label.is_empty() => None,
        Some(label) => Some(Label::parse(label).unwrap_or(Label::Restricted)),
        None => Some(Label::Restricted),
    }
}

fn collect_codes(object: &Map<String, Value>, labels: &mut BTreeSet<Label>) {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    if let (Some(system), Some(code)) = (text("system"), text("code")) {
        let system = if system == ICD_10_CM { ICD_10 } else { system };
        let rules = RULES.rules.iter().filter(|rule| rule.system == system);
        labels.extend(
            rules
                .filter(|rule| rule.covers(code))
                .filter_map(|it| Label::parse(&it.label)),
        );
    }
    for value in object.values() {
        match value {
            Value::Object(object) => collect_codes(object, labels),
            Value::Array(items) => collect_items(items, labels),
            _ => {}
        }
    }
}

fn collect_items(items: &[Value], labels: &mut BTreeSet<Label>) {
    for item in items {
        match item {
            Value::Object(object) => collect_codes(object, labels),
            Value::Array(items) => collect_items(items, labels),
            _ => {}
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSet {
    version: String,
    security: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    security_systems_without_sensitivity: Vec<String>,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    label: String,
    system: String,
    #[serde(default)]
    codes: Vec<String>,
    #[serde(default)]
    prefixes: Vec<String>,
}

impl Rule {
    fn covers(&self, code: &str) -> bool {
        self.codes.iter().any(|it| it == code)
            || self
                .prefixes
                .iter()
                .any(|prefix| code.starts_with(prefix.as_str()))
    }
}

#[expect(
    clippy::expect_used,
    reason = "the rules are compiled in and a test parses them"
)]
static RULES: LazyLock<RuleSet> =
    LazyLock::new(|| serde_json::from_slice(RULES_BYTES).expect("labels.json is a rule set"));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::Checking;
    use serde_json::json;

    fn labels(value: Value) -> Vec<&'static str> {
        let labels = labels_of(
            &Resource::from_value_noting(value, Checking::Stored)
                .unwrap()
                .0,
        );
        labels.into_iter().map(Label::code).collect()
    }

    fn condition(system: &str, code: &str) -> Value {
        json!({"resourceType": "Condition", "subject": {"reference": "Patient/1"},
            "code": {"coding": [{"system": system, "code": code}]}})
    }

    fn secured(system: &str, code: &str) -> Value {
        json!({"resourceType": "Basic", "meta": {"security": [{"system": system, "code": code}]}})
    }

    #[test]
    fn the_rules_name_known_labels() {
        assert_eq!(rules_version(), "2026-11-21");
        for rule in &RULES.rules {
            assert!(Label::parse(&rule.label).is_some(), "{}", rule.label);
            assert!(!rule.codes.is_empty() || !rule.prefixes.is_empty());
            assert_ne!(rule.system, ICD_10_CM, "rules for ICD-10 hold for both");
        }
        let named = RULES.security.values().flat_map(BTreeMap::keys);
        for label in named.filter(|label| !label.is_empty()) {
            assert!(Label::parse(label).is_some(), "{label}");
        }
    }

    #[test]
    fn codes_give_labels_and_every_label_restricts() {
        let snomed = "http://snomed.info/sct";
        assert_eq!(labels(condition(snomed, "5602001")), ["ETH", "R"]);
        assert_eq!(labels(condition(snomed, "370143000")), ["PSY", "R"]);
        assert_eq!(labels(condition(snomed, "72892002")), ["SEX", "R"]);
        assert_eq!(labels(condition(snomed, "443529005")), ["GDIS", "SEX", "R"]);
        assert_eq!(
            labels(condition("http://hl7.org/fhir/sid/icd-10-cm", "F11.20")),
            ["ETH", "R"]
        );
        assert_eq!(
            labels(condition("http://hl7.org/fhir/sid/icd-10", "B20")),
            ["HIV", "R"]
        );
        assert_eq!(labels(condition(snomed, "38341003")), [""; 0]);
        assert_eq!(
            labels(condition("http://loinc.org", "5602001")),
            [""; 0],
            "a code of another system"
        );
    }

    #[test]
    fn codes_are_found_wherever_they_stand() {
        let claim = json!({"resourceType": "Basic", "extension": [{"url": "x", "valueCodeableConcept":
            {"coding": [{"code": "x"}, {"system": "http://loinc.org", "code": "55277-8"}]}}]});
        assert_eq!(labels(claim), ["HIV", "R"]);
        let contained = json!({"resourceType": "Basic", "contained": [{"resourceType": "Basic",
            "meta": {"security": [{"system": SENSITIVITY, "code": "PSY"}]}}]});
        assert_eq!(labels(contained), ["PSY", "R"]);
    }

    #[test]
    fn labels_that_are_there_are_honoured_and_unknown_ones_restrict() {
        assert_eq!(labels(secured(CONFIDENTIALITY, "R")), ["R"]);
        assert_eq!(labels(secured(CONFIDENTIALITY, "V")), ["R"]);
        assert_eq!(labels(secured(CONFIDENTIALITY, "N")), [""; 0]);
        assert_eq!(labels(secured(SENSITIVITY, "OPIOIDUD")), ["ETH", "R"]);
        assert_eq!(labels(secured(SENSITIVITY, "TBOO")), ["R"]);
        assert_eq!(labels(secured("http://local.org", "x")), ["R"]);
        assert_eq!(
            labels(secured(
                "http://terminology.hl7.org/CodeSystem/v3-ActReason",
                "HTEST"
            )),
            [""; 0]
        );
        assert_eq!(
            labels(json!({"resourceType": "Basic", "meta": {"security": [{"display": "x"}]}})),
            ["R"]
        );
    }

    #[test]
    fn a_consent_about_hiv_is_not_hiv_data() {
        let consent = json!({"resourceType": "Consent", "status": "active", "scope": {"text": "x"},
            "category": [{"text": "x"}], "provision": {"code": [{"coding": [
                {"system": "http://snomed.info/sct", "code": "86406008"}]}],
                "securityLabel": [{"system": SENSITIVITY, "code": "HIV"}]}});
        assert_eq!(labels(consent), [""; 0]);
    }
}
