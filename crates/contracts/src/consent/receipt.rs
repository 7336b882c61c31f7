//! Consent receipts: what a patient agreed to, and how it went on, for people and machines that do not read FHIR.
//!
//! ```text
//! protected . payload . signature                        a compact JWS (RFC 7515), all in base64url
//! protected = {"alg", "typ": "consent-receipt+jwt", "kid": "MEMBER/SHA-256 of the node's certificate, hex"}
//! payload   = a record as of ISO/IEC TS 27560:2023, in JSON-LD with terms of the Data Privacy Vocabulary,
//!             and in "careledger:proof" the version of the Consent with its receipt (`export`)
//! ```
//! # Invariants
//! - **R1** Who checks makes the record anew from the Consent that the ledger holds: the member cannot say anything else
//!   of it. The events, which tell of other versions too, are the member's word under its signature.
//! - **R2** The patient is named by reference alone.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use interop::fhir::timespan::format_instant;
use ledger::codec::DecodeError;
use ledger::ids::{Digest, MemberName};
use ledger::node_key::{Algorithm, NodeKey, SigningNode};
use ledger::receipt::Trust;
use serde_json::{Map, Value, json};

use super::life::{self, State};
use super::{Actor, Consent, Kind, Provision, Rejection, Span, explain, part2};
use crate::export::{self, Export, ExportError};

/// The media type of a receipt.
pub const MEDIA_TYPE: &str = "application/jose";
const TYPE: &str = "consent-receipt+jwt";
const RECORD: &str = "dpv:hasRecordOfActivity";
const PROOF: &str = "careledger:proof";
const EVENTS: &str = "careledger:event";
const CONTROLLERS: &str = "dpv:hasDataController";
/// Where the shape of records and receipts is described.
const SCHEMA: &str = "https://w3id.org/dpv/schema/dpv-27560";

/// A version of a consent, as its events need it.
#[derive(Clone)]
pub struct Version {
    /// FHIR `meta.versionId`.
    pub number: u64,
    /// When it was written, milliseconds since 1970.
    pub at: u64,
    /// The Consent; `None` if the version deletes it or was erased.
    pub content: Option<Value>,
}

/// What a receipt is made of.
pub struct Facts<'a> {
    /// The version that the receipt is for, with the ledger's receipt.
    pub export: &'a Export,
    /// The member that has it.
    pub home: &'a MemberName,
    /// When the receipt is made, milliseconds since 1970.
    pub at: u64,
    /// The versions up to that one, the oldest first.
    pub versions: &'a [Version],
    /// The members of the network, which hold records of the patient.
    pub controllers: &'a [String],
}

/// What a receipt proves.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    /// What the ledger proves of the version.
    pub export: export::Verified,
    /// The consent in sentences.
    pub sentences: Vec<String>,
    /// The events, as the member says.
    pub events: Vec<String>,
}

/// Where a receipt fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The text is not a receipt.
    #[error("the file is not a consent receipt")]
    Malformed,
    /// The member has no such certificate.
    #[error("a certificate is named that `{0}` does not have")]
    UnknownCertificate(MemberName),
    /// The signature does not verify.
    #[error("the receipt is not signed by `{0}`")]
    NotSigned(MemberName),
    /// The proof is not an export.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The proof proves nothing.
    #[error("in the proof: {0}")]
    Export(#[from] ExportError),
    /// Another member signs than the one that recorded the consent.
    #[error("the receipt is signed by another member than the one that has the consent")]
    OtherMember,
    /// The record is not what the Consent says.
    #[error("the record says something else than the consent that the ledger holds")]
    OtherRecord,
}

