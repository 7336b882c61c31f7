//! SMART scopes (<https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html>).

mod constraint;
mod word;

use std::fmt::{self, Write as _};
use std::str::FromStr;

use interop::fhir::ResourceType;
use interop::fhir::compartment::is_in_compartment;
use node::custody::Reached;
use thiserror::Error;

use self::constraint::Constraint;
pub use self::word::Word;

/// The longest text of scopes.
const BYTES_MAX: usize = 8 << 10;

/// What a scope lets a client do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of SMART")]
pub enum Permission {
    Create,
    Read,
    Update,
    Delete,
    Search,
}

impl Permission {
    /// Its letter in a scope.
    pub fn letter(self) -> char {
        match self {
            Self::Create => 'c',
            Self::Read => 'r',
            Self::Update => 'u',
            Self::Delete => 'd',
            Self::Search => 's',
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Create => 1,
            Self::Read => 2,
            Self::Update => 4,
            Self::Delete => 8,
            Self::Search => 16,
        }
    }
}

const PERMISSIONS: [Permission; 5] = [
    Permission::Create,
    Permission::Read,
    Permission::Update,
    Permission::Delete,
    Permission::Search,
];

/// One scope, such as `patient/Observation.rs?category=laboratory`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    context: Context,
    /// All types without one.
    resource_type: Option<ResourceType>,
    permissions: Permissions,
    /// All documents of the type without one.
    constraint: Option<Constraint>,
}

/// Scopes, as in a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes {
    data: Vec<Scope>,
    words: Vec<Word>,
}

/// The text is not a scope that this server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a scope is CONTEXT/TYPE.PERMISSIONS, with search parameters or without, or a word of SMART"
)]
pub struct ScopeError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    System,
    User,
    Patient,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Permissions(u8);

impl Scopes {
    /// Whether any scope lets the client do this to some document of this type.
    pub fn permit(&self, resource_type: ResourceType, permission: Permission) -> bool {
        self.of(resource_type, permission).next().is_some()
    }

    /// Whether one scope lets the client do this to every type.
    pub fn permit_all_types(&self, permission: Permission) -> bool {
        self.data.iter().any(|scope| {
            scope.resource_type.is_none() && scope.permissions.0 & permission.bit() != 0
        })
    }

    /// Whether a scope lets the client do this to this document. Scopes of a patient reach the record of the patient in
    /// context, and what is in no patient's record.
    pub(crate) fn admit(
        &self,
        subject: &Reached<'_>,
        permission: Permission,
        patient: Option<&str>,
    ) -> bool {
        let mut scopes = self.of(subject.resource_type, permission);
        scopes.any(|scope| {
            let is_in_context = scope.context != Context::Patient
                || (patient.is_some()
                    && (subject.patient_id == patient
                        || !is_in_compartment(subject.resource_type)));
            let constraint = scope.constraint.as_ref();
            is_in_context && constraint.is_none_or(|one| one.admits(subject.terms, subject.id))
        })
    }

    /// Whether each permission is there for every document of every type, so that none has to be looked at.
    pub(crate) fn reach_all(&self) -> bool {
        let mut bits = 0;
        for scope in &self.data {
            let is_whole = scope.resource_type.is_none() && scope.context != Context::Patient;
            bits |= if is_whole { scope.permissions.0 } else { 0 };
        }
        bits != 0
            && self
                .data
                .iter()
                .all(|scope| scope.permissions.0 & !bits == 0)
    }

    /// Whether the word is among them.
    pub fn have(&self, word: Word) -> bool {
        self.words.contains(&word)
    }

    /// Whether a patient in context is needed.
    pub(super) fn need_patient(&self) -> bool {
        let mut contexts = self.data.iter().map(|scope| scope.context);
        self.have(Word::LaunchPatient) || contexts.any(|one| one == Context::Patient)
    }

    /// What of these is also in `allowed`; `None` if nothing is.
    pub fn within(&self, allowed: &Self) -> Option<Self> {
        let mut data: Vec<Scope> = Vec::new();
        for wanted in &self.data {
            for common in allowed.data.iter().filter_map(|other| wanted.common(other)) {
                if !data.contains(&common) {
                    data.push(common);
                }
            }
        }
        let words = self.words.iter().copied();
        let words = words.filter(|word| allowed.have(*word)).collect();
        Self { data, words }.unless_empty()
    }

    /// Those without scopes of users or systems: what is left to a patient.
    pub(super) fn of_a_patient(&self) -> Option<Self> {
        let data = self.data.iter();
        let data = data.filter(|scope| scope.context == Context::Patient);
        Self {
            data: data.cloned().collect(),
            words: self.words.clone(),
        }
        .unless_empty()
    }

