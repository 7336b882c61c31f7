//! Writes `docs/conformance.md`: what a FHIR R4 client may ask, and whether it works.
//!
//! Each line is a request to a node with the records of `fixture.json`. The document says what came of it; a change of
//! what works fails the test until the document is made anew (`CARELEDGER_REGENERATE=1`).

#[path = "../../../../interop/tests/ccda/rows.rs"]
mod ccda;
#[path = "../../../../interop/tests/hl7v2/rows.rs"]
mod hl7v2;
mod mcsd;
mod mhd;
mod requests;
mod search;
#[path = "../../../../interop/tests/hl7v2/sent.rs"]
mod sent;
#[path = "../../../../interop/tests/fixtures/table.rs"]
mod table;
mod terminology;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;

use self::hl7v2 as rows;
use crate::support::{Answer, Ask, BASE, Site};

const FHIR: &str = "# Conformance to FHIR R4

Each line is a request that a test sends to a node; the right column is what came of it. The test
(`crates/gateway/tests/api/conformance`) fails when this document is not what it finds; `CARELEDGER_REGENERATE=1 cargo
nextest run -p gateway conformance` writes it anew.

Of what becomes FHIR there is a table each: [HL7 v2](conformance/hl7v2.md),
[HL7 v2 that is sent](conformance/hl7v2-sent.md), [C-CDA](conformance/ccda.md).
";
const HL7_V2: &str = "# HL7 v2 to FHIR

Each line is a field of a message of our own (`crates/interop/tests/fixtures/hl7v2`), and the element of FHIR that a test
(`crates/gateway/tests/api/conformance`) finds it in, or does not.
";
const SENT: &str = "# FHIR to HL7 v2

Each line is an element of what those messages of our own became, and the field in which it is sent: it works where a test
(`crates/gateway/tests/api/conformance`) finds it again in what the message that is sent becomes.
";
const CCDA: &str = "# C-CDA to FHIR

Each line is an element of a document of our own (`crates/interop/tests/fixtures/ccda`), and the element of FHIR that a test
(`crates/gateway/tests/api/conformance`) finds it in, or does not.
";

#[tokio::test]
async fn the_document_says_what_works() {
    let mut document = FHIR.to_owned();
    requests(&mut document).await;
    searches(&mut document).await;
    holds("conformance.md", &document);
}

#[test]
fn the_tables_say_what_becomes_of_messages_and_documents() {
    let mut document = HL7_V2.to_owned();
    messages(&mut document, (hl7v2::rows(), "Field | Element"));
    holds("conformance/hl7v2.md", &document);
    let mut document = SENT.to_owned();
    messages(&mut document, (sent::rows(), "Element | Field"));
    holds("conformance/hl7v2-sent.md", &document);
    let mut document = CCDA.to_owned();
    documents(&mut document);
    holds("conformance/ccda.md", &document);
}

/// Whether a document is what was found; writes it instead, where that is asked for.
fn holds(name: &str, found: &str) {
    let path = Path::new("../../docs").join(name);
    if std::env::var_os("CARELEDGER_REGENERATE").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    assert!(
        written == found,
        "docs/{name} is not what was found:\n{found}"
    );
}

async fn filled() -> (Site, String) {
    // Nothing listens there.
    let site = Site::importing("http://127.0.0.1:9");
    let ask = Ask {
        scope: "system/*.cruds careledger/import",
        ..Ask::default()
    };
    site.load(crate::terminology::package().path());
    let token = site.token(&ask).await;
    let fixture: Value = serde_json::from_str(include_str!("fixture.json")).unwrap();
    let answer = site.ask(&token, "POST", "/", &fixture).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    (site, token)
}

async fn requests(document: &mut String) {
    let (site, token) = filled().await;
    let mut section = "";
    for row in requests::ROWS
        .iter()
        .chain(terminology::ROWS)
        .chain(mhd::ROWS)
        .chain(mcsd::ROWS)
    {
        if row.section != section {
            section = row.section;
            heading(document, section, "Feature | Request");
        }
        let mut lines = row.request.lines();
        let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/fhir{}", encoded(path)))
            .header("authorization", format!("Bearer {token}"));
        let own: BTreeMap<&str, &str> = lines.map(|line| line.split_once(": ").unwrap()).collect();
        if !own.contains_key("content-type") {
            request = request.header("content-type", "application/fhir+json");
        }
        for (name, value) in &own {
            request = request.header(*name, *value);
        }
        let answer = site.send(request.body(Body::from(row.body)).unwrap()).await;
        let shown = row.request.lines().collect::<Vec<_>>().join(", ");
        line(document, row.feature, &shown, fits(&answer, row.answer));
    }
}

