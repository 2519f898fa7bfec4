//! What a person wants to see of a failure: the last log lines, and what Kubernetes last warned of.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, LogParams};
use preview_core::health::Failure;
use preview_core::names::NamespaceName;
use preview_core::objects::{ContainerState, PodFacts};

use crate::cluster::Cluster;

/// Log lines kept of a failing container.
const LINES: i64 = 20;
/// Bytes kept of its log: a line may be as long as its author likes.
const BYTES: i64 = 16 * 1024;

impl Cluster {
    /// The failure with the last log lines of its container: of the previous run where it was started again, because
    /// the present one may not have said anything yet. Empty where there are none, or they cannot be read.
    pub(crate) async fn with_log(
        &self,
        namespace: &NamespaceName,
        mut failure: Failure,
        pods: &[PodFacts],
    ) -> Failure {
        let Some((pod, container)) = failure.pod.clone().zip(failure.container.clone()) else {
            return failure;
        };
        let facts = pods
            .iter()
            .find(|facts| facts.name == pod)
            .and_then(|facts| facts.containers.iter().find(|c| c.name == container));
        let (restarted, running) = facts.map_or((false, true), |facts| {
            let has_run = !matches!(facts.state, ContainerState::Waiting { .. });
            (facts.restarts > 0, has_run)
        });
        if restarted {
            failure.log = self.log(namespace, &pod, &container, true).await;
        }
        if failure.log.is_empty() && (running || restarted) {
            failure.log = self.log(namespace, &pod, &container, false).await;
        }
        failure
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

    /// The newest warning that Kubernetes recorded of an object; none where there is none, or they cannot be read.
    pub(crate) async fn last_warning(
        &self,
        namespace: &NamespaceName,
        kind: &str,
        name: &str,
    ) -> Option<String> {
        let events = self.events(namespace, kind, name).await;
        let warning = events
            .into_iter()
            .filter(|event| event.type_.as_deref() == Some("Warning"));
        let newest =
            warning.max_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0))?;
        let reason = newest.reason.unwrap_or_default();
        Some(format!("{reason}: {}", newest.message.unwrap_or_default()))
    }

    /// Whether an event says that the Job completed: for Jobs that were removed right after.
    pub(crate) async fn has_completed(&self, namespace: &NamespaceName, job: &str) -> bool {
        let events = self.events(namespace, "Job", job).await;
        events
            .iter()
            .any(|event| event.reason.as_deref() == Some("Completed"))
    }

    async fn events(&self, namespace: &NamespaceName, kind: &str, name: &str) -> Vec<Event> {
        let operation = self.operation(format!("list events of {kind}/{name} in {namespace}"));
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace.as_str());
        let fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
        let params = ListParams::default().fields(&fields);
        match self.list(&operation, || api.list(&params)).await {
            Ok(list) => list.items,
            Err(error) => {
                tracing::debug!(%error, "no events");
                Vec::new()
            }
        }
    }
}
