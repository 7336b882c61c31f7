use contracts::share::TRIES;

use super::*;
use crate::custody::{Recipient, ShareDraft, SharedFile};

struct Sharing {
    custody: Custody,
    patient: String,
    _site: Site,
}

impl Sharing {
    async fn new() -> Self {
        let ledger = Ledger::of(&["hospital"]);
        let site = Site::at(&ledger, "hospital");
        let custody = site.open();
        let enrolment = Wallet::new(5).enrolment(ledger.network(), "hospital", &[]);
        let patient = custody.enroll(&clinician("hospital"), enrolment).await;
        Self {
            custody,
            patient: patient.unwrap(),
            _site: site,
        }
    }

    fn by(&self) -> Requester {
        Requester {
            patient: Some(self.patient.clone()),
            practitioner: None,
            purpose: "PATRQT".to_owned(),
            ..clinician("hospital")
        }
    }

    async fn shares(&self, draft: ShareDraft) -> Result<([u8; 32], String), CustodyError> {
        let by = self.by();
        self.custody.share(&by, &self.patient, draft, JUNE).await
    }

    async fn history(&self) -> Vec<(String, String)> {
        let entries = self.custody.access_history(&self.by()).await.unwrap();
        let of = |entry: &crate::custody::AccessEntry| {
            let descriptor = contracts::descriptor::Descriptor::decode(&entry.descriptor);
            match descriptor.unwrap() {
                contracts::descriptor::Descriptor::Access(access) => {
                    (access.interaction, access.principal)
                }
                _ => panic!("an access history holds accesses"),
            }
        };
        entries.iter().map(of).collect()
    }
}

fn draft(passcode: Option<&str>, until: Option<u64>) -> ShareDraft {
    ShareDraft {
        files: vec![SharedFile {
            content_type: "application/fhir+json".to_owned(),
            jwe: "a..b.c.d".to_owned(),
        }],
        label: Some("Summary".to_owned()),
        until,
        passcode: passcode.map(str::to_owned),
        is_direct: false,
    }
}

fn recipient() -> Recipient {
    Recipient {
        name: "Dr. Jones".to_owned(),
        address: None,
    }
}

fn is_gone<T>(outcome: &Result<T, CustodyError>) -> bool {
    matches!(outcome, Err(CustodyError::NotFound))
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_each_fetch_by_a_link_stands_in_the_patients_history_and_so_does_each_refusal() {
    let sharing = Sharing::new().await;
    let custody = &sharing.custody;
    let (secret, id) = sharing.shares(draft(Some("hash"), None)).await.unwrap();
    let gate = custody.knock(&secret, JUNE).await.unwrap();
    assert_eq!(gate.tries, Some(TRIES - 1), "before it is looked at");
    custody.refuse_share(&secret, recipient()).await.unwrap();
    custody.knock(&secret, JUNE).await.unwrap();
    let files = custody.fetch_share(&secret, recipient()).await.unwrap();
    assert_eq!(files[0].jwe, "a..b.c.d");
    let listed = custody.shares(&sharing.patient, JUNE).unwrap();
    assert_eq!(
        (listed[0].fetched, listed[0].terms.tries),
        (1, Some(TRIES - 1))
    );
    let by = sharing.by();
    custody.unshare(&by, &sharing.patient, &id).await.unwrap();
    assert!(is_gone(&custody.knock(&secret, JUNE).await));
    assert!(is_gone(&custody.fetch_share(&secret, recipient()).await));
    let history = sharing.history().await;
    let interactions: Vec<&str> = history.iter().map(|one| one.0.as_str()).collect();
    assert_eq!(
        interactions,
        ["share", "share-refused", "share-fetch", "unshare"]
    );
    let name = format!("link {}: Dr. Jones", &id[..8]);
    assert_eq!((&history[1].1, &history[2].1), (&name, &name));
}

#[tokio::test(flavor = "multi_thread")]
async fn l1_l2_passcodes_that_are_tried_at_once_are_counted_and_the_last_one_ends_the_link() {
    let sharing = Sharing::new().await;
    let (secret, _) = sharing.shares(draft(Some("hash"), None)).await.unwrap();
    let knocks = (0..TRIES + 5).map(|_| sharing.custody.knock(&secret, JUNE));
    let knocks = futures::future::join_all(knocks).await;
    let passed = knocks.iter().filter(|knock| knock.is_ok()).count();
    assert_eq!(passed, usize::try_from(TRIES).unwrap());
    assert!(is_gone(&sharing.custody.knock(&secret, JUNE).await));
    assert!(
        sharing
            .custody
            .shares(&sharing.patient, JUNE)
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn l1_a_link_ends_in_time_and_nobody_elses_is_withdrawn() {
    let sharing = Sharing::new().await;
    let custody = &sharing.custody;
    // The later of the clock and the last block counts.
    let until = JUNE + 3_600_000;
    let (secret, id) = sharing.shares(draft(None, Some(until))).await.unwrap();
    custody.knock(&secret, until - 1).await.unwrap();
    assert!(is_gone(&custody.knock(&secret, until).await));
    assert!(is_gone(&custody.knock(&[0; 32], JUNE).await));
    let past = sharing.shares(draft(None, Some(JUNE - 1))).await;
    assert!(matches!(past, Err(CustodyError::Invalid(_))));
    let network = custody.0.home.network;
    let enrolment = Wallet::new(6).enrolment(network, "hospital", &[]);
    let other = custody.enroll(&clinician("hospital"), enrolment).await;
    let by = sharing.by();
    assert!(is_gone(&custody.unshare(&by, &other.unwrap(), &id).await));
    assert_eq!(custody.shares(&sharing.patient, JUNE).unwrap().len(), 1);
    let listed = custody.shares(&sharing.patient, until).unwrap();
    assert!(listed.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_a_link_without_a_manifest_has_one_file_and_no_passcode() {
    let sharing = Sharing::new().await;
    let direct = |passcode| ShareDraft {
        is_direct: true,
        ..draft(passcode, None)
    };
    let refused = sharing.shares(direct(Some("hash"))).await;
    assert!(matches!(refused, Err(CustodyError::Invalid(_))));
    let (secret, _) = sharing.shares(direct(None)).await.unwrap();
    assert!(
        sharing
            .custody
            .knock(&secret, JUNE)
            .await
            .unwrap()
            .is_direct
    );
    let mut large = draft(None, None);
    large.files[0].jwe = "a".repeat(1_000_001);
    let refused = sharing.shares(large).await;
    assert!(matches!(refused, Err(CustodyError::Invalid(_))));
    for _ in 1..32 {
        sharing.shares(draft(None, None)).await.unwrap();
    }
    let refused = sharing.shares(draft(None, None)).await;
    assert!(matches!(refused, Err(CustodyError::Invalid(_))));
}
