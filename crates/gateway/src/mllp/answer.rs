//! Which acknowledgements a sender wants, and what they say.

use interop::hl7v2::{Code, Fault, Message, Original, ack};
use uuid::Uuid;

/// When a sender wants an acknowledgement: table 0155.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    Never,
    OnError,
    OnSuccess,
}

/// What a sender asks for in MSH-15 and MSH-16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wishes {
    commit: When,
    application: When,
}

/// A step in the life of a message, on which a sender is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is durable, or could not be made so.
    Commit,
    /// It is filed, or cannot be.
    Application,
}

impl When {
    fn of(code: &str) -> Self {
        match code {
            "AL" => Self::Always,
            "ER" => Self::OnError,
            "SU" => Self::OnSuccess,
            _ => Self::Never,
        }
    }

    fn wants(self, is_accepted: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::OnError => !is_accepted,
            Self::OnSuccess => is_accepted,
        }
    }
}

impl Wishes {
    /// Without either field, the original mode: one application acknowledgement.
    pub(super) fn of(message: &Message) -> Self {
        let header = message.header();
        let (commit, application) = (header.field(15).text(), header.field(16).text());
        if commit.is_empty() && application.is_empty() {
            return Self {
                commit: When::Never,
                application: When::Always,
            };
        }
        Self {
            commit: When::of(&commit),
            application: When::of(&application),
        }
    }

    /// Whether something is answered before the message is filed: its sender does not wait for that then.
    pub(super) fn is_enhanced(self) -> bool {
        self.commit != When::Never || self.application == When::Never
    }

    pub(super) fn want(self, step: Step, is_accepted: bool) -> bool {
        match step {
            Step::Commit => self.commit.wants(is_accepted),
            Step::Application => self.application.wants(is_accepted),
        }
    }
}

/// An acknowledgement with a control id of its own.
pub(super) fn answer(original: Original<'_>, code: Code, faults: &[Fault], now_ms: u64) -> Vec<u8> {
    let id = Uuid::new_v4().simple().to_string();
    let id = id.get(..16).unwrap_or(&id);
    let now = i64::try_from(now_ms).unwrap_or(i64::MAX);
    ack(original, code, faults, id, now)
}

/// AR if nobody may send such a message, else AE.
pub(super) fn refusal(faults: &[Fault]) -> Code {
    if faults.iter().any(|fault| fault.code.is_rejection()) {
        Code::AR
    } else {
        Code::AE
    }
}

/// Whether an application acknowledgement accepts.
pub(super) fn accepts(answer: &[u8]) -> bool {
    answer.windows(8).any(|part| part == b"\rMSA|AA|")
}
