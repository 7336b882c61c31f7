use super::*;
use crate::fhir::path;
use proptest::prelude::*;
use regex::Regex;

#[test]
fn every_type_has_its_elements() {
    for kind in ResourceType::all() {
        let definition = Definition::of_resource(kind);
        let id = definition.find("id").and_then(|place| definition.at(place));
        assert_eq!(
            id.unwrap().1.shape,
            Shape::Primitive(Primitive::Id),
            "{kind}"
        );
        for element in &definition.elements {
            check(element, 0);
        }
    }
}

/// Every kind leads somewhere and has a name that paths can show.
fn check(element: &Element, depth: usize) {
    assert!(!element.kinds.is_empty(), "{}", element.name);
    for kind in &element.kinds {
        assert_eq!(path::defined_name(kind.name), Some(kind.name));
        if let Shape::Complex(id) = kind.shape {
            assert!(!id.get().elements.is_empty(), "{}", kind.name);
            assert!(id.get().elements.len() <= 128);
            if depth < 4 {
                id.get().elements.iter().for_each(|it| check(it, depth + 1));
            }
        }
    }
}

#[test]
fn backbones_references_and_choices_are_resolved() {
    let observation = Definition::of_resource(ResourceType::parse("Observation").unwrap());
    let at = |definition: &'static Definition, name: &str| {
        definition
            .find(name)
            .and_then(|place| definition.at(place))
            .unwrap()
    };
    let (component, kind) = at(observation, "component");
    assert!(component.is_repeating);
    let Shape::Complex(id) = kind.shape else {
        panic!()
    };
    // A content reference: the ranges of a component are those of the observation.
    assert_eq!(
        at(id.get(), "referenceRange").1.shape,
        at(observation, "referenceRange").1.shape
    );
    let (value, kind) = at(observation, "valueDateTime");
    assert!(value.is_choice && value.name == "value");
    assert_eq!(kind.shape, Shape::Primitive(Primitive::DateTime));
    assert!(observation.find("value").is_none() && observation.find("valueMoney").is_none());
    let (_, subject) = at(observation, "subject");
    let targets: Vec<&str> = subject.targets.iter().map(|it| it.as_str()).collect();
    assert_eq!(targets, ["Patient", "Group", "Device", "Location"]);
    let (status, _) = at(observation, "status");
    assert!(
        status
            .codes
            .is_some_and(|set| set.has_code("final") && !set.has_code("done"))
    );
}

#[test]
fn a_currency_is_listed_and_a_unit_is_not() {
    let currencies = ValueSet::named("currencies").unwrap();
    assert!(currencies.has_code("EUR") && !currencies.has_code("XYZ"));
    let units = ValueSet::named("ucum-units").unwrap();
    assert!(units.has("http://unitsofmeasure.org", "mg/dL") && !units.has("http://else", "mg"));
}

/// The published regular expression of each type.
fn published() -> Vec<(Primitive, Regex)> {
    let lines = include_str!("../data/primitives.txt").lines();
    lines
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, regex)| {
            let regex = Regex::new(&format!("^(?:{regex})$")).unwrap();
            (Primitive::named(name).unwrap(), regex)
        })
        .collect()
}

/// Where the code knows more than the regular expression.
fn is_stricter(primitive: Primitive, text: &str) -> bool {
    match primitive {
        // Days that no month has; padding in the middle; 32 bits.
        Primitive::Date | Primitive::DateTime | Primitive::Instant => {
            matches!(text.get(8..10), Some("29" | "30" | "31"))
        }
        Primitive::Base64Binary => text.contains('='),
        Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt => text.len() > 9,
        _ => false,
    }
}

fn agrees(text: &str) {
    for (primitive, regex) in published() {
        let is_url = matches!(
            primitive,
            Primitive::Uri | Primitive::Url | Primitive::Canonical
        );
        let is_spaced = primitive == Primitive::Base64Binary && text.contains(char::is_whitespace);
        // An empty string is refused for every type; lines of base64 may have any length.
        if (text.is_empty() && is_url) || is_spaced {
            continue;
        }
        let (ours, theirs) = (primitive.is_well_formed(text), regex.is_match(text));
        if ours != theirs && !(theirs && is_stricter(primitive, text)) {
            panic!("{}: {text:?}: {ours}", primitive.name());
        }
    }
}

#[test]
fn forms_agree_with_the_published_expressions() {
    for text in [
        "2024",
        "0000",
        "2024-00",
        "2024-13",
        "2024-02-28",
        "2024-2-8",
        "2024-02-28T10:00:00Z",
        "2024-02-28T10:00Z",
        "2024-02-28T24:00:00Z",
        "2024-02-28T10:00:60.123+14:00",
        "2024-02-28T10:00:00+14:01",
        "2024-02-28T10:00:00-13:59",
        "2024-02-28T10:00:00",
        "2024-02T10:00:00Z",
        "10:00:00",
        "10:00:00.",
        "10:00",
        "urn:oid:1.2.3",
        "urn:oid:3.1",
        "urn:oid:1.02",
        "urn:oid:1",
        "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
        "urn:uuid:C757873d-ec9a-4326-a141-556f43239520",
        "0",
        "-0",
        "-1",
        "01",
        "2147483647",
        "1e5",
        "1.",
        ".5",
        "1.50",
        "-1.5E-10",
        "a b",
        "a  b",
        " a",
        "a\t",
        "true",
        "abcd",
        "abc",
        "ab cd",
        "abcdef==",
        "ab\u{b}cd",
        "+1",
        "T",
        "-",
        "2024-",
        "é",
    ] {
        agrees(text);
    }
    assert!(!Primitive::Date.is_well_formed("2023-02-29"));
    assert!(Primitive::Date.is_well_formed("2024-02-29"));
    assert!(!Primitive::Integer.is_well_formed("2147483648"));
    assert!(Primitive::Integer.is_well_formed("-2147483648"));
    assert!(!Primitive::Base64Binary.is_well_formed("a=bc"));
    let long = "x".repeat((1 << 20) + 1);
    assert!(
        !Primitive::String.is_well_formed(&long) && Primitive::String.is_well_formed(&long[1..])
    );
}

proptest! {
    #[test]
    fn forms_agree_on_arbitrary_text(text in "[ -~\t\r\n]{0,12}") {
        agrees(&text);
    }

    #[test]
    fn forms_agree_on_texts_like_dates(text in "[0-2]{1,4}(-[0-9]{1,2}){0,2}(T[0-9:.]{1,10}[Z+0-9:-]{0,6})?") {
        agrees(&text);
    }
}
