//! The connection to a receiver of HL7 v2: kept, opened anew when it breaks, and each message has its answer before the next
//! one goes.

use std::time::Duration;

use crate::support::{BASE, Received, Receiver, Reply, Site};
use crate::v2_send::{config, patient, put, subscribe};

/// What came, when all of these patients did: each with its connection.
async fn sent(replies: &[Reply], answer_within: Duration, names: &[&str]) -> Vec<Received> {
    let receiver = Receiver::replying(replies);
    let mut config = config(&receiver.listen().await, None);
    config.receivers[0].answer_within = answer_within;
    config.attempts_max = 1_000;
    let site = Site::telling("clinic", BASE, 5, config);
    let token = site.ehr().await;
    subscribe(&site, &token, &["Patient"]).await;
    for name in names {
        put(&site, &token, &patient(name)).await;
    }
    let mut count = names.len();
    loop {
        let got = receiver.got(count).await;
        if is_of(got.last().unwrap(), names.last().unwrap()) {
            let dead = site.get(&token, "/Subscription/$dead-letters").await.json();
            assert!(dead["parameter"].is_null(), "{dead}");
            return got;
        }
        count = got.len() + 1;
    }
}

fn is_of(received: &Received, name: &str) -> bool {
    received.segment("PID").contains(&format!("Brandt^{name}|"))
}

/// Who came over which connection.
fn places(got: &[Received], names: &[&'static str]) -> Vec<(usize, &'static str)> {
    let name = |one: &Received| names.iter().copied().find(|name| is_of(one, name)).unwrap();
    got.iter().map(|one| (one.connection, name(one))).collect()
}

const LONG: Duration = Duration::from_mins(5);

#[tokio::test(flavor = "multi_thread")]
async fn message_after_message_goes_over_one_connection() {
    let names = ["A", "B", "C", "D"];
    let replies = [Reply::Code("AA"), Reply::AfterAnother];
    let got = sent(&replies, LONG, &names).await;
    assert_eq!(
        places(&got, &names),
        [(1, "A"), (1, "B"), (1, "C"), (1, "D")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_up_between_messages_gets_each_once_and_in_order() {
    let names = ["A", "B", "C"];
    let replies = [Reply::LastWord, Reply::LastWord];
    let got = sent(&replies, LONG, &names).await;
    assert_eq!(places(&got, &names), [(1, "A"), (2, "B"), (3, "C")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_up_upon_a_message_gets_the_same_one_again_before_the_next() {
    let names = ["A", "B", "C"];
    let replies = [Reply::Code("AA"), Reply::HangUp];
    let got = sent(&replies, LONG, &names).await;
    assert_eq!(
        places(&got, &names),
        [(1, "A"), (1, "B"), (2, "B"), (2, "C")]
    );
    assert_eq!(got[1].segments, got[2].segments);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_answer_of_its_own_a_message_is_sent_again_on_another_connection() {
    for reply in [Reply::Silence, Reply::Another] {
        let names = ["A", "B"];
        let got = sent(&[reply], Duration::from_secs(2), &names).await;
        assert_eq!(got[0].segments, got[1].segments, "{reply:?}");
        assert_ne!(got[0].connection, got[1].connection, "{reply:?}");
        let mut in_order = places(&got, &names);
        in_order.dedup_by_key(|(_, name)| *name);
        let in_order: Vec<&str> = in_order.iter().map(|(_, name)| *name).collect();
        assert_eq!(in_order, names, "{reply:?}");
    }
}
