//! Signs of failure in a pod: some are certain at once, others count only when they last.
//!
//! The table in `docs/failures.md` says the same to people; a rule that changes here changes there.

use std::time::Duration;

use super::{FailureClass, RESTARTS_TOLERATED};
use crate::objects::{
    ContainerEnd, ContainerFacts, ContainerState, EventFacts, PodFacts, WorkloadFacts,
};

/// Pulls that fail for a reason that may pass are tried again after 10, 20, 40, 80, 160 and then 300 seconds. This is
/// after the fifth try; the sixth would come more than five minutes after the first, when the preview should long be
/// there. <https://kubernetes.io/docs/concepts/containers/images/#imagepullbackoff>
const PULLS: Duration = Duration::from_secs(150);

/// How long a pod may be without a node: pods on their way out free theirs within their 30 seconds of grace, and an
/// autoscaler that will make a node looks every 10 seconds and says so.
const NODE: Duration = Duration::from_secs(60);

/// How long a volume may take to be provided, attached and mounted.
const VOLUME: Duration = Duration::from_secs(120);

/// How long the kubelet may take to get at what it needs: it tries again every few seconds.
const NODES_OWN: Duration = Duration::from_secs(60);

/// Reasons of events by which autoscalers say that they make a node for a pod: then it is waited for.
/// <https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md#what-events-are-emitted-by-ca>,
/// <https://karpenter.sh/docs/troubleshooting/>
const NODE_COMES: [&str; 2] = ["TriggeredScaleUp", "Nominated"];

/// What containerd and CRI-O say of an image that no waiting brings: it is not there, or not for us.
const NO_IMAGE: [&str; 9] = [
    "not found",
    "manifest unknown",
    "name unknown",
    "unauthorized",
    "401 Unauthorized",
    "403 Forbidden",
    "denied",
    "authentication required",
    "certificate signed by unknown authority",
];

/// What runtimes say of a command that the image does not have, or that does not run there.
const NO_COMMAND: [&str; 4] = [
    "executable file not found",
    "no such file or directory",
    "permission denied",
    "exec format error",
];

/// A sign of failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sign {
    pub(super) class: FailureClass,
    pub(super) message: String,
    /// The container that shows it, where one does.
    pub(super) container: Option<String>,
    /// For how long it may pass by itself; nothing where it is certain.
    pub(super) patience: Duration,
}

impl Sign {
    fn certain(class: FailureClass, message: impl Into<String>) -> Self {
        Self::unless_within(Duration::ZERO, class, message)
    }

    fn unless_within(patience: Duration, class: FailureClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            container: None,
            patience,
        }
    }
}

/// The signs that a pod shows, first those of the pod itself.
pub(super) fn of_pod(pod: &PodFacts) -> impl Iterator<Item = Sign> {
    let containers = pod.containers.iter().filter_map(|container| {
        let sign = of_container(container)?;
        Some(Sign {
            container: Some(container.name.clone()),
            ..sign
        })
    });
    without_node(pod)
        .or_else(|| not_set_up(pod))
        .into_iter()
        .chain(containers)
}

/// The sign that pods cannot be created; none where the preview's own quota has no room, which passes.
pub(super) fn of_rejection(facts: &WorkloadFacts) -> Option<Sign> {
    let message = facts.cannot_create_pods.as_ref()?;
    // An admission by rule says the same each time; a quota may get room, and a webhook come back.
    let by_rule = ["violates PodSecurity", "denied the request", "failed quota"];
    let by_rule = by_rule.iter().any(|words| message.contains(words));
    let by_quota = message.contains("exceeded quota");
    (by_rule || by_quota).then(|| {
        let patience = if by_rule { Duration::ZERO } else { NODES_OWN };
        Sign::unless_within(patience, FailureClass::Quota, message)
    })
}

