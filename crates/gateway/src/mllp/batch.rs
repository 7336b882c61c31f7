//! Batch files: each message as if it had come alone, and one answer with the acknowledgements of all.

use interop::hl7v2::{answer_batch, split};
use tokio::time::Instant;

use super::answer::{Step, accepts};
use super::inbox::{Application, Arrival, Reply};
use super::listener::{PATIENCE, still_waits};
use super::{Desk, MllpListener};

impl Desk {
    /// Takes in the messages of a batch, in their order; what its sender hears of them when they are filed.
    pub(super) async fn receive_batch(
        &self,
        listener: &MllpListener,
        address: &str,
        bytes: &[u8],
    ) -> Vec<u8> {
        let arrival = |bytes| Arrival {
            listener,
            address: address.to_owned(),
            bytes,
        };
        let messages = match split(bytes) {
            Ok(messages) => messages,
            Err(fault) => return self.bury(&arrival(bytes), fault).await.said_at_once(),
        };
        let mut replies = Vec::with_capacity(messages.len());
        for message in messages {
            replies.push((message, self.receive(arrival(message)).await));
        }
        let until = Instant::now() + PATIENCE;
        let mut answers = Vec::with_capacity(replies.len());
        for (message, reply) in replies {
            let (commit, wishes) = (reply.commit, reply.wishes);
            let said = self.said(reply.application, message, until).await;
            let is_wanted = wishes.is_none_or(|of| of.want(Step::Application, accepts(&said)));
            answers.extend(if is_wanted { Some(said) } else { commit });
        }
        let now = i64::try_from(self.custody.now()).unwrap_or(i64::MAX);
        answer_batch(bytes, &answers, now)
    }

    /// The application acknowledgement of a message, or that it waits.
    pub(super) async fn said(
        &self,
        application: Application,
        message: &[u8],
        until: Instant,
    ) -> Vec<u8> {
        match application {
            Application::Now(said) => said,
            Application::Later(told) => match tokio::time::timeout_at(until, told).await {
                Ok(Ok(said)) => said,
                _ => still_waits(self, message),
            },
        }
    }
}

impl Reply {
    /// What is said of what cannot be read.
    fn said_at_once(self) -> Vec<u8> {
        match self.application {
            Application::Now(said) => said,
            Application::Later(_) => Vec::new(),
        }
    }
}
