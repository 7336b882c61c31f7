use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const IDENTITY: &[u8] = b"network/hospital/tag";
const KEY: [u8; 32] = [7; 32];

/// A committee with its members' keys and shares, in the order of the keys.
struct Formed {
    committee: Committee,
    keys: Vec<MemberKey>,
    shares: Vec<KeyShare>,
}

/// What the dealers of a round do: all that a test wants to go wrong.
#[derive(Default, Clone)]
struct Wrong {
    silent: Vec<usize>,
    lying: Vec<usize>,
}

fn keys(n: usize) -> Vec<MemberKey> {
    let mut keys: Vec<_> = (0..n).map(|_| MemberKey::generate()).collect();
    keys.sort_by_key(MemberKey::public);
    keys
}

fn publics(keys: &[MemberKey]) -> Vec<[u8; 32]> {
    keys.iter().map(MemberKey::public).collect()
}

fn form(k: u32, n: usize, wrong: &Wrong) -> Result<Formed, ReleaseError> {
    let keys = keys(n);
    let all = publics(&keys);
    let round = Round::new(b"network", 1, k, None, &all, &all)?;
    play(&round, &keys, &[], keys.clone(), wrong)
}

fn pass_on(
    k: u32,
    from: &Formed,
    to: Vec<MemberKey>,
    wrong: &Wrong,
) -> Result<Formed, ReleaseError> {
    let dealers = publics(&from.keys);
    let players = publics(&to);
    let round = Round::new(b"network", 2, k, Some(&from.committee), &dealers, &players)?;
    play(&round, &from.keys, &from.shares, to, wrong)
}

fn play(
    round: &Round,
    dealers: &[MemberKey],
    shares: &[KeyShare],
    keys: Vec<MemberKey>,
    wrong: &Wrong,
) -> Result<Formed, ReleaseError> {
    let mut players: Vec<_> = keys
        .iter()
        .map(|key| Playing::new(round, key).unwrap())
        .collect();
    let mut logs = Vec::new();
    for (at, dealer) in dealers.iter().enumerate() {
        if wrong.silent.contains(&at) {
            continue;
        }
        let seed = [u8::try_from(at).unwrap(); 32];
        let (mut dealing, mut offers) = Dealing::start(round, dealer, &seed, shares.get(at))?;
        if wrong.lying.contains(&at) {
            let victim = keys[0].public();
            let other = offers[&keys[1].public()].private.clone();
            offers.get_mut(&victim).unwrap().private = other;
        }
        for (player, key) in players.iter_mut().zip(&keys) {
            if let Ok(bytes) = player.take(&dealer.public(), &offers[&key.public()]) {
                dealing.acknowledged(key.public(), &bytes).unwrap();
            }
        }
        logs.extend(dealing.log());
    }
    let chosen = round.chosen(&logs).ok_or(ReleaseError::NoKey)?;
    let mut made = players
        .into_iter()
        .map(|player| player.finish(&chosen))
        .collect::<Result<Vec<_>, _>>()?;
    let committee = made[0].0.clone();
    assert!(made.iter().all(|(other, _)| *other == committee));
    let shares = made.drain(..).map(|(_, share)| share).collect();
    Ok(Formed {
        committee,
        keys,
        shares,
    })
}

fn given(
    formed: &Formed,
    who: impl IntoIterator<Item = usize>,
) -> BTreeMap<[u8; 32], PartialRelease> {
    who.into_iter()
        .map(|at| (formed.keys[at].public(), formed.shares[at].give(IDENTITY)))
        .collect()
}

fn subsets(n: usize) -> impl Iterator<Item = Vec<usize>> {
    (0..1_usize << n).map(move |bits| (0..n).filter(|at| bits >> at & 1 == 1).collect())
}

#[test]
fn p2_every_three_of_five_open_and_no_fewer_do() {
    let formed = form(3, 5, &Wrong::default()).unwrap();
    let sealed = formed.committee.seal(IDENTITY, &KEY).unwrap();
    for subset in subsets(5) {
        let opened = formed
            .committee
            .open(IDENTITY, &sealed, &given(&formed, subset.clone()));
        match (subset.len(), opened) {
            (3.., Ok(key)) => assert_eq!(*key, KEY),
            (given @ ..3, Err(error)) => {
                assert_eq!(error, ReleaseError::TooFewShares { given, needed: 3 });
            }
            (_, outcome) => panic!("{subset:?}: {outcome:?}"),
        }
    }
}

