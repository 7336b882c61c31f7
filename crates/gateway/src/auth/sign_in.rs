//! How people sign in: with an account of this node, or at the organisation's identity provider.

use super::account::Accounts;
use super::provider::Provider;
use super::user::User;

/// Where people sign in. Without any there are no people: systems and wallets ask for their own tokens.
#[derive(Debug, Default)]
pub struct SignIn {
    /// Accounts of this node.
    pub accounts: Option<Accounts>,
    /// The organisation's identity provider.
    pub provider: Option<Provider>,
    /// Origins of browser apps beside those of registered redirect URIs.
    pub origins: Vec<String>,
}

impl SignIn {
    pub(super) fn is_possible(&self) -> bool {
        self.accounts.is_some() || self.provider.is_some()
    }

    /// Whether the person could still sign in, as the same person. What a provider thinks now is not known.
    pub(super) fn still_knows(&self, user: &User) -> bool {
        match (user.subject.strip_prefix("local:"), &self.accounts) {
            (Some(name), Some(accounts)) => accounts.user(name).as_ref() == Some(user),
            (Some(_), None) => false,
            (None, _) => self.provider.is_some(),
        }
    }
}
