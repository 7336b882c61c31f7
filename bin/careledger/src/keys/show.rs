//! The keys in a table.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use vault::keystore::{KeyStore, KeyStoreError, SecretKind, SecretName};

use super::{Opened, kind, place};

const DAY: u64 = 86_400;

pub(super) fn run(opened: &Opened, as_json: bool) -> anyhow::Result<()> {
    let keys = &*opened.keys;
    let mut out = std::io::stdout().lock();
    let mut rows = Vec::new();
    for name in keys.names() {
        let facts = keys.facts(&name)?;
        let public = public_part(keys, &name, facts.kind)?;
        if as_json {
            rows.push(json!({
                "name": name.to_string(),
                "kind": kind(facts.kind),
                "where": place(facts.place),
                "madeAt": facts.made_at,
                "publicKey": public,
            }));
            continue;
        }
        let age = facts.made_at.and_then(age_days);
        let age = age.map_or("-".to_owned(), |days| format!("{days} d"));
        writeln!(
            out,
            "{:<14} {:<10} {:<6} {age:>7}  {}",
            name.to_string(),
            kind(facts.kind),
            place(facts.place),
            short(public.as_deref().unwrap_or("-"))
        )?;
    }
    if as_json {
        writeln!(out, "{}", serde_json::to_string_pretty(&Value::from(rows))?)?;
    }
    Ok(())
}

/// Whole days since then.
pub(super) fn age_days(made_at: u64) -> Option<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(now.as_secs().saturating_sub(made_at) / DAY)
}

/// The public part in hex; a symmetric key has none.
pub(super) fn public_part(
    keys: &dyn KeyStore,
    name: &SecretName,
    kind: SecretKind,
) -> Result<Option<String>, KeyStoreError> {
    Ok(match kind {
        SecretKind::Signing | SecretKind::SigningP256 => {
            Some(hex::encode(keys.signing_public_key(name)?.as_bytes()))
        }
        SecretKind::Agreement => Some(hex::encode(keys.hpke_public_key(name)?.0)),
        SecretKind::Cosigning => Some(hex::encode(keys.ml_dsa_44_public_key(name)?)),
        SecretKind::Symmetric => None,
    })
}

/// An ML-DSA-44 key has 1,312 bytes.
fn short(text: &str) -> String {
    match text.split_at_checked(128) {
        Some((head, rest)) if rest.len() > 2 => format!("{head}.."),
        _ => text.to_owned(),
    }
}
