//! `export`: one version of a record, from its content to the validators' signatures.

use contracts::export::{self, Export, Verified};
use interop::fhir::timespan::format_instant;
use serde_json::json;

use crate::failure::Failure;
use crate::outcome::Facts;
use crate::recent::{Recent, View};
use crate::trust::Pinned;

/// Checks the bytes of an export; `latest` asks for the proof that no later version was final.
pub(crate) fn check(
    bytes: &[u8],
    (pinned, recent): (&Pinned, Option<&Recent>),
    latest: bool,
) -> Result<Facts, Failure> {
    let export = Export::decode(bytes).map_err(|error| Failure::new("export", error))?;
    let verified = export::verify(&export, &pinned.trust(export.receipt.succession.as_ref())?)?;
    if let Some(recent) = recent {
        recent.compare(&View::of(&export.receipt))?;
    }
    facts(&verified, latest)
}

/// What an export proves; `latest` asks for the proof that no later version was final.
pub(crate) fn facts(verified: &Verified, latest: bool) -> Result<Facts, Failure> {
    if latest && !verified.latest {
        let message = "the export does not show that no later version was final";
        return Err(Failure::new("absence-proof-missing", message));
    }
    let time = |ms: u64| json!(format_instant(i64::try_from(ms).unwrap_or(i64::MAX)));
    let Verified {
        resource_type, id, ..
    } = verified;
    Ok(vec![
        ("record", json!(format!("{resource_type}/{id}"))),
        ("version", json!(verified.version)),
        ("member", json!(verified.member.as_str())),
        ("author", json!(verified.author)),
        ("written at", time(verified.recorded_at)),
        (
            "content",
            json!(if verified.deleted {
                "deleted"
            } else {
                "matches"
            }),
        ),
        ("final at height", json!(verified.height.0)),
        ("final at", time(verified.time.0)),
        ("latest", json!(verified.latest)),
    ])
}
