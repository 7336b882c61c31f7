#![doc = include_str!("../README.md")]

mod asker;
pub mod auth;
mod bulk;
mod dicom_web;
mod emergency;
pub mod enrolment;
mod fhir;
mod forwarding;
mod gateway;
mod http;
mod log;
mod members;
mod metrics;
pub mod mllp;
mod network;
mod problem;
mod scitt;
mod share;
mod snapshot;
mod status;
mod subscription;
pub mod witness;

pub use crate::http::RequestLimits;
pub use bulk::ImportConfig;
pub use dicom_web::{ArchiveConfig, ArchiveConfigError};
pub use emergency::{EmergencyConfig, EmergencyConfigError};
pub use fhir::NoCursorKey;
pub use forwarding::{ForwardConfig, ForwardConfigError};
pub use gateway::{Gateway, GatewayError, GatewayParts, serve};
pub use network::{Alone, Network};
pub use node::exchange::Elsewhere;
pub use status::{NodeIdentity, StatusSource};
pub use subscription::SubscriptionConfig;
