//! StatefulSets: pods with numbers, each after the one before it is ready, and a claim for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    create_pod, hash, is_deleted, is_ready, is_terminating, number, owned, pod_of, without_zeros,
};
use crate::cluster::kinds::Resource;
use crate::cluster::refusal::Refusal;
use crate::cluster::state::State;
use crate::cluster::store::Key;

const REVISION: &str = "controller-revision-hash";

type Pods = BTreeMap<i64, (Key, Arc<Value>)>;

pub(super) fn reconcile(state: &mut State, key: &Key, set: &Value) -> Result<(), Refusal> {
    if is_terminating(set) {
        return Ok(());
    }
    let revision = format!("{}-{}", key.name, hash(&set["spec"]["template"]));
    let replicas = number(&set["spec"]["replicas"]);
    let pods = pods(state, key, set);
    match first_step(set, &pods, replicas, &revision) {
        Some(Step::Create(ordinal)) => {
            create_claims(state, key, set, ordinal)?;
            // A refusal, say by a quota, is told as an event, and tried again after the next change.
            let _ = create_pod(state, set, pod(set, &key.name, ordinal, &revision));
        }
        Some(Step::Delete(ordinal)) => {
            if let Some((pod, _)) = pods.get(&ordinal) {
                state.remove(pod);
            }
        }
        None => {}
    }
    if !is_deleted(state, key) {
        report(state, key, set, &revision);
    }
    Ok(())
}

enum Step {
    Create(i64),
    Delete(i64),
}

fn pods(state: &State, key: &Key, set: &Value) -> Pods {
    let pods = owned(state, "Pod", set).into_iter();
    pods.filter_map(|(pod, object)| {
        let ordinal = pod.name.strip_prefix(&key.name)?.strip_prefix('-')?;
        Some((ordinal.parse().ok()?, (pod, object)))
    })
    .collect()
}

/// The one thing to do next; none while something is under way.
fn first_step(set: &Value, pods: &Pods, replicas: i64, revision: &str) -> Option<Step> {
    let parallel = set["spec"]["podManagementPolicy"] == "Parallel";
    for ordinal in 0..replicas {
        match pods.get(&ordinal) {
            None => return Some(Step::Create(ordinal)),
            Some((_, pod)) if has_ended(pod) => return Some(Step::Delete(ordinal)),
            // Even where the newest template would mend it: a broken pod has to be deleted by hand.
            // <https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback>
            Some((_, pod)) if !is_ready(pod) && !parallel => return None,
            Some(_) => {}
        }
    }
    if let Some((ordinal, (_, pod))) = pods.iter().next_back()
        && *ordinal >= replicas
    {
        return (!is_terminating(pod)).then_some(Step::Delete(*ordinal));
    }
    if set["spec"]["updateStrategy"]["type"] == "OnDelete" {
        return None;
    }
    let partition = number(&set["spec"]["updateStrategy"]["rollingUpdate"]["partition"]);
    for (ordinal, (_, pod)) in pods.iter().rev() {
        if *ordinal < partition {
            return None;
        }
        if pod["metadata"]["labels"][REVISION] != revision {
            return (!is_terminating(pod)).then_some(Step::Delete(*ordinal));
        }
        if !is_ready(pod) {
            return None;
        }
    }
    None
}

fn has_ended(pod: &Value) -> bool {
    let phase = pod["status"]["phase"].as_str();
    matches!(phase, Some("Succeeded" | "Failed")) && !is_terminating(pod)
}

fn claim_name(template: &Value, set: &str, ordinal: i64) -> String {
    let template = template["metadata"]["name"].as_str().unwrap_or_default();
    format!("{template}-{set}-{ordinal}")
}

fn templates(set: &Value) -> impl Iterator<Item = &Value> {
    set["spec"]["volumeClaimTemplates"]
        .as_array()
        .into_iter()
        .flatten()
}

/// Claims outlive their set: they have no owner.
fn create_claims(state: &mut State, key: &Key, set: &Value, ordinal: i64) -> Result<(), Refusal> {
    for template in templates(set) {
        let name = claim_name(template, &key.name, ordinal);
        if !is_deleted(
            state,
            &Key::new("PersistentVolumeClaim", &key.namespace, &name),
        ) {
            continue;
        }
        let mut labels = template["metadata"]["labels"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        let selector = set["spec"]["selector"]["matchLabels"].as_object().cloned();
        labels.extend(selector.unwrap_or_default());
        let claim = json!({
            "metadata": {
                "name": name,
                "labels": labels,
                "annotations": template["metadata"]["annotations"],
            },
            "spec": template["spec"],
        });
        let made = state.create(
            Resource::get("PersistentVolumeClaim")?,
            &key.namespace,
            claim,
        );
        if let Err(refusal) = made {
            let message = format!(
                "create Claim {name} for Pod {}-{ordinal} failed: {}",
                key.name, refusal.message
            );
            super::event(state, set, "Warning", "FailedCreate", &message);
        }
    }
    Ok(())
}

fn pod(set: &Value, name: &str, ordinal: i64, revision: &str) -> Value {
    let mut pod = pod_of(set, &set["spec"]["template"]);
    let own = format!("{name}-{ordinal}");
    pod["metadata"]["name"] = json!(own);
    let labels = &mut pod["metadata"]["labels"];
    labels[REVISION] = json!(revision);
    labels["statefulset.kubernetes.io/pod-name"] = json!(own);
    labels["apps.kubernetes.io/pod-index"] = json!(ordinal.to_string());
    pod["spec"]["hostname"] = json!(own);
    pod["spec"]["subdomain"] = set["spec"]["serviceName"].clone();
    let mut volumes = pod["spec"]["volumes"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    for template in templates(set) {
        let volume = &template["metadata"]["name"];
        volumes.retain(|known| known["name"] != *volume);
        let claim = claim_name(template, name, ordinal);
        volumes.push(json!({ "name": volume, "persistentVolumeClaim": { "claimName": claim } }));
    }
    pod["spec"]["volumes"] = volumes.into();
    pod
}

fn report(state: &mut State, key: &Key, set: &Value, revision: &str) {
    let pods = pods(state, key, set);
    let pods = || {
        pods.values()
            .map(|(_, pod)| pod)
            .filter(|pod| !is_terminating(pod))
    };
    let of = |pod: &Value, revision: &Value| pod["metadata"]["labels"][REVISION] == *revision;
    let update = json!(revision);
    let replicas = pods().count();
    let ready = pods().filter(|pod| is_ready(pod)).count();
    let updated = pods().filter(|pod| of(pod, &update)).count();
    let wanted = usize::try_from(number(&set["spec"]["replicas"])).unwrap_or(0);
    let before = &set["status"]["currentRevision"];
    let current = if before.is_null() || (updated, ready, replicas) == (wanted, wanted, wanted) {
        update.clone()
    } else {
        before.clone()
    };
    let status = json!({
        "observedGeneration": set["metadata"]["generation"],
        "replicas": replicas,
        "readyReplicas": ready,
        "availableReplicas": ready,
        "currentReplicas": pods().filter(|pod| of(pod, &current)).count(),
        "updatedReplicas": updated,
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": 0,
    });
    let keep = ["replicas", "availableReplicas", "collisionCount"];
    state.set_status(key, without_zeros(status, &keep));
}
