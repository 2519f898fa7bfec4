//! Whether the node takes a pod.

use serde_json::{Value, json};

use super::NAME;
use super::status::condition;
use crate::cluster::controllers::event;
use crate::cluster::controllers::volumes::claims;
use crate::cluster::quantity::Quantity;
use crate::cluster::quota;
use crate::cluster::state::State;
use crate::cluster::store::Key;

pub(super) fn schedule(state: &mut State, key: &Key, pod: &Value) {
    match obstacle(state, key, pod) {
        None => {
            state.edit(key, |pod| {
                pod["spec"]["nodeName"] = json!(NAME);
                let scheduled = condition(pod, "PodScheduled", true, None);
                pod["status"]["conditions"] = json!([scheduled]);
            });
        }
        Some(obstacle) => {
            let message = format!("0/1 nodes are available: {obstacle}");
            event(state, pod, "Warning", "FailedScheduling", &message);
            state.edit(key, |pod| {
                let why = Some(("Unschedulable", message.as_str()));
                let scheduled = condition(pod, "PodScheduled", false, why);
                pod["status"]["conditions"] = json!([scheduled]);
            });
        }
    }
}

/// Why the pod cannot be on the node.
fn obstacle(state: &State, key: &Key, pod: &Value) -> Option<String> {
    claim_obstacle(state, key, pod)
        .or_else(|| selector_obstacle(pod))
        .or_else(|| shortage(state, pod))
}

fn claim_obstacle(state: &State, key: &Key, pod: &Value) -> Option<String> {
    claims(pod).find_map(|claim| {
        match state.store.get(&Key::new("PersistentVolumeClaim", &key.namespace, claim)) {
            None => Some(format!(
                "persistentvolumeclaim {claim:?} not found. no new claims to deallocate, preemption: 0/1 nodes are \
                 available: 1 Preemption is not helpful for scheduling."
            )),
            Some(found) if found["spec"].get("volumeName").is_none() => Some(
                "pod has unbound immediate PersistentVolumeClaims. no new claims to deallocate, preemption: 0/1 \
                 nodes are available: 1 Preemption is not helpful for scheduling."
                    .to_owned(),
            ),
            Some(_) => None,
        }
    })
}

fn selector_obstacle(pod: &Value) -> Option<String> {
    let selector = pod["spec"]["nodeSelector"].as_object();
    let known = [
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/hostname", NAME),
    ];
    let fits = |(key, value): (&String, &Value)| {
        known
            .iter()
            .any(|(label, named)| label == key && value == named)
    };
    (!selector.into_iter().flatten().all(fits))
        .then(|| "1 node(s) didn't match Pod's node affinity/selector.".to_owned())
}

fn shortage(state: &State, pod: &Value) -> Option<String> {
    let resources = ["cpu", "memory"].into_iter().zip(state.capacity);
    let short: Vec<String> = resources
        .filter(|(resource, capacity)| {
            let requested = quota::compute(&pod["spec"], "requests", resource);
            requested > Quantity::default()
                && requested > capacity.saturating_sub(taken(state, resource))
        })
        .map(|(resource, _)| format!("1 Insufficient {resource}"))
        .collect();
    (!short.is_empty()).then(|| {
        format!(
            "{}. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found \
             for incoming pod.",
            short.join(", ")
        )
    })
}

/// What the pods on the node request together.
fn taken(state: &State, resource: &str) -> Quantity {
    let pods = state.store.list("Pod", None);
    let pods = pods.filter(|(_, pod)| {
        let phase = pod["status"]["phase"].as_str();
        pod["spec"].get("nodeName").is_some() && !matches!(phase, Some("Succeeded" | "Failed"))
    });
    pods.map(|(_, pod)| quota::compute(&pod["spec"], "requests", resource))
        .sum()
}
