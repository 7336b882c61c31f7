//! `consent-receipt`: what a patient agreed to, from the record to the validators' signatures.

use contracts::consent::receipt::{self, ReceiptError};
use serde_json::json;

use crate::failure::Failure;
use crate::outcome::Facts;
use crate::recent::{Recent, View};
use crate::trust::Pinned;

/// Checks a receipt; `latest` asks for the proof that no later version of the consent was final.
pub(crate) fn check(
    bytes: &[u8],
    (pinned, recent): (&Pinned, Option<&Recent>),
    latest: bool,
) -> Result<Facts, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|_| ReceiptError::Malformed)?;
    let proof = receipt::proof(text)?;
    let trust = pinned.trust(proof.receipt.succession.as_ref())?;
    let verified = receipt::verify(text, &trust)?;
    if let Some(recent) = recent {
        recent.compare(&View::of(&proof.receipt))?;
    }
    let mut facts = crate::export::facts(&verified.export, latest)?;
    facts.push(("says", json!(verified.sentences)));
    facts.push(("events, as the member says", json!(verified.events)));
    Ok(facts)
}

impl From<ReceiptError> for Failure {
    fn from(error: ReceiptError) -> Self {
        let name = match error {
            ReceiptError::Export(error) => return error.into(),
            ReceiptError::Malformed | ReceiptError::Decode(_) => "consent-receipt",
            ReceiptError::UnknownCertificate(_) => "certificate",
            ReceiptError::NotSigned(_) => "consent-receipt-signature",
            ReceiptError::OtherMember => "consent-receipt-of-another",
            ReceiptError::OtherRecord => "consent-record",
        };
        Self::new(name, error)
    }
}
