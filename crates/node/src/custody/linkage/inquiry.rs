//! Another member's question: who of the patients here it may be about, what is decided, and what goes on record.

use std::sync::Arc;

use contracts::linkage::{self, Ruling};
use interop::fhir::ResourceType;
use interop::identity::{Encoding, Grade, Judgement, Model, Traits, judge_encoded};
use ledger::ids::Digest;
use ledger::stream::{Branch, GrantedBranch};

use super::LinkageOptions;
use super::waiting::WaitingRow;
use crate::custody::access::AccessDraft;
use crate::custody::append::Home;
use crate::custody::audit::decided_of;
use crate::custody::decide::Decision;
use crate::custody::matching::is_replaced;
use crate::custody::request::Requester;
use crate::custody::search::Match;
use crate::custody::subject::Subject;
use crate::custody::{Custody, CustodyError};

/// Patients that one question matches at most, the likeliest.
const MATCHED_MAX: usize = 4;
pub(super) const INTERACTION: &str = "discover";

/// Another member's question, whose access item the exchange has found final.
#[derive(Clone)]
pub struct Inquiry {
    /// Who asks; `member` is the other member.
    pub requester: Requester,
    /// What is asked for, as it stands in the requester's access descriptor.
    pub target: String,
    /// SHA-256 of the signed request.
    pub request: Digest,
    /// The HPKE key to which branch keys will be wrapped, which is also the encoding's salt.
    pub recipient: Vec<u8>,
    /// Whom it is about.
    pub encoding: Encoding,
}

impl std::fmt::Debug for Inquiry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inquiry(..)")
    }
}

/// A patient here whom a question matches.
struct Matched {
    subject: Arc<Subject>,
    draft: AccessDraft,
    /// What a person has to look at.
    waiting: Option<WaitingRow>,
    is_given: bool,
}

impl Custody {
    /// The keys of the index branch of the patient whom a question is about, if this member agrees. On record before it is
    /// answered, whoever was asked for.
    pub async fn answer_inquiry(
        &self,
        inquiry: &Inquiry,
    ) -> Result<Vec<GrantedBranch>, CustodyError> {
        let options = self.linkage()?.clone();
        let likely = self.likely(inquiry, &options).await?;
        let certain = likely.iter().filter(|(_, it)| it.grade == Grade::Certain);
        let is_one = certain.count() == 1;
        let mut matched = Vec::new();
        for (one, judgement) in likely {
            let is_the_certain_one = is_one && judgement.grade == Grade::Certain;
            let judged = (&judgement, is_the_certain_one);
            let decided = self.matched(inquiry, options.answers, (&one, judged));
            matched.extend(decided.await?);
        }
        let mut given = matched.iter().filter(|one| one.is_given);
        // Two who were approved cannot both be the one patient.
        let given = match (given.next(), given.next()) {
            (Some(one), None) => self.index_keys(&one.subject),
            _ => Vec::new(),
        };
        self.record_inquiry(inquiry, matched).await?;
        Ok(given)
    }

    /// Patients in the buckets of an encoding who may be the one, the likeliest first.
    async fn likely(
        &self,
        inquiry: &Inquiry,
        options: &LinkageOptions,
    ) -> Result<Vec<(Match, Judgement)>, CustodyError> {
        let (custody, secret) = (self.clone(), options.secret.clone());
        let (asked, salt) = (inquiry.encoding.clone(), inquiry.recipient.clone());
        // Comparisons by the hundred keep no request waiting.
        let compared = tokio::task::spawn_blocking(move || {
            let view = custody.0.store.view()?;
            let places = custody.in_buckets(&view, asked.buckets())?;
            let model = Model::default();
            let mut likely = Vec::new();
            for one in custody.at_places(&view, ResourceType::PATIENT, &places)? {
                if is_replaced(&one.row.terms) {
                    continue;
                }
                let own = Traits::of(&one.row.terms);
                let encoded = secret.encode(&own, &salt);
                let frequencies = custody.frequencies_around(&view, &own)?;
                let judgement = judge_encoded(&asked, (&own, &encoded), &model, &frequencies);
                if judgement.grade >= Grade::Possible {
                    likely.push((one, judgement));
                }
            }
            likely.sort_by(|(_, one), (_, other)| other.bits.total_cmp(&one.bits));
            likely.truncate(MATCHED_MAX);
            Ok(likely)
        });
        let compared = compared.await;
        compared.map_err(|error| CustodyError::Storage(error.to_string()))?
    }

