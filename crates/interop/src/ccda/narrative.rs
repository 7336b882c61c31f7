//! The text of a section as XHTML.
//!
//! Kept is what structures it: paragraphs, lists, tables, emphasis. Links and pictures lose where they lead: nothing that a
//! document names is fetched by whoever reads it.

use super::document::At;

/// The `div` of a Narrative for a section's `text`; nothing if it says nothing.
pub(super) fn division(text: At<'_>) -> Option<String> {
    if text.text().is_empty() {
        return None;
    }
    let mut out = String::from("<div xmlns=\"http://www.w3.org/1999/xhtml\">");
    within(text, &mut out);
    out.push_str("</div>");
    Some(out)
}

fn within(at: At<'_>, out: &mut String) {
    for node in at.nodes() {
        match node {
            Ok(element) => one(element, at.name(), out),
            Err(text) => escape(text, out),
        }
    }
}

fn one(at: At<'_>, parent: &str, out: &mut String) {
    let (tag, attributes): (&str, &[&str]) = match at.name() {
        "br" => {
            out.push_str("<br/>");
            return;
        }
        "paragraph" => ("p", &[]),
        "list" if at.is("listType", "ordered") => ("ol", &[]),
        "list" => ("ul", &[]),
        "item" => ("li", &[]),
        "sub" => ("sub", &[]),
        "sup" => ("sup", &[]),
        "table" => ("table", &[]),
        "thead" => ("thead", &[]),
        "tbody" => ("tbody", &[]),
        "tfoot" => ("tfoot", &[]),
        "tr" => ("tr", &[]),
        "th" => ("th", &["colspan", "rowspan"]),
        "td" => ("td", &["colspan", "rowspan"]),
        "caption" if parent == "table" => ("caption", &[]),
        "caption" => ("b", &[]),
        "content" => (emphasis(at), &[]),
        _ => ("span", &[]),
    };
    out.push('<');
    out.push_str(tag);
    for name in attributes {
        if let Some(value) = at.attribute(name) {
            out.push_str(&format!(" {name}=\""));
            escape(value, out);
            out.push('"');
        }
    }
    out.push('>');
    within(at, out);
    out.push_str(&format!("</{tag}>"));
}

fn emphasis(at: At<'_>) -> &'static str {
    let style = at.attribute("styleCode").unwrap_or_default();
    let has = |word: &str| style.split_whitespace().any(|one| one == word);
    match () {
        () if has("Bold") => "b",
        () if has("Italics") => "i",
        () => "span",
    }
}

/// Text as it stands in XML.
pub(in crate::ccda) fn escape(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
}