#[test]
fn p2_shares_below_k_do_not_open_even_if_the_threshold_is_said_to_be_lower() {
    let formed = form(3, 5, &Wrong::default()).unwrap();
    let bytes = formed.committee.encode();
    for k in [2, 4, 5] {
        assert_eq!(
            Committee::decode(k, &bytes),
            Err(ReleaseError::Malformed("committee"))
        );
    }
    assert_eq!(Committee::decode(3, &bytes), Ok(formed.committee));
}

#[test]
fn p2_a_wrong_share_names_its_giver() {
    let formed = form(3, 5, &Wrong::default()).unwrap();
    let sealed = formed.committee.seal(IDENTITY, &KEY).unwrap();
    let (liar, honest) = (formed.keys[1].public(), formed.keys[0].public());
    for wrong in [
        formed.shares[1].give(b"another identity"),
        formed.shares[2].give(IDENTITY),
        PartialRelease(vec![0; 97]),
        PartialRelease(Vec::new()),
    ] {
        let check = |giver, partial| formed.committee.check(giver, IDENTITY, partial);
        assert_eq!(check(&liar, &wrong), Err(ReleaseError::WrongShare));
        assert_eq!(check(&honest, &formed.shares[0].give(IDENTITY)), Ok(()));
        let mut partials = given(&formed, [0, 2, 3]);
        partials.insert(liar, wrong);
        assert_eq!(
            formed.committee.open(IDENTITY, &sealed, &partials),
            Err(ReleaseError::WrongShare)
        );
    }
}

#[test]
fn p2_shares_for_one_identity_open_nothing_else() {
    let formed = form(2, 3, &Wrong::default()).unwrap();
    let sealed = formed.committee.seal(b"another", &KEY).unwrap();
    let opened = formed
        .committee
        .open(IDENTITY, &sealed, &given(&formed, 0..3));
    assert_eq!(opened, Err(ReleaseError::NotAuthentic));
}

#[test]
fn a_key_passed_on_opens_what_was_sealed_before_and_old_shares_serve_no_more() {
    let before = form(3, 5, &Wrong::default()).unwrap();
    let sealed = before.committee.seal(IDENTITY, &KEY).unwrap();
    let after = pass_on(3, &before, keys(4), &Wrong::default()).unwrap();
    assert_eq!(after.committee.public_key(), before.committee.public_key());
    let open = |partials| after.committee.open(IDENTITY, &sealed, &partials);
    assert_eq!(*open(given(&after, [0, 2, 3])).unwrap(), KEY);
    let mut mixed = given(&after, [0, 2]);
    let old = before.shares[1].give(IDENTITY);
    mixed.insert(after.keys[1].public(), old);
    assert_eq!(open(mixed), Err(ReleaseError::WrongShare));
}

#[test]
fn a_member_that_is_gone_is_not_needed_to_pass_the_key_on() {
    let before = form(3, 5, &Wrong::default()).unwrap();
    let sealed = before.committee.seal(IDENTITY, &KEY).unwrap();
    let wrong = Wrong {
        silent: vec![0],
        lying: vec![4],
    };
    let after = pass_on(3, &before, keys(5), &wrong).unwrap();
    let opened = after
        .committee
        .open(IDENTITY, &sealed, &given(&after, [1, 2, 4]));
    assert_eq!(*opened.unwrap(), KEY);
}

#[test]
fn dealers_that_are_silent_or_lie_are_left_out() {
    for wrong in [
        (vec![0, 3], vec![]),
        (vec![], vec![1, 2]),
        (vec![4], vec![0]),
    ] {
        let (silent, lying) = wrong;
        let formed = form(3, 5, &Wrong { silent, lying }).unwrap();
        let sealed = formed.committee.seal(IDENTITY, &KEY).unwrap();
        let opened = formed
            .committee
            .open(IDENTITY, &sealed, &given(&formed, [0, 1, 2]));
        assert_eq!(*opened.unwrap(), KEY);
    }
    let wrong = Wrong {
        silent: vec![0, 1],
        lying: vec![2],
    };
    assert_eq!(form(3, 5, &wrong).err(), Some(ReleaseError::NoKey));
}

