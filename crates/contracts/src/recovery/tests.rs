use ed25519_zebra::SigningKey;

use super::*;

const NETWORK: NetworkId = NetworkId(Digest([9; 32]));
const DAY: u64 = 24 * 3_600 * 1_000;

/// A patient (key 1) with guardians 11, 12 and 13, two of whom it takes; 2 is the new wallet, 3 a thief's.
struct Story {
    guarded: Guardianship,
    now: u64,
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from([seed; 32])
}

fn public(seed: u8) -> Digest {
    let public: [u8; 32] = VerificationKey::from(&key(seed)).into();
    Digest(public)
}

fn terms(guardians: &[u8]) -> Terms {
    let mut guardians: Vec<_> = guardians.iter().map(|seed| public(*seed)).collect();
    guardians.sort_unstable();
    Terms {
        k: 2,
        guardians,
        delay_ms: DELAY_MS,
        sealed: Digest([7; 32]),
    }
}

fn approve(request: Digest) -> Command {
    Command::Approve {
        request,
        share: vec![5],
    }
}

fn ask() -> Command {
    Command::Request {
        recipient: Digest([6; 32]),
        nonce: Digest([1; 32]),
    }
}

impl Story {
    fn begin() -> Self {
        let mut story = Self {
            guarded: Guardianship::of(NETWORK, public(1)),
            now: 1_000,
        };
        let set_up = Command::SetUp(terms(&[11, 12, 13]));
        story.says(1, set_up).unwrap();
        story
    }

    fn signs(&self, seed: u8, command: Command) -> Signed {
        let is_set_up = matches!(command, Command::SetUp(_));
        let number = self.guarded.number() + u64::from(is_set_up);
        Signed::sign(
            (NETWORK, public(1), number),
            command,
            public(seed),
            |bytes| key(seed).sign(bytes).into(),
        )
    }

    fn takes(&mut self, signed: &Signed) -> Result<(), Refusal> {
        let event = decide(&self.guarded, self.now, signed)?;
        evolve(&mut self.guarded, event);
        Ok(())
    }

    fn says(&mut self, seed: u8, command: Command) -> Result<(), Refusal> {
        let signed = self.signs(seed, command);
        self.takes(&signed)
    }

    fn asks(&mut self, seed: u8) -> Digest {
        self.says(seed, ask()).unwrap();
        self.guarded.recovery().unwrap().request
    }
}

#[test]
fn v1_a_wallet_is_recovered_after_the_delay_with_k_approvals() {
    let mut story = Story::begin();
    let request = story.asks(2);
    story.says(11, approve(request)).unwrap();
    story.now += DELAY_MS;
    let too_few = Refusal::TooFewApprovals {
        given: 1,
        needed: 2,
    };
    assert_eq!(
        story.guarded.handed_out(request, story.now),
        Err(too_few.clone())
    );
    assert_eq!(story.says(1, Command::Finish(request)), Err(too_few));
    story.says(13, approve(request)).unwrap();
    assert_eq!(
        story.guarded.handed_out(request, story.now).unwrap().len(),
        2
    );
    // The recovered root yields the old wallet's key, which hands over to the new one.
    story.says(1, Command::Finish(request)).unwrap();
    assert_eq!(story.guarded.wallet(), public(2));
    assert_eq!(
        story.says(1, Command::SetUp(terms(&[11, 12]))),
        Err(Refusal::NotTheWallet)
    );
    story.says(2, Command::SetUp(terms(&[11, 12]))).unwrap();
}

