//! Procedure activities, whichever of the three kinds of statement they are.

use serde_json::json;

use super::datatypes::absent;
use super::draft::Draft;
use super::section::Section;
use crate::ccda::codes::{self, code};
use crate::ccda::document::At;
use crate::compose::put;

impl<'a> Draft<'a> {
    pub(super) fn procedure(&mut self, at: At<'a>, _: Section<'a>) -> Vec<usize> {
        if at.attribute("moodCode").is_some_and(|mood| mood != "EVN") {
            self.leave_unread(at);
            return Vec::new();
        }
        let mut procedure = self.start("Procedure", at);
        put(&mut procedure, "status", status(at).into());
        let kind = self.require_code(at);
        put(&mut procedure, "code", kind);
        put(&mut procedure, "subject", self.subject());
        let times = self.times_in(at);
        if times.start().is_none() && times.high.is_none() {
            put(&mut procedure, "_performedDateTime", absent(None));
        } else {
            times.put(&mut procedure, "performed");
        }
        let authors = self.authors_of(at);
        let last = authors.into_iter().rev().find_map(|author| author.person);
        put(&mut procedure, "recorder", last.into());
        for actor in self.performers(at) {
            put(&mut procedure, "performer[]", json!({"actor": actor}));
        }
        let place = self.service_place(at);
        put(&mut procedure, "location", place.into());
        self.reasons(at, &mut procedure);
        let site = self.concept_in(at, "targetSiteCode");
        put(&mut procedure, "bodySite[]", site.into());
        self.devices(at, &mut procedure);
        self.notes(at, &mut procedure);
        vec![self.add(at, procedure)]
    }

    /// The first Service Delivery Location.
    pub(super) fn service_place(&mut self, at: At<'a>) -> Option<serde_json::Value> {
        let place = at
            .all("participant")
            .find(|participant| participant.is("typeCode", "LOC"))?;
        self.place(place.child("participantRole")?)
    }
}

fn status(at: At<'_>) -> &'static str {
    if at.is_negated() {
        return "not-done";
    }
    let status = at.child("statusCode");
    let status = status.and_then(|status| status.attribute("code"));
    let status = status.and_then(|status| code(codes::PROCEDURE_STATUS, status));
    status.unwrap_or("unknown")
}
