mod validators;

use ledger::genesis::{Genesis, Member, MlDsa44Key, Threshold};
use ledger::ids::Epoch;

use super::*;
use crate::membership::tests::{
    JUNE, member, member_with, member_with_authority, other_form, vote,
};
use crate::membership::{CertificateError, Standing};
use crate::rejection::Rejection;

/// A network on its way: commands change it, refusals do not.
struct Story {
    registry: Registry,
    height: Height,
    time: BlockTime,
}

impl Story {
    /// Four members, the first three of which validate; an epoch has ten blocks.
    fn begin() -> Self {
        Self::with(["clinic", "hospital", "laboratory", "payer"].map(|name| member(name, false).0))
    }

    fn with<const N: usize>(mut members: [Member; N]) -> Self {
        for (seat, key) in members.iter_mut().zip(1..) {
            seat.validator = (key < 4).then(|| vote(key));
        }
        let rules = Rules {
            epoch_blocks: 10,
            proposal_blocks: 20,
            ..Rules::default()
        };
        let genesis = Genesis {
            name: "test".to_owned(),
            time: BlockTime(0),
            members: members.to_vec(),
            rules: Some(rules),
        };
        Self {
            registry: Registry::from_genesis(&genesis).unwrap(),
            height: Height(5),
            time: JUNE,
        }
    }

    fn says(&mut self, member: &str, command: Command) -> Result<Vec<Event>, Refusal> {
        let certificate = match &command {
            Command::RegisterCertificate(certificate) => Digest::of(certificate),
            _ => Digest([0; 32]),
        };
        self.signs(member, certificate, command)
    }

    fn signs(
        &mut self,
        member: &str,
        certificate: Digest,
        command: Command,
    ) -> Result<Vec<Event>, Refusal> {
        let member = name(member);
        let context = Context {
            member: &member,
            certificate,
            height: self.height,
            time: self.time,
        };
        let events = decide(&self.registry, &context, command)?;
        self.registry = evolve(&self.registry, &context, &events).unwrap();
        Ok(events)
    }

    /// One member after the other agrees, until that is enough.
    fn decides(&mut self, action: Action) -> Result<(), Refusal> {
        self.says("clinic", Command::Propose(action))?;
        let number = self.registry.contents().proposed;
        let members: Vec<_> = self.registry.members().cloned().collect();
        for member in members.iter().filter(|member| member.as_str() != "clinic") {
            if self
                .registry
                .proposals()
                .iter()
                .any(|one| one.number == number)
            {
                self.votes(member.as_str(), number, true)?;
            }
        }
        Ok(())
    }

    fn votes(
        &mut self,
        member: &str,
        proposal: u64,
        approves: bool,
    ) -> Result<Vec<Event>, Refusal> {
        self.says(member, Command::Vote { proposal, approves })
    }

    fn standing(&self, member: &str) -> Standing {
        self.registry.seat(&name(member)).unwrap().standing
    }

    fn validators(&self, epoch: u64) -> Vec<u8> {
        let keys = &self.registry.validators(Epoch(epoch)).keys;
        let seeds = 1..=9;
        seeds.filter(|seed| keys.contains(&vote(*seed))).collect()
    }
}

fn name(text: &str) -> MemberName {
    text.parse().unwrap()
}

fn keys(seed: u8) -> ValidatorKeys {
    ValidatorKeys {
        vote: vote(seed),
        cosigner: Some(MlDsa44Key::from_bytes(vec![seed; 1_312])),
    }
}

fn suspend(member: &str) -> Command {
    Command::Propose(Action::Suspend(name(member)))
}

