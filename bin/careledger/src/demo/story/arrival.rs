//! Step 1: patients enrol, all their resources are accepted, and each version has a receipt that verifies.

use std::collections::BTreeMap;

use anyhow::Context as _;
use contracts::export::{Export, verify};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::{Hero, Story};
use crate::client::Client;
use crate::import::{Importer, Record, pace};
use crate::progress;
use crate::receipt::fetch;

/// Receipts fetched at once.
const AT_ONCE: usize = 16;

impl Story {
    pub(super) async fn arrive(&mut self) -> anyhow::Result<String> {
        let bar = progress::bar(self.sources.len(), "patients");
        let importer = Importer::new(&self.view, &self.layout, &self.wallets)?;
        let summary = importer.import(&self.sources, || bar.inc(1)).await?;
        bar.finish_and_clear();
        anyhow::ensure!(
            summary.rejected.is_empty(),
            "{} bundles were refused, the first: {}",
            summary.rejected.len(),
            summary.rejected.first().map_or("", String::as_str)
        );
        self.records.clone_from(&summary.records);
        let tip = self.settle().await?;
        let written: Vec<&Record> = summary
            .records
            .iter()
            .filter(|record| !record.traits.is_found)
            .collect();
        self.check_receipts(&written).await?;
        self.hero = Some(self.choose_hero()?);
        let members: Vec<String> = summary
            .resources
            .iter()
            .map(|(member, count)| format!("{member} {count}"))
            .collect();
        Ok(format!(
            "{} ({}); all {} receipts verify; four ledgers agree at height {} on {} statements",
            pace(&summary),
            members.join(", "),
            written.len(),
            tip.height,
            tip.log_size
        ))
    }

    async fn check_receipts(&self, records: &[&Record]) -> anyhow::Result<()> {
        let mut clients: BTreeMap<String, Client> = BTreeMap::new();
        for member in self.processes.members() {
            clients.insert(member.clone(), self.clinician(&member)?);
        }
        let bar = progress::bar(records.len(), "receipts");
        let check = |record: &&Record| {
            let (client, record, bar) =
                (clients.get(&record.member), (*record).clone(), bar.clone());
            async move {
                let client = client.context("no such member")?;
                let bytes = fetch(client, &format!("{}/_history/1", record.reference)).await;
                let context = || format!("the receipt of a {} at {}", record.kind(), record.member);
                let export = Export::decode(&bytes.with_context(context)?)?;
                let verified = verify(
                    &export,
                    &self.view.trust(export.receipt.succession.as_ref())?,
                )
                .with_context(context)?;
                anyhow::ensure!(
                    verified.member.as_str() == record.member
                        && format!("{}/{}", verified.resource_type, verified.id)
                            == record.reference
                        && verified.version == 1,
                    "a receipt is of another version"
                );
                bar.inc(1);
                Ok(())
            }
        };
        stream::iter(records.iter().map(check))
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        bar.finish_and_clear();
        Ok(())
    }

    /// A patient with a prescription and a diagnosis at the hospital and a result at the laboratory; rather one with
    /// a sensitive record.
    fn choose_hero(&self) -> anyhow::Result<Hero> {
        let heroes: Vec<Hero> = self
            .wallets
            .names()
            .into_iter()
            .filter_map(|wallet| self.hero_of(wallet))
            .collect();
        let sensitive = heroes.iter().find(|hero| hero.restricted.is_some());
        let hero = sensitive.or(heroes.first()).cloned();
        hero.context(
            "no patient has a prescription and a diagnosis at the hospital, a laboratory result, and is at all members",
        )
    }

    fn hero_of(&self, wallet: String) -> Option<Hero> {
        let enrolled = self.wallets.wallet(&wallet).ok()?.state.patients.len();
        if enrolled < self.processes.members().len() {
            return None;
        }
        let own: Vec<&Record> = self
            .records
            .iter()
            .filter(|record| record.wallet == wallet)
            .collect();
        let find = |member: &str, wanted: &dyn Fn(&Record) -> bool| {
            let found = own
                .iter()
                .find(|record| record.member == member && wanted(record));
            found.map(|record| (*record).clone())
        };
        let open = |record: &Record| !record.traits.is_restricted;
        Some(Hero {
            medication: find("hospital", &|one| {
                one.kind() == "MedicationRequest" && open(one)
            })?,
            result: find("laboratory", &|one| {
                one.kind() == "Observation" && one.traits.is_laboratory && open(one)
            })?,
            diagnosis: find("hospital", &|one| one.kind() == "Condition" && open(one))?,
            restricted: own
                .iter()
                .find(|record| record.traits.is_restricted && record.member != "clinic")
                .map(|record| (*record).clone()),
            wallet,
        })
    }
}
