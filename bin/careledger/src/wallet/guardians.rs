//! Guardians: people with wallets of their own, k of whom give a lost wallet back.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::recovery::{Command, Signed, Terms};
use ledger::codec;
use ledger::ids::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vault::release::{GuardedRoot, Guardian};
use vault::wrap::{HpkePublicKey, WrappedKey};

use super::lineage::Identity;
use super::{Lineage, View, Wallet};
use crate::client::{Client, Request};
use crate::network::read_json;

/// Between looks whether a delay has passed.
const POLL: Duration = Duration::from_millis(500);

/// What keys of an identity are for.
const GUARDIAN: &str = "guardian";
const RECOVERY: &str = "recovery";

/// What a guardian gives to the patient, once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Card {
    key: String,
    recipient: String,
}

/// Guardianship as the member has it.
pub(super) struct Standing(Value);

/// The guardians that a wallet has set up at a member.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Guards {
    k: u32,
    cards: Vec<Card>,
    delay_ms: u64,
    /// The number of the root that they give back.
    pub(super) era: usize,
}

/// What a patient wants of guardians.
pub(crate) struct Circle<'a> {
    pub(crate) member: &'a str,
    pub(crate) k: u32,
    pub(crate) cards: &'a [PathBuf],
    pub(crate) delay: Duration,
}

impl Standing {
    /// What the member has of the patient.
    pub(super) async fn read(through: &Client, patient: &str) -> anyhow::Result<Self> {
        let answer = through
            .get(&format!("Patient/{patient}/$recovery"))
            .await?
            .ok()?;
        Ok(Self(answer.json()?))
    }

    /// Whether there are guardians.
    pub(super) fn is_guarded(&self) -> bool {
        self.element("k", "valueString").is_some()
    }

    /// Whether a key is a guardian's.
    fn names(&self, key: [u8; 32]) -> bool {
        let key = STANDARD.encode(key);
        let mut guardians = parts(&self.0).filter(|one| one["name"] == "guardian");
        guardians.any(|one| one["valueBase64Binary"] == key.as_str())
    }

    pub(super) fn digest(&self, name: &str) -> Option<Digest> {
        let bytes = STANDARD.decode(self.element(name, "valueBase64Binary")?);
        Some(Digest(bytes.ok()?.try_into().ok()?))
    }

    pub(super) fn number(&self) -> u64 {
        let number = self.element("number", "valueString");
        number.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    fn element(&self, name: &str, element: &str) -> Option<&str> {
        let named = parts(&self.0).find(|one| one["name"] == name);
        named?[element].as_str()
    }

    /// In words.
    pub(super) fn said(&self) -> String {
        let Some(k) = self.element("k", "valueString") else {
            return "there are no guardians".to_owned();
        };
        let guardians = parts(&self.0).filter(|one| one["name"] == "guardian");
        let (number, count) = (self.number(), guardians.count());
        let request = self.digest("request").map_or_else(
            || "no recovery is under way".to_owned(),
            |request| {
                let approvals = self.element("approvals", "valueString");
                format!(
                    "recovery {request} is under way, approved by {}",
                    approvals.unwrap_or("0")
                )
            },
        );
        format!("{k} of {count} guardians (set up {number} times); {request}")
    }
}

impl Wallet {
    /// What this wallet's owner gives to whom it shall guard.
    pub(crate) fn card(&self) -> Card {
        let identity = self.identity();
        Card {
            key: STANDARD.encode(identity.public()),
            recipient: STANDARD.encode(identity.recipient(GUARDIAN).public_key().0),
        }
    }

    /// Has other guardians from now on, or the first ones.
    pub(crate) async fn set_guardians(
        &mut self,
        view: &View,
        circle: &Circle<'_>,
    ) -> anyhow::Result<()> {
        let cards = circle.cards.iter().map(|path| read_json(path));
        let guards = Guards {
            k: circle.k,
            cards: cards.collect::<anyhow::Result<_>>()?,
            delay_ms: u64::try_from(circle.delay.as_millis())?,
            era: self.lineage.eras(),
        };
        self.guard(view, circle.member, guards).await
    }

