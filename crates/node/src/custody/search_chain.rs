//! Chains and `_has`: resources that the requester may see take their place in the query, so that
//! what leads through a forbidden one leads nowhere.

use interop::fhir::search::limits::LINKS_MAX;
use interop::fhir::search::{Condition, Filter, Part, Query, Resources};
use interop::fhir::{Issue, IssueType, ResourceType};

use super::request::Requester;
use super::search::Match;
use super::{Custody, CustodyError};

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
