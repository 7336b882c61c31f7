//! Consents: what the patient's wallet signs, and what members pass on to each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use contracts::descriptor::{Descriptor, RecordDescriptor};
use ed25519_zebra::{Signature, VerificationKey};
use interop::fhir::{IssueType, ParseLimits, Resource};
use ledger::codec;
use ledger::ids::{Digest, MemberName, NetworkId, Tag};
use ledger::item::Opening;
use ledger::stream::Branch;
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use super::branch::EpochKey;
use super::moved::Numbered;
use super::request::{MissingConsent, SealedConsent};
use super::rows::{AdoptedRow, EntryRow, Own, SignedRow, adopted_key, decode};
use super::store::Table;
use super::subject::Subject;
use super::write::invalid;
use super::{Custody, CustodyError, cipher};

/// A consent entry as it travels.
#[derive(Encode, Decode)]
struct TravellingConsent {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    descriptor: Vec<u8>,
    #[n(1)]
    opening: Opening,
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    content: Vec<u8>,
    #[n(3)]
    signed: Option<SignedRow>,
}

/// Whether the wallet signed exactly these bytes: a detached JWS (RFC 7515 appendix F) with EdDSA.
pub(super) fn check_signature(
    wallet_key: &[u8; 32],
    body: &[u8],
    jws: &str,
) -> Result<(), CustodyError> {
    let valid = || {
        let (header, signature) = jws.split_once("..")?;
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(header).ok()?;
        let fields: serde_json::Value = serde_json::from_slice(&decoded).ok()?;
        // A critical extension would change what is signed (RFC 7797).
        if fields.get("alg")?.as_str()? != "EdDSA" || fields.get("crit").is_some() {
            return None;
        }
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
        let signature = Signature::from_slice(&signature).ok()?;
        let input = format!("{header}.{}", BASE64_URL_SAFE_NO_PAD.encode(body));
        let key = VerificationKey::try_from(*wallet_key).ok()?;
        key.verify(&signature, input.as_bytes()).ok()
    };
    valid().ok_or(CustodyError::ConsentNotSigned)
}

impl Custody {
    pub(super) fn sealed_consents(
        &self,
        tags: &[Tag],
    ) -> impl Iterator<Item = Result<Option<Sealing>, CustodyError>> {
        tags.iter().map(|tag| {
            let Some(EntryRow::Version { document, version }) = self.entry(*tag)? else {
                return Ok(None);
            };
            let (_, subject) = self.subject_of(&document)?;
            let loaded = self.load(&document, version)?;
            let of_consents = loaded.filter(|loaded| loaded.row.facts.branch == Own::Consent);
            Ok(of_consents.map(|loaded| Sealing {
                tag: *tag,
                subject,
                loaded,
            }))
        })
    }

    /// Seals a consent entry for the holders of its branch.
    pub(super) async fn seal_consent(
        &self,
        sealing: Sealing,
    ) -> Result<SealedConsent, CustodyError> {
        let Sealing {
            tag,
            subject,
            loaded,
        } = sealing;
        let content = if loaded.row.facts.deleted {
            Vec::new()
        } else {
            let payloads = &self.0.payloads;
            payloads
                .open(&loaded.erase, &loaded.row.payload)
                .await?
                .to_vec()
        };
        let consent = TravellingConsent {
            opening: loaded.erase.opening(),
            descriptor: loaded.row.descriptor,
            content,
            signed: loaded.row.signed,
        };
        let key = subject.key(Own::Consent)?.descriptor_key(loaded.row.entry);
        let bound = binding(self.0.home.network, &self.0.home.member, tag);
        let sealed = cipher::seal(&key, &bound, &Zeroizing::new(codec::encode(&consent)));
        Ok(SealedConsent { tag, sealed })
    }

