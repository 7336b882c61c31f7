//! Topic-based subscriptions, as the Subscriptions R5 Backport IG 1.1 has them for R4: what a client asks for, the topics,
//! and the bundles that it gets.

mod channel;
mod notification;
mod topic;

use serde_json::Value;
use thiserror::Error;

use super::resource_type::ResourceType;
use super::timespan::TimeSpan;
use super::{Issue, IssueType, Resource};

pub use channel::{Channel, Content};
pub use notification::{Event, Kind, Status, notification, status};
pub use topic::{Topic, topic_list};

/// Where the IG's definitions are.
const IG: &str = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition";
const FILTERS_MAX: usize = 16;
/// A subscriber is told no more often than this that nothing happened.
const HEARTBEAT_SECONDS_MIN: u64 = 5;
const TIMEOUT_SECONDS_MAX: u64 = 60;

/// What a client asks to be told, and how.
#[derive(Clone, PartialEq, Eq)]
pub struct Subscription {
    /// What it is about.
    pub topic: Topic,
    /// Which resources, by type; all of the topic if there is none.
    pub filters: Vec<Filter>,
    /// The way to the subscriber.
    pub channel: Channel,
    /// How much is told.
    pub content: Content,
    /// Between heartbeats.
    pub heartbeat_seconds: Option<u64>,
    /// How long the subscriber may take to answer.
    pub timeout_seconds: Option<u64>,
    /// Events in one notification at most.
    pub events_max: Option<u64>,
    /// When it ends, milliseconds since 1970.
    pub end_ms: Option<i64>,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

/// One filter: `Observation?code=…`.
#[derive(Clone, PartialEq, Eq)]
pub struct Filter {
    /// The type.
    pub resource_type: ResourceType,
    /// The search, still encoded as in a URL.
    pub query: String,
}

/// Why a Subscription is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SubscriptionError {
    /// Something that is needed is not there.
    #[error("{0} is needed")]
    Missing(&'static str),
    /// An element has no value that it may have.
    #[error("{0} has a value that it cannot have")]
    Invalid(&'static str),
    /// An element asks for what is not done here.
    #[error("{0} asks for something that is not supported here")]
    NotSupported(&'static str),
}

impl SubscriptionError {
    /// The element at fault, and why.
    pub fn issue(self) -> Issue {
        let (code, element) = match self {
            Self::Missing(element) => (IssueType::Required, element),
            Self::Invalid(element) => (IssueType::Value, element),
            Self::NotSupported(element) => (IssueType::NotSupported, element),
        };
        Issue::error(code, self.to_string()).at(element)
    }
}

impl Subscription {
    /// Reads what a client asks for. Its status is the server's to say.
    pub fn read(resource: &Resource) -> Result<Self, SubscriptionError> {
        use SubscriptionError::{Invalid, Missing, NotSupported};
        let criteria = text(resource.get("criteria")).ok_or(Missing("Subscription.criteria"))?;
        let topic = Topic::of(criteria).ok_or(NotSupported("Subscription.criteria"))?;
        let filters = extensions(resource.get("_criteria"), "backport-filter-criteria");
        let filters: Vec<Filter> = filters
            .map(|one| one.get("valueString").and_then(Value::as_str))
            .map(|text| text.and_then(Filter::read))
            .collect::<Option<_>>()
            .ok_or(Invalid("Subscription.criteria.extension"))?;
        if filters.len() > FILTERS_MAX {
            return Err(NotSupported("Subscription.criteria.extension"));
        }
        let channel = resource
            .get("channel")
            .ok_or(Missing("Subscription.channel"))?;
        let number = |name, value| number(channel, name, value);
        let heartbeat_seconds = number("backport-heartbeat-period", "valueUnsignedInt")?;
        let end_ms = match resource.get("end") {
            None => None,
            Some(end) => {
                let span = text(Some(end)).and_then(TimeSpan::parse);
                Some(span.ok_or(Invalid("Subscription.end"))?.start_ms)
            }
        };
        let (way, content) = (Channel::read(channel)?, Content::read(channel)?);
        let is_message = matches!(way, Channel::Message { .. });
        if is_message && (content != Content::FullResource || topic != Topic::Record) {
            // Messages of v2 are of records, and say all.
            return Err(NotSupported("Subscription.channel.type"));
        }
        Ok(Self {
            topic,
            filters,
            channel: way,
            content,
            heartbeat_seconds: heartbeat_seconds
                .filter(|seconds| *seconds > 0)
                .map(|seconds| seconds.max(HEARTBEAT_SECONDS_MIN)),
            timeout_seconds: number("backport-timeout", "valueUnsignedInt")?
                .map(|seconds| seconds.clamp(1, TIMEOUT_SECONDS_MAX)),
            events_max: number("backport-max-count", "valuePositiveInt")?.map(|count| count.max(1)),
            end_ms,
        })
    }
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Filter({})", self.resource_type)
    }
}

impl Filter {
    fn read(text: &str) -> Option<Self> {
        let (name, query) = text.split_once('?').unwrap_or((text, ""));
        Some(Self {
            resource_type: ResourceType::parse(name)?,
            query: query.to_owned(),
        })
    }
}

fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str)
}

/// The extensions of an element with this name in the IG.
fn extensions<'a>(element: Option<&'a Value>, name: &'a str) -> impl Iterator<Item = &'a Value> {
    let all = element.and_then(|element| element.get("extension"));
    let all = all.and_then(Value::as_array).into_iter().flatten();
    all.filter(move |one| {
        let url = one.get("url").and_then(Value::as_str);
        url.and_then(|url| url.strip_prefix(IG)?.strip_prefix('/')) == Some(name)
    })
}

fn number(
    channel: &Value,
    name: &'static str,
    value: &str,
) -> Result<Option<u64>, SubscriptionError> {
    let Some(extension) = extensions(Some(channel), name).next() else {
        return Ok(None);
    };
    let number = extension.get(value).and_then(Value::as_u64);
    let number = number.ok_or(SubscriptionError::Invalid("Subscription.channel.extension"))?;
    Ok(Some(number))
}

#[cfg(test)]
mod tests;
