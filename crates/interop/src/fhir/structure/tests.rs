use super::*;
use serde_json::json;

fn broken(value: &Value) -> Vec<String> {
    let kind = ResourceType::parse(value["resourceType"].as_str().unwrap()).unwrap();
    check(kind, value.as_object().unwrap(), false)
        .errors
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_rule_is_found_and_placed() {
    let observation = |extra: Value| {
        let mut value = json!({"resourceType":"Observation","status":"final","code":{"text":"x"}});
        value
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        value
    };
    let table = [
        (
            json!({"resourceType":"Observation"}),
            vec![
                "`Observation.status` is required",
                "`Observation.code` is required",
            ],
        ),
        (
            observation(json!({"status": 1})),
            vec!["`Observation.status` is not a string"],
        ),
        (
            observation(json!({"status": " final"})),
            vec!["`Observation.status` has not the form of a FHIR code"],
        ),
        (
            observation(json!({"code": []})),
            vec!["`Observation.code` is not an object"],
        ),
        (
            observation(json!({"category": {}})),
            vec!["`Observation.category` is not an array"],
        ),
        (
            observation(json!({"subject": {"reference": 7}})),
            vec!["`Observation.subject.reference` is not a string"],
        ),
        (
            observation(json!({"code": {"coding": [{"code": 7}]}})),
            vec!["`Observation.code.coding[0].code` is not a string"],
        ),
        (
            observation(json!({"effectiveDateTime": "yesterday"})),
            vec!["`Observation.effectiveDateTime` has not the form of a FHIR dateTime"],
        ),
        (
            observation(json!({"valueString": "a", "valueInteger": 1})),
            vec!["`Observation` is given in more than one type"],
        ),
        (
            observation(json!({"valueQuantity": {"value": "1.0"}})),
            vec!["`Observation.valueQuantity.value` is not a number"],
        ),
        (
            observation(json!({"note": [{"text": null}]})),
            vec!["`Observation.note[0].text` is empty or null"],
        ),
        (
            observation(json!({"contained": [{"resourceType": "Nothing"}]})),
            vec!["`Observation.contained[0].resourceType` is not an R4 resource type"],
        ),
        (
            observation(json!({"contained": [{"resourceType":"Encounter","status":"finished"}]})),
            vec!["`Observation.contained[0].class` is required"],
        ),
        (
            observation(json!({"meta": {"tag": {"code": "x"}}})),
            vec!["`Observation.meta.tag` is not an array"],
        ),
        (
            json!({"resourceType":"Immunization","status":"completed","vaccineCode":{"text":"x"},
                "patient":{"reference":"Patient/1"}}),
            vec!["`Immunization.occurrenceDateTime` is required"],
        ),
        (
            json!({"resourceType":"Basic","author": {}}),
            vec![
                "`Basic.author` is empty or null",
                "`Basic.code` is required",
            ],
        ),
    ];
    for (value, expected) in table {
        assert_eq!(broken(&value), expected, "{value}");
    }
}

#[test]
fn an_extension_can_stand_for_a_value() {
    let value = json!({"resourceType":"Observation","code":{"text":"x"},
        "_status":{"extension":[{"url":"http://example.org/why","valueString":"unknown"}]},
        "component":[{"code":{"text":"y"},"_valueString":{"extension":[{"url":"http://example.org/why","valueCode":"x"}]}}]});
    assert_eq!(broken(&value), Vec::<String>::new());
}

fn patient(extra: &Value) -> Value {
    let mut value = json!({"resourceType": "Patient"});
    let members = extra.as_object().unwrap().clone();
    value.as_object_mut().unwrap().extend(members);
    value
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_depth_is_looked_at() {
    let coded = |system: &str, code: &str| {
        json!({"resourceType": "AllergyIntolerance", "patient": {"reference": "Patient/1"},
            "clinicalStatus": {"coding": [{"system": system, "code": code}]}})
    };
    let clinical = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical";
    let table = [
        (
            patient(&json!({"surname": "x"})),
            "`Patient.*` is not an element of R4 here",
        ),
        (
            patient(&json!({"status": "x"})),
            "`Patient.status` is not an element of R4 here",
        ),
        (
            patient(&json!({"contact": [{"given": ["x"]}]})),
            "`Patient.contact[0].given` is not an element of R4 here",
        ),
        (
            patient(&json!({"communication": [{"preferred": true}]})),
            "`Patient.communication[0].language` is required",
        ),
        (
            patient(&json!({"contact": [{"gender": "m"}]})),
            "`Patient.contact[0].gender` has no code of the required value set",
        ),
        (
            patient(&json!({"multipleBirthInteger": 1.0})),
            "`Patient.multipleBirthInteger` has not the form of a FHIR integer",
        ),
        (
            patient(&json!({"photo": [{"size": -1}]})),
            "`Patient.photo[0].size` has not the form of a FHIR unsignedInt",
        ),
        (
            patient(&json!({"birthDate": "2023-02-29"})),
            "`Patient.birthDate` has not the form of a FHIR date",
        ),
        (
            patient(&json!({"name": [{"given": ["a", null]}]})),
            "`Patient.name[0].given[1]` is empty or null",
        ),
        (
            patient(&json!({"name": [{"_given": [null]}]})),
            "`Patient.name[0].given` is empty or null",
        ),
        (
            patient(&json!({"_active": {"value": true}})),
            "`Patient.active.value` is not an element of R4 here",
        ),
        (
            patient(&json!({"_name": [{"id": "x"}]})),
            "`Patient.name` is not an element of R4 here",
        ),
        (
            patient(&json!({"name": [{"id": "x"}]})),
            "`Patient.name[0]` is empty or null",
        ),
        (
            patient(
                &json!({"deceasedBoolean": true, "_deceasedDateTime": {"extension": [{"url": "x", "valueCode": "y"}]}}),
            ),
            "`Patient` is given in more than one type",
        ),
        (
            patient(
                &json!({"extension": [{"url": "x", "valueDosage": {"timing": {"repeat": {"frequency": "1"}}}}]}),
            ),
            "`Patient.extension[0].valueDosage.timing.repeat.frequency` is not a number",
        ),
        (
            patient(&json!({"generalPractitioner": [{"reference": "Patient/1"}]})),
            "`Patient.generalPractitioner[0]` refers to a type that is not allowed",
        ),
        (
            patient(
                &json!({"managingOrganization": {"reference": "https://example.org/fhir/Location/1"}}),
            ),
            "`Patient.managingOrganization` refers to a type that is not allowed",
        ),
        (
            patient(
                &json!({"text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><script>1</script></div>"}}),
            ),
            "`Patient.text.div` is no FHIR narrative: it has an element that is not allowed",
        ),
        (
            patient(&json!({"contained": [{"resourceType": "Patient", "contained": []}]})),
            "`Patient.contained[0].contained` is nested in a contained resource",
        ),
        (
            coded(clinical, "gone"),
            "`AllergyIntolerance.clinicalStatus` has no code of the required value set",
        ),
        (
            coded("http://example.org", "active"),
            "`AllergyIntolerance.clinicalStatus` has no code of the required value set",
        ),
        (
            json!({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": {"resourceType": "Patient", "gender": 1}}]}),
            "`Bundle.entry[0].resource.gender` is not a string",
        ),
    ];
    for (value, expected) in table {
        assert_eq!(broken(&value), [expected], "{value}");
    }
    assert_eq!(broken(&coded(clinical, "active")), Vec::<String>::new());
}

#[test]
fn what_may_be_said_otherwise_passes() {
    for value in [
        patient(
            &json!({"generalPractitioner": [{"reference": "urn:uuid:x"}, {"reference": "#x"},
            {"reference": "https://example.org/Practitioner/1/_history/2"}, {"identifier": {"value": "x"}}]}),
        ),
        patient(
            &json!({"name": [{"given": ["a", null], "_given": [null, {"extension": [{"url": "x", "valueCode": "y"}]}]}]}),
        ),
        patient(&json!({"birthDate": "2024-02-29", "_birthDate": {"id": "x"}})),
        patient(
            &json!({"maritalStatus": {"coding": [{"system": "http://example.org", "code": "any"}]}}),
        ),
    ] {
        assert_eq!(broken(&value), Vec::<String>::new(), "{value}");
    }
}

#[test]
fn a_lenient_check_warns_where_nothing_is_lost() {
    let value = patient(
        &json!({"surname": "x", "gender": "m", "birthDate": "1.1.2000",
        "managingOrganization": {"reference": "Location/1"}}),
    );
    let kind = ResourceType::PATIENT;
    let found = check(kind, value.as_object().unwrap(), true);
    let rules = |problems: &[ElementProblem]| problems.iter().map(|it| it.rule).collect::<Vec<_>>();
    assert_eq!(rules(&found.errors), [ElementRule::Form("date")]);
    assert_eq!(
        rules(&found.warnings),
        [ElementRule::Defined, ElementRule::Code, ElementRule::Target]
    );
}

#[test]
fn problems_and_depth_are_bounded() {
    let many: Vec<Value> = (0..50).map(|_| json!({"family": 1})).collect();
    assert_eq!(
        broken(&patient(&json!({ "name": many }))).len(),
        PROBLEMS_MAX
    );
    let mut extension = json!({"url": "x", "valueCode": "y"});
    for _ in 0..DEPTH_MAX {
        extension = json!({"url": "x", "extension": [extension]});
    }
    let said = broken(&patient(&json!({ "extension": [extension] })));
    assert!(
        said.len() == 1 && said[0].ends_with("is nested too deep"),
        "{said:?}"
    );
}
