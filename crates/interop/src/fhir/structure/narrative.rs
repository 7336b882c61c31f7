//! The XHTML of a Narrative: well-formed, of the elements and attributes that R4 allows, without script.

use quick_xml::XmlVersion;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;

const XHTML: &str = "http://www.w3.org/1999/xhtml";
const DEPTH_MAX: usize = 100;

/// Sorted; chapters 7 to 11 and 15 of HTML 4.0, `a` and `img`.
const ELEMENTS: [&str; 48] = [
    "a",
    "abbr",
    "acronym",
    "b",
    "big",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "li",
    "ol",
    "p",
    "pre",
    "q",
    "samp",
    "small",
    "span",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "ul",
    "var",
];

/// Sorted; those of the same chapters, and what XML has of its own.
const ATTRIBUTES: [&str; 57] = [
    "abbr",
    "accesskey",
    "align",
    "alt",
    "axis",
    "bgcolor",
    "border",
    "cellhalign",
    "cellpadding",
    "cellspacing",
    "cellvalign",
    "char",
    "charoff",
    "charset",
    "cite",
    "class",
    "colspan",
    "compact",
    "coords",
    "dir",
    "frame",
    "headers",
    "height",
    "href",
    "hreflang",
    "hspace",
    "id",
    "lang",
    "longdesc",
    "name",
    "nowrap",
    "rel",
    "rev",
    "rowspan",
    "rules",
    "scope",
    "shape",
    "span",
    "src",
    "start",
    "style",
    "summary",
    "tabindex",
    "title",
    "type",
    "valign",
    "value",
    "vspace",
    "width",
    "xml:base",
    "xml:id",
    "xml:lang",
    "xml:space",
    "xmlns",
    "xmlns:f",
    "xmlns:xhtml",
    "xmlns:xsi",
];

/// Checks the text of `div`; what is wrong with it otherwise.
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    let mut reader = Reader::from_str(text);
    let mut depth = 0_usize;
    let mut is_closed = false;
    let mut has_content = false;
    loop {
        let event = reader.read_event().map_err(|_| "it is not well-formed")?;
        match &event {
            Event::Start(tag) | Event::Empty(tag) => {
                if is_closed {
                    return Err("more than its `div`");
                }
                has_content |= check_tag(tag)?;
                if depth == 0 {
                    check_root(tag)?;
                }
                if matches!(event, Event::Start(_)) {
                    depth += 1;
                } else {
                    is_closed = depth == 0;
                }
                if depth > DEPTH_MAX {
                    return Err("it is nested too deep");
                }
            }
            Event::End(_) => {
                depth = depth.checked_sub(1).ok_or("it is not well-formed")?;
                is_closed = depth == 0;
            }
            Event::Text(text) => {
                let is_blank = text.iter().all(u8::is_ascii_whitespace);
                if depth == 0 && !is_blank {
                    return Err("more than its `div`");
                }
                has_content |= !is_blank;
            }
            Event::GeneralRef(reference) if depth > 0 => {
                check_reference(reference)?;
                has_content = true;
            }
            Event::CData(_) if depth > 0 => has_content = true,
            Event::Comment(_) => {}
            Event::Eof => break,
            _ => return Err("it has declarations or instructions"),
        }
    }
    match (is_closed, has_content) {
        (false, _) => Err("it is not well-formed"),
        (true, false) => Err("it has no content"),
        (true, true) => Ok(()),
    }
}

