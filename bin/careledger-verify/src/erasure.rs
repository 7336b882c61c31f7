//! `erasure`: a deletion certificate, from the erased items and the acknowledgements to the validators' signatures.

use contracts::erasure::{self, Acknowledgement, Certificate, CertificateError, VerifiedErasure};
use interop::fhir::timespan::format_instant;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::outcome::Facts;
use crate::recent::{Recent, View};
use crate::trust::Pinned;

/// Checks the bytes of a certificate; `complete` asks that every holder has acknowledged.
pub(crate) fn check(
    bytes: &[u8],
    (pinned, recent): (&Pinned, Option<&Recent>),
    complete: bool,
) -> Result<Facts, Failure> {
    let certificate = Certificate::decode(bytes);
    let certificate = certificate.map_err(|error| Failure::new("erasure-certificate", error))?;
    if certificate.erasures.is_empty() {
        let message = "the certificate is of no erasure";
        return Err(Failure::new("erasure-certificate", message));
    }
    let (mut erased, mut lines, mut missing) = (0, Vec::new(), Vec::new());
    for (number, one) in (1_usize..).zip(&certificate.erasures) {
        let place = format!("erasure {number}");
        let trust = pinned.trust(one.receipt.succession.as_ref())?;
        let verified = erasure::verify(one, &trust);
        let verified = verified.map_err(|error| Failure::from(error).at(&place))?;
        if let Some(recent) = recent {
            let receipts = [&one.receipt].into_iter().chain(&one.erased);
            for receipt in receipts.chain(&one.tombstone) {
                let compared = recent.compare(&View::of(receipt));
                compared.map_err(|failure| failure.at(&place))?;
            }
        }
        erased += verified.erased;
        missing.extend(verified.missing.iter().map(ToString::to_string));
        lines.push(json!(described(&verified)));
    }
    missing.sort_unstable();
    missing.dedup();
    if complete && !missing.is_empty() {
        let message = format!("{} has not acknowledged", missing.join(", "));
        return Err(Failure::new("acknowledgement-missing", message));
    }
    Ok(vec![
        ("erased versions", json!(erased)),
        ("erasures", json!(lines)),
        ("missing", json!(missing)),
    ])
}

fn described(one: &VerifiedErasure) -> Vec<Value> {
    let kind = if one.is_redaction {
        "redacted"
    } else {
        "erased"
    };
    let gap = if one.has_tombstone {
        "the document is gone"
    } else {
        "other versions remain"
    };
    let (height, time) = (one.recorded.0.0, instant(one.recorded.1.0));
    let mut lines = vec![
        json!(format!(
            "{} {kind} {} versions at {}; {gap}",
            one.home,
            one.erased,
            instant(one.at)
        )),
        json!(format!("final at height {height}, {time}")),
    ];
    lines.extend(
        one.acknowledged
            .iter()
            .map(|said| json!(acknowledged(said))),
    );
    let missing = one.missing.iter();
    lines.extend(missing.map(|holder| json!(format!("{holder} has not acknowledged"))));
    if let Some(grounds) = &one.grounds {
        let versions: Vec<_> = grounds.versions.iter().map(ToString::to_string).collect();
        lines.push(json!(format!(
            "{}/{} versions {}: {} by {}, on the authority of {}: {}",
            grounds.resource_type,
            grounds.id,
            versions.join(", "),
            grounds.basis,
            grounds.by,
            grounds.authority,
            grounds.justification
        )));
    }
    lines
}

fn acknowledged(said: &Acknowledgement) -> String {
    let places = said.places.iter();
    let places: Vec<_> = places
        .map(|place| format!("{}: {}", place.name, place.outcome))
        .collect();
    format!(
        "{} acknowledged at {} ({})",
        said.holder,
        instant(said.at),
        places.join("; ")
    )
}

fn instant(ms: u64) -> String {
    format_instant(i64::try_from(ms).unwrap_or(i64::MAX))
}

impl From<CertificateError> for Failure {
    fn from(error: CertificateError) -> Self {
        let name = match &error {
            CertificateError::Receipt(_, receipt) => crate::failure::receipt_part(receipt),
            CertificateError::Decode(_) => "erasure-certificate",
            CertificateError::OtherDescriptor => "descriptor-or-opening",
            CertificateError::NotAnErasure => "descriptor-kind",
            CertificateError::OtherItems => "erased-items",
            CertificateError::OtherTombstone => "tombstone",
            CertificateError::OtherGrounds => "grounds",
            CertificateError::OtherErasure(_) => "acknowledgement",
            CertificateError::NotAHolder(_) => "acknowledgement-of-another",
            CertificateError::UnknownCertificate(_) => "certificate",
            CertificateError::NotSigned(_) => "acknowledgement-signature",
        };
        Self::new(name, error)
    }
}
