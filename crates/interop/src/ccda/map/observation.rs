//! Results, vital signs and social history: Observation and DiagnosticReport.

use serde_json::{Value, json};

use super::datatypes::coded;
use super::draft::Draft;
use super::problem::loinc;
use super::section::Section;
use crate::ccda::codes::{self, code};
use crate::ccda::document::At;
use crate::compose::put;

const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";
const SYSTOLIC: &str = "8480-6";
const DIASTOLIC: &str = "8462-4";
const SATURATION: [&str; 2] = ["59408-5", "2708-6"];
const OXYGEN: [&str; 2] = ["3150-0", "3151-8"];

impl<'a> Draft<'a> {
    pub(super) fn results(&mut self, organizer: At<'a>, _: Section<'a>) -> Vec<usize> {
        let mut report = self.start("DiagnosticReport", organizer);
        put(&mut report, "status", status(organizer).into());
        let laboratory = "http://terminology.hl7.org/CodeSystem/v2-0074";
        put(&mut report, "category[]", coded(laboratory, "LAB"));
        let kind = self.require_code(organizer);
        put(&mut report, "code", kind);
        put(&mut report, "subject", self.subject());
        let times = self.times_in(organizer);
        times.put(&mut report, "effective");
        for performer in self.performers(organizer) {
            put(&mut report, "performer[]", performer);
        }
        let mut earliest = None;
        for part in organizer.all("component") {
            let Some(observation) = part.child("observation") else {
                for other in part.elements() {
                    self.leave_unread(other);
                }
                continue;
            };
            let time = self.times_in(observation).start();
            earliest = earliest.into_iter().chain(time).min();
            let result = self.one(observation, Some("laboratory"));
            put(&mut report, "result[]", self.reference(result));
        }
        if times.start().is_none() {
            put(&mut report, "effectiveDateTime", earliest.into());
        }
        vec![self.add(organizer, report)]
    }

    pub(super) fn result(&mut self, at: At<'a>, _: Section<'a>) -> Vec<usize> {
        vec![self.one(at, Some("laboratory"))]
    }

    pub(super) fn vital_sign(&mut self, at: At<'a>, _: Section<'a>) -> Vec<usize> {
        vec![self.one(at, Some("vital-signs"))]
    }

    pub(super) fn social(&mut self, at: At<'a>, _: Section<'a>) -> Vec<usize> {
        vec![self.one(at, Some("social-history"))]
    }

    /// What somebody wants done or not done, as far as it is said here: the directive itself is another document.
    pub(super) fn directive(&mut self, at: At<'a>, _: Section<'a>) -> Vec<usize> {
        let mut observation = self.observation(at, None);
        let category = "http://hl7.org/fhir/us/core/CodeSystem/us-core-category";
        put(
            &mut observation,
            "category[]",
            coded(category, "observation-adi-documentation"),
        );
        for document in at
            .all("reference")
            .filter_map(|one| one.find(&["externalDocument", "id"]))
        {
            if let Some(identifier) = self.identifier(document) {
                put(
                    &mut observation,
                    "derivedFrom[]",
                    json!({"identifier": identifier, "type": "DocumentReference"}),
                );
            }
        }
        vec![self.add(at, observation)]
    }

    pub(super) fn directives(&mut self, organizer: At<'a>, section: Section<'a>) -> Vec<usize> {
        let parts = organizer
            .all("component")
            .filter_map(|part| part.child("observation"));
        parts
            .flat_map(|part| self.directive(part, section))
            .collect()
    }

    /// What somebody can do, body and mind.
    pub(super) fn function(&mut self, at: At<'a>, _: Section<'a>) -> Vec<usize> {
        vec![self.one(at, Some("survey"))]
    }

    pub(super) fn functions(&mut self, organizer: At<'a>, section: Section<'a>) -> Vec<usize> {
        let parts = organizer.all("component").flat_map(At::elements);
        parts
            .flat_map(|part| self.statement(part, section))
            .collect()
    }

    pub(super) fn pregnancy(&mut self, at: At<'a>, _: Section<'a>) -> Vec<usize> {
        let mut observation = self.observation(at, Some("social-history"));
        observation["code"] = loinc("82810-3", "Pregnancy status");
        let due = at
            .related("observation")
            .find(|one| one.is_coded("11778-8"));
        let due = due.and_then(|due| due.child("value"));
        if let Some(time) = due.and_then(|due| self.time(due)) {
            let component = json!({
                "code": loinc("11778-8", "Delivery date Estimated"), "valueDateTime": time });
            put(&mut observation, "component[]", component);
        }
        vec![self.add(at, observation)]
    }

    /// The sex at birth, which FHIR has at the patient.
    pub(super) fn birth_sex(&mut self, at: At<'a>, _: Section<'a>) -> Vec<usize> {
        let sex = at.child("value").and_then(|value| {
            value
                .attribute("code")
                .or_else(|| value.attribute("nullFlavor"))
        });
        let patient = self.patient.and_then(|index| self.entries.get_mut(index));
        if let (Some(sex @ ("F" | "M" | "UNK")), Some(patient)) = (sex, patient) {
            let url = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex";
            let extension = json!({"url": url, "valueCode": sex});
            put(&mut patient.resource, "extension[]", extension);
        }
        Vec::new()
    }

