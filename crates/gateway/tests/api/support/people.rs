//! People with browsers, and the apps that they use.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::Request;
use form_urlencoded::Serializer;
use gateway::auth::{
    Accounts, ClientConfig, Mapping, Provider, ProviderConfig, SignIn, hash_password,
};
use ledger::ids::Digest;
use serde_json::Value;
use tempfile::TempDir;

use super::{Answer, Site};

pub(crate) const APP: &str = "app";
pub(crate) const BACK: &str = "http://127.0.0.1:9000/back";
pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// RFC 7636, appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const SCOPES: &str = "openid fhirUser profile launch launch/patient launch/encounter offline_access online_access \
                      patient/*.cruds user/*.cruds";

/// One browser, in the middle of a request.
#[derive(Default)]
pub(crate) struct Browser {
    cookie: String,
    pub(crate) request: String,
    pub(crate) csrf: String,
}

pub(super) fn sign_in(folder: &TempDir) -> SignIn {
    static HASH: LazyLock<String> = LazyLock::new(|| hash_password(PASSWORD).unwrap());
    let path = folder.path().join("accounts.toml");
    let account = |name: &str, rest: &str| {
        format!(
            "[{name}]\nname = \"{name}\"\npassword = \"{}\"\n{rest}\n",
            *HASH
        )
    };
    let alice = account(
        "alice",
        "practitioner = \"Practitioner/7\"\nrole = \"physician\"",
    );
    let pat = account("pat", "patient = \"p1\"");
    let rita = account(
        "rita",
        "related = [\"RelatedPerson/r1\", \"RelatedPerson/r2\"]",
    );
    std::fs::write(&path, format!("{alice}{pat}{rita}")).unwrap();
    SignIn {
        accounts: Some(Accounts::open(path).unwrap()),
        provider: issuer().map(provider),
        origins: Vec::new(),
    }
}

/// The identity provider that runs beside the tests, if one does.
pub(crate) fn issuer() -> Option<String> {
    std::env::var("CARELEDGER_TEST_ISSUER").ok()
}

fn provider(issuer: String) -> Provider {
    let mapping = Mapping {
        practitioner_claim: Some("fhirUser".to_owned()),
        role_claim: Some("groups".to_owned()),
        roles: [("doctors".to_owned(), "physician".to_owned())].into(),
        ..Mapping::default()
    };
    let config = ProviderConfig {
        name: "the test".to_owned(),
        issuer,
        client_id: "careledger".to_owned(),
        client_secret: Some("a secret/of+signs".to_owned()),
        scopes: Vec::new(),
        mapping,
    };
    Provider::new(config).unwrap()
}

pub(super) fn apps() -> Vec<ClientConfig> {
    let app = ClientConfig {
        client_id: APP.to_owned(),
        public: true,
        redirect_uris: vec![BACK.to_owned()],
        purposes: vec!["TREAT".to_owned()],
        scopes: SCOPES.to_owned(),
        ..ClientConfig::default()
    };
    let portal = ClientConfig {
        client_id: "portal".to_owned(),
        public: false,
        secret_sha256: Some(hex::encode(Digest::of(b"portal-secret").0)),
        ..app.clone()
    };
    vec![app, portal]
}

pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// A parameter of a redirect's target.
pub(crate) fn parameter(answer: &Answer, name: &str) -> Option<String> {
    let (_, query) = answer.header("location").split_once('?')?;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let found = pairs.find(|(one, _)| one == name);
    found.map(|(_, value)| value.into_owned())
}

impl Browser {
    pub(crate) async fn send(
        &mut self,
        site: &Site,
        request: axum::http::request::Builder,
        body: String,
    ) -> Answer {
        let request = request
            .header("cookie", &self.cookie)
            .body(Body::from(body));
        let answer = site.send(request.unwrap()).await;
        if let Some((cookie, _)) = answer.header("set-cookie").split_once(';') {
            self.cookie = cookie.to_owned();
        }
        if let Some(csrf) = hidden(&answer.text, "csrf") {
            self.csrf = csrf;
        }
        answer
    }

    pub(crate) async fn get(&mut self, site: &Site, path: &str) -> Answer {
        self.send(site, Request::get(path), String::new()).await
    }

    pub(crate) async fn post(&mut self, site: &Site, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let request =
            Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        let mut all = vec![
            ("request", self.request.clone()),
            ("csrf", self.csrf.clone()),
        ];
        all.extend(
            pairs
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        let body = Serializer::new(String::new()).extend_pairs(all).finish();
        self.send(site, request, body).await
    }

    /// Sends the app's request; the answer is the first page, or what refuses it.
    pub(crate) async fn authorize(&mut self, site: &Site, changes: &[(&str, &str)]) -> Answer {
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", APP),
            ("redirect_uri", BACK),
            (
                "scope",
                "openid fhirUser launch/patient patient/*.rs offline_access",
            ),
            ("state", "s1"),
            ("aud", "http://127.0.0.1:8101/fhir"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("nonce", "n1"),
        ];
        for (name, value) in changes {
            pairs.retain(|(one, _)| one != name);
            pairs.push((name, value));
        }
        let answer = self
            .get(site, &format!("/oauth2/authorize?{}", form(&pairs)))
            .await;
        self.follow(site, answer).await
    }

    pub(crate) async fn login(&mut self, site: &Site, user: &str, password: &str) -> Answer {
        let pairs = [("username", user), ("password", password)];
        let answer = self.post(site, "/oauth2/login", &pairs).await;
        self.follow(site, answer).await
    }

    pub(crate) async fn choose(&mut self, site: &Site, patient: &str) -> Answer {
        let answer = self
            .post(site, "/oauth2/patient", &[("patient", patient)])
            .await;
        self.follow(site, answer).await
    }

    /// Grants these scopes; the answer is the redirect to the app.
    pub(crate) async fn grant(&mut self, site: &Site, scopes: &[&str]) -> Answer {
        let mut pairs = vec![("decision", "approve")];
        pairs.extend(scopes.iter().map(|scope| ("scope", *scope)));
        self.post(site, "/oauth2/consent", &pairs).await
    }

    /// Everything up to the code.
    pub(crate) async fn code(
        &mut self,
        site: &Site,
        (user, patient): (&str, Option<&str>),
        changes: &[(&str, &str)],
        scopes: &str,
    ) -> String {
        let mut changes = changes.to_vec();
        changes.push(("scope", scopes));
        self.authorize(site, &changes).await;
        let mut page = self.login(site, user, PASSWORD).await;
        if let Some(patient) = patient {
            page = self.choose(site, patient).await;
        }
        assert_eq!(page.status, 200, "{}", page.text);
        let scopes: Vec<&str> = scopes.split(' ').collect();
        let back = self.grant(site, &scopes).await;
        parameter(&back, "code").unwrap_or_else(|| panic!("{:?} {}", back.headers, back.text))
    }

    /// Follows redirects within the node.
    async fn follow(&mut self, site: &Site, mut answer: Answer) -> Answer {
        while answer.header("location").starts_with('/') {
            let path = answer.header("location").to_owned();
            if let Some(request) = parameter(&answer, "request") {
                self.request = request;
            }
            answer = self.get(site, &path).await;
        }
        answer
    }
}

impl Site {
    pub(crate) async fn post_form(
        &self,
        path: &str,
        pairs: &[(&str, &str)],
        basic: Option<&str>,
    ) -> Answer {
        let mut request =
            Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        if let Some(basic) = basic {
            use base64::Engine as _;
            let encoded = base64::engine::general_purpose::STANDARD.encode(basic);
            request = request.header("authorization", format!("Basic {encoded}"));
        }
        self.send(request.body(Body::from(form(pairs))).unwrap())
            .await
    }

    pub(crate) async fn redeem(&self, code: &str, changes: &[(&str, &str)]) -> Answer {
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("client_id", APP),
            ("code", code),
            ("redirect_uri", BACK),
            ("code_verifier", VERIFIER),
        ];
        for (name, value) in changes {
            pairs.retain(|(one, _)| one != name);
            pairs.push((name, value));
        }
        self.post_form("/oauth2/token", &pairs, None).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        let pairs = [
            ("grant_type", "refresh_token"),
            ("client_id", APP),
            ("refresh_token", token),
        ];
        self.post_form("/oauth2/token", &pairs, None).await
    }

    /// An app's tokens for a user, with these scopes.
    pub(crate) async fn launched(&self, who: (&str, Option<&str>), scopes: &str) -> Value {
        let code = Browser::default().code(self, who, &[], scopes).await;
        let answer = self.redeem(&code, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.json()
    }
}

fn hidden(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\""))?;
    Some(rest.split_once('"')?.0.to_owned())
}
