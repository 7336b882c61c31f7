//! Tickets for files of a manifest: each for one file, once, for ten minutes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Seconds for which a ticket is good; the specification allows an hour.
const SECONDS: u64 = 600;
/// Tickets at most: beyond, those that end first are worth nothing.
const TICKETS_MAX: usize = 10_000;

/// A ticket's link and file, and when it ends.
type Issued = ([u8; 32], usize, u64);

/// Tickets that were issued and not spent. A restart forgets them; then the manifest is fetched again.
#[derive(Default)]
pub(super) struct Tickets(Mutex<BTreeMap<[u8; 32], Issued>>);

impl Tickets {
    /// A ticket for a file of the link with this secret.
    pub(super) fn issue(&self, secret: &[u8; 32], number: usize, now: u64) -> [u8; 32] {
        let ticket = rand::random();
        let mut issued = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        issued.retain(|_, (_, _, until)| *until > now);
        if issued.len() >= TICKETS_MAX {
            let first = issued.iter().min_by_key(|(_, (_, _, until))| *until);
            let first = first.map(|(ticket, _)| *ticket);
            first.and_then(|ticket| issued.remove(&ticket));
        }
        issued.insert(ticket, (*secret, number, now.saturating_add(SECONDS)));
        ticket
    }

    /// The file that a ticket is for; it is worth nothing afterwards.
    pub(super) fn spend(&self, ticket: &[u8; 32], secret: &[u8; 32], now: u64) -> Option<usize> {
        let mut issued = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, number, until) = issued.remove(ticket)?;
        (of == *secret && until > now).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_once_for_its_link_and_for_a_while() {
        let tickets = Tickets::default();
        let (link, other) = ([1; 32], [2; 32]);
        let ticket = tickets.issue(&link, 3, 0);
        assert_eq!(tickets.spend(&ticket, &link, 0), Some(3));
        assert_eq!(tickets.spend(&ticket, &link, 0), None);
        let ticket = tickets.issue(&link, 3, 0);
        assert_eq!(tickets.spend(&ticket, &other, 0), None);
        let ticket = tickets.issue(&link, 3, 0);
        assert_eq!(tickets.spend(&ticket, &link, SECONDS), None);
    }
}
