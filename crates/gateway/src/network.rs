//! The other members, as far as the gateway needs them.

use futures::future::BoxFuture;
use ledger::ids::MemberName;
use node::custody::{CustodyError, Opened, Requester, Withheld};

/// Asks the other members. Implemented over the node's exchange.
pub trait Network: Send + Sync {
    /// What the other members hold of the patient (local id) and grant to the requester.
    fn everything<'a>(
        &'a self,
        by: &'a Requester,
        patient_id: &'a str,
    ) -> BoxFuture<'a, Result<Elsewhere, CustodyError>>;
}

/// A patient's documents at other members.
#[derive(Clone, Default)]
pub struct Elsewhere {
    /// What was opened; each names its home.
    pub entries: Vec<Opened>,
    /// What was not.
    pub withheld: Vec<Withheld>,
    /// Members that did not answer: what they hold is missing.
    pub unreachable: Vec<MemberName>,
}

impl std::fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Elsewhere(..)")
    }
}

/// A node without other members.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl Network for Alone {
    fn everything<'a>(
        &'a self,
        _: &'a Requester,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Elsewhere, CustodyError>> {
        Box::pin(async { Ok(Elsewhere::default()) })
    }
}
