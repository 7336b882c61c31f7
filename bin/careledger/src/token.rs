//! `careledger token`: an access token for other tools.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;

use crate::client::{self, Client, User};
use crate::network::{Credential, read_json};

/// Prints an access token of a client system, for `curl` and other tools.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  TOKEN=$(careledger token --credential net/clinic/clients/ehr.json)\n  \
    curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8101/fhir/Patient"
)]
pub(crate) struct TokenArgs {
    /// The system's credential file.
    #[arg(long)]
    credential: PathBuf,
    /// Purpose of use (v3-ActReason code).
    #[arg(long, default_value = "TREAT")]
    purpose: String,
    /// The practitioner for whom the system asks, as Practitioner/ID.
    #[arg(long)]
    practitioner: Option<String>,
    /// The practitioner's role.
    #[arg(long)]
    role: Option<String>,
    /// SMART scopes.
    #[arg(long, default_value = "system/*.cruds")]
    scope: String,
}

pub(crate) async fn run(args: TokenArgs) -> anyhow::Result<()> {
    let credential: Credential = read_json(&args.credential)?;
    let user = User {
        purpose: args.purpose,
        practitioner: args.practitioner,
        role: args.role,
    };
    let client = Client::of_system(&client::http()?, &credential, user, &args.scope)?;
    writeln!(std::io::stdout(), "{}", client.token().await?)?;
    Ok(())
}
