//! Forwarding the audit log to another repository (ITI-20, ATX: FHIR Feed): what an answer means for the place in the log
//! up to which it was taken, and for what is sent next.
//!
//! # Invariants
//! - **F1** An entry counts as taken once the repository has said so of each of its events: at least once.
//! - **F2** No entry is sent before those that came earlier in the log are taken or given up.
//! - **F3** Only what the repository refuses again and again, sent alone, is given up; while it does not answer, or answers
//!   that it cannot take anything, all waits.

/// Entries that are sent together at most.
pub const ENTRIES_MAX: usize = 50;
/// How often the repository has to refuse an entry before it is given up.
pub const REFUSALS_MAX: u32 = 12;

/// An entry that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Its number in the log.
    pub number: u64,
    /// How many events it is made of.
    pub events: usize,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing, or not in time.
    Nothing,
    /// A status for all of it; with 2xx, the events were not told of one by one.
    Whole(u16),
    /// A status for each event, in the order in which they were sent.
    Each(Vec<u16>),
}

/// What an answer leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The last entry that is done with, if one is.
    pub through: Option<u64>,
    /// Whether that one was given up, and the status with which it was refused.
    pub given_up: Option<u16>,
    /// Whether there is a pause before more is sent.
    pub waits: bool,
}

/// How the forwarding goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feed {
    attempts: u32,
    refusals: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Taken,
    /// The event is the reason.
    Refused,
    /// The repository is, or who asks it.
    Unavailable,
}

impl Feed {
    /// How many entries are sent next: what was refused goes alone.
    pub fn most(&self) -> usize {
        if self.refusals > 0 { 1 } else { ENTRIES_MAX }
    }

    /// Attempts since something was taken.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// What an answer to these entries leads to.
    pub fn after(&mut self, sent: &[Sent], answer: &Answer) -> Step {
        let mut through = None;
        let mut first = 0;
        for entry in sent {
            let end = entry.events.saturating_add(first);
            if let Some((verdict, status)) = answer.against(first..end) {
                return self.stopped(entry.number, through, (verdict, status), sent.len());
            }
            through = Some(entry.number);
            first = end;
        }
        *self = Self::default();
        Step {
            through,
            given_up: None,
            waits: false,
        }
    }

    fn stopped(
        &mut self,
        number: u64,
        through: Option<u64>,
        (verdict, status): (Verdict, u16),
        sent: usize,
    ) -> Step {
        if through.is_some() {
            *self = Self::default();
        }
        self.attempts = self.attempts.saturating_add(1);
        if verdict == Verdict::Refused {
            self.refusals = self.refusals.saturating_add(1);
        }
        if verdict == Verdict::Refused && sent == 1 && self.refusals >= REFUSALS_MAX {
            *self = Self::default();
            return Step {
                through: Some(number),
                given_up: Some(status),
                waits: false,
            };
        }
        Step {
            through,
            given_up: None,
            waits: true,
        }
    }
}

impl Answer {
    /// Why the events in this range are not taken; `None` if they are.
    fn against(&self, events: std::ops::Range<usize>) -> Option<(Verdict, u16)> {
        let statuses = match self {
            Self::Nothing => return Some((Verdict::Unavailable, 0)),
            Self::Whole(status) if Verdict::of(*status) == Verdict::Refused => {
                return Some((Verdict::Refused, *status));
            }
            Self::Whole(status) => return Some((Verdict::Unavailable, *status)),
            Self::Each(statuses) => statuses,
        };
        let Some(statuses) = statuses.get(events) else {
            return Some((Verdict::Unavailable, 0));
        };
        let mut verdicts = statuses.iter().map(|one| (Verdict::of(*one), *one));
        verdicts.find(|(verdict, _)| *verdict != Verdict::Taken)
    }
}

impl Verdict {
    fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Taken,
            400 | 409 | 412 | 413 | 415 | 422 => Self::Refused,
            _ => Self::Unavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(numbers: &[u64]) -> Vec<Sent> {
        let one = |number: &u64| Sent {
            number: *number,
            events: 2,
        };
        numbers.iter().map(one).collect()
    }

    fn step(through: Option<u64>, waits: bool) -> Step {
        Step {
            through,
            given_up: None,
            waits,
        }
    }

    #[test]
    fn atna_1_an_entry_is_taken_once_each_of_its_events_is() {
        let mut feed = Feed::default();
        let said = Answer::Each(vec![201, 201, 201, 503]);
        assert_eq!(feed.after(&sent(&[4, 5]), &said), step(Some(4), true));
        let short = Answer::Each(vec![201, 201, 201]);
        assert_eq!(feed.after(&sent(&[4, 5]), &short), step(Some(4), true));
        let all = Answer::Each(vec![201; 4]);
        assert_eq!(feed.after(&sent(&[4, 5]), &all), step(Some(5), false));
        assert_eq!(feed, Feed::default());
    }

    #[test]
    fn atna_1_what_a_repository_that_takes_nothing_answers_gives_nothing_up() {
        for said in [
            Answer::Nothing,
            Answer::Whole(200),
            Answer::Whole(302),
            Answer::Whole(401),
            Answer::Whole(404),
            Answer::Whole(503),
            Answer::Each(vec![]),
            Answer::Each(vec![403, 403]),
        ] {
            let mut feed = Feed::default();
            for attempt in 1..=REFUSALS_MAX * 2 {
                assert_eq!(feed.after(&sent(&[1]), &said), step(None, true), "{said:?}");
                assert_eq!(feed.attempts(), attempt);
            }
            assert_eq!(feed.most(), ENTRIES_MAX);
        }
    }

    #[test]
    fn atna_1_what_is_refused_again_and_again_is_given_up_alone() {
        let mut feed = Feed::default();
        let said = Answer::Each(vec![201, 201, 422, 422, 201, 201]);
        assert_eq!(feed.after(&sent(&[1, 2, 3]), &said), step(Some(1), true));
        assert_eq!(feed.most(), 1);
        for _ in 2..REFUSALS_MAX {
            let said = Answer::Whole(422);
            assert_eq!(feed.after(&sent(&[2]), &said), step(None, true));
        }
        // An answer that says nothing of the entry is not counted against it.
        let busy = Answer::Whole(503);
        assert_eq!(feed.after(&sent(&[2]), &busy), step(None, true));
        let given_up = Step {
            through: Some(2),
            given_up: Some(422),
            waits: false,
        };
        assert_eq!(feed.after(&sent(&[2]), &Answer::Whole(422)), given_up);
        assert_eq!(feed.most(), ENTRIES_MAX);
    }

    #[test]
    fn atna_1_entries_that_are_refused_together_are_not_given_up_together() {
        let mut feed = Feed::default();
        for _ in 0..REFUSALS_MAX * 2 {
            let step_taken = feed.after(&sent(&[1, 2]), &Answer::Whole(413));
            assert_eq!(step_taken, step(None, true));
        }
        assert_eq!(feed.most(), 1);
    }
}
