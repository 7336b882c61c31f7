//! A listener for HL7 v2 at each member.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;

use super::MEMBERS;
use crate::network::{Layout, NodeFile};
use crate::node::MllpEntry;

/// Above the gateway's port.
const ABOVE: u16 = 300;
const OVERRIDES: &str = "v2-overrides.toml";

/// The demo's laboratory codes in its own way.
const LOCAL_CODES: &str = r#"# What senders of HL7 v2 do in their own ways: docs/guides/hl7v2.md.
[[senders]]
application = "LAB"

[senders.codes.L.GLU]
system = "http://loinc.org"
code = "2345-7"
display = "Glucose [Mass/volume] in Serum or Plasma"
"#;

/// Writes a listener into each member's configuration.
pub(crate) fn configure(layout: &Layout) -> anyhow::Result<()> {
    for member in MEMBERS {
        let config = layout.member(member).config();
        let mut file = NodeFile::read(&config)?;
        let port = file.listen.port().checked_add(ABOVE);
        let port = port.context("the listener's port does not fit below 65536")?;
        file.mllp = vec![MllpEntry {
            name: "v2".to_owned(),
            address: SocketAddr::new(file.listen.ip(), port),
            system: "interface".to_owned(),
            overrides: Some(PathBuf::from(OVERRIDES)),
            senders: Vec::new(),
            tls: None,
        }];
        fs::write(config.with_file_name(OVERRIDES), LOCAL_CODES)?;
        fs::write(&config, toml::to_string_pretty(&file)?)?;
    }
    Ok(())
}

/// Where a member takes HL7 v2 in.
pub(crate) fn address(layout: &Layout, member: &str) -> anyhow::Result<SocketAddr> {
    let file = NodeFile::read(&layout.member(member).config())?;
    let listener = file.mllp.first();
    Ok(listener
        .context("the member has no listener for HL7 v2")?
        .address)
}