/// The payload of a receipt.
pub fn payload(facts: &Facts<'_>) -> Result<Value, Rejection> {
    let content = serde_json::from_slice(&facts.export.content);
    let content: Value = content.map_err(|_| Rejection::Malformed("Consent".to_owned()))?;
    let number = facts.versions.last().map_or(0, |version| version.number);
    let mut record = record(facts.home, number, &content)?;
    record.insert(CONTROLLERS.to_owned(), json!(facts.controllers));
    record.insert(EVENTS.to_owned(), events(facts.versions)?.into());
    let name = &record["dct:identifier"];
    Ok(json!({
        "@context": {
            "careledger": "urn:careledger:",
            "dct": "http://purl.org/dc/terms/",
            "dpv": "https://w3id.org/dpv#",
            "loc": "https://w3id.org/dpv/loc#",
            "schema": "https://schema.org/",
        },
        "@type": "dpv:ConsentReceipt",
        "dct:identifier": format!("{}/receipt", name.as_str().unwrap_or_default()),
        "dct:conformsTo": format!("{SCHEMA}#receipt"),
        "dct:created": instant(facts.at),
        "dct:publisher": facts.home.as_str(),
        "schema:recipient": "dpv:DataSubject",
        RECORD: record,
        PROOF: BASE64_URL_SAFE_NO_PAD.encode(facts.export.encode()),
    }))
}

/// What a node signs: header and payload.
pub fn signing_input(payload: &Value, node: &SigningNode<'_>) -> String {
    let header = json!({
        "alg": algorithm_name(node.algorithm),
        "typ": TYPE,
        "kid": format!("{}/{}", node.member, node.certificate),
    });
    let encode = |part: String| BASE64_URL_SAFE_NO_PAD.encode(part);
    format!(
        "{}.{}",
        encode(header.to_string()),
        encode(payload.to_string())
    )
}

/// The receipt with its signature.
pub fn signed(input: &str, signature: &[u8]) -> String {
    format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// The payload of a receipt, unchecked.
pub fn peek(receipt: &str) -> Option<Value> {
    let payload = receipt.trim().split('.').nth(1)?;
    json_in(payload)
}

/// The version of the Consent in a receipt, unchecked.
pub fn proof(receipt: &str) -> Result<Export, ReceiptError> {
    proof_in(&peek(receipt).ok_or(ReceiptError::Malformed)?)
}

/// Checks every link from the record to the validators' signatures.
pub fn verify<F>(receipt: &str, trust: &Trust<F>) -> Result<Verified, ReceiptError>
where
    F: Fn(&MemberName, Digest) -> Option<NodeKey>,
{
    let (input, signature) = receipt
        .trim_end()
        .rsplit_once('.')
        .ok_or(ReceiptError::Malformed)?;
    let (header, payload) = input.split_once('.').ok_or(ReceiptError::Malformed)?;
    let signature = BASE64_URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| ReceiptError::Malformed)?;
    let header = json_in(header).ok_or(ReceiptError::Malformed)?;
    let (member, certificate) = signer(&header).ok_or(ReceiptError::Malformed)?;
    let key = (trust.key_of)(&member, certificate);
    let key = key.ok_or_else(|| ReceiptError::UnknownCertificate(member.clone()))?;
    let is_of_key = header["alg"] == algorithm_name(key.algorithm());
    if !is_of_key || key.verify(input.as_bytes(), &signature).is_err() {
        return Err(ReceiptError::NotSigned(member));
    }
    let payload = json_in(payload).ok_or(ReceiptError::Malformed)?;
    let proof = proof_in(&payload)?;
    let proven = export::verify(&proof, trust)?;
    if proven.member != member {
        return Err(ReceiptError::OtherMember);
    }
    let content: Value =
        serde_json::from_slice(&proof.content).map_err(|_| ReceiptError::OtherRecord)?;
    let is_consent = proven.resource_type == "Consent" && content["id"] == proven.id.as_str();
    let made_anew =
        record(&member, proven.version, &content).map_err(|_| ReceiptError::OtherRecord)?;
    let says = payload
        .get(RECORD)
        .and_then(Value::as_object)
        .ok_or(ReceiptError::Malformed)?;
    let is_same = made_anew
        .iter()
        .all(|(name, value)| says.get(name) == Some(value));
    let adds_nothing = says
        .keys()
        .all(|name| made_anew.contains_key(name) || [EVENTS, CONTROLLERS].contains(&name.as_str()));
    if !is_consent || !is_same || !adds_nothing {
        return Err(ReceiptError::OtherRecord);
    }
    Ok(Verified {
        sentences: strings(&made_anew["dct:description"]),
        events: told(says.get(EVENTS)),
        export: proven,
    })
}