    /// A panel of vital signs. What FHIR has in one Observation is put together: the two blood pressures, and oxygen with the
    /// saturation that it goes with.
    pub(super) fn vital_signs(&mut self, organizer: At<'a>, _: Section<'a>) -> Vec<usize> {
        let mut panel = self.start("Observation", organizer);
        put(&mut panel, "status", status(organizer).into());
        put(&mut panel, "category[]", coded(CATEGORY, "vital-signs"));
        put(&mut panel, "code", loinc("85353-1", "Vital signs panel"));
        put(&mut panel, "subject", self.subject());
        self.times_in(organizer).put(&mut panel, "effective");
        let signs: Vec<At<'a>> = organizer
            .all("component")
            .filter_map(|part| part.child("observation"))
            .collect();
        let coded_as = |kind: &str| signs.iter().copied().find(|sign| sign.is_coded(kind));
        let pressure = coded_as(SYSTOLIC).zip(coded_as(DIASTOLIC));
        let saturation = SATURATION.iter().find_map(|kind| coded_as(kind));
        let mut made = Vec::new();
        for sign in &signs {
            let is_one_of = |kinds: &[&str]| kinds.iter().any(|kind| sign.is_coded(kind));
            let is_part = is_one_of(&[DIASTOLIC]) && pressure.is_some()
                || is_one_of(&OXYGEN) && saturation.is_some();
            if is_one_of(&[SYSTOLIC]) && pressure.is_some() {
                made.extend(pressure.map(|pressure| self.pressure(pressure)));
            } else if is_one_of(&SATURATION) {
                let oxygen = OXYGEN.iter().filter_map(|kind| coded_as(kind)).collect();
                made.push(self.with_components(*sign, oxygen));
            } else if !is_part {
                made.push(self.one(*sign, Some("vital-signs")));
            }
        }
        for sign in made {
            put(&mut panel, "hasMember[]", self.reference(sign));
        }
        if panel
            .get("effectiveDateTime")
            .or(panel.get("effectivePeriod"))
            .is_none()
            && let Some(first) = signs.first()
        {
            self.times_in(*first).put(&mut panel, "effective");
        }
        vec![self.add(organizer, panel)]
    }

    fn pressure(&mut self, (systolic, diastolic): (At<'a>, At<'a>)) -> usize {
        let mut both = self.observation(systolic, Some("vital-signs"));
        if let Some(both) = both.as_object_mut() {
            both.retain(|name, _| {
                !name.starts_with("value")
                    && !["interpretation", "referenceRange", "dataAbsentReason"]
                        .contains(&name.as_str())
            });
        }
        for identifier in self.identifiers(diastolic) {
            put(&mut both, "identifier[]", identifier);
        }
        both["code"] = loinc("85354-9", "Blood pressure panel with all children optional");
        for part in [systolic, diastolic] {
            put(&mut both, "component[]", self.component(part));
        }
        self.add(systolic, both)
    }

    fn with_components(&mut self, at: At<'a>, parts: Vec<At<'a>>) -> usize {
        let mut whole = self.observation(at, Some("vital-signs"));
        for part in parts {
            put(&mut whole, "component[]", self.component(part));
        }
        self.add(at, whole)
    }

    fn component(&mut self, at: At<'a>) -> Value {
        let mut component = json!({"code": self.require_code(at)});
        self.value(at, &mut component);
        for interpretation in at.all("interpretationCode") {
            let concept = self.concept(interpretation);
            put(&mut component, "interpretation[]", concept.into());
        }
        self.ranges(at, &mut component);
        component
    }

    fn one(&mut self, at: At<'a>, category: Option<&str>) -> usize {
        let observation = self.observation(at, category);
        self.add(at, observation)
    }

    pub(super) fn observation(&mut self, at: At<'a>, category: Option<&str>) -> Value {
        let mut observation = self.start("Observation", at);
        put(&mut observation, "status", status(at).into());
        if let Some(category) = category {
            put(&mut observation, "category[]", coded(CATEGORY, category));
        }
        let kind = self.require_code(at);
        put(&mut observation, "code", kind);
        put(&mut observation, "subject", self.subject());
        self.times_in(at).put(&mut observation, "effective");
        let authors = self.authors_of(at);
        for author in authors.into_iter().filter_map(|author| author.party) {
            put(&mut observation, "performer[]", author);
        }
        for performer in self.performers(at) {
            put(&mut observation, "performer[]", performer);
        }
        self.value(at, &mut observation);
        for interpretation in at.all("interpretationCode") {
            let concept = self.concept(interpretation);
            put(&mut observation, "interpretation[]", concept.into());
        }
        self.notes(at, &mut observation);
        let site = self.concept_in(at, "targetSiteCode");
        put(&mut observation, "bodySite", site.into());
        put(
            &mut observation,
            "method",
            self.concept_in(at, "methodCode").into(),
        );
        self.ranges(at, &mut observation);
        observation
    }
}

fn status(at: At<'_>) -> &'static str {
    let status = at.child("statusCode");
    let status = status.and_then(|status| status.attribute("code"));
    let status = status.and_then(|status| code(codes::REPORT_STATUS, status));
    status.unwrap_or("unknown")
}
