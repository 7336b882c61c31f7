use serde_json::{Value, json};

use super::*;

fn run(json: &Value, text: &str) -> String {
    let object = json.as_object().unwrap();
    let kind = crate::fhir::ResourceType::parse(object["resourceType"].as_str().unwrap()).unwrap();
    let element = Element::object(object, kind.as_str());
    let context = Context {
        focus: element,
        resource: element,
        root: element,
        now: Some("2026-06-01T12:00:00.000Z"),
    };
    let expression = match Expression::compile(text) {
        Ok(expression) => expression,
        Err(error) => return format!("syntax: {error}"),
    };
    match expression.evaluate(&context) {
        Ok(items) => items.iter().map(show).collect::<Vec<_>>().join("|"),
        Err(error) => format!("error: {error}"),
    }
}

fn show(item: &Item<'_>) -> String {
    let kind = item.type_name().1;
    let text = match item.value() {
        Some(Item::Boolean(value)) => value.to_string(),
        Some(Item::Integer(value)) => value.to_string(),
        Some(Item::Decimal(value)) => value.to_string(),
        Some(Item::String(value)) => value.into_owned(),
        Some(Item::Temporal(value)) => value.text().to_owned(),
        Some(Item::Quantity(value)) => value.show(),
        _ => "..".to_owned(),
    };
    format!("{kind}:{text}")
}

#[test]
#[ignore = "takes a file of cases"]
fn cases() {
    let text = std::fs::read_to_string("/tmp/ftc/cases.json").unwrap();
    let cases: Value = serde_json::from_str(&text).unwrap();
    let mut out = Vec::new();
    for case in cases.as_array().unwrap() {
        let result = std::panic::catch_unwind(|| {
            run(&case["resource"], case["expression"].as_str().unwrap())
        });
        out.push(json!([case["name"], result.unwrap_or("panic".into())]));
    }
    std::fs::write("/tmp/ftc/results.json", Value::from(out).to_string()).unwrap();
}
