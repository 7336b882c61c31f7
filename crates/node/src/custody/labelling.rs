//! Labels: the rules in force at this member, and what a resource is labelled by beside its own content.
//!
//! Rules of the release, of the network (voted) and of the member (`node.toml`) hold together: each adds labels. What a
//! resource takes over from others follows references [`DEPTH`] steps far, and takes what each has of its own: so
//! references in circles end, and keep no label alive that nothing in the circle has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use contracts::membership::Registry;
use interop::fhir::labels::{
    Cause, Context, Finding, Label, RULES_BYTES, RuleSet, Rules, builtin, is_restricted, labels_in,
    needs_notice,
};
use interop::fhir::search::TokenTerm;
use interop::fhir::{Resource, ResourceType};
use ledger::ids::Digest;

use super::append::{Content, Precondition};
use super::rows::{Labelling, Own};
use super::subject::Subject;
use super::write::Named;
use super::{Custody, CustodyError};

/// References that labels are taken over.
const DEPTH: usize = 3;
/// Resources that are looked at for one resource's labels, at most; with more it is restricted.
const REACHED_MAX: usize = 1_024;

/// The rules in force and their digest.
pub(crate) struct InForce {
    pub(crate) rules: Rules,
    pub(crate) digest: Digest,
}

/// Follows which rules are in force.
pub(crate) struct Labeller {
    own: Vec<RuleSet>,
    followed: Mutex<Followed>,
}

struct Followed {
    revision: Option<u64>,
    voted: Option<String>,
    in_force: Arc<InForce>,
}

/// The labels of a resource.
pub(crate) struct Labelled {
    pub(crate) labels: BTreeSet<Label>,
    pub(crate) row: Labelling,
}

/// What is written together: labels are taken from it before it is stored.
#[derive(Default)]
pub(crate) struct Together {
    rows: BTreeMap<String, Labelling>,
}

/// Which rules gave a resource its labels.
pub struct Explanation {
    /// Why, label by label.
    pub findings: Vec<Finding>,
    /// The labels, as `system|code`.
    pub labels: Vec<String>,
    /// The versions of the rule sets in force.
    pub versions: Vec<String>,
    /// Their digest.
    pub digest: Digest,
}

impl std::fmt::Debug for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Explanation(..)")
    }
}

impl InForce {
    fn of(more: Vec<RuleSet>) -> Self {
        if more.is_empty() {
            return Self {
                digest: digest_of(builtin()),
                rules: builtin().clone(),
            };
        }
        let release = RuleSet::parse(RULES_BYTES).ok();
        let rules = Rules::of(release.into_iter().chain(more).collect());
        Self {
            digest: digest_of(&rules),
            rules,
        }
    }
}

fn digest_of(rules: &Rules) -> Digest {
    let texts: Vec<&[u8]> = rules.texts().collect();
    Digest::with_domain("careledger/label-rules/v1", &texts)
}

impl Labeller {
    pub(crate) fn new(own: Vec<RuleSet>) -> Self {
        let in_force = Arc::new(InForce::of(own.clone()));
        Self {
            own,
            followed: Mutex::new(Followed {
                revision: None,
                voted: None,
                in_force,
            }),
        }
    }

    /// The rules as of this registry.
    pub(crate) fn in_force(&self, registry: &Registry) -> Arc<InForce> {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        if followed.revision == Some(registry.revision()) {
            return Arc::clone(&followed.in_force);
        }
        followed.revision = Some(registry.revision());
        if followed.voted.as_deref() != registry.label_rules() {
            match registry
                .label_rules()
                .map(|text| RuleSet::parse(text.as_bytes()))
            {
                Some(Err(error)) => {
                    // What another release understands; the rules before it stay.
                    tracing::error!(%error, "the voted label rules cannot be read: run a newer release");
                }
                voted => {
                    let voted = voted.and_then(Result::ok);
                    let more = voted.into_iter().chain(self.own.iter().cloned());
                    followed.in_force = Arc::new(InForce::of(more.collect()));
                }
            }
            followed.voted = registry.label_rules().map(str::to_owned);
        }
        Arc::clone(&followed.in_force)
    }
}

impl Labelled {
    /// The labels as a descriptor has them.
    pub(crate) fn coded(&self) -> Vec<String> {
        coded(&self.labels)
    }

    /// The labels as decisions look at them.
    pub(crate) fn codes(&self) -> BTreeSet<String> {
        codes(&self.labels)
    }

