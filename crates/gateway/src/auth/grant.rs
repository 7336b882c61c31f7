//! Codes, and the tokens that come from them: what one person granted one client.

use node::custody::{Reach, Requester, Trail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::authentication::Authenticated;
use super::client::Client;
use super::pcf;
use super::rows::{Found, Kind};
use super::scope::{Scopes, Word};
use super::secret;
use super::server::{AuthorizationServer, TokenError, TokenRequest};
use super::token::AccessToken;
use super::user::User;

/// A code is exchanged within a minute,
const CODE_SECONDS: u64 = 60;
/// and remembered for longer, so that a second use is known for what it is.
const CODE_REMEMBERED_SECONDS: u64 = 3_600;
const OFFLINE_SECONDS: u64 = 90 * 86_400;
const ONLINE_SECONDS: u64 = 12 * 3_600;
const VERIFIER_BYTES: std::ops::RangeInclusive<usize> = 43..=128;

/// What a person granted a client.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Grant {
    pub(super) client: String,
    pub(super) user: User,
    /// The patient (local id) in context.
    pub(super) patient: Option<String>,
    /// As whom the user acts in the place of that patient.
    #[serde(default)]
    pub(super) related: Option<String>,
    pub(super) encounter: Option<String>,
    pub(super) scopes: String,
    pub(super) purpose: String,
    pub(super) nonce: Option<String>,
    /// When the user signed in; 0 if that is not known.
    pub(super) signed_in_at: u64,
}

/// A code, kept under the digest of its text.
#[derive(Serialize, Deserialize)]
pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) redirect_uri: String,
    /// PKCE, S256.
    pub(super) challenge: String,
    valid_until: u64,
    /// The grant that came from it, once it was used.
    spent: Option<String>,
}

/// A grant with a refresh token, kept under the digest of the token's first part.
#[derive(Serialize, Deserialize)]
struct Refreshable {
    grant: Grant,
    /// The digest of the second part, which changes at each use.
    current: String,
}

impl AuthorizationServer {
    /// A code for the grant, bound to where it is sent and to who can show the verifier.
    pub(super) async fn code(
        &self,
        grant: Grant,
        redirect_uri: String,
        challenge: String,
    ) -> Result<String, TokenError> {
        let (text, now) = (secret::fresh()?, self.clock.now());
        let code = Code {
            grant,
            redirect_uri,
            challenge,
            valid_until: now.saturating_add(CODE_SECONDS),
            spent: None,
        };
        let forgotten_at = Some(now.saturating_add(CODE_REMEMBERED_SECONDS));
        let id = secret::digest(&text);
        let is_new = self.kept.put(Kind::Code, &id, &code, forgotten_at).await?;
        is_new.then_some(text).ok_or(TokenError::Unavailable)
    }

    /// T6: a code is used once, by its client, with the verifier.
    pub(super) async fn redeem(
        &self,
        by: &Authenticated,
        request: &TokenRequest,
    ) -> Result<Value, TokenError> {
        let now = self.clock.now();
        let text = request.code.as_deref();
        let id = secret::digest(text.ok_or(TokenError::RequestMalformed)?);
        let found: Option<Found<Code>> = self.kept.find(Kind::Code, &id, now)?;
        let found = found.ok_or(TokenError::CodeRefused)?;
        let code = &found.value;
        if code.grant.client != by.client.id {
            return Err(TokenError::CodeRefused);
        }
        if let Some(spent) = &code.spent {
            return self.used_again(spent).await;
        }
        let is_right = now < code.valid_until
            && request.redirect_uri.as_deref() == Some(&*code.redirect_uri)
            && proves(request.code_verifier.as_deref(), &code.challenge);
        if !is_right {
            return Err(TokenError::CodeRefused);
        }
        let (family, secret) = (secret::fresh()?, secret::fresh()?);
        let grant_id = secret::digest(&family);
        let spent = Code {
            grant: code.grant.clone(),
            redirect_uri: code.redirect_uri.clone(),
            challenge: code.challenge.clone(),
            valid_until: code.valid_until,
            spent: Some(grant_id.clone()),
        };
        if !self.kept.replace(&found, &spent).await? {
            // Somebody was faster with the same code.
            let found: Option<Found<Code>> = self.kept.find(Kind::Code, &id, now)?;
            let spent = found.and_then(|found| found.value.spent);
            return self.used_again(&spent.unwrap_or_default()).await;
        }
        let scopes = scopes_of(&code.grant)?;
        let lifetime = lifetime(&scopes);
        if let Some(seconds) = lifetime {
            let kept = Refreshable {
                grant: code.grant.clone(),
                current: secret::digest(&secret),
            };
            let until = Some(now.saturating_add(seconds));
            self.kept.put(Kind::Grant, &grant_id, &kept, until).await?;
        }
        let refresh = lifetime.map(|_| format!("{family}.{secret}"));
        self.tokens(&code.grant, &grant_id, scopes, refresh).await
    }

