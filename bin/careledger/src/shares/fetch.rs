//! Fetching what is behind a link: over https or from this machine, without redirects, within limits.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context as _;
use interop::shl::{Link, Place, files};
use reqwest::{StatusCode, Url, redirect};
use serde_json::{Value, json};
use vault::jwe;
use zeroize::Zeroizing;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer at most.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Files of a manifest at most.
const FILES_MAX: usize = 64;

/// What was behind a link.
pub(super) struct Opened {
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

/// Somebody who opens links.
pub(super) struct Reader<'a> {
    http: reqwest::Client,
    recipient: &'a str,
    passcode: Option<&'a str>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(recipient: &'a str, passcode: Option<&'a str>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .build()?;
        Ok(Self {
            http,
            recipient,
            passcode,
        })
    }

    /// Fetches and opens all files.
    pub(super) async fn open(&self, link: &Link) -> anyhow::Result<Vec<Opened>> {
        if link.is_direct {
            let mut url = checked(&link.url)?;
            url.query_pairs_mut()
                .append_pair("recipient", self.recipient);
            let jwe = self.read(self.http.get(url)).await?;
            return Ok(vec![opened(&link.key, &jwe)?]);
        }
        anyhow::ensure!(
            !link.takes_passcode || self.passcode.is_some(),
            "the link takes a passcode: --passcode"
        );
        let mut asked = json!({ "recipient": self.recipient });
        if let Some(passcode) = self.passcode {
            asked["passcode"] = passcode.into();
        }
        let manifest = self.http.post(checked(&link.url)?).json(&asked);
        let manifest: Value = serde_json::from_slice(&self.read(manifest).await?)
            .context("what the link leads to is no manifest")?;
        let listed = files(&manifest).filter(|files| files.len() <= FILES_MAX);
        let mut all = Vec::new();
        for file in listed.context("what the link leads to is no manifest")? {
            let jwe = match file.place {
                Place::Embedded(jwe) => jwe.into_bytes(),
                Place::At(url) => self.read(self.http.get(checked(&url)?)).await?,
            };
            all.push(opened(&link.key, &jwe)?);
        }
        Ok(all)
    }

    async fn read(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Vec<u8>> {
        // The address of a link is a secret: no error repeats it.
        let answer = request.send().await.map_err(reqwest::Error::without_url);
        let mut answer = answer.context("where the link leads to does not answer")?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
            bytes.extend_from_slice(&piece);
            anyhow::ensure!(
                bytes.len() <= ANSWER_BYTES_MAX,
                "what the link leads to is larger than 8 MiB"
            );
        }
        match status {
            StatusCode::OK => Ok(bytes),
            StatusCode::NOT_FOUND => anyhow::bail!("the link is not active any more"),
            StatusCode::UNAUTHORIZED => {
                let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
                let left = said["remainingAttempts"].as_u64();
                let left = left.map_or_else(|| "some".to_owned(), |left| left.to_string());
                anyhow::bail!("the passcode is wrong: {left} attempts are left")
            }
            status => anyhow::bail!("where the link leads to answered {status}"),
        }
    }
}

/// An address that a link may lead to.
fn checked(url: &str) -> anyhow::Result<Url> {
    let url = Url::parse(url).ok().filter(|url| {
        let host = url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_here = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        url.scheme() == "https" || (url.scheme() == "http" && is_here)
    });
    url.context("a link leads to https, or to this machine")
}

fn opened(key: &[u8; 32], jwe: &[u8]) -> anyhow::Result<Opened> {
    let text = std::str::from_utf8(jwe).context("a file of the link is no JWE")?;
    let clear = jwe::open(key, text.trim())?;
    Ok(Opened {
        bytes: Zeroizing::new(clear.into_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_https_or_to_this_machine() {
        for url in [
            "https://x.example/shl/1",
            "http://127.0.0.1:8101/shl/1",
            "http://[::1]/1",
        ] {
            assert!(checked(url).is_ok(), "{url}");
        }
        for url in [
            "http://x.example/shl/1",
            "http://169.254.169.254/latest",
            "http://localhost/shl/1",
            "file:///etc/passwd",
            "ftp://x.example/",
            "",
        ] {
            assert!(checked(url).is_err(), "{url}");
        }
    }
}
