//! The arguments of `careledger wallet`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::life::LifeCommand;
use super::recovery::{GuardiansCommand, RecoverCommand};
use super::share::ShareArgs;
use crate::audit::Report;

/// The patient's side: keys, enrolment, consents and the history of accesses.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  careledger wallet --network net --folder w new ada\n  \
    careledger wallet --network net --folder w enroll ada --member clinic \
--credential net/clinic/clients/clerk.json\n  \
    careledger wallet --network net --folder w grant ada --through clinic --to hospital \
--data laboratory,medications --days 30\n  \
    careledger wallet --network net --folder w history ada"
)]
pub(crate) struct WalletArgs {
    /// The network's folder (`network.json` and the genesis).
    #[arg(long)]
    pub(super) network: PathBuf,
    /// The folder of wallets.
    #[arg(long)]
    pub(super) folder: PathBuf,
    /// A file with the passphrase; else it is taken from `CARELEDGER_PASSPHRASE`.
    #[arg(long)]
    pub(super) passphrase_file: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: WalletCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum WalletCommand {
    /// Makes a wallet with a fresh root.
    New { name: String },
    /// Lists the wallets.
    List,
    /// Shows where the patient is enrolled, and the consents in force.
    Show { name: String },
    /// Enrols the patient at a member.
    Enroll(EnrollArgs),
    /// Lists the forms in which a patient consents, in plain words.
    Templates,
    /// Notes that a member has enrolled the patient with a link.
    Enrolled {
        name: String,
        #[arg(long)]
        member: String,
        /// The patient's id there.
        #[arg(long)]
        patient: String,
    },
    /// Takes over the root that a member has kept for the patient, into a wallet that is used nowhere yet.
    Take(TakeArgs),
    /// Gives a link away (SMART Health Links): to branch keys for a member, or to the records.
    Share(ShareArgs),
    /// Lists the links that are active.
    Shares {
        name: String,
        /// The member that keeps what is behind them.
        #[arg(long)]
        through: String,
    },
    /// Withdraws a link.
    Unshare {
        name: String,
        #[arg(long)]
        through: String,
        /// As it stands in the list.
        id: String,
    },
    /// Files a consent.
    Grant(GrantArgs),
    /// Lets somebody act in the patient's place at a member.
    Delegate(DelegateArgs),
    /// Lists who may.
    Delegates { name: String },
    #[command(flatten)]
    Life(LifeCommand),
    /// Has branches go on under new keys, which only members get that may hold them.
    Rotate(RotateArgs),
    /// Shows who asked for what, and checks each entry against the ledger.
    History { name: String },
    /// Shows what members have told the patient, such as of an emergency.
    Notices { name: String },
    /// Asks a member for the accounting of its disclosures.
    Disclosures(DisclosuresArgs),
    /// Who gives the wallet back if it is lost.
    #[command(subcommand)]
    Guardians(GuardiansCommand),
    /// Gets a lost wallet back.
    #[command(subcommand)]
    Recover(RecoverCommand),
}

#[derive(Debug, Args)]
pub(super) struct EnrollArgs {
    pub(super) name: String,
    #[arg(long)]
    pub(super) member: String,
    /// The credential of a system of the member that may enrol patients.
    #[arg(long)]
    pub(super) credential: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct TakeArgs {
    pub(super) name: String,
    /// The member that is the escrow.
    #[arg(long)]
    pub(super) member: String,
    /// The patient's id there.
    #[arg(long)]
    pub(super) patient: String,
    /// The credential of a system of the member that may enrol patients: its desk has looked who the patient is.
    #[arg(long)]
    pub(super) credential: PathBuf,
    /// Takes the place of a wallet that was offered the root and is lost.
    #[arg(long)]
    pub(super) instead: bool,
}

#[derive(Debug, Args)]
pub(super) struct GrantArgs {
    pub(super) name: String,
    /// The member through which the consent is filed.
    #[arg(long)]
    pub(super) through: String,
    /// The form: see `wallet templates`.
    #[arg(long, default_value = "share")]
    pub(super) template: String,
    /// The member that is let in; for `caregiver` RelatedPerson/ID.
    #[arg(long)]
    pub(super) to: Option<String>,
    /// laboratory, medications, conditions, allergies, immunizations or all; sensitive records are never included.
    #[arg(long, value_delimiter = ',')]
    pub(super) data: Vec<String>,
    /// Purpose of use (v3-ActReason code); TREAT without one.
    #[arg(long)]
    pub(super) purpose: Option<String>,
    /// The patient's full name, for a form under 42 CFR part 2.
    #[arg(long)]
    pub(super) full_name: Option<String>,
    /// Days until it ends; 30 for a form that has to end.
    #[arg(long)]
    pub(super) days: Option<u64>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Members learn of consents by the keys of `consent/...`: one that is left out of those discloses nothing of the \
    patient any more.\n\nExample:\n  careledger wallet --network net --folder w rotate ada --branch index/clinic --without payer"
)]
pub(super) struct RotateArgs {
    pub(super) name: String,
    #[command(flatten)]
    pub(super) which: Which,
    /// A member that does not get the new keys, whatever consents say; more than once for several.
    #[arg(long)]
    pub(super) without: Vec<String>,
}

/// What goes on under new keys.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// A branch, such as index/clinic; more than once for several.
    #[arg(long)]
    pub(super) branch: Vec<String>,
    /// All branches that this member writes.
    #[arg(long)]
    pub(super) member: Option<String>,
    /// All branches of all members where the patient is enrolled.
    #[arg(long)]
    pub(super) all: bool,
    /// The root itself, which was stolen: members take the key of a new one for the wallet's, and all branches go on under
    /// its keys. Goes on where it was cut off.
    #[arg(long)]
    pub(super) root: bool,
}

#[derive(Debug, Args)]
pub(super) struct DelegateArgs {
    pub(super) name: String,
    /// The member through which it is filed, and at which it counts.
    #[arg(long)]
    pub(super) through: String,
    /// RelatedPerson/ID at that member.
    #[arg(long)]
    pub(super) to: String,
    #[arg(long, value_enum)]
    pub(super) role: Role,
    /// Resource types; all without any. Patient is needed to sign in.
    #[arg(long, value_delimiter = ',')]
    pub(super) types: Vec<String>,
    /// The day it ends.
    #[arg(long, required_unless_present = "majority")]
    pub(super) until: Option<String>,
    /// For a parent: the day on which the patient comes of age; it ends no later.
    #[arg(long, required_if_eq("role", "parent"))]
    pub(super) majority: Option<String>,
    /// Who gives it in the patient's place: a delegate, as RelatedPerson/ID.
    #[arg(long)]
    pub(super) by: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct DisclosuresArgs {
    pub(super) name: String,
    /// The member that is asked.
    #[arg(long)]
    pub(super) member: String,
    #[command(flatten)]
    pub(super) report: Report,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Role {
    Caregiver,
    Parent,
    Poa,
}

impl Role {
    /// The code of v3-RoleCode.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Caregiver => "DELEGATEE",
            Self::Parent => "PRN",
            Self::Poa => "POWATT",
        }
    }
}
