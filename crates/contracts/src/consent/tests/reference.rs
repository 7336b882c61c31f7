//! The rules of ADR 0004 and 0016 on one page, evaluated in the most direct way.

use super::super::label::{Labels, level_of};
use super::super::{Actor, Kind, Meaning, Provision, Span};
use super::*;
use crate::access::{Action, Implicit, Limits, Link};

/// What the rules around one have named.
#[derive(Clone, Default)]
struct Named {
    members: bool,
    purposes: bool,
    emergencies: bool,
    actions: bool,
    labels: Vec<String>,
    actors: Vec<Actor>,
}

/// A request for a document, and what a member that holds it knows.
pub(super) struct Case<'a> {
    pub(super) consents: &'a [Consent],
    pub(super) implicit: Implicit,
    pub(super) request: &'a Request,
    pub(super) document: &'a Document,
}

/// The kinds of a purpose, from v3-ActReason, as far as the tests go.
fn is_kind_of(purpose: &str, of: &str) -> bool {
    let broader = |one: &str| match one {
        "BTG" | "ERTREAT" => Some("ETREAT"),
        "ETREAT" | "COC" => Some("TREAT"),
        "CAREMGT" => Some("HOPERAT"),
        "CLINTRCH" => Some("HRESCH"),
        "FAMRQT" => Some("PATRQT"),
        _ => None,
    };
    purpose == of || broader(purpose).is_some_and(|broader| is_kind_of(broader, of))
}

/// The kinds of a sensitivity, as far as the tests go.
fn is_label_of(label: &str, of: &str) -> bool {
    let broader = |one: &str| match one {
        "OPIOIDUD" => Some("ETHUD"),
        "ETHUD" => Some("SUD"),
        "SUD" => Some("ETH"),
        _ => None,
    };
    label == of || broader(label).is_some_and(|broader| is_label_of(broader, of))
}

fn within(span: Span, first: i64, last: i64) -> bool {
    span.start.is_none_or(|start| last >= start) && span.end.is_none_or(|end| first < end)
}

