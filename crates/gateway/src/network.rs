//! The other members, as far as the gateway needs them.

use futures::future::BoxFuture;
use node::custody::{CustodyError, Requester};
pub use node::exchange::Elsewhere;
use node::exchange::Exchange;

/// Asks the other members. Implemented over the node's exchange.
pub trait Network: Send + Sync {
    /// What the other members hold of the patient (local id) and grant to the requester.
    fn everything<'a>(
        &'a self,
        by: &'a Requester,
        patient_id: &'a str,
    ) -> BoxFuture<'a, Result<Elsewhere, CustodyError>>;
}

impl Network for Exchange {
    fn everything<'a>(
        &'a self,
        by: &'a Requester,
        patient_id: &'a str,
    ) -> BoxFuture<'a, Result<Elsewhere, CustodyError>> {
        Box::pin(Self::everything(self, by, patient_id))
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
