//! Step 6: what leaves the network is checked offline by another program, and one changed byte is found and named.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use contracts::export::Export;
use serde_json::json;

use super::Story;
use crate::client::{Client, Request};
use crate::demo::verifier;
use crate::dump::dump;
use crate::receipt::{fetch, fetch_transparent};

/// Large enough to lie in the blob store.
const SCAN_BYTES: usize = 300_000;

impl Story {
    pub(super) async fn proofs(&mut self) -> anyhow::Result<String> {
        let record = self.hero()?.diagnosis;
        let client = self.clinician("hospital")?;
        let bytes = fetch(&client, &record.reference).await?;
        let folder = self.layout.scratch()?;
        let file = folder.join("record.export");
        fs::write(&file, &bytes)?;
        self.accepted("export", &file, &["--latest"])?;
        let mut found = Vec::new();
        let export = Export::decode(&bytes)?;
        let mut other = export.clone();
        flip(&mut other.content, 2)?;
        found.push(self.refused("export", &file, &other.encode())?);
        let mut other = export.clone();
        let middle = other.receipt.statement.len() / 2;
        flip(&mut other.receipt.statement, middle)?;
        found.push(self.refused("export", &file, &other.encode())?);

        found.push(self.published(&client, &record.reference).await?);

        self.processes.kill("payer").await?;
        let log = folder.join("ledger.dump");
        dump(&self.layout.member("payer").config(), &log)?;
        self.processes.restart("payer").await?;
        self.accepted("log", &log, &[])?;
        let mut bytes = fs::read(&log)?;
        let middle = bytes.len() / 2;
        flip(&mut bytes, middle)?;
        found.push(self.refused("log", &log, &bytes)?);
        found.push(self.damaged_blob().await?);
        Ok(format!(
            "author, content, inclusion, finality and that no later version was final verify, as do the members' COSE \
             receipts and the checkpoint that they cosigned; one changed byte is named: payload: {}; receipt: {}; \
             COSE receipt: {}; log: {}; blob store: {}",
            found[0], found[1], found[2], found[3], found[4]
        ))
    }

    /// Receipts and checkpoint in the formats that others' tools read.
    async fn published(&self, client: &Client, record: &str) -> anyhow::Result<String> {
        let folder = self.layout.scratch()?;
        let statement = fetch_transparent(client, record).await?;
        let file = folder.join("statement.cose");
        fs::write(&file, &statement)?;
        self.accepted("receipt", &file, &[])?;
        for member in &self.view.network.members {
            let url = format!("{}/log/checkpoint", member.base_url);
            let note = self
                .view
                .http
                .get(url)
                .send()
                .await?
                .error_for_status()?
                .bytes()
                .await?;
            let file = folder.join(format!("{}.checkpoint", member.member));
            fs::write(&file, &note)?;
            self.accepted("checkpoint", &file, &[])?;
        }
        let mut changed = statement;
        let middle = changed.len() / 2;
        flip(&mut changed, middle)?;
        self.refused("receipt", &file, &changed)
    }

    /// One byte of a stored blob changes: the node says so instead of answering.
    async fn damaged_blob(&self) -> anyhow::Result<String> {
        let client = self.clinician("hospital")?;
        let blobs = self.layout.member("hospital").data().join("blobs");
        let before = files(&blobs)?;
        let patient = self.hero_wallet()?.patient_at("hospital")?.to_owned();
        let scan = "A".repeat(SCAN_BYTES);
        let document = json!({
            "resourceType": "DocumentReference",
            "status": "current",
            "subject": { "reference": format!("Patient/{patient}") },
            "content": [{ "attachment": { "contentType": "image/png", "data": scan } }],
        });
        let created = client
            .post("DocumentReference", &Request::json(&document))
            .await?
            .ok()?;
        let id = created.created_id().context("no Location")?;
        let after = files(&blobs)?;
        let fresh = after.iter().find(|file| !before.contains(file));
        let blob = fresh.context("the document is not in the blob store")?;
        let sound = fs::read(blob)?;
        let mut bytes = sound.clone();
        let middle = bytes.len() / 2;
        flip(&mut bytes, middle)?;
        fs::write(blob, bytes)?;
        let answer = client.get(&format!("DocumentReference/{id}")).await?;
        fs::write(blob, sound)?;
        anyhow::ensure!(
            answer.status() >= 500,
            "a damaged blob was answered with {}",
            answer.status()
        );
        let again = client.get(&format!("DocumentReference/{id}")).await?.ok();
        again.context("the mended blob does not open")?;
        Ok(answer.problem())
    }

    pub(super) fn accepted(&self, what: &str, file: &Path, options: &[&str]) -> anyhow::Result<()> {
        let (code, said) = self.verify(what, file, options)?;
        anyhow::ensure!(
            code == Some(0),
            "careledger-verify {what} ended with {code:?}: {said}"
        );
        Ok(())
    }

    /// What the verifier says of a changed file.
    pub(super) fn refused(
        &self,
        what: &str,
        beside: &Path,
        bytes: &[u8],
    ) -> anyhow::Result<String> {
        let file = beside.with_extension("changed");
        fs::write(&file, bytes)?;
        let (code, said) = self.verify(what, &file, &[])?;
        anyhow::ensure!(
            code == Some(1),
            "careledger-verify {what} ended with {code:?} on a changed byte"
        );
        Ok(said)
    }

    fn verify(
        &self,
        what: &str,
        file: &Path,
        options: &[&str],
    ) -> anyhow::Result<(Option<i32>, String)> {
        let output = Command::new(verifier()?)
            .arg(what)
            .arg(file)
            .arg("--genesis")
            .arg(self.layout.genesis_file())
            .args(options)
            .output()?;
        let said = if output.stderr.is_empty() {
            &output.stdout
        } else {
            &output.stderr
        };
        let said = String::from_utf8_lossy(said);
        let last = said
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or_default();
        Ok((output.status.code(), last.trim().to_owned()))
    }
}

pub(super) fn flip(bytes: &mut [u8], at: usize) -> anyhow::Result<()> {
    let byte = bytes.get_mut(at).context("there is no such byte")?;
    *byte ^= 1;
    Ok(())
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if !folder.exists() {
        return Ok(files);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(self::files(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}