    /// Decides on one patient as for a read of the Patient resource.
    async fn matched(
        &self,
        inquiry: &Inquiry,
        answers: linkage::Answers,
        (one, (judgement, is_the_certain_one)): (&Match, (&Judgement, bool)),
    ) -> Result<Option<Matched>, CustodyError> {
        let Some(head) = self.head(ResourceType::PATIENT, &one.row.id)? else {
            return Ok(None);
        };
        let by = &inquiry.requester;
        let subject = self.0.subjects.load(&head.subject)?;
        let loaded = self.current(&head)?;
        let facts = &loaded.row.facts.disclosure;
        let decision = self.decide(by, &subject, &[facts]).await?;
        let matched = linkage::Matched {
            is_permitted: decision.rulings.iter().all(|ruling| ruling.permitted),
            is_the_certain_one,
            standing: self.standing(&subject, &by.member)?,
        };
        let ruling = linkage::rule(answers, matched);
        let waiting = (ruling == Ruling::Wait)
            .then(|| WaitingRow::of(by, &one.row.id, judgement, self.now()));
        let is_given = ruling == Ruling::HandOver;
        let version = (one.document, head.version);
        let draft = self.inquired(inquiry, &decision, (&one.row.id, version, is_given));
        Ok(Some(Matched {
            subject,
            draft,
            waiting,
            is_given,
        }))
    }

    fn inquired(
        &self,
        inquiry: &Inquiry,
        decision: &Decision,
        (id, version, is_given): (&str, ([u8; 16], u64), bool),
    ) -> AccessDraft {
        let shown = is_given.then(|| format!("Patient/{id}"));
        let decided = decision.decided(shown.into_iter().collect());
        AccessDraft {
            decision: Some(decided_of(decided, [version])),
            ..self.question(inquiry)
        }
    }

    /// What goes on record of a question, whoever it is about.
    fn question(&self, inquiry: &Inquiry) -> AccessDraft {
        let by = &inquiry.requester;
        let place = (INTERACTION, inquiry.target.as_str());
        let who = (by.principal(), by.role.clone(), by.purpose.as_str());
        AccessDraft {
            requester: by.member.clone(),
            request: Some(inquiry.request),
            recipient: Some(inquiry.recipient.clone()),
            ..AccessDraft::at_home(&self.0.home.member, who, place, self.now())
        }
    }

    /// All of it in one batch. A question that matches nobody leaves an item as well: the ledger does not tell.
    async fn record_inquiry(
        &self,
        inquiry: &Inquiry,
        matched: Vec<Matched>,
    ) -> Result<(), CustodyError> {
        let by = &inquiry.requester;
        let mut records = Vec::new();
        for one in matched {
            let event = if one.is_given {
                by.audited_answer(&one.subject, &one.draft)
            } else {
                by.audited_access(&one.subject, &one.draft)
            };
            records.push((one.subject, (one.draft, event), one.waiting));
        }
        if records.is_empty() {
            let (directory, draft) = (self.0.subjects.directory(), self.question(inquiry));
            let event = by.audited_access(&directory, &draft);
            records.push((directory, (draft, event), None));
        }
        let home: Home = self.0.home.clone();
        self.0
            .store
            .transact(move |transaction| {
                for (subject, recorded, waiting) in records {
                    home.append_audited(transaction, &subject, recorded)?;
                    if let Some(row) = waiting {
                        home.put_waiting(transaction, &subject, row)?;
                    }
                }
                Ok(())
            })
            .await
    }

    fn index_keys(&self, subject: &Subject) -> Vec<GrantedBranch> {
        let branch = Branch::Index(self.0.home.member.clone());
        let keys = subject.branches.get(&branch);
        let keys = keys.into_iter().flat_map(|keys| keys.each());
        keys.map(|one| GrantedBranch {
            branch: branch.clone(),
            epoch: one.epoch,
            key: one.key.clone(),
        })
        .collect()
    }
}
