//! Events as messages of HL7 v2, one for each: sent again until the receiver has acknowledged it, under the same control id,
//! so that a receiver that has it takes it for what it is.

use interop::fhir::ResourceType;
use interop::fhir::reference::Target;
use interop::hl7v2::{Envelope, event, needed};
use node::custody::{CustodyError, Requester, Told};
use serde_json::Value;
use uuid::Uuid;

use super::Desk;
use super::rest_hook::NotTaken;
use super::row::{EventRow, What};
use crate::mllp::{Acknowledged, MllpReceiver};

/// Results of a report that are sent at most.
const RESULTS_MAX: usize = 500;

/// Sends events to a receiver. What the subscriber may not see, and what v2 has no message for here, counts as taken.
pub(super) async fn send(
    desk: &Desk,
    (id, by): (Uuid, &Requester),
    receiver: &str,
    rows: &[EventRow],
) -> Result<Result<(), NotTaken>, CustodyError> {
    let Some(receiver) = desk.receiver(receiver) else {
        return Ok(Err(NotTaken::NotAllowed));
    };
    for row in rows {
        let number = control_id(id, row.number);
        let Some(message) = message(desk, by, (receiver, &number), row).await? else {
            continue;
        };
        let not_taken = match receiver.send(&number, message).await {
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
    let patient = match needed.patient {
        None => Value::Null,
        Some(patient) => match read(desk, by, &patient).await? {
            Some(patient) => patient,
            None => return Ok(None),
        },
    };
    let mut results = Vec::new();
    for one in needed.results.iter().take(RESULTS_MAX) {
        results.extend(read(desk, by, one).await?);
    }
    let (from, to) = (&receiver.from, &receiver.to);
    let envelope = Envelope {
        from: (&from.0, &from.1),
        to: (&to.0, &to.1),
        control_id,
        time_ms: i64::try_from(row.at).unwrap_or(i64::MAX),
    };
    Ok(event(
        &envelope,
        &resource,
        *version == 1,
        (&patient, &results),
    ))
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
