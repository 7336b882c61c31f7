//! Which requests wait for an answer, and until when: read from each version of a `Task` that is one, in the transaction
//! that appends it. Whatever files or closes such a task (an operation, an emergency, an import) keeps the list true.

use contracts::duty::{Alert, Clock, Duty};
use interop::fhir::timespan::TimeSpan;
use interop::fhir::{Resource, ResourceType};
use minicbor::{Decode, Encode};
use serde_json::Value;

use super::emergency::EmergencyCount;
use super::keys::Keys;
use super::rows::DocumentKey;
use super::store::{Table, Transaction};
use super::{Custody, CustodyError};

/// The extension of a task whose deadline was put off; its text says why.
pub const EXTENDED: &str = "urn:careledger:extension:deadline-extended";

const OPEN: &[u8] = b"o";
const CLOSED: &[u8] = b"c";
/// The states of a task in which nothing is owed any more.
const ENDED: [&str; 5] = [
    "completed",
    "rejected",
    "cancelled",
    "failed",
    "entered-in-error",
];

/// A task that is a duty.
#[derive(Clone, Encode, Decode)]
pub(crate) struct DutyRow {
    /// Its code.
    #[n(0)]
    code: String,
    /// Milliseconds since 1970.
    #[n(1)]
    due: u64,
    #[n(2)]
    is_open: bool,
}

/// What is owed, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DutyCount {
    /// All that is not done.
    pub open: usize,
    /// What is due within ten days.
    pub due: usize,
    /// What is late.
    pub overdue: usize,
}

impl DutyRow {
    /// The duty that a resource is. What it states as its deadline counts where it is no later than the law's.
    pub(super) fn of(resource: &Resource) -> Option<Self> {
        if resource.resource_type().as_str() != "Task" {
            return None;
        }
        let duty = duty_of(resource.get("code")?)?;
        let at = |value: Option<&Value>| {
            let span = TimeSpan::parse(value?.as_str()?)?;
            u64::try_from(span.start_ms).ok()
        };
        let period = resource.get("restriction");
        let stated = at(period.and_then(|one| one.pointer("/period/end")));
        let clock = Clock {
            duty,
            received: at(resource.get("authoredOn")).unwrap_or(0),
            extended: is_extended(resource).then_some(0),
        };
        let deadlines = [stated, clock.due()];
        let status = resource.get("status").and_then(Value::as_str);
        Some(Self {
            code: duty.code().to_owned(),
            due: deadlines.into_iter().flatten().min().unwrap_or(0),
            is_open: !status.is_some_and(|status| ENDED.contains(&status)),
        })
    }

    fn duty(&self) -> Option<Duty> {
        Duty::parse(&self.code)
    }
}

/// The duty that the code of a task names.
fn duty_of(code: &Value) -> Option<Duty> {
    let codings = code.get("coding")?.as_array()?;
    codings.iter().find_map(|coding| {
        let word = |name: &str| coding.get(name)?.as_str();
        Duty::of_coding(word("system")?, word("code")?)
    })
}

fn is_extended(task: &Resource) -> bool {
    let extensions = task.get("extension").and_then(Value::as_array);
    let mut extensions = extensions.into_iter().flatten();
    extensions.any(|one| one.get("url").is_some_and(|url| url == EXTENDED))
}

/// Keeps what the newest version of a task owes.
pub(super) fn note(
    keys: &Keys,
    transaction: &mut Transaction<'_>,
    document: &DocumentKey,
    row: Option<&DutyRow>,
) {
    let (open, closed) = (place(OPEN, document), place(CLOSED, document));
    transaction.remove(Table::Duties, &open);
    transaction.remove(Table::Duties, &closed);
    if let Some(row) = row {
        let key = if row.is_open { open } else { closed };
        keys.put(transaction, Table::Duties, &key, row);
    }
}

fn place(state: &[u8], document: &DocumentKey) -> Vec<u8> {
    [state, document.as_slice()].concat()
}

impl Custody {
    /// What this member owes.
    pub fn duties(&self) -> Result<DutyCount, CustodyError> {
        let now = (self.0.options.clock)();
        let mut count = DutyCount::default();
        for row in self.open_duties()? {
            count.open = count.open.saturating_add(1);
            match Alert::of(row.due, now) {
                Some(Alert::Due) => count.due = count.due.saturating_add(1),
                Some(Alert::Overdue) => count.overdue = count.overdue.saturating_add(1),
                None => {}
            }
        }
        Ok(count)
    }

    /// How many reviews of emergencies wait, and how many are late.
    pub fn emergencies(&self) -> Result<EmergencyCount, CustodyError> {
        let now = (self.0.options.clock)();
        let mut reviews = self.open_duties()?;
        reviews.retain(|row| row.duty() == Some(Duty::EmergencyReview));
        Ok(EmergencyCount {
            open: reviews.len(),
            overdue: reviews.iter().filter(|row| row.due <= now).count(),
        })
    }

    /// Whether a document is a duty, done or not: its operations alone change it.
    pub(super) fn is_duty(
        &self,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<bool, CustodyError> {
        if resource_type.as_str() != "Task" {
            return Ok(false);
        }
        let keys = &self.0.home.keys;
        let document = keys.document(resource_type.as_str(), id);
        for state in [OPEN, CLOSED] {
            let key = place(state, &document);
            let row: Option<DutyRow> = keys.get(&self.0.store, Table::Duties, &key)?;
            if row.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn open_duties(&self) -> Result<Vec<DutyRow>, CustodyError> {
        let rows = self.0.store.scan(Table::Duties, OPEN);
        rows.map(|row| {
            let (key, row) = row?;
            self.0.home.keys.open_row(Table::Duties, &key, &row)
        })
        .collect()
    }
}
