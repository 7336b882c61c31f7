//! The connection to a receiver of HL7 v2: kept, opened anew when it breaks, and each message has its answer before the next
//! one goes.

use std::time::Duration;

use gateway::SubscriptionConfig;
use gateway::mllp::MllpReceiver;
use serde_json::{Value, json};

use crate::support::{BASE, Received, Receiver, Reply, Site};
use crate::v2_send::{config, patient, put, subscribe, subscribe_to};

/// How long an answer may take, and after which pause the queue sends again.
struct Patience {
    answer_within: Duration,
    pause: Duration,
}

const LONG: Duration = Duration::from_mins(5);
/// What the queue would send again comes too late for any test.
const AT_ONCE: Patience = Patience {
    answer_within: LONG,
    pause: Duration::from_hours(1),
};

fn patient_config(address: &str, patience: &Patience) -> SubscriptionConfig {
    let mut config = config(address, None);
    config.receivers[0].answer_within = patience.answer_within;
    config.pause = patience.pause;
    config.pause_max = patience.pause;
    config
}

/// What came, when all of these patients did: each with its connection.
async fn sent(replies: &[Reply], patience: &Patience, names: &[&str]) -> Vec<Received> {
    let receiver = Receiver::replying(replies);
    let mut config = patient_config(&receiver.listen().await, patience);
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

#[tokio::test(flavor = "multi_thread")]
async fn message_after_message_goes_over_one_connection() {
    let names = ["A", "B", "C", "D"];
    let replies = [Reply::Code("AA"), Reply::AfterAnother];
    let got = sent(&replies, &AT_ONCE, &names).await;
    assert_eq!(
        places(&got, &names),
        [(1, "A"), (1, "B"), (1, "C"), (1, "D")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_up_between_messages_gets_each_once_and_in_order() {
    let names = ["A", "B", "C"];
    let replies = [Reply::LastWord, Reply::LastWord];
    let got = sent(&replies, &AT_ONCE, &names).await;
    assert_eq!(places(&got, &names), [(1, "A"), (2, "B"), (3, "C")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_up_upon_a_message_gets_the_same_one_again_before_the_next() {
    let names = ["A", "B", "C"];
    let replies = [Reply::Code("AA"), Reply::HangUp];
    let got = sent(&replies, &AT_ONCE, &names).await;
    assert_eq!(
        places(&got, &names),
        [(1, "A"), (1, "B"), (2, "B"), (2, "C")]
    );
    assert_eq!(got[1].segments, got[2].segments);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_answer_of_its_own_a_message_is_sent_again_on_another_connection() {
    let patience = Patience {
        answer_within: Duration::from_secs(2),
        pause: Duration::from_millis(10),
    };
    for reply in [Reply::Silence, Reply::Another] {
        let names = ["A", "B"];
        let got = sent(&[reply], &patience, &names).await;
        assert_eq!(got[0].segments, got[1].segments, "{reply:?}");
        assert_ne!(got[0].connection, got[1].connection, "{reply:?}");
        let mut in_order = places(&got, &names);
        in_order.dedup_by_key(|(_, name)| *name);
        let in_order: Vec<&str> = in_order.iter().map(|(_, name)| *name).collect();
        assert_eq!(in_order, names, "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_away_holds_up_nobody_but_itself() {
    let away = Receiver::replying(&[Reply::Silence; 50]);
    let there = Receiver::default();
    let mut config = patient_config(&away.listen().await, &AT_ONCE);
    config.receivers.push(MllpReceiver {
        name: "lab".to_owned(),
        address: there.listen().await,
        ..config.receivers[0].clone()
    });
    let site = Site::telling("clinic", BASE, 5, config);
    let token = site.ehr().await;
    // More than may be on their way at once.
    for _ in 0..40 {
        subscribe(&site, &token, &["Patient"]).await;
    }
    put(&site, &token, &patient("A")).await;
    away.got(1).await;
    subscribe_to(&site, &token, "mllp:lab", &["Patient"]).await;
    put(&site, &token, &patient("B")).await;
    assert!(is_of(&there.got(1).await[0], "B"));
    assert_eq!(away.got(1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_to_a_receiver_that_did_not_answer_another_waits_without_an_attempt() {
    let away = Receiver::replying(&[Reply::Silence; 50]);
    let patience = Patience {
        answer_within: Duration::from_secs(1),
        ..AT_ONCE
    };
    let site = Site::telling(
        "clinic",
        BASE,
        5,
        patient_config(&away.listen().await, &patience),
    );
    let token = site.ehr().await;
    for _ in 0..3 {
        subscribe(&site, &token, &["Patient"]).await;
    }
    put(&site, &token, &patient("A")).await;
    loop {
        let all = site.get(&token, "/Subscription?status=error").await.json();
        if all["total"] == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Each would have been sent as soon as the one before had failed.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(away.got(1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_send_to_one_receiver_take_turns() {
    const PATIENTS: usize = 30;
    let receiver = Receiver::replying(&[Reply::Silence]);
    let patience = Patience {
        answer_within: Duration::from_secs(2),
        pause: Duration::from_millis(10),
    };
    let config = patient_config(&receiver.listen().await, &patience);
    let site = Site::telling("clinic", BASE, 5, config);
    let token = site.ehr().await;
    for _ in 0..2 {
        subscribe(&site, &token, &["Patient"]).await;
    }
    for number in 0..PATIENTS {
        put(&site, &token, &patient(&number.to_string())).await;
    }
    let got = receiver.got(2 * PATIENTS + 1).await;
    // The first letters of a control id are the subscription's.
    let whose: Vec<&str> = got.iter().map(|one| &one.control_id()[..8]).collect();
    let rows = whose.chunk_by(|one, next| one == next);
    let longest = rows.map(<[_]>::len).max().unwrap();
    assert!(longest < PATIENTS, "{whose:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_receiver_that_is_away_is_not_passed_over() {
    let away = Receiver::replying(&[Reply::Silence; 10_000]);
    let patience = Patience {
        answer_within: Duration::from_millis(200),
        pause: Duration::from_millis(10),
    };
    let mut config = patient_config(&away.listen().await, &patience);
    config.attempts_max = u32::MAX;
    let site = Site::telling("clinic", BASE, 5, config);
    let token = site.ehr().await;
    let id = subscribe(&site, &token, &["Patient"]).await;
    // More than are kept of what was delivered.
    let entry = |number: usize| {
        let mut patient = patient("A");
        patient["id"] = format!("p{number}").into();
        json!({ "resource": patient, "request": { "method": "PUT", "url": format!("Patient/p{number}") } })
    };
    let entries: Vec<Value> = (0..1_100).map(entry).collect();
    let bundle = json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries });
    let written = site.ask(&token, "POST", "", &bundle).await;
    assert_eq!(written.status, 200, "{}", written.text);
    loop {
        let path = format!("/Subscription/{id}/$status");
        let status = site.get(&token, &path).await.text;
        if status.contains("\"1100\"") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let so_far = away.got(1).await;
    let later = away.got(so_far.len() + 2).await;
    let (first, last) = (&later[0], later.last().unwrap());
    assert_eq!(first.control_id(), last.control_id());
}
