//! Claims and their volumes: a volume is made for each claim, and goes, or stays, when the claim is gone.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{event, is_terminating};
use crate::cluster::kinds::Resource;
use crate::cluster::quantity::Quantity;
use crate::cluster::state::State;
use crate::cluster::store::Key;
use crate::cluster::write::CLAIM_IN_USE;

/// The finalizer of a volume, until no claim is bound to it.
const VOLUME_BOUND: &str = "kubernetes.io/pv-protection";
/// The finalizer of a volume, until what it is made of is deleted.
const VOLUME_KEPT: &str = "kubernetes.io/pv-controller";

pub(super) fn reconcile(state: &mut State) {
    for (key, claim) in list(state, "PersistentVolumeClaim") {
        if is_terminating(&claim) {
            release_claim(state, &key);
        } else if claim["spec"].get("volumeName").is_none() {
            bind(state, &key, &claim);
        }
    }
    let claims = state.store.list("PersistentVolumeClaim", None);
    let claims = claims.filter_map(|(_, claim)| claim["metadata"]["uid"].as_str());
    let claims: BTreeSet<String> = claims.map(str::to_owned).collect();
    for (key, volume) in list(state, "PersistentVolume") {
        match volume["spec"]["claimRef"]["uid"].as_str() {
            Some(uid) if claims.contains(uid) => {}
            claim => release_volume(state, &key, &volume, claim.is_some()),
        }
    }
}

fn list(state: &State, kind: &'static str) -> Vec<(Key, Arc<Value>)> {
    let objects = state.store.list(kind, None);
    objects
        .map(|(key, object)| (key.clone(), Arc::clone(object)))
        .collect()
}

/// Binds a claim to the volume that is meant for it, or to a new one.
fn bind(state: &mut State, key: &Key, claim: &Value) {
    if let Some((volume, meant)) = meant_for(state, key, claim) {
        let name = &volume.name;
        let uid = claim["metadata"]["uid"].clone();
        state.edit(&volume, |volume| volume["spec"]["claimRef"]["uid"] = uid);
        let spec = &meant["spec"];
        return bound(state, key, name, &spec["accessModes"], &spec["capacity"]);
    }
    let class = claim["spec"]["storageClassName"]
        .as_str()
        .unwrap_or_default();
    let policy = state.store.get(&Key::new("StorageClass", "", class));
    let Some(policy) = policy.map(|class| class["reclaimPolicy"].clone()) else {
        // Nobody makes volumes of this class.
        let message = format!("storageclass.storage.k8s.io {class:?} not found");
        event(state, claim, "Warning", "ProvisioningFailed", &message);
        return;
    };
    let policy = policy.as_str().unwrap_or("Delete").to_owned();
    if claim["spec"]["dataSource"].is_object() {
        let why = "plugin \"kubernetes.io/host-path\" is not a CSI plugin. Only CSI plugin can provision a claim with \
                   a datasource";
        return event(state, claim, "Warning", "ProvisioningFailed", why);
    }
    provision(state, key, claim, class, &policy);
}

/// The volume that somebody made for this very claim. What the claim's own source is does not matter then.
/// <https://kubernetes.io/docs/concepts/storage/persistent-volumes/#reserving-a-persistentvolume>
fn meant_for(state: &State, key: &Key, claim: &Value) -> Option<(Key, Arc<Value>)> {
    let storage = |amount: &Value| Quantity::parse(amount["storage"].as_str()?);
    let wanted = storage(&claim["spec"]["resources"]["requests"]);
    list(state, "PersistentVolume")
        .into_iter()
        .find(|(_, volume)| {
            let meant = &volume["spec"]["claimRef"];
            meant["namespace"] == key.namespace
                && meant["name"] == key.name
                && meant.get("uid").is_none()
                && storage(&volume["spec"]["capacity"]) >= wanted
                && !is_terminating(volume)
        })
}

/// Makes a volume for a claim.
fn provision(state: &mut State, key: &Key, claim: &Value, class: &str, policy: &str) {
    let uid = claim["metadata"]["uid"].as_str().unwrap_or_default();
    let name = format!("pvc-{uid}");
    let capacity = json!({ "storage": claim["spec"]["resources"]["requests"]["storage"] });
    let modes = claim["spec"]["accessModes"].clone();
    let volume = json!({
        "metadata": {
            "name": name,
            "finalizers": [VOLUME_BOUND, VOLUME_KEPT],
            "annotations": { "pv.kubernetes.io/provisioned-by": "kubernetes.io/host-path" },
        },
        "spec": {
            "accessModes": modes,
            "capacity": capacity,
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": key.namespace,
                "name": key.name,
                "uid": uid,
            },
            "hostPath": { "path": format!("/tmp/hostpath_pv/{name}"), "type": "" },
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": class,
        },
    });
    let made =
        Resource::get("PersistentVolume").and_then(|volumes| state.create(volumes, "", volume));
    if let Err(refusal) = made {
        tracing::error!(refusal.message, "no volume for a claim");
        return;
    }
    bound(state, key, &name, &modes, &capacity);
}

fn bound(state: &mut State, key: &Key, volume: &str, modes: &Value, capacity: &Value) {
    state.edit(&Key::new("PersistentVolume", "", volume), |volume| {
        volume["status"]["phase"] = json!("Bound");
    });
    state.edit(key, |claim| {
        claim["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = json!("yes");
        claim["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"] = json!("yes");
        claim["spec"]["volumeName"] = json!(volume);
        claim["status"] = json!({ "phase": "Bound", "accessModes": modes, "capacity": capacity });
    });
}

/// Lets a claim go that no pod uses any more.
fn release_claim(state: &mut State, key: &Key) {
    let pods = state.store.list("Pod", Some(&key.namespace));
    let used = { pods }.any(|(_, pod)| {
        let phase = pod["status"]["phase"].as_str();
        let ended = matches!(phase, Some("Succeeded" | "Failed"));
        !ended && claims(pod).any(|name| name == key.name)
    });
    if !used {
        without_finalizer(state, key, CLAIM_IN_USE);
    }
}

/// The names of the claims that a pod uses.
pub(in crate::cluster) fn claims(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str())
}

/// No claim has the volume; `had_one` tells whether one had it before.
fn release_volume(state: &mut State, key: &Key, volume: &Value, had_one: bool) {
    let deletes = volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete";
    let phase = if had_one { "Released" } else { "Available" };
    state.edit(key, |volume| volume["status"]["phase"] = json!(phase));
    if is_terminating(volume) || (had_one && deletes) {
        state.remove(key);
        without_finalizer(state, key, VOLUME_KEPT);
        without_finalizer(state, key, VOLUME_BOUND);
    }
}

fn without_finalizer(state: &mut State, key: &Key, finalizer: &str) {
    state.edit(key, |object| {
        let Some(metadata) = object["metadata"].as_object_mut() else {
            return;
        };
        if let Some(finalizers) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) {
            finalizers.retain(|known| known != finalizer);
        }
        metadata.retain(|key, value| key != "finalizers" || *value != json!([]));
    });
}
