//! The pages that people see: plain HTML without scripts. What comes from outside is escaped by the template.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use reqwest::Url;

use super::patients::Choice;
use super::words;

const STYLE: &str = include_str!("pages.css");

/// What every form carries.
#[derive(Clone)]
pub(super) struct Form {
    pub(super) request: String,
    pub(super) csrf: String,
    /// Whose page it is.
    pub(super) member: String,
}

/// How people can sign in.
#[derive(Clone, Copy)]
pub(super) struct Ways<'a> {
    pub(super) has_accounts: bool,
    /// The identity provider's name.
    pub(super) provider: Option<&'a str>,
}

/// A sign-in that did not work.
#[derive(Clone, Copy)]
pub(super) struct Failed<'a> {
    pub(super) why: &'a str,
    /// The user name that was typed.
    pub(super) name: &'a str,
}

/// What a person is asked to grant.
pub(super) struct Consent<'a> {
    pub(super) app: &'a str,
    /// Where the app is.
    pub(super) origin: &'a str,
    pub(super) person: &'a str,
    pub(super) patient: Option<&'a str>,
    pub(super) scopes: &'a [String],
}

/// The page on which somebody signs in.
pub(super) fn sign_in(
    form: &Form,
    app: &str,
    ways: Ways<'_>,
    failed: Option<Failed<'_>>,
) -> Markup {
    let body = html! {
        p { "To go on to " strong { (app) } ", sign in." }
        @if let Some(failed) = failed { p #problem .problem role="alert" { (failed.why) } }
        @if ways.has_accounts { (account(form, failed.map(|failed| failed.name))) }
        @if let Some(provider) = ways.provider {
            // A link: browsers hold forms to the policy of the page, redirects included.
            a .button href=(format!("/oauth2/provider?request={}", form.request)) {
                "Sign in with " (provider)
            }
        }
    };
    let title = Title {
        text: "Sign in",
        is_error: failed.is_some(),
    };
    page(title, Some(&form.member), &body)
}

/// The form of an account; after an attempt that failed, with the name that was typed.
fn account(form: &Form, failed: Option<&str>) -> Markup {
    let name = failed.unwrap_or_default();
    let is_invalid = (!name.is_empty()).then_some("true");
    let described = is_invalid.map(|_| "problem");
    html! {
        form method="post" action="/oauth2/login" {
            (hidden(form))
            label for="username" { "User name" }
            input #username name="username" type="text" autocomplete="username" autocapitalize="none"
                spellcheck="false" required maxlength="64" value=(name) autofocus[name.is_empty()]
                aria-invalid=[is_invalid] aria-describedby=[described];
            label for="password" { "Password" }
            input #password name="password" type="password" autocomplete="current-password" required
                maxlength="256" autofocus[!name.is_empty()] aria-invalid=[is_invalid]
                aria-describedby=[described];
            button .first type="submit" { "Sign in" }
        }
    }
}

/// The page on which a practitioner chooses the patient.
pub(super) fn choose_patient(form: &Form, app: &str, found: Option<&[Choice]>) -> Markup {
    let body = html! {
        p { strong { (app) } " asks to see the record of one patient. Which one?" }
        form role="search" method="post" action="/oauth2/patient" {
            (hidden(form))
            label for="words" { "Search for a patient" }
            p #how .hint { "A name, an identifier, or a date of birth such as 1970-01-31." }
            input #words name="words" type="search" autocomplete="off" spellcheck="false" required
                maxlength="100" autofocus[found.is_none()] aria-describedby="how";
            button .first type="submit" { "Search" }
        }
        @match found {
            None => {}
            Some([]) => p .hint role="status" { "Nobody was found whose record you may see." },
            Some(found) => {
                h2 #found { "Patients" }
                ul aria-labelledby="found" {
                    (choices(form, found))
                }
            }
        }
    };
    page("Choose a patient".into(), Some(&form.member), &body)
}

/// The page on which somebody who acts for several patients says in whose place.
pub(super) fn choose_principal(form: &Form, app: &str, found: &[Choice]) -> Markup {
    let body = html! {
        p { strong { (app) } " asks to see the record of one patient. In whose place do you act?" }
        h2 #found { "You act for" }
        ul aria-labelledby="found" { (choices(form, found)) }
    };
    page("Choose for whom you act".into(), Some(&form.member), &body)
}

fn choices(form: &Form, found: &[Choice]) -> Markup {
    html! {
        @for one in found {
            li {
                form method="post" action="/oauth2/patient" {
                    (hidden(form))
                    input type="hidden" name="patient" value=(one.id);
                    button type="submit" { (one.label) }
                }
            }
        }
    }
}

/// The page on which somebody grants what the app asks for, or does not.
pub(super) fn consent(form: &Form, asked: &Consent<'_>) -> Markup {
    let body = html! {
        p {
            "You are signed in as " strong { (asked.person) } ". The app " strong { (asked.app) }
            " (" (asked.origin) ") asks for access"
            @if let Some(patient) = asked.patient { " to the record of " strong { (patient) } }
            "."
        }
        form method="post" action="/oauth2/consent" {
            (hidden(form))
            fieldset {
                legend { "The app may" }
                @for scope in asked.scopes {
                    label {
                        input type="checkbox" name="scope" value=(scope) checked;
                        span { (words::of(scope)) " " code { (scope) } }
                    }
                }
            }
            button .first type="submit" name="decision" value="approve" { "Allow" }
            button type="submit" name="decision" value="deny" { "Refuse" }
        }
        form method="post" action="/oauth2/logout" {
            (hidden(form))
            button .plain type="submit" { "Sign in as somebody else" }
        }
    };
    page("Allow access".into(), Some(&form.member), &body)
}

/// A page that says what went wrong.
pub(super) fn problem(status: StatusCode, text: &str) -> Response {
    let body = html! { p .problem role="alert" { (text) } };
    let page = page("This did not work".into(), None, &body);
    answer(status, &page, None)
}

/// An answer with a page. Forms may lead to this node, and from it to the app's redirect URI.
pub(super) fn answer(status: StatusCode, page: &Markup, redirect_uri: Option<&str>) -> Response {
    let target = redirect_uri.map(|uri| format!(" {}", source(uri)));
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'{}; frame-ancestors 'none'; base-uri 'none'",
        target.unwrap_or_default()
    );
    let mut response = (status, page.0.clone()).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// The style sheet of the pages.
pub(crate) async fn style() -> Response {
    let kind = HeaderValue::from_static("text/css; charset=utf-8");
    let mut response = ([(header::CONTENT_TYPE, kind)], STYLE).into_response();
    let lasting = HeaderValue::from_static("public, max-age=3600");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, lasting);
    response
}

