use serde_json::json;

use super::*;

fn patient() -> Resource {
    Resource::from_value(json!({"resourceType": "Patient", "id": "p",
        "name": [{"family": "A", "given": ["x", "y"], "_given": [null, {"id": "g"}]}],
        "birthDate": "1920-01-01", "_birthDate": {"id": "b"}}))
    .unwrap()
}

fn operation(kind: &str, path: &str, more: &[Value]) -> Value {
    let mut parts = vec![
        json!({"name": "type", "valueCode": kind}),
        json!({"name": "path", "valueString": path}),
    ];
    parts.extend_from_slice(more);
    json!({"name": "operation", "part": parts})
}

fn patch(operations: &[Value]) -> Result<Value, PatchError> {
    let parameters = json!({"resourceType": "Parameters", "parameter": operations});
    let patch = Patch::from_parameters(&Resource::from_value(parameters).unwrap())?;
    patch.apply(&patient()).map(Resource::into_value)
}

fn json_patch(operations: &Value) -> Result<Value, PatchError> {
    let patch = Patch::from_json(operations.to_string().as_bytes())?;
    patch.apply(&patient()).map(Resource::into_value)
}

#[test]
fn a_json_patch_is_applied_as_a_whole() {
    let patched = json_patch(&json!([
        {"op": "test", "path": "/birthDate", "value": "1920-01-01"},
        {"op": "replace", "path": "/birthDate", "value": "1930-01-01"},
        {"op": "add", "path": "/name/0/given/-", "value": "z"},
    ]));
    let patched = patched.unwrap();
    assert_eq!(patched["birthDate"], "1930-01-01");
    assert_eq!(patched["name"][0]["given"], json!(["x", "y", "z"]));
}

#[test]
fn a_json_patch_that_cannot_be_applied_says_which_operation_and_no_value() {
    let failing = json_patch(&json!([
        {"op": "remove", "path": "/birthDate"},
        {"op": "test", "path": "/name/0/family", "value": "Planted"},
    ]));
    let text = failing.unwrap_err().to_string();
    assert_eq!(
        text,
        "operation 1: the test at `Patient.name[0].family` fails"
    );
    let nowhere = json_patch(&json!([{"op": "remove", "path": "/name/0/Planted"}]));
    let text = nowhere.unwrap_err().to_string();
    assert_eq!(
        text,
        "operation 0: the path `Patient.name[0].*` names nothing"
    );
    let identity = json_patch(&json!([{"op": "replace", "path": "/id", "value": "q"}]));
    assert_eq!(identity.unwrap_err(), PatchError::IdentityChanged);
    let broken = json_patch(&json!([{"op": "replace", "path": "/birthDate", "value": "May"}]));
    assert!(matches!(broken.unwrap_err(), PatchError::Result(_)));
    assert_eq!(
        json_patch(&json!({})).unwrap_err(),
        PatchError::NotJsonPatch
    );
}

#[test]
fn copies_do_not_double_without_end() {
    let copy = json!({"op": "copy", "from": "/name", "path": "/name/-"});
    let copies: Vec<Value> = std::iter::repeat_n(copy, 40).collect();
    let problem = OperationProblem::TooLarge;
    let error = json_patch(&copies.into()).unwrap_err();
    assert!(matches!(error, PatchError::Operation { problem: found, .. } if found == problem));
    let many = json!({"op": "remove", "path": "/x"});
    let many: Vec<Value> = std::iter::repeat_n(many, OPERATIONS_MAX + 1).collect();
    assert_eq!(
        json_patch(&many.into()).unwrap_err(),
        PatchError::TooManyOperations
    );
}

#[test]
fn the_operations_of_fhirpath_patch_do_what_they_say() {
    let given = |mut value: Value| {
        let mut part = json!({"name": "value"});
        part.as_object_mut()
            .unwrap()
            .append(value.as_object_mut().unwrap());
        part
    };
    let named = |name: &str| json!({"name": "name", "valueString": name});
    let number = |name: &str, value: u32| json!({"name": name, "valueInteger": value});
    let patched = patch(&[
        operation(
            "replace",
            "Patient.birthDate",
            &[given(json!({"valueDate": "1930-01-01"}))],
        ),
        operation(
            "add",
            "Patient",
            &[named("active"), given(json!({"valueBoolean": true}))],
        ),
        operation(
            "add",
            "Patient",
            &[named("deceased"), given(json!({"valueBoolean": true}))],
        ),
        operation(
            "replace",
            "Patient.deceased",
            &[given(json!({"valueDateTime": "2020"}))],
        ),
        operation(
            "insert",
            "Patient.name.given",
            &[number("index", 1), given(json!({"valueString": "i"}))],
        ),
        operation(
            "move",
            "Patient.name.given",
            &[number("source", 2), number("destination", 0)],
        ),
        operation("delete", "Patient.name.where(family = 'B')", &[]),
        operation("delete", "Patient.name.family", &[]),
        operation(
            "add",
            "Patient",
            &[
                named("contact"),
                json!({"name": "value", "part": [
                    {"name": "name", "valueHumanName": {"text": "n"}},
                    {"name": "telecom", "valueContactPoint": {"system": "phone"}},
                ]}),
            ],
        ),
    ]);
    let expected = json!({"resourceType": "Patient", "id": "p",
        "name": [{"given": ["y", "x", "i"], "_given": [{"id": "g"}, null, null]}],
        "birthDate": "1930-01-01", "active": true, "deceasedDateTime": "2020",
        "contact": [{"name": {"text": "n"}, "telecom": [{"system": "phone"}]}]});
    assert_eq!(patched.unwrap(), expected);
}

#[test]
fn a_list_goes_with_its_last_item() {
    let patched = patch(&[
        operation("delete", "Patient.name.given[0]", &[]),
        operation("delete", "Patient.name.given[0]", &[]),
    ]);
    assert_eq!(patched.unwrap()["name"], json!([{"family": "A"}]));
}

#[test]
fn a_fhirpath_patch_that_does_not_fit_is_refused() {
    let value = json!({"name": "value", "valueString": "v"});
    let named = |name: &str| json!({"name": "name", "valueString": name});
    let index = json!({"name": "index", "valueInteger": 9});
    for (operation, expected) in [
        (
            operation("add", "Patient", &[named("birthDate"), value.clone()]),
            OperationProblem::Occupied,
        ),
        (
            operation("add", "Patient", &[named("nothing"), value.clone()]),
            OperationProblem::UnknownName,
        ),
        (
            operation("delete", "Patient.name.given", &[]),
            OperationProblem::SeveralElements,
        ),
        (
            operation("delete", "Patient", &[]),
            OperationProblem::NotAnElement,
        ),
        (
            operation("delete", "'a' + 'b'", &[]),
            OperationProblem::NotAnElement,
        ),
        (
            operation("replace", "Patient.birthDate", &[]),
            OperationProblem::Part("value"),
        ),
        (
            operation("grow", "Patient", &[]),
            OperationProblem::UnknownType,
        ),
        (
            operation("insert", "Patient.name.given", &[index, value.clone()]),
            OperationProblem::IndexTooLarge,
        ),
        (
            operation("replace", "Patient.gender", &[value]),
            OperationProblem::NothingThere {
                path: "path".to_owned(),
            },
        ),
    ] {
        let problem = patch(&[operation]).unwrap_err();
        assert_eq!(
            problem,
            PatchError::Operation {
                index: 0,
                problem: expected
            }
        );
    }
}
