//! The name of one request, in the answer and in logs.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// <https://hl7.org/fhir/R4/http.html#custom>
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const BYTES_MAX: usize = 128;

/// A request's id, as the client gave it or fresh.
#[derive(Debug, Clone)]
pub(crate) struct RequestId {
    answered: HeaderValue,
    /// What goes into logs: a client may put anything into its header, so only UUIDs get there.
    logged: String,
}

impl RequestId {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let given = headers
            .get(X_REQUEST_ID)
            .filter(|value| value.len() <= BYTES_MAX);
        let given_uuid = given
            .and_then(|value| value.to_str().ok())
            .and_then(|text| Uuid::try_parse(text).ok());
        let logged = given_uuid.unwrap_or_else(Uuid::new_v4).to_string();
        let fresh = || HeaderValue::from_str(&logged).ok();
        Self {
            answered: given
                .cloned()
                .or_else(fresh)
                .unwrap_or(HeaderValue::from_static("")),
            logged,
        }
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.answered.clone()
    }

    pub(crate) fn logged(&self) -> &str {
        &self.logged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_id_is_echoed_but_logged_only_if_it_cannot_say_anything() {
        let of = |text: &str| {
            let value = HeaderValue::from_str(text).unwrap();
            RequestId::of(&[(X_REQUEST_ID, value)].into_iter().collect())
        };
        let name = of("John Smith");
        assert_eq!(name.header(), "John Smith");
        assert!(Uuid::try_parse(name.logged()).is_ok());
        let uuid = "6f2b6d8e-30cb-4a3e-9d2b-0a9a3c0d6b7e";
        assert_eq!(
            (of(uuid).header(), of(uuid).logged()),
            (HeaderValue::from_static(uuid), uuid)
        );
        let fresh = RequestId::of(&HeaderMap::new());
        assert_eq!(fresh.header(), fresh.logged());
    }
}