    /// The branch in which a resource of the type belongs.
    pub(crate) fn branch(&self, resource_type: ResourceType) -> Own {
        if resource_type == ResourceType::CONSENT {
            Own::Consent
        } else if is_restricted(&self.labels) {
            Own::Restricted
        } else {
            Own::Index
        }
    }
}

impl Custody {
    /// The rules in force now.
    pub(super) fn label_rules(&self) -> Arc<InForce> {
        let (_, registry) = self.0.anchor.governed();
        self.0.labeller.in_force(&registry)
    }

    /// The labels of a resource, which is written together with others.
    pub(super) fn label(
        &self,
        resource: &Resource,
        subject: &Subject,
        together: &Together,
    ) -> Result<Labelled, CustodyError> {
        let in_force = self.label_rules();
        let (findings, row) = self.found(&in_force, resource, subject, together)?;
        Ok(Labelled {
            labels: labels_in(&findings),
            row,
        })
    }

    /// What of each change is its own, for those that refer to it.
    pub(super) fn together(&self, changes: &[Named]) -> Together {
        let mut rows = BTreeMap::new();
        if changes.len() < 2 {
            return Together { rows };
        }
        let in_force = self.label_rules();
        for change in changes {
            let Some(resource) = &change.resource else {
                continue;
            };
            let looked = in_force.rules.look(resource);
            let own = codes(&labels_in(&looked.findings(&Context::default())));
            let row = Labelling {
                rules: in_force.digest,
                own,
                from: looked.needs().sources,
                born: born(resource),
                possible: false,
            };
            rows.insert(format!("{}/{}", change.resource_type, change.id), row);
        }
        Together { rows }
    }

    /// Why a resource that may be shown has its labels; one that is not stored is explained by itself alone.
    pub fn explain_labels(
        &self,
        resource: &Resource,
        stored: Option<(ResourceType, &str)>,
    ) -> Result<Explanation, CustodyError> {
        let in_force = self.label_rules();
        let head = match stored {
            Some((resource_type, id)) => self.head(resource_type, id)?,
            None => None,
        };
        let findings = match head {
            Some(head) => {
                let subject = self.0.subjects.load(&head.subject)?;
                let nothing = Together::default();
                self.found(&in_force, resource, &subject, &nothing)?.0
            }
            None => in_force.rules.findings(resource, &Context::default()),
        };
        Ok(Explanation {
            labels: coded(&labels_in(&findings)),
            findings,
            versions: in_force.rules.versions().map(str::to_owned).collect(),
            digest: in_force.digest,
        })
    }

    /// Whether documents that refer to this one may have to take other labels from it than before.
    pub(super) fn hands_on_others(
        &self,
        (precondition, resource_type, id): (Precondition, ResourceType, String),
        content: Option<&Content>,
    ) -> Result<bool, CustodyError> {
        // Nobody knows the id of what is new.
        let (Some(content), false) = (content, precondition == Precondition::New) else {
            return Ok(false);
        };
        let row = &content.labelling;
        let Some(head) = self.head(resource_type, &id)? else {
            return Ok(!row.own.is_empty() || row.born.is_some());
        };
        let before = self.current(&head)?.row.facts;
        Ok(match &before.labelling {
            Some(before) => {
                (&before.own, &before.from, &before.born) != (&row.own, &row.from, &row.born)
            }
            None => before.disclosure.labels != row.own,
        })
    }

    fn found(
        &self,
        in_force: &InForce,
        resource: &Resource,
        subject: &Subject,
        together: &Together,
    ) -> Result<(Vec<Finding>, Labelling), CustodyError> {
        let looked = in_force.rules.look(resource);
        let needs = looked.needs();
        let recorded_ms = i64::try_from((self.0.options.clock)()).unwrap_or(i64::MAX);
        let mut context = Context {
            recorded_ms,
            ..Context::default()
        };
        if needs.birth_date {
            context.birth_date = self.birth_date(subject, together)?;
        }
        let own = labels_in(&looked.findings(&context));
        for source in &needs.sources {
            let labels = self.behind(source, subject, together)?;
            context.inherited.insert(source.clone(), labels);
        }
        let findings = looked.findings(&context);
        let row = Labelling {
            rules: in_force.digest,
            own: codes(&own),
            from: needs.sources,
            born: born(resource),
            possible: is_undecided(&findings),
        };
        Ok((findings, row))
    }

