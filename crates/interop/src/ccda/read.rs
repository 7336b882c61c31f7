//! XML to a tree, within limits. Nothing is fetched, and nothing is expanded but the characters of XML.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;

use encoding_rs::{Encoding, UTF_8};
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;
use sha2::{Digest as _, Sha256};

use super::document::{Attribute, Document, Element, Node};
use super::fault::{Fault, Rule};
use super::names::known;

const CDA: &str = "urn:hl7-org:v3";
const EXTENSIONS: &str = "urn:hl7-org:sdtc";
const SCHEMA: &str = "http://www.w3.org/2001/XMLSchema-instance";
/// As far as the XML declaration is looked for.
const DECLARATION_BYTES: usize = 200;
/// Namespaces that one element declares.
const NAMESPACES_MAX: usize = 32;

/// What a document may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the document.
    pub bytes_max: usize,
    /// Levels of elements.
    pub depth_max: usize,
    /// Elements.
    pub elements_max: usize,
    /// Attributes of an element.
    pub attributes_max: usize,
    /// Bytes of an attribute's value.
    pub attribute_bytes_max: usize,
    /// Bytes of narrative to which entries refer, each time counted.
    pub referred_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: 16 << 20,
            depth_max: 100,
            elements_max: 500_000,
            attributes_max: 64,
            attribute_bytes_max: 64 << 10,
            referred_bytes_max: 32 << 20,
        }
    }
}

/// Reads a document.
///
/// # Errors
///
/// The first rule that it breaks, with the path of the element.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Document, Fault> {
    let refused = |rule| Fault {
        path: "ClinicalDocument".to_owned(),
        rule,
    };
    if bytes.len() > limits.bytes_max {
        let limit = limits.bytes_max;
        return Err(refused(Rule::TooLarge { limit }));
    }
    let text = decoded(bytes).ok_or_else(|| refused(Rule::NotText))?;
    if let Some(at) = text.find(is_no_character) {
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        return Err(refused(Rule::Malformed { at }));
    }
    let mut xml = NsReader::from_str(&text);
    let resolver = xml.resolver_mut();
    resolver.set_max_declarations_per_element(NAMESPACES_MAX);
    let mut tree = Tree {
        document: Document {
            elements: Vec::new(),
            by_id: BTreeMap::new(),
            referable: Cell::new(Some(limits.referred_bytes_max)),
            digest: digest(bytes),
        },
        open: Vec::new(),
        text_bytes: 0,
        narrative: 0,
        limits,
    };
    loop {
        let event = xml.read_event();
        let at = xml.buffer_position();
        let done = event
            .map_err(|_| Rule::Malformed { at })
            .and_then(|event| tree.take(&xml, event));
        match done {
            Ok(true) => {}
            Ok(false) => return tree.finish(at),
            Err(rule) => return Err(tree.fault(rule)),
        }
    }
}

fn digest(bytes: &[u8]) -> String {
    let digits = Sha256::digest(bytes).into_iter();
    digits.map(|byte| format!("{byte:02x}")).collect()
}

/// The text, in the encoding of its byte order mark, then of its declaration, else UTF-8.
fn decoded(bytes: &[u8]) -> Option<Cow<'_, str>> {
    if Encoding::for_bom(bytes).is_some() {
        let (text, _, has_errors) = UTF_8.decode(bytes);
        return (!has_errors).then_some(text);
    }
    let head = bytes.get(..DECLARATION_BYTES).unwrap_or(bytes);
    let encoding = match declared(head) {
        Some(label) => Encoding::for_label(label)?,
        None => UTF_8,
    };
    encoding.decode_without_bom_handling_and_without_replacement(bytes)
}

/// The name in `<?xml … encoding="…"?>`.
fn declared(head: &[u8]) -> Option<&[u8]> {
    let end = head.windows(2).position(|pair| pair == b"?>")?;
    let declaration = head.get(..end)?.strip_prefix(b"<?xml")?;
    let at = declaration
        .windows(8)
        .position(|word| word == b"encoding")?;
    let rest = declaration.get(at.checked_add(8)?..)?;
    let mut parts = rest.split(|byte| matches!(byte, b'"' | b'\''));
    parts.nth(1)
}

