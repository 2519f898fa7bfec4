//! What the node reports of a pod.

use serde_json::{Value, json};

use super::container::{Container, Rules};
use super::{ADDRESS, Run, containers, name};
use crate::cluster::time;

pub(super) fn condition(pod: &Value, kind: &str, status: bool, why: Option<(&str, &str)>) -> Value {
    let status = if status { "True" } else { "False" };
    let conditions = pod["status"]["conditions"].as_array();
    let known = conditions.into_iter().flatten().find(|c| c["type"] == kind);
    let known = known.filter(|known| known["status"] == status);
    let since = known.map_or_else(|| json!(time::now()), |c| c["lastTransitionTime"].clone());
    let mut condition = json!({
        "type": kind,
        "status": status,
        "observedGeneration": pod["metadata"]["generation"],
        "lastProbeTime": null,
        "lastTransitionTime": since,
    });
    if let Some((reason, message)) = why {
        condition["reason"] = json!(reason);
        condition["message"] = json!(message);
    }
    condition
}

type Known<'a> = Vec<(Rules<'a>, &'a Container)>;

fn known<'a>(pod: &'a Value, run: &'a Run, list: &str, initial: bool) -> Known<'a> {
    let known = containers(pod, list).filter_map(|spec| {
        let rules = Rules::of(pod, spec, initial);
        Some((rules, run.containers.get(name(spec))?))
    });
    known.collect()
}

fn phase(initial: &Known<'_>, main: &Known<'_>, initialized: bool) -> &'static str {
    let ends: Vec<Option<i64>> = main.iter().map(|(rules, c)| c.ended(rules)).collect();
    let broken = initial
        .iter()
        .any(|(rules, c)| c.ended(rules).is_some_and(|code| code != 0));
    let all_ended = ends.iter().all(Option::is_some);
    if broken || (all_ended && ends.iter().any(|end| *end != Some(0))) {
        "Failed"
    } else if all_ended {
        "Succeeded"
    } else if initialized && main.iter().all(|(_, c)| c.has_run()) {
        "Running"
    } else {
        "Pending"
    }
}

fn names<'a>(list: &Known<'a>, wanted: impl Fn(&Rules<'_>, &Container) -> bool) -> Vec<&'a str> {
    let wanted = list
        .iter()
        .filter(|(rules, container)| wanted(rules, container));
    wanted.map(|(rules, _)| name(rules.spec)).collect()
}

/// The pod's status.
pub(super) fn of(pod: &Value, run: &Run) -> Value {
    let initial = known(pod, run, "initContainers", true);
    let main = known(pod, run, "containers", false);
    let uninitialized = names(&initial, |rules, c| !c.lets_next_start(rules));
    let sidecars = names(&initial, |rules, c| rules.is_sidecar() && !c.ready);
    let unready = [sidecars, names(&main, |_, c| !c.ready)].concat();
    let phase = phase(&initial, &main, uninitialized.is_empty());

    let incomplete = format!(
        "containers with incomplete status: [{}]",
        uninitialized.join(" ")
    );
    let unready_names = format!("containers with unready status: [{}]", unready.join(" "));
    let why = match phase {
        "Succeeded" => ("PodCompleted", ""),
        _ => ("ContainersNotReady", unready_names.as_str()),
    };
    let initialized = uninitialized.is_empty();
    let why_not_initialized = (!initialized).then_some(("ContainersNotInitialized", &*incomplete));
    let why_unready = (!unready.is_empty()).then_some(why);
    let statuses = |list: &Known<'_>, waits: bool| -> Vec<Value> {
        list.iter()
            .map(|(rules, c)| c.status(rules, waits))
            .collect()
    };
    let mut status = json!({
        "observedGeneration": pod["metadata"]["generation"],
        "phase": phase,
        "conditions": [
            condition(pod, "PodReadyToStartContainers", true, None),
            condition(pod, "Initialized", initialized, why_not_initialized),
            condition(pod, "Ready", unready.is_empty(), why_unready),
            condition(pod, "ContainersReady", unready.is_empty(), why_unready),
            condition(pod, "PodScheduled", true, None),
        ],
        "hostIP": ADDRESS,
        "hostIPs": [{ "ip": ADDRESS }],
        "podIP": run.address,
        "podIPs": [{ "ip": run.address }],
        "startTime": run.started,
        "containerStatuses": statuses(&main, !initialized),
        "qosClass": pod["status"]["qosClass"],
    });
    if !initial.is_empty() {
        status["initContainerStatuses"] = statuses(&initial, false).into();
    }
    status
}
