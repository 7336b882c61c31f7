//! What the server says of itself: `/.well-known/smart-configuration`, and the same for OpenID Connect.

use serde_json::{Value, json};

use super::server::AuthorizationServer;

/// What is there for every client.
const CAPABILITIES: [&str; 5] = [
    "client-confidential-asymmetric",
    "permission-patient",
    "permission-v1",
    "permission-v2",
    "client-confidential-symmetric",
];
/// What is there where people can sign in.
const CAPABILITIES_OF_PEOPLE: [&str; 11] = [
    "launch-ehr",
    "launch-standalone",
    "authorize-post",
    "client-public",
    "sso-openid-connect",
    "context-ehr-patient",
    "context-ehr-encounter",
    "context-standalone-patient",
    "permission-offline",
    "permission-online",
    "permission-user",
];

impl AuthorizationServer {
    /// <https://hl7.org/fhir/smart-app-launch/conformance.html>
    pub(super) fn smart_configuration(&self) -> Value {
        let mut capabilities = CAPABILITIES.to_vec();
        let mut grant_types = vec!["client_credentials"];
        let mut scopes = vec![
            "system/*.cruds",
            "patient/*.cruds",
            "careledger/clients",
            "careledger/launches",
            "careledger/import",
        ];
        let mut said = json!({
            "issuer": self.base_url,
            "jwks_uri": self.url("/oauth2/jwks"),
            "token_endpoint": self.url("/oauth2/token"),
            "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_basic"],
            "token_endpoint_auth_signing_alg_values_supported": ["EdDSA", "ES256"],
            "registration_endpoint": self.url("/oauth2/clients"),
            "introspection_endpoint": self.url("/oauth2/introspect"),
            "revocation_endpoint": self.url("/oauth2/revoke"),
            "response_types_supported": [],
            "code_challenge_methods_supported": ["S256"],
        });
        if self.sign_in.is_possible() {
            capabilities.extend(CAPABILITIES_OF_PEOPLE);
            grant_types.extend(["authorization_code", "refresh_token"]);
            scopes.extend([
                "openid",
                "fhirUser",
                "profile",
                "launch",
                "launch/patient",
                "launch/encounter",
                "offline_access",
                "online_access",
                "user/*.cruds",
            ]);
            said["authorization_endpoint"] = json!(self.url("/oauth2/authorize"));
            said["response_types_supported"] = json!(["code"]);
            said["authorization_response_iss_parameter_supported"] = json!(true);
        }
        said["grant_types_supported"] = json!(grant_types);
        said["scopes_supported"] = json!(scopes);
        said["capabilities"] = json!(capabilities);
        said
    }

    /// OpenID Connect Discovery §3.
    pub(super) fn openid_configuration(&self) -> Value {
        let mut said = self.smart_configuration();
        if let Some(object) = said.as_object_mut() {
            object.remove("capabilities");
        }
        said["subject_types_supported"] = json!(["public"]);
        said["id_token_signing_alg_values_supported"] = json!(["EdDSA"]);
        said["claims_supported"] = json!([
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "auth_time",
            "nonce",
            "fhirUser"
        ]);
        said
    }
}