fn proof_in(payload: &Value) -> Result<Export, ReceiptError> {
    let proof = payload.get(PROOF).and_then(Value::as_str);
    let proof = proof.and_then(|proof| BASE64_URL_SAFE_NO_PAD.decode(proof).ok());
    Ok(Export::decode(&proof.ok_or(ReceiptError::Malformed)?)?)
}

/// What the Consent itself says, as a record.
fn record(
    home: &MemberName,
    version: u64,
    content: &Value,
) -> Result<Map<String, Value>, Rejection> {
    let id = content["id"].as_str().unwrap_or_default();
    let consent = Consent::read(&format!("{home}/{id}"), version, content)?;
    let state = State::of(content)?;
    let mut processes = Vec::new();
    if let Some(root) = &consent.provision {
        collect(root, &[], &mut processes);
    }
    let name = format!("{home}/Consent/{id}");
    let mut record = Map::new();
    let mut put = |name: &str, value: Value| {
        record.insert(name.to_owned(), value);
    };
    put("@type", json!("dpv:ConsentRecord"));
    put("dct:identifier", json!(name));
    put("dct:hasVersion", json!(version));
    put("dct:conformsTo", json!(format!("{SCHEMA}#record")));
    put("dpv:hasDataSubject", json!(consent.patient));
    put("dpv:hasConsentStatus", json!(status(state)));
    put("dpv:hasProcess", processes.into());
    put(
        "dct:description",
        json!(explain::sentences(&consent, state)),
    );
    if let Some(given) = content.get("dateTime") {
        put("dpv:isIndicatedAtTime", given.clone());
    }
    let notices = notices(content);
    if !notices.is_empty() {
        put("dpv:hasNotice", notices.into());
    }
    if part2::is_part2(content) {
        put("dpv:hasJurisdiction", json!("loc:US"));
        put("dpv:hasApplicableLaw", json!("42 CFR part 2"));
    }
    Ok(record)
}

/// One process for each rule, with what the rules around it say.
fn collect(rule: &Provision, around: &[&Provision], found: &mut Vec<Value>) {
    let path: Vec<&Provision> = around.iter().copied().chain([rule]).collect();
    if let Some(kind) = rule.kind {
        let nearest = |of: fn(&Provision) -> Vec<String>| {
            let mut own = path.iter().rev().map(|rule| of(rule));
            own.find(|all| !all.is_empty()).unwrap_or_default()
        };
        let span = path.iter().filter_map(|rule| rule.period).reduce(Span::and);
        let bound = |ms: Option<i64>| ms.map(|ms| json!(format_instant(ms)));
        let permits = match kind {
            Kind::Permit => "permit",
            Kind::Deny => "deny",
        };
        let all = [
            ("@type", Some(json!("dpv:Process"))),
            ("careledger:rule", Some(json!(permits))),
            (
                "dpv:hasPurpose",
                some(nearest(|rule| {
                    rule.purposes.iter().map(|code| purpose(code)).collect()
                })),
            ),
            (
                "dpv:hasPersonalData",
                some(nearest(|rule| {
                    rule.types.iter().chain(&rule.documents).cloned().collect()
                })),
            ),
            ("careledger:code", some(nearest(|rule| rule.codes.clone()))),
            (
                "careledger:securityLabel",
                some(nearest(|rule| rule.labels.clone())),
            ),
            ("dpv:hasRecipient", some(nearest(recipients))),
            ("schema:startTime", bound(span.and_then(|span| span.start))),
            ("schema:endTime", bound(span.and_then(|span| span.end))),
        ];
        let there = all
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        found.push(Value::Object(there.collect()));
    }
    for nested in &rule.nested {
        collect(nested, &path, found);
    }
}

