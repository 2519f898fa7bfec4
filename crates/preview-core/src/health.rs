//! When a rollout is complete, and when it is certain that it will not be.
//!
//! Failure is decided when it is certain, not at the deadline; what may still recover is waited for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::names::NamespaceName;
use crate::objects::{
    ContainerEnd, ContainerFacts, ContainerState, Kind, ObjectName, PodFacts, WorkloadFacts,
};

/// Runs that a container may end badly before a crash loop counts as certain: the first restarts come within seconds
/// and are normal where a dependency is still starting; after the third the kubelet waits 40 s and more.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy>
pub const RESTARTS_TOLERATED: u32 = 3;

/// What went wrong, in the words of who can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
    /// An image cannot be pulled.
    Image,
    /// A container ends by itself.
    Crash,
    /// A container used more memory than its limit.
    OutOfMemory,
    /// A container cannot be made as configured: a missing ConfigMap, Secret or key.
    Configuration,
    /// The namespace's quota or a policy keeps pods from being created.
    Quota,
    /// No node can take a pod.
    Scheduling,
    /// A container runs and never passes its readiness probe.
    Probe,
    /// The migration Job failed.
    Migration,
    /// The database does not come up.
    Database,
    /// The page does not answer as it should.
    Check,
    /// The page answers within the cluster, and what leads to it from outside does not.
    Route,
    /// The deadline came first.
    Timeout,
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "image cannot be pulled",
            Self::Crash => "container crashes",
            Self::OutOfMemory => "out of memory",
            Self::Configuration => "configuration is broken",
            Self::Quota => "quota or policy rejects pods",
            Self::Scheduling => "pod cannot be scheduled",
            Self::Probe => "never becomes ready",
            Self::Migration => "migration failed",
            Self::Database => "database does not come up",
            Self::Check => "page does not answer",
            Self::Route => "route does not lead to the page",
            Self::Timeout => "deadline exceeded",
        })
    }
}

/// Who can do something about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// Whoever wrote the change: the code is at fault.
    Author,
    /// Whoever runs the cluster and its configuration: another change would fail alike.
    Operator,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Author => "author",
            Self::Operator => "operator",
        })
    }
}

impl FailureClass {
    /// What stands above [`Failure::log`] where people read it.
    #[must_use]
    pub const fn log_heading(self) -> &'static str {
        match self {
            Self::Check | Self::Route => "What it answered begins:",
            _ => "The last lines it printed:",
        }
    }

    /// Who has to act.
    ///
    /// An image is the operator's: before it is deployed the registry was seen to have all of it, so it is the node
    /// that cannot pull. Configuration is too: it comes from the base branch.
    #[must_use]
    pub const fn actor(self) -> Actor {
        match self {
            Self::Crash | Self::OutOfMemory | Self::Probe | Self::Migration | Self::Check => {
                Actor::Author
            }
            Self::Image
            | Self::Configuration
            | Self::Quota
            | Self::Scheduling
            | Self::Database
            | Self::Route
            | Self::Timeout => Actor::Operator,
        }
    }
}

/// A failure that is certain, with the object that shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub class: FailureClass,
    /// The workload that did not come up.
    pub workload: ObjectName,
    /// The pod, where one shows the failure.
    pub pod: Option<String>,
    /// The container within the pod.
    pub container: Option<String>,
    /// What Kubernetes said, or how the container ended.
    pub message: String,
    /// The last lines the container printed, oldest first; filled in by whoever can read logs. Of a page that answers
    /// with something else, the first lines of that.
    #[serde(default)]
    pub log: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.workload, self.class)?;
        if let Some(pod) = &self.pod {
            write!(f, " (pod {pod}")?;
            if let Some(container) = &self.container {
                write!(f, ", container {container}")?;
            }
            f.write_str(")")?;
        }
        if self.message.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.message)
        }
    }
}

