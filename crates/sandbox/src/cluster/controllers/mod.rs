//! The controllers: each looks at the state, and writes what is missing for the state to be as it is wanted.
//!
//! All look again after each write, so that one's write is the other's cause, until nobody has anything to write.

use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::kinds::Resource;
use super::refusal::Refusal;
use super::state::State;
use super::store::Key;
use super::{node, quota, time};

mod daemon_set;
mod deployment;
pub(super) mod garbage;
mod job;
mod namespace;
mod replica_set;
mod stateful_set;
pub(super) mod volumes;

/// Passes after which controllers that still write are taken to fight each other.
const MOST_PASSES: usize = 10_000;

/// Runs the controllers for as long as the task lives.
pub(super) async fn run(state: Arc<Mutex<State>>) {
    let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
    let mut changed = lock().store.subscribe();
    loop {
        let due = {
            let mut state = lock();
            let due = settle(&mut state);
            // Nobody else writes meanwhile, and after the controllers' own writes they have looked again.
            changed.mark_unchanged();
            due
        };
        let due = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            outcome = changed.changed() => if outcome.is_err() { return },
            () = due => {}
        }
    }
}

/// Passes until nobody writes; when to look again although nobody does.
fn settle(state: &mut State) -> Option<Instant> {
    for _ in 0..MOST_PASSES {
        let before = state.store.version();
        state.take_due();
        pass(state, Instant::now());
        if state.store.version() == before {
            return state.take_due();
        }
    }
    tracing::error!("the sandbox's controllers do not come to rest");
    Some(Instant::now() + std::time::Duration::from_secs(1))
}

fn pass(state: &mut State, now: Instant) {
    each(state, "Namespace", namespace::reconcile);
    garbage::collect(state);
    volumes::reconcile(state);
    each(state, "Deployment", |state, key, object| {
        deployment::reconcile(state, key, object, now)
    });
    each(state, "ReplicaSet", replica_set::reconcile);
    each(state, "StatefulSet", stateful_set::reconcile);
    each(state, "DaemonSet", daemon_set::reconcile);
    each(state, "Job", |state, key, object| {
        job::reconcile(state, key, object, now)
    });
    each(state, "Pod", |state, key, object| {
        node::reconcile(state, key, object, now)
    });
    each(state, "ResourceQuota", |state, key, object| {
        let status = quota::status(&state.store, &key.namespace, object);
        state.set_status(key, status);
        Ok(())
    });
}

fn each(
    state: &mut State,
    kind: &'static str,
    mut reconcile: impl FnMut(&mut State, &Key, &Value) -> Result<(), Refusal>,
) {
    let objects = state.store.list(kind, None);
    let objects: Vec<_> = objects
        .map(|(key, object)| (key.clone(), Arc::clone(object)))
        .collect();
    for (key, object) in objects {
        if let Err(refusal) = reconcile(state, &key, &object) {
            tracing::error!(
                ?key,
                refusal.message,
                "a controller of the sandbox was refused"
            );
        }
    }
}

/// The objects of `kind` that `owner` controls.
fn owned(state: &State, kind: &'static str, owner: &Value) -> Vec<(Key, Arc<Value>)> {
    let metadata = &owner["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    let objects = state.store.list(kind, Some(namespace));
    objects
        .filter(|(_, object)| {
            let owners = object["metadata"]["ownerReferences"].as_array();
            let mut owners = owners.into_iter().flatten();
            owners.any(|owner| owner["controller"] == true && owner["uid"] == metadata["uid"])
        })
        .map(|(key, object)| (key.clone(), Arc::clone(object)))
        .collect()
}

fn owner_reference(owner: &Value) -> Value {
    json!([{
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": true,
        "blockOwnerDeletion": true,
    }])
}

/// A pod of `template` that `owner` controls.
fn pod_of(owner: &Value, template: &Value) -> Value {
    let mut metadata = template["metadata"].clone();
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.retain(|key, _| matches!(key.as_str(), "labels" | "annotations" | "finalizers"));
    }
    metadata["ownerReferences"] = owner_reference(owner);
    json!({ "metadata": metadata, "spec": template["spec"] })
}

/// Creates a pod; a refusal becomes a warning about `owner`.
fn create_pod(state: &mut State, owner: &Value, pod: Value) -> Result<(), Refusal> {
    let namespace = owner["metadata"]["namespace"].as_str().unwrap_or_default();
    let made = state.create(Resource::get("Pod")?, namespace, pod);
    match made {
        Ok(_) => Ok(()),
        Err(refusal) => {
            let message = format!("Error creating: {}", refusal.message);
            // The names of pods are random: the same refusal is no other event.
            let same = message
                .split_once(" is ")
                .map_or("", |(_, why)| why)
                .to_owned();
            event_once(state, owner, ("Warning", "FailedCreate"), &message, &same);
            Err(refusal)
        }
    }
}

fn is_terminating(object: &Value) -> bool {
    object["metadata"].get("deletionTimestamp").is_some()
}

/// Neither ended nor on its way out.
fn is_active(pod: &Value) -> bool {
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    !is_terminating(pod) && !matches!(phase, "Succeeded" | "Failed")
}

fn is_ready(pod: &Value) -> bool {
    !is_terminating(pod) && condition(pod, "Ready").is_some_and(|c| c["status"] == "True")
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().find(|c| c["type"] == kind)
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

fn is_deleted(state: &State, key: &Key) -> bool {
    state.store.get(key).is_none()
}

/// Stable letters for a template, as part of names.
fn hash(template: &Value) -> String {
    let digest = Sha256::digest(template.to_string());
    digest
        .iter()
        .take(5)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A condition of a workload; its time stays while its status is the same.
fn told(before: &Value, kind: &str, status: bool, reason: &str, message: &str) -> Value {
    let status = if status { "True" } else { "False" };
    let known = condition(before, kind);
    let known = known.filter(|known| known["status"] == status);
    let since = known.map_or_else(|| json!(time::now()), |c| c["lastTransitionTime"].clone());
    json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": since,
    })
}

/// Drops what Kubernetes does not write: zeros that mean nothing.
fn without_zeros(mut status: Value, keep: &[&str]) -> Value {
    if let Some(fields) = status.as_object_mut() {
        fields.retain(|key, value| *value != json!(0) || keep.contains(&key.as_str()));
    }
    status
}

/// Records an event about `object`; the same again is the same event.
pub(super) fn event(state: &mut State, object: &Value, kind: &str, reason: &str, message: &str) {
    event_once(state, object, (kind, reason), message, message);
}

fn event_once(
    state: &mut State,
    object: &Value,
    (kind, reason): (&str, &str),
    message: &str,
    same: &str,
) {
    let metadata = &object["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    let name = metadata["name"].as_str().unwrap_or_default();
    let identity = json!([metadata["uid"], reason, same]);
    let key = Key::new("Event", namespace, format!("{name}.{}", hash(&identity)));
    if state.store.get(&key).is_some() {
        return;
    }
    let now = time::now();
    let event = json!({
        "metadata": { "name": key.name },
        "involvedObject": {
            "apiVersion": object["apiVersion"],
            "kind": object["kind"],
            "namespace": namespace,
            "name": name,
            "uid": metadata["uid"],
        },
        "type": kind,
        "reason": reason,
        "message": message,
        "source": { "component": "sandbox" },
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    });
    // A namespace on its way out takes no events: as on a real cluster, they are lost.
    if let Ok(events) = Resource::get("Event") {
        let _ = state.create(events, namespace, event);
    }
}
