//! Immunization activities.

use serde_json::{Value, json};

use super::datatypes::{absent, coded, some_text};
use super::draft::Draft;
use super::section::{Section, template};
use crate::ccda::codes::{self, code};
use crate::ccda::document::At;
use crate::compose::put;

impl<'a> Draft<'a> {
    pub(super) fn immunization(&mut self, at: At<'a>, section: Section<'a>) -> Vec<usize> {
        if at.attribute("moodCode").is_some_and(|mood| mood != "EVN") {
            return self.planned_medication(at, section);
        }
        let mut immunization = self.start("Immunization", at);
        put(&mut immunization, "status", status(at).into());
        self.unwanted(at, &mut immunization);
        let vaccine = self.product(at);
        put(&mut immunization, "vaccineCode", vaccine);
        put(&mut immunization, "patient", self.subject());
        match self.times_in(at).start() {
            Some(time) => put(&mut immunization, "occurrenceDateTime", time.into()),
            None => put(&mut immunization, "_occurrenceDateTime", absent(None)),
        }
        let authors = self.authors_of(at).into_iter();
        let earliest = authors.filter_map(|author| author.time);
        put(&mut immunization, "recorded", earliest.min().into());
        let product = at.find(&["consumable", "manufacturedProduct"]);
        let maker = product.and_then(|product| product.child("manufacturerOrganization"));
        let maker = maker.and_then(|maker| self.organization(maker));
        put(&mut immunization, "manufacturer", maker.into());
        let lot = product.and_then(|one| one.find(&["manufacturedMaterial", "lotNumberText"]));
        put(
            &mut immunization,
            "lotNumber",
            some_text(lot.map_or_else(String::new, At::text)),
        );
        let site = self.concept_in(at, "approachSiteCode");
        put(&mut immunization, "site", site.into());
        put(
            &mut immunization,
            "route",
            self.concept_in(at, "routeCode").into(),
        );
        let dose = self.quantity_in(at, "doseQuantity");
        put(&mut immunization, "doseQuantity", dose.into());
        for actor in self.performers(at) {
            let function = coded("http://terminology.hl7.org/CodeSystem/v2-0443", "AP");
            let performer = json!({"function": function, "actor": actor});
            put(&mut immunization, "performer[]", performer);
        }
        self.reasons(at, &mut immunization);
        self.notes(at, &mut immunization);
        let number = at.child("repeatNumber");
        let number = number.and_then(|number| self.integer(number, 1));
        if let Some(number) = number {
            let dose = json!({"doseNumberPositiveInt": number});
            put(&mut immunization, "protocolApplied[]", dose);
        }
        vec![self.add(at, immunization)]
    }

    /// Why it was not given.
    fn unwanted(&mut self, at: At<'a>, immunization: &mut Value) {
        let refusal = template("22.4.53");
        let reason = at
            .related("observation")
            .find(|observation| observation.follows(&refusal));
        let reason = reason.and_then(|reason| self.concept_in(reason, "code"));
        put(immunization, "statusReason", reason.into());
    }
}

fn status(at: At<'_>) -> &'static str {
    if at.is_negated() {
        return "not-done";
    }
    let status = at.child("statusCode");
    let status = status.and_then(|status| status.attribute("code"));
    let status = status.and_then(|status| code(codes::IMMUNIZATION_STATUS, status));
    status.unwrap_or("not-done")
}