fn without_node(pod: &PodFacts) -> Option<Sign> {
    let message = pod.unschedulable.as_ref()?;
    if message.to_lowercase().contains("persistentvolumeclaim") {
        return Some(Sign::unless_within(VOLUME, FailureClass::Volume, message));
    }
    let comes = |event: &EventFacts| NODE_COMES.contains(&event.reason.as_str());
    let patience = match pod.events.iter().any(comes) {
        true => Duration::MAX,
        false => NODE,
    };
    Some(Sign::unless_within(
        patience,
        FailureClass::Scheduling,
        message,
    ))
}

/// What keeps the node from beginning with the containers: only events tell.
fn not_set_up(pod: &PodFacts) -> Option<Sign> {
    let untouched = |container: &ContainerFacts| match &container.state {
        ContainerState::Waiting { reason, .. } => {
            matches!(reason.as_str(), "ContainerCreating" | "PodInitializing")
        }
        _ => false,
    };
    if pod.containers.is_empty() || !pod.containers.iter().all(untouched) {
        return None;
    }
    pod.events.iter().find_map(|event| {
        let message = event.message.as_str();
        match event.reason.as_str() {
            // It is applied before what mounts it, so it will not come.
            "FailedMount" if is_missing_source(message) => {
                Some(Sign::certain(FailureClass::Configuration, message))
            }
            "FailedMount" | "FailedAttachVolume" | "FailedMapVolume" => {
                Some(Sign::unless_within(VOLUME, FailureClass::Volume, message))
            }
            "FailedCreatePodSandBox" => Some(Sign::unless_within(
                NODES_OWN,
                FailureClass::Cluster,
                message,
            )),
            _ => None,
        }
    })
}

/// Whether a volume is made of a ConfigMap, a Secret or a key that is not there.
fn is_missing_source(message: &str) -> bool {
    let of_source = message.contains("configmap \"") || message.contains("secret \"");
    of_source && message.contains("not found")
        || message.contains("references non-existent config key")
        || message.contains("references non-existent secret key")
}

fn of_container(container: &ContainerFacts) -> Option<Sign> {
    let ContainerState::Waiting { reason, message } = &container.state else {
        return None;
    };
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    match reason.as_str() {
        "InvalidImageName" | "ErrImageNeverPull" | "SignatureValidationFailed" => Some(
            Sign::certain(FailureClass::Image, of_image(container, message)),
        ),
        "ErrImagePull" | "ImagePullBackOff" | "RegistryUnavailable" => {
            let patience = if says(&NO_IMAGE) {
                Duration::ZERO
            } else {
                PULLS
            };
            let message = of_image(container, message);
            Some(Sign::unless_within(patience, FailureClass::Image, message))
        }
        // The kubelet could not read it yet, and does not say that it is not there.
        "CreateContainerConfigError" if says(&["failed to sync", "timed out"]) => Some(
            Sign::unless_within(NODES_OWN, FailureClass::Configuration, message),
        ),
        "CreateContainerConfigError" => Some(Sign::certain(FailureClass::Configuration, message)),
        "RunContainerError" | "CreateContainerError" if says(&NO_COMMAND) => {
            Some(Sign::certain(FailureClass::Crash, message))
        }
        "RunContainerError" | "CreateContainerError" => Some(Sign::unless_within(
            NODES_OWN,
            FailureClass::Configuration,
            message,
        )),
        "CrashLoopBackOff" if container.restarts >= RESTARTS_TOLERATED => {
            let (class, message) = container
                .last_end
                .as_ref()
                .map_or((FailureClass::Crash, message.clone()), crash);
            Some(Sign::certain(class, message))
        }
        _ => None,
    }
}

fn of_image(container: &ContainerFacts, message: &str) -> String {
    if message.contains(&container.image) {
        message.to_owned()
    } else {
        format!("{}: {message}", container.image)
    }
}

/// What the bad end of a container is called.
pub(super) fn crash(end: &ContainerEnd) -> (FailureClass, String) {
    let class = if end.reason == "OOMKilled" {
        FailureClass::OutOfMemory
    } else {
        FailureClass::Crash
    };
    let mut message = format!("ended with exit code {} ({})", end.exit_code, end.reason);
    if !end.message.is_empty() {
        message = format!("{message}: {}", end.message);
    }
    (class, message)
}