    pub(super) async fn adopt(
        &self,
        patient_id: &str,
        from: &MemberName,
        sealed: &SealedConsent,
    ) -> Result<(), CustodyError> {
        let subject = self.0.subjects.of_patient(patient_id)?;
        let subject = subject.ok_or(CustodyError::UnknownPatient)?;
        let named = Branch::Consent(from.clone());
        let branch = subject.branches.get(&named);
        let branch = branch.ok_or(CustodyError::NotFound)?;
        let known = self.adopted(&subject, from)?;
        let has = |one: &EpochKey| {
            let entries = one.key.entries();
            (1..=known).any(|position| entries.tag(position) == sealed.tag)
        };
        let position = known.saturating_add(1);
        let under = match self.numbered(from, branch, position)? {
            Numbered::At(under, at) if under.key.entries().tag(at) == sealed.tag => under,
            _ if branch.each().any(has) => return Ok(()),
            _ => {
                return Err(invalid(
                    IssueType::Conflict,
                    "an entry before this one is missing",
                ));
            }
        };
        let bound = binding(self.0.home.network, from, sealed.tag);
        let consent = cipher::open(&under.key.descriptor_key(), &bound, &sealed.sealed)?;
        let consent: TravellingConsent = decode("consent", &consent)?;
        self.check_recorded(from, sealed.tag, &consent)?;
        let wallets = subject.signers(&named, under.epoch);
        check_content(wallets, &consent)?;
        let key = adopted_key(&subject.id, from, Some(position));
        let row = AdoptedRow {
            from: from.clone(),
            descriptor: consent.descriptor,
            opening: consent.opening,
            content: consent.content,
        };
        let home = self.0.home.clone();
        self.0
            .store
            .transact(move |transaction| {
                home.keys.put(transaction, Table::Adopted, &key, &row);
                Ok(())
            })
            .await?;
        self.0.rulings.forget(&subject.id);
        self.expect_consents_of(&subject)
    }

    /// Whether the entry is final on the ledger, as `from` recorded it.
    fn check_recorded(
        &self,
        from: &MemberName,
        tag: Tag,
        consent: &TravellingConsent,
    ) -> Result<(), CustodyError> {
        let Some(position) = self.0.anchor.locate(from, tag)? else {
            return Err(CustodyError::Unavailable {
                what: "the final consent entry",
            });
        };
        let (member, item) = self.0.anchor.item(position)?;
        let digest = Digest::of(&consent.descriptor);
        if member == *from && item.opens_to(self.0.home.network, from, &consent.opening, digest) {
            Ok(())
        } else {
            Err(invalid(
                IssueType::BusinessRule,
                "the consent is not the one that the ledger holds",
            ))
        }
    }

    pub(super) fn missing(&self, subject: &Subject) -> Result<Vec<MissingConsent>, CustodyError> {
        let mut missing = Vec::new();
        for (from, keys) in subject.foreign_consents(&self.0.home.member) {
            let mut position = self.adopted(subject, from)?.saturating_add(1);
            while let Numbered::At(under, at) = self.numbered(from, keys, position)? {
                let tag = under.key.entries().tag(at);
                if self.0.anchor.locate(from, tag)?.is_none() {
                    break;
                }
                missing.push(MissingConsent {
                    from: from.clone(),
                    position,
                    tag,
                });
                position = position.saturating_add(1);
            }
        }
        Ok(missing)
    }

