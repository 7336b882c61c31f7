//! Allergy concerns and observations: AllergyIntolerance.

use serde_json::{Value, json};

use super::datatypes::{SNOMED, coded};
use super::draft::Draft;
use super::section::Section;
use crate::ccda::codes::{self, code};
use crate::ccda::document::At;
use crate::compose::put;

const CLINICAL: &str = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical";
const VERIFIED: &str = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification";

impl<'a> Draft<'a> {
    pub(super) fn allergy_concern(&mut self, act: At<'a>, _: Section<'a>) -> Vec<usize> {
        act.related("observation")
            .map(|observation| self.allergy(observation, Some(act)))
            .collect()
    }

    pub(super) fn allergy_alone(&mut self, at: At<'a>, _: Section<'a>) -> Vec<usize> {
        vec![self.allergy(at, None)]
    }

    fn allergy(&mut self, at: At<'a>, concern: Option<At<'a>>) -> usize {
        let mut allergy = self.start("AllergyIntolerance", at);
        let times = self.times_in(at);
        let clinical = status(at, concern, times.high.is_some());
        put(&mut allergy, "clinicalStatus", coded(CLINICAL, clinical));
        let kind = at.child("value");
        let kind = kind.and_then(|value| value.attribute("code"));
        let kind = kind.unwrap_or_default();
        put(&mut allergy, "type", code(codes::ALLERGY_TYPE, kind).into());
        let category = code(codes::ALLERGY_CATEGORY, kind);
        put(&mut allergy, "category[]", category.into());
        let criticality = value_of(at, "82606-5");
        let criticality = criticality.and_then(|given| code(codes::CRITICALITY, given));
        put(&mut allergy, "criticality", criticality.into());
        self.substance(at, kind, &mut allergy);
        put(&mut allergy, "patient", self.subject());
        put(&mut allergy, "onsetDateTime", times.start().into());
        if let Some(end) = times.high {
            let url = "http://hl7.org/fhir/StructureDefinition/allergyintolerance-abatement";
            put(
                &mut allergy,
                "extension[]",
                json!({"url": url, "valueDateTime": end}),
            );
        }
        self.put_author((at, concern), &mut allergy, ("recorder", "recordedDate"));
        self.notes(at, &mut allergy);
        for reaction in at
            .all("entryRelationship")
            .filter(|relation| relation.is("typeCode", "MFST"))
            .filter_map(|relation| relation.child("observation"))
        {
            let reaction = self.reaction(reaction, severity(at));
            put(&mut allergy, "reaction[]", reaction);
        }
        self.add(at, allergy)
    }

    /// To what; or that there is nothing of the kind.
    fn substance(&mut self, at: At<'a>, kind: &str, allergy: &mut Value) {
        let substance = at.find(&["participant", "participantRole", "playingEntity"]);
        let named = substance.and_then(|entity| {
            let coded = self.concept_in(entity, "code");
            let name = entity.child("name").map(At::text);
            coded.or_else(|| {
                name.filter(|name| !name.is_empty())
                    .map(|name| json!({"text": name}))
            })
        });
        match (at.is_negated(), named) {
            (false, Some(named)) => put(allergy, "code", named),
            (false, None) => {
                let missing = substance.and_then(|entity| entity.child("code"));
                put(allergy, "code", self.concept_or_reason(missing));
            }
            (true, Some(named)) => {
                put(allergy, "verificationStatus", coded(VERIFIED, "refuted"));
                put(allergy, "code", named);
            }
            (true, None) => {
                let none = code(codes::NO_KNOWN_ALLERGY, kind).unwrap_or("716186003");
                put(allergy, "code", coded(SNOMED, none));
            }
        }
    }

    fn reaction(&mut self, at: At<'a>, usual: Option<&'static str>) -> Value {
        let manifestation = self.concept_or_reason(at.child("value"));
        let mut reaction = json!({"manifestation": [manifestation]});
        put(&mut reaction, "onset", self.times_in(at).start().into());
        put(&mut reaction, "severity", severity(at).or(usual).into());
        reaction
    }
}

fn severity(at: At<'_>) -> Option<&'static str> {
    code(codes::SEVERITY, value_of(at, "SEV")?)
}

/// The code of the value of the observation in it that has this code.
fn value_of<'a>(at: At<'a>, kind: &str) -> Option<&'a str> {
    let observation = at
        .related("observation")
        .find(|observation| observation.is_coded(kind))?;
    observation.child("value")?.attribute("code")
}

fn status(at: At<'_>, concern: Option<At<'_>>, has_ended: bool) -> &'static str {
    let said = value_of(at, "33999-4").and_then(|said| code(codes::ALLERGY_STATUS, said));
    let of_concern = concern
        .and_then(|concern| concern.child("statusCode")?.attribute("code"))
        .and_then(|status| code(codes::CONCERN_STATUS, status));
    match said {
        Some(said) => said,
        None if has_ended => "resolved",
        None => of_concern.unwrap_or("active"),
    }
}
