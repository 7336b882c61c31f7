#![doc = include_str!("../README.md")]

pub mod blob;
pub mod certificate;
pub mod jwe;
pub mod keystore;
pub mod keytable;
pub mod password;
pub mod release;
pub mod seal;
pub mod secret;
pub mod wrap;

mod aead;
mod derive;
mod entropy;
