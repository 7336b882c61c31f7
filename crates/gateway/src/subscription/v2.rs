//! Events as messages of HL7 v2, one for each: sent again until the receiver has acknowledged it, under the same control id,
//! so that a receiver that has it takes it for what it is.

use interop::fhir::ResourceType;
use interop::fhir::reference::Target;
use interop::fhir::search::{Handling, Query};
use interop::fhir::subscription::Channel;
use interop::hl7v2::{Around, Envelope, Sender, event, needed};
use node::custody::{Changed, CustodyError, Requester, Told};
use serde_json::Value;
use uuid::Uuid;

use super::Desk;
use super::rest_hook::NotTaken;
use super::row::{EventRow, What};
use crate::mllp::{Acknowledged, MllpReceiver, Turn};

/// Results of a report, and others to whom a resource refers, that are sent at most.
const OTHERS_MAX: usize = 500;

/// Sends events to the receiver whose turn this is. What the subscriber may not see, and what v2 has no message for here, counts as taken.
pub(super) async fn send(
    desk: &Desk,
    (id, by): (Uuid, &Requester),
    turn: &mut Turn,
    rows: &[EventRow],
) -> Result<Result<(), NotTaken>, CustodyError> {
    for row in rows {
        let number = control_id(id, row.number);
        let Some(message) = message(desk, by, (turn.receiver(), &number), row).await? else {
            continue;
        };
        let not_taken = match turn.send(&number, &message).await {
            Ok(Acknowledged::Accepted) => continue,
            Ok(Acknowledged::Refused) => NotTaken::Refused,
            Ok(Acknowledged::Rejected) => NotTaken::Rejected,
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => NotTaken::Late,
            Err(_) => NotTaken::Unreachable,
        };
        return Ok(Err(not_taken));
    }
    Ok(Ok(()))
}

/// Sends events because somebody asks for it, between those that are due.
pub(super) async fn send_again(
    desk: &Desk,
    by: (Uuid, &Requester),
    receiver: &str,
    rows: &[EventRow],
) -> Result<Result<(), NotTaken>, CustodyError> {
    let Some(destination) = desk.destinations.get(receiver) else {
        return Ok(Err(NotTaken::NotAllowed));
    };
    for row in rows {
        let mut turn = destination.next_turn().await;
        let taken = send(desk, by, &mut turn, std::slice::from_ref(row)).await?;
        if taken.is_err() {
            return Ok(taken);
        }
    }
    Ok(Ok(()))
}

/// Whether a change is what the receiver of a channel has sent itself: then it is not told of it.
pub(super) async fn came_from_there(
    desk: &Desk,
    channel: &Channel,
    change: &Changed,
) -> Result<bool, CustodyError> {
    let Channel::Message { receiver } = channel else {
        return Ok(false);
    };
    let destination = desk.destinations.get(receiver);
    let senders = destination.map(|one| one.receiver().senders.as_slice());
    for sender in senders.unwrap_or_default() {
        let query = sent_by(sender, change)?;
        if desk.custody.is_written_with(change, &query).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The Provenance of a change that came as a message of this sender.
fn sent_by(sender: &Sender, change: &Changed) -> Result<Query, CustodyError> {
    let (system, value) = sender.identifier();
    let pairs = [
        (
            "target".to_owned(),
            format!("{}/{}", change.resource_type, change.id),
        ),
        ("agent:identifier".to_owned(), format!("{system}|{value}")),
    ];
    let provenance = ResourceType::parse("Provenance").ok_or(CustodyError::NotFound)?;
    Query::parse(provenance, &pairs, Handling::Strict)
        .map_err(|error| CustodyError::Storage(error.to_string()))
}

/// An event's message is the same each time: at most 20 letters, as versions before 2.7 have it.
fn control_id(id: Uuid, number: u64) -> String {
    let id = id.simple().to_string();
    format!("{}{number:x}", id.get(..8).unwrap_or(&id))
}

async fn message(
    desk: &Desk,
    by: &Requester,
    (receiver, control_id): (&MllpReceiver, &str),
    row: &EventRow,
) -> Result<Option<Vec<u8>>, CustodyError> {
    let What::Change {
        resource_type,
        id,
        version,
        ..
    } = &row.what
    else {
        return Ok(None);
    };
    let Some(kind) = ResourceType::parse(resource_type) else {
        return Ok(None);
    };
    let told = desk.custody.tell(by, (kind, id, *version), true).await?;
    let Some(Told::Written(Some(opened))) = told else {
        return Ok(None);
    };
    let resource = opened.presented();
    let Some(needed) = needed(&resource) else {
        return Ok(None);
    };
    let mut around = Around {
        is_new: *version == 1,
        ..Around::default()
    };
    if let Some(patient) = &needed.patient {
        around.patient = match read(desk, by, patient).await? {
            Some(patient) if patient["resourceType"] == "Patient" => patient,
            _ => return Ok(None),
        };
    }
    for one in needed.others.into_iter().take(OTHERS_MAX) {
        if let Some(other) = read(desk, by, &one).await? {
            around.others.insert(one, other);
        }
    }
    if needed.before && !around.is_new {
        let before = (kind, id.as_str(), version.saturating_sub(1));
        if let Some(Told::Written(Some(before))) = desk.custody.tell(by, before, true).await? {
            around.before = before.presented();
        }
    }
    let (from, to) = (&receiver.from, &receiver.to);
    let envelope = Envelope {
        from: (&from.0, &from.1),
        to: (&to.0, &to.1),
        control_id,
        time_ms: i64::try_from(row.at).unwrap_or(i64::MAX),
        orders: receiver.orders,
    };
    Ok(event(&envelope, &resource, &around))
}

/// What a reference names here, if the subscriber may see it.
async fn read(desk: &Desk, by: &Requester, reference: &str) -> Result<Option<Value>, CustodyError> {
    let Some(local) = Target::parse(reference).local() else {
        return Ok(None);
    };
    match desk.custody.read(by, local.resource_type, local.id).await {
        Ok(opened) => Ok(Some(opened.presented())),
        Err(CustodyError::NotFound | CustodyError::Gone | CustodyError::Denied { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