    /// T7: a refresh token is used once; a second use ends the whole family.
    pub(super) async fn refresh(
        &self,
        by: &Authenticated,
        request: &TokenRequest,
    ) -> Result<Value, TokenError> {
        let now = self.clock.now();
        let text = request.refresh_token.as_deref();
        let text = text.ok_or(TokenError::RequestMalformed)?;
        let (family, secret) = text.split_once('.').ok_or(TokenError::RefreshRefused)?;
        let id = secret::digest(family);
        let found: Option<Found<Refreshable>> = self.kept.find(Kind::Grant, &id, now)?;
        let found = found.ok_or(TokenError::RefreshRefused)?;
        let kept = &found.value;
        if kept.grant.client != by.client.id {
            return Err(TokenError::RefreshRefused);
        }
        if !self.sign_in.still_knows(&kept.grant.user) {
            self.revoke_grant(&id).await?;
            return Err(TokenError::RefreshRefused);
        }
        let next = secret::fresh()?;
        let rotated = Refreshable {
            grant: kept.grant.clone(),
            current: secret::digest(&next),
        };
        let is_current = secret::is_of(secret, &kept.current);
        if !is_current || !self.kept.replace(&found, &rotated).await? {
            tracing::warn!(
                event = "refresh_token_reused",
                client = by.client.id,
                "security"
            );
            self.revoke_grant(&id).await?;
            return Err(TokenError::RefreshRefused);
        }
        let granted = scopes_of(&kept.grant)?;
        // What the client is registered for may have become less since.
        let allowed = granted.within(&by.client.scopes);
        let allowed = allowed.ok_or(TokenError::ScopeRefused)?;
        let scopes = match &request.scope {
            None => allowed,
            Some(wanted) => Scopes::known(wanted)
                .and_then(|wanted| wanted.within(&allowed))
                .ok_or(TokenError::ScopeRefused)?,
        };
        let refresh = Some(format!("{family}.{next}"));
        self.tokens(&kept.grant, &id, scopes, refresh).await
    }

    /// Ends a grant: its access tokens and its refresh token.
    pub(super) async fn revoke_grant(&self, id: &str) -> Result<(), TokenError> {
        let now = self.clock.now();
        let until = now.saturating_add(OFFLINE_SECONDS);
        self.revoked.add(&self.kept, id, (now, until)).await?;
        while let Some(found) = self.kept.find::<Value>(Kind::Grant, id, now)? {
            if self.kept.remove(&found).await? {
                break;
            }
        }
        Ok(())
    }

    /// Ends all grants of a client that is no more.
    pub(super) async fn revoke_all_of(&self, client: &str) -> Result<(), TokenError> {
        let all = self
            .kept
            .all::<Refreshable>(Kind::Grant, self.clock.now())?;
        for (id, _, kept) in all {
            if kept.grant.client == client {
                self.revoke_grant(&id).await?;
            }
        }
        Ok(())
    }

    /// The grant and the client that a refresh token is of, if it is the current one.
    pub(super) fn refreshable(&self, text: &str) -> Result<Option<(String, Grant)>, TokenError> {
        let Some((family, secret)) = text.split_once('.') else {
            return Ok(None);
        };
        let id = secret::digest(family);
        let found: Option<Found<Refreshable>> =
            self.kept.find(Kind::Grant, &id, self.clock.now())?;
        let found = found.filter(|found| secret::is_of(secret, &found.value.current));
        Ok(found.map(|found| (id, found.value.grant)))
    }

    /// The client to which a refresh token was given, also one that is spent.
    pub(super) fn holder(&self, text: &str) -> Result<Option<String>, TokenError> {
        let family = text.split('.').next().unwrap_or_default();
        let id = secret::digest(family);
        let found: Option<Found<Refreshable>> =
            self.kept.find(Kind::Grant, &id, self.clock.now())?;
        Ok(found.map(|found| found.value.grant.client))
    }

    async fn used_again(&self, grant: &str) -> Result<Value, TokenError> {
        tracing::warn!(event = "code_reused", "security");
        self.revoke_grant(grant).await?;
        Err(TokenError::CodeRefused)
    }

