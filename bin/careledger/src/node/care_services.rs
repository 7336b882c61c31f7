//! `[care_services]` in `node.toml`: what of this member is in the network's directory of care services.

use ::node::exchange::ServicesConfig;
use anyhow::Context as _;
use interop::fhir::ResourceType;
use interop::fhir::care_services::{Interfaces, is_care_service};
use serde::{Deserialize, Serialize};

use crate::network::NodeFile;

/// What other members get.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CareServicesEntry {
    /// The types of which other members get what is written here; all of mCSD's, unless it is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    publish: Option<Vec<String>>,
}

/// What the configuration says of this member's systems.
pub(super) fn services(file: &NodeFile) -> anyhow::Result<ServicesConfig> {
    let listeners = file.mllp.iter();
    // Where it listens on all addresses, none of them is known to lead here.
    let listeners = listeners.filter(|listener| !listener.address.ip().is_unspecified());
    let scheme = |is_private: bool| if is_private { "mllps" } else { "mllp" };
    let base = file.base_url.trim_end_matches('/');
    let has_images = file.dicom_web.url.is_some();
    let interfaces = Interfaces {
        fhir: Some(format!("{base}/fhir")),
        hl7v2: listeners
            .map(|one| format!("{}://{}", scheme(one.tls.is_some()), one.address))
            .collect(),
        dicom_web: has_images.then(|| format!("{base}/dicom-web")),
    };
    let all = ServicesConfig::default().publishes;
    let publishes = match &file.care_services.publish {
        None => all,
        Some(names) => names
            .iter()
            .map(|name| published(name))
            .collect::<Result<_, _>>()?,
    };
    Ok(ServicesConfig {
        interfaces,
        publishes,
    })
}

fn published(name: &str) -> anyhow::Result<ResourceType> {
    let kind = ResourceType::parse(name).filter(|kind| is_care_service(*kind));
    kind.with_context(|| {
        format!(
            "`publish` of [care_services] in node.toml names `{name}`, which is no type of mCSD"
        )
    })
}
