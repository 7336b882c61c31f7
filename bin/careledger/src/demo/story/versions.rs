//! Step 5: one version *n* of a document, whoever races, errs or cheats.

use anyhow::Context as _;
use contracts::descriptor::{Descriptor, RecordDescriptor};
use contracts::export::{Export, verify};
use ledger::ids::{Digest, Height, MemberName, Tag};
use ledger::item::Item;
use ledger::statement::{StatementId, SubmittedStatement};
use serde_json::{Value, json};

use super::Story;
use crate::client::{Client, Request};
use crate::network::NodeFile;
use crate::node::open_keys;
use crate::receipt::fetch;
use crate::status::tip;
use vault::keystore::SecretName;

/// The number of the ledger's rule that a tag is used once.
const TAG_USED: u64 = 20;

impl Story {
    pub(super) async fn versions(&mut self) -> anyhow::Result<String> {
        let record = self.hero()?.diagnosis;
        let client = self.clinician("hospital")?;
        let amended = amend(&client, &record.reference, "amended", 1)
            .await?
            .ok()?;
        anyhow::ensure!(
            amended.version() == Some(2),
            "an amended record is not version 2"
        );
        let first = self.exported(&client, &record.reference, 1).await?;
        let second = self.exported(&client, &record.reference, 2).await?;
        anyhow::ensure!(
            second.supersedes == first.tag(),
            "version 2 does not supersede version 1"
        );

        let (one, other) = tokio::join!(
            amend(&client, &record.reference, "one", 2),
            amend(&client, &record.reference, "other", 2)
        );
        let mut outcomes = [one?.status(), other?.status()];
        outcomes.sort_unstable();
        anyhow::ensure!(
            outcomes == [200, 412],
            "two concurrent updates answered {outcomes:?}"
        );
        self.exported(&client, &record.reference, 3).await?;

        let refused = self.submit("hospital", second.next).await?;
        anyhow::ensure!(
            refused == (409, Some(TAG_USED)),
            "a second version 3 was answered with {refused:?}"
        );
        let third = self.exported(&client, &record.reference, 3).await?;
        let copied = self.submit("clinic", third.next).await?;
        anyhow::ensure!(
            copied.0 == 202,
            "a copied tag was answered with {}",
            copied.0
        );
        self.settle().await?;
        let fourth = amend(&client, &record.reference, "fourth", 3).await?.ok()?;
        anyhow::ensure!(
            fourth.version() == Some(4),
            "a copied tag stopped version 4"
        );
        self.exported(&client, &record.reference, 4).await?;
        Ok("version 2 supersedes version 1; of two concurrent updates one is version 3 and the other got 412; \
            the ledger rejects a second version 3 (rule 20); another member's copy of the next tag stops nothing"
            .to_owned())
    }

    /// The descriptor of a version, from its verified export.
    async fn exported(
        &self,
        client: &Client,
        reference: &str,
        version: u64,
    ) -> anyhow::Result<Link> {
        let bytes = fetch(client, &format!("{reference}/_history/{version}")).await?;
        let export = Export::decode(&bytes)?;
        let verified = verify(
            &export,
            &self.view.trust(export.receipt.succession.as_ref())?,
        )?;
        anyhow::ensure!(
            verified.version == version,
            "the receipt is of another version"
        );
        let Descriptor::Record(record) = Descriptor::decode(&export.descriptor)? else {
            anyhow::bail!("the descriptor is not of a record");
        };
        Ok(Link::of(&export, &record))
    }

    /// A member's node signs a statement with one item that uses `tag`, past its own software; status and broken rule.
    async fn submit(&self, member: &str, tag: Tag) -> anyhow::Result<(u16, Option<u64>)> {
        let config = self.layout.member(member).config();
        let file = NodeFile::read(&config)?;
        let keys = open_keys(
            &file,
            config.parent().context("the configuration's folder")?,
        )?;
        let name: MemberName = member.parse()?;
        let own = self
            .view
            .genesis
            .members
            .iter()
            .find(|one| one.name == name);
        let certificate = Digest::of(&own.context("no such member")?.node);
        let base_url = self.view.base_url(member)?;
        let height = tip(&self.view.http, base_url).await?.height;
        let item = Item {
            tags: [tag, Tag(rand::random())],
            commitment: Digest(rand::random()),
        };
        let statement = SubmittedStatement::sign_items(
            (&name, certificate),
            (
                self.view.network_id(),
                StatementId(rand::random()),
                Height(height + 100),
            ),
            vec![item],
            |bytes| keys.sign(&SecretName::node(), bytes),
        )?;
        let url = format!("{base_url}/log/statements");
        let answer = self
            .view
            .http
            .post(url)
            .body(statement.encode())
            .send()
            .await?;
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap_or_default();
        Ok((status, body.get("rule").and_then(Value::as_u64)))
    }
}

/// How a version hangs together with those beside it.
struct Link {
    tags: [Tag; 2],
    supersedes: Option<Tag>,
    next: Tag,
}

impl Link {
    fn of(export: &Export, record: &RecordDescriptor) -> Self {
        Self {
            tags: Item::from_bytes(&export.receipt.item).tags,
            supersedes: record.supersedes,
            next: record.next,
        }
    }

    /// The document's tag stands first in an item.
    fn tag(&self) -> Option<Tag> {
        Some(self.tags[0])
    }
}

/// Puts a note on a record, if `version` is the current one.
pub(super) async fn amend(
    client: &Client,
    reference: &str,
    note: &str,
    version: u64,
) -> anyhow::Result<crate::client::Answer> {
    let mut resource = client.get(reference).await?.ok()?.json()?;
    resource["note"] = json!([{ "text": note }]);
    let request = Request::json(&resource).with("if-match", &format!("W/\"{version}\""))?;
    client.put(reference, &request).await
}
