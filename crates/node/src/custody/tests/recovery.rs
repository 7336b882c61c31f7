use ::ledger::ids::Digest;
use contracts::descriptor::Descriptor;
use contracts::recovery::{Command, DELAY_MS, Signed, Terms};
use vault::release::{GuardedRoot, Guardian};
use vault::wrap::HpkeKeyPair;

use super::*;

/// A patient with three guardians, two of whom it takes, and the wallet that replaces the lost one.
struct Circle {
    custody: Custody,
    ledger: Ledger,
    network: NetworkId,
    patient: String,
    lost: Wallet,
    new: Wallet,
    new_keys: HpkeKeyPair,
    guardians: Vec<(Wallet, HpkeKeyPair)>,
    _site: Site,
}

impl Circle {
    async fn new() -> Self {
        let ledger = Ledger::of(&["clinic", "hospital"]);
        let site = Site::at(&ledger, "hospital");
        let custody = site.open();
        let network = Anchor::network(&ledger);
        let lost = Wallet::new(5);
        let enrolment = lost.enrolment(network, "hospital", &["clinic"]);
        let patient = custody.enroll(&clinician("hospital"), enrolment).await;
        let guardian = |seed| (Wallet::new(seed), HpkeKeyPair::generate());
        Self {
            patient: patient.unwrap(),
            custody,
            ledger,
            network,
            lost,
            new: Wallet::new(6),
            new_keys: HpkeKeyPair::generate(),
            guardians: (21..24).map(guardian).collect(),
            _site: site,
        }
    }

    async fn says(
        &self,
        wallet: &Wallet,
        number: u64,
        command: Command,
        sealed: Option<Vec<u8>>,
    ) -> Result<(), CustodyError> {
        let guarded = Digest(self.lost.public());
        let signer = Digest(wallet.public());
        let signed = Signed::sign((self.network, guarded, number), command, signer, |bytes| {
            wallet.key.sign(bytes).into()
        });
        self.custody.recovery(&self.patient, signed, sealed).await
    }

    async fn sets_up(&self, number: u64) -> GuardedRoot {
        let guardians = self.guardians.iter().map(|(wallet, keys)| Guardian {
            key: wallet.public(),
            recipient: keys.public_key(),
        });
        let mut guardians: Vec<_> = guardians.collect();
        guardians.sort_unstable();
        let guarded = GuardedRoot::seal(&[5; 32], number, 2, &guardians).unwrap();
        let sealed = ::ledger::codec::encode(&guarded);
        let terms = Terms {
            k: 2,
            guardians: guardians.iter().map(|one| Digest(one.key)).collect(),
            delay_ms: DELAY_MS,
            sealed: Digest::of(&sealed),
        };
        let command = Command::SetUp(terms);
        self.says(&self.lost, number, command, Some(sealed))
            .await
            .unwrap();
        guarded
    }

    async fn asks(&self, number: u64, nonce: u8) -> Digest {
        let command = Command::Request {
            recipient: Digest(self.new_keys.public_key().0),
            nonce: Digest([nonce; 32]),
        };
        self.says(&self.new, number, command, None).await.unwrap();
        let guardianship = self.custody.guardianship(&self.patient).unwrap().unwrap();
        guardianship.recovery().unwrap().request
    }

    async fn approves(&self, at: usize, number: u64, request: Digest) -> Result<(), CustodyError> {
        let (wallet, keys) = &self.guardians[at];
        let key = wallet.public();
        let sealed = self.custody.guarded_root(&self.patient, Digest(key))?;
        let guarded: GuardedRoot = ::ledger::codec::decode("root", &sealed).unwrap();
        let recipient = self.new_keys.public_key();
        let share = guarded
            .approve((&key, keys), (&request.0, &recipient))
            .unwrap();
        let share = ::ledger::codec::encode(&share);
        let command = Command::Approve { request, share };
        self.says(wallet, number, command, None).await
    }

    async fn recovers(&self, request: Digest) -> Result<[u8; 32], CustodyError> {
        let handed = self.custody.hand_out(&self.patient, request).await?;
        let guarded: GuardedRoot = ::ledger::codec::decode("root", &handed.sealed).unwrap();
        let approvals: Vec<_> = handed
            .approvals
            .iter()
            .map(|one| {
                let share = ::ledger::codec::decode("share", &one.share).unwrap();
                (one.guardian.0, share)
            })
            .collect();
        Ok(*guarded
            .recover(&request.0, &self.new_keys, &approvals)
            .unwrap())
    }

    fn waits(&self, milliseconds: u64) {
        self.ledger.pass(0, milliseconds);
    }

