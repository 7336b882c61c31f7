//! A network whose members all run on this machine, to be measured.

use std::io::Write as _;
use std::path::Path;

use ledger::genesis::Rules;

use crate::client::{self, Client, User};
use crate::demo::{Processes, free_ports};
use crate::network::{Founding, KeyType, Layout, found, read_json};
use crate::wallet::View;

/// The members of a network of four.
pub(super) const FOUR: [&str; 4] = ["clinic", "hospital", "laboratory", "payer"];

pub(super) struct Net {
    pub(super) layout: Layout,
    pub(super) view: View,
    pub(super) processes: Processes,
}

impl Net {
    /// Founds a network in `folder`, and starts it once its configuration is completed.
    pub(super) async fn start(
        folder: &Path,
        members: &[&str],
        port_base: u16,
        complete: impl FnOnce(&Layout) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let layout = Layout::at(folder);
        let names = members.iter().map(|name| name.parse());
        let founding = Founding {
            key_type: KeyType::default(),
            name: "bench".to_owned(),
            members: names.collect::<Result<_, _>>()?,
            port_base: free_ports(port_base, u16::try_from(members.len())?)?,
            rules: Rules::default(),
        };
        found(&layout, &founding)?;
        complete(&layout)?;
        let view = View::read(&layout, client::http()?)?;
        let processes = Processes::start(&layout, &view.network).await?;
        Ok(Self {
            layout,
            view,
            processes,
        })
    }

    /// A clinician of a member.
    pub(super) fn clinician(&self, member: &str) -> anyhow::Result<Client> {
        let credential = read_json(&self.layout.member(member).credential("ehr"))?;
        let user = User {
            purpose: "TREAT".to_owned(),
            practitioner: None,
            role: Some("physician".to_owned()),
        };
        Client::of_system(&self.view.http, &credential, user, "system/*.cruds")
    }

    /// Resident memory of a member's node in bytes, from the kernel; `None` where there is no `/proc`.
    pub(super) fn resident(&self, member: &str) -> Option<u64> {
        let process = self.processes.process_id(member)?;
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib * 1_024)
    }
}

/// Lets one client ask a member for all that is measured.
pub(super) fn unbounded(layout: &Layout, member: &str) -> anyhow::Result<()> {
    appended(
        layout,
        member,
        "\n[limits]\nrequests_per_second = 1000000\n",
    )
}

/// Adds a table to a member's configuration.
pub(super) fn appended(layout: &Layout, member: &str, table: &str) -> anyhow::Result<()> {
    let config = layout.member(member).config();
    let mut file = std::fs::OpenOptions::new().append(true).open(config)?;
    file.write_all(table.as_bytes())?;
    Ok(())
}
