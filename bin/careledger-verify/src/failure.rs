//! The names of what can be wrong. They are part of the interface: scripts match on them.

use contracts::export::ExportError;
use contracts::replay::{Fault, FaultKind};
use ledger::finality::FinalityError;
use ledger::receipt::ReceiptError;
use ledger::statement::StatementError;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) name: &'static str,
    pub(crate) message: String,
}

impl Failure {
    /// A failure with a message of its own.
    pub(crate) fn new(name: &'static str, message: impl std::fmt::Display) -> Self {
        let message = message.to_string();
        Self { name, message }
    }

    /// The same failure, with its place.
    pub(crate) fn at(self, place: impl std::fmt::Display) -> Self {
        let message = format!("{place}: {}", self.message);
        Self { message, ..self }
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        let name = match &error {
            ExportError::Receipt(receipt) => receipt_part(receipt),
            ExportError::Decode(_) => "descriptor",
            ExportError::OtherDescriptor => "descriptor-or-opening",
            ExportError::NotARecord => "descriptor-kind",
            ExportError::OtherContent => "payload",
            ExportError::AbsenceOfAnother => "absence-of-another",
            ExportError::OtherMove => "move",
        };
        Self::new(name, error)
    }
}

impl From<ReceiptError> for Failure {
    fn from(error: ReceiptError) -> Self {
        Self::new(receipt_part(&error), error)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let name = match &fault.kind {
            FaultKind::OtherNetwork => "network",
            FaultKind::NotTheNextBlock => "block-order",
            FaultKind::OtherParent => "parent",
            FaultKind::TimeNotGreater => "block-time",
            FaultKind::OtherValidators => "validators",
            FaultKind::OtherBody => "statements",
            FaultKind::TooLarge => "block-size",
            FaultKind::StatementMalformed(..) => "statement",
            FaultKind::StatementRejected(..) => "statement-rule",
            FaultKind::LogRootDiffers => "log-root",
            FaultKind::StateRootDiffers => "state-root",
            FaultKind::NotFinal(error) => finality_part(error),
            FaultKind::Uncertified => "finality-missing",
        };
        Self::new(name, fault)
    }
}

pub(crate) fn receipt_part(error: &ReceiptError) -> &'static str {
    match error {
        ReceiptError::Decode(_) => "receipt",
        ReceiptError::OtherNetwork => "network",
        ReceiptError::UnknownCertificate(_) => "certificate",
        ReceiptError::Statement(StatementError::SignatureInvalid) => "statement-signature",
        ReceiptError::Statement(_) => "statement",
        ReceiptError::ItemNotInStatement(_) => "item-inclusion-proof",
        ReceiptError::StatementNotInLog(_) => "log-inclusion-proof",
        ReceiptError::NotFinal(error) => finality_part(error),
        ReceiptError::RootSignature(_) => "receipt-signature",
        ReceiptError::NotOfInclusion(_) => "receipt-kind",
        ReceiptError::NoReceipt => "receipt-missing",
        ReceiptError::NotAbsent(..) => "absence-proof",
    }
}

fn finality_part(error: &FinalityError) -> &'static str {
    match error {
        FinalityError::OtherBlock => "block-header",
        FinalityError::OtherEpoch => "finality-epoch",
        FinalityError::NoQuorum => "finality-quorum",
        FinalityError::VoteOfNoValidator | FinalityError::VoteInvalid(_) => "finality-votes",
    }
}
