//! The one node: it takes pods that fit, and starts, restarts and ends their containers.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::controllers::event;
use super::environment;
use super::refusal::Refusal;
use super::state::State;
use super::store::Key;
use super::time;

mod container;
mod schedule;
mod status;

pub(super) use container::Container;
use container::{Rules, STEP};

/// The node's name.
pub(super) const NAME: &str = "node-1";
const ADDRESS: &str = "198.18.0.1";

/// A pod as the node runs it.
#[derive(Debug)]
pub(super) struct Run {
    address: String,
    started: String,
    /// By name, init containers too.
    pub(super) containers: BTreeMap<String, Container>,
    /// When its containers will have ended after its deletion was asked for.
    ends: Option<Instant>,
}

pub(super) fn reconcile(
    state: &mut State,
    key: &Key,
    pod: &Value,
    now: Instant,
) -> Result<(), Refusal> {
    if pod["spec"].get("nodeName").is_none() {
        schedule::schedule(state, key, pod);
        return Ok(());
    }
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    let run = state.runs.remove(uid);
    let mut run = run.unwrap_or_else(|| Run {
        address: state.address(),
        started: time::now(),
        containers: BTreeMap::new(),
        ends: None,
    });
    if pod["metadata"].get("deletionTimestamp").is_some() {
        end(state, key, pod, run, now);
        return Ok(());
    }
    let phase = pod["status"]["phase"].as_str();
    if !matches!(phase, Some("Succeeded" | "Failed")) {
        advance(state, pod, &mut run, now);
        let status = status::of(pod, &run);
        state.set_status(key, status);
    }
    state.runs.insert(uid.to_owned(), run);
    Ok(())
}

/// Ends a pod whose deletion was asked for, after a moment in which it is seen to terminate.
fn end(state: &mut State, key: &Key, pod: &Value, mut run: Run, now: Instant) {
    let ends = *run.ends.get_or_insert(now + STEP);
    if now < ends {
        state.wake_at(ends);
    } else if pod["metadata"]
        .get("finalizers")
        .is_none_or(|held| *held == json!([]))
    {
        state.store.remove(key);
        return;
    }
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    state.runs.insert(uid.to_owned(), run);
}

fn containers<'a>(pod: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    pod["spec"][list].as_array().into_iter().flatten()
}

fn name(container: &Value) -> &str {
    container["name"].as_str().unwrap_or_default()
}

/// Whether an init container is one that runs on beside the others.
/// <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/>
pub(super) fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

const LISTS: [(&str, bool); 2] = [("initContainers", true), ("containers", false)];

/// Lets each container go on: init containers one after the other, each when the one before has ended or, as a sidecar,
/// started; then the others together.
fn advance(state: &mut State, pod: &Value, run: &mut Run, now: Instant) {
    for (list, _) in LISTS {
        for container in containers(pod, list) {
            let known = run.containers.entry(name(container).to_owned());
            known.or_insert_with(|| Container::new(now));
        }
    }
    if let Some(missing) = environment::missing_volume(state, pod) {
        event(state, pod, "Warning", "FailedMount", &missing);
        return;
    }
    for (list, initial) in LISTS {
        for spec in containers(pod, list) {
            let rules = Rules::of(pod, spec, initial);
            let Some(container) = run.containers.get_mut(name(spec)) else {
                continue;
            };
            container.step(state, &rules, now);
            if initial && !container.lets_next_start(&rules) {
                return;
            }
        }
    }
}
