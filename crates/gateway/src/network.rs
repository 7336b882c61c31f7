//! The other members, as far as the gateway needs them; [`Exchange`] reaches them.

use futures::future::BoxFuture;
use interop::fhir::ResourceType;
use ledger::ids::MemberName;
use node::custody::{Aim, CustodyError, Opened, Requester};
use node::exchange::{Discovery, Elsewhere, Exchange};

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

    /// Asks other members who of their patients the patient (local id) is: all, or those that are named.
    fn discover<'a>(
        &'a self,
        by: &'a Requester,
        patient_id: &'a str,
        members: Option<&'a [MemberName]>,
    ) -> BoxFuture<'a, Result<Discovery, CustodyError>>;
}

impl Network for Exchange {
    fn everything<'a>(
        &'a self,
        by: &'a Requester,
        patient_id: &'a str,
    ) -> BoxFuture<'a, Result<Elsewhere, CustodyError>> {
        Box::pin(async move {
            let mut elsewhere = Self::everything(self, by, patient_id).await?;
            elsewhere
                .entries
                .retain(|opened| is_reached(by, patient_id, opened));
            Ok(elsewhere)
        })
    }

    fn open<'a>(
        &'a self,
        by: &'a Requester,
        patient_id: &'a str,
        member: &'a MemberName,
        resource_type: ResourceType,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Opened, CustodyError>> {
        Box::pin(async move {
            let opened = Self::open(self, by, patient_id, member, resource_type, id).await?;
            if is_reached(by, patient_id, &opened) {
                Ok(opened)
            } else {
                Err(CustodyError::NotFound)
            }
        })
    }

    fn discover<'a>(
        &'a self,
        by: &'a Requester,
        patient_id: &'a str,
        members: Option<&'a [MemberName]>,
    ) -> BoxFuture<'a, Result<Discovery, CustodyError>> {
        Box::pin(Self::discover(self, by, patient_id, members))
    }
}

/// Whether what another member opened is within the request's reach here.
fn is_reached(by: &Requester, patient_id: &str, opened: &Opened) -> bool {
    let place = (Some(patient_id), opened.id.as_str());
    by.reach.admits_content(Aim::Read, &opened.resource, place)
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

    fn discover<'a>(
        &'a self,
        _: &'a Requester,
        _: &'a str,
        _: Option<&'a [MemberName]>,
    ) -> BoxFuture<'a, Result<Discovery, CustodyError>> {
        Box::pin(async { Ok(Discovery::default()) })
    }
}
