//! Preparing a token: label, PINs.

use std::path::Path;

use cryptoki::error::Error;
use cryptoki::session::UserType;

use super::sessions::{module, refused, slot_of};
use super::{Pin, Pkcs11Config};
use crate::keystore::KeyStoreError;

/// What a token says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFacts {
    /// Its label.
    pub label: String,
    /// Its serial number.
    pub serial: String,
    /// Who made it, and which model it is.
    pub maker: String,
    /// The library's maker and version.
    pub library: String,
}

/// Initialises a token that has no label yet: from then on `so_pin` manages it, and the PIN of `config` uses it.
pub fn initialise(config: &Pkcs11Config, so_pin: &Pin) -> Result<(), KeyStoreError> {
    let pkcs11 = module(&config.module)?;
    match slot_of(&pkcs11, &config.token) {
        Err(KeyStoreError::NoToken(_)) => {}
        Ok(_) => return Err(KeyStoreError::TokenExists(config.token.clone())),
        Err(error) => return Err(error),
    }
    let failed = |error: Error| KeyStoreError::Token(error.to_string());
    let mut empty = None;
    for slot in pkcs11.get_slots_with_token().map_err(failed)? {
        if !pkcs11
            .get_token_info(slot)
            .map_err(failed)?
            .token_initialized()
        {
            empty = Some(slot);
            break;
        }
    }
    let slot = empty.ok_or(KeyStoreError::NoEmptyToken)?;
    let so_pin = so_pin.auth();
    pkcs11
        .init_token(slot, &so_pin, &config.token)
        .map_err(|error| refused(&error))?;
    // A token that was just initialised may be in another slot.
    let slot = slot_of(&pkcs11, &config.token)?;
    let session = pkcs11.open_rw_session(slot).map_err(failed)?;
    session
        .login(UserType::So, Some(&so_pin))
        .map_err(|error| refused(&error))?;
    session
        .init_pin(&config.pin.auth())
        .map_err(|error| refused(&error))?;
    session.logout().map_err(failed)
}

/// What the token with that label says of itself; it need not be opened for that.
pub fn token_facts(library: &Path, label: &str) -> Result<TokenFacts, KeyStoreError> {
    let pkcs11 = module(library)?;
    let failed = |error: Error| KeyStoreError::Token(error.to_string());
    let info = pkcs11
        .get_token_info(slot_of(&pkcs11, label)?)
        .map_err(failed)?;
    let library = pkcs11.get_library_info().map_err(failed)?;
    Ok(TokenFacts {
        label: info.label().to_owned(),
        serial: info.serial_number().to_owned(),
        maker: format!("{} {}", info.manufacturer_id(), info.model()),
        library: format!(
            "{} {}",
            library.manufacturer_id(),
            library.library_version()
        ),
    })
}
