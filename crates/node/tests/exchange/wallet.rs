//! The patient's side of the tests.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use contracts::consent::life::{suspended, withdrawn};
use contracts::consent::template::{DataClass, Grant, access};
use contracts::descriptor::Descriptor;
use ed25519_zebra::{SigningKey, VerificationKey};
use ledger::ids::{MemberName, NetworkId};
use ledger::stream::{Branch, RootKey};
use node::custody::{AccessEntry, Enrolment, SignedConsent};
use serde_json::Value;

pub(crate) struct Wallet {
    root: RootKey,
    key: SigningKey,
}

pub(crate) struct Attempt {
    pub(crate) requester: MemberName,
    pub(crate) denied: bool,
}

impl Wallet {
    pub(crate) fn new(seed: u8) -> Self {
        let root = RootKey::from_bytes([seed; 32]);
        let key = SigningKey::from_bytes(&root.purpose("signing"));
        Self { root, key }
    }

    /// The four branches of `member`, and the consent and index branches of all.
    pub(crate) fn enrolment(&self, network: NetworkId, member: &str, all: &[&str]) -> Enrolment {
        let own: MemberName = member.parse().unwrap();
        let mut branches = vec![Branch::Restricted(own.clone()), Branch::Access(own)];
        for other in all {
            let other: MemberName = other.parse().unwrap();
            branches.extend([Branch::Consent(other.clone()), Branch::Index(other)]);
        }
        let keyed = branches
            .into_iter()
            .map(|branch| self.root.grant(network, branch, 0));
        Enrolment {
            wallet_key: VerificationKey::from(&self.key).into(),
            branches: keyed.collect(),
            patient_id: None,
        }
    }

    /// The same, with the branch of what is sensitive at another member.
    pub(crate) fn trusting_enrolment(
        &self,
        network: NetworkId,
        (member, other): (&str, &str),
        all: &[&str],
    ) -> Enrolment {
        let mut enrolment = self.enrolment(network, member, all);
        let restricted = Branch::Restricted(other.parse().unwrap());
        let granted = self.root.grant(network, restricted, 0);
        enrolment.branches.push(granted);
        enrolment
    }

    pub(crate) fn grant(&self, patient: &str, grantee: &str, status: &str) -> SignedConsent {
        let consent = access(&Grant {
            patient,
            grantee,
            data: &[DataClass::Laboratory],
            purpose: "TREAT",
            start: "2026-01-01T00:00:00Z",
            end: "2036-01-01T00:00:00Z",
        });
        let consent = match status {
            "suspended" => suspended(consent),
            "withdrawn" => withdrawn(consent),
            _ => consent,
        };
        self.signs(&consent)
    }

    pub(crate) fn signs(&self, consent: &Value) -> SignedConsent {
        let body = consent.to_string().into_bytes();
        let header = BASE64_URL_SAFE_NO_PAD.encode(br#"{"alg":"EdDSA"}"#);
        let input = format!("{header}.{}", BASE64_URL_SAFE_NO_PAD.encode(&body));
        let signature = self.key.sign(input.as_bytes()).to_bytes();
        SignedConsent {
            jws: format!("{header}..{}", BASE64_URL_SAFE_NO_PAD.encode(signature)),
            body,
            id: None,
            if_match: None,
        }
    }
}

pub(crate) fn decisions(history: &[AccessEntry]) -> Vec<Attempt> {
    let attempts = history.iter().map(|entry| {
        let Ok(Descriptor::Access(access)) = Descriptor::decode(&entry.descriptor) else {
            panic!("an access history holds accesses")
        };
        Attempt {
            requester: access.requester,
            denied: access
                .decision
                .is_some_and(|decision| decision.withheld > 0),
        }
    });
    attempts.collect()
}

/// The records of decisions that denied something, in their order.
pub(crate) fn denials(history: &[AccessEntry]) -> Vec<Vec<u8>> {
    let denied = history.iter().flat_map(|entry| {
        let Ok(Descriptor::Access(access)) = Descriptor::decode(&entry.descriptor) else {
            panic!("an access history holds accesses")
        };
        // Requests that come together share an entry.
        let decisions = access.each().into_iter().filter_map(|one| one.decision);
        let withheld = decisions.filter(|decision| decision.withheld > 0);
        withheld.map(|decision| decision.record.unwrap())
    });
    denied.collect()
}
