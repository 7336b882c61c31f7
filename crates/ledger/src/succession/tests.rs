use ed25519_zebra::{SigningKey, VerificationKey};

use super::*;
use crate::block::Block;
use crate::finality::Vote;
use crate::genesis::{Member, PublicKey, Rules};
use crate::ids::{BlockTime, Height};
use crate::state::{MemoryState, StateRoot};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> PublicKey {
    PublicKey(VerificationKey::from(&key(seed)).into())
}

fn set(seeds: &[u8]) -> ValidatorSet {
    let mut keys: Vec<_> = seeds.iter().map(|seed| public(*seed)).collect();
    keys.sort_unstable();
    ValidatorSet { keys }
}

/// Validators 1 to 4; an epoch has ten blocks.
fn genesis() -> Genesis {
    let member = |(name, seed): (&str, u8)| Member {
        name: name.parse().unwrap(),
        authority: vec![],
        node: vec![],
        validator: Some(public(seed)),
        cosigner: None,
    };
    Genesis {
        name: "test".to_owned(),
        time: BlockTime(0),
        members: [("a", 1), ("b", 2), ("c", 3), ("d", 4)]
            .map(member)
            .to_vec(),
        rules: Some(Rules {
            epoch_blocks: 10,
            ..Rules::default()
        }),
    }
}

/// A header at `height` that names `this` and `next`, signed by the validators with these seeds.
fn final_header(
    height: u64,
    (this, next): (&[u8], &[u8]),
    state_root: StateRoot,
    signers: &[u8],
) -> (Header, FinalityCertificate) {
    let genesis = genesis();
    let header = Header {
        epoch: genesis.rules().epoch_of(Height(height)),
        height: Height(height),
        validators: set(this).digest(&set(next)),
        state_root,
        ..Block::genesis(&genesis).header
    };
    let mut finality = FinalityCertificate {
        epoch: header.epoch.0,
        view: 3,
        parent_view: 2,
        block: header.digest(),
        votes: vec![],
    };
    let message = finality.signed_bytes(header.network);
    let validators = set(this);
    finality.votes = signers
        .iter()
        .map(|seed| {
            let at = validators.keys.binary_search(&public(*seed)).unwrap();
            Vote {
                validator: u16::try_from(at).unwrap(),
                signature: key(*seed).sign(&message).to_bytes().into(),
            }
        })
        .collect();
    (header, finality)
}

fn transition(height: u64, this: &[u8], next: &[u8], signers: &[u8]) -> Transition {
    let (header, finality) = final_header(height, (this, next), StateRoot::EMPTY, signers);
    Transition {
        header,
        finality,
        next: set(next),
    }
}

fn verify(transitions: Vec<Transition>) -> Result<Validators, SuccessionError> {
    let succession = Succession {
        transitions,
        registry: None,
    };
    let read = Succession::decode(&succession.encode()).unwrap();
    read.verify(&genesis())
}

#[test]
fn p3_validators_follow_each_other_from_the_genesis() {
    let validators = verify(vec![
        transition(19, &[1, 2, 3, 4], &[2, 3, 4, 5], &[1, 2, 3]),
        transition(49, &[2, 3, 4, 5], &[3, 4, 5, 6, 7], &[3, 4, 5]),
    ]);
    let validators = validators.unwrap();
    assert_eq!(*validators.of(Epoch(1)), set(&[1, 2, 3, 4]));
    assert_eq!(*validators.of(Epoch(2)), set(&[2, 3, 4, 5]));
    assert_eq!(*validators.of(Epoch(4)), set(&[2, 3, 4, 5]));
    assert_eq!(*validators.of(Epoch(99)), set(&[3, 4, 5, 6, 7]));
}

#[test]
fn p3_a_succession_that_a_quorum_did_not_sign_is_refused() {
    let old = &[1, 2, 3, 4];
    let too_few = verify(vec![transition(19, old, &[5, 6, 7, 8], &[1, 2])]);
    assert_eq!(too_few, Err(FinalityError::NoQuorum.into()));
    let mut named = transition(19, old, old, &[1, 2, 3]);
    named.next = set(&[5, 6, 7, 8]);
    assert_eq!(verify(vec![named]), Err(SuccessionError::OtherValidators));
    let within = verify(vec![transition(18, old, &[2, 3, 4, 5], &[1, 2, 3])]);
    assert_eq!(within, Err(SuccessionError::NotAtTheEnd));
    let by_the_old = verify(vec![
        transition(19, old, &[2, 3, 4, 5], &[1, 2, 3]),
        transition(29, old, &[6, 7, 8, 9], &[1, 2, 3]),
    ]);
    assert!(matches!(by_the_old, Err(SuccessionError::NotFinal(_))));
    let mut of_another_epoch = transition(19, old, &[2, 3, 4, 5], &[1, 2, 3]);
    of_another_epoch.finality.epoch = 0;
    assert_eq!(
        verify(vec![of_another_epoch]),
        Err(FinalityError::OtherEpoch.into())
    );
}

#[test]
fn a_registry_is_the_one_whose_digest_the_state_holds() {
    let bytes = b"the registry".to_vec();
    let mut state = MemoryState::default();
    let place = StateKey::of_registry(3);
    let root = state
        .insert([(place, Digest::of(&bytes).0.to_vec())])
        .unwrap();
    let (_, proof) = state.prove(place).unwrap();
    let newest = state.prove_absent(StateKey::of_registry(4)).unwrap();
    let all: &[u8] = &[1, 2, 3, 4];
    let (header, finality) = final_header(25, (all, all), root, &[2, 3, 4]);
    let check = |registry: Vec<u8>, revision| {
        let succession = Succession {
            transitions: vec![],
            registry: Some(ProvenRegistry {
                header: header.clone(),
                finality: finality.clone(),
                revision,
                registry,
                proof: proof.clone(),
                newest: newest.clone(),
            }),
        };
        succession.verify(&genesis()).map(|_| ())
    };
    assert_eq!(check(bytes.clone(), 3), Ok(()));
    let refused = Err(SuccessionError::Registry(StateError::NotShownPresent));
    assert_eq!(check(b"another registry".to_vec(), 3), refused);
    assert_eq!(check(bytes, 2), refused);
}

#[test]
fn p3_a_registry_is_shown_to_be_the_newest_at_its_header() {
    let bytes = |revision: u64| format!("registry {revision}").into_bytes();
    let mut state = MemoryState::default();
    let entry = |revision| {
        let digest = Digest::of(&bytes(revision));
        (StateKey::of_registry(revision), digest.0.to_vec())
    };
    let root = state.insert([entry(3), entry(4)]).unwrap();
    let all: &[u8] = &[1, 2, 3, 4];
    let (header, finality) = final_header(25, (all, all), root, &[2, 3, 4]);
    let absent = |revision| state.prove_absent(StateKey::of_registry(revision));
    assert!(absent(4).is_err(), "nobody can show that it is not there");
    let check = |revision, newest: StateProof| {
        let succession = Succession {
            transitions: vec![],
            registry: Some(ProvenRegistry {
                header: header.clone(),
                finality: finality.clone(),
                revision,
                registry: bytes(revision),
                proof: state.prove(StateKey::of_registry(revision)).unwrap().1,
                newest,
            }),
        };
        succession.verify(&genesis()).map(|_| ())
    };
    assert_eq!(check(4, absent(5).unwrap()), Ok(()));
    let refused = Err(SuccessionError::NotTheNewest(StateError::NotShownAbsent));
    assert_eq!(check(3, absent(5).unwrap()), refused);
}
