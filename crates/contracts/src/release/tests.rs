use super::*;
use crate::governance::{self, Action};
use crate::membership::tests::{JUNE, member, vote};

use ledger::genesis::{Genesis, Rules};
use ledger::ids::BlockTime;

const ALL: [&str; 5] = ["clinic", "hospital", "laboratory", "payer", "pharmacy"];

/// Five members, and what they say.
struct Story(Registry);

fn name(name: &str) -> MemberName {
    name.parse().unwrap()
}

impl Story {
    fn begin() -> Self {
        let mut members = ALL.map(|name| member(name, false).0);
        for (seat, key) in members.iter_mut().zip(1..) {
            seat.validator = (key < 4).then(|| vote(key));
        }
        let genesis = Genesis {
            name: "test".to_owned(),
            time: BlockTime(0),
            members: members.to_vec(),
            rules: Some(Rules::default()),
        };
        Self(Registry::from_genesis(&genesis).unwrap())
    }

    fn votes(&mut self, action: &Action) -> Result<(), governance::Refusal> {
        let mut number = None;
        for member in ALL {
            let command = match number {
                None => governance::Command::Propose(action.clone()),
                Some(proposal) => governance::Command::Vote {
                    proposal,
                    approves: true,
                },
            };
            let member = name(member);
            let context = governance::Context {
                member: &member,
                certificate: Digest([0; 32]),
                height: Height(5),
                time: JUNE,
            };
            let events = governance::decide(&self.0, &context, command)?;
            self.0 = governance::evolve(&self.0, &context, &events).unwrap();
            number = Some(self.0.contents().proposed);
            if events
                .iter()
                .any(|event| matches!(event, governance::Event::Enacted(..)))
            {
                return Ok(());
            }
        }
        panic!("all agree and nothing is enacted");
    }

    fn sets(&mut self, k: u32, members: &[&str], renews: bool) -> Result<(), governance::Refusal> {
        self.votes(&Action::SetCommittee {
            k,
            members: members.iter().map(|one| name(one)).collect(),
            renews,
        })
    }

    fn says(&mut self, member: &str, command: Command) -> Result<(), Refusal> {
        let member = name(member);
        let events = decide(&self.0, &member, command)?;
        self.0 = evolve(&self.0, (&member, Height(6)), &events).unwrap();
        Ok(())
    }

    fn joins(&mut self, round: u64, members: &[&str]) {
        for (member, seed) in members.iter().zip(1..) {
            let key = Digest([seed; 32]);
            self.says(member, Command::Join { round, key }).unwrap();
        }
    }

    fn forms(&mut self, round: u64, members: &[&str], dealers: &[&str]) {
        self.joins(round, members);
        for dealer in dealers {
            self.says(dealer, deal(round)).unwrap();
        }
        for member in members {
            self.says(member, confirm(round, 1)).unwrap();
        }
    }

    fn committees(&self) -> &Committees {
        self.0.committees()
    }
}

fn deal(round: u64) -> Command {
    Command::Deal {
        round,
        log: vec![1],
    }
}

fn confirm(round: u64, outcome: u8) -> Command {
    Command::Confirm {
        round,
        outcome: vec![outcome],
    }
}

#[test]
fn s1_a_committee_is_in_force_once_all_have_confirmed_the_same() {
    let mut story = Story::begin();
    story.sets(3, &ALL, false).unwrap();
    story.joins(1, &ALL);
    for dealer in &ALL[..3] {
        story.says(dealer, deal(1)).unwrap();
    }
    for member in &ALL[..4] {
        story.says(member, confirm(1, 1)).unwrap();
        assert_eq!(story.committees().in_force(), None);
    }
    let mut divided = Story(story.0.clone());
    divided.says(ALL[4], confirm(1, 2)).unwrap();
    assert_eq!(divided.committees().in_force(), None);
    story.says(ALL[4], confirm(1, 1)).unwrap();
    let committee = story.committees().in_force().unwrap();
    assert_eq!((committee.round, committee.key, committee.k), (1, 1, 3));
    assert_eq!(committee.members.len(), 5);
    assert_eq!(story.committees().forming(), None);
}

