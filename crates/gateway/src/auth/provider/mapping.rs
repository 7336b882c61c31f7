//! What an ID token says of a person, and who the person is here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::auth::server::is_practitioner;
use crate::auth::user::User;

/// The claims of an ID token.
#[derive(Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    sub: String,
    aud: Value,
    azp: Option<String>,
    pub(super) exp: u64,
    pub(super) iat: Option<u64>,
    pub(super) nonce: Option<String>,
    pub(super) auth_time: Option<u64>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// How claims become a practitioner: by person, or by claims that name the practitioner and the role.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mapping {
    /// People by the provider's `sub`.
    pub people: BTreeMap<String, Person>,
    /// The claim that names a practitioner, as `Practitioner/ID` or a URL that ends so.
    pub practitioner_claim: Option<String>,
    /// The claim whose value, or one of whose values, stands in `roles`.
    pub role_claim: Option<String>,
    /// The provider's roles or groups, and the roles that they are here.
    pub roles: BTreeMap<String, String>,
}

/// Who a person is here.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// `Practitioner/ID`.
    pub practitioner: String,
    /// The role, instead of that of the claim.
    #[serde(default)]
    pub role: Option<String>,
}

impl Claims {
    /// Whether the token was made for this client.
    pub(super) fn is_for(&self, client: &str) -> bool {
        let is_client = |value: &Value| value.as_str() == Some(client);
        let (is_audience, is_alone) = match &self.aud {
            Value::Array(many) => (many.iter().any(is_client), many.len() == 1),
            one => (is_client(one), true),
        };
        let is_authorized = match &self.azp {
            None => is_alone,
            Some(party) => party == client,
        };
        is_audience && is_authorized
    }

    fn texts(&self, claim: &str) -> Vec<&str> {
        match self.others.get(claim) {
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(one)) => one.split_ascii_whitespace().collect(),
            _ => Vec::new(),
        }
    }
}

impl Mapping {
    /// The practitioner who the person is; nobody without one.
    pub(super) fn user(&self, claims: &Claims) -> Option<User> {
        let person = self.people.get(&claims.sub);
        let claimed = || {
            let claim = self.practitioner_claim.as_deref()?;
            claims.texts(claim).into_iter().find_map(practitioner)
        };
        let practitioner = person
            .map(|person| person.practitioner.clone())
            .or_else(claimed)
            .filter(|reference| is_practitioner(reference))?;
        let by_claim = || {
            let claim = self.role_claim.as_deref()?;
            let mut values = claims.texts(claim).into_iter();
            values.find_map(|value| self.roles.get(value).cloned())
        };
        let name = ["name", "preferred_username"];
        let name = name
            .iter()
            .find_map(|claim| claims.others.get(*claim)?.as_str())
            .unwrap_or(&practitioner);
        Some(User {
            related: Vec::new(),
            subject: format!("provider:{}", claims.sub),
            name: name.chars().take(80).collect(),
            role: person
                .and_then(|person| person.role.clone())
                .or_else(by_claim),
            practitioner: Some(practitioner),
            patient: None,
        })
    }
}

/// The last two parts of a reference or URL.
fn practitioner(text: &str) -> Option<String> {
    let mut parts = text.rsplit('/');
    let (id, kind) = (parts.next()?, parts.next()?);
    Some(format!("{kind}/{id}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(others: &Value) -> Claims {
        let mut claims = json!({ "iss": "i", "sub": "s1", "aud": "node", "exp": 1 });
        let object = claims.as_object_mut().unwrap();
        object.extend(others.as_object().unwrap().clone());
        serde_json::from_value(claims).unwrap()
    }

    fn mapping() -> Mapping {
        Mapping {
            practitioner_claim: Some("fhirUser".to_owned()),
            role_claim: Some("groups".to_owned()),
            roles: BTreeMap::from([("doctors".to_owned(), "physician".to_owned())]),
            ..Mapping::default()
        }
    }

    #[test]
    fn a_person_is_the_practitioner_whom_the_claims_or_the_configuration_name() {
        let mut mapping = mapping();
        let said = claims(&json!({
            "fhirUser": "https://idp/fhir/Practitioner/7", "groups": ["staff", "doctors"],
            "name": "Dr. A",
        }));
        let user = mapping.user(&said).unwrap();
        assert_eq!(user.practitioner.as_deref(), Some("Practitioner/7"));
        assert_eq!(user.role.as_deref(), Some("physician"));
        assert!(
            mapping
                .user(&claims(&json!({ "fhirUser": "Patient/7" })))
                .is_none()
        );
        assert!(mapping.user(&claims(&json!({}))).is_none());
        let person = Person {
            practitioner: "Practitioner/9".to_owned(),
            role: Some("nurse".to_owned()),
        };
        mapping.people.insert("s1".to_owned(), person);
        let user = mapping.user(&said).unwrap();
        assert_eq!(user.practitioner.as_deref(), Some("Practitioner/9"));
        assert_eq!(user.role.as_deref(), Some("nurse"));
    }

    #[test]
    fn a_token_for_several_says_who_may_use_it() {
        let is_for = |aud: Value, azp: Option<&str>| {
            let mut others = json!({ "aud": aud });
            if let Some(azp) = azp {
                others["azp"] = json!(azp);
            }
            claims(&others).is_for("node")
        };
        assert!(is_for(json!("node"), None));
        assert!(is_for(json!(["node"]), None));
        assert!(is_for(json!(["node", "x"]), Some("node")));
        assert!(!is_for(json!(["node", "x"]), None));
        assert!(!is_for(json!("node"), Some("x")));
        assert!(!is_for(json!("x"), None));
    }
}
