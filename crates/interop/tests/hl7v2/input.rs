//! Bad input: a fault with segment and field, never a panic, never a value of the message.

use interop::hl7v2::{Around, Code, Limits, Message, Original, Overrides, ack, event, map, split};
use proptest::prelude::*;

use super::sent::ENVELOPE;
use super::{MESSAGES, accepted, rows};

const START: &str =
    "MSH|^~\\&|A|B|C|D|20260301||ADT^A08|1|P|2.5\rPID|1||77^^^N||Secret^Name||19620417|F";

fn refused(text: &str) -> String {
    let fault = match Message::parse(text.as_bytes()) {
        Err(fault) => fault,
        Ok(message) => match map(&message, &Overrides::default()) {
            Err(faults) => faults[0].clone(),
            Ok(_) => panic!("taken: {text}"),
        },
    };
    assert!(!fault.to_string().contains("Secret"));
    format!("{} {}", fault.place, fault.code.number())
}

#[test]
fn each_mistake_is_named_by_segment_and_field() {
    let with = |from: &str, to: &str| START.replace(from, to);
    for (text, expected) in [
        (String::new(), "MSH 100"),
        ("PID|1".to_owned(), "MSH 100"),
        ("MSH".to_owned(), "MSH-1 102"),
        ("MSH|".to_owned(), "MSH-2 102"),
        (with("^~\\&", "^^\\&"), "MSH-2 102"),
        (with("^~\\&", "^"), "MSH-2 102"),
        (with("MSH|", "MSHA"), "MSH-1 102"),
        (with("|2.5", "|2.2"), "MSH-12 203"),
        (with("|2.5", "|3.0"), "MSH-12 203"),
        (with("|2.5", ""), "MSH-12 101"),
        (with("|1|P", "||P"), "MSH-10 101"),
        (with("ADT^A08", ""), "MSH-9 101"),
        (with("ADT^A08", "QRY^A19"), "MSH-9.1 200"),
        (with("ADT^A08", "ADT^A60"), "MSH-9.2 201"),
        (with("|2.5", "|2.5||||||EBCDIC"), "MSH-18 103"),
        (with("19620417", "1962-04-17"), "PID-7 102"),
        (with("19620417", "19620230"), "PID-7 102"),
        (with("77^^^N", ""), "PID-3 101"),
        (with("PID|", "pid|"), "??? 100"),
        (with("PID|", "MSH|"), "MSH 100"),
        (
            with("\rPID|1||77^^^N||Secret^Name||19620417|F", ""),
            "PID 100",
        ),
        (with("ADT^A08", "OMP^O09"), "RXO 100"),
        (
            with("ADT^A08", "OMP^O09") + "\rORC|NW|1\rTQ1|1||BID\rTQ1|2||QID\rRXO|1^X^LN",
            "TQ1 100",
        ),
        (
            with("ADT^A08", "OMP^O09") + "\rORC|NW|1\rRXO||5",
            "RXO-1 101",
        ),
        (
            with("ADT^A08", "OMP^O09") + "\rORC|NW|1\rRXO|1^X^LN|five",
            "RXO-2 102",
        ),
        (format!("{START}\rDG1|1||I20^^I10||2026x"), "DG1-5 102"),
        (format!("{START}\rOBX|1|NM|1^^LN||12,5||||||F"), "OBX-5 102"),
        (format!("{START}\rOBX|1|QQ|1^^LN||12||||||F"), "OBX-2 103"),
        (
            format!("{START}\rOBX|1|ED|1^^LN||^application^pdf^Base64^%%||||||F"),
            "OBX-5 102",
        ),
    ] {
        assert_eq!(refused(&text).replace("[2]", ""), expected, "{text}");
    }
}

#[test]
fn bytes_are_read_in_the_character_set_that_the_message_names() {
    let text = START
        .replace("|2.5", "|2.5||||||8859/1")
        .replace("Secret", "M\u{fc}ller");
    let bytes: Vec<u8> = text
        .chars()
        .map(|letter| u8::try_from(u32::from(letter)).unwrap())
        .collect();
    let mapped = map(&Message::parse(&bytes).unwrap(), &Overrides::default()).unwrap();
    assert_eq!(
        mapped.bundle["entry"][0]["resource"]["name"][0]["family"],
        "M\u{fc}ller"
    );
    let at = bytes
        .windows(6)
        .position(|window| window == b"8859/1")
        .unwrap();
    let unnamed = Message::parse(&[&bytes[..at], &bytes[at + 6..]].concat()).unwrap_err();
    assert_eq!(
        (unnamed.place.to_string(), unnamed.code.number()),
        ("MSH-18".to_owned(), 102)
    );
}