#[test]
fn an_unacknowledged_offer_is_never_revealed() {
    let keys = keys(3);
    let all = publics(&keys);
    let round = Round::new(b"network", 1, 2, None, &all, &all).unwrap();
    let (mut dealing, offers) = Dealing::start(&round, &keys[0], &[1; 32], None).unwrap();
    for key in &keys[..2] {
        let mut player = Playing::new(&round, key).unwrap();
        let bytes = player.take(&all[0], &offers[&key.public()]).unwrap();
        dealing.acknowledged(key.public(), &bytes).unwrap();
    }
    assert_eq!(dealing.log(), None);
}

#[test]
fn a_dealer_deals_the_same_after_a_restart() {
    let keys = keys(3);
    let all = publics(&keys);
    let round = Round::new(b"network", 1, 2, None, &all, &all).unwrap();
    let offers = |seed| Dealing::start(&round, &keys[0], &seed, None).unwrap().1;
    assert_eq!(offers([1; 32]), offers([1; 32]));
    assert_ne!(offers([1; 32]), offers([2; 32]));
}

#[test]
fn a_log_of_another_round_does_not_count() {
    let keys = keys(3);
    let all = publics(&keys);
    let round = |number| Round::new(b"network", number, 2, None, &all, &all).unwrap();
    let (one, two) = (round(1), round(2));
    let (mut dealing, offers) = Dealing::start(&one, &keys[0], &[1; 32], None).unwrap();
    for key in &keys {
        let mut player = Playing::new(&one, key).unwrap();
        let bytes = player.take(&all[0], &offers[&key.public()]).unwrap();
        dealing.acknowledged(key.public(), &bytes).unwrap();
    }
    let log = dealing.log().unwrap();
    assert_eq!(one.dealer_of(&log), Some(all[0]));
    assert_eq!(two.dealer_of(&log), None);
}

#[test]
fn committees_that_could_open_with_those_that_may_fail_are_refused() {
    let all: Vec<_> = publics(&keys(6));
    let (none, some) = (ReleaseError::NoSuchCommittee, |k, n: usize| {
        deal(k, &all[..n]).err()
    });
    for (k, n) in [(1, 1), (2, 4), (3, 6), (4, 3), (0, 2), (8, 6)] {
        assert_eq!(some(k, n), Some(none), "{k} of {n}");
    }
    for (k, n) in [(2, 2), (2, 3), (3, 5), (4, 6), (6, 6)] {
        assert_eq!(some(k, n), None, "{k} of {n}");
    }
    let twice = [all[0], all[0], all[1]];
    assert_eq!(deal(2, &twice).err(), Some(none));
}

#[test]
fn shares_are_read_again_and_belong_to_one_member() {
    let keys = keys(3);
    let (committee, shares) = deal(2, &publics(&keys)).unwrap();
    for key in &keys {
        let share = KeyShare::decode(&shares[&key.public()].encode()).unwrap();
        for other in &keys {
            let is_theirs = key.public() == other.public();
            assert_eq!(share.is_of(&committee, &other.public()), is_theirs);
        }
    }
    assert_eq!(format!("{:?}", shares[&keys[0].public()]), "KeyShare(..)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn bytes_from_outside_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let keys = keys(3);
        let all = publics(&keys);
        let round = Round::new(b"network", 1, 2, None, &all, &all).unwrap();
        prop_assert!(Committee::decode(2, &bytes).is_err());
        prop_assert_eq!(round.dealer_of(&bytes), None);
        let offer = Offer { public: bytes.clone(), private: bytes };
        prop_assert!(Playing::new(&round, &keys[0]).unwrap().take(&all[1], &offer).is_err());
    }

    #[test]
    fn a_changed_ciphertext_does_not_open(at in 0_usize..112, bit in 0_u8..8) {
        let keys = keys(2);
        let (committee, shares) = deal(2, &publics(&keys)).unwrap();
        let mut sealed = committee.seal(IDENTITY, &KEY).unwrap();
        prop_assert_eq!(sealed.0.len(), 112);
        sealed.0[at] ^= 1 << bit;
        let partials = shares.iter().map(|(key, share)| (*key, share.give(IDENTITY))).collect();
        prop_assert!(committee.open(IDENTITY, &sealed, &partials).is_err());
    }
}
