//! Keys as a token's objects: how they are made, found and told.
//!
//! The private and the public half of a key have the secret's name as label. What a token calls the point of a public key
//! is DER around it (PKCS#11 3.0 §2.3.3); some tokens give it bare.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use cryptoki::error::{Error, Result};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Date;

use super::seal::SEALING_KEY;
use crate::keystore::{SecretKind, SecretName, SigningPublicKey};

/// OID 1.3.101.112 (RFC 8410), and the curve's name, which older tokens want in its place.
const ED25519_PARAMETERS: [&[u8]; 2] = [&[0x06, 0x03, 0x2b, 0x65, 0x70], b"\x13\x0cedwards25519"];
/// OID 1.2.840.10045.3.1.7.
const P256_PARAMETERS: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const OCTET_STRING: u8 = 0x04;

/// A signing key in the token.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) handle: ObjectHandle,
    pub(super) public: SigningPublicKey,
    /// When the day began on which it was made, in seconds since 1970, if the token tells.
    pub(super) made_at: Option<u64>,
    /// Whether the token says that the key was made in it and never leaves it.
    pub(super) is_confined: bool,
}

/// The signing keys of the token, by name.
pub(super) fn list(session: &Session) -> Result<BTreeMap<SecretName, Held>> {
    let private = [
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::Token(true),
    ];
    let mut keys = BTreeMap::new();
    for handle in session.find_objects(&private)? {
        let Some(name) = name_of(session, handle)? else {
            continue;
        };
        if let Some((public, made_at)) = public_half(session, &name)? {
            let held = Held {
                handle,
                public,
                made_at,
                is_confined: is_confined(session, handle)?,
            };
            keys.insert(name, held);
        }
    }
    Ok(keys)
}

/// Makes a signing key that never leaves the token.
pub(super) fn generate(session: &Session, name: &SecretName, kind: SecretKind) -> Result<()> {
    let (mechanism, parameters): (_, &[&[u8]]) = match kind {
        SecretKind::Signing => (Mechanism::EccEdwardsKeyPairGen, &ED25519_PARAMETERS),
        SecretKind::SigningP256 => (Mechanism::EccKeyPairGen, &[P256_PARAMETERS]),
        _ => return Err(Error::NotSupported),
    };
    let mut made = Err(Error::NotSupported);
    for parameters in parameters {
        let public = public_template(name, parameters);
        made = session.generate_key_pair(&mechanism, &public, &private_template(name));
        if made.is_ok() {
            break;
        }
    }
    made.map(drop)
}

/// Destroys both halves of a key.
pub(super) fn destroy(session: &Session, name: &SecretName) -> Result<()> {
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        for handle in session.find_objects(&named(class, name))? {
            session.destroy_object(handle)?;
        }
    }
    Ok(())
}

/// A signature: of the message itself with Ed25519, of its SHA-256 with P-256.
pub(super) fn sign(session: &Session, held: &Held, message: &[u8]) -> Result<Vec<u8>> {
    match held.public {
        SigningPublicKey::Ed25519(_) => {
            let pure = EddsaParams::new(EddsaSignatureScheme::Pure);
            session.sign(&Mechanism::Eddsa(pure), held.handle, message)
        }
        SigningPublicKey::P256(_) => {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, message);
            session.sign(&Mechanism::Ecdsa, held.handle, digest.as_ref())
        }
    }
}

fn named(class: ObjectClass, name: &SecretName) -> [Attribute; 3] {
    [
        Attribute::Class(class),
        Attribute::Token(true),
        Attribute::Label(name.as_str().as_bytes().to_vec()),
    ]
}

/// The public half has the date: SoftHSM cannot read a private object's.
fn public_template(name: &SecretName, parameters: &[u8]) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::EcParams(parameters.to_vec()),
        Attribute::Label(name.as_str().as_bytes().to_vec()),
        Attribute::Id(name.as_str().as_bytes().to_vec()),
    ];
    template.extend(today().map(Attribute::StartDate));
    template
}

fn private_template(name: &SecretName) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Label(name.as_str().as_bytes().to_vec()),
        Attribute::Id(name.as_str().as_bytes().to_vec()),
    ]
}