    /// Has guardians give the newest root back.
    pub(super) async fn guard(
        &mut self,
        view: &View,
        member: &str,
        guards: Guards,
    ) -> anyhow::Result<()> {
        let patient = self.patient_at(member)?;
        let through = self.client(view, member)?;
        let standing = Standing::read(&through, patient).await?;
        let number = standing.number().saturating_add(1);
        let guardians = guards.cards.iter().map(Card::guardian);
        let mut guardians = guardians.collect::<anyhow::Result<Vec<_>>>()?;
        guardians.sort_unstable();
        let root = self.lineage.newest().expose();
        let guarded = GuardedRoot::seal(root, number, guards.k, &guardians)?;
        let sealed = codec::encode(&guarded.with_former(self.lineage.former()?));
        let terms = Terms {
            k: guards.k,
            guardians: guardians.iter().map(|one| Digest(one.key)).collect(),
            delay_ms: guards.delay_ms,
            sealed: Digest::of(&sealed),
        };
        let said = self.said(view, &standing, (number, Command::SetUp(terms)));
        say_signed(&through, patient, &said, Some(&sealed)).await?;
        let era = self.lineage.eras();
        let guards = Guards { era, ..guards };
        self.state.guards.insert(member.to_owned(), guards);
        Ok(())
    }

    /// Asks for a patient's wallet, for this new one.
    pub(crate) async fn ask_recovery(
        &self,
        view: &View,
        (through, patient): (&Client, &str),
    ) -> anyhow::Result<()> {
        let standing = Standing::read(through, patient).await?;
        let command = Command::Request {
            recipient: Digest(self.identity().recipient(RECOVERY).public_key().0),
            nonce: Digest(rand::random()),
        };
        let said = self.said(view, &standing, (standing.number(), command));
        say_signed(through, patient, &said, None).await
    }

    /// Approves the recovery under way, as a guardian. Make sure by other means of who asks.
    pub(crate) async fn approve_recovery(
        &self,
        view: &View,
        (through, patient): (&Client, &str),
    ) -> anyhow::Result<()> {
        let standing = Standing::read(through, patient).await?;
        let request = standing.digest("request");
        let request = request.context("no recovery is under way")?;
        let recipient = standing.digest("recipient").context("no recipient")?;
        // A card that was given before a rotation of this wallet's root names a former key.
        let mut identities = self.identities().into_iter().rev();
        let identity = identities.find(|identity| standing.names(identity.public()));
        let identity = identity.context("the wallet is no guardian of this patient")?;
        let key = identity.public();
        let asked = json!({ "resourceType": "Parameters", "parameter": [
            { "name": "guardian", "valueBase64Binary": STANDARD.encode(key) },
        ] });
        let path = format!("Patient/{patient}/$recovery-root");
        let answer = through.post(&path, &Request::json(&asked)).await?.ok()?;
        let guarded: GuardedRoot = codec::decode("root", &binary(&answer.json()?, "sealed")?)?;
        let share = guarded.approve(
            (&key, &identity.recipient(GUARDIAN)),
            (&request.0, &HpkePublicKey(recipient.0)),
        )?;
        let share = codec::encode(&share);
        let command = Command::Approve { request, share };
        let said = said(view, &standing, &identity, (standing.number(), command));
        say_signed(through, patient, &said, None).await
    }

    /// Ends the recovery under way: the wallet is not lost.
    pub(crate) async fn object(&self, view: &View, member: &str) -> anyhow::Result<()> {
        let patient = self.patient_at(member)?;
        let through = self.client(view, member)?;
        let standing = Standing::read(&through, patient).await?;
        let request = standing.digest("request");
        let command = Command::Object(request.context("no recovery is under way")?);
        let said = self.said(view, &standing, (standing.number(), command));
        say_signed(&through, patient, &said, None).await
    }

