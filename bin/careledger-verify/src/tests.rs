//! What is handed out verifies; whatever was changed in it does not, and is named.

mod checkpoints;
mod es256;
mod exports;
mod histories;
mod logs;
mod recent;

use contracts::descriptor::{AccessDescriptor, Decided, Descriptor, RecordDescriptor};
use contracts::export::Export;
use ledger::genesis::Genesis;
use ledger::ids::{Digest, MemberName, Tag};
use ledger::item::{Item, Opening};
use sim::forge::Forge;

use crate::trust::Pinned;

const MEMBERS: [&str; 4] = ["clinic", "hospital", "laboratory", "payer"];
const CONTENT: &[u8] = br#"{"resourceType":"Observation","id":"17"}"#;

/// A genesis that nothing has followed.
fn pinned(genesis: &Genesis) -> Pinned {
    Pinned {
        genesis: genesis.clone(),
        succession: None,
    }
}

fn tag(n: u8) -> Tag {
    Tag([n; 16])
}

fn hospital() -> MemberName {
    "hospital".parse().unwrap()
}

/// Version `n` of a document; its tag is `tag(n)`.
fn record(n: u8) -> RecordDescriptor {
    RecordDescriptor {
        resource_type: "Observation".to_owned(),
        id: "17".to_owned(),
        version: n.into(),
        deleted: false,
        content: Digest::of(CONTENT),
        media_type: "application/fhir+json".to_owned(),
        author: "Practitioner/7".to_owned(),
        recorded_at: 1_780_272_000_500,
        labels: vec![],
        supersedes: None,
        next: tag(n + 1),
    }
}

fn access(n: u8) -> AccessDescriptor {
    AccessDescriptor {
        requester: "clinic".parse().unwrap(),
        principal: "Practitioner/9".to_owned(),
        role: None,
        purpose: "TREAT".to_owned(),
        interaction: "read".to_owned(),
        target: "Observation/17".to_owned(),
        at: 1_780_272_000_700,
        custodian: hospital(),
        request: None,
        recipient: None,
        expires_at: None,
        decision: (n > 1).then(|| Decided {
            permitted: vec![],
            withheld: 1,
            reason: None,
            record: None,
            documents: None,
        }),
        next: tag(n + 1),
        further: None,
        audit: None,
        emergency: None,
        on_behalf_of: None,
    }
}

fn opening(n: u8) -> Opening {
    Opening([n; 32])
}

/// What the hospital records for `descriptor` under `tag(n)`.
fn item(forge: &Forge, n: u8, descriptor: &Descriptor) -> Item {
    let network = forge.genesis().network();
    let tags = [tag(n), tag(n + 100)];
    Item::commit(network, &hospital(), tags, &opening(n), descriptor.digest())
}

/// A ledger with `descriptors` of the hospital, among others' items.
fn recorded(descriptors: &[Descriptor]) -> (Forge, Vec<Item>) {
    recorded_by(Forge::found(&MEMBERS).unwrap(), descriptors)
}

fn recorded_by(mut forge: Forge, descriptors: &[Descriptor]) -> (Forge, Vec<Item>) {
    let numbered = (1_u8..).zip(descriptors);
    let items: Vec<Item> = numbered.map(|(n, one)| item(&forge, n, one)).collect();
    for item in &items {
        let [Tag([n, ..]), _] = item.tags;
        let copied = Item {
            commitment: Digest::of(b"another's"),
            ..*item
        };
        let padding = Item {
            tags: [tag(n + 200), tag(n + 220)],
            commitment: Digest([0; 32]),
        };
        let of_clinic = forge.statement("clinic", vec![copied]).unwrap();
        let of_hospital = forge.statement("hospital", vec![padding, *item]).unwrap();
        forge.append(&[of_clinic, of_hospital]).unwrap();
    }
    (forge, items)
}

fn export(forge: &Forge, item: &Item, record: RecordDescriptor, absent: &[Tag]) -> Export {
    let [Tag([n, ..]), _] = item.tags;
    Export {
        descriptor: Descriptor::Record(record).encode(),
        opening: opening(n),
        content: CONTENT.to_vec(),
        receipt: forge.receipt(item, absent).unwrap(),
        moves: None,
    }
}
