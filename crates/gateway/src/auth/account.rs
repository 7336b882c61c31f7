//! Local accounts: a file of names and password hashes, for members without an identity provider.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use vault::password;

use super::user::User;

const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 10..=256;

/// One account.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// What pages show.
    pub name: String,
    /// Argon2id, as a PHC string.
    pub password: String,
    /// `Practitioner/ID`, for a practitioner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub practitioner: Option<String>,
    /// The practitioner's role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The local id, for a patient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    /// `RelatedPerson/ID`, for somebody who acts in the place of patients: one for each of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<String>,
}

/// The accounts of a file, by the name with which one signs in. The file is read again when it changes.
#[derive(Clone)]
pub struct Accounts {
    path: PathBuf,
    read: Arc<Mutex<Read>>,
}

#[derive(Default)]
struct Read {
    modified: Option<SystemTime>,
    accounts: BTreeMap<String, Account>,
}

/// Why accounts cannot be used or changed.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AccountError {
    #[error("the accounts cannot be read")]
    Unreadable(#[source] std::io::Error),
    #[error("the accounts are malformed: {0}")]
    Malformed(String),
    #[error("account `{0}`: the name has 1 to 64 letters, digits, `.`, `-`, `_` or `@`")]
    NameNotUsable(String),
    #[error(
        "account `{0}` is a practitioner, a patient, or related to patients, and not two of these"
    )]
    NeitherOrBoth(String),
    #[error(
        "account `{0}`: `practitioner` is not Practitioner/ID, `patient` no id, or `related` not RelatedPerson/ID"
    )]
    ReferenceMalformed(String),
    #[error("account `{0}`: the password hash is not that of Argon2id")]
    HashMalformed(String),
    #[error("a password has 10 to 256 bytes")]
    PasswordLength,
    #[error("the password cannot be hashed")]
    NotHashed,
}

impl Accounts {
    /// The accounts of this file.
    pub fn open(path: PathBuf) -> Result<Self, AccountError> {
        let accounts = Self {
            path,
            read: Arc::default(),
        };
        accounts.refresh()?;
        Ok(accounts)
    }

    /// The person with this name and password. Takes its time: call it where blocking is allowed.
    pub(super) fn check(&self, name: &str, given: &str) -> Option<User> {
        let account = self.find(name);
        let hash = account
            .as_ref()
            .map_or(password::NOBODY, |account| &*account.password);
        let is_right =
            PASSWORD_BYTES.contains(&given.len()) && password::is_right(given.as_bytes(), hash);
        let account = account.filter(|_| is_right)?;
        Some(account.user(name))
    }

    /// The person as the file has it now.
    pub(super) fn user(&self, name: &str) -> Option<User> {
        self.find(name).map(|account| account.user(name))
    }

    fn find(&self, name: &str) -> Option<Account> {
        if let Err(error) = self.refresh() {
            // Nobody signs in by accounts that may have been taken away.
            tracing::error!(%error, "accounts");
            return None;
        }
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.accounts.get(name).cloned()
    }

    fn refresh(&self) -> Result<(), AccountError> {
        let modified = fs::metadata(&self.path)
            .and_then(|data| data.modified())
            .map_err(AccountError::Unreadable)?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.modified != Some(modified) {
            let text = fs::read_to_string(&self.path).map_err(AccountError::Unreadable)?;
            read.accounts = parse(&text)?;
            read.modified = Some(modified);
        }
        Ok(())
    }
}

impl Account {
    fn user(&self, name: &str) -> User {
        User {
            subject: format!("local:{name}"),
            name: self.name.clone(),
            practitioner: self.practitioner.clone(),
            role: self.role.clone(),
            patient: self.patient.clone(),
            related: self.related.clone(),
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account(..)")
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Accounts({})", self.path.display())
    }
}

/// The accounts that a file's text holds, checked.
pub fn parse(text: &str) -> Result<BTreeMap<String, Account>, AccountError> {
    let accounts: BTreeMap<String, Account> = toml::from_str(text)
        .map_err(|error| AccountError::Malformed(error.message().to_owned()))?;
    for (name, account) in &accounts {
        check(name, account)?;
    }
    Ok(accounts)
}

/// What the file keeps of a password.
pub fn hash_password(given: &str) -> Result<String, AccountError> {
    if !PASSWORD_BYTES.contains(&given.len()) {
        return Err(AccountError::PasswordLength);
    }
    password::hash(given.as_bytes()).map_err(|_| AccountError::NotHashed)
}

/// Whether an account may stand in the file under this name.
pub fn check(name: &str, account: &Account) -> Result<(), AccountError> {
    let is_usable = (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_@".contains(&byte));
    if !is_usable {
        return Err(AccountError::NameNotUsable(name.to_owned()));
    }
    let is_well_formed = match (&account.practitioner, &account.patient, &*account.related) {
        (Some(reference), None, []) => super::server::is_practitioner(reference),
        (None, Some(id), []) => interop::fhir::resource::is_id(id),
        (None, None, related @ [_, ..]) => related.iter().all(|one| is_related(one)),
        _ => return Err(AccountError::NeitherOrBoth(name.to_owned())),
    };
    if !is_well_formed {
        return Err(AccountError::ReferenceMalformed(name.to_owned()));
    }
    if password::is_hash(&account.password) {
        Ok(())
    } else {
        Err(AccountError::HashMalformed(name.to_owned()))
    }
}

fn is_related(reference: &str) -> bool {
    reference
        .strip_prefix("RelatedPerson/")
        .is_some_and(interop::fhir::resource::is_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(hash: &str) -> String {
        format!(
            "[alice]\nname = \"Alice\"\npassword = \"{hash}\"\npractitioner = \"Practitioner/7\"\nrole = \"physician\"\n"
        )
    }

    #[test]
    fn a_password_lets_in_and_another_does_not_until_the_account_is_taken_away() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("accounts.toml");
        fs::write(&path, file(&hash_password("correct horse").unwrap())).unwrap();
        let accounts = Accounts::open(path.clone()).unwrap();
        let user = accounts.check("alice", "correct horse").unwrap();
        assert_eq!(user.practitioner.as_deref(), Some("Practitioner/7"));
        assert!(accounts.check("alice", "correct horsf").is_none());
        assert!(accounts.check("bob", "correct horse").is_none());
        fs::write(&path, "").unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        fs::File::open(&path).unwrap().set_modified(later).unwrap();
        assert!(accounts.check("alice", "correct horse").is_none());
        assert!(accounts.user("alice").is_none());
    }

    #[test]
    fn accounts_that_cannot_work_are_refused_by_name() {
        let good = file(password::NOBODY);
        assert!(parse(&good).is_ok());
        for (text, refusal) in [
            (good.replace("[alice]", "[\"al ice\"]"), "NameNotUsable"),
            (
                good.replace("Practitioner/7", "Doctor/7"),
                "ReferenceMalformed",
            ),
            (format!("{good}patient = \"p1\"\n"), "NeitherOrBoth"),
            (good.replace("argon2id", "pbkdf2"), "HashMalformed"),
            (good.replace("role", "rule"), "Malformed"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(format!("{error:?}").starts_with(refusal), "{error:?}");
        }
        assert!(matches!(
            hash_password("short"),
            Err(AccountError::PasswordLength)
        ));
    }
}