#[test]
fn v1_approvals_that_come_early_wait_for_the_delay() {
    let mut story = Story::begin();
    let request = story.asks(2);
    for guardian in 11..=13 {
        story.says(guardian, approve(request)).unwrap();
    }
    for (elapsed, wait_ms) in [(0, DELAY_MS), (DAY, DELAY_MS - DAY), (DELAY_MS - 1, 1)] {
        let now = story.now + elapsed;
        let handed = story.guarded.handed_out(request, now);
        assert_eq!(handed, Err(Refusal::TooEarly { wait_ms }));
    }
    assert_eq!(
        story.says(1, Command::Finish(request)),
        Err(Refusal::TooEarly { wait_ms: DELAY_MS })
    );
    assert!(
        story
            .guarded
            .handed_out(request, story.now + DELAY_MS)
            .is_ok()
    );
}

#[test]
fn v1_an_objection_ends_it_for_ever() {
    let mut story = Story::begin();
    let asked = story.signs(3, ask());
    story.takes(&asked).unwrap();
    let request = story.guarded.recovery().unwrap().request;
    let approved = story.signs(11, approve(request));
    story.takes(&approved).unwrap();
    story.says(12, approve(request)).unwrap();
    assert_eq!(
        story.says(3, Command::Object(request)),
        Err(Refusal::NotTheWallet)
    );
    story.says(1, Command::Object(request)).unwrap();
    story.now += DELAY_MS;
    let gone = Err(Refusal::NoSuchRequest);
    assert_eq!(
        story.guarded.handed_out(request, story.now).map(|_| ()),
        gone
    );
    assert_eq!(story.takes(&asked), Err(Refusal::EndedBefore));
    assert_eq!(story.takes(&approved), gone);
    // An approval of one request is none of another.
    let other = story.asks(2);
    assert_ne!(other, request);
    assert_eq!(story.takes(&approved), gone);
    assert!(story.guarded.recovery().unwrap().approvals.is_empty());
}

#[test]
fn v2_each_thing_is_said_by_whoever_may() {
    let mut story = Story::begin();
    assert_eq!(story.says(1, ask()), Err(Refusal::NotANewWallet));
    let request = story.asks(2);
    assert_eq!(story.says(3, ask()), Err(Refusal::UnderWay));
    for stranger in [1, 2, 3] {
        assert_eq!(
            story.says(stranger, approve(request)),
            Err(Refusal::NotAGuardian)
        );
    }
    story.says(11, approve(request)).unwrap();
    assert_eq!(
        story.says(11, approve(request)),
        Err(Refusal::ApprovedBefore)
    );
    story.says(12, approve(request)).unwrap();
    story.now += DELAY_MS;
    for other in [2, 3, 11] {
        assert_eq!(
            story.says(other, Command::Finish(request)),
            Err(Refusal::NotTheWallet)
        );
        assert_eq!(
            story.says(other, Command::SetUp(terms(&[11, 12]))),
            Err(Refusal::NotTheWallet)
        );
    }
    let large = Command::Approve {
        request,
        share: vec![0; SHARE_BYTES_MAX + 1],
    };
    assert_eq!(story.says(13, large), Err(Refusal::TooLarge));
}

#[test]
fn v2_a_signature_is_of_all_that_is_said() {
    let story = Story::begin();
    let signed = story.signs(2, ask());
    let mut others = vec![signed.clone(); 5];
    others[0].network = NetworkId(Digest([8; 32]));
    others[1].guarded = public(2);
    others[2].number = 2;
    others[3].signer = public(3);
    others[4].command = Command::Request {
        recipient: Digest([7; 32]),
        nonce: Digest([1; 32]),
    };
    for other in &others {
        let refused = decide(&story.guarded, 0, other).err();
        assert_eq!(refused, Some(Refusal::NotSigned));
    }
    assert!(decide(&story.guarded, 0, &signed).is_ok());
    let network = NetworkId(Digest([8; 32]));
    let elsewhere = Guardianship {
        network,
        ..story.guarded
    };
    assert_eq!(decide(&elsewhere, 0, &signed), Err(Refusal::OtherWallet));
}