    async fn history(&self) -> Vec<String> {
        let by = Requester {
            patient: Some(self.patient.clone()),
            practitioner: None,
            purpose: "PATRQT".to_owned(),
            ..clinician("hospital")
        };
        let entries = self.custody.access_history(&by).await.unwrap();
        let interaction =
            |entry: crate::custody::AccessEntry| match Descriptor::decode(&entry.descriptor) {
                Ok(Descriptor::Access(access)) => access.interaction,
                _ => panic!("an access history holds accesses"),
            };
        let all = entries.into_iter().map(interaction);
        all.filter(|one| one.starts_with("recovery") || one == "wallet-replace")
            .collect()
    }
}

fn is_refused(outcome: &Result<[u8; 32], CustodyError>) -> bool {
    matches!(outcome, Err(CustodyError::Denied { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn guardians_give_a_wallet_back_after_the_delay_and_all_of_it_is_on_record() {
    let circle = Circle::new().await;
    circle.sets_up(1).await;
    let request = circle.asks(1, 1).await;
    circle.approves(0, 1, request).await.unwrap();
    assert!(is_refused(&circle.recovers(request).await), "one of two");
    circle.approves(2, 1, request).await.unwrap();
    assert!(is_refused(&circle.recovers(request).await), "too early");
    circle.waits(DELAY_MS);
    assert_eq!(circle.recovers(request).await.unwrap(), [5; 32]);
    let finish = Command::Finish(request);
    circle.says(&circle.lost, 1, finish, None).await.unwrap();
    let guardianship = circle.custody.guardianship(&circle.patient).unwrap();
    assert_eq!(guardianship.unwrap().wallet(), Digest(circle.new.public()));
    // The member takes the new wallet for the patient's.
    let mut enrolment = circle.new.enrolment(circle.network, "hospital", &[]);
    enrolment.branches.clear();
    enrolment.patient_id = Some(circle.patient.clone());
    let by = clinician("hospital");
    circle.custody.enroll(&by, enrolment).await.unwrap();
    let mut history = circle.history().await;
    history.sort_unstable();
    let steps = [
        "recovery-approve",
        "recovery-approve",
        "recovery-finish",
        "recovery-hand-out",
        "recovery-request",
        "recovery-set-up",
    ];
    assert_eq!(history, steps);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_objection_leaves_the_guardians_approvals_where_they_are() {
    let circle = Circle::new().await;
    circle.sets_up(1).await;
    let request = circle.asks(1, 1).await;
    for guardian in 0..3 {
        circle.approves(guardian, 1, request).await.unwrap();
    }
    let object = Command::Object(request);
    circle.says(&circle.lost, 1, object, None).await.unwrap();
    circle.waits(DELAY_MS);
    assert!(is_refused(&circle.recovers(request).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_guardians_end_what_is_under_way() {
    let circle = Circle::new().await;
    circle.sets_up(1).await;
    let request = circle.asks(1, 1).await;
    circle.approves(0, 1, request).await.unwrap();
    circle.sets_up(2).await;
    assert!(circle.approves(1, 1, request).await.is_err());
    circle.waits(DELAY_MS);
    assert!(is_refused(&circle.recovers(request).await));
    let stranger = Digest(circle.new.public());
    let shown = circle.custody.guarded_root(&circle.patient, stranger);
    assert!(matches!(shown, Err(CustodyError::Denied { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_guardians_takes_the_key_that_the_recovered_root_vouches_for() {
    let circle = Circle::new().await;
    let place = (circle.network, Digest(circle.lost.public()), 0);
    let keys = (Digest(circle.lost.public()), Digest(circle.new.public()));
    let replace = |by: &Wallet| {
        let sign = |bytes: &[u8]| by.key.sign(bytes).into();
        Command::replace(place, keys, sign)
    };
    let (agreed, forced) = (replace(&circle.new), replace(&circle.lost));
    let stranger = &circle.guardians[0].0;
    for (wallet, command) in [
        (stranger, &agreed),
        (&circle.new, &agreed),
        (&circle.lost, &forced),
    ] {
        let refused = circle.says(wallet, 0, command.clone(), None).await;
        assert!(
            matches!(refused, Err(CustodyError::Denied { .. })),
            "{refused:?}"
        );
    }
    let known = || {
        circle
            .custody
            .subject_view(&circle.patient)
            .unwrap()
            .wallet_key
    };
    assert_eq!(known(), Some(circle.lost.public()));
    circle
        .says(&circle.lost, 0, agreed.clone(), None)
        .await
        .unwrap();
    assert_eq!(known(), Some(circle.new.public()));
    let again = circle.says(&circle.lost, 0, agreed, None).await;
    assert!(
        matches!(again, Err(CustodyError::Denied { .. })),
        "{again:?}"
    );
    assert_eq!(circle.history().await, ["wallet-replace"]);
}
