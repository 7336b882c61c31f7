use super::*;
use crate::fhir::{ParseLimits, Resource};
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(text: &str) -> Result<Value, XmlError> {
    from_xml(text.as_bytes(), &ParseLimits::default())
}

fn patient(inner: &str) -> Result<Value, XmlError> {
    read(&format!(
        "<Patient xmlns=\"http://hl7.org/fhir\">{inner}</Patient>"
    ))
}

#[test]
fn what_is_no_character_of_xml_is_refused() {
    for text in ["\u{1b}", "&#0;", "&#x1b;", "\u{fffe}"] {
        let read = patient(&format!("<gender value=\"{text}\"/>"));
        assert!(read.is_err(), "{text:?}");
    }
    assert!(patient("<gender value=\"a&#x9;b\"/>").is_ok());
}

#[test]
fn every_form_has_its_place_and_comes_back() {
    let value = json!({
        "resourceType": "Observation",
        "id": "a",
        "text": {"status": "generated",
            "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>a &lt; b</p><!-- c --></div>"},
        "contained": [{"resourceType": "Patient", "id": "p", "active": true,
            "name": [{"id": "n", "given": ["A", null], "_given": [null, {"extension": [
                {"url": "http://example.org/x", "valueInteger": 7}]}]}]}],
        "extension": [{"url": "http://example.org/y", "extension": [{"url": "z", "valueString": "\"\n<&\t "}]}],
        "status": "final",
        "code": {"text": "x"},
        "_effectiveDateTime": {"extension": [{"url": "http://example.org/why", "valueCode": "unknown"}]},
        "valueQuantity": {"value": 1.10},
    });
    let value: Value = serde_json::from_str(&value.to_string().replace("1.1}", "1.10}")).unwrap();
    assert!(Resource::from_value(value.clone()).is_ok());
    let xml = to_xml(&value);
    for part in [
        "<Observation xmlns=\"http://hl7.org/fhir\"><id value=\"a\"/><text><status value=\"generated\"/><div xmlns=",
        "<contained><Patient><id value=\"p\"/><active value=\"true\"/><name id=\"n\"><given value=\"A\"/>\
         <given><extension url=\"http://example.org/x\"><valueInteger value=\"7\"/></extension></given></name></Patient></contained>",
        "<valueString value=\"&quot;&#10;&lt;&amp;&#9; \"/>",
        "<effectiveDateTime><extension url=",
        "<valueQuantity><value value=\"1.10\"/></valueQuantity></Observation>",
    ] {
        assert!(xml.contains(part), "{part}\n{xml}");
    }
    assert_eq!(read(&xml).unwrap(), value);
}

#[test]
fn a_bundle_holds_resources() {
    let value = json!({"resourceType": "Bundle", "type": "searchset", "total": 1, "entry": [
        {"fullUrl": "http://example.org/Patient/1", "resource": {"resourceType": "Patient", "id": "1"},
            "search": {"mode": "match", "score": 1.5}},
    ]});
    assert_eq!(read(&to_xml(&value)).unwrap(), value);
}

#[test]
fn prefixes_declarations_and_comments_are_understood() {
    let text = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><!-- a -->\n<f:Patient xmlns:f=\"http://hl7.org/fhir\">\
                <f:active value=\"true\" /><!-- b --></f:Patient>\n";
    assert_eq!(
        read(text).unwrap(),
        json!({"resourceType": "Patient", "active": true})
    );
}

#[test]
fn what_is_wrong_is_named() {
    for (inner, said) in [
        (
            "<nothing/>",
            "`Patient.*` is not an element or attribute of R4 here",
        ),
        (
            "<url value=\"x\"/>",
            "`Patient.url` is not an element or attribute of R4 here",
        ),
        (
            "<name><x:family xmlns:x=\"y\" value=\"z\"/></name>",
            "`Patient.name.family` is not an element or attribute of R4 here",
        ),
        (
            "<active value=\"true\" lang=\"x\"/>",
            "`Patient.active.*` is not an element or attribute of R4 here",
        ),
        (
            "<active value=\"true\"/><active value=\"true\"/>",
            "`Patient.active` is given more than once",
        ),
        (
            "<active>true</active>",
            "`Patient.active` has text outside its `value`",
        ),
        (
            "<contained><name/></contained>",
            "`Patient.contained` does not hold one resource of R4",
        ),
        (
            "<contained/>",
            "`Patient.contained` does not hold one resource of R4",
        ),
        (
            "<gender value=\"&x;\"/>",
            "the body has a document type declaration or an entity that XML does not know",
        ),
        ("<name>", "the body is not well-formed XML"),
    ] {
        let error = patient(inner).unwrap_err().to_string();
        assert!(error.starts_with(said), "{inner}: {error}");
    }
    let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbbbbbb\"><!ENTITY c \"&b;&b;\">]><Patient xmlns=\"http://hl7.org/fhir\"/>";
    assert_eq!(read(bomb).unwrap_err(), XmlError::Entity);
    assert_eq!(read("<Patient/>").unwrap_err(), XmlError::Namespace);
    assert_eq!(
        read("<Nothing xmlns=\"http://hl7.org/fhir\"/>").unwrap_err(),
        XmlError::TypeUnknown
    );
    let deep = "<extension url=\"a\">".repeat(70);
    assert_eq!(patient(&deep).unwrap_err(), XmlError::TooDeep { limit: 64 });
    let small = ParseLimits {
        bytes_max: 3,
        ..ParseLimits::default()
    };
    assert_eq!(
        from_xml(b"<a/>", &small).unwrap_err(),
        XmlError::TooLarge { bytes: 4, limit: 3 }
    );
    assert_eq!(
        from_xml(&[0xff], &ParseLimits::default()).unwrap_err(),
        XmlError::NotText
    );
}

#[test]
fn a_value_of_a_wrong_form_is_left_to_the_check() {
    let value =
        patient("<active value=\"maybe\"/><gender/><multipleBirthInteger value=\"01\"/>").unwrap();
    let said: Vec<String> = match Resource::from_value(value).unwrap_err() {
        crate::fhir::ResourceError::Elements(problems) => {
            problems.iter().map(ToString::to_string).collect()
        }
        other => panic!("{other}"),
    };
    assert_eq!(
        said,
        [
            "`Patient.active` is not a boolean",
            "`Patient.gender` is empty or null",
            "`Patient.multipleBirthInteger` is not a number",
        ]
    );
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "[<>/&;=\"' a-z!\\[\\]?#-]{0,80}") {
        drop(read(&text));
        drop(patient(&text));
    }

    #[test]
    fn any_string_comes_back(text in "[ -~\t\r\n\u{a0}-\u{2fff}]{1,40}") {
        let value = json!({"resourceType": "Patient", "name": [{"text": text}]});
        prop_assert_eq!(read(&to_xml(&value)).unwrap(), value);
    }

    #[test]
    fn digits_of_decimals_come_back(text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?") {
        let json = format!(r#"{{"resourceType":"Observation","valueQuantity":{{"value":{text}}}}}"#);
        let value: Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(read(&to_xml(&value)).unwrap().to_string(), json);
    }
}