    /// The recovered root, once the delay has passed and enough guardians have approved; waits for that.
    pub(crate) async fn recover(
        &self,
        (through, patient): (&Client, &str),
        patience: Duration,
    ) -> anyhow::Result<Lineage> {
        let standing = Standing::read(through, patient).await?;
        let request = standing.digest("request");
        let request = request.context("no recovery is under way")?;
        let asked = json!({ "resourceType": "Parameters", "parameter": [
            { "name": "request", "valueBase64Binary": STANDARD.encode(request.0) },
        ] });
        let path = format!("Patient/{patient}/$recovery-hand-out");
        let until = Instant::now() + patience;
        let answer = loop {
            let answer = through.post(&path, &Request::json(&asked)).await?;
            match answer.ok() {
                Ok(answer) => break answer.json()?,
                Err(error) if Instant::now() >= until => return Err(error),
                Err(_) => tokio::time::sleep(POLL).await,
            }
        };
        let guarded: GuardedRoot = codec::decode("root", &binary(&answer, "sealed")?)?;
        let approvals = parts(&answer).filter(|one| one["name"] == "approval");
        let approvals = approvals.map(|one| {
            let part = json!({ "parameter": one["part"] });
            let guardian: Option<[u8; 32]> = binary(&part, "guardian")?.try_into().ok();
            let share: WrappedKey = codec::decode("share", &binary(&part, "share")?)?;
            Ok((guardian.context("a guardian's key")?, share))
        });
        let approvals = approvals.collect::<anyhow::Result<Vec<_>>>()?;
        let keys = self.identity().recipient(RECOVERY);
        let root = guarded.recover(&request.0, &keys, &approvals)?;
        Lineage::recovered(*root, guarded.former())
    }

    /// Has the member take this wallet for the one whose root was recovered.
    pub(crate) async fn finish_recovery(
        &self,
        view: &View,
        (through, patient): (&Client, &str),
        lineage: &Lineage,
    ) -> anyhow::Result<()> {
        let standing = Standing::read(through, patient).await?;
        let request = standing.digest("request");
        let command = Command::Finish(request.context("no recovery is under way")?);
        let lost = Identity::new(lineage.newest().clone(), lineage.eras());
        let said = said(view, &standing, &lost, (standing.number(), command));
        say_signed(through, patient, &said, None).await
    }

    /// Has another member where the patient is enrolled take this wallet for the one whose root was recovered: the key
    /// that the member knows vouches for it.
    pub(crate) async fn take_place(
        &mut self,
        view: &View,
        member: &str,
        patient: &str,
    ) -> anyhow::Result<()> {
        self.state
            .patients
            .insert(member.to_owned(), patient.to_owned());
        self.succeed(view, member).await?;
        self.learn_epochs(view, member).await?;
        self.learn_consents(view, member).await
    }

    fn said(&self, view: &View, standing: &Standing, numbered: (u64, Command)) -> Signed {
        said(view, standing, &self.identity(), numbered)
    }
}

/// A command, signed by an identity.
pub(super) fn said(
    view: &View,
    standing: &Standing,
    identity: &Identity,
    (number, command): (u64, Command),
) -> Signed {
    let signer = Digest(identity.public());
    let guarded = standing.digest("guarded").unwrap_or(signer);
    let place = (view.network_id(), guarded, number);
    Signed::sign(place, command, signer, |bytes| {
        identity.signing_key().sign(bytes).into()
    })
}

pub(super) async fn say_signed(
    through: &Client,
    patient: &str,
    said: &Signed,
    sealed: Option<&[u8]>,
) -> anyhow::Result<()> {
    let said = STANDARD.encode(codec::encode(said));
    let mut given = vec![json!({ "name": "said", "valueBase64Binary": said })];
    if let Some(sealed) = sealed {
        let sealed = STANDARD.encode(sealed);
        given.push(json!({ "name": "sealed", "valueBase64Binary": sealed }));
    }
    let body = json!({ "resourceType": "Parameters", "parameter": given });
    let path = format!("Patient/{patient}/$recovery");
    through.post(&path, &Request::json(&body)).await?.ok()?;
    Ok(())
}

impl Card {
    fn guardian(&self) -> anyhow::Result<Guardian> {
        let bytes = |text: &str| {
            let bytes = STANDARD.decode(text).ok()?;
            <[u8; 32]>::try_from(bytes).ok()
        };
        let guardian = bytes(&self.key).zip(bytes(&self.recipient));
        let (key, recipient) = guardian.context("a card is no guardian's")?;
        Ok(Guardian {
            key,
            recipient: HpkePublicKey(recipient),
        })
    }
}

fn parts(parameters: &Value) -> impl Iterator<Item = &Value> {
    let all = parameters.get("parameter").and_then(Value::as_array);
    all.into_iter().flatten()
}

fn binary(parameters: &Value, name: &str) -> anyhow::Result<Vec<u8>> {
    let named = parts(parameters).find(|one| one["name"] == name);
    let text = named.and_then(|one| one["valueBase64Binary"].as_str());
    let text = text.with_context(|| format!("the member does not say `{name}`"))?;
    Ok(STANDARD.decode(text)?)
}
