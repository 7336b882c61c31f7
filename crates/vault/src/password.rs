//! Hashes of passwords: Argon2id as PHC strings.

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use thiserror::Error;

use crate::entropy::random;

/// OWASP's parameters for Argon2id with little memory: 19 MiB, two passes.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;

/// A hash with these parameters that no password has. Checked in place of one that is not there, it takes as long.
pub const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
                          AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A password could not be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the password cannot be hashed")]
pub struct NotHashed;

/// The hash of a password, with a fresh salt.
pub fn hash(password: &[u8]) -> Result<String, NotHashed> {
    let salt = SaltString::encode_b64(&random::<16>()).map_err(|_| NotHashed)?;
    let hash = hasher()?.hash_password(password, &salt);
    hash.map(|hash| hash.to_string()).map_err(|_| NotHashed)
}

/// Whether the password has this hash.
pub fn is_right(password: &[u8], hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        hasher().is_ok_and(|hasher| hasher.verify_password(password, &hash).is_ok())
    })
}

/// Whether the text is a hash by Argon2id.
pub fn is_hash(text: &str) -> bool {
    PasswordHash::new(text)
        .is_ok_and(|hash| hash.algorithm.as_str() == "argon2id" && hash.hash.is_some())
}

fn hasher() -> Result<Argon2<'static>, NotHashed> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|_| NotHashed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_its_own_hash_alone() {
        let (one, other) = (
            hash(b"correct horse").unwrap(),
            hash(b"correct horse").unwrap(),
        );
        assert_ne!(one, other);
        assert!(is_right(b"correct horse", &one) && is_right(b"correct horse", &other));
        assert!(!is_right(b"correct horsf", &one));
        assert!(is_hash(&one) && is_hash(NOBODY) && !is_right(b"", NOBODY));
        assert!(!is_hash(&one.replace("argon2id", "pbkdf2")) && !is_hash("correct horse"));
    }
}
