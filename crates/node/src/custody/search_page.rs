//! Pages of a search. Candidates are decided from the front of the list until a page is full and it is known whether
//! another follows: how many are behind it costs nothing, and tells nothing, unless the total is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use interop::fhir::search::{Query, Rank, Summary, Total};

use super::pins::Place;
use super::request::{Further, Requester, SearchPage};
use super::rows::DocumentKey;
use super::search::{Match, Permitted};
use super::{Aim, Custody, CustodyError};

/// Candidates that are decided together at least: many may be of one patient.
const WINDOW_MIN: usize = 16;

/// A page that is being filled, and one match more.
struct Filling {
    count: usize,
    found: usize,
    windows: Vec<Permitted>,
    /// Where on the list the next page begins.
    next: Option<usize>,
}

impl Custody {
    /// The first page of what may be seen of the candidates; fixes the list for further pages.
    pub(super) async fn first_page(
        &self,
        by: &Requester,
        query: &Query,
        candidates: Vec<Match>,
    ) -> Result<SearchPage, CustodyError> {
        let is_counted = query.summary == Summary::Count || query.count == 0;
        let asks_total = is_counted || matches!(query.total, Total::Accurate | Total::Estimate);
        let count = if is_counted { 0 } else { query.count };
        if asks_total {
            let (permitted, decided) = self.sift(by, Aim::Search, candidates).await?;
            let mut ordered = ranked(query, permitted);
            let total = ordered.len();
            let pin = (count > 0 && total > count).then(|| self.pin(&ordered));
            ordered.truncate(count);
            let page = vec![(ordered, decided)];
            let mut found = self.open_page(by, query, page).await?;
            found.total = Some(total);
            found.further = pin.map(|pin| Further {
                pin,
                offset: count,
                total: Some(total),
            });
            return Ok(found);
        }
        let ordered = ranked(query, candidates);
        let places: Option<Arc<[Place]>> = (ordered.len() > count).then(|| places(&ordered));
        let mut rest = ordered.into_iter().enumerate();
        let mut filling = Filling::of(count);
        while !filling.is_full() {
            let window: Vec<(usize, Match)> = rest.by_ref().take(filling.wants()).collect();
            if window.is_empty() {
                break;
            }
            self.fill(by, &mut filling, window).await?;
        }
        let next = filling.next.zip(places);
        let further = next.map(|(offset, places)| Further {
            pin: self.0.pins.keep(places),
            offset,
            total: None,
        });
        let mut found = self.open_page(by, query, filling.windows).await?;
        found.total = further.is_none().then_some(filling.found);
        found.further = further;
        Ok(found)
    }

    /// A further page of a search. It shows what the first page fixed, less what the requester may
    /// no longer see; `None` if that is no longer known.
    pub async fn search_further(
        &self,
        by: &Requester,
        query: &Query,
        from: Further,
    ) -> Result<Option<SearchPage>, CustodyError> {
        let Some(list) = self.0.pins.list(from.pin) else {
            return Ok(None);
        };
        let mut rest = list.iter().enumerate().skip(from.offset).peekable();
        let mut filling = Filling::of(query.count);
        while !filling.is_full() && rest.peek().is_some() {
            let mut window = Vec::new();
            for (at, place) in rest.by_ref().take(filling.wants()) {
                let present = self.pinned(place.clone()).await?;
                window.extend(present.map(|one| (at, one)));
            }
            self.fill(by, &mut filling, window).await?;
        }
        let further = filling.next.map(|offset| Further { offset, ..from });
        let mut found = self.open_page(by, query, filling.windows).await?;
        found.total = from.total;
        found.further = further;
        Ok(Some(found))
    }

    /// Decides a window of the list, and takes what may be seen of it.
    async fn fill(
        &self,
        by: &Requester,
        filling: &mut Filling,
        window: Vec<(usize, Match)>,
    ) -> Result<(), CustodyError> {
        let places = window.iter().map(|(at, one)| (one.document, *at));
        let places: BTreeMap<DocumentKey, usize> = places.collect();
        let matches = window.into_iter().map(|(_, one)| one).collect();
        let (mut permitted, decided) = self.sift(by, Aim::Search, matches).await?;
        // Decisions are made subject by subject, and the ids of subjects are random.
        permitted.sort_by_key(|one| places.get(&one.document).copied());
        let room = filling.count.saturating_sub(filling.found);
        let beyond = permitted.get(room).map(|one| one.document);
        filling.next = beyond.and_then(|document| places.get(&document).copied());
        permitted.truncate(room);
        filling.found = filling.found.saturating_add(permitted.len());
        filling.windows.push((permitted, decided));
        Ok(())
    }

    fn pin(&self, ordered: &[Match]) -> u64 {
        self.0.pins.keep(places(ordered))
    }
}

impl Filling {
    fn of(count: usize) -> Self {
        Self {
            count,
            found: 0,
            windows: Vec::new(),
            next: None,
        }
    }

    fn is_full(&self) -> bool {
        self.next.is_some()
    }

    fn wants(&self) -> usize {
        let room = self.count.saturating_sub(self.found);
        room.saturating_add(1).max(WINDOW_MIN)
    }
}

fn ranked(query: &Query, matches: Vec<Match>) -> Vec<Match> {
    let rank = |one: Match| (query.rank(one.resource_type, one.candidate()), one);
    let mut ranked: Vec<(Rank, Match)> = matches.into_iter().map(rank).collect();
    ranked.sort_by(|(one, _), (other, _)| one.cmp(other));
    ranked.into_iter().map(|(_, one)| one).collect()
}

fn places(ordered: &[Match]) -> Arc<[Place]> {
    ordered.iter().map(Place::of).collect()
}
