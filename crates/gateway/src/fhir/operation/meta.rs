//! `$meta`, `$meta-add`, `$meta-delete` of an instance: <https://hl7.org/fhir/R4/resource-operation-meta.html>
//!
//! A change of profiles, tags or labels is a version like any other: labels bear on who may read it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::Resource;
use node::custody::{Change, Opened};
use serde_json::{Map, Value, json};

use super::parameters::{Given, parameters};
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::answer;
use crate::fhir::caller::Caller;
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

/// The elements of Meta that are sets.
const SETS: [&str; 3] = ["profile", "security", "tag"];

#[derive(Clone, Copy)]
enum Edit {
    Add,
    Remove,
}

pub(crate) async fn meta(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
) -> Result<Response, Problem> {
    caller.may(address.resource_type, Permission::Read)?;
    let opened = fhir.current(&caller, &address).await?;
    Ok(answered(&opened.presented()))
}

pub(crate) async fn meta_add(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    fhir.edit_meta(&caller, &address, &body, Edit::Add).await
}

pub(crate) async fn meta_delete(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    fhir.edit_meta(&caller, &address, &body, Edit::Remove).await
}

impl Fhir {
    async fn current(&self, caller: &Caller, address: &InstanceAddress) -> Result<Opened, Problem> {
        let InstanceAddress { resource_type, id } = address;
        caller.may_address(*resource_type, id)?;
        let by = caller.requester();
        let opened = self.custody.read(by, *resource_type, id).await?;
        caller.may_touch(&opened.resource)?;
        Ok(opened)
    }

    async fn edit_meta(
        &self,
        caller: &Caller,
        address: &InstanceAddress,
        body: &[u8],
        edit: Edit,
    ) -> Result<Response, Problem> {
        caller.may(address.resource_type, Permission::Update)?;
        let given = Given::parse(body)?.value("meta", &["valueMeta"]);
        let Some(Value::Object(given)) = given else {
            return Err(Problem::malformed(
                "the parameter `meta` must be there once",
            ));
        };
        let opened = self.current(caller, address).await?;
        let mut content = opened.resource.with_id(&address.id)?.into_value();
        let has_changed = edited(&mut content, &given, edit);
        let resource = Resource::from_value(content)?;
        if !has_changed {
            let unchanged = Opened { resource, ..opened };
            return Ok(answered(&unchanged.presented()));
        }
        let change = Change::Update {
            resource: resource.clone(),
            if_match: Some(opened.version),
        };
        let written = self.write_one(caller, change).await?;
        let presented = answer::presented(&resource, &written);
        Ok(answered(&presented.unwrap_or_default()))
    }
}

fn answered(resource: &Value) -> Response {
    let meta = resource.get("meta").cloned().unwrap_or_else(|| json!({}));
    let body = parameters(vec![json!({ "name": "return", "valueMeta": meta })]);
    fhir_json(StatusCode::OK, &body)
}

/// Edits the sets of `meta`; tells whether that changed anything.
fn edited(content: &mut Value, given: &Map<String, Value>, edit: Edit) -> bool {
    let Some(object) = content.as_object_mut() else {
        return false;
    };
    let mut meta = match object.get("meta") {
        Some(Value::Object(meta)) => meta.clone(),
        _ => Map::new(),
    };
    let before = meta.clone();
    for name in SETS {
        let Some(items) = given.get(name).and_then(Value::as_array) else {
            continue;
        };
        let mut set = match meta.get(name) {
            Some(Value::Array(set)) => set.clone(),
            _ => Vec::new(),
        };
        for item in items {
            let is_same = |one: &Value| is_same(one, item);
            match edit {
                Edit::Add if set.iter().any(is_same) => {}
                Edit::Add => set.push(item.clone()),
                Edit::Remove => set.retain(|one| !is_same(one)),
            }
        }
        if set.is_empty() {
            meta.shift_remove(name);
        } else {
            meta.insert(name.to_owned(), set.into());
        }
    }
    let has_changed = meta != before;
    if meta.is_empty() {
        object.shift_remove("meta");
    } else {
        object.insert("meta".to_owned(), meta.into());
    }
    has_changed
}

/// Profiles are the same by their URL, codings by system and code.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.get("system") == other.get("system") && one.get("code") == other.get("code")
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_sets() {
        let coding = |display: &str| json!({"system": "s", "code": "c", "display": display});
        let given = json!({"tag": [coding("one")], "profile": ["p"]});
        let given = given.as_object().unwrap();
        let mut content = json!({"resourceType": "Basic", "meta": {"tag": [coding("other")]}});
        assert!(edited(&mut content, given, Edit::Add));
        assert_eq!(content["meta"]["tag"], json!([coding("other")]));
        assert!(!edited(&mut content, given, Edit::Add));
        assert!(edited(&mut content, given, Edit::Remove));
        assert_eq!(content.get("meta"), None);
    }
}
