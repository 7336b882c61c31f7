//! A content of many mebibytes, stored and fetched piece by piece.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::body::Bytes;
use axum::http::header;
use futures::stream;
use serde::Serialize;

use super::MEMBER;
use crate::bench::figures::{float, mebibytes};
use crate::bench::limits::Limits;
use crate::bench::net::Net;

const PIECE: usize = 1 << 20;
const LOOK: Duration = Duration::from_millis(20);

#[derive(Debug, Serialize)]
pub(super) struct Report {
    mib: u64,
    stored_mib_per_s: f64,
    fetched_mib_per_s: f64,
    /// How much more memory the node had at most than before.
    more_mib: f64,
    /// A connection on loopback.
    loopback_mib_per_s: f64,
}

pub(super) async fn measure(net: &Net, mib: u64, limits: &Limits) -> anyhow::Result<Report> {
    let token = net.clinician(MEMBER)?.token().await?;
    let url = format!("{}/fhir/Binary", net.view.base_url(MEMBER)?);
    let before = net.resident(MEMBER).unwrap_or_default();
    let (highest, done) = (
        Arc::new(AtomicU64::new(before)),
        Arc::new(AtomicBool::new(false)),
    );
    let looked = async {
        while !done.load(Ordering::Relaxed) {
            highest.fetch_max(net.resident(MEMBER).unwrap_or_default(), Ordering::Relaxed);
            tokio::time::sleep(LOOK).await;
        }
    };
    let transferred = async {
        let outcome = transfer(&token, &url, mib).await;
        done.store(true, Ordering::Relaxed);
        outcome
    };
    let (outcome, ()) = tokio::join!(transferred, looked);
    let (stored, fetched) = outcome?;
    Ok(Report {
        mib,
        stored_mib_per_s: float(mib) / stored.as_secs_f64(),
        fetched_mib_per_s: float(mib) / fetched.as_secs_f64(),
        more_mib: mebibytes(highest.load(Ordering::Relaxed) - before),
        loopback_mib_per_s: limits.loopback_mb_per_s / 1.048_576,
    })
}

async fn transfer(token: &str, url: &str, mib: u64) -> anyhow::Result<(Duration, Duration)> {
    // No bound on the whole, as for other requests: it depends on the size.
    let http = reqwest::Client::builder().no_proxy().build()?;
    let piece = Bytes::from(vec![0x5a; PIECE]);
    let pieces = (0..mib).map(move |_| Ok::<_, std::io::Error>(piece.clone()));
    let body = reqwest::Body::wrap_stream(stream::iter(pieces));
    let start = Instant::now();
    let sent = http.post(url).bearer_auth(token);
    let sent = sent
        .header(header::CONTENT_TYPE, "application/dicom")
        .body(body)
        .send()
        .await?;
    let status = sent.status();
    anyhow::ensure!(status.is_success(), "the content was refused: {status}");
    let stored = start.elapsed();
    let location = sent.headers().get(header::LOCATION);
    let location = location.context("no Location")?.to_str()?;
    let id = location.rsplit("/Binary/").next().unwrap_or_default();
    let id = id.split('/').next().unwrap_or_default();
    let start = Instant::now();
    let asked = http.get(format!("{url}/{id}")).bearer_auth(token);
    let mut got = asked
        .header(header::ACCEPT, "application/dicom")
        .send()
        .await?;
    let mut bytes = 0;
    while let Some(piece) = got.chunk().await? {
        anyhow::ensure!(
            piece.iter().all(|byte| *byte == 0x5a),
            "the content is another one"
        );
        bytes += piece.len();
    }
    anyhow::ensure!(
        u64::try_from(bytes / PIECE)? == mib,
        "{bytes} bytes came back"
    );
    Ok((stored, start.elapsed()))
}

impl Report {
    pub(super) fn print(&self, out: &mut impl std::io::Write) -> std::io::Result<()> {
        let Self {
            mib,
            stored_mib_per_s,
            fetched_mib_per_s,
            more_mib,
            loopback_mib_per_s,
        } = self;
        writeln!(
            out,
            "a Binary of {mib} MiB stored at {stored_mib_per_s:.0} and fetched at {fetched_mib_per_s:.0} MiB/s, with \
             {more_mib:.0} MiB more memory at most; loopback {loopback_mib_per_s:.0} MiB/s"
        )
    }
}