impl Failure {
    /// The command that shows more of it.
    #[must_use]
    pub fn next_command(&self, namespace: &NamespaceName) -> String {
        let kubectl = format!("kubectl -n {namespace}");
        let workload = &self.workload;
        match (self.class, &self.pod) {
            (FailureClass::Quota, _) => format!("{kubectl} describe resourcequota,limitrange"),
            (FailureClass::Timeout, None) => {
                format!("{kubectl} get pods,events --sort-by=.metadata.creationTimestamp")
            }
            (
                FailureClass::Image
                | FailureClass::Configuration
                | FailureClass::Scheduling
                | FailureClass::Timeout,
                Some(pod),
            ) => format!("{kubectl} describe pod {pod}"),
            (FailureClass::Crash | FailureClass::OutOfMemory, Some(pod))
                if workload.kind != Kind::Job =>
            {
                format!("{kubectl} logs {pod}{} --previous", self.of_container())
            }
            (_, Some(pod)) => format!("{kubectl} logs {pod}{}", self.of_container()),
            (FailureClass::Migration | FailureClass::Check, None) => {
                format!("{kubectl} logs {workload} --all-containers")
            }
            (_, None) => format!("{kubectl} describe {workload}"),
        }
    }

    fn of_container(&self) -> String {
        let container = self.container.as_ref();
        container.map_or_else(String::new, |container| format!(" -c {container}"))
    }
}

/// How far a rollout is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rollout {
    /// Not there yet, and nothing says that it will not be.
    Waiting {
        /// Pods of the newest template that are ready.
        ready: u32,
        /// Pods wanted.
        desired: u32,
    },
    /// Every replica is of the newest template and available, and no older one is left.
    Complete {
        /// Pods that are ready.
        ready: u32,
        /// Pods wanted.
        desired: u32,
    },
    /// It will not come up.
    Failed(Failure),
}

/// Judges one workload by its own status and its pods.
///
/// kube's own condition for Deployments reports the *previous* rollout while the controller has not seen the new
/// spec: hence `observed_generation` first.
///
/// A rejection by the preview's own quota is waited out, even when the controller has given up: nothing is applied that
/// does not fit there, so what is in the way goes, and the controller tries again.
#[must_use]
pub fn judge(workload: &ObjectName, facts: &WorkloadFacts, pods: &[PodFacts]) -> Rollout {
    let seen = facts.observed_generation >= facts.generation;
    if seen && is_complete(workload.kind, facts) {
        return Rollout::Complete {
            ready: facts.ready,
            desired: facts.desired,
        };
    }
    let mut current = pods.iter().filter(|pod| pod.current && !pod.terminating);
    if let Some(failure) = current.find_map(|pod| pod_failure(workload, pod)) {
        return Rollout::Failed(failure);
    }
    match (&facts.gave_up, seen && !waits_for_room(facts)) {
        (Some(message), true) => Rollout::Failed(gave_up(workload, facts, pods, message)),
        _ => Rollout::Waiting {
            ready: facts.ready.min(facts.updated),
            desired: facts.desired,
        },
    }
}

/// Whether the preview's own quota keeps pods of the workload from being created.
#[must_use]
pub fn waits_for_room(facts: &WorkloadFacts) -> bool {
    let rejection = facts.cannot_create_pods.as_deref();
    rejection.is_some_and(is_rejection_by_own_quota)
}

/// Whether Kubernetes says this of pods that the preview's own quota has no room for.
/// <https://kubernetes.io/docs/concepts/policy/resource-quotas/#how-kubernetes-resourcequotas-work>
fn is_rejection_by_own_quota(message: &str) -> bool {
    message.contains(&format!("exceeded quota: {},", crate::quota::NAME))
}

/// Whether Kubernetes says this of pods that any quota or policy forbids: it is an admission that refused them.
#[must_use]
pub fn is_rejection(message: &str) -> bool {
    message.contains(" is forbidden: ")
}

fn is_complete(kind: Kind, facts: &WorkloadFacts) -> bool {
    if kind == Kind::Job {
        return facts.available >= facts.desired;
    }
    facts.updated >= facts.desired
        && facts.available >= facts.desired
        && facts.total <= facts.updated
}

/// A failure that its pod alone makes certain.
fn pod_failure(workload: &ObjectName, pod: &PodFacts) -> Option<Failure> {
    pod.containers.iter().find_map(|container| {
        let (class, message) = container_failure(container)?;
        Some(Failure {
            class,
            workload: workload.clone(),
            pod: Some(pod.name.clone()),
            container: Some(container.name.clone()),
            message,
            log: Vec::new(),
        })
    })
}

