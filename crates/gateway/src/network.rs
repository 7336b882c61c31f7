//! The other members, as far as the gateway needs them; [`Exchange`] reaches them.

use futures::future::BoxFuture;
use interop::fhir::ResourceType;
use ledger::ids::MemberName;
use node::custody::{CustodyError, Opened, Requester};
use node::exchange::{Elsewhere, Exchange};

/// Asks the other members.
pub trait Network: Send + Sync {
    /// What the other members hold of the patient (local id) and grant to the requester.
    fn everything<'a>(
        &'a self,
        by: &'a Requester,
        patient_id: &'a str,
    ) -> BoxFuture<'a, Result<Elsewhere, CustodyError>>;

    /// One document of the patient (local id) that another member holds, as it is now.
    fn open<'a>(
        &'a self,
        by: &'a Requester,
        patient_id: &'a str,
        member: &'a MemberName,
        resource_type: ResourceType,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Opened, CustodyError>>;
}

impl Network for Exchange {
    fn everything<'a>(
        &'a self,
        by: &'a Requester,
        patient_id: &'a str,
    ) -> BoxFuture<'a, Result<Elsewhere, CustodyError>> {
        Box::pin(Self::everything(self, by, patient_id))
    }

    fn open<'a>(
        &'a self,
        by: &'a Requester,
        patient_id: &'a str,
        member: &'a MemberName,
        resource_type: ResourceType,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Opened, CustodyError>> {
        Box::pin(Self::open(self, by, patient_id, member, resource_type, id))
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

    fn open<'a>(
        &'a self,
        _: &'a Requester,
        _: &'a str,
        _: &'a MemberName,
        _: ResourceType,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Opened, CustodyError>> {
        Box::pin(async { Err(CustodyError::NotFound) })
    }
}
