//! What people do in a browser between an app's request and its code: sign in, choose a patient, grant.
//!
//! ```text
//! GET  /oauth2/authorize ─▶ sign in ─▶ choose a patient ─▶ grant ─▶ redirect with a code
//! POST /oauth2/login, GET /oauth2/provider ─▶ GET /oauth2/callback
//! GET  /oauth2/continue: the step that is next
//! ```

mod login;
mod session;
mod steps;

pub(crate) use login::{callback, login, logout, provider};
pub(crate) use steps::{authorize, authorize_by_form, consent, patient, proceed};