fn check_root(tag: &BytesStart<'_>) -> Result<(), &'static str> {
    if tag.local_name().as_ref() != b"div" {
        return Err("its root is not `div`");
    }
    let has_namespace = tag.attributes().flatten().any(|attribute| {
        let key = attribute.key.as_ref();
        key.starts_with(b"xmlns") && attribute.value.as_ref() == XHTML.as_bytes()
    });
    if has_namespace {
        Ok(())
    } else {
        Err("its namespace is not XHTML")
    }
}

/// Checks an element; whether it is content by itself.
fn check_tag(tag: &BytesStart<'_>) -> Result<bool, &'static str> {
    let name = tag.local_name();
    let name = std::str::from_utf8(name.as_ref()).unwrap_or_default();
    if ELEMENTS.binary_search(&name).is_err() {
        return Err("it has an element that is not allowed");
    }
    for attribute in tag.attributes() {
        check_attribute(&attribute.map_err(|_| "it is not well-formed")?)?;
    }
    Ok(name == "img")
}

fn check_attribute(attribute: &Attribute<'_>) -> Result<(), &'static str> {
    let name = std::str::from_utf8(attribute.key.as_ref()).unwrap_or_default();
    if ATTRIBUTES.binary_search(&name).is_err() {
        return Err("it has an attribute that is not allowed");
    }
    let value = attribute
        .normalized_value(XmlVersion::Implicit1_0)
        .map_err(|_| "it has an entity that XML does not know")?;
    if attribute.value.contains(&b'<') {
        return Err("it is not well-formed");
    }
    let is_link = matches!(name, "href" | "src" | "cite" | "longdesc");
    if is_link && runs(&value) {
        Err("it has a script")
    } else {
        Ok(())
    }
}

/// Whether a browser that follows the link would run what it says.
fn runs(link: &str) -> bool {
    // Browsers skip blanks and control characters in a scheme.
    let plain: String = link
        .chars()
        .filter(|letter| !letter.is_whitespace() && !letter.is_control())
        .take("data:text/html".len())
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    ["javascript:", "vbscript:", "data:text/html"]
        .iter()
        .any(|scheme| plain.starts_with(scheme))
}

fn check_reference(reference: &BytesRef<'_>) -> Result<(), &'static str> {
    let is_known = match reference.resolve_char_ref() {
        Ok(Some(letter)) => !letter.is_control() || letter.is_whitespace(),
        Ok(None) => matches!(&**reference, b"lt" | b"gt" | b"amp" | b"quot" | b"apos"),
        Err(_) => false,
    };
    if is_known {
        Ok(())
    } else {
        Err("it has an entity that XML does not know")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(inner: &str) -> Result<(), &'static str> {
        check(&format!("<div xmlns=\"{XHTML}\">{inner}</div>"))
    }

    #[test]
    fn the_lists_are_sorted_for_the_search() {
        assert!(ELEMENTS.is_sorted() && ATTRIBUTES.is_sorted());
    }

    #[test]
    fn simple_xhtml_passes() {
        for inner in [
            "a",
            "<p>a &lt; b&#160;<b class=\"x\">c</b><br/></p>",
            "<img src=\"#p\" alt=\"\"/>",
            "<a href=\"https://example.org/?a=1&amp;b=2\">x</a><!-- y -->",
            "<![CDATA[a < b]]>",
        ] {
            assert_eq!(of(inner), Ok(()), "{inner}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (inner, what) in [
            (
                "<script>1</script>",
                "it has an element that is not allowed",
            ),
            (
                "<p onclick=\"x()\">a</p>",
                "it has an attribute that is not allowed",
            ),
            ("<a href=\"javascript:x()\">a</a>", "it has a script"),
            ("<a href=\" java&#10;Script:x()\">a</a>", "it has a script"),
            ("<p>a", "it is not well-formed"),
            ("<p>a</b>", "it is not well-formed"),
            ("<p class=\"a\" class=\"b\">a</p>", "it is not well-formed"),
            ("a &nbsp; b", "it has an entity that XML does not know"),
            ("a & b", "it is not well-formed"),
            ("</div><div>a", "more than its `div`"),
            ("<!DOCTYPE a>", "it has declarations or instructions"),
            (" \n", "it has no content"),
        ] {
            assert_eq!(of(inner), Err(what), "{inner}");
        }
        assert_eq!(check("<p>a</p>"), Err("its root is not `div`"));
        assert_eq!(check("<div>a</div>"), Err("its namespace is not XHTML"));
        assert_eq!(check("a"), Err("more than its `div`"));
        assert_eq!(of(&"<b>".repeat(200)), Err("it is nested too deep"));
    }
}