#[test]
fn g1_a_proposal_needs_more_than_its_part_of_the_members_each_once() {
    let mut story = Story::begin();
    let proposed = story.says("clinic", suspend("payer")).unwrap();
    assert!(matches!(&proposed[..], [Event::Proposed(proposal)] if proposal.number == 1));
    assert_eq!(story.votes("clinic", 1, true), Err(Refusal::VotedBefore));
    assert_eq!(story.votes("hospital", 1, true).unwrap().len(), 1);
    assert_eq!(
        story.standing("payer"),
        Standing::Active,
        "2 of 4 are not more than 2/3"
    );
    let enacted = story.votes("laboratory", 1, true).unwrap();
    assert_eq!(
        enacted[1],
        Event::Enacted(1, Action::Suspend(name("payer")))
    );
    assert_eq!(story.standing("payer"), Standing::Suspended);
    assert_eq!(
        story.votes("payer", 1, true),
        Err(Refusal::NoSuchProposal(1)),
        "what is enacted is not open (G2)"
    );
}

#[test]
fn g1_who_is_not_heard_does_not_count() {
    let mut story = Story::begin();
    story.says("payer", suspend("laboratory")).unwrap();
    story.decides(Action::Suspend(name("payer"))).unwrap();
    // The payer's own approval of 1 is void now, so that two are not enough of three.
    story.votes("clinic", 1, true).unwrap();
    assert_eq!(story.standing("laboratory"), Standing::Active);
    story.votes("hospital", 1, true).unwrap();
    assert_eq!(
        story.standing("laboratory"),
        Standing::Active,
        "2 of 3 are not more than 2/3"
    );
    story.votes("laboratory", 1, true).unwrap();
    assert_eq!(story.standing("laboratory"), Standing::Suspended);
}

#[test]
fn a_proposal_ends_refused_withdrawn_or_too_late() {
    let mut story = Story::begin();
    story.says("clinic", suspend("payer")).unwrap();
    story.votes("payer", 1, false).unwrap();
    let closed = story.votes("hospital", 1, false).unwrap();
    assert_eq!(closed[1], Event::Closed(1), "2 of 4 against leave no 3");
    story.says("clinic", suspend("payer")).unwrap();
    let withdrawn = Command::Withdraw(2);
    assert_eq!(
        story.says("payer", withdrawn.clone()),
        Err(Refusal::NotTheProposer)
    );
    assert_eq!(story.says("clinic", withdrawn), Ok(vec![Event::Closed(2)]));
    story.says("clinic", suspend("payer")).unwrap();
    story.height = Height(26);
    assert_eq!(
        story.votes("hospital", 3, true),
        Err(Refusal::NoSuchProposal(3))
    );
    story.says("clinic", suspend("payer")).unwrap();
    let open: Vec<_> = story
        .registry
        .proposals()
        .iter()
        .map(|one| one.number)
        .collect();
    assert_eq!(open, [4], "what is too old goes with the next change");
}

#[test]
fn g2_what_became_impossible_is_not_enacted() {
    let mut story = Story::begin();
    let admit = admit(newcomer("regulator"));
    story
        .says("clinic", Command::Propose(admit.clone()))
        .unwrap();
    story.votes("hospital", 1, true).unwrap();
    story.decides(admit.clone()).unwrap();
    let taken = Err(Refusal::NameTaken(name("regulator")));
    story.votes("laboratory", 1, true).unwrap();
    assert_eq!(story.votes("payer", 1, true), taken);
    assert_eq!(
        story.decides(admit),
        Err(Refusal::NameTaken(name("regulator")))
    );
}

#[test]
fn p9_a_member_is_admitted_and_heard_and_a_removed_one_is_not() {
    let mut story = Story::begin();
    let regulator = newcomer("regulator");
    let thumbprint = Digest::of(&regulator.node);
    let key_of = |story: &Story| {
        let key = story.registry.key_at(&name("regulator"), thumbprint, JUNE);
        key.map(|_| ())
    };
    assert_eq!(
        key_of(&story),
        Err(Rejection::UnknownMember(name("regulator")))
    );
    story.decides(admit(regulator)).unwrap();
    assert_eq!(key_of(&story), Ok(()));
    story.decides(Action::Suspend(name("regulator"))).unwrap();
    assert_eq!(
        key_of(&story),
        Err(Rejection::MemberSuspended(name("regulator")))
    );
    story.decides(Action::Reinstate(name("regulator"))).unwrap();
    assert_eq!(key_of(&story), Ok(()));
    story.decides(Action::Remove(name("regulator"))).unwrap();
    assert_eq!(
        key_of(&story),
        Err(Rejection::MemberRemoved(name("regulator")))
    );
    let again = story.decides(Action::Reinstate(name("regulator")));
    assert_eq!(again, Err(Refusal::NoSuchMember(name("regulator"))));
    assert!(
        story
            .registry
            .certificate(&name("regulator"), thumbprint)
            .is_ok(),
        "what it signed can be checked for ever (M4)"
    );
}

