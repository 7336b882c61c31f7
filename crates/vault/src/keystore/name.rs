//! Names of secrets.

use std::fmt;
use std::str::FromStr;

const NAME_BYTES_MAX: usize = 128;
const WRAPPING: &str = "wrapping/";
const BRANCH: &str = "branch/";

/// The name of a secret: lower-case letters, digits, `-`, `_`, `.` and `/`, at most 128 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName(String);

/// The text is no name of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("name of a secret is 1 to 128 of a-z, 0-9, '-', '_', '.' and '/'")]
pub struct InvalidSecretName;

impl SecretName {
    /// The node's key, Ed25519 or P-256: statements, TLS.
    pub fn node() -> Self {
        Self("node".to_owned())
    }

    /// A later key of the node: the first is [`Self::node`], the second has the number 2.
    pub fn later_node(number: u32) -> Self {
        Self(format!("node/{number}"))
    }

    /// Whether it is a key of the node, the first or a later one.
    pub fn is_of_node(&self) -> bool {
        *self == Self::node() || self.0.starts_with("node/")
    }

    /// The validator's key with this number: the first is [`Self::validator`].
    pub fn validator_of(number: u32) -> Self {
        numbered(Self::validator(), number)
    }

    /// The cosigning key that belongs to it.
    pub fn cosigner_of(number: u32) -> Self {
        numbered(Self::cosigner(), number)
    }

    /// Which of the validator's keys this is, if it is one.
    pub fn validator_number(&self) -> Option<u32> {
        if *self == Self::validator() {
            return Some(1);
        }
        self.0.strip_prefix("validator/")?.parse().ok()
    }

    /// The key of the member's certificate authority, Ed25519 or P-256.
    pub fn member_ca() -> Self {
        Self("member-ca".to_owned())
    }

    /// The validator's Ed25519 seed.
    pub fn validator() -> Self {
        Self("validator".to_owned())
    }

    /// With what the validator cosigns checkpoints besides, against quantum computers.
    pub fn cosigner() -> Self {
        Self("cosigner".to_owned())
    }

    /// The Ed25519 key that signs access tokens.
    pub fn token() -> Self {
        Self("token".to_owned())
    }

    /// A later key of that kind: the first is [`Self::token`], the second has the number 2.
    pub fn token_of(number: u32) -> Self {
        numbered(Self::token(), number)
    }

    /// Which of the keys that sign access tokens this is, if it is one.
    pub fn token_number(&self) -> Option<u32> {
        if *self == Self::token() {
            return Some(1);
        }
        self.0.strip_prefix("token/")?.parse().ok()
    }

    /// Whether a PKCS#11 token can hold the secret: it signs, and no library has to have it.
    pub fn is_for_a_token(&self) -> bool {
        self.is_of_node() || self.token_number().is_some() || *self == Self::member_ca()
    }

    /// The key to which other members wrap keys.
    pub fn exchange() -> Self {
        Self("exchange".to_owned())
    }

    /// A later key of that kind: the first is [`Self::exchange`], the second has the number 2.
    pub fn exchange_of(number: u32) -> Self {
        numbered(Self::exchange(), number)
    }

    /// Which of the keys to which others wrap keys this is, if it is one.
    pub fn exchange_number(&self) -> Option<u32> {
        if *self == Self::exchange() {
            return Some(1);
        }
        self.0.strip_prefix("exchange/")?.parse().ok()
    }

    /// The wrapping key of an epoch.
    pub fn wrapping(epoch: u32) -> Self {
        Self(format!("{WRAPPING}{epoch}"))
    }

    /// A branch key; `branch` is the caller's own name for it.
    pub fn branch(branch: &str) -> Result<Self, InvalidSecretName> {
        format!("{BRANCH}{branch}").parse()
    }

    /// The epoch, if this names a wrapping key.
    pub fn epoch(&self) -> Option<u32> {
        self.0.strip_prefix(WRAPPING)?.parse().ok()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn numbered(first: SecretName, number: u32) -> SecretName {
    if number <= 1 {
        first
    } else {
        SecretName(format!("{}/{number}", first.0))
    }
}

impl FromStr for SecretName {
    type Err = InvalidSecretName;

    fn from_str(text: &str) -> Result<Self, InvalidSecretName> {
        let allowed =
            |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/');
        if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.bytes().all(allowed) {
            return Err(InvalidSecretName);
        }
        Ok(Self(text.to_owned()))
    }
}

/// A branch's name may tell whose it is, so that errors and logs show only that it is one.
impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.starts_with(BRANCH) {
            f.write_str("branch/..")
        } else {
            f.write_str(&self.0)
        }
    }
}

impl fmt::Debug for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretName({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_lower_case_ascii() {
        assert!("a-b_c.d/9".parse::<SecretName>().is_ok());
        for refused in ["", "A", "a b", "ä", &"a".repeat(129)] {
            assert_eq!(refused.parse::<SecretName>(), Err(InvalidSecretName));
        }
    }

    #[test]
    fn the_name_of_a_branch_is_not_printed() {
        let name = SecretName::branch("4711/index/clinic").unwrap();
        assert_eq!(name.as_str(), "branch/4711/index/clinic");
        assert_eq!(
            format!("{name} {name:?}"),
            "branch/.. SecretName(branch/..)"
        );
    }

    #[test]
    fn only_wrapping_keys_have_an_epoch() {
        assert_eq!(SecretName::wrapping(7).epoch(), Some(7));
        assert_eq!(SecretName::node().epoch(), None);
    }
}
