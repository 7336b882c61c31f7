//! JSON Patch: <https://www.rfc-editor.org/rfc/rfc6902>

use json_patch::jsonptr::Pointer;
use json_patch::{PatchErrorKind, PatchOperation};
use serde_json::Value;

use super::{OPERATIONS_MAX, OperationProblem, PatchError};
use crate::fhir::{ElementPath, ResourceType};

/// `copy` can double a document with each operation: so many values may be copied in all.
const COPIED_MAX: usize = 100_000;

pub(super) fn read(body: &[u8]) -> Result<json_patch::Patch, PatchError> {
    let patch: json_patch::Patch =
        serde_json::from_slice(body).map_err(|_| PatchError::NotJsonPatch)?;
    if patch.0.len() > OPERATIONS_MAX {
        return Err(PatchError::TooManyOperations);
    }
    Ok(patch)
}

pub(super) fn apply(
    patch: &json_patch::Patch,
    root: ResourceType,
    value: &mut Value,
) -> Result<(), PatchError> {
    let mut left = COPIED_MAX;
    for (index, operation) in patch.0.iter().enumerate() {
        let refused = |problem| PatchError::Operation { index, problem };
        if let PatchOperation::Copy(copy) = operation {
            let size = copy.from.resolve(value).map_or(0, count);
            left = left
                .checked_sub(size)
                .ok_or_else(|| refused(OperationProblem::TooLarge))?;
        }
        json_patch::patch(value, std::slice::from_ref(operation)).map_err(|error| {
            let path = shown(operation.path(), root);
            refused(match error.kind {
                PatchErrorKind::TestFailed => OperationProblem::TestFailed { path },
                _ => OperationProblem::NothingThere { path },
            })
        })?;
    }
    Ok(())
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(count).sum(),
        Value::Object(object) => object.values().map(count).sum(),
        _ => 0,
    }
}

/// The pointer as a path: what R4 does not define is not repeated.
fn shown(pointer: &Pointer, root: ResourceType) -> String {
    let mut path = ElementPath::root(root);
    for token in pointer.tokens() {
        let token = token.decoded();
        match token.parse() {
            Ok(index) => path.push_index(index),
            Err(_) => path.push_name(&token),
        }
    }
    path.to_string()
}
