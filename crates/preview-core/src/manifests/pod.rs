//! What all pods of a preview have in common.

use serde_json::{Value, json};

use super::{CONFIG_MAP, Preview, SECRET, SERVICE_ACCOUNT};
use crate::config::{Amounts, Component, Resources};
use crate::names::PinnedImage;

/// A pod's spec around its one `container`.
///
/// No token: nothing in a preview speaks to the API server. No service links: `DATABASE_PORT` shall be a number, not
/// the address that Kubernetes invents for a Service `database`.
/// <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>
pub(super) fn spec(container: Value) -> Value {
    json!({
        "serviceAccountName": SERVICE_ACCOUNT,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [container],
    })
}

/// A container of `component` from `image`, named `name`: environment, resources and rights.
pub(super) fn container(
    preview: &Preview<'_>,
    component: &Component,
    image: &PinnedImage,
    name: &str,
) -> Value {
    let mut sources = vec![json!({ "configMapRef": { "name": CONFIG_MAP } })];
    if preview.config.database.is_some() {
        sources.push(json!({ "secretRef": { "name": SECRET } }));
    }
    json!({
        "name": name,
        "image": image,
        "envFrom": sources,
        "env": env(preview, component),
        "resources": resources(&component.resources),
        "securityContext": { "allowPrivilegeEscalation": false },
    })
}

/// `PORT`, unless the component chose otherwise, and its own variables.
fn env(preview: &Preview<'_>, component: &Component) -> Vec<Value> {
    let port = ("PORT".to_owned(), component.port.to_string());
    let own = component.env.iter().map(|(name, value)| {
        let value = value.render(|variable| preview.variable(variable).unwrap_or_default());
        (name.clone(), value)
    });
    let all: std::collections::BTreeMap<String, String> = [port].into_iter().chain(own).collect();
    all.into_iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect()
}

pub(super) fn resources(resources: &Resources) -> Value {
    json!({
        "requests": amounts(&resources.requests),
        "limits": amounts(&resources.limits),
    })
}

pub(super) fn amounts(amounts: &Amounts) -> Value {
    json!({ "cpu": amounts.cpu, "memory": amounts.memory })
}
