//! Links between patients: <https://hl7.org/fhir/R4/patient-definitions.html#Patient.link>.
//!
//! A merge changes two Patients and deletes nothing: the source is no longer active and `replaced-by` the target, which
//! `replaces` it and takes over its identifiers as old ones. Each mark says what it was made of, so that [`unmerge`] puts
//! both back.

use serde_json::{Value, json};

use crate::fhir::reference::Target;

/// On a link: whether the Patient was active before the merge; absent if it did not say.
const ACTIVE_BEFORE: &str = "urn:careledger:extension:active-before-merge";
/// On an identifier: the Patient from which a merge took it.
const TAKEN_FROM: &str = "urn:careledger:extension:merged-from";

/// Why two patients cannot be linked, merged or parted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkProblem {
    /// A patient and themselves.
    #[error("a patient is not linked to themselves")]
    Same,
    /// They are linked.
    #[error("the patients are linked already")]
    AlreadyLinked,
    /// They are not linked.
    #[error("the patients are not linked")]
    NotLinked,
    /// The source was merged before.
    #[error("the source was merged into another patient: unmerge it first")]
    SourceReplaced,
    /// The target was merged into another patient.
    #[error("the target was merged into another patient: merge into that one")]
    TargetReplaced,
    /// The source was not merged into the target.
    #[error("the source was not merged into the target")]
    NotMerged,
}

/// Notes on both that they may be of one person (`seealso`); both stay what they are.
pub fn link(one: &mut Value, other: &mut Value) -> Result<(), LinkProblem> {
    let (first, second) = places(one, other)?;
    if is_linked(one, &second, "seealso") {
        return Err(LinkProblem::AlreadyLinked);
    }
    add(one, linked("seealso", &second));
    add(other, linked("seealso", &first));
    Ok(())
}

/// Takes a `seealso` back.
pub fn unlink(one: &mut Value, other: &mut Value) -> Result<(), LinkProblem> {
    let (first, second) = places(one, other)?;
    if !is_linked(one, &second, "seealso") && !is_linked(other, &first, "seealso") {
        return Err(LinkProblem::NotLinked);
    }
    take(one, "link", |link| is_to(link, &second, "seealso"));
    take(other, "link", |link| is_to(link, &first, "seealso"));
    Ok(())
}

/// Merges `source` into `target`.
pub fn merge(source: &mut Value, target: &mut Value) -> Result<(), LinkProblem> {
    let (from, into) = places(source, target)?;
    if replaced_by(source).is_some() {
        return Err(LinkProblem::SourceReplaced);
    }
    if replaced_by(target).is_some() {
        return Err(LinkProblem::TargetReplaced);
    }
    take(source, "link", |link| is_to(link, &into, "seealso"));
    take(target, "link", |link| is_to(link, &from, "seealso"));
    let mut replaced = linked("replaced-by", &into);
    if let Some(active) = source.get("active") {
        replaced["extension"] = json!([{ "url": ACTIVE_BEFORE, "valueBoolean": active }]);
    }
    add(source, replaced);
    source["active"] = false.into();
    add(target, linked("replaces", &from));
    take_identifiers(source, target, &from);
    Ok(())
}

/// Takes a merge back; both are what they were, but for what was changed in between.
pub fn unmerge(source: &mut Value, target: &mut Value) -> Result<(), LinkProblem> {
    let (from, into) = places(source, target)?;
    let links = source.get("link").and_then(Value::as_array);
    let mut links = links.into_iter().flatten();
    let replaced = links.find(|link| is_to(link, &into, "replaced-by"));
    let before = replaced.ok_or(LinkProblem::NotMerged)?;
    let before = before.pointer("/extension/0/valueBoolean").cloned();
    take(source, "link", |link| is_to(link, &into, "replaced-by"));
    match before {
        Some(active) => source["active"] = active,
        None => {
            source.as_object_mut().and_then(|all| all.remove("active"));
        }
    }
    take(target, "link", |link| is_to(link, &from, "replaces"));
    take(target, "identifier", |one| is_taken(one, &from));
    Ok(())
}

/// The id of the Patient into which this one was merged.
pub fn replaced_by(patient: &Value) -> Option<&str> {
    of_kind(patient, "replaced-by").next()
}

/// The ids of the Patients that were merged into this one.
pub fn replaces(patient: &Value) -> impl Iterator<Item = &str> {
    of_kind(patient, "replaces")
}

/// Whether an identifier of a Patient was another's before a merge.
pub fn came_by_merge(identifier: &Value) -> bool {
    taken_from(identifier).is_some()
}

/// The ids of Patients that are said to be the same person, however they are linked.
pub fn linked_to(patient: &Value) -> impl Iterator<Item = &str> {
    ["replaced-by", "replaces", "seealso", "refer"]
        .into_iter()
        .flat_map(|kind| of_kind(patient, kind))
}

fn of_kind<'a>(patient: &'a Value, kind: &'static str) -> impl Iterator<Item = &'a str> {
    let links = patient.get("link").and_then(Value::as_array);
    let links = links.into_iter().flatten();
    links
        .filter(move |link| link["type"] == kind)
        .filter_map(|link| id_of(link.pointer("/other/reference")?.as_str()?))
}

