//! Operations: <https://hl7.org/fhir/R4/operations.html>, and those of CareLedger.

mod access_history;
mod branches;
mod enroll;
mod everything;
mod open;
mod parameters;
mod receipt;
mod validate;

pub(crate) use access_history::access_history;
pub(crate) use branches::branches;
pub(crate) use enroll::enroll;
pub(crate) use everything::everything;
pub(crate) use open::open;
pub(crate) use receipt::{receipt, receipt_of_current};
pub(crate) use validate::{validate, validate_instance, validate_stored};
