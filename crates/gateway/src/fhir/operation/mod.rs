//! Operations: <https://hl7.org/fhir/R4/operations.html>, and those of CareLedger.

mod access_history;
mod amendment;
mod branches;
mod ccd;
mod consent_receipt;
mod docref;
mod document;
mod duty;
mod enroll;
mod erasure;
mod escrow;
mod everything;
mod file_consent;
mod gap;
mod identity;
mod label_explain;
mod lastn;
mod meta;
mod open;
mod parameters;
mod pinned;
mod preview;
mod receipt;
mod recovery;
mod retention;
mod set_aside;
mod share;
mod summary;
mod template;
mod validate;

pub(crate) use access_history::access_history;
pub(crate) use amendment::{decide_amendment, disagree, request_amendment};
pub(crate) use branches::{branches, branches_held};
pub(crate) use ccd::continuity_of_care;
pub(crate) use consent_receipt::{consent_receipt, consent_receipt_of_current};
pub(crate) use docref::{docref, docref_posted};
pub(crate) use document::document;
pub(crate) use duty::{close_request, extend_request, file_request};
pub(crate) use enroll::enroll;
pub(crate) use erasure::{erase, erasure_certificate, erasures, open_erasures};
pub(crate) use escrow::{escrow_offer, escrow_taken};
pub(crate) use everything::everything;
pub(crate) use file_consent::{file_consent, revoke_consent};
pub(crate) use identity::{
    approve_link, discover, dismiss, link, match_patients, merge, pix, possible_matches,
    refuse_link, unlink, unmerge, waiting_links, withdraw_link,
};
pub(crate) use label_explain::{label_explain, label_explain_posted};
pub(crate) use lastn::lastn;
pub(crate) use meta::{meta, meta_add, meta_delete};
pub(crate) use open::open;
pub(crate) use parameters::{Given, parameters, text};
pub(crate) use pinned::Lists;
pub(crate) use preview::{what_if, who_can_see};
pub(crate) use receipt::{receipt, receipt_of_current};
pub(crate) use recovery::{recovery, recovery_hand_out, recovery_root, recovery_state};
pub(crate) use retention::{
    hold, holds, release_hold, retention_audit, retention_due, retention_run,
};
pub(crate) use set_aside::set_aside;
pub(crate) use share::{share, shares, unshare};
pub(crate) use summary::summary;
pub(crate) use template::{from_template, templates};
pub(crate) use validate::{validate, validate_instance, validate_stored};
