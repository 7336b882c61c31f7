//! Members that submit more than their quota, and peers that send what is worth nothing.

use bytes::Bytes;
use ledger::genesis::{Quota, Rules};
use ledger::ids::Tag;
use ledger::statement::SubmittedStatement;
use node::chain::SubmitError;
use node::engine::Application as _;

use crate::FOUR;
use crate::network::Founding;

const QUOTA: Quota = Quota {
    items_per_second: 1,
    burst_items: 4,
};

fn strict() -> Founding {
    Founding::by(
        &FOUR,
        Rules {
            quota: Some(QUOTA),
            ..Rules::default()
        },
    )
}

/// A gossip frame with statements: `[0, [bytes, …]]` in CBOR.
fn frame(statements: &[Vec<u8>]) -> Bytes {
    let mut frame = minicbor::Encoder::new(Vec::new());
    frame.array(2).unwrap().u8(0).unwrap();
    frame.array(1).unwrap();
    frame.array(statements.len() as u64).unwrap();
    for statement in statements {
        frame.bytes(statement).unwrap();
    }
    frame.into_writer().into()
}

fn tagged(founding: &Founding, number: u8) -> SubmittedStatement {
    founding.statement(3, number, &[[number, number + 100]])
}

/// A statement in the payer's name that the payer did not sign.
fn forged(founding: &Founding, number: u8) -> SubmittedStatement {
    let (payer, real) = (&founding.seats[3], tagged(founding, number));
    SubmittedStatement::sign(
        (&payer.name, payer.certificate),
        real.payload().clone(),
        real.items().to_vec(),
        |_| Ok::<_, ()>([7; 64]),
    )
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_over_its_quota_is_refused_and_the_others_are_not() {
    let founding = strict();
    let members: Vec<_> = (0..4).map(|at| founding.start(at)).collect();
    let payer = &members[3].chain;
    // On a machine that stands still the quota fills meanwhile: more than its burst are taken then.
    let refused = (1..=80).find_map(|number| match payer.submit(tagged(&founding, number)) {
        Ok(()) => None,
        refused => Some((number, refused)),
    });
    let (number, Err(SubmitError::OverQuota { wait_ms })) = refused.unwrap() else {
        panic!("an item is over the quota");
    };
    assert!(number > 4 && (1..=1_000).contains(&wait_ms));
    payer
        .submit(tagged(&founding, 1))
        .expect("what is under way already costs nothing");
    members[0]
        .chain
        .submit(founding.statement(0, 9, &[[90, 91]]))
        .expect("another member's quota is its own");
    tokio::time::sleep(std::time::Duration::from_millis(wait_ms)).await;
    payer
        .submit(tagged(&founding, number))
        .expect("the quota fills again");
    let name = &founding.seats[3].name;
    for member in &members {
        member.located(name, Tag([number; 16])).await;
    }
    for member in members {
        member.stop().await;
    }
}

#[test]
fn forged_statements_of_a_member_leave_its_quota_alone() {
    let founding = strict();
    let chain = founding.open(0);
    for number in 1..=20 {
        let forged = chain.submit(forged(&founding, number));
        assert!(matches!(forged, Err(SubmitError::Rejected(_))));
    }
    chain.submit(tagged(&founding, 1)).unwrap();
}

#[test]
fn a_peer_that_sends_forgeries_is_not_listened_to_and_the_others_are() {
    let founding = Founding::of(&FOUR);
    let chain = founding.open(0);
    let mut application = chain.application(std::collections::BTreeMap::new());
    let (honest, liar) = ([1; 32], [2; 32]);
    let forgeries: Vec<_> = (1..=100)
        .flat_map(|number| [forged(&founding, number).encode(), b"no statement".to_vec()])
        .collect();
    application.gossip(liar, frame(&forgeries));
    application.gossip(liar, frame(&forgeries));
    application.gossip(liar, frame(&[tagged(&founding, 1).encode()]));
    assert_eq!(chain.waiting(), 0, "the liar is not listened to");
    application.gossip(honest, frame(&[tagged(&founding, 1).encode()]));
    assert_eq!(chain.waiting(), 1);
}
