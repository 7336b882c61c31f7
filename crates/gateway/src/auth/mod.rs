//! The node's own authorization server: SMART Backend Services
//! (<https://hl7.org/fhir/smart-app-launch/backend-services.html>).
//!
//! ```text
//! client ── client_assertion (JWT by the client's key) ──▶ POST /oauth2/token
//! client ◀─ access token (JWT by the node's key) ───────── who, for what, which scopes, how long
//! client ── Authorization: Bearer … ─────────────────────▶ /fhir
//! ```
//!
//! # Invariants
//! - **T1** An assertion is used once, lives at most five minutes, and names this server.
//! - **T2** A token carries only what its client is registered for.
//! - **T3** A token of another server is refused, whoever signed it.
//! - **T4** The signing key stays in the key store: it is reached through [`TokenSigner`] only.

mod assertion;
mod cache;
mod client;
mod clock;
mod endpoint;
mod jws;
mod replay;
mod scope;
mod server;
mod token;

pub use assertion::AssertionError;
pub use client::{
    Client, ClientConfig, ClientConfigError, ClientRegistry, WalletKeys, WalletsUnavailable,
};
pub use clock::Clock;
pub use scope::{Permission, Scope, ScopeError, Scopes};
pub use server::{AuthConfig, AuthorizationServer, TokenError};
pub use token::{AccessToken, SigningFailed, TokenProblem, TokenSigner};

pub(crate) use endpoint::{jwks, smart_configuration, token};

#[cfg(test)]
mod tests;