fn recipients(rule: &Provision) -> Vec<String> {
    let actors = rule.actors.iter().map(|actor| match actor {
        Actor::Member(name) => name.clone(),
        Actor::Named(who) => who.clone(),
        Actor::Role(role) => format!("role {role}"),
    });
    actors
        .chain(rule.delegates.iter().map(|one| one.who.clone()))
        .collect()
}

/// The vocabulary's term where it has one, else the code of v3-ActReason.
fn purpose(code: &str) -> String {
    match code {
        "HMARKT" => "dpv:Marketing".to_owned(),
        "HPAYMT" => "dpv:PaymentManagement".to_owned(),
        "HRESCH" => "dpv:ResearchAndDevelopment".to_owned(),
        other => format!("http://terminology.hl7.org/CodeSystem/v3-ActReason#{other}"),
    }
}

fn status(state: State) -> &'static str {
    match state {
        State::Draft => "dpv:ConsentUnknown",
        State::Proposed => "dpv:ConsentRequested",
        State::Active => "dpv:ConsentGiven",
        // The vocabulary has no word for what can be resumed.
        State::Suspended => "careledger:ConsentSuspended",
        State::Withdrawn => "dpv:ConsentWithdrawn",
        State::Rejected => "dpv:ConsentRefused",
        State::EnteredInError => "dpv:ConsentInvalidated",
    }
}

/// What the patient was told or has signed, by reference.
fn notices(content: &Value) -> Vec<Value> {
    let policies = content.get("policy").and_then(Value::as_array);
    let uris = policies
        .into_iter()
        .flatten()
        .filter_map(|one| one.get("uri"));
    let sources = ["/sourceReference/reference", "/sourceAttachment/url"];
    let sources = sources
        .iter()
        .filter_map(|pointer| content.pointer(pointer));
    uris.chain(sources).cloned().collect()
}

fn events(versions: &[Version]) -> Result<Vec<Value>, Rejection> {
    let mut before: Option<&Value> = None;
    let mut all = Vec::new();
    for version in versions {
        let (name, state) = match &version.content {
            Some(content) => (
                life::event(before, content)?.name(),
                status(State::of(content)?),
            ),
            None => ("deleted", "dpv:ConsentUnknown"),
        };
        all.push(json!({
            "dct:hasVersion": version.number,
            "dct:date": instant(version.at),
            "careledger:eventType": name,
            "dpv:hasConsentStatus": state,
        }));
        before = version.content.as_ref();
    }
    Ok(all)
}

fn told(events: Option<&Value>) -> Vec<String> {
    let events = events.and_then(Value::as_array).into_iter().flatten();
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let line = |one: &Value| {
        format!(
            "{} {}",
            text(one, "dct:date"),
            text(one, "careledger:eventType")
        )
    };
    events.map(line).collect()
}

fn signer(header: &Value) -> Option<(MemberName, Digest)> {
    // A critical extension would change what is signed (RFC 7515 §4.1.11).
    if header.get("typ")?.as_str()? != TYPE || header.get("crit").is_some() {
        return None;
    }
    let (member, certificate) = header.get("kid")?.as_str()?.split_once('/')?;
    Some((member.parse().ok()?, Digest::from_hex(certificate)?))
}

fn algorithm_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::EdDsa => "EdDSA",
        Algorithm::Es256 => "ES256",
    }
}

fn json_in(part: &str) -> Option<Value> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn some(all: Vec<String>) -> Option<Value> {
    (!all.is_empty()).then(|| json!(all))
}

fn strings(value: &Value) -> Vec<String> {
    let all = value.as_array().into_iter().flatten();
    all.filter_map(|one| one.as_str().map(str::to_owned))
        .collect()
}

fn instant(ms: u64) -> String {
    format_instant(i64::try_from(ms).unwrap_or(i64::MAX))
}

macro_rules! redacted {
    ($($name:ty),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

redacted!(Version, Facts<'_>, Verified);
