//! Who took part: Practitioners, Organizations and Locations, each once in the Bundle.
//!
//! Somebody with an identifier is a resource, somebody without one a name. What somebody is at an organization, or by
//! profession, is a PractitionerRole beside.

use serde_json::{Value, json};

use super::datatypes::some_text;
use super::draft::Draft;
use crate::ccda::document::At;
use crate::compose::{filled, key, put};

/// Professions and specialties (NUCC).
const SPECIALTIES: &str = "http://nucc.org/provider-taxonomy";

/// An author.
pub(super) struct Author {
    /// Nothing if it is an organization.
    pub(super) person: Option<Value>,
    /// The person, else the organization.
    pub(super) party: Option<Value>,
    pub(super) time: Option<String>,
}

impl<'a> Draft<'a> {
    /// The person of an `assignedAuthor` or `assignedEntity`, else its device or organization.
    pub(super) fn assigned(&mut self, role: At<'a>) -> Option<Value> {
        let organization = role
            .child("representedOrganization")
            .and_then(|organization| self.organization(organization));
        self.person_of(role).or(organization)
    }

    /// The person, or the name of a device.
    pub(super) fn person_of(&mut self, role: At<'a>) -> Option<Value> {
        if let Some(device) = role.child("assignedAuthoringDevice") {
            let names = ["manufacturerModelName", "softwareName"];
            let name = names.iter().find_map(|name| device.child(name));
            return name.and_then(|name| filled(json!({"display": name.text()})));
        }
        let name = role.find(&["assignedPerson", "name"]);
        let display = name.map(At::text).filter(|text| !text.is_empty());
        let mut practitioner = self.start("Practitioner", role);
        if practitioner.get("identifier").is_none() {
            return display.map(|display| json!({"display": display}));
        }
        let name = name.and_then(|name| self.name_of_person(name));
        put(&mut practitioner, "name[]", name.into());
        self.reachable(role, &mut practitioner);
        let whose = practitioner["identifier"][0].clone();
        let entry = self.add(role, practitioner);
        let mut reference = self.reference(entry);
        put(&mut reference, "display", display.into());
        self.practitioner_role(role, (&whose, &reference));
        Some(reference)
    }

    /// What somebody does, and for whom. It is found again by the identifiers of both and the code.
    fn practitioner_role(&mut self, role: At<'a>, (whose, practitioner): (&Value, &Value)) {
        let code = self.concept_in(role, "code");
        let organization = role
            .child("representedOrganization")
            .and_then(|organization| self.organization(organization));
        let organization = organization.filter(|one| one.get("reference").is_some());
        if code.is_none() && organization.is_none() {
            return;
        }
        let place = role.child("representedOrganization");
        let place = place.and_then(|place| self.identifiers(place).into_iter().next());
        let place = place.unwrap_or_default();
        let coding = code
            .as_ref()
            .map_or(Value::Null, |code| code["coding"][0].clone());
        let parts = [
            &whose["system"],
            &whose["value"],
            &place["system"],
            &place["value"],
            &coding["system"],
            &coding["code"],
        ];
        let value = key(&parts.map(|part| part.as_str().unwrap_or_default()));
        let own = json!({"system": "urn:careledger:ccda:role", "value": value});
        let mut made = json!({"resourceType": "PractitionerRole", "identifier": [own]});
        put(&mut made, "practitioner", practitioner.clone());
        put(&mut made, "organization", organization.into());
        let element = if coding["system"] == SPECIALTIES {
            "specialty[]"
        } else {
            "code[]"
        };
        put(&mut made, element, code.into());
        self.add(role, made);
    }

    /// Whether a role is the patient's own, as that of whoever sets a goal.
    fn is_patient(&mut self, role: At<'a>) -> bool {
        let Some(patient) = self.patient.and_then(|patient| self.entries.get(patient)) else {
            return false;
        };
        let known = patient.resource["identifier"].clone();
        let known = known.as_array().map_or(&[][..], Vec::as_slice);
        let own = self.identifiers(role);
        own.iter().any(|identifier| known.contains(identifier))
    }

    /// An organization, whatever part it has.
    pub(super) fn organization(&mut self, at: At<'a>) -> Option<Value> {
        let name = at.child("name").map_or_else(String::new, At::text);
        let mut organization = self.start("Organization", at);
        if organization.get("identifier").is_none() {
            return filled(json!({"display": some_text(name.clone())}))
                .filter(|_| !name.is_empty());
        }
        put(&mut organization, "name", some_text(name.clone()));
        self.reachable(at, &mut organization);
        let entry = self.add(at, organization);
        let mut reference = self.reference(entry);
        put(&mut reference, "display", some_text(name));
        Some(reference)
    }

    /// A Service Delivery Location, or a `healthCareFacility`.
    pub(super) fn place(&mut self, role: At<'a>) -> Option<Value> {
        let names = [["playingEntity", "name"], ["location", "name"]];
        let name = names.iter().find_map(|steps| role.find(steps));
        let name = name.map(At::text).filter(|name| !name.is_empty());
        let mut location = self.start("Location", role);
        if location.get("identifier").is_none() {
            return name.map(|name| json!({"display": name}));
        }
        put(&mut location, "name", name.clone().into());
        put(&mut location, "mode", "instance".into());
        put(
            &mut location,
            "type[]",
            self.concept_in(role, "code").into(),
        );
        for telecom in role.all("telecom") {
            put(&mut location, "telecom[]", self.telecom(telecom).into());
        }
        let address = role
            .child("addr")
            .or_else(|| role.find(&["location", "addr"]));
        let address = address.and_then(|address| self.address(address));
        put(&mut location, "address", address.into());
        let entry = self.add(role, location);
        let mut reference = self.reference(entry);
        put(&mut reference, "display", name.into());
        Some(reference)
    }

    /// The authors of an element in their order.
    pub(super) fn authors_of(&mut self, at: At<'a>) -> Vec<Author> {
        at.all("author")
            .map(|author| {
                let role = author.child("assignedAuthor");
                let time = author.child("time").and_then(|time| self.time(time));
                if role.is_some_and(|role| self.is_patient(role)) {
                    let subject = Some(self.subject());
                    return Author {
                        person: subject.clone(),
                        party: subject,
                        time,
                    };
                }
                Author {
                    person: role.and_then(|role| self.person_of(role)),
                    party: role.and_then(|role| self.assigned(role)),
                    time,
                }
            })
            .collect()
    }

    /// Puts the last author and the earliest time, if the element or its wrapper names any.
    pub(super) fn put_author(
        &mut self,
        (at, wrapper): (At<'a>, Option<At<'a>>),
        resource: &mut Value,
        (who, when): (&str, &str),
    ) {
        let mut authors = self.authors_of(at);
        if let (true, Some(wrapper)) = (authors.is_empty(), wrapper) {
            authors = self.authors_of(wrapper);
        }
        let last = authors
            .iter()
            .rev()
            .find_map(|author| author.person.clone());
        let earliest = authors.into_iter().filter_map(|author| author.time).min();
        put(resource, who, last.into());
        put(resource, when, earliest.into());
    }

    /// The performers of an element.
    pub(super) fn performers(&mut self, at: At<'a>) -> Vec<Value> {
        let roles = at
            .all("performer")
            .filter_map(|performer| performer.child("assignedEntity"));
        roles.filter_map(|role| self.assigned(role)).collect()
    }
}
