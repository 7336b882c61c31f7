//! `careledger governance`: what the members decide together, and what each decides alone.

mod desk;
mod show;

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use contracts::governance::{Action, Command};
use contracts::membership::Endpoints;
use ledger::codec;
use ledger::genesis::{Rules, Threshold};
use ledger::ids::{Digest, MemberName};

pub(crate) use desk::generate_validator;

use crate::network::{KeyType, quota};
use desk::Desk;

const EXAMPLES: &str = "\
Examples:
  careledger governance show --network net
  careledger network add-member --dir net --member regulator
  careledger governance propose --config net/hospital/node.toml admit net/regulator/admission.cbor
  careledger governance vote --config net/clinic/node.toml 1 approve
  careledger governance renew --config net/hospital/node.toml";

/// Proposes, votes, and changes what concerns a member alone; each is a signed statement on the ledger.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct GovernanceArgs {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Shows members, certificates, validators and open proposals.
    Show(show::ShowArgs),
    /// Puts something to the vote; counts as this member's approval.
    Propose {
        #[command(flatten)]
        by: By,
        #[command(subcommand)]
        action: Proposed,
    },
    /// Votes on a proposal.
    Vote {
        #[command(flatten)]
        by: By,
        /// The proposal's number.
        proposal: u64,
        vote: Vote,
    },
    /// Takes an own proposal back.
    Withdraw {
        #[command(flatten)]
        by: By,
        /// The proposal's number.
        proposal: u64,
    },
    /// Gives the node a new key and certificate, and registers it; a running node takes it up by itself.
    Renew {
        #[command(flatten)]
        by: By,
        /// The kind of the new key.
        #[arg(long, value_enum, default_value_t)]
        key_type: KeyType,
    },
    /// Revokes a certificate of this member.
    Revoke {
        #[command(flatten)]
        by: By,
        /// SHA-256 of the certificate, hex.
        thumbprint: String,
    },
    /// Gives the validator new keys, which it uses from the next epoch on, once the node is started again.
    RotateValidator {
        #[command(flatten)]
        by: By,
    },
    /// Says where this member's node is.
    Announce {
        #[command(flatten)]
        by: By,
        /// Address and port of the validator.
        consensus: String,
        /// Address and port of the exchange.
        exchange: String,
    },
}

/// Who speaks.
#[derive(Debug, Args)]
pub(crate) struct By {
    /// The configuration of the member's node.
    #[arg(long)]
    config: PathBuf,
    /// Sends the statement to this node instead, such as `http://127.0.0.1:8101`.
    #[arg(long)]
    through: Option<String>,
    /// Prints the outcome as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Vote {
    Approve,
    Refuse,
}

#[derive(Debug, Subcommand)]
enum Proposed {
    /// Admit a member, by the file that `network add-member` made.
    Admit { file: PathBuf },
    /// Stop hearing a member.
    Suspend { member: MemberName },
    /// Hear a suspended member again.
    Reinstate { member: MemberName },
    /// Stop hearing a member for ever.
    Remove { member: MemberName },
    /// Give a member another certification authority.
    ReplaceAuthority {
        member: MemberName,
        /// The authority's certificate, DER.
        certificate: PathBuf,
    },
    /// Have a member validate from the next epoch on.
    AddValidator { member: MemberName },
    /// Have a member validate no more, from the next epoch on.
    RemoveValidator { member: MemberName },
    /// Replace the network's access policies.
    SetPolicies {
        /// Cedar policies.
        file: PathBuf,
    },
    /// Replace the network's own rules for security labels, which stand beside those of the release.
    SetLabelRules {
        /// A rule set, JSON; an empty file takes the network's rules back.
        file: PathBuf,
    },
    /// Change what part of the members a vote needs; what is left out stays.
    SetThresholds {
        /// To admit, suspend and remove members, as a fraction that has to be exceeded, such as 2/3.
        #[arg(long, value_parser = fraction)]
        members: Option<Threshold>,
        /// To change the validators.
        #[arg(long, value_parser = fraction)]
        validators: Option<Threshold>,
        /// To change policies, thresholds and formats.
        #[arg(long, value_parser = fraction)]
        settings: Option<Threshold>,
    },
    /// Bound how fast each member may submit items; what is beyond is refused until later.
    SetQuota {
        /// In the long run, a second; 0 for no bound.
        #[arg(long)]
        items_per_second: u32,
        /// At once, after a rest; ten seconds' worth if it is left out.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        burst_items: Option<u32>,
    },
    /// Have nodes understand a format; those that do not stop.
    SetFormat { format: u16 },
    /// Have members form a committee to which keys are sealed; they take over the key that there is, if k stays.
    SetCommittee {
        /// How many of them open what is sealed: 2 to 7, and more than half.
        #[arg(long)]
        k: u32,
        /// Who, 13 at most, separated by commas.
        #[arg(long, value_delimiter = ',', required = true)]
        members: Vec<MemberName>,
        /// Makes a new key in any case.
        #[arg(long)]
        renew: bool,
    },
}

