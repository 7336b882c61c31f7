//! What the operations of the terminology module answer.

use super::requests::{Row, row};

/// Over the package of `crate::terminology`.
pub(super) const ROWS: &[Row] = &[
    row(
        "Terminology",
        "`$lookup`",
        "GET /CodeSystem/$lookup?system=http://example.org/tests&code=iron",
        "",
        &["200", "Iron in blood", r#""valueCode":"blood""#],
    ),
    row(
        "Terminology",
        "`$lookup` by POST, in a language",
        "POST /CodeSystem/$lookup",
        r#"{"resourceType":"Parameters","parameter":[{"name":"coding","valueCoding":{"system":"http://example.org/tests","code":"iron"}},{"name":"displayLanguage","valueCode":"de"}]}"#,
        &["200", "Eisen im Blut"],
    ),
    row(
        "Terminology",
        "`$lookup` of an unknown code",
        "GET /CodeSystem/$lookup?system=http://example.org/tests&code=gold",
        "",
        &["404", "not-found"],
    ),
    row(
        "Terminology",
        "`CodeSystem/$validate-code`",
        "GET /CodeSystem/$validate-code?url=http://example.org/tests&code=iron",
        "",
        &["200", r#""valueBoolean":true"#],
    ),
    row(
        "Terminology",
        "`CodeSystem/$validate-code`, UCUM",
        "GET /CodeSystem/$validate-code?url=http://unitsofmeasure.org&code=mg/dL",
        "",
        &["200", r#""valueBoolean":true"#],
    ),
    row(
        "Terminology",
        "`$subsumes`",
        "GET /CodeSystem/$subsumes?system=http://example.org/tests&codeA=blood&codeB=iron",
        "",
        &["200", r#""valueCode":"subsumes""#],
    ),
    row(
        "Terminology",
        "`$expand`",
        "GET /ValueSet/$expand?url=http://example.org/blood",
        "",
        &["200", r#""code":"iron""#, r#""code":"copper""#],
    ),
    row(
        "Terminology",
        "`$expand`: `filter`",
        "GET /ValueSet/$expand?url=http://example.org/blood&filter=iro",
        "",
        &["200", r#""code":"iron""#, r#"!"code":"copper""#],
    ),
    row(
        "Terminology",
        "`$expand`: `offset`, `count`",
        "GET /ValueSet/$expand?url=http://example.org/blood&offset=1&count=1",
        "",
        &["200", r#""total":2"#, r#"!"code":"copper""#],
    ),
    row(
        "Terminology",
        "`$expand`: `activeOnly`",
        "GET /ValueSet/$expand?url=http://example.org/blood&activeOnly=true",
        "",
        &["200", r#"!"code":"copper""#],
    ),
    row(
        "Terminology",
        "`$expand`: too many codes",
        "POST /ValueSet/$expand",
        r#"{"resourceType":"Parameters","parameter":[{"name":"valueSet","resource":{"resourceType":"ValueSet","status":"active","compose":{"include":[{"system":"http://unitsofmeasure.org"}]}}}]}"#,
        &["422", "too-costly"],
    ),
    row(
        "Terminology",
        "`ValueSet/$validate-code`",
        "GET /ValueSet/$validate-code?url=http://example.org/blood&system=http://example.org/tests&code=touch",
        "",
        &["200", r#""valueBoolean":false"#],
    ),
    row(
        "Terminology",
        "`$translate`",
        "GET /ConceptMap/$translate?url=http://example.org/map&system=urn:ward&code=FE",
        "",
        &["200", r#""code":"iron""#, r#""equivalent""#],
    ),
    row(
        "Terminology",
        "`$translate`: `reverse`",
        "GET /ConceptMap/$translate?system=http://example.org/tests&code=iron&reverse=true",
        "",
        &["200", r#""code":"FE""#],
    ),
    row(
        "Terminology",
        "TerminologyCapabilities",
        "GET /metadata?mode=terminology",
        "",
        &["200", "TerminologyCapabilities", "http://example.org/tests"],
    ),
    row(
        "Terminology",
        "`ConceptMap/$closure`",
        "POST /$closure",
        r#"{"resourceType":"Parameters","parameter":[{"name":"name","valueString":"x"}]}"#,
        &["200"],
    ),
];
