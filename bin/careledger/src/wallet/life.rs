//! What a patient does with a consent that is filed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;

use super::{View, Wallet, WalletFolder};
use crate::said::say;

#[derive(Debug, Subcommand)]
pub(crate) enum LifeCommand {
    /// Withdraws a consent, or a delegation.
    Revoke { name: String, consent: String },
    /// Puts a consent out of force until it is resumed.
    Suspend { name: String, consent: String },
    /// Puts a suspended consent in force again.
    Resume { name: String, consent: String },
    /// Lets a consent end so many days from now.
    Renew {
        name: String,
        consent: String,
        #[arg(long, default_value_t = 30)]
        days: u64,
    },
    /// Fetches a receipt of a consent (ISO/IEC TS 27560), and checks it against the ledger.
    Receipt {
        name: String,
        consent: String,
        /// Where the receipt is put, for `careledger-verify consent-receipt`; else what it says is printed.
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

pub(crate) async fn run(
    view: &View,
    folder: &WalletFolder,
    command: LifeCommand,
) -> anyhow::Result<()> {
    let (wallet, done) = match command {
        LifeCommand::Revoke { name, consent } => {
            let mut wallet = folder.wallet(&name)?;
            wallet.revoke(view, &consent).await?;
            (wallet, format!("consent {consent} is withdrawn"))
        }
        LifeCommand::Suspend { name, consent } => {
            let mut wallet = folder.wallet(&name)?;
            wallet.suspend(view, &consent).await?;
            (wallet, format!("consent {consent} is suspended"))
        }
        LifeCommand::Resume { name, consent } => {
            let mut wallet = folder.wallet(&name)?;
            wallet.resume(view, &consent).await?;
            (wallet, format!("consent {consent} is in force"))
        }
        LifeCommand::Renew {
            name,
            consent,
            days,
        } => {
            let mut wallet = folder.wallet(&name)?;
            wallet.renew(view, &consent, in_days(days)).await?;
            (wallet, format!("consent {consent} is renewed"))
        }
        LifeCommand::Receipt { name, consent, out } => {
            let wallet = folder.wallet(&name)?;
            return receipt(&wallet, view, &consent, out.as_deref()).await;
        }
    };
    folder.save(&wallet)?;
    say(&format!("{done}, and that is final"))
}

pub(super) fn in_days(days: u64) -> Duration {
    Duration::from_secs(days.saturating_mul(86_400))
}

async fn receipt(
    wallet: &Wallet,
    view: &View,
    consent: &str,
    out: Option<&Path>,
) -> anyhow::Result<()> {
    let (receipt, verified) = wallet.consent_receipt(view, consent).await?;
    if let Some(out) = out {
        let unwritten = || format!("cannot write {}", out.display());
        std::fs::write(out, receipt).with_context(unwritten)?;
        return say("the receipt verifies against the ledger, and is written");
    }
    let lines = verified.sentences.iter().chain(&verified.events);
    for line in lines {
        say(line)?;
    }
    say("the receipt verifies against the ledger")
}
