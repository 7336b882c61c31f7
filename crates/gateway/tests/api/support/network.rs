//! Other members that answer as a test wants.

use std::sync::Mutex;

use futures::future::BoxFuture;
use gateway::{Elsewhere, Network};
use interop::fhir::{Resource, ResourceType};
use ledger::ids::MemberName;
use node::custody::{CustodyError, Opened, Requester, Withheld};
use node::exchange::{Discovered, Discovery};
use serde_json::Value;

#[derive(Default)]
pub(crate) struct Others(Mutex<Held>);

#[derive(Default)]
struct Held {
    elsewhere: Elsewhere,
    is_ledger_lost: bool,
}

impl Others {
    /// `member` grants this resource.
    pub(crate) fn grant(&self, member: &str, resource: Value) {
        let resource = Resource::from_value(resource).unwrap();
        let opened = Opened {
            member: member.parse().unwrap(),
            id: resource.id().unwrap().to_owned(),
            resource,
            version: 3,
            last_updated_ms: 1_780_000_000_000,
            labels: Vec::new(),
            scope: None,
        };
        self.0.lock().unwrap().elsewhere.entries.push(opened);
    }

    pub(crate) fn withhold(&self, member: &str, count: u32, reason: &str) {
        let withheld = Withheld {
            member: member.parse().unwrap(),
            count,
            reason: reason.to_owned(),
        };
        self.0.lock().unwrap().elsewhere.withheld.push(withheld);
    }

    pub(crate) fn silence(&self, member: &str) {
        let member = member.parse().unwrap();
        self.0.lock().unwrap().elsewhere.unreachable.push(member);
    }

    pub(crate) fn lose_the_ledger(&self) {
        self.0.lock().unwrap().is_ledger_lost = true;
    }

    fn answer(&self) -> Result<Elsewhere, CustodyError> {
        let held = self.0.lock().unwrap();
        if held.is_ledger_lost {
            return Err(CustodyError::Unavailable { what: "the ledger" });
        }
        Ok(held.elsewhere.clone())
    }
}

impl Network for Others {
    fn everything<'a>(
        &'a self,
        _: &'a Requester,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Elsewhere, CustodyError>> {
        Box::pin(async { self.answer() })
    }

    /// Each member that is named, or the clinic, is linked.
    fn discover<'a>(
        &'a self,
        _: &'a Requester,
        _: &'a str,
        members: Option<&'a [MemberName]>,
    ) -> BoxFuture<'a, Result<Discovery, CustodyError>> {
        Box::pin(async move {
            self.answer()?;
            let clinic = ["clinic".parse().unwrap()];
            let asked = members.unwrap_or(&clinic).iter();
            Ok(Discovery {
                members: asked.map(|one| (one.clone(), Discovered::Linked)).collect(),
            })
        })
    }

    fn open<'a>(
        &'a self,
        _: &'a Requester,
        _: &'a str,
        member: &'a MemberName,
        resource_type: ResourceType,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Opened, CustodyError>> {
        Box::pin(async move {
            let elsewhere = self.answer()?;
            let is_wanted = |one: &Opened| {
                one.member == *member
                    && one.resource.resource_type() == resource_type
                    && one.id == id
            };
            if let Some(opened) = elsewhere.entries.into_iter().find(is_wanted) {
                return Ok(opened);
            }
            let mut withheld = elsewhere.withheld.into_iter();
            match withheld.find(|withheld| withheld.member == *member) {
                Some(withheld) => Err(CustodyError::Denied {
                    reason: withheld.reason,
                    determining: vec!["consent/1".to_owned()],
                }),
                None => Err(CustodyError::NotFound),
            }
        })
    }
}
