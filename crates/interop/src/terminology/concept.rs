//! One concept of a code system, as it is kept.

use minicbor::{Decode, Encode};
use serde_json::{Map, Value, json};

/// A concept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Concept {
    /// Its code.
    #[n(0)]
    pub code: String,
    /// What it is shown as.
    #[n(1)]
    pub display: Option<String>,
    /// What it means.
    #[n(2)]
    pub definition: Option<String>,
    /// Whether it is not to be used any more.
    #[n(3)]
    pub is_inactive: bool,
    /// Whether it only groups others.
    #[n(4)]
    pub is_abstract: bool,
    /// What it is called besides.
    #[n(5)]
    pub designations: Vec<Designation>,
    /// What is said about it.
    #[n(6)]
    pub properties: Vec<Property>,
}

/// What a concept is called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Designation {
    /// BCP 47.
    #[n(0)]
    pub language: Option<String>,
    /// What kind of name it is, as `system|code`.
    #[n(1)]
    pub usage: Option<String>,
    /// The name.
    #[n(2)]
    pub value: String,
}

/// Something that is said about a concept.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Property {
    /// What is said.
    #[n(0)]
    pub name: String,
    /// Of which type the value is.
    #[n(1)]
    pub kind: Kind,
    /// The value as text.
    #[n(2)]
    pub value: String,
}

/// The types of properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
#[expect(missing_docs, reason = "the names are those of R4")]
pub enum Kind {
    #[n(0)]
    Code,
    #[n(1)]
    String,
    #[n(2)]
    Boolean,
    #[n(3)]
    Integer,
    #[n(4)]
    Decimal,
    #[n(5)]
    DateTime,
}

impl Concept {
    /// What it is called in a language: a designation in it or in a form of it, else its display.
    pub fn display_in(&self, language: Option<&str>) -> Option<&str> {
        let spoken = |designation: &&Designation| {
            let own = designation.language.as_deref();
            own.zip(language)
                .is_some_and(|(own, asked)| speaks(own, asked))
        };
        let found = self.designations.iter().find(spoken);
        found
            .map(|designation| designation.value.as_str())
            .or(self.display.as_deref())
    }

    /// The value of a property.
    pub fn property<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.properties.iter().filter(move |one| one.name == name);
        named.map(|one| one.value.as_str())
    }
}

/// Whether a text in `own` is for who asks for `asked`, which may be a list as in `Accept-Language`.
fn speaks(own: &str, asked: &str) -> bool {
    let mut wanted = asked
        .split(',')
        .map(|one| one.split(';').next().unwrap_or_default().trim());
    wanted.any(|wanted| {
        let head = own.get(..wanted.len());
        let is_whole = own
            .as_bytes()
            .get(wanted.len())
            .is_none_or(|next| *next == b'-');
        !wanted.is_empty() && is_whole && head.is_some_and(|head| head.eq_ignore_ascii_case(wanted))
    })
}

impl Designation {
    /// As `designation` of a `ValueSet` and as parts of `$lookup` have it.
    pub(super) fn to_value(&self) -> Value {
        let mut object = Map::new();
        if let Some(language) = &self.language {
            object.insert("language".to_owned(), language.as_str().into());
        }
        if let Some(usage) = &self.usage {
            let coding = match usage.split_once('|') {
                Some((system, code)) => json!({ "system": system, "code": code }),
                None => json!({ "code": usage }),
            };
            object.insert("use".to_owned(), coding);
        }
        object.insert("value".to_owned(), self.value.as_str().into());
        object.into()
    }
}

impl Property {
    /// The element and value that a parameter has.
    pub(super) fn value(&self) -> (&'static str, Value) {
        let text = self.value.as_str();
        match self.kind {
            Kind::Code => ("valueCode", text.into()),
            Kind::String => ("valueString", text.into()),
            Kind::Boolean => ("valueBoolean", (text == "true").into()),
            Kind::Integer => match text.parse::<i64>() {
                Ok(number) => ("valueInteger", number.into()),
                Err(_) => ("valueString", text.into()),
            },
            Kind::Decimal => match serde_json::from_str(text) {
                Ok(Value::Number(number)) => ("valueDecimal", number.into()),
                _ => ("valueString", text.into()),
            },
            Kind::DateTime => ("valueDateTime", text.into()),
        }
    }
}
