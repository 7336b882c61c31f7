//! Matching: which patients of this member may be one person.
//!
//! Candidates are found by keyed hashes of blocking keys, which are postings of the index for searches and go with it; what
//! is compared comes from the sealed terms of each. Nothing is merged here: work for a person is put on a list.

mod circle;
mod commonness;
mod work_list;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;

use interop::fhir::search::{IndexTerms, Term};
use interop::fhir::{Issue, IssueType, Resource, ResourceType};
use interop::identity::{
    BlockingKey, Frequencies, Grade, Judgement, Model, Traits, blocking_keys, family_key,
    given_key, judge,
};

use self::commonness::Commonness;
use super::keys::Keys;
use super::postings::{Place, Posting, gather};
use super::request::{Opened, Requester};
use super::rows::DocumentKey;
use super::search::Match;
use super::store::{Table, View};
use super::{Aim, Custody, CustodyError};

pub use work_list::PossibleMatch;
pub(super) use work_list::{follow, millionths};

/// A blocking key that more patients share chooses nothing; others of the patient do.
const SHARED_MAX: usize = 512;

/// What is known of matching while the node runs.
#[derive(Default)]
pub(super) struct Comparing {
    /// The change up to which patients were compared.
    seen: AtomicU64,
    /// Who looks at changes: what was found among older ones stands over nothing that was found later.
    turn: tokio::sync::Mutex<()>,
    commonness: Commonness,
}

/// What a matching query wants.
#[derive(Debug, Clone, Copy)]
pub struct MatchWanted {
    /// The least grade.
    pub at_least: Grade,
    /// So many at most, the likeliest.
    pub count: usize,
}

/// A patient who may be the one that was asked for.
#[derive(Clone)]
pub struct MatchFound {
    /// The Patient.
    pub opened: Opened,
    /// What is thought of the pair.
    pub judgement: Judgement,
}

impl std::fmt::Debug for MatchFound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MatchFound")
            .field("grade", &self.judgement.grade)
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// What stands for the blocking keys of a patient, and for the names by which patients are counted.
    pub(super) fn blocked(&self, terms: &IndexTerms) -> BTreeSet<Posting> {
        let traits = Traits::of(terms);
        let counted = family_key(&traits).into_iter().chain(given_key(&traits));
        let keys = blocking_keys(&traits).into_iter().chain(counted);
        keys.map(|key| self.blocking(&key)).collect()
    }
}

impl Custody {
    /// Patients who may be the one with the traits of `asked`, the likeliest first: of those whom a search by the requester
    /// would show. It is on record as a search is.
    pub async fn match_patients(
        &self,
        by: &Requester,
        asked: &Resource,
        wanted: MatchWanted,
    ) -> Result<Vec<MatchFound>, CustodyError> {
        const TARGET: &str = "Patient/$match";
        let traits = Traits::of(&IndexTerms::of(asked));
        if !traits.is_comparable() {
            return Err(CustodyError::Invalid(Issue::error(
                IssueType::Incomplete,
                "a match takes an identifier with its system, or a name with a date of birth, a telecom or an address",
            )));
        }
        let mut matches = Vec::new();
        let mut judgements: BTreeMap<DocumentKey, Judgement> = BTreeMap::new();
        for (one, judgement) in self.candidates_for(&traits)? {
            if judgement.grade >= wanted.at_least {
                judgements.insert(one.document, judgement);
                matches.push(one);
            }
        }
        if let Some(own) = &by.patient {
            matches.retain(|one| &one.row.id == own);
        }
        let (mut permitted, decided) = self.sift(by, Aim::Search, matches).await?;
        let bits = |one: &Match| judgements.get(&one.document).map_or(0.0, |it| it.bits);
        permitted.sort_by(|one, other| bits(other).total_cmp(&bits(one)));
        permitted.truncate(wanted.count);
        let named: Vec<(String, Option<Judgement>)> = permitted
            .iter()
            .map(|one| {
                let judgement = judgements.get(&one.document).copied();
                (one.row.id.clone(), judgement)
            })
            .collect();
        let (opened, is_on_record) = self.open_recorded(by, TARGET, permitted, decided).await?;
        if !is_on_record {
            self.audit_queries(by, "search", vec![TARGET.to_owned()])
                .await?;
        }
        let judged = |one: Opened| {
            let mut named = named.iter().filter(|(id, _)| *id == one.id);
            let judgement = named.next().and_then(|(_, judgement)| *judgement)?;
            Some(MatchFound {
                opened: one,
                judgement,
            })
        };
        Ok(opened.into_iter().filter_map(judged).collect())
    }

    /// Patients that share a blocking key with these traits, and what is thought of each; without those who were merged
    /// into another. Nothing is decided about who may see them.
    fn candidates_for(&self, traits: &Traits) -> Result<Vec<(Match, Judgement)>, CustodyError> {
        let keys = &self.0.home.keys;
        let view = self.0.store.view()?;
        let mut places: BTreeSet<Place> = BTreeSet::new();
        for key in blocking_keys(traits) {
            let filter = BTreeSet::from([keys.blocking(&key)]);
            places.extend(gather(&view, &filter, None, SHARED_MAX)?.unwrap_or_default());
        }
        let frequencies = self.frequencies_around(&view, traits)?;
        let model = Model::default();
        let places: Vec<Place> = places.into_iter().collect();
        let found = self.at_places(&view, ResourceType::PATIENT, &places)?;
        let judged = found.into_iter().filter(|one| !is_replaced(&one.row.terms));
        Ok(judged
            .map(|one| {
                let other = Traits::of(&one.row.terms);
                let judgement = judge(traits, &other, &model, &frequencies);
                (one, judgement)
            })
            .collect())
    }

    /// How common the names of a patient are here.
    pub(super) fn frequencies_around(
        &self,
        view: &View,
        traits: &Traits,
    ) -> Result<Frequencies, CustodyError> {
        let keys = &self.0.home.keys;
        let total = self.0.store.about(Table::Patients);
        let count = |key: Option<BlockingKey>| match key {
            Some(key) => self
                .0
                .comparing
                .commonness
                .of(&keys.blocking(&key), view, total),
            None => Ok(None),
        };
        let counts = (count(family_key(traits))?, count(given_key(traits))?);
        Ok(Frequencies::around(traits, (counts.0, counts.1, total)))
    }
}

/// Whether a Patient was merged into another: it is not active, and linked.
pub(super) fn is_replaced(terms: &IndexTerms) -> bool {
    let is_inactive = |term: &Term| matches!(term, Term::Token(token) if token.code == "false");
    terms.get("active").iter().any(is_inactive) && terms.references("link").next().is_some()
}
