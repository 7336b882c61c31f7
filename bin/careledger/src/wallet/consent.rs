//! Granting and revoking: FHIR consents that the wallet signs.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use contracts::consent::life;
use contracts::consent::receipt::{self, Verified};
use contracts::consent::template::{self, Answers, DataClass, Filing, Grant, Template};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Filed, View, Wallet};
use crate::client::{Client, Request};

const FINAL: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// What a patient grants.
#[derive(Debug, Clone)]
pub(crate) struct Wish<'a> {
    /// The member through which the consent is filed.
    pub(crate) through: &'a str,
    pub(crate) grantee: &'a str,
    pub(crate) data: &'a [DataClass],
    pub(crate) purpose: &'a str,
    pub(crate) lasts: Duration,
}

/// Who may act in the patient's place, and how far.
#[derive(Debug, Clone)]
pub(crate) struct Power<'a> {
    /// The member through which it is filed, and at which it counts.
    pub(crate) through: &'a str,
    /// `RelatedPerson/ID` at that member.
    pub(crate) to: &'a str,
    /// The part of v3-RoleCode that they play.
    pub(crate) role: &'a str,
    /// Resource types; all without any.
    pub(crate) types: &'a [String],
    /// The day it ends.
    pub(crate) until: &'a str,
    /// Which delegate gives it, unless the patient does.
    pub(crate) by: Option<&'a str>,
}

/// A template with a patient's answers.
#[derive(Debug)]
pub(crate) struct Form<'a> {
    pub(crate) template: &'a Template,
    /// The member through which the consent is filed.
    pub(crate) through: &'a str,
    /// Whom the wallet lists the consent under.
    pub(crate) grantee: &'a str,
    pub(crate) answers: Answers,
}

impl Power<'_> {
    /// The answers to the template for caregivers.
    fn answers(&self) -> Answers {
        let one = |name: &str, word: &str| (name.to_owned(), vec![word.to_owned()]);
        let by = self.by.map(|by| one("by", by));
        let known = [
            one("who", self.to),
            one("role", self.role),
            one("end", self.until),
            ("types".to_owned(), self.types.to_vec()),
        ];
        known.into_iter().chain(by).collect()
    }
}

impl Wallet {
    /// Files a consent, and returns when it is final on the ledger.
    pub(crate) async fn grant(&mut self, view: &View, wish: &Wish<'_>) -> anyhow::Result<Filed> {
        let now = OffsetDateTime::now_utc();
        let patient = format!("Patient/{}", self.patient_at(wish.through)?);
        let consent = template::access(&Grant {
            patient: &patient,
            grantee: wish.grantee,
            data: wish.data,
            purpose: wish.purpose,
            start: &now.format(&Rfc3339)?,
            end: &(now + wish.lasts).format(&Rfc3339)?,
        });
        self.file(view, (wish.through, wish.grantee), consent).await
    }

    /// Files a delegation, and returns when it is final on the ledger.
    pub(crate) async fn delegate(
        &mut self,
        view: &View,
        power: &Power<'_>,
    ) -> anyhow::Result<Filed> {
        let template = Template::named("caregiver");
        let form = Form {
            template: template.context("there is no template for caregivers")?,
            through: power.through,
            grantee: power.to,
            answers: power.answers(),
        };
        self.agree(view, &form).await
    }

    /// Files the consent that a form makes, and returns when it is final on the ledger.
    pub(crate) async fn agree(&mut self, view: &View, form: &Form<'_>) -> anyhow::Result<Filed> {
        let patient = format!("Patient/{}", self.patient_at(form.through)?);
        let filing = Filing {
            patient: &patient,
            through: form.through,
            start: &OffsetDateTime::now_utc().format(&Rfc3339)?,
        };
        let consent = form.template.consent(&filing, &form.answers)?;
        self.file(view, (form.through, form.grantee), consent).await
    }

    /// A line for each delegation that was not withdrawn.
    pub(crate) fn delegates(&self) -> Vec<String> {
        let role = "/provision/actor/0/role/coding/0/code";
        let filed = self.state.consents.iter();
        let lines = filed.filter(|one| one.grantee.contains('/')).map(|one| {
            let at = |pointer: &str| one.consent.pointer(pointer).and_then(Value::as_str);
            let (role, until) = (at(role), at("/provision/period/end"));
            format!(
                "{}  {} at {} as {} until {}",
                one.id,
                one.grantee,
                one.member,
                role.unwrap_or_default(),
                until.unwrap_or_default()
            )
        });
        lines.collect()
    }

    async fn file(
        &mut self,
        view: &View,
        (through, grantee): (&str, &str),
        consent: Value,
    ) -> anyhow::Result<Filed> {
        let client = self.client(view, through)?;
        let answer = client
            .post("Consent", &self.signed(through, &consent)?)
            .await?
            .ok()?;
        let id = answer
            .created_id()
            .context("the member did not say the consent's id")?;
        let filed = Filed {
            member: through.to_owned(),
            version: answer.version().unwrap_or(1),
            id,
            grantee: grantee.to_owned(),
            consent,
        };
        until_final(&client, &filed).await?;
        self.state.consents.push(filed.clone());
        Ok(filed)
    }