#[derive(Clone, Copy)]
struct Title<'a> {
    text: &'a str,
    is_error: bool,
}

impl<'a> From<&'a str> for Title<'a> {
    fn from(text: &'a str) -> Self {
        Self {
            text,
            is_error: false,
        }
    }
}

fn page(title: Title<'_>, member: Option<&str>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Read out first: whoever does not see the page learns that something is wrong.
                title {
                    @if title.is_error { "Error: " }
                    (title.text)
                    @if let Some(member) = member { " – " (member) }
                }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/oauth2/style.css";
            }
            body {
                main {
                    @if let Some(member) = member { p .member { (member) } }
                    h1 { (title.text) }
                    (body)
                }
            }
        }
    }
}

fn hidden(form: &Form) -> Markup {
    html! {
        input type="hidden" name="request" value=(form.request);
        input type="hidden" name="csrf" value=(form.csrf);
    }
}

/// A redirect URI as a source of a content security policy: its origin, or its scheme.
fn source(uri: &str) -> String {
    match Url::parse(uri) {
        Ok(url) if url.origin().is_tuple() => url.origin().ascii_serialization(),
        Ok(url) => format!("{}:", url.scheme()),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_is_text_in_a_page() {
        let form = Form {
            request: "\"><script>".to_owned(),
            csrf: "c".to_owned(),
            member: "clinic".to_owned(),
        };
        let text = "<script>alert(1)</script>";
        let choice = Choice {
            id: text.to_owned(),
            label: text.to_owned(),
        };
        let scopes = [format!("patient/{text}.r")];
        let ways = Ways {
            has_accounts: true,
            provider: Some(text),
        };
        let failed = Failed {
            why: text,
            name: text,
        };
        let asked = Consent {
            app: text,
            origin: text,
            person: text,
            patient: Some(text),
            scopes: &scopes,
        };
        for page in [
            sign_in(&form, text, ways, Some(failed)),
            choose_patient(&form, text, Some(&[choice])),
            consent(&form, &asked),
        ] {
            assert!(!page.0.contains("<script"), "{}", page.0);
            assert!(page.0.contains("&lt;script&gt;"));
        }
    }

    #[test]
    fn a_form_leads_nowhere_but_here_and_to_the_app() {
        let policy = |uri: Option<&str>| {
            let response = answer(StatusCode::OK, &html! {}, uri);
            let policy = &response.headers()[header::CONTENT_SECURITY_POLICY];
            policy.to_str().unwrap().to_owned()
        };
        assert!(policy(None).contains("form-action 'self';"));
        let https = policy(Some("https://app.example:8443/back?x=1"));
        assert!(https.contains("form-action 'self' https://app.example:8443;"));
        assert!(policy(Some("org.example.app:/back")).contains("'self' org.example.app:;"));
    }
}