#[test]
fn what_is_too_large_is_refused() {
    let limits = Limits {
        segment_bytes_max: 100,
        ..Limits::default()
    };
    let long = format!("{START}\rOBX|1|TX|1||{}", "x".repeat(200));
    let fault = Message::parse_within(long.as_bytes(), &limits).unwrap_err();
    assert_eq!(
        (fault.place.to_string(), fault.code.number()),
        ("OBX".to_owned(), 104)
    );
    let wide = format!("{START}\rOBX{}", "|".repeat(600));
    assert_eq!(
        Message::parse(wide.as_bytes()).unwrap_err().code.number(),
        104
    );
}

#[test]
fn other_separators_and_escapes_are_read() {
    let text =
        "MSH#*:!%#A#B#C#D#20260301##ADT*A08#1#P#2.5\rPID#1##77***N##Sm!S!ith!F!*Jo!X4A!##19620417";
    let mapped = map(
        &Message::parse(text.as_bytes()).unwrap(),
        &Overrides::default(),
    )
    .unwrap();
    assert_eq!(
        mapped.bundle["entry"][0]["resource"]["name"][0]["family"],
        "Sm*ith#"
    );
    assert_eq!(
        mapped.bundle["entry"][0]["resource"]["name"][0]["given"][0],
        "JoJ"
    );
}

#[test]
fn a_batch_is_split_and_a_cut_one_is_refused() {
    let one = format!("{START}\r");
    let batch = format!("FHS|^~\\&\rBHS|^~\\&\r{one}{one}BTS|2\rFTS|1\r");
    let found = split(batch.as_bytes()).unwrap();
    assert_eq!(found, [one.as_bytes(), one.as_bytes()]);
    assert_eq!(split(format!("{one}{one}").as_bytes()).unwrap().len(), 2);
    for (from, to, place) in [
        ("BTS|2", "BTS|3", "BTS-1"),
        ("BTS|2\rFTS|1\r", "", "BTS"),
        ("FTS|1\r", "", "FTS"),
        ("BHS|^~\\&\r", "", "BTS"),
        ("FHS|^~\\&\r", "XYZ|1\r", "XYZ"),
    ] {
        assert_eq!(
            split(batch.replace(from, to).as_bytes())
                .unwrap_err()
                .place
                .to_string(),
            place,
            "{from}"
        );
    }
}

#[test]
fn broken_bytes_are_acknowledged_with_what_can_be_found() {
    let cut = b"MSH|^~\\&|A|B|C|D|2026||ADT^A08|77|P|9";
    let fault = Message::parse(cut).unwrap_err();
    let answer = ack(Original::Broken(cut), Code::AR, &[fault], "N1", 0);
    // It repeats the version that it refuses.
    let answer = String::from_utf8(answer)
        .unwrap()
        .replacen("|P|9\r", "|P|2.5\r", 1);
    let answer = Message::parse(answer.as_bytes()).unwrap();
    assert_eq!(answer.kind().message_type, "ACK");
    let segments: Vec<String> = answer
        .segments()
        .map(|segment| segment.raw().to_owned())
        .collect();
    assert_eq!(segments[1], "MSA|AR|77");
    assert!(segments[2].starts_with("ERR||MSH^1^12^1|203^"));
}

/// A message of ours with some of its bytes changed.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (
        any::<prop::sample::Index>(),
        prop::sample::select(b"|^~&\\\r\"0 A\x80".to_vec()),
    );
    (
        prop::sample::select(MESSAGES.to_vec()),
        prop::collection::vec(change, 1..6),
    )
        .prop_map(|(name, changes)| {
            let mut bytes = rows::message(name);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        })
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _answer = ack(Original::Broken(&bytes), Code::AR, &[], "1", 0);
        let _batch = split(&bytes);
        if let Ok(message) = Message::parse(&bytes) {
            let _mapped = map(&message, &Overrides::default());
        }
    }

    #[test]
    fn what_is_mapped_is_a_transaction_that_is_accepted(bytes in mutated()) {
        if let Ok(message) = Message::parse(&bytes) {
            prop_assert_eq!(message.bytes(), &bytes[..]);
            let _answer = ack(Original::Read(&message), Code::AA, &[], "1", 0);
            if let Ok(mapped) = map(&message, &rows::overrides()) {
                let whole = mapped.with_provenance("Binary/original", 0);
                prop_assert!(accepted(whole.clone()).is_ok(), "{:?} {}", accepted(whole), String::from_utf8_lossy(&bytes));
            }
        }
    }

    #[test]
    fn what_is_sent_of_a_message_that_was_mapped_can_be_read(bytes in mutated()) {
        let mapped = Message::parse(&bytes).map(|message| map(&message, &rows::overrides()));
        if let Ok(Ok(mapped)) = mapped {
            for entry in mapped.bundle["entry"].as_array().unwrap() {
                let sent = event(&ENVELOPE, &entry["resource"], &Around::default());
                let is_read = sent.is_none_or(|sent| Message::parse(&sent).is_ok());
                prop_assert!(is_read, "{}", entry["resource"]);
            }
        }
    }
}
