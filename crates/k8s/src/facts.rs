//! Objects of the cluster as the core's facts.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use preview_core::objects::{
    ContainerEnd, ContainerFacts, ContainerState, EventFacts, NamespaceFacts, PodFacts,
    WorkloadFacts,
};

/// Conditions of a terminating Namespace that say what is in the way.
/// <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/namespace-v1/#NamespaceStatus>
const BLOCKERS: [&str; 5] = [
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceDeletionContentFailure",
    "NamespaceContentRemaining",
    "NamespaceFinalizersRemaining",
];

pub(crate) fn namespace_facts(namespace: &core::Namespace) -> Result<NamespaceFacts, String> {
    let metadata = &namespace.metadata;
    let name = metadata.name.as_deref().unwrap_or_default();
    let conditions = namespace
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    Ok(NamespaceFacts {
        name: name.parse().map_err(|error| format!("{error}"))?,
        uid: uid(metadata).parse().map_err(|error| format!("{error}"))?,
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
        created: metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0)
            .ok_or("a Namespace without a creationTimestamp")?,
        labels: metadata.labels.clone().unwrap_or_default(),
        annotations: metadata.annotations.clone().unwrap_or_default(),
        finalizers: metadata.finalizers.clone().unwrap_or_default(),
        terminating: metadata.deletion_timestamp.is_some(),
        blockers: conditions
            .iter()
            .filter(|c| c.status == "True" && BLOCKERS.contains(&c.type_.as_str()))
            .map(|c| c.message.clone().unwrap_or_else(|| c.type_.clone()))
            .collect(),
    })
}

pub(crate) fn uid(metadata: &ObjectMeta) -> &str {
    metadata.uid.as_deref().unwrap_or_default()
}

fn count(number: Option<i32>) -> u32 {
    number.and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

pub(crate) fn deployment_facts(deployment: &Deployment) -> WorkloadFacts {
    let status = deployment.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let told = |kind: &str, status: &str, reason: Option<&str>| {
        conditions
            .iter()
            .find(|c| {
                c.type_ == kind
                    && c.status == status
                    && reason.is_none_or(|reason| c.reason.as_deref() == Some(reason))
            })
            .map(|c| c.message.clone().unwrap_or_default())
    };
    WorkloadFacts {
        generation: deployment.metadata.generation.unwrap_or(0),
        observed_generation: status.observed_generation.unwrap_or(0),
        // The API server fills replicas in: 1 where nothing is said.
        desired: count(
            deployment
                .spec
                .as_ref()
                .and_then(|s| s.replicas)
                .or(Some(1)),
        ),
        total: count(status.replicas),
        updated: count(status.updated_replicas),
        ready: count(status.ready_replicas),
        available: count(status.available_replicas),
        gave_up: told("Progressing", "False", Some("ProgressDeadlineExceeded")),
        cannot_create_pods: told("ReplicaFailure", "True", None),
    }
}

pub(crate) fn stateful_set_facts(set: &StatefulSet) -> WorkloadFacts {
    let status = set.status.clone().unwrap_or_default();
    WorkloadFacts {
        generation: set.metadata.generation.unwrap_or(0),
        observed_generation: status.observed_generation.unwrap_or(0),
        desired: count(set.spec.as_ref().and_then(|s| s.replicas).or(Some(1))),
        total: count(Some(status.replicas)),
        updated: count(status.updated_replicas),
        ready: count(status.ready_replicas),
        available: count(status.available_replicas),
        gave_up: None,
        cannot_create_pods: None,
    }
}

pub(crate) fn daemon_set_facts(set: &DaemonSet) -> WorkloadFacts {
    let status = set.status.clone().unwrap_or_default();
    WorkloadFacts {
        generation: set.metadata.generation.unwrap_or(0),
        observed_generation: status.observed_generation.unwrap_or(0),
        desired: count(Some(status.desired_number_scheduled)),
        total: count(Some(status.current_number_scheduled)),
        updated: count(status.updated_number_scheduled),
        ready: count(Some(status.number_ready)),
        available: count(status.number_available),
        gave_up: None,
        cannot_create_pods: None,
    }
}

pub(crate) fn job_facts(job: &Job) -> WorkloadFacts {
    let generation = job.metadata.generation.unwrap_or(0);
    let status = job.status.clone().unwrap_or_default();
    let failed = status
        .conditions
        .iter()
        .flatten()
        .find(|c| c.type_ == "Failed" && c.status == "True");
    let told = failed.map(|c| {
        let reason = c.reason.as_deref().unwrap_or("Failed");
        let message = c.message.as_deref().unwrap_or_default();
        format!("{reason}: {message}")
    });
    let succeeded = count(status.succeeded);
    WorkloadFacts {
        generation,
        observed_generation: generation,
        desired: count(job.spec.as_ref().and_then(|s| s.completions).or(Some(1))),
        total: count(status.active) + succeeded,
        updated: count(status.active) + succeeded,
        ready: count(status.ready) + succeeded,
        available: succeeded,
        gave_up: told,
        cannot_create_pods: None,
    }
}

/// When it was last noted. The scheduler writes `eventTime` and counts in `series`; others still write `lastTimestamp`.
pub(crate) fn noted(event: &core::Event) -> Option<jiff::Timestamp> {
    let series = event.series.as_ref();
    let observed = series.and_then(|series| series.last_observed_time.as_ref());
    let metadata = event.metadata.creation_timestamp.as_ref();
    observed
        .map(|time| time.0)
        .or_else(|| event.last_timestamp.as_ref().map(|time| time.0))
        .or_else(|| event.event_time.as_ref().map(|time| time.0))
        .or_else(|| metadata.map(|time| time.0))
}

/// The newest event of each reason, newest first.
pub(crate) fn newest_events<'a>(events: impl Iterator<Item = &'a core::Event>) -> Vec<EventFacts> {
    let mut events: Vec<_> = events.collect();
    events.sort_by_key(|event| std::cmp::Reverse(noted(event)));
    let mut newest: Vec<EventFacts> = Vec::new();
    for event in events {
        let reason = event.reason.clone().unwrap_or_default();
        if newest.iter().all(|known| known.reason != reason) {
            let message = event.message.clone().unwrap_or_default();
            newest.push(EventFacts { reason, message });
        }
    }
    newest
}

