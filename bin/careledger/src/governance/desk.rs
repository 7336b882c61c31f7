//! Where a member's statements to the contract of governance are signed, sent, and waited for.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use contracts::governance::{self, Command};
use contracts::membership::{Registered, Registry, ValidatorKeys};
use contracts::trust;
use ledger::genesis::{Genesis, MlDsa44Key, PublicKey};
use ledger::ids::{BlockTime, Digest, Height, MemberName};
use ledger::state::StateKey;
use ledger::statement::{Body, Payload, StatementId, SubmittedStatement};
use ledger::succession::Succession;
use node::identity::{Identity, algorithm_of};
use node::outbox::Speaker;
use reqwest::StatusCode;
use serde_json::{Value, json};
use vault::certificate::MemberCa;
use vault::keystore::{KeyStore, SecretKind, SecretName, Signer};

use super::By;
use crate::client;
use crate::network::{KeyType, NodeFile, read_genesis};
use crate::node::open_keys;
use crate::status;

/// Blocks within which a command becomes final, or not at all.
const LIFETIME_HEIGHTS: u64 = 1_000;
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);

/// A member's keys, and the node that takes its statements.
pub(super) struct Desk {
    member: MemberName,
    keys: Arc<dyn KeyStore>,
    genesis: Genesis,
    node: String,
    http: reqwest::Client,
    folder: PathBuf,
}

impl Desk {
    pub(super) fn open(config: &Path, through: Option<&str>) -> anyhow::Result<Self> {
        let file = NodeFile::read(config)?;
        let folder = config.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(Self {
            member: file.member.parse().context("the member's name")?,
            keys: open_keys(&file, &folder)?,
            genesis: read_genesis(&folder.join(&file.genesis))?,
            node: through.unwrap_or(&file.base_url).to_owned(),
            http: client::http()?,
            folder,
        })
    }

    /// The registry as the node proves it.
    pub(super) async fn registry(&self) -> anyhow::Result<Registry> {
        registry(&self.http, &self.node, &self.genesis).await
    }

    /// Signs a command, and returns once it is final.
    pub(super) async fn give(&self, by: &By, command: &Command) -> anyhow::Result<()> {
        let registry = self.registry().await?;
        let keys = Arc::clone(&self.keys);
        let identity = Identity::open(self.member.clone(), keys, (&registry, now()?), None)?;
        self.send(by, command, &identity.signer().speaker()).await
    }

    /// A certificate for a key of the node that has none on the ledger, or else for a new key; gives the key's name. The
    /// member's authority must be in the key store.
    pub(super) async fn renew(&self, by: &By, kind: KeyType) -> anyhow::Result<SecretName> {
        let authority = Signer::new(Arc::clone(&self.keys), SecretName::member_ca())
            .context("the member's certification authority")?;
        let name = match self.unregistered().await? {
            Some(name) => name,
            None => {
                let name = self.next(SecretName::later_node);
                self.keys.generate(name.clone(), kind.secret())?;
                name
            }
        };
        let public_key = self.keys.signing_public_key(&name)?;
        let since = now()?.0 / 1_000;
        let ca = MemberCa::new(self.member.as_str(), authority);
        // A clock somewhat behind this one must not find it too early.
        let issued =
            ca.certify_node(&public_key, self.member.as_str(), since.saturating_sub(60))?;
        let file = self
            .folder
            .join("certificates")
            .join(name.as_str().replace('/', "-"));
        std::fs::write(file.with_extension("pem"), issued.pem())?;
        let (keys, signing) = (Arc::clone(&self.keys), name.clone());
        let speaker = Speaker {
            certificate: Digest::of(issued.der()),
            algorithm: algorithm_of(&public_key),
            sign: Arc::new(move |bytes| {
                let signature = keys.sign(&signing, bytes);
                signature.map_err(|error| node::outbox::CannotSign(error.to_string()))
            }),
        };
        let command = Command::RegisterCertificate(issued.der().to_vec());
        self.send(by, &command, &speaker).await?;
        Ok(name)
    }

