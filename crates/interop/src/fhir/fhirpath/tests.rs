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

fn patient() -> Value {
    json!({"resourceType": "Patient", "id": "p", "active": true, "birthDate": "1974-12-25",
        "_birthDate": {"extension": [{"url": "time", "valueDateTime": "1974-12-25T14:35:45-05:00"}]},
        "name": [{"use": "official", "family": "Chalmers", "given": ["Peter", "James"]},
            {"use": "usual", "given": ["Jim"], "_given": [{"id": "g"}]}],
        "deceasedBoolean": false, "multipleBirthInteger": 2,
        "contained": [{"resourceType": "Organization", "id": "o", "name": "ACME"}],
        "managingOrganization": {"reference": "#o"}})
}

/// Each line: an expression, and the types and values of its result.
#[track_caller]
fn check(lines: &[(&str, &str)]) {
    for (text, expected) in lines {
        assert_eq!(run(&patient(), text), *expected, "{text}");
    }
}

#[test]
fn paths_lead_to_elements_with_their_types() {
    check(&[
        ("Patient.name.given", "string:Peter|string:James|string:Jim"),
        ("name[0].given[1]", "string:James"),
        ("Observation.value", ""),
        ("DomainResource.active", "boolean:true"),
        ("deceased", "boolean:false"),
        ("multipleBirth is integer", "Boolean:true"),
        ("deceasedBoolean", ""),
        ("birthDate is date", "Boolean:true"),
        (
            "birthDate.extension('time').value",
            "dateTime:1974-12-25T14:35:45-05:00",
        ),
        ("name[1].given.id", "string:g"),
        ("contained.ofType(Organization).name", "string:ACME"),
        ("managingOrganization.resolve().name", "string:ACME"),
        ("managingOrganization.type().name", "String:Reference"),
        ("children().count()", "Integer:9"),
        (
            "descendants().where($this is HumanName).count()",
            "Integer:2",
        ),
    ]);
}

#[test]
fn nothing_spreads_through_logic_with_three_values() {
    check(&[
        ("{} and false", "Boolean:false"),
        ("{} and true", ""),
        ("{} or true", "Boolean:true"),
        ("false implies {}", "Boolean:true"),
        ("{} implies true", "Boolean:true"),
        ("true xor {}", ""),
        ("{} = 1", ""),
        ("name.exists() and gender.empty()", "Boolean:true"),
        (
            "name.given in ('Peter')",
            "error: an operand has several items where one is allowed",
        ),
        ("'Jim' in name.given", "Boolean:true"),
    ]);
}

#[test]
fn criteria_see_one_item_at_a_time() {
    check(&[
        ("name.where(use = 'usual').given", "string:Jim"),
        ("name.given.select($index)", "Integer:0|Integer:1|Integer:2"),
        ("name.all(given.exists())", "Boolean:true"),
        ("name.family.all($this = 'Chalmers')", "Boolean:true"),
        ("(1 | 2 | 3).aggregate($this + $total, 0)", "Integer:6"),
        ("(1 | 1 | 2).count()", "Integer:2"),
        ("name.given.combine('Jim').isDistinct()", "Boolean:false"),
        ("iif(active, 'a', 1 / 0)", "String:a"),
        ("name.repeat(given).count()", "Integer:3"),
    ]);
}

#[test]
fn decimals_are_exact_and_dates_as_precise_as_they_are_written() {
    check(&[
        ("0.1 + 0.2 = 0.3", "Boolean:true"),
        ("1.0 = 1", "Boolean:true"),
        ("1.10.toString()", "String:1.10"),
        ("7 div 2", "Integer:3"),
        ("7 / 2", "Decimal:3.5"),
        ("1 / 0", ""),
        ("9223372036854775807 + 1", ""),
        ("@2012-04 = @2012-04-01", ""),
        ("@2012-04 < @2012-05-01", "Boolean:true"),
        (
            "@2012-04-15T15:00:00Z = @2012-04-15T10:00:00-05:00",
            "Boolean:true",
        ),
        ("@2012-01-31 + 1 month", "Date:2012-02-29"),
        (
            "@2012-12-31T23:59:59Z + 1 second",
            "DateTime:2013-01-01T00:00:00Z",
        ),
        ("birthDate > @1970", "Boolean:true"),
        ("1 week = 7 days", "Boolean:true"),
        ("1 year = 1 'a'", ""),
        ("today()", "Date:2026-06-01"),
    ]);
}

#[test]
fn what_cannot_be_known_is_an_error() {
    check(&[
        (
            "name.given.single()",
            "error: an operand has several items where one is allowed",
        ),
        (
            "1 + 'a'",
            "error: an operand has a type that the operation does not have",
        ),
        (
            "active is Nonsense",
            "error: the expression names an unknown type",
        ),
        (
            "%nonsense",
            "error: the expression names an unknown variable",
        ),
        (
            "active.memberOf('x')",
            "error: the expression needs a terminology server, which is not supported",
        ),
        ("2 +", "syntax: the expression is not FHIRPath at byte 3"),
        (
            "nonsense()",
            "syntax: the expression calls an unknown function at byte 0",
        ),
        (
            "first(1)",
            "syntax: the number of arguments of `first` is wrong",
        ),
        (
            "'a'.matches('(')",
            "syntax: a pattern in the expression is malformed or too large",
        ),
        ("(1 | 2", "syntax: the expression is not FHIRPath at byte 6"),
    ]);
}

#[test]
fn expressions_of_strangers_are_bounded() {
    let deep = format!("{}1{}", "(".repeat(1_000), ")".repeat(1_000));
    let long = format!("1{}", " + 1".repeat(2_000));
    let chain = format!("name{}", ".name".repeat(1_000));
    for text in [deep, long, chain] {
        assert!(Expression::compile(&text).is_err());
    }
    let items = "(1|2|3|4|5|6|7|8|9|10)";
    let nested = format!(
        "{items}.select({items}.select({items}.select({items}.select({items}.select({items})))))"
    );
    let answer = run(&patient(), &nested);
    assert_eq!(answer, "error: the expression takes too many steps");
}
