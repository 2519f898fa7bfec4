//! When a rollout is complete, and when it is certain that it will not be.
//!
//! Failure is decided when it is certain, not at the deadline; what may still recover is waited for, each for as long as
//! that takes where it does. `docs/failures.md` has the table, and why.

use std::time::Duration;

use crate::objects::{ContainerFacts, ContainerState, Kind, ObjectName, PodFacts, WorkloadFacts};

mod class;
mod failure;
mod sign;

use sign::Sign;

pub use class::{Actor, Classified, FailureClass};
pub use failure::Failure;

/// Runs that a container may end badly before a crash loop counts as certain: the first restarts come within seconds
/// and are normal where a dependency is still starting; after the third the kubelet waits 40 s and more.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy>
pub const RESTARTS_TOLERATED: u32 = 3;

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

/// A sign of failure that may pass by itself: a failure once it has lasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// What it is if it lasts.
    pub failure: Failure,
    /// For how long it may last; without end where something is on its way that ends it.
    pub patience: Duration,
}

/// Judges one workload by its own status and its pods. What is only a [`doubt`] is still waited for.
///
/// kube's own condition for Deployments reports the *previous* rollout while the controller has not seen the new
/// spec: hence `observed_generation` first.
///
/// A rejection by the preview's own quota is waited out, even when the controller has given up: nothing is applied that
/// does not fit there, so what is in the way goes, and the controller tries again.
#[must_use]
pub fn judge(workload: &ObjectName, facts: &WorkloadFacts, pods: &[PodFacts]) -> Rollout {
    if is_seen(facts) && is_complete(workload.kind, facts) {
        return Rollout::Complete {
            ready: facts.ready,
            desired: facts.desired,
        };
    }
    let mut signs = signs(facts, pods);
    if let Some((pod, sign)) = signs.find(|(_, sign)| sign.patience.is_zero()) {
        return Rollout::Failed(failure(workload, pod, sign));
    }
    match (&facts.gave_up, is_seen(facts) && !waits_for_room(facts)) {
        (Some(message), true) => Rollout::Failed(gave_up(workload, facts, pods, message)),
        _ => Rollout::Waiting {
            ready: facts.ready.min(facts.updated),
            desired: facts.desired,
        },
    }
}

/// What makes it doubtful that an unfinished rollout will complete: of several signs the first pod's first one.
///
/// Whoever waits measures how long doubts of one class have lasted; a clock of the cluster's may go wrong.
#[must_use]
pub fn doubt(workload: &ObjectName, facts: &WorkloadFacts, pods: &[PodFacts]) -> Option<Doubt> {
    if is_seen(facts) && is_complete(workload.kind, facts) {
        return None;
    }
    let (pod, sign) = signs(facts, pods).next()?;
    let patience = sign.patience;
    Some(Doubt {
        failure: failure(workload, pod, sign),
        patience,
    })
}

/// What it means that a rollout is not complete when there is no time left: what is in doubt counts as it is, and
/// otherwise the first pod that is not ready tells what is waited for.
#[must_use]
pub fn overdue(workload: &ObjectName, facts: &WorkloadFacts, pods: &[PodFacts]) -> Failure {
    if let Some(doubt) = doubt(workload, facts, pods) {
        return doubt.failure;
    }
    let timeout = |message: String| Failure::new(FailureClass::Timeout, workload, message);
    if !is_seen(facts) {
        return timeout("its controller has not looked at the newest version yet".to_owned());
    }
    if let Some(pod) = current(pods).find(|pod| !pod.ready) {
        let container = pod
            .containers
            .iter()
            .find(|c| !c.ready && !has_succeeded(c));
        let (class, message) = pod_waits_for(pod, container);
        return Failure {
            pod: Some(pod.name.clone()),
            container: container.map(|container| container.name.clone()),
            ..Failure::new(class, workload, message)
        };
    }
    if let Some(reason) = &facts.cannot_create_pods {
        return timeout(reason.clone());
    }
    match pods.iter().find(|pod| !pod.current || pod.terminating) {
        Some(old) => Failure {
            pod: Some(old.name.clone()),
            ..timeout("a pod of the previous version is still there".to_owned())
        },
        None => timeout(format!(
            "{} of {} pods are there",
            facts.updated, facts.desired
        )),
    }
}

