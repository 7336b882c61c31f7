//! To whom messages are sent, and what they say of them.

use std::time::Duration;

use interop::hl7v2::{Message, Orders, Sender};

use super::tls::MllpClientTls;

/// Where messages may be sent.
#[derive(Debug, Clone)]
pub struct MllpReceiver {
    /// By which subscriptions name it: `mllp:NAME`.
    pub name: String,
    /// Host and port.
    pub address: String,
    /// As whom messages are sent: MSH-3 and MSH-4.
    pub from: (String, String),
    /// To whom: MSH-5 and MSH-6.
    pub to: (String, String),
    /// As what orders are sent.
    pub orders: Orders,
    /// As whom it sends messages itself: what came from these is not sent to it.
    pub senders: Vec<Sender>,
    /// A private connection.
    pub tls: Option<MllpClientTls>,
    /// How long it may take to acknowledge a message.
    pub answer_within: Duration,
}

/// What a receiver said of a message: table 0008.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acknowledged {
    /// AA, CA.
    Accepted,
    /// AE, CE: it will not take this content.
    Refused,
    /// AR, CR: not now, or not from here.
    Rejected,
}

/// What an acknowledgement says of the message with this control id; others are passed over.
pub(super) fn acknowledged(frame: &[u8], control_id: &str) -> Option<Acknowledged> {
    let answer = Message::parse(frame).ok()?;
    let mut segments = answer.segments();
    let msa = segments.find(|segment| segment.name() == "MSA")?;
    if msa.field(2).text() != control_id {
        return None;
    }
    match msa.field(1).text().as_str() {
        "AA" | "CA" => Some(Acknowledged::Accepted),
        "AE" | "CE" => Some(Acknowledged::Refused),
        _ => Some(Acknowledged::Rejected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_is_of_the_message_that_it_names() {
        let of = |code: &str| format!("MSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.5.1\rMSA|{code}|C1\r");
        for (code, said) in [
            ("AA", Acknowledged::Accepted),
            ("CE", Acknowledged::Refused),
            ("AR", Acknowledged::Rejected),
        ] {
            assert_eq!(acknowledged(of(code).as_bytes(), "C1"), Some(said));
        }
        assert_eq!(acknowledged(of("AA").as_bytes(), "C2"), None);
    }
}
