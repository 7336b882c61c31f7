//! What this machine's processor and disk do at best, measured beside the figures that they bound.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use ed25519_zebra::{SigningKey, VerificationKey};
use ledger::ids::Digest;
use serde::Serialize;

use super::figures::float;

const FOR: Duration = Duration::from_millis(500);
const STATEMENT_BYTES: usize = 300;

/// Rates of one core, and of the disk.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Limits {
    /// Ed25519 verifications a second, ZIP 215, of 300 bytes, one core.
    pub(super) ed25519_verify_per_s: f64,
    /// SHA-256, megabytes a second, one core.
    pub(super) sha256_mb_per_s: f64,
    /// Milliseconds that an `fdatasync` of 4 KiB takes, median.
    pub(super) fdatasync_ms: f64,
    /// Megabytes a second through a TCP connection on loopback.
    pub(super) loopback_mb_per_s: f64,
    /// Cores of the machine.
    pub(super) cores: usize,
}

impl Limits {
    pub(super) fn measure(folder: &Path) -> anyhow::Result<Self> {
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = VerificationKey::from(&key);
        let message = [7; STATEMENT_BYTES];
        let signature = key.sign(&message);
        let verified = rate(|| public.verify(&signature, &message).is_ok());
        let block = vec![7; 1 << 20];
        let hashed = rate(|| Digest::of(&block).0[0] != 0);
        Ok(Self {
            ed25519_verify_per_s: verified,
            sha256_mb_per_s: hashed * 1.048_576,
            fdatasync_ms: fdatasync(folder)?,
            loopback_mb_per_s: loopback()?,
            cores: std::thread::available_parallelism()?.get(),
        })
    }
}

/// How often `work` is done in a second.
pub(super) fn rate(work: impl Fn() -> bool) -> f64 {
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < FOR {
        std::hint::black_box(work());
        count += 1;
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

fn loopback() -> anyhow::Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let reader = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        std::io::copy(&mut stream, &mut std::io::sink())
    });
    let mut stream = TcpStream::connect(address)?;
    let chunk = vec![7; 1 << 16];
    let start = Instant::now();
    while start.elapsed() < FOR {
        stream.write_all(&chunk)?;
    }
    drop(stream);
    let bytes = reader
        .join()
        .map_err(|_| anyhow::anyhow!("the reader of the loopback ended early"))??;
    Ok(float(bytes) / 1e6 / start.elapsed().as_secs_f64())
}

pub(super) fn fdatasync(folder: &Path) -> anyhow::Result<f64> {
    let path = folder.join("fdatasync");
    let mut file = std::fs::File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..50 {
        file.write_all(&[7; 4096])?;
        let start = Instant::now();
        file.sync_data()?;
        times.push(start.elapsed().as_secs_f64() * 1_000.0);
    }
    std::fs::remove_file(path)?;
    times.sort_unstable_by(f64::total_cmp);
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}