/// Whether XML 1.0 has no such character, be it written as a reference.
fn is_no_character(letter: char) -> bool {
    matches!(letter, '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}') && !"\t\n\r".contains(letter)
}

/// An element that is open.
struct Open {
    index: usize,
    /// How many elements of each name it has.
    counts: BTreeMap<Option<&'static str>, usize>,
    /// Bytes of text before it.
    text_before: usize,
}

struct Tree<'l> {
    document: Document,
    /// The elements that are open, from the root.
    open: Vec<Open>,
    /// Bytes of text so far.
    text_bytes: usize,
    /// How many of them are `text`, in which white space counts.
    narrative: usize,
    limits: &'l Limits,
}

impl Tree<'_> {
    /// Takes an event; whether there are more.
    fn take(&mut self, xml: &NsReader<&[u8]>, event: Event<'_>) -> Result<bool, Rule> {
        let malformed = Rule::Malformed {
            at: xml.buffer_position(),
        };
        match event {
            Event::Start(tag) => self.open(xml, &tag)?,
            Event::Empty(tag) => {
                self.open(xml, &tag)?;
                self.close();
            }
            Event::End(_) => self.close(),
            Event::Text(text) => {
                let text = text.xml10_content().map_err(|_| malformed)?;
                self.add_text(&text, malformed)?;
            }
            Event::CData(data) => {
                let text = data.xml10_content().map_err(|_| malformed)?;
                self.add_text(&text, malformed)?;
            }
            Event::GeneralRef(reference) => {
                let letter = match reference.resolve_char_ref() {
                    Ok(Some(letter)) if is_no_character(letter) => return Err(malformed),
                    Ok(Some(letter)) => letter,
                    Ok(None) => entity(&reference).ok_or(Rule::Entity)?,
                    Err(_) => return Err(malformed),
                };
                self.add_text(letter.encode_utf8(&mut [0; 4]), malformed)?;
            }
            Event::DocType(_) => return Err(Rule::DocumentType),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::Eof => return Ok(false),
        }
        Ok(true)
    }

    fn open(&mut self, xml: &NsReader<&[u8]>, tag: &BytesStart<'_>) -> Result<(), Rule> {
        let limit = self.limits.depth_max;
        if self.open.len() >= limit {
            return Err(Rule::TooDeep { limit });
        }
        let limit = self.limits.elements_max;
        if self.document.elements.len() >= limit {
            return Err(Rule::TooManyElements { limit });
        }
        let (space, local) = xml.resolver().resolve_element(tag.name());
        let is_own = [CDA, EXTENSIONS].iter().any(|own| is(&space, own));
        let name = known(local.as_ref()).filter(|_| is_own);
        let index = self.document.elements.len();
        let parent = self.open.last().map(|open| open.index);
        let is_root_known = name == Some("ClinicalDocument") && is(&space, CDA);
        if parent.is_none() && (index > 0 || !is_root_known) {
            return Err(Rule::NotADocument);
        }
        let mut ordinal = 0;
        if let Some(open) = self.open.last_mut() {
            let count = open.counts.entry(name).or_default();
            ordinal = *count;
            *count += 1;
        }
        if let Some(parent) = parent.and_then(|parent| self.document.elements.get_mut(parent)) {
            parent.nodes.push(Node::Element(index));
        }
        self.open.push(Open {
            index,
            counts: BTreeMap::new(),
            text_before: self.text_bytes,
        });
        self.document.elements.push(Element {
            parent,
            name,
            ordinal,
            text_bytes: 0,
            attributes: Vec::new(),
            nodes: Vec::new(),
        });
        if name == Some("text") {
            self.narrative += 1;
        }
        let attributes = self.attributes(xml, tag)?;
        for (_, id) in attributes.iter().filter(|(name, _)| &**name == "ID") {
            // The first of several stands, as in a document that is valid.
            self.document.by_id.entry(id.clone()).or_insert(index);
        }
        if let Some(element) = self.document.elements.last_mut() {
            element.attributes = attributes;
        }
        Ok(())
    }

    fn attributes(
        &self,
        xml: &NsReader<&[u8]>,
        tag: &BytesStart<'_>,
    ) -> Result<Vec<Attribute>, Rule> {
        let malformed = Rule::Malformed {
            at: xml.buffer_position(),
        };
        let mut found: Vec<Attribute> = Vec::new();
        // Doubles are looked for below: the library compares each with each before the limit is reached.
        for (number, attribute) in tag.attributes().with_checks(false).enumerate() {
            let limit = self.limits.attributes_max;
            if number >= limit {
                return Err(Rule::TooManyAttributes { limit });
            }
            let attribute = attribute.map_err(|_| malformed)?;
            let limit = self.limits.attribute_bytes_max;
            if attribute.value.len() > limit {
                return Err(Rule::AttributeTooLong { limit });
            }
            let (space, local) = xml.resolver().resolve_attribute(attribute.key);
            let is_type = is(&space, SCHEMA) && local.as_ref() == b"type";
            if attribute.key.as_namespace_binding().is_some()
                || !(is_type || space == ResolveResult::Unbound)
            {
                continue;
            }
            let text = attribute.normalized_value(XmlVersion::Implicit1_0);
            let text = text.map_err(|_| Rule::Entity)?;
            if text.contains(is_no_character) {
                return Err(malformed);
            }
            let text = match text.split_once(':') {
                Some((_, local)) if is_type => local,
                _ => &text,
            };
            let name = std::str::from_utf8(local.as_ref()).map_err(|_| malformed)?;
            let name = if is_type { "xsi:type" } else { name };
            if found.iter().any(|(other, _)| **other == *name) {
                return Err(malformed);
            }
            found.push((name.into(), text.into()));
        }
        Ok(found)
    }

    fn close(&mut self) {
        let Some(open) = self.open.pop() else {
            return;
        };
        if let Some(element) = self.document.elements.get_mut(open.index) {
            element.text_bytes = self.text_bytes.saturating_sub(open.text_before);
            if element.name == Some("text") {
                self.narrative = self.narrative.saturating_sub(1);
            }
        }
    }

    fn add_text(&mut self, text: &str, malformed: Rule) -> Result<(), Rule> {
        let is_blank = text.trim_ascii().is_empty();
        let Some(open) = self.open.last() else {
            return if is_blank { Ok(()) } else { Err(malformed) };
        };
        let Some(element) = self.document.elements.get_mut(open.index) else {
            return Ok(());
        };
        self.text_bytes = self.text_bytes.saturating_add(text.len());
        match element.nodes.last_mut() {
            Some(Node::Text(before)) => before.push_str(text),
            _ if is_blank && self.narrative == 0 => {}
            _ => element.nodes.push(Node::Text(text.into())),
        }
        Ok(())
    }

    fn fault(&self, rule: Rule) -> Fault {
        let path = match self.open.last() {
            Some(open) => self.document.path(open.index),
            None => "ClinicalDocument".to_owned(),
        };
        Fault { path, rule }
    }

    fn finish(self, at: u64) -> Result<Document, Fault> {
        if !self.open.is_empty() {
            return Err(self.fault(Rule::Malformed { at }));
        }
        if self.document.elements.is_empty() {
            return Err(self.fault(Rule::NotADocument));
        }
        Ok(self.document)
    }
}

fn is(space: &ResolveResult<'_>, name: &str) -> bool {
    *space == ResolveResult::Bound(Namespace(name.as_bytes()))
}

/// The character of an entity of XML.
fn entity(name: &[u8]) -> Option<char> {
    match name {
        b"amp" => Some('&'),
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"apos" => Some('\''),
        b"quot" => Some('"'),
        _ => None,
    }
}
