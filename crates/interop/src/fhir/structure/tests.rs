use super::*;
use serde_json::json;

fn broken(value: &Value) -> Vec<String> {
    let kind = ResourceType::parse(value["resourceType"].as_str().unwrap()).unwrap();
    problems(kind, value.as_object().unwrap())
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn the_table_holds_the_types_of_the_story() {
    assert_eq!(
        TABLE
            .keys()
            .filter(|name| ResourceType::parse(name).is_some())
            .count(),
        28
    );
    let observation = &TABLE["Observation"];
    let required = observation.iter().filter(|e| e.is_required).map(|e| e.name);
    assert_eq!(required.collect::<Vec<_>>(), ["status", "code"]);
    assert!(
        observation
            .iter()
            .any(|e| e.name == "effective" && e.is_choice)
    );
    for element in TABLE.values().flatten() {
        assert!(!element.name.is_empty() && !element.kinds.is_empty());
        assert!(
            element
                .name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric())
        );
    }
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
            vec![
                "`Observation.code` is not an object",
                "`Observation.code` is empty or null",
            ],
        ),
        (
            observation(json!({"category": {}})),
            vec![
                "`Observation.category` is not an array",
                "`Observation.category` is empty or null",
            ],
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
            vec![
                "`Observation.note[0].text` is not a string",
                "`Observation.note[0].text` is empty or null",
            ],
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
            vec!["`Basic.author` is empty or null"],
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
        "_focus":[null,{"id":"a"}]});
    assert_eq!(broken(&value), Vec::<String>::new());
}