    async fn tokens(
        &self,
        grant: &Grant,
        grant_id: &str,
        scopes: Scopes,
        refresh: Option<String>,
    ) -> Result<Value, TokenError> {
        let has_openid = scopes.have(Word::OpenId);
        let names_user = scopes.have(Word::FhirUser) || scopes.have(Word::Profile);
        let mut answer = self.token_answer(&AccessToken {
            client: grant.client.clone(),
            practitioner: grant.user.practitioner.clone(),
            role: grant.user.role.clone(),
            patient: grant.user.patient.clone(),
            purpose: grant.purpose.clone(),
            scopes,
            context: grant.patient.clone(),
            grant: Some(grant_id.to_owned()),
            jti: uuid::Uuid::new_v4().to_string(),
            signed_in_at: Some(grant.signed_in_at).filter(|at| *at > 0),
            related: grant.related.clone(),
            emergency: None,
            extensions: self.said_by_consents(grant).await?,
        })?;
        answer["token_type"] = json!("Bearer");
        if let Some(patient) = &grant.patient {
            answer["patient"] = json!(patient);
            answer["need_patient_banner"] = json!(true);
        }
        if let Some(encounter) = &grant.encounter {
            answer["encounter"] = json!(encounter);
        }
        if let Some(refresh) = refresh {
            answer["refresh_token"] = json!(refresh);
        }
        if has_openid {
            answer["id_token"] = json!(self.id_token(grant, names_user)?);
        }
        Ok(answer)
    }

    /// What the consents of the patient in context say for the person now.
    async fn said_by_consents(&self, grant: &Grant) -> Result<Option<Value>, TokenError> {
        let Some(patient) = &grant.patient else {
            return Ok(None);
        };
        let by = Requester {
            member: self.member.clone(),
            client: grant.client.clone(),
            practitioner: grant.user.practitioner.clone(),
            role: grant.user.role.clone(),
            patient: grant.user.patient.clone(),
            related: grant.related.clone(),
            emergency: None,
            purpose: grant.purpose.clone(),
            request_id: None,
            reach: Reach::default(),
            trail: Trail::default(),
        };
        let considered = self.patients.considered(&by, patient).await;
        let considered = considered.map_err(|_| TokenError::Unavailable)?;
        Ok(considered.map(|said| pcf::extensions(&self.member, patient, &said)))
    }

    /// OpenID Connect Core §2, and `fhirUser` as SMART has it.
    fn id_token(&self, grant: &Grant, names_user: bool) -> Result<String, TokenError> {
        let now = self.clock.now();
        let mut claims = json!({
            "iss": self.base_url,
            "sub": grant.user.opaque_subject(),
            "aud": grant.client,
            "iat": now,
            "exp": now.saturating_add(self.token_seconds),
        });
        if grant.signed_in_at > 0 {
            claims["auth_time"] = json!(grant.signed_in_at);
        }
        if let Some(nonce) = &grant.nonce {
            claims["nonce"] = json!(nonce);
        }
        if names_user && let Some(reference) = grant.user.fhir_user() {
            claims["fhirUser"] = json!(format!("{}/fhir/{reference}", self.base_url));
        }
        let signed = self.signer.signed("JWT", &claims);
        signed.map_err(|_| TokenError::Unavailable)
    }
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Grant(..)")
    }
}

/// For what purpose a person works with a client.
pub(super) fn purpose(client: &Client, user: &User) -> String {
    if user.patient.is_some() {
        return "PATRQT".to_owned();
    }
    if !user.related.is_empty() {
        return "FAMRQT".to_owned();
    }
    let treats = client.purposes.iter().any(|purpose| purpose == "TREAT");
    let first = client.purposes.first().filter(|_| !treats);
    first.map_or("TREAT", String::as_str).to_owned()
}

fn scopes_of(grant: &Grant) -> Result<Scopes, TokenError> {
    grant.scopes.parse().map_err(|_| TokenError::Unavailable)
}

fn lifetime(scopes: &Scopes) -> Option<u64> {
    if scopes.have(Word::OfflineAccess) {
        Some(OFFLINE_SECONDS)
    } else {
        scopes.have(Word::OnlineAccess).then_some(ONLINE_SECONDS)
    }
}

/// RFC 7636 §4.6, S256.
fn proves(verifier: Option<&str>, challenge: &str) -> bool {
    let Some(verifier) = verifier.filter(|text| VERIFIER_BYTES.contains(&text.len())) else {
        return false;
    };
    secret::is_same(&secret::challenge(verifier), challenge)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    #[test]
    fn a_verifier_proves_its_challenge_alone() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(proves(Some(verifier), challenge));
        assert!(!proves(Some(&verifier.to_uppercase()), challenge));
        assert!(!proves(Some(challenge), challenge));
        assert!(!proves(Some("short"), &secret::challenge("short")));
        assert!(!proves(None, challenge));
    }
}
