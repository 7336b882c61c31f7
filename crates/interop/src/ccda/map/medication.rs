//! Medication activities: what is ordered (`INT`) is a MedicationRequest, what is or was taken (`EVN`) a MedicationStatement.

use serde_json::{Value, json};

use super::draft::Draft;
use super::section::Section;
use crate::ccda::codes::{self, code};
use crate::ccda::document::At;
use crate::ccda::fault::Rule;
use crate::compose::{filled, number, put};

/// UCUM units that are units of time in FHIR.
const TIME_UNITS: [&str; 7] = ["s", "min", "h", "d", "wk", "mo", "a"];
/// Events of daily life on which FHIR and CDA agree.
const EVENTS: [&str; 14] = [
    "HS", "WAKE", "C", "CM", "CD", "CV", "AC", "ACM", "ACD", "ACV", "PC", "PCM", "PCD", "PCV",
];

impl<'a> Draft<'a> {
    /// The medications of an admission or a discharge.
    pub(super) fn medications_in(&mut self, act: At<'a>, section: Section<'a>) -> Vec<usize> {
        act.related("substanceAdministration")
            .flat_map(|one| self.medication(one, section))
            .collect()
    }

    pub(super) fn medication(&mut self, at: At<'a>, _: Section<'a>) -> Vec<usize> {
        let made = match at.attribute("moodCode") {
            Some("INT" | "RQO") => self.request(at, "order"),
            Some("EVN") | None => self.taken(at),
            Some(_) => {
                self.leave_unread(at);
                return Vec::new();
            }
        };
        vec![self.add(at, made)]
    }

    pub(super) fn request(&mut self, at: At<'a>, intent: &str) -> Value {
        let mut request = self.start("MedicationRequest", at);
        put(&mut request, "status", status(at).into());
        put(&mut request, "intent", intent.into());
        if at.is_negated() {
            put(&mut request, "doNotPerform", true.into());
        }
        let product = self.product(at);
        put(&mut request, "medicationCodeableConcept", product);
        put(&mut request, "subject", self.subject());
        self.put_author((at, None), &mut request, ("requester", "authoredOn"));
        self.reasons(at, &mut request);
        self.notes(at, &mut request);
        let dosage = self.dosage(at, true);
        put(&mut request, "dosageInstruction[]", dosage.into());
        let supply = at.related("supply").find(|one| one.is("moodCode", "INT"));
        let supply = supply.and_then(|supply| self.supply(supply));
        put(&mut request, "dispenseRequest", supply.into());
        request
    }

    fn taken(&mut self, at: At<'a>) -> Value {
        let mut statement = self.start("MedicationStatement", at);
        let status = if at.is_negated() {
            "not-taken"
        } else {
            status(at)
        };
        put(&mut statement, "status", status.into());
        let product = self.product(at);
        put(&mut statement, "medicationCodeableConcept", product);
        put(&mut statement, "subject", self.subject());
        if let Some(time) = at.child("effectiveTime") {
            self.times(time).put(&mut statement, "effective");
        }
        self.put_author(
            (at, None),
            &mut statement,
            ("informationSource", "dateAsserted"),
        );
        self.reasons(at, &mut statement);
        self.notes(at, &mut statement);
        let dosage = self.dosage(at, false);
        put(&mut statement, "dosage[]", dosage.into());
        statement
    }

    /// The material that is given, as a code or by its name.
    pub(super) fn product(&mut self, at: At<'a>) -> Value {
        let steps = ["consumable", "manufacturedProduct", "manufacturedMaterial"];
        let material = at.find(&steps);
        let coded = material.and_then(|material| self.concept_in(material, "code"));
        let name = material.and_then(|material| material.child("name"));
        let name = name.map(At::text).filter(|name| !name.is_empty());
        coded
            .or_else(|| name.map(|name| json!({"text": name})))
            .unwrap_or_else(|| {
                self.concept_or_reason(material.and_then(|material| material.child("code")))
            })
    }

    /// Indications.
    pub(super) fn reasons(&mut self, at: At<'a>, resource: &mut Value) {
        let reasons = at
            .all("entryRelationship")
            .filter(|relation| relation.is("typeCode", "RSON"))
            .filter_map(|relation| relation.find(&["observation", "value"]));
        for reason in reasons {
            put(resource, "reasonCode[]", self.concept(reason).into());
        }
    }

    /// How it is taken. Of a dose that can be read in part alone nobody is to take the part for the whole: its words stand.
    fn dosage(&mut self, at: At<'a>, has_bounds: bool) -> Option<Value> {
        let before = self.mistakes;
        let dosage = self.structured_dosage(at, has_bounds);
        if self.mistakes == before {
            return dosage;
        }
        let sig = dosage.and_then(|dosage| dosage["text"].as_str().map(str::to_owned));
        let words = sig.or_else(|| at.child("text")?.said());
        words.map(|words| json!({"text": words}))
    }

