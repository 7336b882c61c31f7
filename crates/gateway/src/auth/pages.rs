//! The pages that people see: plain HTML without scripts. What comes from outside is escaped by the template.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use reqwest::Url;

use super::patients::Choice;

const STYLE: &str = include_str!("pages.css");

/// What every form carries.
#[derive(Clone)]
pub(super) struct Form {
    pub(super) request: String,
    pub(super) csrf: String,
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
    (accounts, provider): (bool, Option<&str>),
    problem: Option<&str>,
) -> Markup {
    let body = html! {
        p { "To go on to " strong { (app) } ", sign in." }
        @if let Some(problem) = problem { p .problem role="alert" { (problem) } }
        @if accounts {
            form method="post" action="/oauth2/login" {
                (hidden(form))
                label for="username" { "User name" }
                input #username name="username" type="text" autocomplete="username" required maxlength="64";
                label for="password" { "Password" }
                input #password name="password" type="password" autocomplete="current-password" required maxlength="256";
                button type="submit" { "Sign in" }
            }
        }
        @if let Some(provider) = provider {
            // A link: browsers hold forms to the policy of the page, redirects included.
            p {
                a href=(format!("/oauth2/provider?request={}", form.request)) {
                    "Sign in with " (provider)
                }
            }
        }
    };
    page("Sign in", &body)
}

/// The page on which a practitioner chooses the patient.
pub(super) fn choose_patient(form: &Form, app: &str, found: Option<&[Choice]>) -> Markup {
    let body = html! {
        p { strong { (app) } " asks to see the record of one patient. Which one?" }
        form method="post" action="/oauth2/patient" {
            (hidden(form))
            label for="words" { "Name, identifier, or date of birth (as 1970-01-31)" }
            input #words name="words" type="search" autocomplete="off" required maxlength="100";
            button type="submit" { "Search" }
        }
        @if let Some(found) = found {
            h2 { "Patients" }
            @if found.is_empty() { p role="status" { "Nobody was found." } }
            ul {
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
    };
    page("Choose a patient", &body)
}

/// The page on which somebody grants what the app asks for, or does not.
pub(super) fn consent(form: &Form, asked: &Consent<'_>) -> Markup {
    let body = html! {
        p {
            "You are " strong { (asked.person) } ". " strong { (asked.app) }
            " (" (asked.origin) ") asks for the following"
            @if let Some(patient) = asked.patient { ", about " strong { (patient) } }
            "."
        }
        form method="post" action="/oauth2/consent" {
            (hidden(form))
            fieldset {
                legend { "What the app may do" }
                @for (n, scope) in asked.scopes.iter().enumerate() {
                    div {
                        input id=(format!("scope-{n}")) type="checkbox" name="scope" value=(scope) checked;
                        label for=(format!("scope-{n}")) { (in_words(scope)) " " code { (scope) } }
                    }
                }
            }
            button type="submit" name="decision" value="approve" { "Allow" }
            button type="submit" name="decision" value="deny" { "Refuse" }
        }
        form method="post" action="/oauth2/logout" {
            (hidden(form))
            button type="submit" { "Sign in as somebody else" }
        }
    };
    page("Allow access", &body)
}

/// A page that says what went wrong.
pub(super) fn problem(status: StatusCode, text: &str) -> Response {
    let body = html! { p role="alert" { (text) } };
    answer(status, &page("This did not work", &body), None)
}

/// An answer with a page. Forms may lead to this node, and from it to the app's redirect URI.
pub(super) fn answer(status: StatusCode, page: &Markup, redirect_uri: Option<&str>) -> Response {
    let target = redirect_uri.map(|uri| format!(" {}", source(uri)));
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action 'self'{}; frame-ancestors 'none'; base-uri 'none'",
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

fn page(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                link rel="stylesheet" href="/oauth2/style.css";
            }
            body { main { h1 { (title) } (body) } }
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

fn in_words(scope: &str) -> PreEscaped<String> {
    let words = match scope {
        "openid" | "profile" => "know that you signed in".to_owned(),
        "fhirUser" => "know who you are".to_owned(),
        "launch" | "launch/patient" => "know which patient this is about".to_owned(),
        "launch/encounter" => "know which encounter this is about".to_owned(),
        "offline_access" => "keep access for up to 90 days, without you".to_owned(),
        "online_access" => "keep access for up to 12 hours".to_owned(),
        data => data_in_words(data),
    };
    html! { (words) }
}

fn data_in_words(scope: &str) -> String {
    let (scope, query) = scope.split_once('?').unwrap_or((scope, ""));
    let rest = scope.split_once('/').map_or("", |(_, rest)| rest);
    let (kind, letters) = rest.split_once('.').unwrap_or((rest, ""));
    let verbs: Vec<&str> = [
        ('r', "read"),
        ('s', "search"),
        ('c', "add"),
        ('u', "change"),
        ('d', "delete"),
    ]
    .iter()
    .filter(|(letter, _)| letters.contains(*letter))
    .map(|(_, verb)| *verb)
    .collect();
    let kind = if kind == "*" { "all records" } else { kind };
    let only = if query.is_empty() { "" } else { ", some only" };
    format!("{} {kind}{only}", verbs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_is_text_in_a_page() {
        let form = Form {
            request: "\"><script>".to_owned(),
            csrf: "c".to_owned(),
        };
        let text = "<script>alert(1)</script>";
        let choice = Choice {
            id: text.to_owned(),
            label: text.to_owned(),
        };
        let scopes = [format!("patient/{text}.r")];
        let asked = Consent {
            app: text,
            origin: text,
            person: text,
            patient: Some(text),
            scopes: &scopes,
        };
        for page in [
            sign_in(&form, text, (true, Some(text)), Some(text)),
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
