//! `careledger wallet share`, `shares` and `unshare`: SMART Health Links that a patient gives away.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::Args;
use contracts::share::BranchGrant;
use interop::fhir::timespan::format_instant;
use interop::shl::Link;
use ledger::ids::MemberName;
use ledger::stream::{Branch, GrantedBranch};
use qrcode::render::{svg, unicode};
use qrcode::{EcLevel, QrCode};
use serde_json::{Value, json};
use vault::jwe;

use super::{View, Wallet, WalletFolder};
use crate::client::Request;
use crate::network::write_secret;
use crate::said::say;

/// What a link's files are.
const FHIR_JSON: &str = "application/fhir+json";

#[derive(Debug, Args)]
pub(super) struct ShareArgs {
    name: String,
    /// The member that keeps what is sealed, at which the wallet is enrolled.
    #[arg(long)]
    through: String,
    /// For whom: a member, which can then enrol the patient; or `anyone`, with --records.
    #[arg(long)]
    with: String,
    /// The branches whose keys that member gets; without any, those that an enrolment gives.
    #[arg(long, value_delimiter = ',', conflicts_with = "records")]
    branches: Vec<String>,
    /// Shares the patient summary (IPS) as it is now, instead of keys: any reader of SMART Health Links opens it.
    #[arg(long)]
    records: bool,
    /// What the recipient has to know besides. Tell it by another way than the link.
    #[arg(long)]
    passcode: Option<String>,
    /// In how many hours the link ends.
    #[arg(long, default_value_t = 24)]
    expires_hours: u64,
    /// What the recipient sees, 80 characters at most; it is in the link and readable.
    #[arg(long)]
    label: Option<String>,
    /// Leaves the manifest out (flag `U`): for simple readers, without a passcode.
    #[arg(long, conflicts_with = "passcode")]
    direct: bool,
    /// Shows the link as a QR code.
    #[arg(long)]
    qr: bool,
    /// Writes the QR code to a file (SVG) that only its owner reads.
    #[arg(long)]
    qr_file: Option<PathBuf>,
}

/// Gives a link away.
pub(super) async fn share(
    view: &View,
    folder: &WalletFolder,
    args: &ShareArgs,
) -> anyhow::Result<()> {
    let wallet = folder.wallet(&args.name)?;
    let file = wallet.shared(view, args).await?;
    let key: [u8; 32] = rand::random();
    let until = SystemTime::now() + Duration::from_secs(args.expires_hours.saturating_mul(3_600));
    let until = until.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let text = |name: &str, value: &str| json!({ "name": name, "valueString": value });
    let mut parameters = vec![
        text(
            "file",
            &jwe::seal(&key, FHIR_JSON, file.to_string().as_bytes()),
        ),
        text("expires", &until.to_string()),
        json!({ "name": "direct", "valueBoolean": args.direct }),
    ];
    parameters.extend(args.passcode.as_ref().map(|code| text("passcode", code)));
    parameters.extend(args.label.as_ref().map(|label| text("label", label)));
    let answer = wallet
        .asks(view, &args.through, "share", parameters)
        .await?;
    let said = |name: &str| {
        let said = element(&answer, name).map(str::to_owned);
        said.with_context(|| format!("the member does not say `{name}`"))
    };
    let link = Link {
        url: said("url")?,
        key,
        expires: Some(until),
        label: args.label.clone(),
        takes_passcode: args.passcode.is_some(),
        is_direct: args.direct,
    };
    show(&link.to_text(), args)?;
    say(&format!(
        "it ends at {}; `wallet unshare {} --through {} {}` withdraws it",
        instant(until),
        args.name,
        args.through,
        said("id")?
    ))
}

/// Lists the links that are active at a member.
pub(super) async fn shares(wallet: &Wallet, view: &View, through: &str) -> anyhow::Result<()> {
    let client = wallet.client(view, through)?;
    let path = format!("Patient/{}/$shares", wallet.patient_at(through)?);
    let answer = client.get(&path).await?.ok()?.json()?;
    let shares = answer.get("parameter").and_then(Value::as_array);
    for share in shares.into_iter().flatten() {
        let part = json!({ "parameter": share["part"] });
        let said = |name| element(&part, name).unwrap_or("-");
        let until = element(&part, "expires").and_then(|text| text.parse().ok());
        let tries = element(&part, "tries").map(|tries| format!(", {tries} tries left"));
        say(&format!(
            "{}  until {}  fetched {}{}  {}",
            said("id"),
            until.map_or_else(|| "it is withdrawn".to_owned(), instant),
            said("fetched"),
            tries.unwrap_or_default(),
            said("label"),
        ))?;
    }
    Ok(())
}

