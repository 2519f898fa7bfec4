//! Deployments: a ReplicaSet for each template, scaled so that new pods are ready before old ones go.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    condition, hash, is_active, is_terminating, number, owned, owner_reference, without_zeros,
};
use crate::cluster::kinds::Resource;
use crate::cluster::refusal::Refusal;
use crate::cluster::state::State;
use crate::cluster::store::Key;
use crate::cluster::time;

const REVISION: &str = "deployment.kubernetes.io/revision";
const TEMPLATE: &str = "pod-template-hash";

type Set = (Key, Arc<Value>);

pub(super) fn reconcile(
    state: &mut State,
    key: &Key,
    deployment: &Value,
    now: Instant,
) -> Result<(), Refusal> {
    if is_terminating(deployment) {
        return Ok(());
    }
    let hash = hash(&deployment["spec"]["template"]);
    let paused = deployment["spec"]["paused"] == true;
    if !paused {
        newest(state, key, deployment, &hash)?;
    }
    // As it is now, with its revision.
    let Some(deployment) = state.store.get(key).cloned() else {
        return Ok(());
    };
    let (new, mut old): (Vec<Set>, Vec<Set>) = owned(state, "ReplicaSet", &deployment)
        .into_iter()
        .partition(|(_, set)| set["metadata"]["labels"][TEMPLATE] == hash.as_str());
    old.sort_by_key(|(_, set)| revision(set));
    if let (Some(new), false) = (new.first(), paused) {
        if deployment["spec"]["strategy"]["type"] == "Recreate" {
            recreate(state, &deployment, new, &old);
        } else {
            roll(state, &deployment, new, &old);
        }
    }
    report(state, key, &deployment, new.first(), &old, now);
    Ok(())
}

