//! A document as a tree in one list: no recursion, and each element knows its path.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use super::fault::{Fault, Rule};

/// The name in paths of what CDA does not have.
const UNKNOWN: &str = "*";

/// What stands in one place several times, and has a number in paths.
const NUMBERED: [&str; 22] = [
    "addr",
    "author",
    "component",
    "effectiveTime",
    "entry",
    "entryRelationship",
    "id",
    "item",
    "name",
    "paragraph",
    "participant",
    "performer",
    "recordTarget",
    "reference",
    "referenceRange",
    "relatedDocument",
    "td",
    "telecom",
    "templateId",
    "th",
    "tr",
    "translation",
];

/// A document that was read.
pub struct Document {
    pub(super) elements: Vec<Element>,
    /// Elements by their `ID`, to which texts refer.
    pub(super) by_id: BTreeMap<Box<str>, usize>,
    /// Bytes of narrative to which may still be referred; nothing once it was more.
    pub(super) referable: Cell<Option<usize>>,
    /// SHA-256 of the bytes, in hexadecimal digits.
    pub(super) digest: String,
}

/// An element.
pub(super) struct Element {
    pub(super) parent: Option<usize>,
    /// A name of CDA or its extensions (`urn:hl7-org:sdtc`); nothing for any other.
    pub(super) name: Option<&'static str>,
    /// How many of its name stand before it.
    pub(super) ordinal: usize,
    /// Bytes of text in it.
    pub(super) text_bytes: usize,
    /// Those without a namespace, and `xsi:type`, whose value is without its prefix.
    pub(super) attributes: Vec<Attribute>,
    pub(super) nodes: Vec<Node>,
}

impl Element {
    fn step(&self) -> String {
        let name = self.name.unwrap_or(UNKNOWN);
        if self.parent.is_some() && NUMBERED.contains(&name) {
            return format!("{name}[{}]", self.ordinal);
        }
        name.to_owned()
    }
}

/// Name and value.
pub(super) type Attribute = (Box<str>, Box<str>);

/// What an element holds.
pub(super) enum Node {
    Element(usize),
    Text(String),
}

impl fmt::Debug for Document {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Document({} elements)", self.elements.len())
    }
}

/// An element in its document.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    document: &'a Document,
    index: usize,
    element: &'a Element,
}

impl Document {
    /// The root, `ClinicalDocument`.
    pub(super) fn root(&self) -> Option<At<'_>> {
        self.at(0)
    }

    pub(super) fn at(&self, index: usize) -> Option<At<'_>> {
        let element = self.elements.get(index)?;
        Some(At {
            document: self,
            index,
            element,
        })
    }

    /// What tells this document from any other that has no identifier of its own.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether more narrative was referred to than may be.
    pub(super) fn is_overdrawn(&self) -> bool {
        self.referable.get().is_none()
    }

    /// Where an element stands, in the form of [`Fault::path`].
    pub(super) fn path(&self, index: usize) -> String {
        let mut steps = Vec::new();
        let mut next = Some(index);
        while let Some(index) = next {
            let Some(element) = self.elements.get(index) else {
                break;
            };
            steps.push(element.step());
            next = element.parent;
        }
        steps.reverse();
        steps.join(".")
    }
}

impl<'a> At<'a> {
    pub(super) fn name(self) -> &'static str {
        self.element.name.unwrap_or(UNKNOWN)
    }

    pub(super) fn path(self) -> String {
        self.document.path(self.index)
    }

    pub(super) fn fault(self, rule: Rule) -> Fault {
        Fault {
            path: self.path(),
            rule,
        }
    }

    /// Texts and elements in their order.
    pub(super) fn nodes(self) -> impl Iterator<Item = Result<At<'a>, &'a str>> {
        self.element
            .nodes
            .iter()
            .filter_map(move |node| match node {
                Node::Element(index) => self.document.at(*index).map(Ok),
                Node::Text(text) => Some(Err(text.as_str())),
            })
    }

    /// The elements in it.
    pub(super) fn elements(self) -> impl Iterator<Item = Self> {
        self.nodes().filter_map(Result::ok)
    }

    /// Those with a name.
    pub(super) fn all(self, name: &'static str) -> impl Iterator<Item = Self> {
        self.elements()
            .filter(move |child| child.element.name == Some(name))
    }

    pub(super) fn child(self, name: &'static str) -> Option<Self> {
        self.all(name).next()
    }

    /// The first element at the end of these steps.
    pub(super) fn find(self, steps: &[&'static str]) -> Option<Self> {
        match steps.split_first() {
            None => Some(self),
            Some((name, rest)) => self.all(name).find_map(|child| child.find(rest)),
        }
    }

    /// The value of an attribute that says something.
    pub(super) fn attribute(self, name: &str) -> Option<&'a str> {
        let found = self
            .element
            .attributes
            .iter()
            .find(|(own, _)| **own == *name);
        let value = found.map(|(_, value)| value.trim());
        value.filter(|value| !value.is_empty())
    }

    pub(super) fn is(self, name: &str, value: &str) -> bool {
        self.attribute(name) == Some(value)
    }

    /// Whether it says that it follows a template.
    pub(super) fn follows(self, template: &str) -> bool {
        self.all("templateId").any(|id| id.is("root", template))
    }

    /// Whether its `code` is this one, whatever system it names.
    pub(super) fn is_coded(self, code: &str) -> bool {
        self.child("code").is_some_and(|own| own.is("code", code))
    }

    pub(super) fn is_negated(self) -> bool {
        self.is("negationInd", "true")
    }

    /// Elements of this name below `entryRelationship`s.
    pub(super) fn related(self, name: &'static str) -> impl Iterator<Item = Self> {
        self.all("entryRelationship")
            .filter_map(move |relation| relation.child(name))
    }

    /// All text in it, with single spaces.
    pub(super) fn text(self) -> String {
        let mut pieces = String::new();
        self.gather(&mut pieces);
        let words: Vec<&str> = pieces.split_whitespace().collect();
        words.join(" ")
    }

    fn gather(self, pieces: &mut String) {
        for node in self.nodes() {
            match node {
                Ok(element) => {
                    pieces.push(' ');
                    element.gather(pieces);
                    pieces.push(' ');
                }
                Err(text) => pieces.push_str(text),
            }
        }
    }

    /// The text of an element that may refer to a piece of the narrative instead: `<reference value="#x"/>`.
    pub(super) fn said(self) -> Option<String> {
        let own = self.text();
        if !own.is_empty() {
            return Some(own);
        }
        let text = self.referred()?.text();
        (!text.is_empty()).then_some(text)
    }

    /// The piece of narrative to which it refers. A long piece to which many refer would be copied for each: what is beyond
    /// the limit is not given, and [`Document::is_overdrawn`] says so.
    pub(super) fn referred(self) -> Option<Self> {
        let reference = self.child("reference")?.attribute("value")?;
        let index = self.document.by_id.get(reference.strip_prefix('#')?)?;
        let referred = self.document.at(*index)?;
        let rest = self.document.referable.get();
        let rest = rest.and_then(|rest| rest.checked_sub(referred.element.text_bytes));
        self.document.referable.set(rest);
        rest.map(|_| referred)
    }
}
