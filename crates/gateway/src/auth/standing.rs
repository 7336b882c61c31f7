//! What a system may do that speaks another protocol than HTTP, and so never shows a token.

use super::client::WalletsUnavailable;
use super::server::AuthorizationServer;
use super::token::AccessToken;

/// What such systems do, if they are registered for it.
const PURPOSE: &str = "TREAT";

impl AuthorizationServer {
    /// What a token of this system would say: all that it is registered for. None if there is no such system.
    pub(crate) async fn standing(
        &self,
        system: &str,
    ) -> Result<Option<AccessToken>, WalletsUnavailable> {
        let client = self.clients.find(system).await?;
        let client = client.filter(|client| client.patient.is_none() && !client.is_public);
        Ok(client.and_then(|client| {
            let treats = client.purposes.iter().find(|one| *one == PURPOSE);
            let purpose = treats.or(client.purposes.first())?.clone();
            Some(AccessToken {
                client: client.id,
                practitioner: None,
                role: None,
                patient: None,
                purpose,
                scopes: client.scopes,
                context: None,
                grant: None,
                jti: String::new(),
                signed_in_at: None,
                related: None,
                emergency: None,
                extensions: None,
            })
        }))
    }
}
