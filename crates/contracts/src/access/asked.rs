//! A request in the policy engine's terms, made once for all documents that it is decided for.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use cedar_policy::{
    Context, Decision as CedarDecision, Entities, Entity, EntityUid, PolicySet,
    Request as CedarRequest, RestrictedExpression,
};

use super::slice::Key;
use super::{
    AccessError, Action, Decision, Document, Evaluator, Limits, Request, delegation, reason, voted,
};
use crate::consent::label::Labels;

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
    policies: Arc<PolicySet>,
}

/// The entities that every request is about.
struct Uids {
    requester: EntityUid,
    actions: [(Action, EntityUid); 3],
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
            terms: Terms::of(evaluator, request),
        }
    }

    /// The same with every policy shown, whether it can matter or not.
    #[cfg(test)]
    pub(super) fn unsliced(mut self) -> Self {
        let slices = self.evaluator.policies.as_ref();
        let whole = slices.map(|slices| slices.whole().unwrap());
        if let (Some(terms), Some(whole)) = (&mut self.terms, whole) {
            terms.policies = Arc::new(whole);
        }
        self
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
        let terms = self.terms.as_ref().ok_or_else(invalid)?;
        let Terms {
            principal,
            asked,
            policies,
        } = terms;
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
    fn of(evaluator: &Evaluator, request: &Request) -> Option<Self> {
        let slices = evaluator.policies.as_ref()?;
        let limits = evaluator.delegated(request).and_then(Result::ok);
        let purposes = request.purposes();
        let policies = slices.for_request(&Key {
            request,
            purposes: &purposes,
            found: evaluator.found,
        });
        let uids = uids()?;
        let principal = requester(request, limits.as_ref())?;
        let context = context(request, &purposes, evaluator.found)?;
        let (_, action) = uids
            .actions
            .iter()
            .find(|(action, _)| *action == request.action)?;
        let uids = (principal.uid(), action.clone(), uids.document.clone());
        let asked = CedarRequest::new(uids.0, uids.1, uids.2, context, None);
        Some(Self {
            asked: asked.ok()?,
            principal,
            policies: policies.ok()?,
        })
    }
}

fn context(request: &Request, purposes: &BTreeSet<String>, found: bool) -> Option<Context> {
    let emergency = request.emergency.as_ref().map(|emergency| {
        let fields = [
            ("reason", text(&emergency.reason)),
            ("from", number(emergency.from)),
            ("until", number(emergency.until)),
        ];
        ("emergency", record(fields))
    });
    let pairs = [
        ("purpose", text(&request.purpose)),
        ("purposes", set(purposes)),
        ("now", number(request.now)),
        ("consents_known", truth(request.consents_known)),
        ("consents_found", truth(found)),
        ("break_glass", truth(request.breaks_glass())),
    ];
    let pairs = pairs.into_iter().chain(emergency);
    Context::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value))).ok()
}

fn requester(request: &Request, limits: Option<&Limits>) -> Option<Entity> {
    let optional = [
        ("practitioner", &request.practitioner),
        ("role", &request.role),
        ("patient", &request.patient),
        ("device", &request.device),
        ("related", &request.related),
    ];
    let present = optional
        .into_iter()
        .filter_map(|(name, value)| Some((name, text(value.as_ref()?))));
    let roles: BTreeSet<String> = request.roles.iter().chain(&request.role).cloned().collect();
    let code = |role: &String| {
        role.rsplit_once('|')
            .map_or(role.clone(), |(_, code)| code.to_owned())
    };
    let codes = roles.iter().map(code).collect();
    // A role of one person, as a `PractitionerRole`, is a reference among the roles.
    let names = delegation::names(request).chain(request.groups.iter().cloned());
    let names = names.chain(roles.iter().cloned()).collect();
    let delegated = request.on_behalf_of.as_ref().zip(limits);
    let delegated = delegated.map(|(chain, limits)| ("delegated", within(&chain.patient, limits)));
    let attributes = present.chain(delegated).chain([
        ("member", text(&request.member)),
        ("roles", set(&roles)),
        ("role_codes", set(&codes)),
        ("names", set(&names)),
        ("staff", truth(request.is_of_staff())),
        ("own", truth(request.is_in_patients_place())),
        ("acting", truth(request.on_behalf_of.is_some())),
    ]);
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
    let uid = uids()?.requester.clone();
    Entity::new(uid, attributes.collect(), std::iter::empty().collect()).ok()
}

/// What of a delegation depends on the document: the rest has been looked at.
fn within(patient: &str, limits: &Limits) -> RestrictedExpression {
    let types = limits.types.as_ref().map(|types| ("types", set(types)));
    let labels = limits.labels.as_ref().map(|labels| ("labels", set(labels)));
    let always = [
        ("patient", text(patient)),
        ("minors", truth(!limits.leaves_minors_alone())),
    ];
    record(always.into_iter().chain(types).chain(labels))
}

fn entity_of(document: &Document) -> Option<Entity> {
    // What says not when it happened counts as of the time when it was written.
    let period = document.period.or(document.date);
    let (first, last) = period.unwrap_or_default();
    let optional = document
        .period
        .map(|(start, end)| [("start", number(start)), ("end", number(end))]);
    let labels = Labels::of(&document.labels);
    let ids = document.id.iter().cloned().collect();
    let patient = document
        .patient
        .as_ref()
        .map(|patient| ("patient", text(patient)));
    let attributes = optional.into_iter().flatten().chain(patient).chain([
        ("home", text(&document.home)),
        ("type", text(&document.resource_type)),
        ("codes", set(&document.codes)),
        ("labels", set(&document.labels)),
        ("ids", set(&ids)),
        ("authors", set(&document.authors)),
        ("related", set(&document.related)),
        ("sensitive", set(&labels.sensitive)),
        ("level", number(labels.level())),
        ("dated", truth(period.is_some())),
        ("first", number(first)),
        ("last", number(last)),
    ]);
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
    let uid = uids()?.document.clone();
    Entity::new(uid, attributes.collect(), std::iter::empty().collect()).ok()
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn number(value: i64) -> RestrictedExpression {
    RestrictedExpression::new_long(value)
}

fn truth(value: bool) -> RestrictedExpression {
    RestrictedExpression::new_bool(value)
}

fn set(values: &BTreeSet<String>) -> RestrictedExpression {
    RestrictedExpression::new_set(values.iter().map(|value| text(value)))
}

fn record<'a>(
    fields: impl IntoIterator<Item = (&'a str, RestrictedExpression)>,
) -> RestrictedExpression {
    let fields = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    // INVARIANT: the names of fields are all different, the one thing that this can refuse.
    RestrictedExpression::new_record(fields).unwrap_or_else(|_| truth(false))
}

/// Names are parsed once: it costs as much as a decision.
fn uids() -> Option<&'static Uids> {
    static UIDS: LazyLock<Option<Uids>> = LazyLock::new(|| {
        let uid = |kind: &str, id: &str| {
            let (kind, id) = (kind.parse().ok()?, id.parse().ok()?);
            Some(EntityUid::from_type_name_and_id(kind, id))
        };
        let action = |action: Action| Some((action, uid("Action", action.name())?));
        let [open, collect, correct] = Action::ALL.map(action);
        Some(Uids {
            requester: uid("Requester", "requester")?,
            actions: [open?, collect?, correct?],
            document: uid("Document", "document")?,
        })
    });
    UIDS.as_ref()
}
