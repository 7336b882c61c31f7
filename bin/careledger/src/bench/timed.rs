//! How long requests take.

use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _};
use serde::Serialize;

use super::figures::quantile;

/// How many requests, and how many of them at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) requests: usize,
    pub(super) at_once: usize,
}

/// Requests of one kind.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    pub(super) name: &'static str,
    pub(super) requests: usize,
    pub(super) requests_per_s: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Requests a second over those of the bare handler.
    pub(super) of_bare_handler: f64,
    /// Why there are no figures.
    pub(super) problem: Option<String>,
}

/// How long requests took, one by one and together.
#[derive(Debug, Default)]
pub(super) struct Timed {
    each_ms: Vec<f64>,
    all: Duration,
}

impl Load {
    /// Makes the requests; fails with the first that does.
    pub(super) async fn measure<F>(self, request: impl Fn(usize) -> F) -> anyhow::Result<Timed>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let start = Instant::now();
        let timed = |at| {
            let request = request(at);
            async move {
                let start = Instant::now();
                request.await?;
                anyhow::Ok(start.elapsed().as_secs_f64() * 1_000.0)
            }
        };
        let mut running =
            stream::iter((0..self.requests).map(timed)).buffer_unordered(self.at_once);
        let mut each_ms = Vec::with_capacity(self.requests);
        while let Some(took) = running.next().await {
            each_ms.push(took?);
        }
        each_ms.sort_unstable_by(f64::total_cmp);
        Ok(Timed {
            each_ms,
            all: start.elapsed(),
        })
    }
}

impl Timed {
    pub(super) fn rate(&self) -> f64 {
        f64::from(u32::try_from(self.each_ms.len()).unwrap_or(u32::MAX)) / self.all.as_secs_f64()
    }

    /// The figures; a server that cannot do what is asked is one.
    pub(super) fn run(name: &'static str, outcome: anyhow::Result<Self>, bare: f64) -> Run {
        let (timed, problem) = match outcome {
            Ok(timed) => (timed, None),
            Err(error) => (Self::default(), Some(format!("{error:#}"))),
        };
        let is_measured = !timed.each_ms.is_empty();
        let rate = if is_measured { timed.rate() } else { 0.0 };
        Run {
            name,
            requests: timed.each_ms.len(),
            requests_per_s: rate,
            p50_ms: quantile(&timed.each_ms, 50),
            p99_ms: quantile(&timed.each_ms, 99),
            of_bare_handler: rate / bare,
            problem,
        }
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(problem) = &self.problem {
            return write!(f, "{:<28} {problem}", self.name);
        }
        write!(
            f,
            "{:<28} {:>8.0}/s   p50 {:>8.2} ms   p99 {:>8.2} ms   {:>6.3} of the bare handler",
            self.name, self.requests_per_s, self.p50_ms, self.p99_ms, self.of_bare_handler
        )
    }
}
