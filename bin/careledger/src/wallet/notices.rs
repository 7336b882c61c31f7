//! What members have told the patient.

use serde_json::Value;

use super::{View, Wallet};

/// A notice to the patient.
pub(crate) struct Notice {
    /// The member that sent it.
    pub(crate) member: String,
    /// When, as the member wrote it.
    pub(crate) sent: String,
    pub(crate) text: String,
}

impl std::fmt::Debug for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Notice({}, {})", self.member, self.sent)
    }
}

impl Wallet {
    /// The notices of every member where the patient is enrolled, the newest first.
    pub(crate) async fn notices(&self, view: &View) -> anyhow::Result<Vec<Notice>> {
        let mut notices = Vec::new();
        for (member, id) in &self.state.patients {
            let path = format!("Communication?patient={id}&_count=1000");
            let answer = self.client(view, member)?.get(&path).await?.ok()?.json()?;
            let entries = answer["entry"].as_array().into_iter().flatten();
            let told = entries.filter_map(|entry| read(member, &entry["resource"]));
            notices.extend(told);
        }
        notices.sort_by(|one, other| other.sent.cmp(&one.sent));
        Ok(notices)
    }
}

/// Nothing where it is no `Communication` with words, such as an `OperationOutcome` beside the matches.
fn read(member: &str, resource: &Value) -> Option<Notice> {
    let payload = resource["payload"].as_array()?.iter();
    let words = payload.filter_map(|one| one["contentString"].as_str());
    let text = words.collect::<Vec<_>>().join(" ");
    let sent = resource["sent"].as_str().unwrap_or_default().to_owned();
    (resource["resourceType"] == "Communication").then(|| Notice {
        member: member.to_owned(),
        sent,
        text,
    })
}
