//! Links beside references: elements of type uri, and `href` and `src` in narrative text
//! (<https://hl7.org/fhir/R4/http.html#trules>).

use serde_json::{Map, Value};

use crate::fhir::Resource;

/// Elements that are of type uri, url, oid or uuid wherever R4 has them.
const ELEMENTS: [&str; 8] = [
    "implicitRules",
    "instantiatesUri",
    "uri",
    "url",
    "valueOid",
    "valueUri",
    "valueUrl",
    "valueUuid",
];

/// Attributes of narrative text that hold links.
const ATTRIBUTES: [&str; 2] = ["href", "src"];

/// Lets `change` replace each link.
pub(super) fn rewrite(resource: &mut Resource, change: impl Fn(&str) -> Option<String>) {
    object(resource.object_mut(), &change);
}

fn object(elements: &mut Map<String, Value>, change: &impl Fn(&str) -> Option<String>) {
    for (name, value) in elements.iter_mut() {
        match value {
            Value::Object(inner) => object(inner, change),
            Value::Array(items) => {
                for item in items {
                    match item {
                        Value::Object(inner) => object(inner, change),
                        Value::String(text) if is_link(name) => replace(text, change),
                        _ => {}
                    }
                }
            }
            Value::String(text) if is_link(name) => replace(text, change),
            Value::String(text) if name == "div" => narrative(text, change),
            _ => {}
        }
    }
}

fn is_link(name: &str) -> bool {
    ELEMENTS.binary_search(&name).is_ok()
}

fn replace(text: &mut String, change: &impl Fn(&str) -> Option<String>) {
    if let Some(changed) = change(text) {
        *text = changed;
    }
}

fn narrative(text: &mut String, change: &impl Fn(&str) -> Option<String>) {
    for attribute in ATTRIBUTES {
        for quote in ['"', '\''] {
            let before = format!(" {attribute}={quote}");
            if text.contains(&before) {
                *text = attributes(text, &before, quote, change);
            }
        }
    }
}

fn attributes(
    text: &str,
    before: &str,
    quote: char,
    change: &impl Fn(&str) -> Option<String>,
) -> String {
    let mut pieces = text.split(before);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        out.push_str(before);
        let changed = piece
            .split_once(quote)
            .and_then(|(link, rest)| Some((change(link)?, rest)));
        match changed {
            Some((link, rest)) => {
                out.push_str(&link);
                out.push(quote);
                out.push_str(rest);
            }
            None => out.push_str(piece),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_sorted_for_the_search() {
        assert!(ELEMENTS.is_sorted());
    }

    #[test]
    fn links_are_replaced_and_text_of_other_types_is_not() {
        let mut document = Resource::from_value(json!({
            "resourceType": "DocumentReference", "status": "current",
            "identifier": [{"value": "urn:uuid:1"}],
            "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><a \
                href=\"urn:uuid:1\">urn:uuid:1</a><img src='urn:uuid:1'/><a href=\"urn:uuid:12\">b</a></div>"},
            "content": [{"attachment": {"url": "urn:uuid:1", "title": "urn:uuid:1"}}],
        }))
        .unwrap();
        rewrite(&mut document, |link| {
            (link == "urn:uuid:1").then(|| "Binary/n1".to_owned())
        });
        let document = document.into_value();
        assert_eq!(document["content"][0]["attachment"]["url"], "Binary/n1");
        assert_eq!(document["content"][0]["attachment"]["title"], "urn:uuid:1");
        assert_eq!(document["identifier"][0]["value"], "urn:uuid:1");
        let div = document["text"]["div"].as_str().unwrap();
        assert!(div.contains("<a href=\"Binary/n1\">urn:uuid:1</a><img src='Binary/n1'/>"));
        assert!(div.contains("href=\"urn:uuid:12\""));
    }
}
