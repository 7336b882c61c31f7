//! A member that joins a network that runs: its folder, and the file by which the others admit it.

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use contracts::governance::Action;
use contracts::membership::Endpoints;
use ledger::codec;
use ledger::ids::MemberName;

use super::KeyType;
use super::found::{clients, entry, node_file, seat};
use super::layout::{AddressEntry, Layout, MemberEntry, NodeFile};

/// What was made for a new member.
#[derive(Debug)]
pub(crate) struct Joining {
    pub(crate) config: PathBuf,
    pub(crate) admission: PathBuf,
    pub(crate) base_url: String,
}

/// Makes the folder of a new member, beside the others' in the network's folder.
pub(crate) fn join(
    layout: &Layout,
    member: &MemberName,
    key_type: KeyType,
) -> anyhow::Result<Joining> {
    let mut network = layout.read()?;
    let name = member.as_str();
    anyhow::ensure!(
        network.members.iter().all(|entry| entry.member != name),
        "the network has a member `{name}` already"
    );
    let neighbour = network
        .members
        .first()
        .context("the network has no member")?;
    let beside = NodeFile::read(&layout.member(&neighbour.member).config())?;
    let mut addresses = beside.addresses;
    let port = free_port(layout, &network.members)?;
    let own = entry(port);
    addresses.insert(name.to_owned(), own);
    let folder = layout.member(name);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let seat = seat(&folder, member, (now, key_type))?;
    let base_url = format!("http://127.0.0.1:{port}");
    let clients = clients(&folder, &base_url)?;
    let mut file = node_file(member, &base_url, port, &addresses, clients);
    let others = network.members.iter();
    file.peers = others.map(|entry| entry.base_url.clone()).collect();
    fs::write(folder.config(), toml::to_string_pretty(&file)?)?;
    let action = Action::Admit {
        member: Box::new(seat),
        endpoints: Some(said(own)),
    };
    fs::write(folder.admission(), codec::encode(&action))?;
    network.members.push(MemberEntry {
        member: name.to_owned(),
        base_url: base_url.clone(),
        folder: PathBuf::from(name),
    });
    fs::write(
        layout.network_file(),
        serde_json::to_string_pretty(&network)?,
    )?;
    Ok(Joining {
        config: folder.config(),
        admission: folder.admission(),
        base_url,
    })
}

fn said(address: AddressEntry) -> Endpoints {
    Endpoints {
        consensus: address.consensus.to_string(),
        exchange: address.exchange.to_string(),
    }
}

/// The port after the members' gateways that none of them has.
fn free_port(layout: &Layout, members: &[MemberEntry]) -> anyhow::Result<u16> {
    let mut last = 0;
    for entry in members {
        let file = NodeFile::read(&layout.member(&entry.member).config())?;
        last = last.max(file.listen.port());
    }
    let port = last.checked_add(1).context("no port is left")?;
    Ok(port)
}