    /// A later key of the node for which the ledger has never had a certificate: a ceremony made it, or a renewal that was
    /// interrupted.
    async fn unregistered(&self) -> anyhow::Result<Option<SecretName>> {
        let registry = self.registry().await?;
        let registered = self.registered(&registry);
        let mut names = self.keys.names();
        names.retain(|name| name.is_of_node() && *name != SecretName::node());
        for name in names {
            let public = self.keys.signing_public_key(&name)?;
            if !registered.iter().any(|(_, key)| key == public.as_bytes()) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// This member's certificates, revoked ones too, with their keys.
    fn registered<'a>(&self, registry: &'a Registry) -> Vec<(&'a Registered, Vec<u8>)> {
        let seat = registry.seat(&self.member);
        let certificates = seat.map_or(&[][..], |seat| &seat.certificates);
        let known = certificates.iter().filter_map(|one| {
            let thumbprint = Digest::of(&one.certificate);
            let certificate = registry.certificate(&self.member, thumbprint).ok()?;
            Some((one, certificate.key.to_bytes()))
        });
        known.collect()
    }

    /// Revokes all certificates but those of the key `kept`, and destroys their keys here.
    pub(super) async fn revoke_others(&self, by: &By, kept: &SecretName) -> anyhow::Result<()> {
        let public = self.keys.signing_public_key(kept)?;
        let registry = self.registry().await?;
        for (one, key) in self.registered(&registry) {
            if key != public.as_bytes() && one.revoked.is_none() {
                let command = Command::RevokeCertificate(Digest::of(&one.certificate));
                self.give(by, &command).await?;
            }
        }
        let mut names = self.keys.names();
        names.retain(|name| name.is_of_node() && name != kept);
        for name in names {
            self.keys.destroy(&name)?;
        }
        Ok(())
    }

    /// The validator's newest keys if the ledger does not know them yet, as after a restore; or else new ones.
    pub(super) async fn rotate_validator(&self, by: &By) -> anyhow::Result<()> {
        let names = self.keys.names();
        let newest = names.iter().filter_map(SecretName::validator_number).max();
        let mut number = newest.context("the key store has no validator's key")?;
        let vote = PublicKey(self.keys.public_key(&SecretName::validator_of(number))?);
        let is_fresh = self.registry().await?.validator_keys(vote).is_none();
        if !is_fresh {
            number = generate_validator(&*self.keys)?;
        }
        let cosigner = SecretName::cosigner_of(number);
        let post_quantum = self.keys.ml_dsa_44_public_key(&cosigner)?;
        let keys = ValidatorKeys {
            vote: PublicKey(self.keys.public_key(&SecretName::validator_of(number))?),
            cosigner: Some(MlDsa44Key::from_bytes(post_quantum)),
        };
        let given = self.give(by, &Command::RotateValidator(keys)).await;
        if given.is_err() && !is_fresh {
            // The node uses its newest keys; these are nobody's.
            self.keys.destroy(&SecretName::validator_of(number))?;
            self.keys.destroy(&cosigner)?;
        }
        given
    }

    /// The first name, counted from 2, that is free.
    fn next(&self, name: impl Fn(u32) -> SecretName) -> SecretName {
        let free = |name: &SecretName| !self.keys.contains(name);
        let mut names = (2..=u32::MAX).map(name);
        names.find(free).unwrap_or_else(SecretName::node)
    }

    async fn send(&self, by: &By, command: &Command, speaker: &Speaker) -> anyhow::Result<()> {
        let tip = status::tip(&self.http, &self.node).await;
        let tip = tip.with_context(|| format!("{} does not answer", self.node))?;
        let payload = Payload {
            network: self.genesis.network(),
            id: StatementId(rand::random()),
            expires_at: Height(tip.height.saturating_add(LIFETIME_HEIGHTS)),
            body: Body::Command {
                contract: governance::CONTRACT,
                command: command.encode(),
            },
        };
        let place = StateKey::of_command(&self.member, payload.id);
        let signer = speaker.of(&self.member);
        let statement =
            SubmittedStatement::sign(signer, payload, Vec::new(), |bytes| (speaker.sign)(bytes))?;
        let url = format!("{}/log/statements", self.node);
        let answer = self.http.post(url).body(statement.encode()).send().await?;
        if !answer.status().is_success() {
            let said: Value = answer.json().await.unwrap_or_default();
            let error = said.get("error").and_then(Value::as_str);
            anyhow::bail!("the ledger refuses: {}", error.unwrap_or("no reason given"));
        }
        self.until_final(place).await?;
        self.say(by, place).await
    }

    async fn until_final(&self, place: StateKey) -> anyhow::Result<()> {
        let id = hex::encode(place.0);
        let url = format!("{}/scitt/signed-statements/{id}", self.node);
        let until = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < until {
            if self.http.get(&url).send().await?.status() == StatusCode::OK {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        anyhow::bail!(
            "it is not final after {} s: see `careledger governance show` before you repeat it",
            PATIENCE.as_secs()
        )
    }

    async fn say(&self, by: &By, place: StateKey) -> anyhow::Result<()> {
        let registry = self.registry().await?;
        let statement = hex::encode(place.0);
        let mut out = std::io::stdout().lock();
        if by.json {
            let said = json!({ "statement": statement, "revision": registry.revision() });
            writeln!(out, "{said}")?;
        } else {
            let revision = registry.revision();
            writeln!(
                out,
                "Final, in revision {revision} of the registry ({statement})."
            )?;
            for open in registry.proposals() {
                let (number, votes) = (open.number, open.approvals.len());
                writeln!(out, "  proposal {number} is open: {votes} for it")?;
            }
        }
        Ok(())
    }
}

/// Puts fresh keys of the validator into the key store; gives their number.
pub(crate) fn generate_validator(keys: &dyn KeyStore) -> anyhow::Result<u32> {
    let names = keys.names();
    let newest = names.iter().filter_map(SecretName::validator_number).max();
    let number = newest.unwrap_or(0).saturating_add(1);
    keys.generate(SecretName::validator_of(number), SecretKind::Signing)?;
    keys.generate(SecretName::cosigner_of(number), SecretKind::Cosigning)?;
    Ok(number)
}

/// The registry of the network of `genesis`, as a node proves it.
pub(super) async fn registry(
    http: &reqwest::Client,
    node: &str,
    genesis: &Genesis,
) -> anyhow::Result<Registry> {
    let answer = http
        .get(format!("{node}/network/succession"))
        .send()
        .await?;
    let succession = if answer.status() == StatusCode::NOT_FOUND {
        None
    } else {
        let bytes = answer.error_for_status()?.bytes().await?;
        Some(Succession::decode(&bytes)?)
    };
    Ok(trust::registry(genesis, succession.as_ref())?)
}

fn now() -> anyhow::Result<BlockTime> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(BlockTime(u64::try_from(since.as_millis())?))
}
