use serde_json::json;

use super::*;

fn element(id: &str, min: u32, max: &str, mut more: Value) -> Value {
    let mut element = json!({"id": id, "path": id, "min": min, "max": max});
    let more = more.as_object_mut().unwrap();
    element.as_object_mut().unwrap().append(more);
    element
}

/// An extension with a text.
fn place() -> Value {
    let kinds = |code: &str| json!([{"code": code}]);
    json!([
        element("Extension", 0, "1", json!({})),
        element(
            "Extension.url",
            1,
            "1",
            json!({"fixedUri": "http://t/place"})
        ),
        element(
            "Extension.value[x]",
            1,
            "1",
            json!({"type": kinds("string")})
        ),
    ])
}

/// A Patient with one medical record number and perhaps a birth place.
fn package() -> Vec<Value> {
    let system = json!([{"type": "value", "path": "system"}]);
    let url = json!([{"type": "value", "path": "url"}]);
    let kinds = |code: &str| json!([{"code": code}]);
    let elements = json!([
        element(
            "Patient",
            0,
            "*",
            json!({"constraint": [{"key": "t-1", "severity": "warning",
            "human": "a patient has a name or an identifier", "expression": "name.exists() or identifier.exists()"}]})
        ),
        element(
            "Patient.extension",
            0,
            "*",
            json!({"slicing": {"discriminator": url, "rules": "open"}, "type": kinds("Extension")})
        ),
        element(
            "Patient.extension:place",
            1,
            "1",
            json!({"type": [{"code": "Extension", "profile": ["http://t/place"]}]})
        ),
        element(
            "Patient.identifier",
            1,
            "*",
            json!({"slicing": {"discriminator": system, "rules": "closed"}})
        ),
        element("Patient.identifier:mrn", 1, "1", json!({})),
        element(
            "Patient.identifier:mrn.system",
            1,
            "1",
            json!({"fixedUri": "urn:mrn"})
        ),
        element("Patient.identifier:mrn.value", 1, "1", json!({})),
        element(
            "Patient.gender",
            0,
            "1",
            json!({"type": kinds("code"), "binding": {"strength": "required", "valueSet": "http://t/two|1"}})
        ),
        element(
            "Patient.maritalStatus",
            0,
            "1",
            json!({"patternCodeableConcept": {"coding": [{"code": "M"}]}})
        ),
        element(
            "Patient.deceased[x]",
            0,
            "1",
            json!({"type": kinds("boolean")})
        ),
        element("Patient.photo", 0, "0", json!({})),
    ]);
    vec![
        json!({"resourceType": "StructureDefinition", "url": "http://t/patient", "type": "Patient", "snapshot": {"element": elements}}),
        json!({"resourceType": "StructureDefinition", "url": "http://t/place", "type": "Extension", "snapshot": {"element": place()}}),
        json!({"resourceType": "ValueSet", "url": "http://t/two", "compose": {"include": [
            {"system": "http://t/s", "concept": [{"code": "male"}, {"code": "female"}]}]}}),
    ]
}

fn patient() -> Value {
    json!({"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "1"}], "gender": "male",
        "extension": [{"url": "http://t/place", "valueString": "x"}],
        "maritalStatus": {"coding": [{"system": "s", "code": "M"}]}, "deceasedBoolean": false})
}

fn found(change: impl FnOnce(&mut Value)) -> Vec<(IssueType, String)> {
    let mut value = patient();
    change(&mut value);
    let resource = Resource::from_value(value).unwrap();
    let issues = Profiles::of(&package()).validate("http://t/patient|1.0", &resource);
    let issues = issues.unwrap().into_iter();
    issues
        .map(|issue| (issue.code, issue.expression[0].clone()))
        .collect()
}

use super::super::IssueType;

#[test]
fn what_the_profile_demands_is_demanded_and_no_more() {
    assert_eq!(found(|_| {}), []);
    let one = |code, path: &str| vec![(code, path.to_owned())];
    assert_eq!(
        found(|it| it["identifier"][0] = json!({"system": "urn:mrn", "use": "usual"})),
        one(IssueType::Required, "Patient.identifier[0].value")
    );
    assert_eq!(
        found(|it| it["identifier"] =
            json!([{"system": "urn:mrn", "value": "1"}, {"system": "urn:mrn", "value": "2"}])),
        one(IssueType::Structure, "Patient.identifier")
    );
    assert_eq!(
        found(|it| it["identifier"] =
            json!([{"system": "urn:mrn", "value": "1"}, {"system": "urn:x"}])),
        one(IssueType::Structure, "Patient.identifier[1]")
    );
    assert_eq!(
        found(|it| it["gender"] = json!("other")),
        one(IssueType::CodeInvalid, "Patient.gender")
    );
    assert_eq!(
        found(|it| it["maritalStatus"] = json!({"coding": [{"code": "S"}]})),
        one(IssueType::Value, "Patient.maritalStatus")
    );
    assert_eq!(
        found(|it| it["photo"] = json!([{"title": "x"}])),
        one(IssueType::Structure, "Patient.photo")
    );
}

#[test]
fn extensions_are_held_against_their_own_profile() {
    let one = |code, path: &str| vec![(code, path.to_owned())];
    assert_eq!(
        found(|it| it["extension"] = json!([{"url": "http://t/other", "valueString": "x"}])),
        one(IssueType::Required, "Patient.extension")
    );
    assert_eq!(
        found(|it| it["extension"] = json!([{"url": "http://t/place", "valueBoolean": true}])),
        one(IssueType::Structure, "Patient.extension[0].valueBoolean")
    );
}

#[test]
fn a_choice_keeps_to_the_types_of_the_profile() {
    let found = found(|it| {
        it.as_object_mut().unwrap().shift_remove("deceasedBoolean");
        it["deceasedDateTime"] = json!("2020");
    });
    assert_eq!(
        found,
        [(IssueType::Structure, "Patient.deceasedDateTime".to_owned())]
    );
}

#[test]
fn an_invariant_of_a_profile_has_its_severity() {
    let resource =
        Resource::from_value(json!({"resourceType": "Patient", "active": true})).unwrap();
    let profiles = Profiles::of(&package());
    let issues = profiles.validate("http://t/patient", &resource).unwrap();
    let warnings: Vec<&Issue> = issues
        .iter()
        .filter(|it| it.severity == Severity::Warning)
        .collect();
    assert_eq!(warnings.len(), 1);
    assert!(profiles.validate("http://t/none", &resource).is_none());
    assert_eq!(
        profiles.on("Patient").collect::<Vec<_>>(),
        ["http://t/patient"]
    );
}
