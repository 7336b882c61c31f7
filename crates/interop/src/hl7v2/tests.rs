//! A message of each kind, and what nobody should send.

use super::*;
use crate::fhir::Resource;
use crate::fhir::resource::Checking;
use crate::fhir::transaction;

const ADMIT: &str = "MSH|^~\\&|ADT|NORTH|CARE|NORTH|20260301101500+0100||ADT^A01^ADT_A01|M1|P|2.5.1\r\
EVN|A01|202603011015\r\
PID|1||4711^^^NORTH^MR~990101^^^&2.16.756.5.32&ISO^NI||Brandt^Ilse^Maria^^Dr.^^L||19620417|F|||Quai 3^^Basel^BS^4051^CHE^H||^PRN^PH^^41^61^5550101\r";

#[test]
fn a_message_becomes_a_transaction_that_is_accepted() {
    let message = Message::parse(ADMIT.as_bytes()).unwrap();
    assert_eq!(message.control_id(), "M1");
    assert_eq!(message.kind().trigger, "A01");
    assert_eq!(message.patient_key().len(), 2);
    let mapped = map(&message, &Overrides::default()).unwrap();
    let entry = &mapped.bundle["entry"][0];
    assert_eq!(
        entry["request"]["url"],
        "Patient?identifier=urn:careledger:v2:authority:NORTH%7C4711".replace("%7C", "|")
    );
    assert_eq!(entry["resource"]["name"][0]["family"], "Brandt");
    let bundle = Resource::from_value(mapped.bundle).unwrap();
    let mut number = 0;
    let plan = transaction::plan(bundle, Checking::Strict, &mut || {
        number += 1;
        format!("n{number}")
    });
    assert_eq!(plan.unwrap().entries.len(), 1);
}

#[test]
fn an_acknowledgement_names_place_and_code() {
    let message = Message::parse(ADMIT.as_bytes()).unwrap();
    let place = Place::segment("PID", 1).field(7);
    let fault = Fault::error(place, ErrorCode::DataType, "a date");
    let answer = ack(Original::Read(&message), Code::AE, &[fault], "A1", 0);
    assert_eq!(
        String::from_utf8(answer).unwrap(),
        "MSH|^~\\&|CARE|NORTH|ADT|NORTH|19700101000000+0000||ACK^A01^ACK|A1|P|2.5.1\r\
         MSA|AE|M1\rERR||PID^1^7^1|102^Data type error^HL70357|E||||PID-7: data type error: a date\r"
    );
}

#[test]
fn an_acknowledgement_has_the_form_of_its_messages_version() {
    let fault = |field| {
        let place = Place::segment("PID", 1).field(field);
        Fault::error(place, ErrorCode::DataType, "a date")
    };
    for (version, kind) in [("2.3", "ACK^A01"), ("2.4", "ACK^A01^ACK")] {
        let message = Message::parse(ADMIT.replace("2.5.1", version).as_bytes()).unwrap();
        let faults = [fault(7), fault(8)];
        let answer = ack(Original::Read(&message), Code::AE, &faults, "A1", 0);
        assert_eq!(
            String::from_utf8(answer).unwrap(),
            format!(
                "MSH|^~\\&|CARE|NORTH|ADT|NORTH|19700101000000+0000||{kind}|A1|P|{version}\r\
                 MSA|AE|M1\rERR|PID^1^7^102&Data type error&HL70357~PID^1^8^102&Data type error&HL70357\r"
            )
        );
    }
}
