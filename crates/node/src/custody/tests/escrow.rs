use ::ledger::ids::Digest;
use contracts::escrow::{Taken, info, root_digest};
use vault::wrap::{HpkeKeyPair, WrappedKey};

use super::*;
use crate::custody::EscrowOffer;
use crate::custody::rows::SubjectRow;
use crate::custody::store::Table;

/// A wallet before it has anything: the key that signs, and the one to which a root is sealed.
struct Fresh {
    signing: SigningKey,
    keys: HpkeKeyPair,
}

impl Fresh {
    fn new(seed: u8) -> Self {
        Self {
            signing: SigningKey::from_bytes(&[seed; 32]),
            keys: HpkeKeyPair::generate(),
        }
    }

    fn public(&self) -> Digest {
        Digest(VerificationKey::from(&self.signing).into())
    }

    async fn asks(&self, custody: &Custody, instead: bool) -> Result<[u8; 32], CustodyError> {
        let offered = EscrowOffer {
            wallet: self.public(),
            recipient: self.keys.public_key(),
            instead,
        };
        let by = clinician("hospital");
        let sealed = custody.offer_escrow(&by, "p", offered).await?;
        let (encapsulated, ciphertext) = sealed.split_first_chunk::<32>().unwrap();
        let wrapped = WrappedKey {
            encapsulated: *encapsulated,
            ciphertext: ciphertext.to_vec(),
        };
        let member = "hospital".parse().unwrap();
        let info = info(custody.0.home.network, &member);
        let opened = self.keys.unwrap(&info, &self.public().0, &wrapped);
        Ok(opened.unwrap().as_ref().try_into().unwrap())
    }

    async fn takes(&self, custody: &Custody, root: &[u8; 32]) -> Result<(), CustodyError> {
        let place = (custody.0.home.network, "hospital".parse().unwrap());
        let taken = Taken::sign(place, root_digest(root), self.public(), |bytes| {
            self.signing.sign(bytes).into()
        });
        let by = clinician("hospital");
        custody.end_escrow(&by, "p", taken).await
    }
}

fn is_denied<T>(outcome: &Result<T, CustodyError>) -> bool {
    matches!(outcome, Err(CustodyError::Denied { .. }))
}

async fn escrowed(site: &Site) -> Custody {
    let custody = site.open();
    let by = clinician("hospital");
    let changes = vec![update(patient("p"), None)];
    custody.write(&by, changes).await.unwrap();
    custody
}

async fn interactions(custody: &Custody) -> Vec<String> {
    let by = Requester {
        patient: Some("p".to_owned()),
        practitioner: None,
        purpose: "PATRQT".to_owned(),
        ..clinician("hospital")
    };
    let entries = custody.access_history(&by).await.unwrap();
    let of = |entry: &crate::custody::AccessEntry| {
        let descriptor = contracts::descriptor::Descriptor::decode(&entry.descriptor).unwrap();
        match descriptor {
            contracts::descriptor::Descriptor::Access(access) => access.interaction,
            _ => panic!("an access history holds accesses"),
        }
    };
    entries.iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn w1_a_wallet_takes_the_root_the_streams_go_on_and_the_copy_here_is_gone() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = escrowed(&site).await;
    let before = custody.subject_view("p").unwrap();
    let subject = custody.0.subjects.of_patient("p").unwrap().unwrap().id;
    let row = custody.0.store.get(Table::Subjects, &subject).unwrap();
    let wallet = Fresh::new(3);
    let root = wallet.asks(&custody, false).await.unwrap();
    wallet.takes(&custody, &root).await.unwrap();

    let after = custody.subject_view("p").unwrap();
    assert_eq!(after.wallet_key, Some(wallet.public().0));
    assert!(after.branches == before.branches);
    let keys = &custody.0.home.keys;
    let kept: Option<SubjectRow> = keys
        .get(&custody.0.store, Table::Subjects, &subject)
        .unwrap();
    assert!(kept.unwrap().escrow_root.is_none());
    // What the wallet derives is what has been written under from the first entry on.
    let derived = RootKey::from_bytes(root);
    for (branch, key) in &after.branches {
        assert!(derived.branch(ledger.network(), branch, 0) == *key);
    }
    let steps = ["escrow-offer", "escrow-taken"];
    let history = interactions(&custody).await;
    assert!(history.iter().map(String::as_str).eq(steps), "{history:?}");
    drop(custody);
    let tables = site.table_files().await;
    let is_elsewhere = matches!(site.records(), RecordsConfig::Postgresql(_));
    assert!(is_elsewhere || !unseen::holds(&tables, &row.unwrap()));
    let custody = site.open();
    let by = clinician("hospital");
    let changes = vec![update(patient("p"), None)];
    custody.write(&by, changes).await.unwrap();
    let kept = custody.subject_view("p").unwrap();
    assert_eq!(kept.wallet_key, Some(wallet.public().0));
}

#[tokio::test(flavor = "multi_thread")]
async fn w1_until_the_wallet_has_said_so_the_root_stays_and_it_may_ask_again_after_a_stop() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = escrowed(&site).await;
    let wallet = Fresh::new(3);
    let root = wallet.asks(&custody, false).await.unwrap();
    drop(custody);
    let custody = site.open();
    assert_eq!(custody.subject_view("p").unwrap().wallet_key, None);
    assert_eq!(wallet.asks(&custody, false).await.unwrap(), root);
    assert!(is_denied(&wallet.takes(&custody, &[9; 32]).await));
    assert_eq!(custody.subject_view("p").unwrap().wallet_key, None);
    wallet.takes(&custody, &root).await.unwrap();
    // The answer was lost.
    wallet.takes(&custody, &root).await.unwrap();
    assert_eq!(interactions(&custody).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn w2_w3_another_wallet_is_refused_before_and_after_and_so_is_a_patient() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = escrowed(&site).await;
    let (first, second) = (Fresh::new(3), Fresh::new(4));
    let root = first.asks(&custody, false).await.unwrap();
    assert!(is_denied(&second.asks(&custody, false).await));
    assert!(is_denied(&second.takes(&custody, &root).await));
    assert_eq!(second.asks(&custody, true).await.unwrap(), root);
    assert!(is_denied(&first.takes(&custody, &root).await));
    second.takes(&custody, &root).await.unwrap();
    assert!(is_denied(&first.asks(&custody, true).await));
    assert!(is_denied(&first.takes(&custody, &root).await));
    let offered = EscrowOffer {
        wallet: first.public(),
        recipient: first.keys.public_key(),
        instead: true,
    };
    let by = Requester {
        patient: Some("p".to_owned()),
        ..clinician("hospital")
    };
    assert!(is_denied(&custody.offer_escrow(&by, "p", offered).await));
}