impl Case<'_> {
    fn in_place_of_patient(&self) -> bool {
        self.request.patient.is_some() || self.request.on_behalf_of.is_some()
    }

    fn is_staff(&self) -> bool {
        !self.in_place_of_patient() && self.request.related.is_none()
    }

    fn breaks_glass(&self) -> bool {
        let Request {
            emergency,
            practitioner,
            now,
            purpose,
            ..
        } = self.request;
        let covers = |one: &Emergency| one.from <= *now && *now < one.until;
        emergency.as_ref().is_some_and(covers)
            && practitioner.is_some()
            && self.is_staff()
            && is_kind_of(purpose, "TREAT")
    }

    fn has_purpose(&self, named: &str) -> bool {
        is_kind_of(&self.request.purpose, named) || (named == "BTG" && self.breaks_glass())
    }

    fn is_actor(&self, actor: &Actor, home: Option<&str>) -> bool {
        let Request {
            member,
            practitioner,
            device,
            related,
            groups,
            roles,
            ..
        } = self.request;
        match actor {
            Actor::Member(name) => member == name,
            Actor::Named(name) => {
                let persons = [practitioner, device, related];
                let mut all = persons.into_iter().flatten().chain(groups).chain(roles);
                all.any(|one| one == name) && home.is_none_or(|home| member == home)
            }
            Actor::Role(role) => roles.iter().any(|one| {
                let code = |text: &str| text.rsplit('|').next().unwrap().to_owned();
                let is_bare = |text: &str| !text.contains('|');
                one == role || ((is_bare(one) || is_bare(role)) && code(one) == code(role))
            }),
        }
    }

    fn matches(&self, rule: &Provision, home: &str, named: &Named) -> bool {
        let Document {
            period,
            date,
            codes,
            id,
            related,
            authors,
            resource_type,
            ..
        } = self.document;
        let request = self.request;
        let denies = rule.kind == Some(Kind::Deny);
        let any = |wanted: &[String], has: &dyn Fn(&String) -> bool| {
            wanted.is_empty() || wanted.iter().any(has)
        };
        let dated = |span| match period.or(*date) {
            Some((first, last)) => within(span, first, last),
            None => denies,
        };
        let is_data = |one: &Data| match (id, one.meaning) {
            (None, Meaning::Instance) if denies => {
                one.reference.split('/').next() == Some(resource_type.as_str())
            }
            (None, _) if denies => true,
            (id, Meaning::Instance) => id.as_ref() == Some(&one.reference),
            (id, Meaning::Dependents) => {
                id.as_ref() == Some(&one.reference) || related.contains(&one.reference)
            }
            (_, Meaning::AuthoredBy) => authors.contains(&one.reference),
        };
        let bound = (!denies && !named.members).then_some(home);
        let in_class = (rule.types.is_empty() && rule.documents.is_empty())
            || rule.types.contains(resource_type)
            || rule.documents.iter().any(|one| codes.contains(one));
        rule.period
            .is_none_or(|span| within(span, request.now, request.now))
            && rule.data_period.is_none_or(dated)
            && rule
                .actions
                .as_ref()
                .is_none_or(|some| some.contains(&request.action))
            && (rule.actors.is_empty() || rule.actors.iter().any(|one| self.is_actor(one, bound)))
            && any(&rule.purposes, &|purpose| self.has_purpose(purpose))
            && in_class
            && any(&rule.codes, &|code| codes.contains(code))
            && (rule.data.is_empty()
                || (self.document.home == home && rule.data.iter().any(is_data)))
    }

    /// Whether the labels that the rule or the nearest around it names let it speak on the document.
    fn labels_match(&self, kind: Kind, named: &[String]) -> bool {
        let (levels, sensitive): (Vec<&String>, Vec<&String>) =
            named.iter().partition(|code| level_of(code).is_some());
        let labels = Labels::of(&self.document.labels);
        let (own, level) = (&labels.sensitive, labels.level());
        let levels: Vec<i64> = levels
            .into_iter()
            .filter_map(|code| level_of(code))
            .collect();
        match kind {
            Kind::Permit => {
                let is_named = |label: &String| sensitive.iter().any(|of| is_label_of(label, of));
                let highest = levels.iter().copied().max();
                let highest = highest
                    .or(named.is_empty().then_some(3))
                    .map(|level| level.max(3));
                let implied = level == 4 && !own.is_empty();
                own.iter().all(is_named) && (implied || highest.is_some_and(|most| level <= most))
            }
            Kind::Deny => {
                let may_be = |label: &String| {
                    sensitive
                        .iter()
                        .any(|of| is_label_of(label, of) || is_label_of(of, label))
                };
                named.is_empty()
                    || own.iter().any(may_be)
                    || levels.iter().any(|least| level >= *least)
            }
        }
    }

    fn decides(&self, kind: Kind, named: &Named) -> bool {
        let request = self.request;
        let persons = named.actors.iter().filter_map(|actor| match actor {
            Actor::Named(one) => Some(one),
            _ => None,
        });
        let is_named_person = persons
            .clone()
            .any(|one| request.related.as_ref() == Some(one));
        let acts = named.actions || request.action == Action::Open;
        let only_by_name = self.has_purpose("HMARKT") || self.has_purpose("HRESCH");
        acts && self.labels_match(kind, &named.labels)
            && match kind {
                Kind::Permit => {
                    (self.is_staff() || (!self.in_place_of_patient() && is_named_person))
                        && (named.purposes || !only_by_name)
                }
                Kind::Deny => {
                    (!self.in_place_of_patient() || is_named_person)
                        && (named.emergencies || !self.breaks_glass())
                }
            }
    }

    fn verdict(&self, rule: &Provision, home: &str, named: &Named) -> Option<Kind> {
        if !rule.delegates.is_empty() || !self.matches(rule, home, named) {
            return None;
        }
        let mut inside = named.clone();
        inside.members |= !rule.actors.is_empty()
            && rule
                .actors
                .iter()
                .all(|actor| matches!(actor, Actor::Member(_)));
        inside.purposes |= !rule.purposes.is_empty();
        inside.emergencies |= rule.purposes.iter().any(|purpose| purpose == "BTG");
        inside.actions |= rule.actions.is_some();
        if !rule.labels.is_empty() {
            inside.labels.clone_from(&rule.labels);
        }
        if !rule.actors.is_empty() {
            inside.actors.clone_from(&rule.actors);
        }
        let nested = rule.nested.iter();
        let nested: Vec<Kind> = nested
            .filter_map(|one| self.verdict(one, home, &inside))
            .collect();
        let deepest = [Kind::Deny, Kind::Permit]
            .into_iter()
            .find(|kind| nested.contains(kind));
        deepest.or(rule.kind.filter(|kind| self.decides(*kind, &inside)))
    }

    /// How far each link goes that some consent in force grants; `None` if the chain does not hold.
    fn links(&self) -> Option<Vec<Limits>> {
        let delegation = self.request.on_behalf_of.as_ref()?;
        let links = &delegation.links;
        let patient = format!("Patient/{}", delegation.patient);
        let own = self
            .request
            .patient
            .as_ref()
            .map(|id| format!("Patient/{id}"));
        let Request {
            related,
            practitioner,
            device,
            ..
        } = self.request;
        let last = Some(&links.last()?.delegate);
        let asks = [related, practitioner, device, &own].into_iter().flatten();
        let met: BTreeSet<&String> = links.iter().map(|link| &link.delegate).collect();
        let is_chain = links.len() <= 3 && met.len() == links.len() && !met.contains(&patient);
        if !is_chain || !asks.map(Some).any(|one| one == last) {
            return None;
        }
        let mut all = Vec::new();
        for (at, link) in links.iter().enumerate() {
            let giver = at.checked_sub(1).map(|at| &links[at].delegate);
            all.extend([link.limits.clone(), self.granted(link, giver)?]);
        }
        Some(all)
    }

    fn granted(&self, link: &Link, giver: Option<&String>) -> Option<Limits> {
        let is_it = |consent: &&Consent| {
            let (by, named) = (consent.given_by(), (&consent.id, consent.version));
            named == (&link.consent.id, link.consent.version)
                && giver.map_or(by.is_empty(), |giver| by.contains(giver))
        };
        let consent = self.consents.iter().find(is_it)?;
        let granted = grants(consent).into_iter();
        let mut granted = granted
            .filter(|one| one.delegate == link.delegate && one.member == self.request.member);
        granted.next().map(|grant| grant.limits)
    }

    fn is_delegated(&self) -> bool {
        let (request, document) = (self.request, self.document);
        let Some(delegation) = &request.on_behalf_of else {
            return false;
        };
        let goes = |limits: &Limits| {
            let ends = [limits.until, limits.majority];
            limits.from.is_none_or(|from| from <= request.now)
                && ends.into_iter().flatten().all(|end| request.now < end)
                && limits
                    .types
                    .as_ref()
                    .is_none_or(|some| some.contains(&document.resource_type))
                && limits
                    .labels
                    .as_ref()
                    .is_none_or(|some| document.labels.is_subset(some))
                && limits
                    .actions
                    .as_ref()
                    .is_none_or(|some| some.contains(&request.action))
        };
        let Some(links) = self.links() else {
            return false;
        };
        let is_parent = links.iter().any(|limits| limits.majority.is_some());
        let names_minors = |limits: &Limits| {
            limits
                .labels
                .as_ref()
                .is_some_and(|labels| labels.contains("ADOL"))
        };
        let minors =
            !document.labels.contains("ADOL") || !is_parent || links.iter().any(names_minors);
        let purposes: Vec<_> = links
            .iter()
            .filter_map(|one| one.purposes.clone())
            .collect();
        let common = purposes.into_iter().reduce(|one, other| &one & &other);
        let purposes =
            common.is_none_or(|some| some.iter().any(|one| is_kind_of(&request.purpose, one)));
        links.iter().all(goes)
            && minors
            && purposes
            && request.action == Action::Open
            && request.member == document.home
            && document.patient.as_ref() == Some(&delegation.patient)
            && is_kind_of(&request.purpose, "PATRQT")
    }

    /// Whether the document may be opened, or changed.
    pub(super) fn is_permitted(&self) -> bool {
        let (request, document) = (self.request, self.document);
        let opens = request.action == Action::Open;
        let Some(patient) = &document.patient else {
            let own_care = ["TREAT", "ETREAT", "CAREMGT", "HPAYMT", "HOPERAT"];
            let home = request.member == document.home && self.is_staff();
            let changes = home && own_care.contains(&request.purpose.as_str());
            return self.by_consents() != Some(Kind::Deny) && (opens || changes);
        };
        let home = request.member == document.home;
        let found = self.consents.iter().any(Consent::is_active);
        let is_normal = Labels::of(&document.labels).level() <= 3;
        let covered =
            |purposes: &[&str]| purposes.iter().any(|one| is_kind_of(&request.purpose, one));
        let implicit = match self.implicit {
            Implicit::BasicNormal => request.practitioner.is_some() && covered(&["TREAT"]),
            Implicit::AllNormal => covered(&["TREAT", "HPAYMT", "HOPERAT"]),
            Implicit::BreakGlassOnly | Implicit::Deny => false,
        };
        let implicit = implicit && !found && !home && opens && self.is_staff() && is_normal;
        let own_care = ["TREAT", "ETREAT", "CAREMGT", "HPAYMT", "HOPERAT"];
        let own_record = opens
            && request.on_behalf_of.is_none()
            && request.patient.as_ref() == Some(patient)
            && request.purpose == "PATRQT";
        let network = home
            && (own_record || (self.is_staff() && own_care.contains(&request.purpose.as_str())));
        let breaks = self.breaks_glass();
        let forbidden = (!home && !request.consents_known && !breaks)
            || (request.purpose == "BTG" && !breaks)
            || (!home && !found && self.implicit == Implicit::Deny)
            || self.by_consents() == Some(Kind::Deny);
        let by_consent = self.by_consents() == Some(Kind::Permit);
        !forbidden
            && (network || implicit || by_consent || self.is_delegated() || (breaks && opens))
    }

    fn by_consents(&self) -> Option<Kind> {
        let verdicts = self
            .consents
            .iter()
            .filter(|one| one.is_active())
            .filter_map(|consent| {
                let root = consent.provision.as_ref()?;
                self.verdict(
                    root,
                    consent.id.split('/').next().unwrap(),
                    &Named::default(),
                )
            });
        let verdicts: Vec<Kind> = verdicts.collect();
        [Kind::Deny, Kind::Permit]
            .into_iter()
            .find(|kind| verdicts.contains(kind))
    }
}
