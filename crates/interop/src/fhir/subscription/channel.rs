//! The way to a subscriber, and how much goes over it.

use serde_json::Value;

use super::{SubscriptionError, extensions, text};

/// The media type of messages of HL7 v2.
const V2_PAYLOAD: &str = "x-application/hl7-v2+er7";
const HEADERS_MAX: usize = 16;
const HEADER_BYTES_MAX: usize = 4_096;
/// Headers that belong to the connection, not to the subscriber.
const RESERVED: [&str; 11] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "expect",
];

/// The way to a subscriber.
#[derive(Clone, PartialEq, Eq)]
pub enum Channel {
    /// A `POST` to the subscriber's URL.
    RestHook {
        /// The URL.
        endpoint: String,
        /// Headers to send; they may hold secrets.
        headers: Vec<(String, String)>,
    },
    /// A connection that the subscriber opens.
    WebSocket,
    /// A message of HL7 v2 for each event, to a receiver that the operator has named.
    Message {
        /// The receiver's name.
        receiver: String,
    },
}

/// How much a notification says of its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// That there are some.
    Empty,
    /// What they are about.
    IdOnly,
    /// With the resources.
    FullResource,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::RestHook { .. } => "RestHook(..)",
            Self::WebSocket => "WebSocket",
            Self::Message { .. } => "Message(..)",
        })
    }
}

impl Channel {
    pub(super) fn read(channel: &Value) -> Result<Self, SubscriptionError> {
        use SubscriptionError::{Invalid, Missing, NotSupported};
        let payload =
            text(channel.get("payload")).ok_or(Missing("Subscription.channel.payload"))?;
        let kind = text(channel.get("type"));
        let payloads = match kind {
            Some("message") => [V2_PAYLOAD, V2_PAYLOAD],
            _ => ["application/fhir+json", "application/json"],
        };
        if !payloads.contains(&payload) {
            return Err(NotSupported("Subscription.channel.payload"));
        }
        match kind {
            Some("websocket") => Ok(Self::WebSocket),
            Some("rest-hook") => {
                let endpoint = text(channel.get("endpoint"));
                let headers = match channel.get("header") {
                    None => Vec::new(),
                    Some(headers) => {
                        read_headers(headers).ok_or(Invalid("Subscription.channel.header"))?
                    }
                };
                Ok(Self::RestHook {
                    endpoint: endpoint
                        .ok_or(Missing("Subscription.channel.endpoint"))?
                        .to_owned(),
                    headers,
                })
            }
            Some("message") => {
                let endpoint = text(channel.get("endpoint"))
                    .ok_or(Missing("Subscription.channel.endpoint"))?;
                let receiver = endpoint.strip_prefix("mllp:");
                let receiver = receiver.ok_or(NotSupported("Subscription.channel.endpoint"))?;
                Ok(Self::Message {
                    receiver: receiver.to_owned(),
                })
            }
            Some(_) => Err(NotSupported("Subscription.channel.type")),
            None => Err(Missing("Subscription.channel.type")),
        }
    }
}

impl Content {
    pub(super) fn read(channel: &Value) -> Result<Self, SubscriptionError> {
        const ELEMENT: &str = "Subscription.channel.payload.extension";
        let mut found = extensions(channel.get("_payload"), "backport-payload-content");
        let code = found.next().ok_or(SubscriptionError::Missing(ELEMENT))?;
        text(code.get("valueCode"))
            .and_then(Self::of)
            .ok_or(SubscriptionError::Invalid(ELEMENT))
    }

    /// The content with this code.
    pub fn of(code: &str) -> Option<Self> {
        match code {
            "empty" => Some(Self::Empty),
            "id-only" => Some(Self::IdOnly),
            "full-resource" => Some(Self::FullResource),
            _ => None,
        }
    }

    /// The lesser of two.
    #[must_use]
    pub fn at_most(self, other: Self) -> Self {
        match (self, other) {
            (Self::Empty, _) | (_, Self::Empty) => Self::Empty,
            (Self::IdOnly, _) | (_, Self::IdOnly) => Self::IdOnly,
            (Self::FullResource, Self::FullResource) => Self::FullResource,
        }
    }
}

fn read_headers(headers: &Value) -> Option<Vec<(String, String)>> {
    let headers = headers.as_array()?;
    if headers.len() > HEADERS_MAX {
        return None;
    }
    headers
        .iter()
        .map(|header| {
            let (name, value) = header.as_str()?.split_once(':')?;
            let value = value.trim();
            let is_token = !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            let is_text = value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
            let reserved = RESERVED.contains(&name.to_ascii_lowercase().as_str());
            let fits = value.len() <= HEADER_BYTES_MAX;
            (is_token && is_text && fits && !reserved).then(|| (name.to_owned(), value.to_owned()))
        })
        .collect()
}