#[test]
fn p9_every_certificate_has_expired_and_the_network_recovers() {
    let (clinic, authority) = member_with_authority("clinic");
    let mut story = Story::with([clinic.clone(), member("hospital", false).0]);
    let late = BlockTime(JUNE.0 + 2 * 365 * 86_400_000);
    story.time = late;
    let expired = story
        .registry
        .key_at(&name("clinic"), Digest::of(&clinic.node), late);
    assert_eq!(expired, Err(Rejection::CertificateExpired(name("clinic"))));
    let renewed = authority.certify("clinic", 2028);
    let command = Command::RegisterCertificate(renewed.clone());
    let not_its_key = story.signs("clinic", Digest::of(&clinic.node), command.clone());
    assert_eq!(
        not_its_key,
        Err(Refusal::NotItsKey),
        "whoever holds the new key (G5)"
    );
    let of_another = story.says("hospital", command.clone());
    assert_eq!(
        of_another,
        Err(CertificateError::NotSignedByAuthority.into())
    );
    assert_eq!(
        story
            .says("clinic", command.clone())
            .map(|events| events.len()),
        Ok(1)
    );
    let key = story
        .registry
        .key_at(&name("clinic"), Digest::of(&renewed), late);
    assert!(key.is_ok());
    assert_eq!(
        story.says("clinic", command),
        Err(Refusal::RegisteredBefore)
    );
}

#[test]
fn m2_a_revoked_certificate_is_silent_and_cannot_come_back() {
    let mut story = Story::begin();
    let clinic = story.registry.seat(&name("clinic")).unwrap().certificates[0]
        .certificate
        .clone();
    let thumbprint = Digest::of(&clinic);
    let revoke = Command::RevokeCertificate(thumbprint);
    assert_eq!(
        story.says("hospital", revoke.clone()),
        Err(Refusal::NothingToRevoke)
    );
    story.says("clinic", revoke.clone()).unwrap();
    let key = story.registry.key_at(&name("clinic"), thumbprint, JUNE);
    assert_eq!(key, Err(Rejection::CertificateRevoked(name("clinic"))));
    assert_eq!(story.says("clinic", revoke), Err(Refusal::NothingToRevoke));
    let again = story.says("clinic", Command::RegisterCertificate(clinic));
    assert_eq!(again, Err(Refusal::RegisteredBefore));
}

#[test]
fn m2_a_revoked_certificate_of_a_p256_authority_cannot_come_back_in_its_other_form() {
    let (clinic, _) = member_with("clinic", &rcgen::PKCS_ECDSA_P256_SHA256);
    let other = other_form(&clinic.node);
    assert!(NodeCertificate::issued(&other, &clinic.authority).is_ok());
    assert_ne!(Digest::of(&other), Digest::of(&clinic.node));
    let thumbprint = Digest::of(&clinic.node);
    let mut story = Story::with([clinic]);
    story
        .says("clinic", Command::RevokeCertificate(thumbprint))
        .unwrap();
    let again = story.says("clinic", Command::RegisterCertificate(other));
    assert_eq!(again, Err(Refusal::RegisteredBefore));
}

