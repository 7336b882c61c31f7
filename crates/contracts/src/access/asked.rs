//! A request in the policy engine's terms, made once for all documents that it is decided for.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use cedar_policy::{
    Context, Decision as CedarDecision, Entities, Entity, EntityUid, Request as CedarRequest,
    RestrictedExpression,
};

use super::attribute::{Attribute, CONTEXT, DOCUMENT, REQUESTER, Reads};
#[cfg(test)]
use super::slice::Slices;
use super::slice::{Key, Shown};
use super::{
    AccessError, Action, Decision, Document, Emergency, Evaluator, Limits, Request, delegation,
    reason, voted,
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
    shown: Arc<Shown>,
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

    /// The same with every policy shown, whether it can matter or not, and with every attribute.
    #[cfg(test)]
    pub(super) fn unsliced(mut self) -> Self {
        let whole = self.evaluator.policies.as_ref().map(Slices::whole);
        self.terms = whole.and_then(|whole| {
            let shown = Arc::new(whole.unwrap());
            let purposes = self.request.purposes();
            Terms::with(self.evaluator, self.request, &purposes, shown)
        });
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
            shown,
        } = terms;
        let resource = entity_of(document, shown.reads).ok_or_else(invalid)?;
        let entities =
            Entities::from_entities([principal.clone(), resource], None).map_err(|_| invalid())?;
        let authorizer = &self.evaluator.authorizer;
        let response = authorizer.is_authorized(asked, &shown.policies, &entities);
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
        let purposes = request.purposes();
        let shown = slices.for_request(&Key {
            request,
            purposes: &purposes,
            found: evaluator.found,
        });
        Self::with(evaluator, request, &purposes, shown.ok()?)
    }

    fn with(
        evaluator: &Evaluator,
        request: &Request,
        purposes: &BTreeSet<String>,
        shown: Arc<Shown>,
    ) -> Option<Self> {
        let limits = evaluator.delegated(request).and_then(Result::ok);
        let uids = uids()?;
        let principal = requester(request, limits.as_ref(), shown.reads)?;
        let context = context(request, purposes, evaluator.found, shown.reads)?;
        let (_, action) = uids
            .actions
            .iter()
            .find(|(action, _)| *action == request.action)?;
        let uids = (principal.uid(), action.clone(), uids.document.clone());
        let asked = CedarRequest::new(uids.0, uids.1, uids.2, context, None);
        Some(Self {
            asked: asked.ok()?,
            principal,
            shown,
        })
    }
}

fn context(
    request: &Request,
    purposes: &BTreeSet<String>,
    found: bool,
    reads: Reads,
) -> Option<Context> {
    let emergency = |emergency: &Emergency| {
        record([
            ("reason", text(&emergency.reason)),
            ("from", number(emergency.from)),
            ("until", number(emergency.until)),
        ])
    };
    let pairs = made(&CONTEXT, reads, |one| {
        Some(match one {
            Attribute::Purpose => text(&request.purpose),
            Attribute::Purposes => set(purposes),
            Attribute::Now => number(request.now),
            Attribute::ConsentsKnown => truth(request.consents_known),
            Attribute::ConsentsFound => truth(found),
            Attribute::BreakGlass => truth(request.breaks_glass()),
            Attribute::Emergency => emergency(request.emergency.as_ref()?),
            _ => return None,
        })
    });
    Context::from_pairs(pairs).ok()
}

fn requester(request: &Request, limits: Option<&Limits>, reads: Reads) -> Option<Entity> {
    let optional = |value: &Option<String>| value.as_deref().map(text);
    let attributes = made(&REQUESTER, reads, |one| {
        Some(match one {
            Attribute::Member => text(&request.member),
            Attribute::Practitioner => optional(&request.practitioner)?,
            Attribute::Role => optional(&request.role)?,
            Attribute::Patient => optional(&request.patient)?,
            Attribute::Device => optional(&request.device)?,
            Attribute::Related => optional(&request.related)?,
            Attribute::Roles => set(&roles(request)),
            Attribute::RoleCodes => set(&role_codes(request)),
            Attribute::Names => set(&names(request)),
            Attribute::Staff => truth(request.is_of_staff()),
            Attribute::Own => truth(request.is_in_patients_place()),
            Attribute::Acting => truth(request.on_behalf_of.is_some()),
            Attribute::Delegated => within(&request.on_behalf_of.as_ref()?.patient, limits?),
            _ => return None,
        })
    });
    entity(&uids()?.requester, attributes)
}

fn roles(request: &Request) -> BTreeSet<String> {
    request.roles.iter().chain(&request.role).cloned().collect()
}

fn role_codes(request: &Request) -> BTreeSet<String> {
    let code = |role: &String| {
        role.rsplit_once('|')
            .map_or(role.clone(), |(_, code)| code.to_owned())
    };
    roles(request).iter().map(code).collect()
}

/// A role of one person, as a `PractitionerRole`, is a reference among the roles.
fn names(request: &Request) -> BTreeSet<String> {
    let names = delegation::names(request).chain(request.groups.iter().cloned());
    names.chain(roles(request)).collect()
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

fn entity_of(document: &Document, reads: Reads) -> Option<Entity> {
    // What says not when it happened counts as of the time when it was written.
    let period = document.period.or(document.date);
    let (first, last) = period.unwrap_or_default();
    let attributes = made(&DOCUMENT, reads, |one| {
        Some(match one {
            Attribute::Home => text(&document.home),
            Attribute::Subject => text(document.patient.as_ref()?),
            Attribute::Type => text(&document.resource_type),
            Attribute::Codes => set(&document.codes),
            Attribute::Labels => set(&document.labels),
            Attribute::Start => number(document.period?.0),
            Attribute::End => number(document.period?.1),
            Attribute::Ids => set(&document.id.iter().cloned().collect()),
            Attribute::Authors => set(&document.authors),
            Attribute::RelatedTo => set(&document.related),
            Attribute::Sensitive => set(&Labels::of(&document.labels).sensitive),
            Attribute::Level => number(Labels::of(&document.labels).level()),
            Attribute::Dated => truth(period.is_some()),
            Attribute::First => number(first),
            Attribute::Last => number(last),
            _ => return None,
        })
    });
    entity(&uids()?.document, attributes)
}

fn entity(
    uid: &EntityUid,
    attributes: impl Iterator<Item = (String, RestrictedExpression)>,
) -> Option<Entity> {
    Entity::new(
        uid.clone(),
        attributes.collect(),
        std::iter::empty().collect(),
    )
    .ok()
}

/// Those attributes that are looked at and that there are.
fn made(
    table: &'static [(&'static str, Attribute)],
    reads: Reads,
    value: impl Fn(Attribute) -> Option<RestrictedExpression>,
) -> impl Iterator<Item = (String, RestrictedExpression)> {
    let read = table.iter().filter(move |(_, one)| reads.has(*one));
    read.filter_map(move |(name, one)| Some(((*name).to_owned(), value(*one)?)))
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