pub(crate) async fn run(args: GovernanceArgs) -> anyhow::Result<()> {
    match args.task {
        Task::Show(args) => show::run(args).await,
        Task::Propose { by, action } => {
            let desk = by.desk()?;
            let action = action.read(&desk).await?;
            desk.give(&by, &Command::Propose(action)).await
        }
        Task::Vote { by, proposal, vote } => {
            let approves = matches!(vote, Vote::Approve);
            let command = Command::Vote { proposal, approves };
            by.desk()?.give(&by, &command).await
        }
        Task::Withdraw { by, proposal } => by.desk()?.give(&by, &Command::Withdraw(proposal)).await,
        Task::Renew { by, key_type } => renew(&by, key_type, false).await,
        Task::Revoke { by, thumbprint } => {
            let thumbprint = Digest::from_hex(&thumbprint);
            let thumbprint = thumbprint.context("a thumbprint is 64 hexadecimal digits")?;
            let command = Command::RevokeCertificate(thumbprint);
            by.desk()?.give(&by, &command).await
        }
        Task::RotateValidator { by } => by.desk()?.rotate_validator(&by).await,
        Task::Announce {
            by,
            consensus,
            exchange,
        } => {
            let endpoints = Endpoints {
                consensus,
                exchange,
            };
            by.desk()?.give(&by, &Command::Announce(endpoints)).await
        }
    }
}

/// Gives the node a new key and certificate; if wished, all others of the member are revoked, and their keys destroyed.
pub(crate) async fn renew(by: &By, key_type: KeyType, revokes: bool) -> anyhow::Result<()> {
    let desk = by.desk()?;
    let kept = desk.renew(by, key_type).await?;
    if revokes {
        desk.revoke_others(by, &kept).await?;
    }
    Ok(())
}

impl By {
    pub(crate) fn new(config: PathBuf, through: Option<String>, json: bool) -> Self {
        Self {
            config,
            through,
            json,
        }
    }

    fn desk(&self) -> anyhow::Result<Desk> {
        Desk::open(&self.config, self.through.as_deref())
    }
}

impl Proposed {
    async fn read(self, desk: &Desk) -> anyhow::Result<Action> {
        let bytes = |path: &PathBuf| {
            fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
        };
        Ok(match self {
            Self::Admit { file } => codec::decode("admission", &bytes(&file)?)
                .with_context(|| format!("{} is no admission", file.display()))?,
            Self::Suspend { member } => Action::Suspend(member),
            Self::Reinstate { member } => Action::Reinstate(member),
            Self::Remove { member } => Action::Remove(member),
            Self::ReplaceAuthority {
                member,
                certificate,
            } => Action::ReplaceAuthority {
                member,
                authority: bytes(&certificate)?,
            },
            Self::AddValidator { member } => Action::AddValidator(member),
            Self::RemoveValidator { member } => Action::RemoveValidator(member),
            Self::SetPolicies { file } => Action::SetPolicies(
                String::from_utf8(bytes(&file)?)
                    .with_context(|| format!("{} is not UTF-8", file.display()))?,
            ),
            Self::SetLabelRules { file } => Action::SetLabelRules(
                String::from_utf8(bytes(&file)?)
                    .with_context(|| format!("{} is not UTF-8", file.display()))?,
            ),
            Self::SetThresholds {
                members,
                validators,
                settings,
            } => {
                let now = *desk.registry().await?.rules();
                Action::SetRules(Rules {
                    members: members.unwrap_or(now.members),
                    validators: validators.unwrap_or(now.validators),
                    settings: settings.unwrap_or(now.settings),
                    ..now
                })
            }
            Self::SetQuota {
                items_per_second,
                burst_items,
            } => Action::SetRules(Rules {
                quota: quota(items_per_second, burst_items),
                ..*desk.registry().await?.rules()
            }),
            Self::SetFormat { format } => Action::SetFormat(format),
            Self::SetCommittee {
                k,
                mut members,
                renew,
            } => {
                members.sort();
                Action::SetCommittee {
                    k,
                    members,
                    renews: renew,
                }
            }
        })
    }
}

fn fraction(text: &str) -> Result<Threshold, String> {
    let parts = text.split_once('/');
    let parsed = parts.and_then(|(numerator, denominator)| {
        Some(Threshold {
            numerator: numerator.parse().ok()?,
            denominator: denominator.parse().ok()?,
        })
    });
    let sound = parsed.filter(|threshold| threshold.is_sound());
    sound.ok_or_else(|| "a threshold is a fraction below one, such as 2/3".to_owned())
}