fn fits(answer: &Answer, expected: &[&str]) -> bool {
    let (status, pieces) = match expected.split_first() {
        Some((status, pieces)) if status.parse::<u16>().is_ok() => (*status, pieces),
        _ => ("", expected),
    };
    let mut all = answer.text.clone();
    for (name, value) in &answer.headers {
        let _infallible = write!(all, "\n{name}: {}", value.to_str().unwrap());
    }
    answer.status.to_string().starts_with(status)
        && pieces.iter().all(|piece| match piece.strip_prefix('!') {
            Some(absent) => !all.contains(absent),
            None => all.contains(piece),
        })
}

async fn searches(document: &mut String) {
    let (site, token) = filled().await;
    for (name, rows) in search::SECTIONS {
        heading(document, &format!("Search: {name}"), "Feature | Search");
        for (feature, query, expected) in rows {
            let separator = if query.starts_with('?') { "" } else { "/" };
            let path = format!("{separator}{}", encoded(query));
            let answer = site.get(&token, &path).await;
            line(document, feature, query, found(&answer, expected));
        }
    }
}

/// Whether an answer has these entries: `=` in this order, `+` included ones, digits the status of a refusal.
fn found(answer: &Answer, expected: &str) -> bool {
    if expected.parse::<u16>().is_ok() {
        return answer.status.to_string() == expected;
    }
    if answer.status != 200 {
        return false;
    }
    let bundle = answer.json();
    let entries = bundle["entry"].as_array().into_iter().flatten();
    let shown = entries.filter(|entry| entry["search"]["mode"] != "outcome");
    let mut shown: Vec<String> = shown
        .map(|entry| {
            let mark = if entry["search"]["mode"] == "include" {
                "+"
            } else {
                ""
            };
            let url = entry["fullUrl"].as_str().unwrap_or_default();
            let url = url
                .strip_prefix(BASE)
                .unwrap_or(url)
                .trim_start_matches("/fhir/");
            format!("{mark}{url}")
        })
        .collect();
    let mut wanted: Vec<String> = expected
        .trim_start_matches('=')
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    if !expected.starts_with('=') {
        shown.sort();
        wanted.sort();
    }
    shown == wanted
}

/// What fields of HL7 v2 become, or are made of.
fn messages(document: &mut String, (mut rows, columns): (Vec<table::Row>, &str)) {
    let mut section = String::new();
    rows.sort_by(|one, other| one.sample.cmp(&other.sample));
    for row in rows {
        if row.sample != section {
            let kind = row.sample.to_uppercase().replace('-', "^");
            heading(document, &kind, columns);
            section.clone_from(&row.sample);
        }
        line(document, &row.field, &row.element, row.works == Some(true));
    }
}

/// What becomes of the elements of C-CDA documents.
fn documents(document: &mut String) {
    heading(document, "Elements", "Section and element | FHIR");
    for row in ccda::rows() {
        let works = match row.works {
            Some(true) => format!("works (`{}`)", row.sample),
            Some(false) => "**not**".to_owned(),
            None => "not".to_owned(),
        };
        let _infallible = writeln!(document, "| {} | {} | {works} |", row.field, row.element);
    }
}

fn heading(document: &mut String, title: &str, columns: &str) {
    let _infallible = write!(document, "\n## {title}\n\n| {columns} | |\n|---|---|---|\n");
}

fn line(document: &mut String, feature: &str, request: &str, works: bool) {
    let request = request.replace('|', "\\|");
    let works = if works { "works" } else { "**not**" };
    let _infallible = writeln!(document, "| {feature} | `{request}` | {works} |");
}

/// A path as it stands in a URL.
fn encoded(path: &str) -> String {
    path.chars()
        .map(|letter| match letter {
            ' ' => "%20".to_owned(),
            '|' => "%7C".to_owned(),
            '\\' => "%5C".to_owned(),
            '"' => "%22".to_owned(),
            '{' => "%7B".to_owned(),
            '}' => "%7D".to_owned(),
            '[' => "%5B".to_owned(),
            ']' => "%5D".to_owned(),
            other => other.to_string(),
        })
        .collect()
}