#[test]
fn rules_stay_sound_and_epochs_as_long_as_they_are() {
    let mut story = Story::begin();
    let rules = *story.registry.rules();
    let longer = Rules {
        epoch_blocks: 11,
        ..rules
    };
    let everybody = Threshold {
        numerator: 1,
        denominator: 1,
    };
    let nobody = Rules {
        settings: everybody,
        ..rules
    };
    for unsound in [longer, nobody] {
        let refused = story.decides(Action::SetRules(unsound));
        assert_eq!(refused, Err(Refusal::RulesUnsound));
    }
    let half = Threshold {
        numerator: 1,
        denominator: 2,
    };
    story
        .decides(Action::SetRules(Rules {
            settings: half,
            ..rules
        }))
        .unwrap();
    assert_eq!(story.registry.rules().settings, half);
    assert_eq!(
        story.decides(Action::SetFormat(1)),
        Err(Refusal::FormatNotAbove)
    );
    story.decides(Action::SetFormat(2)).unwrap();
    assert_eq!(story.registry.format(), 2);
}

#[test]
fn endpoints_are_addresses() {
    let mut story = Story::begin();
    let announce = |consensus: &str| {
        Command::Announce(Endpoints {
            consensus: consensus.to_owned(),
            exchange: "[::1]:4100".to_owned(),
        })
    };
    assert_eq!(
        story.says("payer", announce("payer.example")),
        Err(Refusal::NotAnAddress)
    );
    story.says("payer", announce("192.0.2.7:4200")).unwrap();
    let endpoints = story
        .registry
        .seat(&name("payer"))
        .unwrap()
        .endpoints
        .clone();
    assert_eq!(endpoints.unwrap().consensus, "192.0.2.7:4200");
}

#[test]
fn a_registry_is_read_as_it_was_written() {
    let mut story = Story::begin();
    story.decides(admit(newcomer("regulator"))).unwrap();
    story.says("clinic", suspend("payer")).unwrap();
    let read = Registry::decode(&story.registry.encode()).unwrap();
    assert_eq!(read.contents(), story.registry.contents());
    assert_eq!(read.entry(), story.registry.entry());
}

fn admit(member: Member) -> Action {
    Action::Admit {
        member: Box::new(member),
        endpoints: None,
    }
}

fn newcomer(name: &str) -> Member {
    Member {
        validator: None,
        ..member(name, false).0
    }
}

#[test]
fn label_rules_are_checked_and_the_newest_count() {
    let registry = Story::begin().registry;
    let check = |text: &str| Action::SetLabelRules(text.to_owned()).check(&registry);
    let sound = r#"{"version": "7", "valueSets": {"v": {"codes": {"http://loinc.org": ["1-1"]}}},
        "rules": [{"id": "r", "labels": ["HIV"], "codes": ["v"]}]}"#;
    assert_eq!(check(sound), Ok(()));
    assert_eq!(check(""), Ok(()), "takes them back");
    let everything = r#"{"version": "7", "rules": [{"id": "r", "labels": ["HIV"]}]}"#;
    let refused = check(everything).unwrap_err();
    assert_eq!(
        (refused.code(), refused.to_string().as_str()),
        (124, "the label rules: `r` matches everything")
    );
    assert_eq!(
        check(r#"{"version": "7"}"#).unwrap_err().code(),
        124,
        "matches nothing"
    );
    let large = " ".repeat(32 * 1024 + 1);
    assert_eq!(check(&large), Err(Refusal::OutOfBounds("label rules")));
    assert_eq!(registry.label_rules(), None);
    let before = registry.encode();
    let voted = registry
        .change(|contents| contents.label_rules = Some(vec![sound.to_owned()]))
        .unwrap();
    assert_eq!(
        Registry::decode(&voted.encode()).unwrap().label_rules(),
        Some(sound)
    );
    let back = voted
        .change(|contents| contents.label_rules = Some(vec![sound.to_owned(), String::new()]))
        .unwrap();
    assert_eq!(back.label_rules(), None);
    assert_eq!(
        Registry::decode(&before).unwrap().encode(),
        before,
        "nothing of it without rules"
    );
    assert_eq!(before.first(), Some(&0x88), "eight fields, as before");
}
