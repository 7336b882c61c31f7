//! Certificates of erasure: what verifies is the erasure that the members of this network signed.

use std::sync::LazyLock;

use contracts::descriptor::Descriptor;
use contracts::erasure::{
    self, Acknowledgement, Certificate, CertifiedErasure, ErasureDescriptor, Grounds, Place,
    SignedAcknowledgement,
};
use contracts::membership::Registry;
use ledger::ids::{Digest, MemberName, Tag};
use ledger::item::{Item, Opening};
use ledger::receipt::Trust;
use sim::forge::Forge;

use crate::Target;
use crate::world::{MEMBERS, node_key};

/// The targets.
pub const TARGETS: &[Target] = &[Target {
    name: "erasure-certificate",
    run: certificate,
}];

const AT: u64 = 1_780_272_000_000;
/// The item that is erased.
const ERASED: [Tag; 2] = [Tag([0xa1; 16]), Tag([0xa2; 16])];
/// The tag of the item that erases it.
const ERASURE: Tag = Tag([0xb1; 16]);
const TOMBSTONE: Tag = Tag([0xc1; 16]);

/// A network in which the first member has erased a version that the second one held as well.
#[derive(Debug)]
pub struct Erased {
    forge: Forge,
    registry: Registry,
    /// What proves it.
    pub certificate: Certificate,
}

/// The one erasure of a process.
pub fn erased() -> &'static Erased {
    static ERASED: LazyLock<Erased> = LazyLock::new(Erased::new);
    &ERASED
}

impl Erased {
    fn new() -> Self {
        let mut forge = Forge::found(&MEMBERS).unwrap();
        let home: MemberName = MEMBERS[0].parse().unwrap();
        let holder: MemberName = MEMBERS[1].parse().unwrap();
        let grounds = grounds();
        let descriptor = ErasureDescriptor {
            erased: vec![ERASED],
            at: AT,
            holders: vec![home.clone(), holder.clone()],
            grounds: grounds.digest(),
            tombstone: Some(TOMBSTONE),
            next: Tag([0xd1; 16]),
        };
        let bytes = Descriptor::Erasure(descriptor.clone()).encode();
        let opening = Opening([0x44; 32]);
        let network = forge.genesis().network();
        let tags = [ERASURE, Tag([0xb2; 16])];
        let erasing = Item::commit(network, &home, tags, &opening, Digest::of(&bytes));
        let other = |tags| Item {
            tags,
            commitment: Digest([5; 32]),
        };
        let (gone, tombstone) = (other(ERASED), other([TOMBSTONE, Tag([0xc2; 16])]));
        let items = vec![gone, erasing, tombstone];
        let statement = forge.statement(MEMBERS[0], items).unwrap();
        forge.append(&[statement]).unwrap();
        let acknowledged = |at: u8, holder: &MemberName| {
            let said = Acknowledgement {
                network,
                home: home.clone(),
                holder: holder.clone(),
                erasure: ERASURE,
                descriptor: Digest::of(&bytes),
                tags: descriptor.index_tags(),
                held: 1,
                places: vec![Place {
                    name: "keys".to_owned(),
                    outcome: "destroyed".to_owned(),
                }],
                at: AT,
            };
            signed(&forge, at, &said)
        };
        let receipt = |item| forge.receipt(item, &[]).unwrap();
        let erasure = CertifiedErasure {
            receipt: receipt(&erasing),
            erased: vec![receipt(&gone)],
            tombstone: Some(receipt(&tombstone)),
            acknowledgements: vec![acknowledged(0, &home), acknowledged(1, &holder)],
            grounds: Some(grounds.encode()),
            descriptor: bytes,
            opening,
        };
        Self {
            registry: Registry::from_genesis(forge.genesis()).unwrap(),
            forge,
            certificate: Certificate {
                erasures: vec![erasure],
            },
        }
    }

    fn trust(&self) -> Trust<impl Fn(&MemberName, Digest) -> Option<ledger::node_key::NodeKey>> {
        let genesis = self.forge.genesis();
        Trust {
            network: genesis.network(),
            validators: genesis.validators().into(),
            key_of: |member: &MemberName, certificate| {
                let registered = self.registry.certificate(member, certificate);
                registered.ok().map(|certificate| certificate.key)
            },
        }
    }
}

fn grounds() -> Grounds {
    Grounds {
        salt: [3; 32],
        resource_type: "Observation".to_owned(),
        id: "17".to_owned(),
        versions: vec![1],
        basis: "gdpr-17".to_owned(),
        authority: "the patient".to_owned(),
        justification: "asked for".to_owned(),
        by: "Practitioner/90".to_owned(),
    }
}

fn signed(forge: &Forge, at: u8, said: &Acknowledgement) -> SignedAcknowledgement {
    let acknowledgement = ledger::codec::encode(said);
    let input = SignedAcknowledgement::input(&acknowledgement);
    let member = &forge.genesis().members[usize::from(at)];
    SignedAcknowledgement {
        acknowledgement,
        certificate: Digest::of(&member.node),
        signature: node_key(at).sign(&input).into(),
    }
}

fn certificate(bytes: &[u8]) {
    let Ok(certificate) = Certificate::decode(bytes) else {
        return;
    };
    assert_eq!(certificate.encode(), bytes);
    let made = &erased().certificate.erasures[0];
    for one in &certificate.erasures {
        if let Ok(verified) = erasure::verify(one, &erased().trust()) {
            assert_eq!(one.descriptor, made.descriptor, "another erasure");
            assert!(one.grounds.is_none() || one.grounds == made.grounds);
            let is_made = |said: &SignedAcknowledgement| {
                let mut all = made.acknowledgements.iter();
                all.any(|one| one.acknowledgement == said.acknowledgement)
            };
            assert!(one.acknowledgements.iter().all(is_made), "nobody said that");
            let holders = made.acknowledgements.len();
            let said = one.acknowledgements.len();
            assert_eq!(verified.missing.len(), holders - said);
        }
    }
}