#[test]
fn v4_other_guardians_make_what_was_signed_before_worthless() {
    let mut story = Story::begin();
    let asked = story.signs(3, ask());
    story.takes(&asked).unwrap();
    let request = story.guarded.recovery().unwrap().request;
    let approved = story.signs(11, approve(request));
    let rotated = story.signs(1, Command::SetUp(terms(&[12, 13, 14])));
    story.takes(&rotated).unwrap();
    assert_eq!(story.guarded.recovery(), None);
    for late in [&asked, &approved, &rotated] {
        assert_eq!(story.takes(late), Err(Refusal::OtherSetUp));
    }
    let request = story.asks(2);
    assert_eq!(story.says(11, approve(request)), Err(Refusal::NotAGuardian));
    story.says(14, approve(request)).unwrap();
}

fn replaced_by(story: &Story, former: u8, next: u8, by: u8) -> Command {
    let place = (NETWORK, public(1), story.guarded.number());
    Command::replace(place, (public(former), public(next)), |bytes| {
        key(by).sign(bytes).into()
    })
}

#[test]
fn v5_a_wallets_key_gives_way_to_one_that_agrees_and_never_comes_back() {
    let mut story = Story {
        guarded: Guardianship::of(NETWORK, public(1)),
        now: 1_000,
    };
    let command = replaced_by(&story, 1, 2, 2);
    for stranger in [2, 3] {
        assert_eq!(
            story.says(stranger, command.clone()),
            Err(Refusal::NotTheWallet)
        );
    }
    for (former, next, by) in [(1, 2, 3), (1, 2, 1), (3, 2, 2)] {
        let other = replaced_by(&story, former, next, by);
        assert_eq!(story.says(1, other), Err(Refusal::NotAgreed));
    }
    let itself = replaced_by(&story, 1, 1, 1);
    assert_eq!(story.says(1, itself), Err(Refusal::NotANewWallet));
    let first = story.signs(1, command);
    story.takes(&first).unwrap();
    assert_eq!(story.guarded.wallet(), public(2));
    assert_eq!(story.takes(&first), Err(Refusal::NotTheWallet));
    let back = replaced_by(&story, 2, 1, 1);
    assert_eq!(story.says(2, back), Err(Refusal::FormerKey));
    story.says(2, Command::SetUp(terms(&[11, 12, 13]))).unwrap();
    assert_eq!(story.takes(&first), Err(Refusal::OtherSetUp));
}

#[test]
fn v5_a_wallets_key_stays_while_somebody_asks_for_the_wallet() {
    let mut story = Story::begin();
    let request = story.asks(3);
    let command = replaced_by(&story, 1, 2, 2);
    assert_eq!(story.says(1, command.clone()), Err(Refusal::UnderWay));
    story.says(1, Command::Object(request)).unwrap();
    story.says(1, command).unwrap();
    assert_eq!(story.guarded.wallet(), public(2));
}

#[test]
fn guardians_that_cannot_be_are_refused() {
    let mut story = Story::begin();
    let mut refused = |terms: Terms| story.says(1, Command::SetUp(terms)).unwrap_err().code();
    let good = terms(&[11, 12, 13]);
    for (k, n) in [(1, 1), (1, 3), (2, 4), (4, 3), (0, 0)] {
        let guardians = good.guardians.iter().cycle().take(n).copied().collect();
        assert_eq!(
            refused(Terms {
                k,
                guardians,
                ..good.clone()
            }),
            304
        );
    }
    let mut twice = good.clone();
    twice.guardians[1] = twice.guardians[0];
    assert_eq!(refused(twice), 305);
    for delay_ms in [0, DELAY_MS_MIN - 1, DELAY_MS_MAX + 1] {
        assert_eq!(
            refused(Terms {
                delay_ms,
                ..good.clone()
            }),
            306
        );
    }
    let bare = Guardianship::of(NETWORK, public(1));
    let signed = Signed::sign((NETWORK, public(1), 0), ask(), public(2), |bytes| {
        key(2).sign(bytes).into()
    });
    assert_eq!(decide(&bare, 0, &signed), Err(Refusal::NoSuchGuardians));
}