fn name_of(session: &Session, handle: ObjectHandle) -> Result<Option<SecretName>> {
    let labels = session.get_attributes(handle, &[AttributeType::Label])?;
    let label = labels.into_iter().find_map(|attribute| match attribute {
        Attribute::Label(label) => String::from_utf8(label).ok(),
        _ => None,
    });
    Ok(label
        .filter(|label| label != SEALING_KEY)
        .and_then(|label| label.parse().ok()))
}

/// The public key, and when it was made.
fn public_half(
    session: &Session,
    name: &SecretName,
) -> Result<Option<(SigningPublicKey, Option<u64>)>> {
    let halves = session.find_objects(&named(ObjectClass::PUBLIC_KEY, name))?;
    let Some(half) = halves.first() else {
        return Ok(None);
    };
    let wanted = [AttributeType::KeyType, AttributeType::EcPoint];
    let (mut is_edwards, mut point) = (false, Vec::new());
    for attribute in session.get_attributes(*half, &wanted)? {
        match attribute {
            Attribute::KeyType(kind) => is_edwards = kind == KeyType::EC_EDWARDS,
            Attribute::EcPoint(bytes) => point = bytes,
            _ => {}
        }
    }
    let key = if is_edwards {
        bare::<32>(&point).map(SigningPublicKey::Ed25519)
    } else {
        bare::<65>(&point).map(SigningPublicKey::P256)
    };
    let made_at = made_at(session, *half)?;
    Ok(key.map(|key| (key, made_at)))
}

/// A point of `N` bytes, with or without the DER around it.
fn bare<const N: usize>(point: &[u8]) -> Option<[u8; N]> {
    let inner = match point {
        [OCTET_STRING, length, inner @ ..] if usize::from(*length) == N && inner.len() == N => {
            inner
        }
        _ => point,
    };
    inner.try_into().ok()
}

fn is_confined(session: &Session, handle: ObjectHandle) -> Result<bool> {
    let wanted = [
        AttributeType::AlwaysSensitive,
        AttributeType::NeverExtractable,
    ];
    let said = session.get_attributes(handle, &wanted)?;
    Ok(said.len() == wanted.len()
        && said.iter().all(|attribute| {
            matches!(
                attribute,
                Attribute::AlwaysSensitive(true) | Attribute::NeverExtractable(true)
            )
        }))
}

fn made_at(session: &Session, handle: ObjectHandle) -> Result<Option<u64>> {
    let said = session.get_attributes(handle, &[AttributeType::StartDate])?;
    Ok(said.into_iter().find_map(|attribute| match attribute {
        Attribute::StartDate(date) if !date.is_empty() => beginning_of(&date),
        _ => None,
    }))
}

fn beginning_of(date: &Date) -> Option<u64> {
    let year = std::str::from_utf8(&date.year).ok()?.parse().ok()?;
    let month: u8 = std::str::from_utf8(&date.month).ok()?.parse().ok()?;
    let day = std::str::from_utf8(&date.day).ok()?.parse().ok()?;
    let day = time::Date::from_calendar_date(year, month.try_into().ok()?, day).ok()?;
    u64::try_from(day.midnight().assume_utc().unix_timestamp()).ok()
}

fn today() -> Option<Date> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let seconds = i64::try_from(since.as_secs()).ok()?;
    let now = time::OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    let (year, month, day) = (now.year(), u8::from(now.month()), now.day());
    Date::new_from_str_slice(
        &format!("{year:04}"),
        &format!("{month:02}"),
        &format!("{day:02}"),
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_with_der_around_it_and_without() {
        let wrapped = [[4, 32].as_slice(), &[7; 32]].concat();
        assert_eq!(bare::<32>(&wrapped), Some([7; 32]));
        assert_eq!(bare::<32>(&[7; 32]), Some([7; 32]));
        // A bare P-256 point begins with the byte of an octet string, too.
        let point = [[4, 65].as_slice(), &[9; 63]].concat();
        assert_eq!(bare::<65>(&point).unwrap()[..2], [4, 65]);
        assert_eq!(bare::<32>(&wrapped[..33]), None);
    }
}
