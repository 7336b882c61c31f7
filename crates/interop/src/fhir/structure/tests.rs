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
