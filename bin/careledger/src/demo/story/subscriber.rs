//! A subscriber over a websocket.

use std::time::Duration;

use anyhow::Context as _;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::client::{Client, Request};

const BACKPORT: &str = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition";

/// What hears of events.
pub(super) struct Subscriber(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Subscriber {
    /// Subscribes to a topic of a member, with resources, where the filter holds; it hears of what comes from now on.
    pub(super) async fn to(client: &Client, topic: &str, filter: &str) -> anyhow::Result<Self> {
        let asked = json!({
            "resourceType": "Subscription", "status": "requested", "reason": "the story",
            "criteria": format!("urn:careledger:topic:{topic}"),
            "_criteria": { "extension": [{
                "url": format!("{BACKPORT}/backport-filter-criteria"), "valueString": filter }] },
            "channel": { "type": "websocket", "payload": "application/fhir+json",
                "_payload": { "extension": [{
                    "url": format!("{BACKPORT}/backport-payload-content"), "valueCode": "full-resource" }] } },
        });
        let created = client.post("Subscription", &Request::json(&asked)).await?;
        let id = created.ok()?.created_id().context("no Location")?;
        let path = format!("Subscription/{id}/$get-ws-binding-token");
        let bound = client.get(&path).await?.ok()?.json()?;
        let named = |name: &str, value: &str| {
            let mut parts = bound["parameter"].as_array().into_iter().flatten();
            let part = parts.find(|part| part["name"] == name);
            part.and_then(|part| part[value].as_str().map(str::to_owned))
        };
        let url = named("websocket-url", "valueUrl").context("no URL of a websocket")?;
        let token = named("token", "valueString").context("no token to bind with")?;
        let (mut socket, _) = connect_async(&url).await?;
        socket
            .send(Message::text(format!("bind-with-token: {token}")))
            .await?;
        let mut subscriber = Self(socket);
        let handshake = subscriber.next().await?;
        anyhow::ensure!(
            handshake["resourceType"] == "Bundle",
            "the subscription has no handshake"
        );
        Ok(subscriber)
    }

    /// The next notification.
    pub(super) async fn next(&mut self) -> anyhow::Result<Value> {
        loop {
            let message = self.0.next().await.context("the connection ended")??;
            if let Message::Text(text) = message {
                return Ok(serde_json::from_str(text.as_str())?);
            }
        }
    }

    /// Waits until something is said, or for so long.
    pub(super) async fn wait(&mut self, most: Duration) {
        let _said = tokio::time::timeout(most, self.next()).await;
    }
}
