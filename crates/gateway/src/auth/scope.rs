//! SMART scopes (<https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html>), without
//! search parameters.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use interop::fhir::ResourceType;
use thiserror::Error;

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

/// One scope, such as `system/Observation.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    context: Context,
    /// All types without one.
    resource_type: Option<ResourceType>,
    permissions: Permissions,
}

/// Scopes, as in a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

/// The text is not a scope that this server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a scope is system/TYPE.PERMISSIONS or patient/TYPE.PERMISSIONS")]
pub struct ScopeError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    System,
    Patient,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Permissions(u8);

impl Scopes {
    /// Whether any scope lets the client do this to this type.
    pub fn permit(&self, resource_type: ResourceType, permission: Permission) -> bool {
        self.0.iter().any(|scope| {
            scope.resource_type.is_none_or(|only| only == resource_type)
                && scope.permissions.0 & permission.bit() != 0
        })
    }

    /// Whether one scope lets the client do this to every type.
    pub fn permit_all_types(&self, permission: Permission) -> bool {
        self.0.iter().any(|scope| {
            scope.resource_type.is_none() && scope.permissions.0 & permission.bit() != 0
        })
    }

    /// What of these is also in `allowed`; `None` if nothing is.
    pub fn within(&self, allowed: &Self) -> Option<Self> {
        let mut granted: Vec<Scope> = Vec::new();
        for wanted in &self.0 {
            for common in allowed.0.iter().filter_map(|other| wanted.common(*other)) {
                if !granted.contains(&common) {
                    granted.push(common);
                }
            }
        }
        (!granted.is_empty()).then_some(Self(granted))
    }
}

impl Scope {
    fn common(self, other: Self) -> Option<Self> {
        let resource_type = match (self.resource_type, other.resource_type) {
            (Some(one), Some(two)) if one != two => return None,
            (one, two) => one.or(two),
        };
        let permissions = Permissions(self.permissions.0 & other.permissions.0);
        (self.context == other.context && permissions.0 != 0).then_some(Self {
            context: self.context,
            resource_type,
            permissions,
        })
    }
}

impl FromStr for Scopes {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let scopes: Vec<Scope> = text
            .split_ascii_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        if scopes.is_empty() {
            return Err(ScopeError);
        }
        Ok(Self(scopes))
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let (context, rest) = text.split_once('/').ok_or(ScopeError)?;
        let (resource_type, permissions) = rest.split_once('.').ok_or(ScopeError)?;
        Ok(Self {
            context: match context {
                "system" => Context::System,
                "patient" => Context::Patient,
                _ => return Err(ScopeError),
            },
            resource_type: match resource_type {
                "*" => None,
                name => Some(ResourceType::parse(name).ok_or(ScopeError)?),
            },
            permissions: permissions.parse()?,
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
        for (n, scope) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(" ")?;
            }
            scope.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let context = match self.context {
            Context::System => "system",
            Context::Patient => "patient",
        };
        let resource_type = self.resource_type.map_or("*", ResourceType::as_str);
        write!(f, "{context}/{resource_type}.")?;
        PERMISSIONS
            .iter()
            .filter(|permission| self.permissions.0 & permission.bit() != 0)
            .try_for_each(|permission| f.write_char(permission.letter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(text: &str) -> Scopes {
        text.parse().unwrap()
    }

    #[test]
    fn scopes_round_trip_in_the_words_of_version_2() {
        for (text, shown) in [
            ("system/*.cruds", "system/*.cruds"),
            ("system/Observation.read", "system/Observation.rs"),
            ("patient/Consent.write", "patient/Consent.cud"),
            (
                "system/*.* patient/Patient.r",
                "system/*.cruds patient/Patient.r",
            ),
        ] {
            assert_eq!(scopes(text).to_string(), shown);
        }
        for text in [
            "",
            "openid",
            "system/Observation",
            "system/Observations.r",
            "user/*.r",
            "system/*.sr",
            "system/*.rr",
            "system/*.",
            "system/*.rs?category=x",
        ] {
            assert_eq!(text.parse::<Scopes>(), Err(ScopeError), "{text}");
        }
    }

    #[test]
    fn no_more_is_granted_than_is_allowed() {
        let allowed = scopes("system/Observation.rs system/Patient.cruds");
        let granted = |wanted: &str| scopes(wanted).within(&allowed).map(|some| some.to_string());
        assert_eq!(
            granted("system/*.cr").as_deref(),
            Some("system/Observation.r system/Patient.cr")
        );
        assert_eq!(
            granted("system/Observation.cruds").as_deref(),
            Some("system/Observation.rs")
        );
        assert_eq!(granted("system/Condition.r"), None);
        assert_eq!(granted("patient/Observation.r"), None);
    }

    #[test]
    fn a_scope_permits_its_type_and_letters() {
        let scopes = scopes("system/Observation.rs system/Patient.c");
        let observation = ResourceType::parse("Observation").unwrap();
        assert!(scopes.permit(observation, Permission::Search));
        assert!(!scopes.permit(observation, Permission::Create));
        assert!(scopes.permit(ResourceType::PATIENT, Permission::Create));
        assert!(!scopes.permit_all_types(Permission::Read));
        assert!(
            "system/*.r"
                .parse::<Scopes>()
                .unwrap()
                .permit_all_types(Permission::Read)
        );
    }
}
