//! A token's keys, made in the presence of several, and the transcript that they sign.
//!
//! The token is initialised, the node's and the token-signing keys are made in it, and what cannot be in it moves into a key
//! file that it seals. The node's old keys stay where they are until the new ones are registered: nothing is destroyed here.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Args;
use ledger::ids::Digest;
use serde_json::{Value, json};
use vault::certificate::MemberCa;
use vault::keystore::{
    KeyStore, Pkcs11Config, Pkcs11KeyStore, Secret, SecretKind, SecretName, Signer, initialise,
    token_facts,
};

use super::show::public_part;
use super::{Opened, kind, place};
use crate::network::{KeyType, write_secret};
use crate::node::{KeysEntry, pin};

/// Where, with what, and before whom.
#[derive(Debug, Args)]
pub(super) struct CeremonyArgs {
    /// The node's configuration; its keys are in a key file so far.
    #[arg(long)]
    config: PathBuf,
    /// The vendor's PKCS#11 library.
    #[arg(long)]
    module: PathBuf,
    /// The label of the token, which is initialised.
    #[arg(long)]
    token: String,
    /// A file with the security officer's PIN, by which a forgotten PIN is replaced.
    #[arg(long)]
    so_pin_file: PathBuf,
    /// A file with the node's PIN, relative to the working folder.
    #[arg(long)]
    pin_file: PathBuf,
    /// Who is present; once for each.
    #[arg(long = "participant", required = true)]
    participants: Vec<String>,
    /// Where the transcript goes.
    #[arg(long)]
    transcript: PathBuf,
    /// The kind of the node's key.
    #[arg(long, value_enum, default_value_t)]
    key_type: KeyType,
    /// The key file that the token seals, relative to the node's folder.
    #[arg(long, default_value = "keys.sealed")]
    file: PathBuf,
}

pub(super) fn run(args: &CeremonyArgs) -> anyhow::Result<()> {
    let opened = Opened::read(&args.config)?;
    anyhow::ensure!(
        matches!(opened.file.keys, KeysEntry::File(_)),
        "the node's keys are in a token already"
    );
    anyhow::ensure!(
        !args.transcript.exists(),
        "{} is there already: a transcript is not overwritten",
        args.transcript.display()
    );
    let config = Pkcs11Config {
        module: args.module.clone(),
        token: args.token.clone(),
        pin: pin(Some(&args.pin_file))?,
        file: opened.folder.join(&args.file),
    };
    initialise(&config, &pin(Some(&args.so_pin_file))?)?;
    let store = Arc::new(Pkcs11KeyStore::create(&config)?);
    let moved = move_secrets(&*opened.keys, &*store)?;
    let made = make(&opened, &store, args.key_type)?;
    let transcript = transcript(args, &opened, &store, (&moved, &made))?;
    let text = serde_json::to_string_pretty(&transcript)?;
    write_secret(&args.transcript, text.as_bytes())?;
    say(args, &Digest::of(text.as_bytes()).to_string())
}

/// Puts what no token can hold under the token's seal, and the authority's key; gives their names.
fn move_secrets(from: &dyn KeyStore, to: &dyn KeyStore) -> anyhow::Result<Vec<SecretName>> {
    let mut names = from.names();
    names.retain(|name| !name.is_of_node() && name.token_number().is_none());
    let secret = |name: &SecretName| {
        let facts = from.facts(name)?;
        let secret = Secret::new(facts.kind, *from.expose(name)?).made(facts.made_at);
        anyhow::Ok((name.clone(), secret))
    };
    let secrets = names.iter().map(secret).collect::<Result<_, _>>()?;
    to.insert_all(secrets)?;
    Ok(names)
}

/// The keys that are made in the token, and the certificate of the node's.
struct Made {
    names: Vec<SecretName>,
    certificate: String,
}

fn make(opened: &Opened, store: &Arc<Pkcs11KeyStore>, key_type: KeyType) -> anyhow::Result<Made> {
    let free = |name: &SecretName| !opened.keys.contains(name) && !store.contains(name);
    let next = |of: fn(u32) -> SecretName| (2..=u32::MAX).map(of).find(free);
    let node = next(SecretName::later_node).context("there is no free name")?;
    let tokens = next(SecretName::token_of).context("there is no free name")?;
    store.generate(node.clone(), key_type.secret())?;
    store.generate(tokens.clone(), SecretKind::Signing)?;
    let keys: Arc<dyn KeyStore> = Arc::clone(store) as Arc<dyn KeyStore>;
    let authority = Signer::new(keys, SecretName::member_ca())
        .context("the member's certification authority signs the node's certificate")?;
    let member = &opened.file.member;
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let public = store.signing_public_key(&node)?;
    // A clock somewhat behind this one must not find it too early.
    let issued =
        MemberCa::new(member, authority).certify_node(&public, member, since.saturating_sub(60))?;
    let file = node.as_str().replace('/', "-");
    let path = opened.folder.join("certificates").join(file);
    fs::write(path.with_extension("pem"), issued.pem())?;
    Ok(Made {
        names: vec![node, tokens],
        certificate: Digest::of(issued.der()).to_string(),
    })
}

fn transcript(
    args: &CeremonyArgs,
    opened: &Opened,
    store: &Pkcs11KeyStore,
    (moved, made): (&[SecretName], &Made),
) -> anyhow::Result<Value> {
    let facts = token_facts(&args.module, &args.token)?;
    let keys = made.names.iter().map(|name| {
        let facts = store.facts(name)?;
        Ok(json!({
            "name": name.to_string(),
            "kind": kind(facts.kind),
            "where": place(facts.place),
            "publicKey": public_part(store, name, facts.kind)?,
        }))
    });
    let present = args.participants.iter();
    Ok(json!({
        "ceremony": "careledger keys ceremony",
        "member": opened.file.member,
        "at": SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        "token": {
            "label": facts.label, "serial": facts.serial, "model": facts.maker, "library": facts.library,
        },
        "keys": keys.collect::<anyhow::Result<Vec<_>>>()?,
        "nodeCertificate": made.certificate,
        "sealedFile": {
            "seal": hex::encode(store.seal_digest()?),
            "names": moved.iter().map(ToString::to_string).collect::<Vec<_>>(),
        },
        "participants": present.collect::<Vec<_>>(),
    }))
}

fn say(args: &CeremonyArgs, digest: &str) -> anyhow::Result<()> {
    let (config, transcript) = (args.config.display(), args.transcript.display());
    let pin_file = absolute(&args.pin_file)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "The token `{}` has its keys. Those present sign {transcript}, each with a key of their own:\n  \
         SHA-256 {digest}\n\
         Then take `keys = ...` out of {config}, and put this at its end:\n\n\
         [keys]\nstore = \"pkcs11\"\nmodule = {:?}\ntoken = {:?}\npin_file = {:?}\nfile = {:?}\n\n\
         Register the certificate, start the node again, and then revoke the old certificate, which the running node uses \
         until it is stopped:\n  \
         careledger keys rotate node --config {config}\n  \
         careledger node --config {config}\n  \
         careledger governance revoke --config {config} THUMBPRINT",
        args.token,
        args.module.display().to_string(),
        args.token,
        pin_file.display().to_string(),
        args.file.display().to_string(),
    )?;
    Ok(())
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    Ok(std::path::absolute(path)?)
}