    /// Those that a person can grant: systems ask for their own.
    pub(super) fn of_a_person(&self) -> Option<Self> {
        let data = self.data.iter();
        let data = data.filter(|scope| scope.context != Context::System);
        let words = self.words.iter().copied();
        Self {
            data: data.cloned().collect(),
            words: words.filter(|word| word.is_of_a_person()).collect(),
        }
        .unless_empty()
    }

    /// Each scope alone, in words.
    pub(super) fn each(&self) -> Vec<String> {
        let words = self.words.iter().map(ToString::to_string);
        words
            .chain(self.data.iter().map(ToString::to_string))
            .collect()
    }

    /// Those that are known among these.
    pub(super) fn known(text: &str) -> Option<Self> {
        let known: Vec<&str> = text
            .split_ascii_whitespace()
            .filter(|text| text.parse::<Self>().is_ok())
            .collect();
        known.join(" ").parse().ok()
    }

    fn of(
        &self,
        resource_type: ResourceType,
        permission: Permission,
    ) -> impl Iterator<Item = &Scope> {
        self.data.iter().filter(move |scope| {
            scope.resource_type.is_none_or(|only| only == resource_type)
                && scope.permissions.0 & permission.bit() != 0
        })
    }

    fn unless_empty(self) -> Option<Self> {
        (!self.data.is_empty() || !self.words.is_empty()).then_some(self)
    }
}

impl Scope {
    fn common(&self, other: &Self) -> Option<Self> {
        let resource_type = match (self.resource_type, other.resource_type) {
            (Some(one), Some(two)) if one != two => return None,
            (one, two) => one.or(two),
        };
        let permissions = Permissions(self.permissions.0 & other.permissions.0);
        if self.context != other.context || permissions.0 == 0 {
            return None;
        }
        let constraint = match (&self.constraint, &other.constraint) {
            (Some(one), Some(two)) => Some(one.and(two)?),
            (one, two) => one.clone().or_else(|| two.clone()),
        };
        Some(Self {
            context: self.context,
            resource_type,
            permissions,
            constraint,
        })
    }
}

impl FromStr for Scopes {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text.len() > BYTES_MAX {
            return Err(ScopeError);
        }
        let (mut data, mut words) = (Vec::new(), Vec::new());
        for text in text.split_ascii_whitespace() {
            match text.parse::<Word>() {
                Ok(word) if words.contains(&word) => {}
                Ok(word) => words.push(word),
                Err(_) => data.push(text.parse()?),
            }
        }
        Self { data, words }.unless_empty().ok_or(ScopeError)
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let (text, query) = match text.split_once('?') {
            Some((text, query)) => (text, Some(query)),
            None => (text, None),
        };
        let (context, rest) = text.split_once('/').ok_or(ScopeError)?;
        let (resource_type, permissions) = rest.split_once('.').ok_or(ScopeError)?;
        let resource_type = match resource_type {
            "*" => None,
            name => Some(ResourceType::parse(name).ok_or(ScopeError)?),
        };
        let constraint = match (resource_type, query) {
            (_, None) => None,
            (Some(resource_type), Some(query)) => Some(Constraint::parse(resource_type, query)?),
            (None, Some(_)) => return Err(ScopeError),
        };
        Ok(Self {
            context: match context {
                "system" => Context::System,
                "user" => Context::User,
                "patient" => Context::Patient,
                _ => return Err(ScopeError),
            },
            resource_type,
            permissions: permissions.parse()?,
            constraint,
        })
    }
}

impl FromStr for Permissions {
    type Err = ScopeError;

    /// Version 2 letters in their order, or a word of version 1.
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let letters = match text {
            "read" => "rs",
            "write" => "cud",
            "*" => "cruds",
            letters => letters,
        };
        let mut bits = 0;
        for letter in letters.chars() {
            let known = PERMISSIONS.iter().find(|known| known.letter() == letter);
            let bit = known.ok_or(ScopeError)?.bit();
            if bits >= bit {
                return Err(ScopeError);
            }
            bits |= bit;
        }
        if bits == 0 {
            Err(ScopeError)
        } else {
            Ok(Self(bits))
        }
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.each().join(" "))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let context = match self.context {
            Context::System => "system",
            Context::User => "user",
            Context::Patient => "patient",
        };
        let resource_type = self.resource_type.map_or("*", ResourceType::as_str);
        write!(f, "{context}/{resource_type}.")?;
        PERMISSIONS
            .iter()
            .filter(|permission| self.permissions.0 & permission.bit() != 0)
            .try_for_each(|permission| f.write_char(permission.letter()))?;
        match &self.constraint {
            Some(constraint) => write!(f, "?{constraint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
