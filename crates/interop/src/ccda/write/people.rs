//! Who took part: by name, and by identifier where the record has them.

use serde_json::Value;

use super::Record;
use super::datatypes::{address, concept, each, ids, name, some_concept, telecom, time};
use super::tag::{Tag, tag, text};

/// The resources to which references lead.
pub(super) fn referred<'a>(references: &Value, record: &Record<'a>) -> Vec<&'a Value> {
    let named = each(references).iter();
    named
        .filter_map(|reference| resource(reference, record))
        .collect()
}

fn resource<'a>(reference: &Value, record: &Record<'a>) -> Option<&'a Value> {
    let place = reference["reference"].as_str()?;
    let mut places = record.resources.iter().chain([record.patient]);
    places.find(|one| is_at(one, place))
}

fn is_at(resource: &Value, place: &str) -> bool {
    let names = [resource["resourceType"].as_str(), resource["id"].as_str()];
    matches!(names, [Some(kind), Some(id)] if place == format!("{kind}/{id}"))
}

/// Who wrote something down, and when; nothing if neither is known.
pub(super) fn author(record: &Record<'_>, who: &Value, when: &Value) -> Option<Tag> {
    let when = time("time", when);
    if when.is_none() && !who.is_object() {
        return None;
    }
    let when = when.unwrap_or_else(|| tag("time").with("nullFlavor", "UNK"));
    Some(tag("author").holding([when, assigned("assignedAuthor", record, who)]))
}

/// Who did something, each of a list of references.
pub(super) fn performers<'a>(
    record: &Record<'_>,
    references: impl IntoIterator<Item = &'a Value>,
) -> Vec<Tag> {
    let each = references.into_iter().filter(|who| who.is_object());
    each.map(|who| tag("performer").holding([assigned("assignedEntity", record, who)]))
        .collect()
}

/// A role: of a person, of an organization, or of the patient.
pub(super) fn assigned(element: &'static str, record: &Record<'_>, who: &Value) -> Tag {
    let role = tag(element);
    let nobody = || tag("id").with("nullFlavor", "NI");
    match resource(who, record) {
        Some(one) if one["resourceType"] == "Patient" => role.holding(ids(one)),
        Some(one) if one["resourceType"] == "Organization" => role
            .holding([nobody()])
            .holding([organization("representedOrganization", one)]),
        Some(one) if one["resourceType"] == "Practitioner" => practitioner(role, record, one),
        _ => {
            let named = who["display"].as_str().map(|named| text("name", named));
            let person = named.map(|named| tag("assignedPerson").holding([named]));
            role.holding([nobody()]).holding(person)
        }
    }
}

/// A practitioner with the first role that the record has of them.
fn practitioner(whole: Tag, record: &Record<'_>, one: &Value) -> Tag {
    let mut roles = record.resources.iter().filter(|role| {
        let place = role["practitioner"]["reference"].as_str();
        role["resourceType"] == "PractitionerRole" && place.is_some_and(|place| is_at(one, place))
    });
    let role = roles.next();
    let profession = role.and_then(|role| {
        let elements = ["specialty", "code"];
        let found = elements.iter().find_map(|element| role[*element].get(0))?;
        Some(concept("code", found))
    });
    let place = role.and_then(|role| resource(&role["organization"], record));
    let person = one["name"]
        .get(0)
        .map(|named| tag("assignedPerson").holding([name(named)]));
    whole
        .holding(ids(one))
        .holding(profession)
        .holding(each(&one["address"]).iter().map(address))
        .holding(each(&one["telecom"]).iter().filter_map(telecom))
        .holding(person)
        .holding(place.map(|place| organization("representedOrganization", place)))
}

pub(super) fn organization(element: &'static str, one: &Value) -> Tag {
    tag(element)
        .holding(ids(one))
        .holding(one["name"].as_str().map(|named| text("name", named)))
        .holding(each(&one["telecom"]).iter().filter_map(telecom))
        .holding(each(&one["address"]).iter().map(address))
}

/// Who took part in an encounter, with their functions.
pub(super) fn participants(record: &Record<'_>, participants: &Value) -> Vec<Tag> {
    let each = each(participants).iter();
    each.filter(|one| one["individual"].is_object())
        .map(|one| {
            tag("performer")
                .holding(some_concept("sdtc:functionCode", &one["type"][0]))
                .holding([assigned("assignedEntity", record, &one["individual"])])
        })
        .collect()
}
