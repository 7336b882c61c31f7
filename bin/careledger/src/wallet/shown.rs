//! The access history and the notices, as the wallet prints them: who, why, under which rule, and why not.

use interop::fhir::timespan::format_instant;
use serde_json::{Value, json};

use super::{Attempt, View, WalletFolder};
use crate::said::say;

pub(super) async fn history(
    view: &View,
    folder: &WalletFolder,
    name: &str,
    json: bool,
) -> anyhow::Result<()> {
    let history = folder.wallet(name)?.history(view).await?;
    if json {
        let attempts: Vec<_> = history.attempts.iter().map(as_json).collect();
        return say(&serde_json::to_string_pretty(&attempts)?);
    }
    for attempt in &history.attempts {
        say(&line(attempt))?;
    }
    say(&format!(
        "{} accesses; {} of them are not final yet; all others verify against the ledger",
        history.attempts.len(),
        history.pending
    ))
}

pub(super) async fn notices(
    view: &View,
    folder: &WalletFolder,
    name: &str,
    json: bool,
) -> anyhow::Result<()> {
    let notices = folder.wallet(name)?.notices(view).await?;
    if json {
        let told = notices.iter();
        let told =
            told.map(|one| json!({ "member": one.member, "sent": one.sent, "text": one.text }));
        return say(&serde_json::to_string_pretty(&told.collect::<Vec<_>>())?);
    }
    let mut lines = notices.iter();
    lines.try_for_each(|one| say(&format!("{}  {:<10} {}", one.sent, one.member, one.text)))
}

fn at(attempt: &Attempt) -> String {
    format_instant(i64::try_from(attempt.access.at).unwrap_or(i64::MAX))
}

fn line(attempt: &Attempt) -> String {
    let access = &attempt.access;
    let outcome = match attempt.outcome() {
        None => "asked".to_owned(),
        Some((0, _)) => "denied".to_owned(),
        Some((opened, 0)) => format!("opened {opened}"),
        Some((opened, withheld)) => format!("opened {opened}, withheld {withheld}"),
    };
    let why_not = attempt.reason().map(|reason| format!(" ({reason})"));
    let emergency = access.emergency.as_ref();
    let emergency = emergency.map(|one| format!(", emergency declared by {}", one.personnel));
    let delegates = attempt.delegates();
    let delegate = delegates.last();
    let delegate = delegate.map(|delegate| format!(", {delegate} in the patient's place"));
    format!(
        "{}  {:<10} {:<24} {:<8} {:<11} {outcome} at {}{}{}{}",
        at(attempt),
        access.requester,
        access.principal,
        access.purpose,
        access.interaction,
        access.custodian,
        why_not.unwrap_or_default(),
        emergency.unwrap_or_default(),
        delegate.unwrap_or_default(),
    )
}

fn as_json(attempt: &Attempt) -> Value {
    let access = &attempt.access;
    let emergency = access.emergency.as_ref().map(|declared| {
        json!({
            "reason": declared.emergency.reason,
            "until": format_instant(declared.emergency.until),
            "personnel": declared.personnel,
            "affiliation": declared.affiliation,
            "nature": declared.nature,
        })
    });
    json!({
        "at": at(attempt),
        "recordedBy": attempt.recorded_by,
        "position": attempt.position,
        "requester": access.requester.as_str(),
        "principal": access.principal,
        "purpose": access.purpose,
        "interaction": access.interaction,
        "target": access.target,
        "custodian": access.custodian.as_str(),
        "opened": access.decision.as_ref().map(|decision| &decision.permitted),
        "withheld": access.decision.as_ref().map(|decision| decision.withheld),
        "reason": attempt.reason(),
        "rules": attempt.rules(),
        "emergency": emergency,
        "delegates": attempt.delegates(),
        "final": attempt.receipt.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use contracts::access::{Delegation, HeadRef, Limits, Link};
    use contracts::descriptor::{AccessDescriptor, Decided};
    use ledger::ids::Tag;

    use super::*;

    fn attempt(decision: Decided, on_behalf_of: Option<Delegation>) -> Attempt {
        let access = AccessDescriptor {
            requester: "clinic".parse().unwrap(),
            principal: "RelatedPerson/r1".to_owned(),
            role: None,
            purpose: "PATRQT".to_owned(),
            interaction: "read".to_owned(),
            target: "Observation/1".to_owned(),
            at: 1_780_315_200_000,
            custodian: "clinic".parse().unwrap(),
            request: None,
            recipient: None,
            expires_at: None,
            decision: Some(decision),
            next: Tag([0; 16]),
            further: None,
            audit: None,
            emergency: None,
            on_behalf_of,
        };
        Attempt {
            recorded_by: "clinic".to_owned(),
            position: 1,
            access,
            receipt: Some(()),
        }
    }

    fn decided(permitted: &[&str], reason: Option<&str>) -> Decided {
        Decided {
            permitted: permitted.iter().map(|&one| one.to_owned()).collect(),
            withheld: u32::from(reason.is_some()),
            reason: reason.map(str::to_owned),
            record: None,
            documents: None,
        }
    }

    #[test]
    fn a_denial_shows_its_coded_reason_to_the_patient() {
        let reason = "171.202(b): no consent in force permits it";
        let denied = attempt(decided(&[], Some(reason)), None);
        assert!(line(&denied).ends_with(&format!("denied at clinic ({reason})")));
        assert_eq!(as_json(&denied)["reason"], reason);
        let opened = attempt(decided(&["Observation/1"], None), None);
        assert!(line(&opened).ends_with("opened 1 at clinic"));
    }

    #[test]
    fn what_a_delegate_did_names_the_delegate() {
        let link = Link {
            consent: HeadRef {
                id: "clinic/c1".to_owned(),
                version: 1,
            },
            delegate: "RelatedPerson/r1".to_owned(),
            limits: Limits::default(),
        };
        let delegation = Delegation {
            patient: "p1".to_owned(),
            links: vec![link],
        };
        let act = attempt(decided(&["Observation/1"], None), Some(delegation));
        assert!(line(&act).ends_with(", RelatedPerson/r1 in the patient's place"));
        assert_eq!(as_json(&act)["delegates"][0], "RelatedPerson/r1");
    }
}
