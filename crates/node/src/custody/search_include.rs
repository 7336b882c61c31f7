//! `_include` and `_revinclude`: what the requester may see of what belongs to the matches.

use std::collections::BTreeSet;
use std::sync::Arc;

use interop::fhir::ResourceType;
use interop::fhir::search::limits::{INCLUDED_MAX, ITERATIONS_MAX};
use interop::fhir::search::{
    Condition, Filter, Include, IndexTerms, ParameterKind, Part, Query, Resources, Wanted,
};

use super::request::{Opened, Requester};
use super::search::{Match, Permitted};
use super::{Aim, Custody, CustodyError};

type Resource = (ResourceType, String);

/// What includes start from: resources with what they refer to.
type Frontier = Vec<(Resource, IndexTerms)>;

impl Custody {
    /// What comes along with the matches, round by round, and whether that is all.
    pub(super) async fn included(
        &self,
        by: &Requester,
        query: &Query,
        matches: &[Opened],
    ) -> Result<(Vec<Permitted>, bool), CustodyError> {
        let resource = |one: &Opened| (one.resource.resource_type(), one.id.clone());
        let mut frontier: Frontier = matches
            .iter()
            .map(|one| (resource(one), IndexTerms::of(&one.resource)))
            .collect();
        let mut seen: BTreeSet<Resource> = matches.iter().map(resource).collect();
        let mut rounds = Vec::new();
        let mut room = INCLUDED_MAX;
        for round in 0..ITERATIONS_MAX {
            let applied = query.includes.iter();
            let applied = applied.filter(|include| round == 0 || include.iterates);
            let mut candidates = Vec::new();
            for include in applied {
                self.follow(by, query, include, &frontier, &mut candidates)
                    .await?;
            }
            candidates.retain(|one| seen.insert((one.resource_type, one.row.id.clone())));
            let (mut permitted, decided) = self.sift(by, Aim::Search, candidates).await?;
            // Not in the order of subjects, whose ids are random.
            permitted.sort_by(|one, other| one.place().cmp(&other.place()));
            let is_cut = permitted.len() > room;
            permitted.truncate(room);
            room = room.saturating_sub(permitted.len());
            let next = |one: &Match| {
                let resource = (one.resource_type, one.row.id.clone());
                (resource, one.row.terms.clone())
            };
            frontier = permitted.iter().map(next).collect();
            rounds.push((permitted, decided));
            if is_cut {
                return Ok((rounds, false));
            }
            if frontier.is_empty() {
                return Ok((rounds, true));
            }
        }
        let iterates = query.includes.iter().any(|include| include.iterates);
        Ok((rounds, !iterates))
    }

    /// What one include adds to the frontier, before consent is asked.
    async fn follow(
        &self,
        by: &Requester,
        query: &Query,
        include: &Include,
        frontier: &Frontier,
        candidates: &mut Vec<Match>,
    ) -> Result<(), CustodyError> {
        if include.is_reverse {
            return self
                .referring(by, query, include, frontier, candidates)
                .await;
        }
        let mut targets = Resources::new();
        for ((kind, _), terms) in frontier {
            for parameter in include.parameters(*kind) {
                for (kind, id) in terms.references(parameter) {
                    let kind = ResourceType::parse(kind);
                    let kind = kind.filter(|kind| include.wants(*kind) && query.may_include(*kind));
                    targets.extend(kind.map(|kind| (kind, id.to_owned())));
                }
            }
        }
        for (kind, id) in targets {
            candidates.extend(self.current_match(by, kind, &id).await?);
        }
        Ok(())
    }

    /// What refers to the frontier.
    async fn referring(
        &self,
        by: &Requester,
        query: &Query,
        include: &Include,
        frontier: &Frontier,
        candidates: &mut Vec<Match>,
    ) -> Result<(), CustodyError> {
        let Some(source) = include.source.filter(|source| query.may_include(*source)) else {
            return Ok(());
        };
        let resources = frontier.iter().map(|(resource, _)| resource);
        let resources = resources.filter(|(kind, _)| include.wants(*kind));
        let resources: Arc<Resources> = Arc::new(resources.cloned().collect());
        if resources.is_empty() {
            return Ok(());
        }
        for parameter in include.parameters(source) {
            let filter = Filter {
                parameter,
                kind: ParameterKind::Reference,
                condition: Condition::AnyOf(vec![Wanted::OneOf(Arc::clone(&resources))]),
            };
            let part = Part {
                resource_type: source,
                filters: vec![filter],
            };
            candidates.extend(self.candidates(by, &[part]).await?);
        }
        Ok(())
    }

    /// The current version of a document, if it has one and the requester may ask for it at all.
    async fn current_match(
        &self,
        by: &Requester,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<Option<Match>, CustodyError> {
        let head = self.head(resource_type, id)?;
        let Some(head) = head.filter(|head| !head.deleted) else {
            return Ok(None);
        };
        if let Some(own) = &by.patient {
            let own = self.0.subjects.of_patient(own)?;
            if own.is_none_or(|own| own.id != head.subject) {
                return Ok(None);
            }
        }
        let document = self.0.home.keys.document(resource_type.as_str(), id);
        let row = self
            .current_terms(resource_type, &head.subject, &document)
            .await?;
        Ok(row.map(|row| Match::found((document, head.subject), resource_type, row)))
    }
}
