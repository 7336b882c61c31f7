//! A person's browser and the app that it is sent from: SMART App Launch, from the app's request to its token.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ledger::ids::Digest;
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Url};
use serde_json::{Value, json};

use super::Story;
use crate::client::{Client, User};
use crate::network::read_json;

const BACK: &str = "http://127.0.0.1:3000/";
const VERIFIER: &str = "what-the-app-of-the-story-keeps-until-it-has-a-code";

/// An app that is registered at a member.
pub(super) struct App {
    base_url: String,
    id: String,
    scopes: &'static str,
}

/// One browser, which follows redirects within the member and keeps its cookie.
struct Browser<'a> {
    app: &'a App,
    http: reqwest::Client,
    cookie: String,
}

/// A page, or a redirect away from the member.
struct Page {
    /// Which request of the app it is about.
    request: String,
    /// What forms bring back.
    csrf: String,
    /// The redirect's target.
    away: Option<Url>,
}

impl Story {
    /// An app that a member's administrator registers.
    pub(super) async fn register_app(
        &self,
        member: &str,
        scopes: &'static str,
    ) -> anyhow::Result<App> {
        let credential = read_json(&self.layout.member(member).credential("administrator"))?;
        let user = User {
            purpose: "HOPERAT".to_owned(),
            practitioner: None,
            role: None,
        };
        let client = Client::of_system(&self.view.http, &credential, user, "careledger/clients")?;
        let metadata = json!({
            "client_name": "The story's app",
            "redirect_uris": [BACK],
            "scope": scopes,
            "token_endpoint_auth_method": "none",
        });
        let registered = client.register_client(&metadata).await?.ok()?.json()?;
        let id = registered["client_id"].as_str().context("no client_id")?;
        Ok(App {
            base_url: self.view.base_url(member)?.to_owned(),
            id: id.to_owned(),
            scopes,
        })
    }
}

impl App {
    /// Has a person sign in and grant; gives the access token.
    pub(super) async fn sign_in(&self, user: &str, password: &str) -> anyhow::Result<String> {
        let http = reqwest::Client::builder();
        let http = http.no_proxy().redirect(Policy::none()).build()?;
        let mut browser = Browser {
            app: self,
            http: http.clone(),
            cookie: String::new(),
        };
        let form = browser.authorize().await?;
        let form = browser
            .submit(
                "login",
                &form,
                &[("username", user), ("password", password)],
            )
            .await?;
        let mut granted = vec![("decision", "approve")];
        granted.extend(self.scopes.split(' ').map(|scope| ("scope", scope)));
        let back = browser.submit("consent", &form, &granted).await?.away;
        let back = back.context("the app was not sent back to")?;
        let code = parameter(&back, "code").context("the app got no code")?;
        let redeemed = http.post(format!("{}/oauth2/token", self.base_url)).form(&[
            ("grant_type", "authorization_code"),
            ("client_id", &self.id),
            ("code", &code),
            ("redirect_uri", BACK),
            ("code_verifier", VERIFIER),
        ]);
        let answer = redeemed.send().await?.error_for_status()?;
        let token: Value = answer.json().await?;
        let token = token["access_token"].as_str().context("no access token")?;
        Ok(token.to_owned())
    }
}

impl Browser<'_> {
    async fn authorize(&mut self) -> anyhow::Result<Page> {
        let challenge = URL_SAFE_NO_PAD.encode(Digest::of(VERIFIER.as_bytes()).0);
        let aud = format!("{}/fhir", self.app.base_url);
        let request = self
            .http
            .get(format!("{}/oauth2/authorize", self.app.base_url))
            .query(&[
                ("response_type", "code"),
                ("client_id", &self.app.id),
                ("redirect_uri", BACK),
                ("scope", self.app.scopes),
                ("state", "story"),
                ("aud", &aud),
                ("code_challenge", &challenge),
                ("code_challenge_method", "S256"),
            ]);
        self.visit(request).await
    }

    async fn submit(
        &mut self,
        step: &str,
        page: &Page,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<Page> {
        let url = format!("{}/oauth2/{step}", self.app.base_url);
        let mut form = vec![
            ("request", page.request.as_str()),
            ("csrf", page.csrf.as_str()),
        ];
        form.extend_from_slice(fields);
        let request = self.http.request(Method::POST, url).form(&form);
        self.visit(request).await
    }

    async fn visit(&mut self, mut request: RequestBuilder) -> anyhow::Result<Page> {
        let own = Url::parse(&self.app.base_url)?;
        loop {
            let answer = request.header("cookie", &self.cookie).send().await?;
            let header = |name: &str| answer.headers().get(name)?.to_str().ok();
            if let Some((cookie, _)) = header("set-cookie").and_then(|one| one.split_once(';')) {
                self.cookie = cookie.to_owned();
            }
            let Some(target) = header("location") else {
                let text = answer.error_for_status()?.text().await?;
                let field = |name| hidden(&text, name).context("the page has no form");
                return Ok(Page {
                    request: field("request")?,
                    csrf: field("csrf")?,
                    away: None,
                });
            };
            let target = own.join(target)?;
            if target.origin() != own.origin() {
                return Ok(Page {
                    request: String::new(),
                    csrf: String::new(),
                    away: Some(target),
                });
            }
            request = self.http.get(target);
        }
    }
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    let found = pairs.find(|(one, _)| one == name);
    found.map(|(_, value)| value.into_owned())
}

fn hidden(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\""))?;
    Some(rest.split_once('"')?.0.to_owned())
}