    /// Whether every consent of the patient that the ledger has is here. It is not, if consents go on under a key that
    /// the patient did not give to this member: what they say is not known here any more.
    pub(super) fn knows_all_consents(&self, subject: &Subject) -> Result<bool, CustodyError> {
        for (from, keys) in subject.foreign_consents(&self.0.home.member) {
            let position = self.adopted(subject, from)?.saturating_add(1);
            let Numbered::At(under, at) = self.numbered(from, keys, position)? else {
                return Ok(false);
            };
            if self
                .0
                .anchor
                .locate(from, under.key.entries().tag(at))?
                .is_some()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn overdue(&self) -> Result<Vec<(String, MemberName, Tag)>, CustodyError> {
        let expected = self.0.expected().clone();
        let mut overdue = Vec::new();
        for ((from, tag), patient_id) in expected {
            if self.0.anchor.locate(&from, tag)?.is_some()
                && let Some(patient_id) = self.still_expects(patient_id, &from, tag)?
            {
                overdue.push((patient_id, from, tag));
            }
        }
        Ok(overdue)
    }

    /// The patient, unless the ledger has the end of the stream under the tag: then the next one is waited for.
    pub(super) fn still_expects(
        &self,
        patient_id: String,
        from: &MemberName,
        tag: Tag,
    ) -> Result<Option<String>, CustodyError> {
        let Some(subject) = self.0.subjects.of_patient(&patient_id)? else {
            return Ok(None);
        };
        let place = (from.clone(), tag);
        self.0.expected().remove(&place);
        self.expect_consents_of(&subject)?;
        let is_expected = self.0.expected().contains_key(&place);
        Ok(is_expected.then_some(patient_id))
    }

    pub(super) fn knows_consents_for(&self, documents: &[Tag]) -> Result<bool, CustodyError> {
        let mut subjects = BTreeMap::new();
        for tag in documents {
            if let Some(EntryRow::Version { document, .. }) = self.entry(*tag)? {
                let (head, subject) = self.subject_of(&document)?;
                subjects.insert(head.subject, subject);
            }
        }
        for subject in subjects.values() {
            if !self.knows_all_consents(subject)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Entries of `from` that this member has adopted: positions from 1 without gaps.
    pub(super) fn adopted(
        &self,
        subject: &Subject,
        from: &MemberName,
    ) -> Result<u64, CustodyError> {
        let prefix = adopted_key(&subject.id, from, None);
        self.0
            .store
            .scan(Table::Adopted, &prefix)
            .try_fold(0_u64, |count, row| row.map(|_| count.saturating_add(1)))
    }

    /// Notes which tags other members' next consents of this subject will have.
    pub(super) fn expect_consents_of(&self, subject: &Subject) -> Result<(), CustodyError> {
        let Some(patient_id) = &subject.patient_id else {
            return Ok(());
        };
        for (from, keys) in subject.foreign_consents(&self.0.home.member) {
            let known = self.adopted(subject, from)?;
            let tag = |number: u64| -> Result<Option<Tag>, CustodyError> {
                Ok(match self.numbered(from, keys, number)? {
                    Numbered::At(under, at) => Some(under.key.entries().tag(at)),
                    Numbered::Beyond => None,
                })
            };
            let (before, next) = (tag(known)?, tag(known.saturating_add(1))?);
            let mut expected = self.0.expected();
            if let Some(tag) = before.filter(|_| known > 0) {
                expected.remove(&(from.clone(), tag));
            }
            if let Some(tag) = next {
                expected.insert((from.clone(), tag), patient_id.clone());
            }
        }
        Ok(())
    }
}

/// A consent entry that is about to be sealed for its branch.
pub(super) struct Sealing {
    tag: Tag,
    subject: Arc<Subject>,
    loaded: super::read::Loaded,
}

/// Whether the content is the descriptor's, and what one of the wallet's keys signed.
fn check_content(
    mut wallets: impl Iterator<Item = [u8; 32]>,
    consent: &TravellingConsent,
) -> Result<(), CustodyError> {
    let refused = |why: &str| invalid(IssueType::BusinessRule, why);
    let Ok(Descriptor::Record(record)) = Descriptor::decode(&consent.descriptor) else {
        return Err(refused("the entry is not of a document"));
    };
    if record.resource_type != "Consent" || Digest::of(&consent.content) != record.content {
        return Err(refused(
            "the content is not the consent that the descriptor names",
        ));
    }
    let signed = consent
        .signed
        .as_ref()
        .ok_or(CustodyError::ConsentNotSigned)?;
    let is_stored =
        stored_form(&record, &signed.body).as_deref() == Some(consent.content.as_slice());
    if is_stored && wallets.any(|key| check_signature(&key, &signed.body, &signed.jws).is_ok()) {
        Ok(())
    } else {
        Err(CustodyError::ConsentNotSigned)
    }
}

/// The content that a home member stores for a posted body.
fn stored_form(record: &RecordDescriptor, body: &[u8]) -> Option<Vec<u8>> {
    let resource = Resource::parse(body, &ParseLimits::default()).ok()?;
    resource.stored(&record.id).ok()
}

fn binding(network: NetworkId, member: &MemberName, tag: Tag) -> Vec<u8> {
    let place = super::keys::descriptor_binding(network, member, tag);
    [b"careledger/consent/v1".as_slice(), &place].concat()
}