/// Withdraws a link.
pub(super) async fn unshare(
    wallet: &Wallet,
    view: &View,
    (through, id): (&str, &str),
) -> anyhow::Result<()> {
    let named = vec![json!({ "name": "id", "valueString": id })];
    wallet.asks(view, through, "unshare", named).await?;
    say("the link is withdrawn: what was fetched before stays with whoever has it")
}

impl Wallet {
    /// What goes under seal: keys for a member, or the records.
    async fn shared(&self, view: &View, args: &ShareArgs) -> anyhow::Result<Value> {
        if args.records {
            let client = self.client(view, &args.through)?;
            let path = format!("Patient/{}/$summary", self.patient_at(&args.through)?);
            return client.get(&path).await?.ok()?.json();
        }
        anyhow::ensure!(
            args.with != "anyone",
            "keys are for one member, which --with names; --records shares the summary with anyone"
        );
        view.base_url(&args.with)?;
        let member: MemberName = args.with.parse()?;
        let branches = self.chosen(view, &member, &args.branches)?;
        anyhow::ensure!(
            self.state.eras.is_empty() || self.state.patients.contains_key(&args.with),
            "a wallet whose root was rotated enrols at a member itself (`wallet enroll`): the member has to take its keys one \
             after the other"
        );
        let place = (view.network_id(), member);
        let identity = self.identity_at(&args.with);
        let grant = BranchGrant::sign(place, identity.public(), branches, |bytes| {
            identity.signing_key().sign(bytes).into()
        });
        Ok(grant.to_resource())
    }

    fn chosen(
        &self,
        view: &View,
        member: &MemberName,
        names: &[String],
    ) -> anyhow::Result<Vec<GrantedBranch>> {
        if names.is_empty() {
            return Ok(self.branches_for(view, member));
        }
        let branches = names.iter().map(|name| {
            let branch: Branch = name.parse()?;
            Ok(self.keys(view.network_id(), &branch))
        });
        let branches: anyhow::Result<Vec<_>> = branches.collect();
        Ok(branches?.into_iter().flatten().collect())
    }

    async fn asks(
        &self,
        view: &View,
        through: &str,
        operation: &str,
        parameters: Vec<Value>,
    ) -> anyhow::Result<Value> {
        let body = json!({ "resourceType": "Parameters", "parameter": parameters });
        let path = format!("Patient/{}/${operation}", self.patient_at(through)?);
        let client = self.client(view, through)?;
        let answer = client.post(&path, &Request::json(&body)).await?;
        answer.ok()?.json()
    }
}

fn show(link: &str, args: &ShareArgs) -> anyhow::Result<()> {
    say(link)?;
    if !args.qr && args.qr_file.is_none() {
        return Ok(());
    }
    // The level that SMART Health Links recommend.
    let code = QrCode::with_error_correction_level(link, EcLevel::M);
    let code = code.context("the link is too long for a QR code")?;
    if args.qr {
        // Light on dark, as most terminals are.
        let mut image = code.render::<unicode::Dense1x2>();
        image.dark_color(unicode::Dense1x2::Light);
        image.light_color(unicode::Dense1x2::Dark);
        say(&image.build())?;
    }
    if let Some(path) = &args.qr_file {
        write_qr(path, &code)?;
    }
    Ok(())
}

/// Whoever sees the code has the link.
fn write_qr(path: &Path, code: &QrCode) -> anyhow::Result<()> {
    let image = code.render::<svg::Color<'_>>().build();
    write_secret(path, image.as_bytes())
}

fn element<'a>(parameters: &'a Value, name: &str) -> Option<&'a str> {
    let all = parameters.get("parameter")?.as_array()?;
    let named = all.iter().find(|one| one["name"] == name)?;
    named["valueString"].as_str()
}

fn instant(seconds: u64) -> String {
    format_instant(i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX))
}
