//! What a preview's namespace is furnished with.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::{CONFIG_MAP, PASSWORD_KEY, Preview, SECRET, network, pod};
use crate::objects::{Kind, Manifest};

/// The furniture that holds no secret.
pub(super) fn open(preview: &Preview<'_>) -> Vec<Manifest> {
    let none = BTreeMap::new();
    let mut all = vec![
        quota(preview),
        Manifest::new(
            Kind::LimitRange,
            crate::quota::NAME,
            &none,
            json!({ "spec": { "limits": [limit_range()] } }),
        ),
        Manifest::new(
            Kind::ConfigMap,
            CONFIG_MAP,
            &none,
            json!({ "data": preview.variables() }),
        ),
    ];
    all.extend(network::policies(preview));
    all
}

fn quota(preview: &Preview<'_>) -> Manifest {
    let quota = &preview.config.quota;
    let (requests, limits) = (&quota.resources.requests, &quota.resources.limits);
    let mut hard = json!({
        "requests.cpu": requests.cpu,
        "requests.memory": requests.memory,
        "limits.cpu": limits.cpu,
        "limits.memory": limits.memory,
        "persistentvolumeclaims": quota.volumes.to_string(),
    });
    if let Some(storage) = &quota.storage {
        hard["requests.storage"] = json!(storage);
    }
    Manifest::new(
        Kind::ResourceQuota,
        crate::quota::NAME,
        &BTreeMap::new(),
        json!({ "spec": { "hard": hard } }),
    )
}

/// A quota on limits rejects pods that set none: whatever sets none gets these.
fn limit_range() -> serde_json::Value {
    let resources = crate::config::Resources::of_a_component();
    json!({
        "type": "Container",
        "default": pod::amounts(&resources.limits),
        "defaultRequest": pod::amounts(&resources.requests),
    })
}

/// The Secret with the database's password.
pub(super) fn secret(password: &SecretString) -> Manifest {
    let data = json!({ PASSWORD_KEY: STANDARD.encode(password.expose_secret()) });
    Manifest::new(
        Kind::Secret,
        SECRET,
        &BTreeMap::new(),
        json!({ "type": "Opaque", "data": data }),
    )
}