    /// When the subject was born, by the patient's current version.
    fn birth_date(
        &self,
        subject: &Subject,
        together: &Together,
    ) -> Result<Option<String>, CustodyError> {
        let Some(patient) = &subject.patient_id else {
            return Ok(None);
        };
        let row = self.labelling_of(&format!("Patient/{patient}"), subject, together)?;
        Ok(row.and_then(|row| row.born))
    }

    /// The labels that a resource hands on: its own, and those of what it takes labels from.
    fn behind(
        &self,
        source: &str,
        subject: &Subject,
        together: &Together,
    ) -> Result<BTreeSet<Label>, CustodyError> {
        let mut labels = BTreeSet::new();
        let mut reached = BTreeSet::from([source.to_owned()]);
        let mut at = vec![source.to_owned()];
        for _ in 0..DEPTH {
            let mut next = Vec::new();
            for source in at {
                let Some(row) = self.labelling_of(&source, subject, together)? else {
                    continue;
                };
                labels.extend(row.own.iter().filter_map(|code| Label::parse(code)));
                let fresh = row.from.into_iter();
                next.extend(fresh.filter(|one| reached.insert(one.clone())));
            }
            at = next;
        }
        if reached.len() > REACHED_MAX {
            labels.insert(Label::Restricted);
        }
        Ok(labels)
    }

    /// How the current version of a document of the subject's, or of the directory, was labelled.
    fn labelling_of(
        &self,
        source: &str,
        subject: &Subject,
        together: &Together,
    ) -> Result<Option<Labelling>, CustodyError> {
        if let Some(row) = together.rows.get(source) {
            return Ok(Some(row.clone()));
        }
        let named = source.split_once('/');
        let Some((resource_type, id)) =
            named.and_then(|(name, id)| Some((ResourceType::parse(name)?, id)))
        else {
            return Ok(None);
        };
        let Some(head) = self.head(resource_type, id)? else {
            return Ok(None);
        };
        if head.subject != subject.id && head.subject != self.0.subjects.directory().id {
            return Ok(None);
        }
        let facts = self.current(&head)?.row.facts;
        Ok(Some(facts.labelling.unwrap_or_else(|| Labelling {
            rules: Digest([0; 32]),
            own: facts.disclosure.labels,
            from: BTreeSet::new(),
            born: None,
            possible: false,
        })))
    }
}

pub(super) fn codes(labels: &BTreeSet<Label>) -> BTreeSet<String> {
    labels.iter().map(|label| label.code().to_owned()).collect()
}

fn coded(labels: &BTreeSet<Label>) -> Vec<String> {
    let labels = labels.iter();
    labels
        .map(|label| format!("{}|{}", label.system(), label.code()))
        .collect()
}

/// Labels that decisions look at, as `_security` finds them.
pub(super) fn searched(codes: &BTreeSet<String>) -> impl Iterator<Item = TokenTerm> {
    let labels = codes.iter().filter_map(|code| Label::parse(code));
    labels.map(|label| TokenTerm {
        system: Some(label.system().to_owned()),
        code: label.code().to_owned(),
    })
}

/// Labels that decisions look at, as they are shown.
pub(super) fn shown(codes: &BTreeSet<String>) -> Vec<String> {
    coded(&codes.iter().filter_map(|code| Label::parse(code)).collect())
}

/// Whether somebody has to say whether a resource is sensitive: nobody did in `meta.security`.
fn is_undecided(findings: &[Finding]) -> bool {
    let mut causes = findings.iter().map(|finding| &finding.cause);
    let is_decided = causes.any(|cause| matches!(cause, Cause::Security { .. }));
    !is_decided && findings.iter().any(|finding| finding.possible)
}

/// What is possibly sensitive, as `_security` finds it until somebody has decided.
pub(super) fn undecided(labelling: Option<&Labelling>) -> Option<TokenTerm> {
    let waits = labelling.is_some_and(|labelling| labelling.possible);
    waits.then(|| TokenTerm {
        system: Some("urn:careledger:labelling".to_owned()),
        code: "possible".to_owned(),
    })
}

/// Whether the notice of 42 CFR 2.32 goes with what has these labels.
pub(super) fn bears_notice(codes: &BTreeSet<String>) -> bool {
    !codes.is_empty() && needs_notice(shown(codes).iter().map(String::as_str))
}

fn born(resource: &Resource) -> Option<String> {
    if resource.resource_type() != ResourceType::PATIENT {
        return None;
    }
    resource.get("birthDate")?.as_str().map(str::to_owned)
}