    /// Withdraws a consent, and returns when that is final on the ledger.
    pub(crate) async fn revoke(&mut self, view: &View, id: &str) -> anyhow::Result<()> {
        self.follow(view, id, |consent| Ok(life::withdrawn(consent)))
            .await?;
        self.state.consents.retain(|filed| filed.id != id);
        Ok(())
    }

    /// Puts a consent out of force until it is resumed, and returns when that is final on the ledger.
    pub(crate) async fn suspend(&mut self, view: &View, id: &str) -> anyhow::Result<()> {
        self.follow(view, id, |consent| Ok(life::suspended(consent)))
            .await
    }

    /// Puts a suspended consent in force again, and returns when that is final on the ledger.
    pub(crate) async fn resume(&mut self, view: &View, id: &str) -> anyhow::Result<()> {
        self.follow(view, id, |consent| Ok(life::resumed(consent)))
            .await
    }

    /// Lets a consent end later, or earlier: `lasts` from now. Returns when that is final on the ledger.
    pub(crate) async fn renew(
        &mut self,
        view: &View,
        id: &str,
        lasts: Duration,
    ) -> anyhow::Result<()> {
        let end = (OffsetDateTime::now_utc() + lasts).format(&Rfc3339)?;
        let renewed = |consent| life::renewed(consent, &end).context("the consent has no rules");
        self.follow(view, id, renewed).await
    }

    /// A receipt of a consent as it is now, after it was checked against the ledger.
    pub(crate) async fn consent_receipt(
        &self,
        view: &View,
        id: &str,
    ) -> anyhow::Result<(String, Verified)> {
        let filed = self.filed(id)?;
        let client = self.client(view, &filed.member)?;
        let path = format!("Consent/{id}/$consent-receipt");
        let answer = client.get(&path).await?.ok()?;
        anyhow::ensure!(answer.status() == 200, "the consent is not final yet");
        let answer = answer.json()?;
        let receipt = answer.pointer("/parameter/0/valueString");
        let receipt = receipt.and_then(Value::as_str);
        let receipt = receipt.context("the member did not answer a receipt")?;
        let proof = receipt::proof(receipt)?;
        let trust = view.trust(proof.receipt.succession.as_ref())?;
        let verified = receipt::verify(receipt, &trust)?;
        anyhow::ensure!(
            verified.export.id == id && verified.export.member.as_str() == filed.member,
            "the receipt is of another consent"
        );
        Ok((receipt.to_owned(), verified))
    }

    fn filed(&self, id: &str) -> anyhow::Result<&Filed> {
        let mut all = self.state.consents.iter();
        let filed = all.find(|filed| filed.id == id);
        filed.context("the wallet has filed no consent with this id")
    }

    /// Files the next version of a consent, and returns when it is final on the ledger.
    async fn follow(
        &mut self,
        view: &View,
        id: &str,
        next: impl FnOnce(Value) -> anyhow::Result<Value>,
    ) -> anyhow::Result<()> {
        let mut filed = self.filed(id)?.clone();
        filed.consent = next(filed.consent)?;
        filed.consent["id"] = filed.id.clone().into();
        let request = self.signed(&filed.member, &filed.consent)?;
        let request = request.with("if-match", &format!("W/\"{}\"", filed.version))?;
        let client = self.client(view, &filed.member)?;
        let answer = client.put(&format!("Consent/{id}"), &request).await?.ok()?;
        filed.version = answer
            .version()
            .context("the member did not say the version")?;
        until_final(&client, &filed).await?;
        let mut all = self.state.consents.iter_mut();
        if let Some(known) = all.find(|known| known.id == id) {
            *known = filed;
        }
        Ok(())
    }

    /// The consent with the wallet's signature: a detached JWS in a Provenance in `X-Provenance`.
    fn signed(&self, through: &str, consent: &Value) -> anyhow::Result<Request> {
        let request = Request::json(consent);
        let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"EdDSA"}"#);
        let input = format!("{header}.{}", URL_SAFE_NO_PAD.encode(&request.body));
        let key = self.identity_at(through).signing_key();
        let signature = key.sign(input.as_bytes()).to_bytes();
        let jws = format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature));
        let now = OffsetDateTime::now_utc().format(&Rfc3339)?;
        let who = json!({ "reference": consent["patient"]["reference"] });
        let provenance = json!({
            "resourceType": "Provenance",
            "target": [{ "reference": "Consent/new" }],
            "recorded": now,
            "agent": [{ "who": who }],
            "signature": [{
                "type": [{ "system": "urn:iso-astm:E1762-95:2013", "code": "1.2.840.10065.1.12.1.7" }],
                "when": now,
                "who": who,
                "targetFormat": "application/fhir+json",
                "sigFormat": "application/jose",
                "data": STANDARD.encode(jws),
            }],
        });
        request.with("x-provenance", &provenance.to_string())
    }
}

async fn until_final(client: &Client, filed: &Filed) -> anyhow::Result<()> {
    let path = format!("Consent/{}/_history/{}/$receipt", filed.id, filed.version);
    let deadline = Instant::now() + FINAL;
    while client.get(&path).await?.ok()?.status() != 200 {
        anyhow::ensure!(
            Instant::now() < deadline,
            "the consent is stored but not final on the ledger yet: are enough members up?"
        );
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