    fn structured_dosage(&mut self, at: At<'a>, has_bounds: bool) -> Option<Value> {
        let mut dosage = json!({});
        let sig = at
            .related("substanceAdministration")
            .find(|one| one.is_coded("76662-6"));
        let sig = sig.and_then(|sig| sig.child("text")?.said());
        put(&mut dosage, "text", sig.into());
        let instruction = at
            .all("entryRelationship")
            .filter(|relation| {
                relation.is("typeCode", "SUBJ") && relation.is("inversionInd", "true")
            })
            .filter_map(|relation| relation.find(&["act", "text"]))
            .find_map(At::said);
        put(&mut dosage, "patientInstruction", instruction.into());
        put(&mut dosage, "timing", self.timing(at, has_bounds).into());
        if let Some(condition) = at.child("precondition") {
            let value = condition.find(&["criterion", "value"]);
            match value.and_then(|value| self.concept(value)) {
                Some(concept) => put(&mut dosage, "asNeededCodeableConcept", concept),
                None => put(&mut dosage, "asNeededBoolean", true.into()),
            }
        }
        put(
            &mut dosage,
            "site",
            self.concept_in(at, "approachSiteCode").into(),
        );
        put(
            &mut dosage,
            "route",
            self.concept_in(at, "routeCode").into(),
        );
        let dose = self.dose(at);
        put(&mut dosage, "doseAndRate[]", dose.into());
        if let Some(most) = at.child("maxDoseQuantity") {
            let ends = ["numerator", "denominator"].map(|end| self.quantity_in(most, end));
            match ends {
                [Some(numerator), Some(denominator)] => {
                    let ratio = json!({"numerator": numerator, "denominator": denominator});
                    put(&mut dosage, "maxDosePerPeriod", ratio);
                }
                [None, None] => {}
                _ => self.leave_unread(most),
            }
        }
        filled(dosage)
    }

    fn dose(&mut self, at: At<'a>) -> Option<Value> {
        let mut dose = json!({});
        for (own, name) in [("doseQuantity", "dose"), ("rateQuantity", "rate")] {
            let Some(given) = at.child(own) else {
                continue;
            };
            let [low, high] = ["low", "high"].map(|end| self.quantity_in(given, end));
            if low.is_some() || high.is_some() {
                let mut range = json!({});
                put(&mut range, "low", low.into());
                put(&mut range, "high", high.into());
                put(&mut dose, &format!("{name}Range"), range);
            } else {
                let quantity = self.quantity(given);
                put(&mut dose, &format!("{name}Quantity"), quantity.into());
            }
        }
        filled(dose)
    }

    /// How long (the first `effectiveTime`), and how often (one with `operator="A"`).
    fn timing(&mut self, at: At<'a>, has_bounds: bool) -> Option<Value> {
        let mut timing = json!({});
        for time in at.all("effectiveTime") {
            match time.attribute("xsi:type") {
                Some("PIVL_TS") => self.periodic(time, &mut timing),
                Some("EIVL_TS") => self.eventual(time, &mut timing),
                _ if has_bounds => {
                    let times = self.times(time);
                    put(&mut timing, "event[]", times.at.clone().into());
                    put(&mut timing, "repeat.boundsPeriod", times.period().into());
                }
                _ => {}
            }
        }
        filled(timing)
    }

    /// Every so many hours, or so many times a day.
    fn periodic(&mut self, at: At<'a>, timing: &mut Value) {
        let Some(period) = at.child("period") else {
            return;
        };
        let (low, high) = (period.child("low"), period.child("high"));
        let least = low.unwrap_or(period);
        let Some(unit) = least
            .attribute("unit")
            .filter(|unit| TIME_UNITS.contains(unit))
        else {
            if least.attribute("value").is_some() {
                self.misread(
                    least,
                    Rule::Form("a length of time in s, min, h, d, wk, mo or a"),
                );
            }
            return;
        };
        let Some(length) = self.decimal(least, "value") else {
            return;
        };
        let times_a_day = length
            .as_u64()
            .filter(|hours| at.is("institutionSpecified", "true") && unit == "h" && *hours > 0)
            .filter(|hours| 24_u64.checked_rem(*hours) == Some(0))
            .and_then(|hours| 24_u64.checked_div(hours));
        put(timing, "repeat.frequency", times_a_day.unwrap_or(1).into());
        if times_a_day.is_some() {
            put(timing, "repeat.period", 1.into());
            put(timing, "repeat.periodUnit", "d".into());
            return;
        }
        put(timing, "repeat.period", length);
        let most = high.and_then(|high| self.decimal(high, "value"));
        put(timing, "repeat.periodMax", most.into());
        put(timing, "repeat.periodUnit", unit.into());
    }

    /// Before, with or after meals and sleep.
    fn eventual(&mut self, at: At<'a>, timing: &mut Value) {
        let event = at.child("event").and_then(|event| event.attribute("code"));
        let Some(event) = event.filter(|event| EVENTS.contains(event)) else {
            return;
        };
        put(timing, "repeat.when[]", event.into());
        let offset = at.child("offset");
        let offset = offset.map(|offset| offset.child("low").unwrap_or(offset));
        let minutes = offset.and_then(|offset| {
            let digits = number(offset.attribute("value")?)?;
            let each: u32 = match offset.attribute("unit")? {
                "min" => 1,
                "h" => 60,
                "d" => 1_440,
                _ => return None,
            };
            digits.parse::<u32>().ok()?.checked_mul(each)
        });
        let has_offset = !["C", "CM", "CD", "CV"].contains(&event);
        put(
            timing,
            "repeat.offset",
            minutes.filter(|_| has_offset).into(),
        );
    }

    fn supply(&mut self, at: At<'a>) -> Option<Value> {
        let mut supply = json!({});
        let period = self.times_in(at).period();
        put(&mut supply, "validityPeriod", period.into());
        let repeats = at.child("repeatNumber");
        let repeats = repeats.and_then(|repeats| self.integer(repeats, 0));
        // CDA counts the first dispense, FHIR what follows it.
        let repeats = repeats.map(|all| all.saturating_sub(1));
        put(&mut supply, "numberOfRepeatsAllowed", repeats.into());
        put(
            &mut supply,
            "quantity",
            self.quantity_in(at, "quantity").into(),
        );
        filled(supply)
    }
}

fn status(at: At<'_>) -> &'static str {
    let status = at.child("statusCode");
    let status = status.and_then(|status| status.attribute("code"));
    let status = status.and_then(|status| code(codes::MEDICATION_STATUS, status));
    status.unwrap_or("unknown")
}
