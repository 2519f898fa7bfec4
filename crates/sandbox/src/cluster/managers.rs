//! Who owns which fields: `metadata.managedFields`.

use serde_json::{Value, json};

use super::fields::{self, Fields};
use super::kinds::Resource;
use super::time;

/// One entry of `managedFields`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Manager {
    pub(super) name: String,
    /// `Apply` or `Update`: the same name with the other operation is another manager.
    pub(super) operation: &'static str,
    pub(super) subresource: Option<&'static str>,
    pub(super) fields: Fields,
    time: String,
}

impl Manager {
    pub(super) fn new(
        name: &str,
        operation: &'static str,
        subresource: Option<&'static str>,
        fields: Fields,
    ) -> Self {
        Self {
            name: name.to_owned(),
            operation,
            subresource,
            fields,
            time: time::now(),
        }
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.name, self.operation, self.subresource)
            == (&other.name, other.operation, other.subresource)
    }
}

/// The managers of an object.
pub(super) fn of(object: &Value) -> Vec<Manager> {
    let entries = object["metadata"]["managedFields"].as_array();
    entries
        .into_iter()
        .flatten()
        .map(|entry| Manager {
            name: entry["manager"].as_str().unwrap_or_default().to_owned(),
            operation: match entry["operation"].as_str() {
                Some("Apply") => "Apply",
                _ => "Update",
            },
            subresource: entry["subresource"].as_str().map(|_| "status"),
            fields: fields::decode(&entry["fieldsV1"]),
            time: entry["time"].as_str().unwrap_or_default().to_owned(),
        })
        .collect()
}

/// Writes them down; one that owns nothing is none.
pub(super) fn write(resource: &Resource, object: &mut Value, managers: &[Manager]) {
    let entries = managers.iter().filter(|manager| !manager.fields.is_empty());
    let entries: Vec<Value> = entries
        .map(|manager| {
            let mut entry = json!({
                "manager": manager.name,
                "operation": manager.operation,
                "apiVersion": resource.api_version(),
                "time": manager.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": fields::encode(&manager.fields),
            });
            if let Some(subresource) = manager.subresource {
                entry["subresource"] = json!(subresource);
            }
            entry
        })
        .collect();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        if entries.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".to_owned(), entries.into());
        }
    }
}

/// Puts `manager` in the place of its earlier self, which keeps its time where it owns the same.
pub(super) fn settle(managers: &mut Vec<Manager>, mut manager: Manager) {
    match managers.iter_mut().find(|known| known.is_same(&manager)) {
        Some(known) => {
            if known.fields == manager.fields {
                manager.time.clone_from(&known.time);
            }
            *known = manager;
        }
        None => managers.push(manager),
    }
}
