//! Elements of a document that is being written.

use crate::ccda::narrative::escape;

/// An element.
#[derive(Clone)]
pub(super) struct Tag {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    inner: Vec<Inner>,
}

#[derive(Clone)]
enum Inner {
    Tag(Tag),
    Text(String),
}

/// An element without anything.
pub(super) fn tag(name: &'static str) -> Tag {
    Tag {
        name,
        attributes: Vec::new(),
        inner: Vec::new(),
    }
}

/// An element with a text.
pub(super) fn text(name: &'static str, text: &str) -> Tag {
    let mut tag = tag(name);
    tag.inner.push(Inner::Text(text.to_owned()));
    tag
}

impl Tag {
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    pub(super) fn holding(mut self, inner: impl IntoIterator<Item = Self>) -> Self {
        self.inner.extend(inner.into_iter().map(Inner::Tag));
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.attributes.is_empty() && self.inner.is_empty()
    }

    pub(super) fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(self.name);
        for (name, value) in &self.attributes {
            out.push_str(&format!(" {name}=\""));
            escape(&readable(value), out);
            out.push('"');
        }
        if self.inner.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        for inner in &self.inner {
            match inner {
                Inner::Tag(tag) => tag.write(out),
                Inner::Text(text) => escape(&readable(text), out),
            }
        }
        out.push_str(&format!("</{}>", self.name));
    }
}

/// The text without characters that XML does not have.
fn readable(text: &str) -> String {
    let letters = text.chars();
    letters
        .map(|letter| match letter {
            letter if letter.is_control() => ' ',
            '\u{fffe}' | '\u{ffff}' => ' ',
            letter => letter,
        })
        .collect()
}
