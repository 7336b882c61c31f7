//! The registry over the real engine: what members decide holds on all nodes from the next block on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use contracts::governance::{Action, Command};
use contracts::membership::ValidatorKeys;
use contracts::trust::trust;
use ledger::genesis::PublicKey;
use ledger::ids::Tag;
use node::engine::Application as _;

use super::*;
use crate::network::{Running, public};

/// The first three of four members approve.
async fn decide(founding: &Founding, members: &[Running], action: Action) {
    let before = members[0].chain.registry().revision();
    let network = founding.genesis.network();
    let propose = founding.seats[0].command(network, &Command::Propose(action));
    members[0].chain.submit(propose).unwrap();
    members[1].revised(before + 1).await;
    let proposal = members[1].chain.registry().proposals()[0].number;
    let vote = Command::Vote {
        proposal,
        approves: true,
    };
    for at in [1, 2] {
        let revision = members[at].chain.registry().revision();
        let statement = founding.seats[at].command(network, &vote);
        members[at].chain.submit(statement).unwrap();
        for member in members {
            member.revised(revision + 1).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_a_suspended_members_statements_are_refused_from_the_next_block() {
    let founding = Founding::of(&FOUR);
    let members: Vec<_> = (0..4).map(|at| founding.start(at)).collect();
    let payer = founding.seats[3].name.clone();
    let before = founding.statement(3, 1, &[[1, 2]]);
    members[3].chain.submit(before).unwrap();
    let position = members[0].located(&payer, Tag([1; 16])).await;
    decide(&founding, &members, Action::Suspend(payer.clone())).await;
    for member in &members {
        let after = founding.statement(3, 2, &[[3, 4]]);
        let refused = member.chain.submit(after).unwrap_err();
        let reason = Rejection::MemberSuspended(payer.clone());
        assert!(matches!(refused, SubmitError::Rejected(rejection) if rejection == reason));
    }
    let receipt = certified_receipt(&members[0], position, &[]).await;
    assert!(
        receipt.verify(&founding.trust()).is_ok(),
        "what it said before stays provable"
    );
    decide(&founding, &members, Action::Reinstate(payer.clone())).await;
    let again = founding.statement(3, 3, &[[5, 6]]);
    members[0].chain.submit(again).unwrap();
    members[3].located(&payer, Tag([5; 16])).await;
    for member in members {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_a_certificate_is_renewed_without_an_outage_and_proven_from_the_genesis() {
    let mut founding = Founding::of(&FOUR);
    let members: Vec<_> = (0..4).map(|at| founding.start(at)).collect();
    let (certificate, renewed) = founding.seats[0].renewed();
    let old = founding.seats[0].certificate;
    let unknown = founding.genesis.network();
    let command = renewed.command(unknown, &Command::RegisterCertificate(certificate));
    members[2].chain.submit(command.clone()).unwrap();
    for member in &members {
        member.revised(1).await;
    }
    members[2]
        .chain
        .submit(command)
        .expect("the same command again is success");
    members[1]
        .chain
        .submit(founding.statement(0, 1, &[[1, 2]]))
        .unwrap();
    founding.seats[0] = renewed;
    members[1]
        .chain
        .submit(founding.statement(0, 2, &[[3, 4]]))
        .unwrap();
    let clinic = founding.seats[0].name.clone();
    members[3].located(&clinic, Tag([1; 16])).await;
    let position = members[3].located(&clinic, Tag([3; 16])).await;
    let receipt = certified_receipt(&members[3], position, &[]).await;
    assert!(
        receipt.verify(&founding.trust()).is_err(),
        "the genesis does not know it"
    );
    let genesis = &founding.genesis;
    let followed = trust(genesis, receipt.succession.as_ref()).unwrap();
    assert_eq!(receipt.verify(&followed).unwrap().member, clinic);
    let revoke = founding.seats[0].command(genesis.network(), &Command::RevokeCertificate(old));
    members[0].chain.submit(revoke).unwrap();
    for member in &members {
        member.revised(2).await;
        let registry = member.chain.registry();
        let key = registry.key_at(&clinic, old, member.chain.tip().time);
        assert_eq!(key, Err(Rejection::CertificateRevoked(clinic.clone())));
    }
    // The clinic's validator goes on with the revoked certificate: its receipts are nobody's.
    let hospital = founding.seats[1].name.clone();
    members[1]
        .chain
        .submit(founding.statement(1, 3, &[[5, 6]]))
        .unwrap();
    let position = members[1].located(&hospital, Tag([5; 16])).await;
    let cosigned = async || {
        until("three have cosigned it", async || {
            let found = members[1].chain.cosigned(position.statement).unwrap();
            found.filter(|found| found.signatures.len() >= 3)
        })
        .await
    };
    cosigned().await;
    // The clinic's would have come by now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let signatures = cosigned().await.signatures;
    let mut certificates = signatures.iter().map(|one| one.certificate);
    assert!(!certificates.any(|one| one == old));
    for member in members {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_a_network_whose_certificates_have_all_expired_recovers() {
    let mut founding = Founding::until(&FOUR, 2_020);
    let members: Vec<_> = (0..4).map(|at| founding.start(at)).collect();
    let clinic = founding.seats[0].name.clone();
    let unheard = members[0].chain.submit(founding.statement(0, 1, &[[1, 2]]));
    let expired = Rejection::CertificateExpired(clinic.clone());
    assert!(
        matches!(unheard.unwrap_err(), SubmitError::Rejected(rejection) if rejection == expired)
    );
    let network = founding.genesis.network();
    for at in 0..4 {
        let (certificate, renewed) = founding.seats[at].renewed();
        let command = renewed.command(network, &Command::RegisterCertificate(certificate));
        members[(at + 1) % 4].chain.submit(command).unwrap();
        founding.seats[at] = renewed;
    }
    for member in &members {
        let mut tips = member.chain.subscribe();
        let all_speak = || {
            let (registry, time) = (member.chain.registry(), member.chain.tip().time);
            let mut seats = founding.seats.iter();
            seats.all(|seat| registry.key_at(&seat.name, seat.certificate, time).is_ok())
        };
        while !all_speak() {
            tips.changed().await.unwrap();
        }
    }
    members[3]
        .chain
        .submit(founding.statement(0, 2, &[[1, 2]]))
        .unwrap();
    let position = members[1].located(&clinic, Tag([1; 16])).await;
    let receipt = certified_receipt(&members[1], position, &[]).await;
    let trusted = trust(&founding.genesis, receipt.succession.as_ref()).unwrap();
    assert_eq!(receipt.verify(&trusted).unwrap().member, clinic);
    for member in members {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_connects_with_its_two_newest_keys_and_no_older_one() {
    let founding = Founding::of(&FOUR);
    let members: Vec<_> = (0..4).map(|at| founding.start(at)).collect();
    let application = members[1].chain.application(BTreeMap::new());
    let founders = application.committee(0).unwrap();
    let taken: Vec<_> = (201..=203).map(|n| public(&[n; 32])).collect();
    for (revision, vote) in (1..).zip(&taken) {
        let keys = ValidatorKeys {
            vote: *vote,
            cosigner: None,
        };
        let command = Command::RotateValidator(keys);
        let command = founding.seats[0].command(founding.genesis.network(), &command);
        members[0].chain.submit(command).unwrap();
        members[1].revised(revision).await;
    }
    let committee = application.committee(0).unwrap();
    assert_eq!(
        committee.validators, founders.validators,
        "until the epoch ends"
    );
    let heard = committee
        .followers
        .iter()
        .map(|one| PublicKey(one.public_key));
    let newest: BTreeSet<PublicKey> = taken[1..].iter().copied().collect();
    assert_eq!(heard.collect::<BTreeSet<_>>(), newest);
    for member in members {
        member.stop().await;
    }
}
