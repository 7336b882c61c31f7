//! Care team organizers: CareTeam.

use serde_json::{Value, json};

use super::draft::Draft;
use super::section::{Section, template};
use crate::ccda::codes::{self, code};
use crate::ccda::document::At;
use crate::compose::{filled, put};

impl<'a> Draft<'a> {
    pub(super) fn care_team(&mut self, organizer: At<'a>, section: Section<'a>) -> Vec<usize> {
        let mut team = self.start("CareTeam", organizer);
        let status = organizer.child("statusCode");
        let status = status.and_then(|status| status.attribute("code"));
        let status = status.and_then(|status| code(codes::TEAM_STATUS, status));
        put(&mut team, "status", status.into());
        let name = organizer.child("code");
        let name = name.and_then(|name| name.child("originalText")?.said());
        put(&mut team, "name", name.into());
        put(&mut team, "subject", self.subject());
        let times = self.times_in(organizer);
        put(&mut team, "period", times.period().into());
        let (member, kind) = (template("22.4.500.1"), template("22.4.500.2"));
        let mut made = Vec::new();
        for part in organizer.all("component").flat_map(At::elements) {
            if part.follows(&member) {
                for participant in self.members(part) {
                    put(&mut team, "participant[]", participant);
                }
            } else if part.follows(&kind) {
                let category = self.concept_in(part, "value");
                put(&mut team, "category[]", category.into());
            } else {
                made.extend(self.statement(part, section));
            }
        }
        made.insert(0, self.add(organizer, team));
        made
    }

    fn members(&mut self, act: At<'a>) -> Vec<Value> {
        let times = self.times_in(act);
        let performers = act.all("performer");
        let members = performers.filter_map(|performer| {
            let mut participant = json!({});
            let role = self.concept_in(performer, "functionCode");
            put(&mut participant, "role[]", role.into());
            let who = performer.child("assignedEntity");
            let who = who.and_then(|who| self.assigned(who));
            put(&mut participant, "member", who.into());
            put(&mut participant, "period", times.period().into());
            filled(participant)
        });
        members.collect()
    }
}
