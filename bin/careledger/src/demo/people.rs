//! People who sign in at the clinic, so that apps can be tried there.

use std::fs;
use std::path::{Path, PathBuf};

use gateway::auth::{Account, hash_password};
use serde_json::json;

use crate::client::{Client, Request, User};
use crate::network::{Layout, MemberLayout, NodeFile, read_json, write_secret};
use crate::users;
use crate::wallet::{View, WalletFolder};

pub(super) const MEMBER: &str = "clinic";
pub(super) const CLINICIAN: &str = "alice";
pub(super) const PATIENT: &str = "pat";
const ACCOUNTS: &str = "accounts.toml";
/// Where on this machine the clinic may post notifications, and fetch what is imported.
const BESIDE: &str = "http://127.0.0.1:8199";

/// Names the file of accounts in the clinic's configuration.
pub(super) fn name_file(layout: &Layout) -> anyhow::Result<()> {
    let clinic = layout.member(MEMBER);
    let mut file = NodeFile::read(&clinic.config())?;
    file.accounts = Some(PathBuf::from(ACCOUNTS));
    file.rest_hooks = vec![BESIDE.to_owned()];
    file.import.allowed_origins = vec![BESIDE.to_owned()];
    fs::write(clinic.config(), toml::to_string_pretty(&file)?)?;
    write_secret(&accounts(&clinic), b"")
}

/// Gives a clinician and the first patient an account, unless they have one.
pub(super) async fn welcome(
    layout: &Layout,
    view: &View,
    wallets: &WalletFolder,
) -> anyhow::Result<()> {
    let clinic = layout.member(MEMBER);
    let path = accounts(&clinic);
    let first = wallets.names().into_iter().next();
    let (true, Some(first)) = (path.exists(), first) else {
        return Ok(());
    };
    let known = users::read(&path)?;
    let patient = wallets.wallet(&first)?.patient_at(MEMBER)?.to_owned();
    if !known.contains_key(CLINICIAN) {
        introduce(view, &clinic).await?;
        let account = Account {
            name: "Alice Adams".to_owned(),
            password: password(&clinic, CLINICIAN)?,
            practitioner: Some(format!("Practitioner/{CLINICIAN}")),
            role: Some("physician".to_owned()),
            patient: None,
            related: Vec::new(),
        };
        users::put(&path, CLINICIAN, account)?;
    }
    if !known.contains_key(PATIENT) {
        let account = Account {
            name: "Pat (the first patient)".to_owned(),
            password: password(&clinic, PATIENT)?,
            practitioner: None,
            role: None,
            patient: Some(patient),
            related: Vec::new(),
        };
        users::put(&path, PATIENT, account)?;
    }
    Ok(())
}

/// The practitioner whom the clinician's account names.
async fn introduce(view: &View, clinic: &MemberLayout) -> anyhow::Result<()> {
    let user = User {
        purpose: "HOPERAT".to_owned(),
        practitioner: None,
        role: None,
    };
    let credential = read_json(&clinic.credential("ehr"))?;
    let ehr = Client::of_system(&view.http, &credential, user, "system/Practitioner.u")?;
    let practitioner = json!({
        "resourceType": "Practitioner",
        "id": CLINICIAN,
        "name": [{ "family": "Adams", "given": ["Alice"] }],
    });
    let path = format!("Practitioner/{CLINICIAN}");
    ehr.put(&path, &Request::json(&practitioner)).await?.ok()?;
    Ok(())
}

/// Makes a password, keeps it for whoever tries the demo, and answers its hash.
fn password(clinic: &MemberLayout, account: &str) -> anyhow::Result<String> {
    let path = clinic.password(account);
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    if !path.exists() {
        let fresh = hex::encode(rand::random::<[u8; 8]>());
        write_secret(&path, fresh.as_bytes())?;
    }
    Ok(hash_password(fs::read_to_string(&path)?.trim_end())?)
}

/// The file of the clinic's accounts.
pub(super) fn accounts(clinic: &MemberLayout) -> PathBuf {
    clinic.config().with_file_name(ACCOUNTS)
}
