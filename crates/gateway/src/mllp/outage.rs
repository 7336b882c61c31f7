//! How long a receiver that does not answer is left alone, by all who send to it.

use std::time::Duration;

use tokio::time::Instant;

use crate::http::backoff;

/// What is known of a receiver since it last acknowledged anything.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// The control id of the message that failed last.
    last: String,
    /// Failures; one message that fails again and again counts once, as it may be the message.
    failures: u32,
    until: Option<Instant>,
}

impl Outage {
    /// Whether nobody is to try yet.
    pub(super) fn is_on(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Notes that a message could not be sent, or was not answered. The pause doubles with each other message that fails.
    pub(super) fn failed(&mut self, control_id: &str, now: Instant, pauses: (Duration, Duration)) {
        if self.last != control_id {
            control_id.clone_into(&mut self.last);
            self.failures = self.failures.saturating_add(1);
        }
        let (first, longest) = pauses;
        self.until = now.checked_add(backoff(first, longest, self.failures));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(8);
    const LONGEST: Duration = Duration::from_secs(1_000);

    /// Whether nobody is to try for this long, and everybody may after twice as long: pauses are spread by half.
    fn lasts(outage: &Outage, since: Instant, pause: Duration) -> bool {
        outage.is_on(since + pause / 2 - Duration::from_millis(1)) && !outage.is_on(since + pause)
    }

    #[test]
    fn a_pause_grows_with_each_message_that_fails_but_not_with_one_alone() {
        let now = Instant::now();
        let mut outage = Outage::default();
        assert!(!outage.is_on(now));
        for _ in 0..5 {
            outage.failed("A1", now, (FIRST, LONGEST));
            assert!(lasts(&outage, now, FIRST));
        }
        outage.failed("B1", now, (FIRST, LONGEST));
        assert!(lasts(&outage, now, FIRST * 2));
        outage.failed("A1", now, (FIRST, LONGEST));
        assert!(lasts(&outage, now, FIRST * 4));
        outage.failed("B1", now, (FIRST, FIRST));
        assert!(lasts(&outage, now, FIRST));
    }
}
