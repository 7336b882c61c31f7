//! Requests to a node, as its clients make them.

use axum::body::Body;
use axum::http::{Method, Request};
use axum::response::Response;
use serde_json::Value;
use tower::ServiceExt;

use super::{Answer, Ask, Site, patient};

impl Site {
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(self.respond(request).await).await
    }

    /// The answer while it is still arriving.
    pub(crate) async fn respond(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// A request with a token and, if there is one, a resource.
    pub(crate) async fn ask(&self, token: &str, method: &str, path: &str, body: &Value) -> Answer {
        self.ask_with(token, method, path, body, &[]).await
    }

    pub(crate) async fn ask_with(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(format!("/fhir{path}"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/fhir+json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        self.ask(token, "GET", path, &Value::Null).await
    }

    /// Bytes as they are, posted as JSON.
    pub(crate) async fn post_bytes(&self, token: &str, path: &str, body: &[u8]) -> Answer {
        let request = Request::post(format!("/fhir{path}"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/fhir+json")
            .body(Body::from(body.to_vec()));
        self.send(request.unwrap()).await
    }

    /// How many resources of a type there are.
    pub(crate) async fn count(&self, token: &str, resource_type: &str) -> u64 {
        let answer = self
            .get(token, &format!("/{resource_type}?_summary=count"))
            .await;
        answer.json()["total"].as_u64().unwrap()
    }

    /// The EHR's token for treatment by a physician.
    pub(crate) async fn ehr(&self) -> String {
        self.token(&Ask::default()).await
    }

    /// Puts a patient with planted words in the record.
    pub(crate) async fn patient(&self, token: &str, id: &str) {
        let path = format!("/Patient/{id}");
        let answer = self.ask(token, "PUT", &path, &patient(id)).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
}