fn id_of(reference: &str) -> Option<&str> {
    let local = Target::parse(reference).local()?;
    (local.resource_type.as_str() == "Patient").then_some(local.id)
}

fn places(one: &Value, other: &Value) -> Result<(String, String), LinkProblem> {
    let place = |of: &Value| format!("Patient/{}", of["id"].as_str().unwrap_or_default());
    let (first, second) = (place(one), place(other));
    if first == second {
        return Err(LinkProblem::Same);
    }
    Ok((first, second))
}

fn linked(kind: &str, to: &str) -> Value {
    json!({ "other": { "reference": to }, "type": kind })
}

fn is_to(link: &Value, place: &str, kind: &str) -> bool {
    link["type"] == kind && link.pointer("/other/reference").and_then(Value::as_str) == Some(place)
}

fn is_linked(patient: &Value, to: &str, kind: &str) -> bool {
    let links = patient.get("link").and_then(Value::as_array);
    links.is_some_and(|links| links.iter().any(|link| is_to(link, to, kind)))
}

fn add(patient: &mut Value, link: Value) {
    match patient.get_mut("link").and_then(Value::as_array_mut) {
        Some(links) => links.push(link),
        None => patient["link"] = json!([link]),
    }
}

/// Removes items of a list, and the list if it is empty then.
fn take(patient: &mut Value, element: &str, is_gone: impl Fn(&Value) -> bool) {
    let Some(list) = patient.get_mut(element).and_then(Value::as_array_mut) else {
        return;
    };
    list.retain(|one| !is_gone(one));
    if list.is_empty() {
        patient.as_object_mut().and_then(|all| all.remove(element));
    }
}

fn take_identifiers(source: &Value, target: &mut Value, from: &str) {
    let named = |one: &Value| (one["system"].clone(), one["value"].clone());
    let own = source.get("identifier").and_then(Value::as_array);
    for one in own.into_iter().flatten() {
        let there = target.get("identifier").and_then(Value::as_array);
        if there.is_some_and(|all| all.iter().any(|it| named(it) == named(one))) {
            continue;
        }
        let mut old = one.clone();
        old["use"] = "old".into();
        old["extension"] = json!([{ "url": TAKEN_FROM, "valueReference": { "reference": from } }]);
        match target.get_mut("identifier").and_then(Value::as_array_mut) {
            Some(all) => all.push(old),
            None => target["identifier"] = json!([old]),
        }
    }
}

fn is_taken(identifier: &Value, from: &str) -> bool {
    taken_from(identifier).is_some_and(|one| one == from)
}

fn taken_from(identifier: &Value) -> Option<&str> {
    let extensions = identifier.get("extension").and_then(Value::as_array);
    let mut extensions = extensions.into_iter().flatten();
    let taken = extensions.find(|one| one["url"] == TAKEN_FROM)?;
    taken.pointer("/valueReference/reference")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patient(id: &str) -> Value {
        json!({ "resourceType": "Patient", "id": id, "active": true,
            "identifier": [{ "system": "urn:mrn", "value": format!("{id}-1") }] })
    }

    #[test]
    fn an_unmerge_puts_both_back() {
        let (source, target) = (patient("a"), patient("b"));
        for active in [json!(true), json!(false), Value::Null] {
            let mut source = source.clone();
            if active.is_null() {
                source.as_object_mut().unwrap().remove("active");
            } else {
                source["active"] = active;
            }
            let (mut merged, mut into) = (source.clone(), target.clone());
            merge(&mut merged, &mut into).unwrap();
            assert_eq!(replaced_by(&merged), Some("b"));
            assert_eq!(merged["active"], false);
            assert_eq!(into["identifier"][1]["value"], "a-1");
            assert_eq!(into["identifier"][1]["use"], "old");
            assert_eq!(linked_to(&into).collect::<Vec<_>>(), ["a"]);
            unmerge(&mut merged, &mut into).unwrap();
            assert_eq!((merged, into), (source, target.clone()));
        }
    }

    #[test]
    fn merges_do_not_contradict_each_other() {
        let (mut a, mut b, mut c) = (patient("a"), patient("b"), patient("c"));
        merge(&mut a, &mut b).unwrap();
        assert_eq!(merge(&mut b, &mut a), Err(LinkProblem::TargetReplaced));
        assert_eq!(merge(&mut a, &mut c), Err(LinkProblem::SourceReplaced));
        assert_eq!(merge(&mut c.clone(), &mut c), Err(LinkProblem::Same));
        assert_eq!(unmerge(&mut b, &mut a), Err(LinkProblem::NotMerged));
        merge(&mut b, &mut c).unwrap();
        assert_eq!(replaced_by(&b), Some("c"));
    }

    #[test]
    fn a_link_is_on_both_sides_and_goes_from_both() {
        let (mut a, mut b) = (patient("a"), patient("b"));
        assert_eq!(unlink(&mut a, &mut b), Err(LinkProblem::NotLinked));
        link(&mut a, &mut b).unwrap();
        assert_eq!(link(&mut a, &mut b), Err(LinkProblem::AlreadyLinked));
        assert_eq!(
            (linked_to(&a).next(), linked_to(&b).next()),
            (Some("b"), Some("a"))
        );
        unlink(&mut b, &mut a).unwrap();
        assert_eq!((a, b), (patient("a"), patient("b")));
    }
}