/// One pod with what was noted of it; whether it is `current` is for its workload to say.
pub(crate) fn pod_facts(pod: &core::Pod, current: bool, events: Vec<EventFacts>) -> PodFacts {
    let status = pod.status.clone().unwrap_or_default();
    let condition = |kind: &str| {
        let all = status.conditions.iter().flatten();
        all.clone().find(|c| c.type_ == kind)
    };
    let unschedulable = condition("PodScheduled")
        .filter(|c| c.status == "False")
        .map(|c| {
            c.message
                .clone()
                .or_else(|| c.reason.clone())
                .unwrap_or_default()
        });
    PodFacts {
        name: pod.metadata.name.clone().unwrap_or_default(),
        current,
        terminating: pod.metadata.deletion_timestamp.is_some(),
        ready: condition("Ready").is_some_and(|c| c.status == "True"),
        unschedulable,
        containers: containers(pod, &status),
        events,
    }
}

fn containers(pod: &core::Pod, status: &core::PodStatus) -> Vec<ContainerFacts> {
    let statuses: BTreeMap<&str, &core::ContainerStatus> = status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
        .flatten()
        .map(|status| (status.name.as_str(), status))
        .collect();
    let spec = pod.spec.iter();
    spec.flat_map(|spec| {
        spec.init_containers
            .iter()
            .flatten()
            .chain(&spec.containers)
    })
    .map(|container| container_facts(container, statuses.get(container.name.as_str()).copied()))
    .collect()
}

fn container_facts(
    container: &core::Container,
    status: Option<&core::ContainerStatus>,
) -> ContainerFacts {
    let mut facts = ContainerFacts {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        ..ContainerFacts::default()
    };
    if let Some(status) = status {
        facts.image_id.clone_from(&status.image_id);
        facts.ready = status.ready;
        facts.restarts = count(Some(status.restart_count));
        facts.state = status.state.as_ref().map(state).unwrap_or_default();
        let last = status.last_state.as_ref();
        facts.last_end = last.and_then(|last| last.terminated.as_ref()).map(end);
    }
    facts
}

fn state(state: &core::ContainerState) -> ContainerState {
    if let Some(waiting) = &state.waiting {
        ContainerState::Waiting {
            reason: waiting.reason.clone().unwrap_or_default(),
            message: waiting.message.clone().unwrap_or_default(),
        }
    } else if let Some(terminated) = &state.terminated {
        ContainerState::Ended(end(terminated))
    } else if state.running.is_some() {
        ContainerState::Running
    } else {
        ContainerState::Unknown
    }
}

fn end(terminated: &core::ContainerStateTerminated) -> ContainerEnd {
    ContainerEnd {
        reason: terminated.reason.clone().unwrap_or_default(),
        exit_code: terminated.exit_code,
        message: terminated.message.clone().unwrap_or_default(),
    }
}