fn container_failure(container: &ContainerFacts) -> Option<(FailureClass, String)> {
    let ContainerState::Waiting { reason, message } = &container.state else {
        return None;
    };
    match reason.as_str() {
        // The first ErrImagePull may be a hiccup; the kubelet has tried again before it backs off. What the registry
        // says it does not have will not appear by waiting.
        "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
            Some((FailureClass::Image, image_message(container, message)))
        }
        "ErrImagePull" if message.contains("not found") || message.contains("manifest unknown") => {
            Some((FailureClass::Image, image_message(container, message)))
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Some((FailureClass::Configuration, message.clone()))
        }
        "CrashLoopBackOff" if container.restarts >= RESTARTS_TOLERATED => Some(
            container
                .last_end
                .as_ref()
                .map_or((FailureClass::Crash, message.clone()), crash),
        ),
        _ => None,
    }
}

fn image_message(container: &ContainerFacts, message: &str) -> String {
    if message.contains(&container.image) {
        message.to_owned()
    } else {
        format!("{}: {message}", container.image)
    }
}

fn crash(end: &ContainerEnd) -> (FailureClass, String) {
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

/// The controller gave up; the pods may say why more precisely than its own message.
fn gave_up(
    workload: &ObjectName,
    facts: &WorkloadFacts,
    pods: &[PodFacts],
    message: &str,
) -> Failure {
    let pod = pods.iter().find(|pod| pod.current && !pod.ready);
    let (class, message) = if let Some(reason) = &facts.cannot_create_pods {
        (FailureClass::Quota, reason.clone())
    } else if let Some(reason) = pod.and_then(|pod| pod.unschedulable.as_ref()) {
        (FailureClass::Scheduling, reason.clone())
    } else if let Some((class, message)) = pod.and_then(last_crash) {
        (class, message)
    } else if workload.kind == Kind::Job {
        (FailureClass::Crash, message.to_owned())
    } else {
        (FailureClass::Probe, message.to_owned())
    };
    let container = pod
        .and_then(|pod| pod.containers.iter().find(|c| !c.ready))
        .map(|c| c.name.clone());
    Failure {
        class,
        workload: workload.clone(),
        pod: pod.map(|pod| pod.name.clone()),
        container,
        message,
        log: Vec::new(),
    }
}

fn last_crash(pod: &PodFacts) -> Option<(FailureClass, String)> {
    pod.containers
        .iter()
        .find_map(|container| match (&container.state, &container.last_end) {
            (ContainerState::Ended(end), _) | (_, Some(end)) if end.exit_code != 0 => {
                Some(crash(end))
            }
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> ObjectName {
        ObjectName::new(Kind::Deployment, "web")
    }

    fn complete() -> WorkloadFacts {
        WorkloadFacts {
            generation: 2,
            observed_generation: 2,
            desired: 2,
            total: 2,
            updated: 2,
            ready: 2,
            available: 2,
            ..WorkloadFacts::default()
        }
    }

    fn pod_waiting(reason: &str, message: &str, restarts: u32) -> PodFacts {
        PodFacts {
            name: "web-1".into(),
            current: true,
            containers: vec![ContainerFacts {
                name: "web".into(),
                image: "ghcr.io/acme/web@sha256:1".into(),
                restarts,
                state: ContainerState::Waiting {
                    reason: reason.into(),
                    message: message.into(),
                },
                last_end: (restarts > 0).then(|| ContainerEnd {
                    reason: "Error".into(),
                    exit_code: 3,
                    message: String::new(),
                }),
                ..ContainerFacts::default()
            }],
            ..PodFacts::default()
        }
    }

    #[test]
    fn a_rollout_is_complete_only_when_its_controller_saw_the_newest_spec_and_no_old_pod_is_left() {
        let waiting =
            |facts: WorkloadFacts| matches!(judge(&web(), &facts, &[]), Rollout::Waiting { .. });
        assert!(matches!(
            judge(&web(), &complete(), &[]),
            Rollout::Complete {
                ready: 2,
                desired: 2
            }
        ));
        assert!(waiting(WorkloadFacts {
            observed_generation: 1,
            ..complete()
        }));
        assert!(waiting(WorkloadFacts {
            total: 3,
            ..complete()
        }));
        assert!(waiting(WorkloadFacts {
            available: 1,
            ..complete()
        }));
        assert!(waiting(WorkloadFacts {
            updated: 1,
            ..complete()
        }));
    }

    #[test]
    fn failure_is_decided_when_it_is_certain() {
        let unfinished = WorkloadFacts {
            available: 0,
            ready: 0,
            ..complete()
        };
        let class = |pod: PodFacts| match judge(&web(), &unfinished, &[pod]) {
            Rollout::Failed(failure) => Some(failure.class),
            _ => None,
        };
        assert_eq!(
            class(pod_waiting("ImagePullBackOff", "not found", 0)),
            Some(FailureClass::Image)
        );
        assert_eq!(
            class(pod_waiting("ErrImagePull", "connection reset", 0)),
            None
        );
        assert_eq!(
            class(pod_waiting("ErrImagePull", "…: not found", 0)),
            Some(FailureClass::Image)
        );
        assert_eq!(class(pod_waiting("CrashLoopBackOff", "back-off", 1)), None);
        assert_eq!(
            class(pod_waiting("CrashLoopBackOff", "back-off", 3)),
            Some(FailureClass::Crash)
        );
        assert_eq!(class(pod_waiting("ContainerCreating", "", 0)), None);
        assert_eq!(
            class(pod_waiting(
                "CreateContainerConfigError",
                "secret \"x\" not found",
                0
            )),
            Some(FailureClass::Configuration)
        );
    }

    #[test]
    fn a_pod_of_the_previous_template_fails_nothing() {
        let mut old = pod_waiting("ImagePullBackOff", "not found", 0);
        old.current = false;
        let unfinished = WorkloadFacts {
            available: 1,
            ..complete()
        };
        assert!(matches!(
            judge(&web(), &unfinished, &[old]),
            Rollout::Waiting { .. }
        ));
    }

    #[test]
    fn a_rejection_by_the_previews_own_quota_is_waited_out() {
        let rejected = |by: &str| WorkloadFacts {
            available: 1,
            updated: 1,
            gave_up: Some("ReplicaSet \"web-1\" has timed out progressing.".into()),
            cannot_create_pods: Some(format!(
                "pods \"web-1-x\" is forbidden: {by} requested: limits.cpu=500m, used: limits.cpu=4, limited: limits.cpu=4"
            )),
            ..complete()
        };
        let verdict = |by: &str| judge(&web(), &rejected(by), &[]);
        assert_eq!(
            verdict("exceeded quota: preview,"),
            Rollout::Waiting {
                ready: 1,
                desired: 2
            }
        );
        for other in [
            "exceeded quota: teams,",
            "failed quota: preview: must specify",
        ] {
            let Rollout::Failed(failure) = verdict(other) else {
                panic!("{other} passes by itself")
            };
            assert_eq!(failure.class, FailureClass::Quota);
        }
    }

    #[test]
    fn a_failure_names_workload_pod_container_and_cause() {
        let unfinished = WorkloadFacts {
            available: 0,
            ..complete()
        };
        let Rollout::Failed(failure) = judge(
            &web(),
            &unfinished,
            &[pod_waiting("CrashLoopBackOff", "back-off 40s", 3)],
        ) else {
            panic!("it does not fail")
        };
        insta::assert_snapshot!(failure, @"Deployment/web: container crashes (pod web-1, container web): ended with exit code 3 (Error)");
    }

    #[test]
    fn the_next_command_shows_more_of_the_failure() {
        use FailureClass as Class;
        let command = |class, kind, pod: Option<&str>| {
            let failure = Failure {
                class,
                workload: ObjectName::new(kind, "web"),
                pod: pod.map(str::to_owned),
                container: pod.map(|_| "main".to_owned()),
                message: String::new(),
                log: Vec::new(),
            };
            failure.next_command(&"preview-pr-7".parse().unwrap())
        };
        let table = [
            (
                Class::Image,
                Kind::Deployment,
                Some("web-1"),
                "describe pod web-1",
            ),
            (
                Class::Crash,
                Kind::Deployment,
                Some("web-1"),
                "logs web-1 -c main --previous",
            ),
            (Class::Crash, Kind::Job, Some("web-1"), "logs web-1 -c main"),
            (
                Class::Migration,
                Kind::Job,
                None,
                "logs Job/web --all-containers",
            ),
            (
                Class::Probe,
                Kind::Deployment,
                Some("web-1"),
                "logs web-1 -c main",
            ),
            (
                Class::Probe,
                Kind::Deployment,
                None,
                "describe Deployment/web",
            ),
            (
                Class::Quota,
                Kind::Deployment,
                Some("web-1"),
                "describe resourcequota,limitrange",
            ),
        ];
        for (class, kind, pod, expected) in table {
            assert_eq!(
                command(class, kind, pod),
                format!("kubectl -n preview-pr-7 {expected}")
            );
        }
    }
}
