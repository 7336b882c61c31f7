//! Decisions: who may open what, from the consents known here at the height of the last final block.

use contracts::descriptor::Decided;
use interop::fhir::disclosure::DisclosureFacts;
use ledger::ids::Height;

use super::request::Requester;
use super::subject::Subject;
use super::{Custody, CustodyError};

/// The outcome for one document.
#[derive(Clone)]
pub(super) struct Ruling {
    pub(super) permitted: bool,
    pub(super) reason: String,
    pub(super) determining: Vec<String>,
}

/// The outcome for the documents of one request and one subject.
pub(super) struct Decision {
    pub(super) rulings: Vec<Ruling>,
    pub(super) height: Height,
    record: Option<Vec<u8>>,
}

impl Decision {
    /// What goes on record, given what is opened.
    pub(super) fn decided(&self, permitted: Vec<String>) -> Decided {
        let withheld = self.rulings.iter().filter(|ruling| !ruling.permitted);
        let count = withheld.clone().count();
        Decided {
            permitted,
            withheld: u32::try_from(count).unwrap_or(u32::MAX),
            reason: withheld.map(|ruling| ruling.reason.clone()).next(),
            record: self.record.clone(),
        }
    }
}

/// What decisions keep between requests.
#[derive(Default)]
pub(crate) struct Rulings {}

impl Rulings {
    pub(crate) fn forget(&self) {}
}

impl Custody {
    /// Whether a consent can be enforced.
    pub(super) fn check_consent(&self, consent: &interop::fhir::Resource) -> Result<(), CustodyError> {
        Ok(())
    }

    pub(super) fn decide(
        &self,
        by: &Requester,
        interaction: &str,
        subject: &Subject,
        documents: &[&DisclosureFacts],
    ) -> Result<Decision, CustodyError> {
        let ruling = Ruling {
            permitted: by.member == self.0.home.member,
            reason: "no policy permits it".to_owned(),
            determining: Vec::new(),
        };
        Ok(Decision {
            rulings: vec![ruling; documents.len()],
            height: self.0.anchor.tip().height,
            record: None,
        })
    }
}