/// The pods of a workload, which was there before, that keep it from coming up: those that show a sign of failure, and
/// all that are not ready where its controller has given up.
///
/// Of earlier templates only a StatefulSet's, whose controller waits for each pod before it exchanges it.
pub fn stuck<'a>(
    kind: Kind,
    facts: &WorkloadFacts,
    pods: &'a [PodFacts],
) -> impl Iterator<Item = &'a PodFacts> {
    let gave_up = facts.gave_up.is_some();
    let not_ready = pods.iter().filter(|pod| !pod.ready && !pod.terminating);
    not_ready
        .filter(move |pod| pod.current || kind == Kind::StatefulSet)
        .filter(move |pod| gave_up || sign::of_pod(pod).next().is_some())
}

fn has_succeeded(container: &ContainerFacts) -> bool {
    matches!(&container.state, ContainerState::Ended(end) if end.exit_code == 0)
}

fn pod_waits_for(pod: &PodFacts, container: Option<&ContainerFacts>) -> (FailureClass, String) {
    let message = match container.map(|container| &container.state) {
        Some(ContainerState::Waiting { reason, message }) if message.is_empty() => {
            format!("waiting: {reason}")
        }
        Some(ContainerState::Waiting { reason, message }) => {
            format!("waiting: {reason}: {message}")
        }
        Some(ContainerState::Running) => {
            let running = "running and not ready";
            return match probe(pod) {
                Some(said) => (FailureClass::Probe, format!("{running}: {said}")),
                None => (FailureClass::Timeout, running.to_owned()),
            };
        }
        Some(ContainerState::Ended(end)) => {
            format!("ended with exit code {} ({})", end.exit_code, end.reason)
        }
        Some(ContainerState::Unknown) | None => "not started".to_owned(),
    };
    (FailureClass::Timeout, message)
}

/// What the kubelet said last of a probe that failed.
fn probe(pod: &PodFacts) -> Option<&str> {
    let unhealthy = pod.events.iter().find(|event| event.reason == "Unhealthy");
    unhealthy.map(|event| event.message.as_str())
}

/// Pods of the newest template.
fn current(pods: &[PodFacts]) -> impl Iterator<Item = &PodFacts> {
    pods.iter().filter(|pod| pod.current && !pod.terminating)
}

/// Everything that speaks against the rollout, with the pod that shows it.
fn signs<'a>(
    facts: &WorkloadFacts,
    pods: &'a [PodFacts],
) -> impl Iterator<Item = (Option<&'a PodFacts>, Sign)> {
    let of_pods =
        current(pods).flat_map(|pod| sign::of_pod(pod).map(move |sign| (Some(pod), sign)));
    let rejection = match is_seen(facts) && !waits_for_room(facts) {
        true => sign::of_rejection(facts),
        false => None,
    };
    of_pods.chain(rejection.map(|sign| (None, sign)))
}

fn failure(workload: &ObjectName, pod: Option<&PodFacts>, sign: Sign) -> Failure {
    Failure {
        pod: pod.map(|pod| pod.name.clone()),
        container: sign.container,
        ..Failure::new(sign.class, workload, sign.message)
    }
}

fn is_seen(facts: &WorkloadFacts) -> bool {
    facts.observed_generation >= facts.generation
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

/// The controller gave up; the pods may say why more precisely than its own message.
fn gave_up(
    workload: &ObjectName,
    facts: &WorkloadFacts,
    pods: &[PodFacts],
    message: &str,
) -> Failure {
    let pod = pods.iter().find(|pod| pod.current && !pod.ready);
    let sign = pod.and_then(|pod| sign::of_pod(pod).next());
    if let (Some(sign), None) = (sign, &facts.cannot_create_pods) {
        return failure(workload, pod, sign);
    }
    let (class, message) = if let Some(reason) = &facts.cannot_create_pods {
        (FailureClass::Quota, reason.clone())
    } else if let Some((class, message)) = pod.and_then(last_crash) {
        (class, message)
    } else if workload.kind == Kind::Job {
        (FailureClass::Crash, message.to_owned())
    } else {
        let said = pod.and_then(probe);
        let message = said.map_or_else(|| message.to_owned(), |said| format!("{said}; {message}"));
        (FailureClass::Probe, message)
    };
    let container = pod
        .and_then(|pod| pod.containers.iter().find(|c| !c.ready))
        .map(|c| c.name.clone());
    Failure {
        pod: pod.map(|pod| pod.name.clone()),
        container,
        ..Failure::new(class, workload, message)
    }
}

fn last_crash(pod: &PodFacts) -> Option<(FailureClass, String)> {
    pod.containers
        .iter()
        .find_map(|container| match (&container.state, &container.last_end) {
            (ContainerState::Ended(end), _) | (_, Some(end)) if end.exit_code != 0 => {
                Some(sign::crash(end))
            }
            _ => None,
        })
}

#[cfg(test)]
mod tests;
