//! ReplicaSets: as many pods as wanted.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    condition, create_pod, is_active, is_ready, is_terminating, number, owned, pod_of, told,
    without_zeros,
};
use crate::cluster::refusal::Refusal;
use crate::cluster::state::State;
use crate::cluster::store::Key;

pub(super) fn reconcile(state: &mut State, key: &Key, set: &Value) -> Result<(), Refusal> {
    if is_terminating(set) {
        return Ok(());
    }
    let mut pods = active(state, set);
    let wanted = number(&set["spec"]["replicas"]);
    let there = i64::try_from(pods.len()).unwrap_or(i64::MAX);
    let mut failure = None;
    for _ in there..wanted {
        let mut pod = pod_of(set, &set["spec"]["template"]);
        pod["metadata"]["generateName"] = json!(format!("{}-", key.name));
        if let Err(refusal) = create_pod(state, set, pod) {
            failure = Some(refusal.message);
            break;
        }
    }
    if there > wanted {
        // What is not ready goes first, then what is newest.
        pods.sort_by_key(|(_, pod)| (is_ready(pod), version(pod)));
        let (waiting, ready): (Vec<_>, Vec<_>) = pods.into_iter().partition(|(_, p)| !is_ready(p));
        let surplus = usize::try_from(there - wanted).unwrap_or(0);
        for (pod, _) in waiting
            .into_iter()
            .chain(ready.into_iter().rev())
            .take(surplus)
        {
            state.remove(&pod);
        }
    }
    report(state, key, set, failure);
    Ok(())
}

fn active(state: &State, set: &Value) -> Vec<(Key, Arc<Value>)> {
    let mut pods = owned(state, "Pod", set);
    pods.retain(|(_, pod)| is_active(pod));
    pods
}

fn version(object: &Value) -> u64 {
    let text = object["metadata"]["resourceVersion"].as_str();
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn report(state: &mut State, key: &Key, set: &Value, failure: Option<String>) {
    let pods = active(state, set);
    let ready = pods.iter().filter(|(_, pod)| is_ready(pod)).count();
    let conditions = failure.map(|message| {
        // The names of pods are random: the same refusal is not news.
        let before = condition(set, "ReplicaFailure").and_then(|c| c["message"].as_str());
        let message = before
            .filter(|before| is_same(before, &message))
            .unwrap_or(&message);
        vec![told(set, "ReplicaFailure", true, "FailedCreate", message)]
    });
    let mut status = json!({
        "observedGeneration": set["metadata"]["generation"],
        "replicas": pods.len(),
        "fullyLabeledReplicas": pods.len(),
        "readyReplicas": ready,
        "availableReplicas": ready,
    });
    if let Some(conditions) = conditions {
        status["conditions"] = conditions.into();
    }
    state.set_status(key, without_zeros(status, &["replicas"]));
}

fn is_same(before: &str, after: &str) -> bool {
    let reason = |message: &str| {
        message
            .split_once(" is ")
            .map(|(_, reason)| reason.to_owned())
    };
    reason(before) == reason(after)
}
