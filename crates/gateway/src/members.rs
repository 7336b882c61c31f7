//! The registry of members for whoever asks: `/network/members` for people and scripts, `/network/succession` for proofs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use contracts::governance::{Action, Proposal};
use contracts::membership::{NodeCertificate, Registry, Seat, Standing};
use contracts::release::{Committee, Forming};
use interop::fhir::timespan::format_instant;
use ledger::genesis::Threshold;
use ledger::ids::{BlockTime, MemberName};
use ledger::node_key::NodeKey;
use node::chain::PublicLog;
use serde_json::{Value, json};

use crate::log::unreadable;

/// `GET /network/members`: members, certificates, validators and open proposals, as of the last applied block.
pub(crate) async fn members(State(log): State<Arc<dyn PublicLog>>) -> Json<Value> {
    let registry = log.registry();
    let rules = registry.rules();
    let seats = registry.seats().iter();
    let spans = registry.schedule().iter();
    Json(json!({
        "revision": registry.revision(),
        "format": registry.format(),
        "policies": registry.policies(),
        "labelRules": registry.label_rules(),
        "rules": {
            "epochBlocks": rules.epoch_blocks,
            "proposalBlocks": rules.proposal_blocks,
            "members": threshold(rules.members),
            "validators": threshold(rules.validators),
            "settings": threshold(rules.settings),
            "quota": rules.quota.map(|quota| json!({
                "itemsPerSecond": quota.items_per_second,
                "burstItems": quota.burst_items,
            })),
        },
        "members": seats.map(|seat| member(&registry, seat)).collect::<Vec<_>>(),
        "validators": spans.map(|span| json!({
            "fromEpoch": span.from.0,
            "members": registry.signatories(span.from).iter().map(|one| one.member.as_str()).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "proposals": registry.proposals().iter().map(proposal).collect::<Vec<_>>(),
        "committee": registry.committees().in_force().map(committee),
        "committeeForming": registry.committees().forming().map(forming),
    }))
}

/// `GET /network/succession`: what a verifier needs beside the genesis (`docs/formats/succession.md`).
pub(crate) async fn succession(State(log): State<Arc<dyn PublicLog>>) -> Response {
    match log.succession() {
        Ok(Some(succession)) => (
            [(header::CONTENT_TYPE, "application/cbor")],
            succession.encode(),
        )
            .into_response(),
        Ok(None) => {
            let error = "nothing has changed since the genesis";
            (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the succession cannot be read");
            unreadable()
        }
    }
}

fn member(registry: &Registry, seat: &Seat) -> Value {
    let certificates = registry.node_certificates();
    let own = certificates.filter(|(member, _)| **member == seat.name);
    json!({
        "member": seat.name.as_str(),
        "standing": match seat.standing {
            Standing::Active => "active",
            Standing::Suspended => "suspended",
            Standing::Removed => "removed",
        },
        "validates": seat.validator().is_some(),
        "validatorKey": seat.validators.last().map(|keys| hex::encode(keys.vote.0)),
        "endpoints": seat.endpoints.as_ref().map(|endpoints| json!({
            "consensus": endpoints.consensus,
            "exchange": endpoints.exchange,
        })),
        "certificates": own.map(|(_, one)| certificate(one)).collect::<Vec<_>>(),
    })
}

fn certificate(certificate: &NodeCertificate) -> Value {
    json!({
        "thumbprint": certificate.thumbprint.to_string(),
        "keyType": match certificate.key {
            NodeKey::Ed25519(_) => "Ed25519",
            NodeKey::P256(_) => "P-256",
        },
        "notBefore": instant(certificate.not_before),
        "notAfter": instant(certificate.not_after),
        "revoked": certificate.revoked.map(instant),
    })
}

fn proposal(proposal: &Proposal) -> Value {
    let names = |members: &[MemberName]| {
        let names = members.iter().map(|member| member.as_str().to_owned());
        names.collect::<Vec<_>>()
    };
    json!({
        "number": proposal.number,
        "action": said(&proposal.action),
        "proposer": proposal.proposer.as_str(),
        "closesAt": proposal.closes_at.0,
        "approvals": names(&proposal.approvals),
        "refusals": names(&proposal.refusals),
    })
}

/// What a proposal asks for, in a few words.
fn said(action: &Action) -> String {
    match action {
        Action::Admit { member, .. } => format!("admit {}", member.name),
        Action::Suspend(member) => format!("suspend {member}"),
        Action::Reinstate(member) => format!("reinstate {member}"),
        Action::Remove(member) => format!("remove {member}"),
        Action::ReplaceAuthority { member, .. } => format!("replace the authority of {member}"),
        Action::AddValidator(member) => format!("add validator {member}"),
        Action::RemoveValidator(member) => format!("remove validator {member}"),
        Action::SetPolicies(policies) => format!("set policies ({} bytes)", policies.len()),
        Action::SetRules(_) => "set rules".to_owned(),
        Action::SetFormat(format) => format!("set format {format}"),
        Action::SetCommittee { k, members, renews } => {
            let names: Vec<_> = members.iter().map(MemberName::as_str).collect();
            let renewed = if *renews { " with a new key" } else { "" };
            format!("set committee {k} of {}{renewed}", names.join(", "))
        }
        Action::SetLabelRules(rules) => format!("set label rules ({} bytes)", rules.len()),
    }
}

/// The committee to which keys are sealed.
fn committee(committee: &Committee) -> Value {
    let members = committee.members.iter();
    json!({
        "round": committee.round,
        "key": committee.key,
        "k": committee.k,
        "members": members.map(|one| one.member.as_str()).collect::<Vec<_>>(),
        "since": committee.since.0,
    })
}

/// A round under way, and for whom it waits.
fn forming(forming: &Forming) -> Value {
    let awaited = forming.awaited().into_iter();
    json!({
        "round": forming.number,
        "k": forming.k,
        "members": forming.members.iter().map(MemberName::as_str).collect::<Vec<_>>(),
        "passesOnKey": forming.passes_on,
        "stage": if forming.is_dealing() { "dealing" } else { "joining" },
        "logs": forming.logs.len(),
        "awaited": awaited.map(MemberName::as_str).collect::<Vec<_>>(),
    })
}

fn threshold(threshold: Threshold) -> String {
    format!(
        "more than {}/{}",
        threshold.numerator, threshold.denominator
    )
}

pub(crate) fn instant(time: BlockTime) -> String {
    format_instant(i64::try_from(time.0).unwrap_or(i64::MAX))
}