fn revision(object: &Value) -> i64 {
    let text = object["metadata"]["annotations"][REVISION].as_str();
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Has a ReplicaSet of the newest template there, with the highest revision, which the Deployment shows.
fn newest(state: &mut State, key: &Key, deployment: &Value, hash: &str) -> Result<(), Refusal> {
    let sets = owned(state, "ReplicaSet", deployment);
    let highest = sets.iter().map(|(_, set)| revision(set)).max().unwrap_or(0);
    let known = sets
        .iter()
        .find(|(_, set)| set["metadata"]["labels"][TEMPLATE] == hash);
    let revision = match known {
        Some((_, set)) if revision(set) == highest => highest,
        Some((known, _)) => {
            state.edit(known, |set| {
                set["metadata"]["annotations"][REVISION] = json!((highest + 1).to_string());
            });
            highest + 1
        }
        None => {
            let set = replica_set(deployment, hash, highest + 1);
            state.create(Resource::get("ReplicaSet")?, &key.namespace, set)?;
            highest + 1
        }
    };
    if self::revision(deployment) != revision {
        state.edit(key, |deployment| {
            deployment["metadata"]["annotations"][REVISION] = json!(revision.to_string());
        });
    }
    Ok(())
}

fn replica_set(deployment: &Value, hash: &str, revision: i64) -> Value {
    let name = deployment["metadata"]["name"].as_str().unwrap_or_default();
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"][TEMPLATE] = json!(hash);
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"][TEMPLATE] = json!(hash);
    json!({
        "metadata": {
            "name": format!("{name}-{hash}"),
            "labels": template["metadata"]["labels"],
            "annotations": { REVISION: revision.to_string() },
            "ownerReferences": owner_reference(deployment),
        },
        "spec": {
            "replicas": 0,
            "minReadySeconds": deployment["spec"]["minReadySeconds"],
            "selector": selector,
            "template": template,
        },
    })
}

fn wanted(set: &Value) -> i64 {
    number(&set["spec"]["replicas"])
}

fn available(set: &Value) -> i64 {
    number(&set["status"]["availableReplicas"])
}

fn scale(state: &mut State, (key, set): &Set, replicas: i64) {
    if wanted(set) == replicas {
        return;
    }
    state.edit(key, |set| {
        set["spec"]["replicas"] = json!(replicas);
        set["metadata"]["generation"] = json!(number(&set["metadata"]["generation"]) + 1);
    });
}

/// A number, or a percentage of `of`.
fn share(value: &Value, of: i64, round_up: bool) -> i64 {
    let Some(percent) = value.as_str().and_then(|text| text.strip_suffix('%')) else {
        return number(value);
    };
    let percent: i64 = percent.parse().unwrap_or(0);
    let hundredfold = percent * of;
    if round_up {
        (hundredfold + 99) / 100
    } else {
        hundredfold / 100
    }
}

/// How many pods more than wanted there may be, and how many less may be available.
fn bounds(deployment: &Value) -> (i64, i64) {
    let spec = &deployment["spec"];
    if spec["strategy"]["type"] == "Recreate" {
        return (0, 0);
    }
    let desired = number(&spec["replicas"]);
    let update = &spec["strategy"]["rollingUpdate"];
    let surge = share(&update["maxSurge"], desired, true);
    let unavailable = share(&update["maxUnavailable"], desired, false);
    match (surge, unavailable) {
        (0, 0) => (0, 1),
        bounds => bounds,
    }
}

fn roll(state: &mut State, deployment: &Value, new: &Set, old: &[Set]) {
    let desired = number(&deployment["spec"]["replicas"]);
    let (surge, unavailable) = bounds(deployment);
    let running = wanted(&new.1);
    let older: i64 = old.iter().map(|(_, set)| wanted(set)).sum();
    if running > desired {
        scale(state, new, desired);
        return;
    }
    let room = desired + surge - running - older;
    if running < desired && room > 0 {
        scale(state, new, running + room.min(desired - running));
        return;
    }
    let least = desired - unavailable;
    let new_unavailable = running - available(&new.1);
    let mut may_go = running + older - least - new_unavailable;
    let mut healthy: i64 = available(&new.1);
    healthy += old.iter().map(|(_, set)| available(set)).sum::<i64>();
    let mut spare = healthy - least;
    for set in old.iter().filter(|(_, set)| wanted(set) > 0) {
        // What is not available goes first, then what is not needed to have enough available.
        let unhealthy = (wanted(&set.1) - available(&set.1)).clamp(0, may_go.max(0));
        let healthy = (wanted(&set.1) - unhealthy)
            .min(spare.max(0))
            .min((may_go - unhealthy).max(0));
        scale(state, set, wanted(&set.1) - unhealthy - healthy);
        may_go -= unhealthy + healthy;
        spare -= healthy;
    }
}

fn recreate(state: &mut State, deployment: &Value, new: &Set, old: &[Set]) {
    for set in old {
        scale(state, set, 0);
    }
    let left = old
        .iter()
        .any(|(_, set)| !owned(state, "Pod", set).is_empty());
    if !left {
        scale(state, new, number(&deployment["spec"]["replicas"]));
    }
}

fn report(
    state: &mut State,
    key: &Key,
    deployment: &Value,
    new: Option<&Set>,
    old: &[Set],
    now: Instant,
) {
    let desired = number(&deployment["spec"]["replicas"]);
    let sets = || new.into_iter().chain(old);
    let sum = |field: &str| -> i64 { sets().map(|(_, set)| number(&set["status"][field])).sum() };
    let (total, ready, available) = (
        sum("replicas"),
        sum("readyReplicas"),
        sum("availableReplicas"),
    );
    let updated = new.map_or(0, |(_, set)| number(&set["status"]["replicas"]));
    let seen =
        new.map(|(_, set)| set["status"]["observedGeneration"] == set["metadata"]["generation"]);
    let complete = seen.unwrap_or(false)
        && (updated, total, available) == (desired, desired, desired)
        && old.iter().all(|(_, set)| wanted(set) == 0);
    let name = new.map_or("", |(key, _)| key.name.as_str());
    let moved = json!([name, updated, total, ready, available]);

    let (_, unavailable) = bounds(deployment);
    let mut conditions = vec![if available >= desired - unavailable {
        let message = "Deployment has minimum availability.";
        told(
            deployment,
            "Available",
            true,
            "MinimumReplicasAvailable",
            message,
        )
    } else {
        let message = "Deployment does not have minimum availability.";
        told(
            deployment,
            "Available",
            false,
            "MinimumReplicasUnavailable",
            message,
        )
    }];
    let progressing = |status, reason, what: &str| {
        let message = format!("ReplicaSet {name:?} {what}.");
        told(deployment, "Progressing", status, reason, &message)
    };
    let failure = new.and_then(|(_, set)| condition(set, "ReplicaFailure"));
    conditions.push(if complete {
        state.progress.remove(uid(deployment));
        progressing(
            true,
            "NewReplicaSetAvailable",
            "has successfully progressed",
        )
    } else if is_late(state, deployment, moved, now) {
        progressing(
            false,
            "ProgressDeadlineExceeded",
            "has timed out progressing",
        )
    } else {
        progressing(true, "ReplicaSetUpdated", "is progressing")
    });
    if let Some(failure) = failure {
        let message = failure["message"].as_str().unwrap_or_default();
        conditions.push(told(
            deployment,
            "ReplicaFailure",
            true,
            "FailedCreate",
            message,
        ));
    }
    let terminating = sets().flat_map(|(_, set)| owned(state, "Pod", set));
    let terminating = terminating.filter(|(_, pod)| !is_active(pod)).count();
    let status = json!({
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": total,
        "updatedReplicas": updated,
        "readyReplicas": ready,
        "availableReplicas": available,
        "unavailableReplicas": (sets().map(|(_, set)| wanted(set)).sum::<i64>().max(desired) - available).max(0),
        "terminatingReplicas": terminating,
        "conditions": conditions,
    });
    state.set_status(key, without_zeros(status, &["terminatingReplicas"]));
}

fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

/// Whether nothing has moved for longer than the Deployment allows.
fn is_late(state: &mut State, deployment: &Value, moved: Value, now: Instant) -> bool {
    let patience = number(&deployment["spec"]["progressDeadlineSeconds"]);
    let patience = Duration::from_secs(u64::try_from(patience).unwrap_or(0));
    let end = state.moved(uid(deployment), moved, now) + patience;
    if now < end {
        state.wake_at(end);
    }
    now >= end
}

/// A condition of a Deployment, which also tells when it last said something else.
fn told(deployment: &Value, kind: &str, status: bool, reason: &str, message: &str) -> Value {
    let mut told = super::told(deployment, kind, status, reason, message);
    let known = condition(deployment, kind);
    let same = known.filter(|known| {
        ["status", "reason", "message"]
            .into_iter()
            .all(|key| known[key] == told[key])
    });
    told["lastUpdateTime"] =
        same.map_or_else(|| json!(time::now()), |c| c["lastUpdateTime"].clone());
    told
}
