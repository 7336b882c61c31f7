//! Which message may be filed next: those of one patient in their order, others beside each other.

use std::collections::{BTreeMap, BTreeSet};

use interop::hl7v2::PatientKey;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The messages that wait to be filed, by their numbers.
#[derive(Default)]
pub(super) struct Line(BTreeMap<u64, Waiting>);

/// A message that waits.
pub(super) struct Waiting {
    /// What it shares with messages that must not overtake it.
    pub(super) keys: Vec<PatientKey>,
    /// When it may be tried again.
    pub(super) due: Option<Instant>,
    pub(super) is_under_way: bool,
    /// Whether it may have been filed already: the node stopped, or something failed, in between.
    pub(super) is_unsure: bool,
    /// Who wants to hear what becomes of it.
    pub(super) listeners: Vec<oneshot::Sender<Vec<u8>>>,
}

impl Waiting {
    pub(super) fn new(keys: Vec<PatientKey>) -> Self {
        Self {
            keys,
            due: None,
            is_under_way: false,
            is_unsure: false,
            listeners: Vec::new(),
        }
    }
}

impl Line {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn add(&mut self, number: u64, waiting: Waiting) {
        self.0.insert(number, waiting);
    }

    /// Hears what becomes of a message that waits.
    pub(super) fn hear(&mut self, number: u64) -> Option<oneshot::Receiver<Vec<u8>>> {
        let waiting = self.0.get_mut(&number)?;
        let (tell, heard) = oneshot::channel();
        waiting.listeners.push(tell);
        Some(heard)
    }

    /// The messages that may be filed now, `limit` at most, each with whether it may have been filed before; they are
    /// under way from here on.
    pub(super) fn take(&mut self, now: Instant, limit: usize) -> Vec<(u64, bool)> {
        let mut taken = Vec::new();
        let mut held_up: BTreeSet<PatientKey> = BTreeSet::new();
        for (number, waiting) in &mut self.0 {
            if taken.len() == limit {
                break;
            }
            let is_free = waiting.keys.iter().all(|key| !held_up.contains(key));
            let is_due = waiting.due.is_none_or(|due| due <= now);
            if is_free && is_due && !waiting.is_under_way {
                waiting.is_under_way = true;
                taken.push((*number, waiting.is_unsure));
            }
            held_up.extend(waiting.keys.iter().cloned());
        }
        taken
    }

    /// When the next message comes due. One that is due and held up goes when what holds it up is done.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let waiting = self.0.values().filter(|one| !one.is_under_way);
        let due = waiting.filter_map(|one| one.due);
        due.filter(|due| *due > now).min()
    }

    /// Puts a message off.
    pub(super) fn later(&mut self, number: u64, due: Instant) {
        if let Some(waiting) = self.0.get_mut(&number) {
            waiting.is_under_way = false;
            waiting.is_unsure = true;
            waiting.due = Some(due);
        }
    }

    /// Takes a message out, and tells who listens.
    pub(super) fn done(&mut self, number: u64, answer: &[u8]) {
        let done = self.0.remove(&number);
        for listener in done.into_iter().flat_map(|done| done.listeners) {
            // Its connection may be gone.
            let _told = listener.send(answer.to_vec());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use interop::hl7v2::Message;

    use super::*;

    fn of(identifier: &str) -> Waiting {
        let text = format!("MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5\rPID|||{identifier}^^^N\r");
        Waiting::new(Message::parse(text.as_bytes()).unwrap().patient_key())
    }

    fn numbers(taken: Vec<(u64, bool)>) -> Vec<u64> {
        taken.into_iter().map(|(number, _)| number).collect()
    }

    #[tokio::test]
    async fn messages_of_a_patient_are_in_order_and_others_go_on() {
        let mut line = Line::default();
        for (number, patient) in [(1, "a"), (2, "a"), (3, "b"), (4, "a"), (5, "b")] {
            line.add(number, of(patient));
        }
        let now = Instant::now();
        assert_eq!(numbers(line.take(now, 8)), [1, 3]);
        assert_eq!(numbers(line.take(now, 8)), [0; 0]);
        let later = now + Duration::from_secs(1);
        line.later(1, later);
        line.done(3, b"");
        assert_eq!(
            numbers(line.take(now, 8)),
            [5],
            "a put-off one holds up its patient's"
        );
        assert_eq!(line.next_due(now), Some(later));
        assert_eq!(line.take(later, 8), [(1, true)]);
        line.done(1, b"");
        assert_eq!(line.take(later, 8), [(2, false)]);
        assert_eq!(line.len(), 3);
    }
}
