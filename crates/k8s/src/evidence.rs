//! What a person wants to see of a failure: the last log lines, or else what Kubernetes noted last. Whatever others wrote
//! is shown without the secrets of its namespace.

use k8s_openapi::api::core::v1::{Event, Pod, Secret};
use kube::api::{Api, ListParams, LogParams};
use preview_core::health::{Failure, FailureClass};
use preview_core::names::NamespaceName;
use preview_core::objects::{ContainerState, PodFacts};
use preview_core::redaction::Redaction;

use crate::cluster::Cluster;
use crate::error::Error;
use crate::facts::noted;

/// Log lines kept of a failing container.
const LINES: i64 = 20;
/// Bytes kept of its log: a line may be as long as its author likes.
const BYTES: i64 = 16 * 1024;
/// What the kubelet answers, with 200, in place of the log of a container that the runtime has removed.
const NO_LOG: &str = "unable to retrieve container logs for ";
/// Events kept where there is no log.
const EVENTS: usize = 10;

/// Stands in for a log that may hold secrets which we cannot know.
const UNSHOWN: &str =
    "(not shown: the Secrets of the namespace cannot be read, so their values cannot be taken out)";

impl Cluster {
    /// What must be taken out of everything that was written in `namespace` before anybody is shown it: the values of its
    /// Secrets.
    ///
    /// # Errors
    /// When they cannot be read. Then nothing that others wrote there may be shown.
    pub async fn redaction(&self, namespace: &NamespaceName) -> Result<Redaction, Error> {
        let operation = self.operation(format!("read the Secrets of {namespace}"));
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace.as_str());
        let params = ListParams::default();
        let secrets = self.list(&operation, || api.list(&params)).await?;
        let data = secrets.items.into_iter().filter_map(|secret| secret.data);
        let values: Vec<String> = data
            .flat_map(|data| data.into_values())
            .map(|value| String::from_utf8_lossy(&value.0).into_owned())
            .collect();
        Ok(Redaction::of(values.iter().map(String::as_str)))
    }

    /// The failure with what explains it, without secrets.
    pub(crate) async fn with_evidence(
        &self,
        namespace: &NamespaceName,
        mut failure: Failure,
        pods: &[PodFacts],
    ) -> Failure {
        failure.log = self.log_of(namespace, &failure, pods).await;
        if failure.log.is_empty() {
            failure.events = self.events_of(namespace, &failure).await;
        }
        match self.redaction(namespace).await {
            Ok(redaction) => failure.redacted(&redaction),
            Err(error) => {
                tracing::debug!(%error, "no log is shown");
                unshown(failure)
            }
        }
    }

    /// The last log lines of the failing container: of the previous run where it was started again, because the present
    /// one may not have said anything yet. Empty where there are none, or they cannot be read.
    async fn log_of(
        &self,
        namespace: &NamespaceName,
        failure: &Failure,
        pods: &[PodFacts],
    ) -> Vec<String> {
        let Some((pod, container)) = failure.pod.as_ref().zip(failure.container.as_ref()) else {
            return Vec::new();
        };
        let facts = pods
            .iter()
            .find(|facts| facts.name == *pod)
            .and_then(|facts| facts.containers.iter().find(|c| c.name == *container));
        let (restarted, running) = facts.map_or((false, true), |facts| {
            let has_run = !matches!(facts.state, ContainerState::Waiting { .. });
            (facts.restarts > 0, has_run)
        });
        let mut log = Vec::new();
        if restarted {
            log = self.log(namespace, pod, container, true).await;
        }
        if log.is_empty() && (running || restarted) {
            log = self.log(namespace, pod, container, false).await;
        }
        log
    }

    async fn log(
        &self,
        namespace: &NamespaceName,
        pod: &str,
        container: &str,
        previous: bool,
    ) -> Vec<String> {
        let operation = self.operation(format!("read the log of Pod/{pod} in {namespace}"));
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace.as_str());
        let params = LogParams {
            container: Some(container.to_owned()),
            previous,
            tail_lines: Some(LINES),
            limit_bytes: Some(BYTES),
            ..LogParams::default()
        };
        match self.read(&operation, || api.logs(pod, &params)).await {
            Ok(Some(text)) if text.starts_with(NO_LOG) => Vec::new(),
            Ok(text) => text
                .unwrap_or_default()
                .lines()
                .map(str::to_owned)
                .collect(),
            Err(error) => {
                tracing::debug!(%error, "no log");
                Vec::new()
            }
        }
    }

    /// What was noted last of the failing object, oldest first; where a volume is at fault, of the claims too.
    async fn events_of(&self, namespace: &NamespaceName, failure: &Failure) -> Vec<String> {
        let mut events = self.events(namespace, &of_object(failure)).await;
        if failure.class == FailureClass::Volume {
            let of_claims = "involvedObject.kind=PersistentVolumeClaim";
            events.extend(self.events(namespace, of_claims).await);
        }
        events.sort_by_key(noted);
        let older = events.len().saturating_sub(EVENTS);
        events[older..].iter().map(line).collect()
    }

    /// The newest warning that Kubernetes noted of the failing object; none where there is none, or they cannot be read.
    pub(crate) async fn last_warning(
        &self,
        namespace: &NamespaceName,
        failure: &Failure,
    ) -> Option<String> {
        let events = self.events(namespace, &of_object(failure)).await;
        let warnings = events
            .into_iter()
            .filter(|event| event.type_.as_deref() == Some("Warning"));
        let newest = warnings.max_by_key(noted)?;
        let reason = newest.reason.unwrap_or_default();
        Some(format!("{reason}: {}", newest.message.unwrap_or_default()))
    }

    /// Whether an event says that the Job completed: for Jobs that were removed right after.
    pub(crate) async fn has_completed(&self, namespace: &NamespaceName, job: &str) -> bool {
        let of_job = format!("involvedObject.kind=Job,involvedObject.name={job}");
        let events = self.events(namespace, &of_job).await;
        events
            .iter()
            .any(|event| event.reason.as_deref() == Some("Completed"))
    }

    async fn events(&self, namespace: &NamespaceName, of: &str) -> Vec<Event> {
        let operation = self.operation(format!("list events in {namespace} ({of})"));
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace.as_str());
        let params = ListParams::default().fields(of);
        match self.list(&operation, || api.list(&params)).await {
            Ok(list) => list.items,
            Err(error) => {
                tracing::debug!(%error, "no events");
                Vec::new()
            }
        }
    }
}

