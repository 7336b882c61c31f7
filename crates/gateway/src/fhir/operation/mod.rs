//! Operations: <https://hl7.org/fhir/R4/operations.html>, and those of CareLedger.

mod access_history;
mod branches;
mod docref;
mod document;
mod enroll;
mod everything;
mod gap;
mod lastn;
mod meta;
mod open;
mod parameters;
mod pinned;
mod receipt;
mod set_aside;
mod summary;
mod validate;

pub(crate) use access_history::access_history;
pub(crate) use branches::branches;
pub(crate) use docref::{docref, docref_posted};
pub(crate) use document::document;
pub(crate) use enroll::enroll;
pub(crate) use everything::everything;
pub(crate) use lastn::lastn;
pub(crate) use meta::{meta, meta_add, meta_delete};
pub(crate) use open::open;
pub(crate) use parameters::{Given, parameters, text};
pub(crate) use pinned::Lists;
pub(crate) use receipt::{receipt, receipt_of_current};
pub(crate) use set_aside::set_aside;
pub(crate) use summary::summary;
pub(crate) use validate::{validate, validate_instance, validate_stored};
