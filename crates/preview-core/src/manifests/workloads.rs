//! Components: what runs.

use serde_json::{Value, json};

use super::{Preview, SURGE, labels, pod, short_hash};
use crate::config::Component;
use crate::names::PinnedImage;
use crate::objects::{Kind, Manifest};
use crate::ownership::keys;

/// How long a rollout may stand still before Kubernetes calls it failed, in seconds: the time within which a preview
/// shall be ready.
pub(super) const PATIENCE: u64 = 300;

/// The Deployment and Service of `component`.
pub(super) fn manifests(
    preview: &Preview<'_>,
    component: &Component,
    image: &PinnedImage,
) -> [Manifest; 2] {
    let name = component.name.as_str();
    let labels = labels(name, name);
    let service = json!({ "spec": {
        "selector": labels,
        "ports": [{ "name": "http", "port": component.port, "targetPort": "http" }],
    }});
    [
        Manifest::new(
            Kind::Deployment,
            name,
            &labels,
            json!({ "spec": deployment(preview, component, image) }),
        ),
        Manifest::new(Kind::Service, name, &labels, service),
    ]
}

fn deployment(preview: &Preview<'_>, component: &Component, image: &PinnedImage) -> Value {
    let name = component.name.as_str();
    let labels = labels(name, name);
    let mut container = pod::container(preview, component, image, name);
    container["ports"] = json!([{ "name": "http", "containerPort": component.port }]);
    container["readinessProbe"] = readiness(component);
    // A ConfigMap that changes starts nothing anew by itself.
    let configuration = short_hash(&[&json!(preview.variables())]);
    json!({
        "replicas": component.replicas,
        "revisionHistoryLimit": 2,
        "progressDeadlineSeconds": preview.config.deadline.as_secs().min(PATIENCE),
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": { "maxSurge": SURGE, "maxUnavailable": 0 },
        },
        "selector": { "matchLabels": labels },
        "template": {
            "metadata": {
                "labels": labels,
                "annotations": { keys::CONFIGURATION: configuration },
            },
            "spec": pod::spec(container),
        },
    })
}

fn readiness(component: &Component) -> Value {
    let mut probe = json!({ "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 3 });
    match &component.readiness {
        Some(path) => probe["httpGet"] = json!({ "path": path, "port": "http" }),
        None => probe["tcpSocket"] = json!({ "port": "http" }),
    }
    probe
}
