//! A request in the policy engine's terms, made once for all documents that it is decided for.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use cedar_policy::{
    Context, Decision as CedarDecision, Entities, Entity, EntityUid, Request as CedarRequest,
    RestrictedExpression,
};

use super::{AccessError, Decision, Document, Evaluator, Request, reason, voted};

/// A request that is ready to be decided.
pub struct Asked<'a> {
    evaluator: &'a Evaluator,
    request: &'a Request,
    /// `None` if the request cannot be evaluated.
    terms: Option<Terms>,
}

struct Terms {
    principal: Entity,
    asked: CedarRequest,
}

/// The entities that every request is about.
struct Uids {
    requester: EntityUid,
    open: EntityUid,
    document: EntityUid,
}

impl std::fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asked(..)")
    }
}

impl<'a> Asked<'a> {
    pub(super) fn of(evaluator: &'a Evaluator, request: &'a Request) -> Self {
        Self {
            evaluator,
            request,
            terms: Terms::of(request),
        }
    }

    /// Decides; what cannot be evaluated is denied (X2).
    pub fn decide(&self, document: &Document) -> Decision {
        match self.evaluate(document) {
            Ok(decision) => decision,
            Err(_) => Decision {
                permitted: false,
                determining: Vec::new(),
                reason: "the request cannot be evaluated",
            },
        }
    }

    fn evaluate(&self, document: &Document) -> Result<Decision, AccessError> {
        let invalid = || AccessError::RequestInvalid;
        let policies = self.evaluator.policies.as_ref().ok_or_else(invalid)?;
        let Terms { principal, asked } = self.terms.as_ref().ok_or_else(invalid)?;
        let resource = entity_of(document).ok_or_else(invalid)?;
        let entities =
            Entities::from_entities([principal.clone(), resource], None).map_err(|_| invalid())?;
        let authorizer = &self.evaluator.authorizer;
        let response = authorizer.is_authorized(asked, policies, &entities);
        let mut determining: Vec<String> = response
            .diagnostics()
            .reason()
            .map(ToString::to_string)
            .collect();
        determining.sort_unstable();
        if response.diagnostics().errors().next().is_some() {
            return Err(AccessError::RequestInvalid);
        }
        let request = self.request;
        let mut permitted = response.decision() == CedarDecision::Allow;
        let is_disclosed = request.member != document.home && document.patient.is_some();
        // No vote discloses what no patient has permitted (X3).
        let by_vote_alone = determining.iter().all(|id| voted::is_voted(id));
        if permitted && is_disclosed && by_vote_alone {
            permitted = false;
            determining.clear();
        }
        let reason = reason(permitted, &determining, request, document);
        Ok(Decision {
            permitted,
            determining,
            reason,
        })
    }
}

impl Terms {
    fn of(request: &Request) -> Option<Self> {
        let Uids { open, document, .. } = uids()?;
        let principal = requester(request)?;
        let context = Context::from_pairs([
            ("purpose".to_owned(), text(&request.purpose)),
            (
                "now".to_owned(),
                RestrictedExpression::new_long(request.now),
            ),
            (
                "consents_known".to_owned(),
                RestrictedExpression::new_bool(request.consents_known),
            ),
            (
                "break_glass".to_owned(),
                RestrictedExpression::new_bool(breaks_glass(request)),
            ),
        ]);
        let uids = (principal.uid(), open.clone(), document.clone());
        let asked = CedarRequest::new(uids.0, uids.1, uids.2, context.ok()?, None);
        Some(Self {
            asked: asked.ok()?,
            principal,
        })
    }
}

/// Whether a practitioner asks within a declared emergency.
fn breaks_glass(request: &Request) -> bool {
    let is_declared = request.emergency.as_ref();
    request.purpose == "BTG"
        && request.practitioner.is_some()
        && is_declared.is_some_and(|emergency| emergency.covers(request.now))
}

fn requester(request: &Request) -> Option<Entity> {
    let optional = [
        ("practitioner", &request.practitioner),
        ("role", &request.role),
        ("patient", &request.patient),
    ];
    let present = optional
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let attributes = present
        .map(|(name, value)| (name.to_owned(), text(value)))
        .chain([("member".to_owned(), text(&request.member))]);
    let uid = uids()?.requester.clone();
    Entity::new(uid, attributes.collect(), std::iter::empty().collect()).ok()
}

fn entity_of(document: &Document) -> Option<Entity> {
    let set = |values: &BTreeSet<String>| {
        RestrictedExpression::new_set(values.iter().map(|value| text(value)))
    };
    let period = document
        .period
        .into_iter()
        .flat_map(|(start, end)| [("start", start), ("end", end)]);
    let attributes = period
        .map(|(name, at)| (name.to_owned(), RestrictedExpression::new_long(at)))
        .chain(
            document
                .patient
                .as_ref()
                .map(|patient| ("patient".to_owned(), text(patient))),
        )
        .chain([
            ("home".to_owned(), text(&document.home)),
            ("type".to_owned(), text(&document.resource_type)),
            ("codes".to_owned(), set(&document.codes)),
            ("labels".to_owned(), set(&document.labels)),
        ]);
    let uid = uids()?.document.clone();
    Entity::new(uid, attributes.collect(), std::iter::empty().collect()).ok()
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

/// Names are parsed once: it costs as much as a decision.
fn uids() -> Option<&'static Uids> {
    static UIDS: LazyLock<Option<Uids>> = LazyLock::new(|| {
        let uid = |kind: &str, id: &str| {
            let (kind, id) = (kind.parse().ok()?, id.parse().ok()?);
            Some(EntityUid::from_type_name_and_id(kind, id))
        };
        Some(Uids {
            requester: uid("Requester", "requester")?,
            open: uid("Action", "open")?,
            document: uid("Document", "document")?,
        })
    });
    UIDS.as_ref()
}
