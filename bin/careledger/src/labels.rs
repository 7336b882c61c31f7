//! `careledger labels`: documents of which a rule says that they are possibly sensitive, for somebody to decide.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::{self, Client, Request, User};
use crate::network::{Credential, read_json};

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
/// What finds them: see docs/guides/labels.md.
const POSSIBLE: &str = "_security=urn:careledger:labelling%7Cpossible";

/// Lists documents that a rule calls possibly sensitive, and says of one whether it is.
///
/// Until somebody has said so they are restricted. What is said is a label in a new version, on record like any write.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  careledger labels possible --credential net/clinic/clients/ehr.json\n  \
    careledger labels confirm Observation/4f1c --label PSY --credential net/clinic/clients/ehr.json\n  \
    careledger labels refute Observation/9a20 --credential net/clinic/clients/ehr.json"
)]
pub(crate) struct LabelsArgs {
    #[command(subcommand)]
    action: Action,
    /// The credential file of a system that may read and update the records.
    #[arg(long, global = true, default_value = "clients/ehr.json")]
    credential: PathBuf,
    /// Who decides, as Practitioner/ID: the record names them.
    #[arg(long, global = true)]
    practitioner: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Documents of which nobody has said yet whether they are sensitive, the last written first.
    Possible {
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Says that a document is sensitive, and how.
    Confirm {
        /// Type and id, such as Observation/4f1c.
        document: String,
        /// A code of v3-ActCode, such as PSY; more than once for several.
        #[arg(long = "label", required = true)]
        labels: Vec<String>,
    },
    /// Says that a document is not: it gets the confidentiality `N`.
    Refute {
        /// Type and id.
        document: String,
    },
}

pub(crate) async fn run(args: LabelsArgs) -> anyhow::Result<()> {
    let credential: Credential = read_json(&args.credential)?;
    let user = User {
        purpose: "HOPERAT".to_owned(),
        practitioner: args.practitioner,
        role: None,
    };
    let client = Client::of_system(&client::http()?, &credential, user, "system/*.rus")?;
    let mut out = std::io::stdout();
    match args.action {
        Action::Possible { json } => {
            let found = client.possible().await?;
            if json {
                writeln!(out, "{}", serde_json::to_string_pretty(&found)?)?;
                return Ok(());
            }
            for one in &found {
                let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
                let (document, since) = (text("document"), text("lastUpdated"));
                writeln!(out, "{since}  {document}  {}", text("patient"))?;
            }
            writeln!(out, "{} documents wait for somebody to look", found.len())?;
        }
        Action::Confirm { document, labels } => {
            let codings = labels.iter().map(|code| (ACT_CODE, code.as_str()));
            client.label(&document, codings).await?;
            writeln!(out, "{document} is labelled {}", labels.join(", "))?;
        }
        Action::Refute { document } => {
            client.label(&document, [(CONFIDENTIALITY, "N")]).await?;
            writeln!(out, "{document} is not restricted by what is possible")?;
        }
    }
    Ok(())
}

impl Client {
    /// Of each document what it is called, whose it is and when it was written; no content.
    async fn possible(&self) -> anyhow::Result<Vec<Value>> {
        let query = format!("?{POSSIBLE}&_sort=-_lastUpdated&_count=200");
        let found = self.found(query).await?;
        let documents = found
            .iter()
            .filter(|one| one["resourceType"] != "OperationOutcome");
        Ok(documents.map(described).collect())
    }

    async fn label<'a>(
        &self,
        document: &str,
        codings: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> anyhow::Result<()> {
        let coding = |(system, code)| json!({ "system": system, "code": code });
        let security: Vec<Value> = codings.into_iter().map(coding).collect();
        let body = json!({ "resourceType": "Parameters", "parameter": [
            { "name": "meta", "valueMeta": { "security": security } },
        ] });
        let path = format!("{document}/$meta-add");
        self.post(&path, &Request::json(&body)).await?.ok()?;
        Ok(())
    }
}

fn described(resource: &Value) -> Value {
    let text = |pointer: &str| resource.pointer(pointer).and_then(Value::as_str);
    let (kind, id) = (text("/resourceType"), text("/id"));
    let document = kind.zip(id).map(|(kind, id)| format!("{kind}/{id}"));
    let patient = text("/subject/reference").or_else(|| text("/patient/reference"));
    json!({
        "document": document,
        "patient": patient,
        "lastUpdated": text("/meta/lastUpdated"),
    })
}
