//! `careledger clients`: apps and systems that an administrator registers while a node runs.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::{self, Client, User};
use crate::network::{Credential, read_json};

/// Lists, registers and removes apps and systems at a running node.
///
/// Those that stand in node.toml are not among them.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  careledger clients list --credential net/clinic/clients/administrator.json\n  \
    careledger clients register --public --name 'Growth chart' --redirect-uri https://growth.example/back \\\n    \
    --scope 'launch/patient openid fhirUser patient/Observation.rs patient/Patient.r'\n  \
    careledger clients register --name 'Laboratory feed' --jwks feed-keys.json --scope 'system/Observation.cu'\n  \
    careledger clients remove 0b0e6f0c-0d3e-4b0f-9b52-8d6a0d7f7b11"
)]
pub(crate) struct ClientsArgs {
    #[command(subcommand)]
    action: Action,
    /// The credential file of a system with the scope `careledger/clients`.
    #[arg(long, global = true, default_value = "clients/administrator.json")]
    credential: PathBuf,
    /// Prints JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// The clients that were registered so.
    List,
    /// Registers a client, and prints its id, and its secret if it gets one.
    Register(RegisterArgs),
    /// Takes a client away, and ends what was granted to it.
    Remove {
        /// The client's id.
        id: String,
    },
}

#[derive(Debug, Args)]
struct RegisterArgs {
    /// What users are shown.
    #[arg(long)]
    name: String,
    /// Where users are sent back to; may be given several times. Without any the client is a system.
    #[arg(long, value_name = "URI")]
    redirect_uri: Vec<String>,
    /// The most that it may ask for.
    #[arg(long)]
    scope: String,
    /// It can keep no secret: an app in a browser or on a phone.
    #[arg(long, conflicts_with = "jwks")]
    public: bool,
    /// A file with its public keys, as a JWK set; without it, and without --public, it gets a secret.
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Purposes of use (v3-ActReason) that it may state.
    #[arg(long, default_value = "TREAT")]
    purpose: Vec<String>,
    /// Roles that it may claim for its users.
    #[arg(long)]
    role: Vec<String>,
}

pub(crate) async fn run(args: ClientsArgs) -> anyhow::Result<()> {
    let credential: Credential = read_json(&args.credential)?;
    let user = User {
        purpose: "HOPERAT".to_owned(),
        practitioner: None,
        role: None,
    };
    let client = Client::of_system(&client::http()?, &credential, user, "careledger/clients")?;
    let mut out = std::io::stdout();
    match &args.action {
        Action::List => {
            let listed = client.clients().await?.ok()?.json()?;
            if args.json {
                writeln!(out, "{listed}")?;
                return Ok(());
            }
            for one in listed["clients"].as_array().into_iter().flatten() {
                writeln!(out, "{}", line(one))?;
            }
        }
        Action::Register(register) => {
            let metadata = metadata(register)?;
            let registered = client.register_client(&metadata).await?.ok()?.json()?;
            if args.json {
                writeln!(out, "{registered}")?;
                return Ok(());
            }
            writeln!(out, "{}", line(&registered))?;
            if let Some(secret) = registered["client_secret"].as_str() {
                writeln!(out, "its secret, which is not shown again: {secret}")?;
            }
        }
        Action::Remove { id } => {
            client.remove_client(id).await?.ok()?;
            if args.json {
                writeln!(out, "{}", json!({ "removed": id }))?;
            }
        }
    }
    Ok(())
}

/// Client metadata (RFC 7591).
fn metadata(register: &RegisterArgs) -> anyhow::Result<Value> {
    let method = match (&register.jwks, register.public) {
        (Some(_), _) => "private_key_jwt",
        (None, true) => "none",
        (None, false) => "client_secret_basic",
    };
    let mut metadata = json!({
        "client_name": register.name,
        "redirect_uris": register.redirect_uri,
        "scope": register.scope,
        "token_endpoint_auth_method": method,
        "purposes": register.purpose,
        "roles": register.role,
    });
    if let Some(path) = &register.jwks {
        let keys: Value = read_json(path)?;
        let is_set = keys.get("keys").is_some_and(Value::is_array);
        is_set
            .then_some(())
            .with_context(|| format!("{} is no JWK set: it has no `keys`", path.display()))?;
        metadata["jwks"] = keys;
    }
    Ok(metadata)
}

fn line(one: &Value) -> String {
    let text = |name: &str| one[name].as_str().unwrap_or_default();
    format!(
        "{}\t{}\t{}",
        text("client_id"),
        text("client_name"),
        text("scope")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_client_shows_who_it_is_follows_from_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys.json");
        let register = |public: bool, jwks: Option<PathBuf>| RegisterArgs {
            name: "A".to_owned(),
            redirect_uri: Vec::new(),
            scope: "system/*.rs".to_owned(),
            public,
            jwks,
            purpose: vec!["TREAT".to_owned()],
            role: Vec::new(),
        };
        let method = |args: &RegisterArgs| {
            let metadata = metadata(args).unwrap();
            metadata["token_endpoint_auth_method"].clone()
        };
        assert_eq!(method(&register(true, None)), "none");
        assert_eq!(method(&register(false, None)), "client_secret_basic");
        std::fs::write(&keys, r#"{ "keys": [] }"#).unwrap();
        let with_keys = register(false, Some(keys.clone()));
        assert_eq!(method(&with_keys), "private_key_jwt");
        std::fs::write(&keys, r#"{ "kty": "OKP" }"#).unwrap();
        assert!(metadata(&with_keys).is_err(), "a key is no set of keys");
    }
}