/// Selects the events of the object that shows the failure.
fn of_object(failure: &Failure) -> String {
    let workload = &failure.workload;
    let (kind, name) = match &failure.pod {
        Some(pod) => ("Pod", pod.as_str()),
        None => (workload.kind.as_str(), workload.name.as_str()),
    };
    format!("involvedObject.kind={kind},involvedObject.name={name}")
}

/// One event on one line, as `kubectl get events` has them: kind, reason, object, message.
fn line(event: &Event) -> String {
    let object = &event.involved_object;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    format!(
        "{} {} {}/{}: {}",
        text(&event.type_),
        text(&event.reason),
        text(&object.kind),
        text(&object.name),
        text(&event.message)
    )
}

/// The failure without anything that a container can have written.
fn unshown(failure: Failure) -> Failure {
    let by_container = !failure.log.is_empty();
    let message = match failure.class {
        // What follows the reason is a container's last words.
        FailureClass::Crash | FailureClass::OutOfMemory => {
            match failure.message.split_once("): ") {
                Some((ended, _)) => format!("{ended})"),
                None => failure.message,
            }
        }
        _ => failure.message,
    };
    Failure {
        message,
        log: by_container
            .then(|| UNSHOWN.to_owned())
            .into_iter()
            .collect(),
        ..failure
    }
}
