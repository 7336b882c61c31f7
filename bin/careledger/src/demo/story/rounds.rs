//! Everyday traffic: many patients at once, in an order that says nothing about them.

use futures::stream::{self, StreamExt as _};

use super::Story;
use super::faults::write;

const MEMBER: &str = "clinic";
const PATIENTS: usize = 12;
const RECORDS: usize = 30;
const AT_ONCE: usize = 24;

impl Story {
    /// Writes records of several patients at one member, interleaved.
    pub(super) async fn interleaved(&self) -> anyhow::Result<usize> {
        let client = self.clinician(MEMBER)?;
        let mut patients = Vec::new();
        for name in self.wallets.names().into_iter().take(PATIENTS) {
            if let Ok(id) = self.wallet(&name)?.patient_at(MEMBER) {
                patients.push(id.to_owned());
            }
        }
        let mut order: Vec<&String> = patients
            .iter()
            .cycle()
            .take(patients.len() * RECORDS)
            .collect();
        for at in (1..order.len()).rev() {
            order.swap(at, rand::random_range(0..=at));
        }
        let written = stream::iter(order)
            .map(|patient| write(&client, patient))
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        let count = written.len();
        written.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(count)
    }
}
