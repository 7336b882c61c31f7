//! Who validates, from when on, and with which keys.

use super::*;

#[test]
fn g3_validators_change_with_the_next_epoch() {
    let mut story = Story::begin();
    story
        .says("payer", Command::RotateValidator(keys(9)))
        .unwrap();
    assert_eq!(story.validators(1), [1, 2, 3], "keys alone do not validate");
    story.decides(Action::AddValidator(name("payer"))).unwrap();
    assert_eq!(
        (story.validators(0), story.validators(1)),
        (vec![1, 2, 3], vec![1, 2, 3, 9])
    );
    story.height = Height(12);
    story.decides(Action::Remove(name("clinic"))).unwrap();
    assert_eq!(
        (story.validators(1), story.validators(2)),
        (vec![1, 2, 3, 9], vec![2, 3, 9])
    );
    assert_eq!(story.validators(7), [2, 3, 9]);
    let digest = |height| story.registry.validators_digest(Height(height));
    let set = |epoch| story.registry.validators(Epoch(epoch)).clone();
    assert_eq!(digest(19), set(1).digest(&set(2)));
    assert_eq!(digest(20), set(2).digest(&set(2)));
}

#[test]
fn g3_somebody_always_validates() {
    let mut story = Story::with([member("clinic", false).0]);
    for action in [
        Action::RemoveValidator(name("clinic")),
        Action::Suspend(name("clinic")),
        Action::Remove(name("clinic")),
    ] {
        let alone = story.says("clinic", Command::Propose(action));
        assert_eq!(alone, Err(Refusal::NoValidatorLeft));
    }
}

#[test]
fn g4_a_key_that_was_given_up_never_votes_again() {
    let mut story = Story::begin();
    story
        .says("clinic", Command::RotateValidator(keys(7)))
        .unwrap();
    assert_eq!(story.validators(1), [2, 3, 7]);
    for byte in [1, 7, 2] {
        let back = story.says("clinic", Command::RotateValidator(keys(byte)));
        assert_eq!(back, Err(Refusal::ValidatorKeyUsed));
    }
    let short = ValidatorKeys {
        cosigner: Some(MlDsa44Key::from_bytes(vec![8; 1_311])),
        ..keys(8)
    };
    let short = story.says("clinic", Command::RotateValidator(short));
    assert_eq!(short, Err(Refusal::NotKeys));
    let keyless = story.says(
        "payer",
        Command::Propose(Action::AddValidator(name("payer"))),
    );
    assert_eq!(keyless, Err(Refusal::NoValidator));
    story.decides(Action::Suspend(name("hospital"))).unwrap();
    story
        .says(
            "payer",
            Command::Propose(Action::Reinstate(name("hospital"))),
        )
        .unwrap();
    let number = story.registry.contents().proposed;
    story.votes("clinic", number, true).unwrap();
    story.votes("laboratory", number, true).unwrap();
    assert_eq!(story.standing("hospital"), Standing::Active);
    assert_eq!(
        story.validators(1),
        [3, 7],
        "who comes back validates by another vote"
    );
    let back = Action::AddValidator(name("hospital"));
    let with_the_old = story.says("hospital", Command::Propose(back.clone()));
    assert_eq!(with_the_old, Err(Refusal::ValidatorKeyUsed));
    story
        .says("hospital", Command::RotateValidator(keys(8)))
        .unwrap();
    story.decides(back).unwrap();
    assert_eq!(story.validators(1), [3, 7, 8]);
}
