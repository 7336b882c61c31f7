//! The node's own authorization server: SMART Backend Services
//! (<https://hl7.org/fhir/smart-app-launch/backend-services.html>) for systems and wallets, and SMART App Launch
//! (<https://hl7.org/fhir/smart-app-launch/app-launch.html>) for apps that people use.
//!
//! ```text
//! client ── client_assertion (JWT by the client's key) ──▶ POST /oauth2/token
//! client ◀─ access token (JWT by the node's key) ───────── who, for what, which scopes, how long
//! client ── Authorization: Bearer … ─────────────────────▶ /fhir
//!
//! app ── browser ──▶ /oauth2/authorize ── sign in, patient, grant ──▶ code ──▶ POST /oauth2/token
//! ```
//!
//! # Invariants
//! - **T1** An assertion is used once, lives at most five minutes, and names this server.
//! - **T2** A token carries only what its client is registered for.
//! - **T3** A token of another server is refused, whoever signed it.
//! - **T4** The signing key stays in the key store: it is reached through [`TokenSigner`] only.
//! - **T5** A person is asked only for a registered client that gave one of its own redirect URIs, exactly, a state, this
//!   server as audience and a challenge; and what is refused before that is never redirected.
//! - **T6** A code is used once, within a minute, by its client, with the verifier and the redirect URI. A second use ends
//!   what came from the first.
//! - **T7** A refresh token is used once. A second use ends the grant, its access tokens too.
//! - **T8** What was revoked is refused from then on, and after a restart.
//! - **T9** A form is taken from the browser that began the request alone; the session's name changes when somebody signs in.
//! - **T10** A scope reaches no document beyond its constraint and its patient: not in a read, a search, a total or a write.
//! - **T11** Guessing slows down, for each account, client and address.
//! - **T12** No secret is kept but as a digest, none is logged, and all are compared in constant time.
//! - **T13** An emergency is declared by who signed in within the last two minutes, or with an assertion that was made for
//!   this very declaration.

mod account;
mod assertion;
mod authentication;
mod authorize;
mod cache;
mod client;
mod clock;
mod configuration;
mod desk;
mod endpoint;
mod grant;
mod interaction;
mod introspection;
mod jws;
mod launch;
mod origin;
mod pages;
mod patients;
mod pcf;
mod provider;
mod registration;
mod replay;
mod revocation;
mod routes;
mod rows;
mod scope;
mod secret;
mod server;
mod sign_in;
mod standing;
mod step_up;
mod throttle;
mod token;
mod user;
mod words;

pub use account::parse as parse_accounts;
pub use account::{Account, AccountError, Accounts, check as check_account, hash_password};
pub use assertion::AssertionError;
pub use client::{
    Client, ClientConfig, ClientConfigError, ClientRegistry, WalletKeys, WalletsUnavailable,
};
pub use clock::Clock;
pub use patients::{Choice, Patients, PatientsUnavailable};
pub use provider::{Mapping, Person, Provider, ProviderConfig, ProviderError};
pub use rows::{Rows, RowsUnavailable};
pub use scope::{Permission, Scope, ScopeError, Scopes, Word};
pub use server::{AuthConfig, AuthorizationServer, Backing, TokenError};
pub use sign_in::SignIn;
pub use token::{AccessToken, SigningFailed, TokenKey, TokenProblem, TokenSigner};

pub(crate) use origin::cors;
pub(crate) use routes::routes;
pub(crate) use step_up::{FRESH_SECONDS, NotFresh};
pub(crate) use user::SignedIn;

#[cfg(test)]
mod tests;