#[test]
fn s2_each_thing_is_said_once_and_by_those_who_may() {
    let mut story = Story::begin();
    let join = |key| Command::Join {
        round: 1,
        key: Digest([key; 32]),
    };
    assert_eq!(story.says("clinic", join(1)), Err(Refusal::NoSuchRound));
    story.sets(2, &ALL[..3], false).unwrap();
    assert_eq!(story.says("payer", join(1)), Err(Refusal::NotInRound));
    assert_eq!(story.says("clinic", join(1)), Ok(()));
    assert_eq!(story.says("clinic", join(2)), Err(Refusal::SaidBefore));
    assert_eq!(story.says("hospital", join(1)), Err(Refusal::SaidBefore));
    assert_eq!(story.says("clinic", deal(1)), Err(Refusal::TooEarly));
    assert_eq!(story.committees().forming().unwrap().awaited().len(), 2);
    story.says("hospital", join(2)).unwrap();
    story.says("laboratory", join(3)).unwrap();
    assert_eq!(story.says("payer", deal(1)), Err(Refusal::NotInRound));
    assert_eq!(story.says("clinic", deal(1)), Ok(()));
    assert_eq!(story.says("clinic", deal(1)), Err(Refusal::SaidBefore));
    assert_eq!(story.says("clinic", confirm(1, 1)), Err(Refusal::TooEarly));
    story.says("hospital", deal(1)).unwrap();
    assert_eq!(story.says("payer", confirm(1, 1)), Err(Refusal::NotInRound));
    assert_eq!(story.says("clinic", confirm(1, 1)), Ok(()));
    assert_eq!(
        story.says("clinic", confirm(1, 2)),
        Err(Refusal::SaidBefore)
    );
    let large = Command::Confirm {
        round: 1,
        outcome: vec![0; SHOWN_BYTES_MAX + 1],
    };
    assert_eq!(story.says("hospital", large), Err(Refusal::TooLarge));
}

#[test]
fn s3_a_key_is_passed_on_by_those_who_have_it() {
    let mut story = Story::begin();
    story.sets(2, &ALL[..3], false).unwrap();
    story.forms(1, &ALL[..3], &ALL[..2]);
    story.sets(2, &ALL[2..], false).unwrap();
    assert_eq!(story.committees().forming().unwrap().passes_on, Some(1));
    story.joins(2, &ALL[2..]);
    assert_eq!(story.says("payer", deal(2)), Err(Refusal::NotInRound));
    for dealer in &ALL[1..3] {
        story.says(dealer, deal(2)).unwrap();
    }
    for member in &ALL[2..] {
        story.says(member, confirm(2, 1)).unwrap();
    }
    let committee = story.committees().in_force().unwrap();
    assert_eq!((committee.round, committee.key), (2, 1));
    assert_eq!(story.committees().formed.len(), 1);
}

#[test]
fn s3_another_k_or_a_wish_to_renew_makes_another_key() {
    let mut story = Story::begin();
    story.sets(2, &ALL[..3], false).unwrap();
    story.forms(1, &ALL[..3], &ALL[..2]);
    story.sets(3, &ALL, false).unwrap();
    assert_eq!(story.committees().forming().unwrap().passes_on, None);
    story.forms(2, &ALL, &ALL[..3]);
    story.sets(3, &ALL, true).unwrap();
    assert_eq!(story.committees().forming().unwrap().passes_on, None);
    let keys = |key| story.committees().with_key(key).map(|one| one.round);
    assert_eq!((keys(1), keys(2), keys(3)), (Some(1), Some(2), None));
}

#[test]
fn s4_a_round_that_does_not_come_to_an_end_is_given_up() {
    let mut story = Story::begin();
    story.sets(2, &ALL[..3], false).unwrap();
    story.joins(1, &ALL[..2]);
    story.sets(2, &ALL[..2], false).unwrap();
    let key = Digest([9; 32]);
    let late = Command::Join { round: 1, key };
    assert_eq!(story.says("laboratory", late), Err(Refusal::NoSuchRound));
    story.forms(2, &ALL[..2], &ALL[..2]);
    assert_eq!(story.committees().in_force().unwrap().round, 2);
}

#[test]
fn committees_that_cannot_be_are_not_proposed() {
    let mut story = Story::begin();
    let refused = |story: &mut Story, k, members: &[&str]| {
        let refusal = story.sets(k, members, false);
        refusal.map_err(|refusal| refusal.code())
    };
    for (k, n) in [(1, 1), (2, 4), (0, 0), (6, 5)] {
        assert_eq!(refused(&mut story, k, &ALL[..n]), Err(207), "{k} of {n}");
    }
    let twice = ["clinic", "clinic", "hospital"];
    assert_eq!(refused(&mut story, 2, &twice), Err(208));
    let unknown = ["clinic", "hospital", "nobody"];
    assert_eq!(refused(&mut story, 2, &unknown), Err(209));
    story.votes(&Action::Suspend(name("payer"))).unwrap();
    assert_eq!(refused(&mut story, 3, &ALL), Err(209));
}

#[test]
fn a_registry_without_committees_is_written_as_before() {
    let mut story = Story::begin();
    let before = story.0.encode();
    assert_eq!(before.first(), Some(&0x88));
    story.sets(3, &ALL, false).unwrap();
    story.forms(1, &ALL, &ALL[..3]);
    let again = Registry::decode(&story.0.encode()).unwrap();
    assert_eq!(again.committees(), story.committees());
}
