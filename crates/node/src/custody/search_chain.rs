//! Chains, `_has` and hierarchies: resources that the requester may see take their place in the query, so that
//! what leads through a forbidden one leads nowhere.

use std::sync::Arc;

use interop::fhir::search::limits::LINKS_MAX;
use interop::fhir::search::{Condition, Filter, ParameterKind, Part, Query, Resources, Wanted};
use interop::fhir::{Issue, IssueType, ResourceType};

use super::request::Requester;
use super::search::Match;
use super::{Custody, CustodyError};

/// By what a resource names the one that it is a part of.
const PART_OF: &str = "partof";
/// By what it names those that it is a part of in further hierarchies (IHE mCSD), each of which has a tree of its own.
const PART_OF_OTHERS: &str = "ihe-mcsd-hierarchy-partof";

impl Custody {
    /// The query without chains.
    pub(super) async fn resolved(
        &self,
        by: &Requester,
        query: &Query,
    ) -> Result<Query, CustodyError> {
        let mut query = query.clone();
        for filter in query.parts.iter_mut().flat_map(|part| &mut part.filters) {
            self.resolve(by, filter).await?;
        }
        Ok(query)
    }

    async fn resolve(&self, by: &Requester, filter: &mut Filter) -> Result<(), CustodyError> {
        match &mut filter.condition {
            Condition::All(parts) | Condition::Any(parts) => {
                for part in parts {
                    Box::pin(self.resolve(by, part)).await?;
                }
                return Ok(());
            }
            Condition::Not(inner) => return Box::pin(self.resolve(by, inner)).await,
            Condition::AnyOf(wanted) | Condition::NoneOf(wanted) => {
                let along = match filter.parameter {
                    PART_OF_OTHERS => PART_OF_OTHERS,
                    _ => PART_OF,
                };
                for one in wanted {
                    let (place, is_below) = match one {
                        Wanted::PartsOf(kind, id) => ((*kind, id.as_str()), true),
                        Wanted::WholesOf(kind, id) => ((*kind, id.as_str()), false),
                        _ => continue,
                    };
                    let found = self.hierarchy(by, place, (along, is_below)).await?;
                    *one = Wanted::OneOf(Arc::new(found));
                }
                return Ok(());
            }
            _ => {}
        }
        let found = match &filter.condition {
            Condition::Chain(links) => {
                let mut found = Resources::new();
                for link in links {
                    let matches = self.led_to(by, link.resource_type, &link.filter).await?;
                    let ids = matches.into_iter().map(|one| one.row.id);
                    found.extend(ids.map(|id| (link.resource_type, id)));
                    limit(&found)?;
                }
                found
            }
            Condition::Has(reverse) => {
                let kind = reverse.resource_type;
                let mut found = Resources::new();
                for one in self.led_to(by, kind, &reverse.filter).await? {
                    let references = one.row.terms.references(reverse.parameter);
                    found.extend(references.filter_map(|(kind, id)| {
                        Some((ResourceType::parse(kind)?, id.to_owned()))
                    }));
                    limit(&found)?;
                }
                found
            }
            _ => return Ok(()),
        };
        filter.resolve(found);
        Ok(())
    }

    /// A resource with its parts and theirs, or with what it is a part of, by a parameter.
    async fn hierarchy(
        &self,
        by: &Requester,
        (kind, id): (ResourceType, &str),
        (along, is_below): (&'static str, bool),
    ) -> Result<Resources, CustodyError> {
        let (parameter, compared) = match is_below {
            true => (along, ParameterKind::Reference),
            false => ("_id", ParameterKind::Token),
        };
        let mut found = Resources::from([(kind, id.to_owned())]);
        let mut edge = found.clone();
        while !edge.is_empty() {
            let filter = Filter {
                parameter,
                kind: compared,
                condition: Condition::AnyOf(vec![Wanted::OneOf(Arc::new(edge))]),
            };
            let mut next = Resources::new();
            for one in self.led_to(by, kind, &filter).await? {
                if is_below {
                    next.insert((kind, one.row.id));
                } else {
                    let wholes = one.row.terms.references(along);
                    let wholes = wholes.filter(|(whole, _)| *whole == kind.as_str());
                    next.extend(wholes.map(|(_, id)| (kind, id.to_owned())));
                }
            }
            // Whoever is a part of itself, around a corner, is looked at once.
            edge = next.difference(&found).cloned().collect();
            found.extend(edge.iter().cloned());
            limit(&found)?;
        }
        Ok(found)
    }

    /// What a filter within a chain finds. It is not opened: nothing goes on record.
    async fn led_to(
        &self,
        by: &Requester,
        resource_type: ResourceType,
        filter: &Filter,
    ) -> Result<Vec<Match>, CustodyError> {
        let mut filter = filter.clone();
        Box::pin(self.resolve(by, &mut filter)).await?;
        let part = Part {
            resource_type,
            filters: vec![filter],
        };
        let (permitted, _) = self.permitted(by, &[part]).await?;
        Ok(permitted)
    }
}

fn limit(found: &Resources) -> Result<(), CustodyError> {
    if found.len() <= LINKS_MAX {
        return Ok(());
    }
    Err(CustodyError::Invalid(Issue::error(
        IssueType::TooCostly,
        format!("a chain leads through more than {LINKS_MAX} resources: ask for less"),
    )))
}
