//! The topics that can be subscribed to.

use serde_json::{Value, json};

/// R5's SubscriptionTopic, element by element, in a Basic of R4.
const R5: &str = "http://hl7.org/fhir/5.0/StructureDefinition/extension-SubscriptionTopic";

/// A topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// A record was made, amended, deleted or erased here.
    Record,
    /// Another member has recorded something about a patient.
    RecordElsewhere,
    /// A consent was filed, changed or withdrawn, here or at another member.
    Consent,
    /// Somebody asked for the records of the patient who subscribes.
    Access,
    /// The same, in an emergency without a consent.
    BreakGlass,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Record,
        Self::RecordElsewhere,
        Self::Consent,
        Self::Access,
        Self::BreakGlass,
    ];

    /// The topic with this canonical URL.
    pub fn of(canonical: &str) -> Option<Self> {
        let named = canonical.split('|').next()?;
        Self::ALL
            .into_iter()
            .find(|topic| topic.canonical() == named)
    }

    /// Its canonical URL.
    pub fn canonical(self) -> &'static str {
        match self {
            Self::Record => "urn:careledger:topic:record",
            Self::RecordElsewhere => "urn:careledger:topic:record-elsewhere",
            Self::Consent => "urn:careledger:topic:consent",
            Self::Access => "urn:careledger:topic:access",
            Self::BreakGlass => "urn:careledger:topic:break-glass",
        }
    }

    /// Whether it is about accesses to the record of who subscribes. The reviews of emergencies are heard of by others too.
    pub fn is_the_patients(self) -> bool {
        matches!(self, Self::Access | Self::BreakGlass)
    }

    fn described(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Record => (
                "New or amended record",
                "A resource was created, updated, deleted or erased at this member. Filters: a type and any of its search parameters, such as `Observation?patient=1`.",
                "Resource",
            ),
            Self::RecordElsewhere => (
                "Record at another member",
                "Another member has put a record of the patient on the ledger, and it is final. The filter `Patient?_id=` names the patient.",
                "Patient",
            ),
            Self::Consent => (
                "Consent change",
                "A consent was filed, changed or withdrawn. With the filter `Patient?_id=` also at other members, once it is final.",
                "Consent",
            ),
            Self::Access => (
                "Access to my record",
                "Somebody asked this member for the patient's records, or through it. For the patient's own token.",
                "AuditEvent",
            ),
            Self::BreakGlass => (
                "Emergency access to my record",
                "As access, with the purpose of use BTG or ETREAT, for the patient's own token. With another token, and without a filter: the review of each declared emergency, a Task.",
                "AuditEvent",
            ),
        }
    }

    fn basic(self) -> Value {
        let (title, description, resource) = self.described();
        let element = |name: &str, kind: &str, value: &str| {
            let mut extension = json!({ "url": format!("{R5}.{name}") });
            extension[kind] = value.into();
            extension
        };
        let trigger = json!({ "url": format!("{R5}.resourceTrigger"), "extension": [
            { "url": "description", "valueMarkdown": description },
            { "url": "resource", "valueUri":
                format!("http://hl7.org/fhir/StructureDefinition/{resource}") },
        ] });
        let id = self.canonical().replace(':', "-");
        json!({
            "resourceType": "Basic",
            "id": id.strip_prefix("urn-").unwrap_or(&id),
            "extension": [
                element("url", "valueUri", self.canonical()),
                element("version", "valueString", "1.0.0"),
                element("title", "valueString", title),
                element("status", "valueCode", "active"),
                element("description", "valueMarkdown", description),
                trigger,
            ],
            "modifierExtension": [{ "url": format!("{R5}.status"), "valueCode": "active" }],
            "code": { "coding": [{
                "system": "http://hl7.org/fhir/fhir-types", "code": "SubscriptionTopic",
            }] },
        })
    }
}

/// The topics, as R4 says them, in a Bundle.
pub fn topic_list(link: &str) -> Value {
    let entries: Vec<Value> = Topic::ALL
        .iter()
        .map(|topic| {
            json!({
                "fullUrl": topic.canonical(),
                "resource": topic.basic(),
                "search": { "mode": "match" },
            })
        })
        .collect();
    json!({
        "resourceType": "Bundle",
        "type": "searchset",
        "total": entries.len(),
        "link": [{ "relation": "self", "url": link }],
        "entry": entries,
    })
}
