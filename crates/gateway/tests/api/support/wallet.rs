//! The patient's side: a root, and a key that signs.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use contracts::consent::template::{DataClass, Grant, access};
use ed25519_zebra::{SigningKey, VerificationKey};
use gateway::enrolment;
use ledger::stream::{GrantedBranch, KeyEpoch, RootKey};
use serde_json::{Value, json};

use super::{Answer, Ask, Site};

pub(crate) struct Wallet {
    root: RootKey,
    seed: [u8; 32],
}

impl Wallet {
    pub(crate) fn new(seed: u8) -> Self {
        Self {
            root: RootKey::from_bytes([seed; 32]),
            seed: [seed; 32],
        }
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        VerificationKey::from(&SigningKey::from_bytes(&self.seed)).into()
    }

    /// `Parameters` with these branches, sealed to the site's member.
    pub(crate) fn parameters(&self, site: &Site, branches: &[&str]) -> Value {
        self.parameters_in(site, branches, 0)
    }

    /// The same with the keys of an epoch.
    pub(crate) fn parameters_in(&self, site: &Site, branches: &[&str], epoch: KeyEpoch) -> Value {
        let granted = |name: &&str| {
            let branch = name.parse().unwrap();
            self.root.grant(site.network(), branch, epoch)
        };
        let branches: Vec<GrantedBranch> = branches.iter().map(granted).collect();
        let plain = enrolment::encode(&branches);
        let sealed = site.wrap(&enrolment::info(site.network()), &self.public(), &plain);
        json!({ "resourceType": "Parameters", "parameter": [
            { "name": "walletKey", "valueString": URL_SAFE_NO_PAD.encode(self.public()) },
            { "name": "branches", "valueBase64Binary": STANDARD.encode(sealed) },
        ] })
    }

    /// Enrols at the site; returns the patient's id there.
    pub(crate) async fn enroll(&self, site: &Site) -> String {
        let branches = [
            "consent/clinic",
            "index/clinic",
            "index/clinic/restricted",
            "access/clinic",
        ];
        let body = self.parameters(site, &branches);
        let token = site.ehr().await;
        let answer = site.ask(&token, "POST", "/Patient/$enroll", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let body = answer.json();
        let patient = &body["parameter"][0];
        assert_eq!(patient["name"], "patient");
        let reference = patient["valueReference"]["reference"].as_str().unwrap();
        reference.strip_prefix("Patient/").unwrap().to_owned()
    }

    pub(crate) async fn token(&self, site: &Site, patient: &str) -> String {
        let ask = Ask {
            client: format!("wallet-{patient}"),
            seed: self.seed,
            purpose: None,
            scope: "patient/*.cruds",
            ..Ask::default()
        };
        site.token(&ask).await
    }

    /// The header with the signature of these bytes.
    pub(crate) fn provenance(&self, body: &[u8]) -> String {
        let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"EdDSA"}"#);
        let input = format!("{header}.{}", URL_SAFE_NO_PAD.encode(body));
        let signature = SigningKey::from_bytes(&self.seed).sign(input.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.to_bytes());
        let jws = format!("{header}..{signature}");
        json!({
            "resourceType": "Provenance",
            "target": [{ "reference": "Consent/posted" }],
            "recorded": "2026-06-01T00:00:00Z",
            "agent": [{ "who": { "display": "the wallet" } }],
            "signature": [{
                "type": [{ "system": "urn:iso-astm:E1762-95:2013", "code": "1.2.840.10065.1.12.1.7" }],
                "when": "2026-06-01T00:00:00Z",
                "who": { "display": "the wallet" },
                "targetFormat": "application/fhir+json",
                "sigFormat": "application/jose",
                "data": STANDARD.encode(jws),
            }],
        })
        .to_string()
    }

    pub(crate) async fn file(&self, site: &Site, token: &str, consent: &Value) -> Answer {
        let provenance = self.provenance(consent.to_string().as_bytes());
        let headers = [("x-provenance", provenance.as_str())];
        site.ask_with(token, "POST", "/Consent", consent, &headers)
            .await
    }
}

/// The hospital may see laboratory results for treatment, for a month.
pub(crate) fn consent(patient: &str) -> Value {
    access(&Grant {
        patient: &format!("Patient/{patient}"),
        grantee: "hospital",
        data: &[DataClass::Laboratory],
        purpose: "TREAT",
        start: "2026-05-15T00:00:00Z",
        end: "2026-06-15T00:00:00Z",
    })
}
