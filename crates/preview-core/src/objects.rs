//! Kubernetes objects as the rules see them: what we want (manifests), and what a cluster was seen to hold (facts).
//!
//! No kube types here: a manifest is JSON with a kind we know, a fact is the few fields that a rule reads.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::names::{NamespaceName, NotA, Uid, is_host};

/// Every kind that a preview, or a production target, is made of. A kind that is not listed cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "each is Kubernetes' own name")]
pub enum Kind {
    Namespace,
    ResourceQuota,
    LimitRange,
    NetworkPolicy,
    ServiceAccount,
    ConfigMap,
    Secret,
    PersistentVolumeClaim,
    Service,
    StatefulSet,
    Deployment,
    DaemonSet,
    CronJob,
    Job,
    Ingress,
    #[serde(rename = "HTTPRoute")]
    HttpRoute,
    VolumeSnapshot,
    VolumeSnapshotContent,
}

impl Kind {
    /// All kinds, in the order in which they are declared.
    pub const ALL: [Self; 18] = [
        Self::Namespace,
        Self::ResourceQuota,
        Self::LimitRange,
        Self::NetworkPolicy,
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::Secret,
        Self::PersistentVolumeClaim,
        Self::Service,
        Self::StatefulSet,
        Self::Deployment,
        Self::DaemonSet,
        Self::CronJob,
        Self::Job,
        Self::Ingress,
        Self::HttpRoute,
        Self::VolumeSnapshot,
        Self::VolumeSnapshotContent,
    ];

    /// The `apiVersion` under which we write it.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::Namespace
            | Self::ResourceQuota
            | Self::LimitRange
            | Self::ServiceAccount
            | Self::ConfigMap
            | Self::Secret
            | Self::PersistentVolumeClaim
            | Self::Service => "v1",
            Self::StatefulSet | Self::Deployment | Self::DaemonSet => "apps/v1",
            Self::CronJob | Self::Job => "batch/v1",
            Self::Ingress | Self::NetworkPolicy => "networking.k8s.io/v1",
            Self::HttpRoute => "gateway.networking.k8s.io/v1",
            Self::VolumeSnapshot | Self::VolumeSnapshotContent => "snapshot.storage.k8s.io/v1",
        }
    }

    /// Whether its objects lie in a namespace. The others are the cluster's, under names that all previews share.
    #[must_use]
    pub const fn is_namespaced(self) -> bool {
        !matches!(self, Self::Namespace | Self::VolumeSnapshotContent)
    }

    /// Whether Kubernetes itself lacks it: a cluster serves it only where somebody installed its CustomResourceDefinition.
    #[must_use]
    pub const fn is_custom(self) -> bool {
        matches!(
            self,
            Self::HttpRoute | Self::VolumeSnapshot | Self::VolumeSnapshotContent
        )
    }

    /// Its objects as a resource of the API, which `kubectl` and RBAC name: `ingresses.networking.k8s.io`.
    #[must_use]
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Namespace => "namespaces",
            Self::ResourceQuota => "resourcequotas",
            Self::LimitRange => "limitranges",
            Self::NetworkPolicy => "networkpolicies.networking.k8s.io",
            Self::ServiceAccount => "serviceaccounts",
            Self::ConfigMap => "configmaps",
            Self::Secret => "secrets",
            Self::PersistentVolumeClaim => "persistentvolumeclaims",
            Self::Service => "services",
            Self::StatefulSet => "statefulsets.apps",
            Self::Deployment => "deployments.apps",
            Self::DaemonSet => "daemonsets.apps",
            Self::CronJob => "cronjobs.batch",
            Self::Job => "jobs.batch",
            Self::Ingress => "ingresses.networking.k8s.io",
            Self::HttpRoute => "httproutes.gateway.networking.k8s.io",
            Self::VolumeSnapshot => "volumesnapshots.snapshot.storage.k8s.io",
            Self::VolumeSnapshotContent => "volumesnapshotcontents.snapshot.storage.k8s.io",
        }
    }

    /// Kubernetes' own name of the kind.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::ResourceQuota => "ResourceQuota",
            Self::LimitRange => "LimitRange",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::ServiceAccount => "ServiceAccount",
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::Service => "Service",
            Self::StatefulSet => "StatefulSet",
            Self::Deployment => "Deployment",
            Self::DaemonSet => "DaemonSet",
            Self::CronJob => "CronJob",
            Self::Job => "Job",
            Self::Ingress => "Ingress",
            Self::HttpRoute => "HTTPRoute",
            Self::VolumeSnapshot => "VolumeSnapshot",
            Self::VolumeSnapshotContent => "VolumeSnapshotContent",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which object: its kind and its name within a namespace known from the context. Printed `Deployment/web`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ObjectName {
    /// The kind.
    pub kind: Kind,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectName {
    /// The object `name` of `kind`.
    #[must_use]
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }
}

impl FromStr for ObjectName {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Self, NotA> {
        let known = |kind: &str| Kind::ALL.into_iter().find(|known| known.as_str() == kind);
        text.split_once('/')
            .and_then(|(kind, name)| Some((known(kind)?, name)))
            .filter(|(_, name)| is_host(name))
            .map(|(kind, name)| Self::new(kind, name))
            .ok_or_else(|| {
                NotA::new(
                    text,
                    "an object of the form Kind/name, such as Deployment/web",
                )
            })
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// An object that we want: its body as it will be applied, without `metadata.namespace`, which the caller names.
///
/// Its `Debug` names the object and keeps its body to itself: a Secret may be among them.
#[derive(Clone, PartialEq, Serialize)]
pub struct Manifest {
    object: ObjectName,
    body: Value,
}

impl Manifest {
    /// An object of `kind` named `name` with `fields` (such as `spec`) beside its type and metadata.
    ///
    /// `labels` go into the metadata; annotations, where wanted, come with [`Self::annotated`].
    #[must_use]
    pub fn new(
        kind: Kind,
        name: impl Into<String>,
        labels: &BTreeMap<String, String>,
        fields: Value,
    ) -> Self {
        let object = ObjectName::new(kind, name);
        let mut body = serde_json::json!({
            "apiVersion": kind.api_version(),
            "kind": kind.as_str(),
            "metadata": { "name": object.name, "labels": labels },
        });
        if let (Value::Object(body), Value::Object(fields)) = (&mut body, fields) {
            body.extend(fields);
        }
        Self { object, body }
    }

    /// The object whose body this is. It has `metadata` with this name, and labels and annotations that are maps where
    /// there are any.
    pub(crate) fn of_body(object: ObjectName, body: Value) -> Self {
        Self { object, body }
    }

    /// The same object with these annotations in addition.
    #[must_use]
    pub fn annotated(mut self, annotations: impl IntoIterator<Item = (String, String)>) -> Self {
        for (key, value) in annotations {
            self.body["metadata"]["annotations"][key] = Value::String(value);
        }
        self
    }

    /// The same object with another value of `key` in its part `part`, such as `spec`.
    #[must_use]
    pub fn with(mut self, part: &str, key: &str, value: Value) -> Self {
        self.body[part][key] = value;
        self
    }

    /// The same object with one more label.
    #[must_use]
    pub fn labelled(mut self, key: &str, value: &str) -> Self {
        self.body["metadata"]["labels"][key] = Value::String(value.to_owned());
        self
    }

    /// The same object, to be kept by one more finalizer when it is deleted.
    #[must_use]
    pub fn finalized(mut self, finalizer: &str) -> Self {
        match &mut self.body["metadata"]["finalizers"] {
            Value::Array(finalizers) => finalizers.push(Value::String(finalizer.to_owned())),
            none => *none = serde_json::json!([finalizer]),
        }
        self
    }

    /// Which object this is.
    #[must_use]
    pub fn object(&self) -> &ObjectName {
        &self.object
    }

    /// The whole body.
    #[must_use]
    pub fn body(&self) -> &Value {
        &self.body
    }

    /// The whole body, for rules that change what is wanted before it is sent.
    pub(crate) fn body_mut(&mut self) -> &mut Value {
        &mut self.body
    }

    /// The whole body, for the one who sends it.
    #[must_use]
    pub fn into_body(self) -> Value {
        self.body
    }
}

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Manifest({})", self.object)
    }
}

/// What is known of a Namespace from one read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceFacts {
    /// Its name.
    pub name: NamespaceName,
    /// Its uid; a namespace made again under the same name has another.
    pub uid: Uid,
    /// The version that this read saw, for compare-and-set.
    pub resource_version: String,
    /// When it was created, by the API server's clock, in whole seconds.
    pub created: Timestamp,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// `metadata.finalizers`.
    pub finalizers: Vec<String>,
    /// Whether its deletion has been asked for.
    pub terminating: bool,
    /// While terminating: the messages of the conditions that say what blocks it.
    pub blockers: Vec<String>,
}

/// A workload whose pods we wait for.
pub type WorkloadName = ObjectName;

/// What is known of a Deployment, StatefulSet, DaemonSet or Job from one read of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadFacts {
    /// `metadata.generation`: counts changes of the spec.
    pub generation: i64,
    /// `status.observedGeneration`: which of those its controller has seen. Jobs have none and repeat `generation`.
    pub observed_generation: i64,
    /// Replicas wanted; for a Job its completions.
    pub desired: u32,
    /// All pods that are not terminating, old ones included.
    pub total: u32,
    /// Pods of the newest template.
    pub updated: u32,
    /// Pods that are ready.
    pub ready: u32,
    /// Pods that have been ready for `minReadySeconds`; for a Job its succeeded pods.
    pub available: u32,
    /// The message of a condition that says the controller gave up: `ProgressDeadlineExceeded`, a Job's `Failed`.
    pub gave_up: Option<String>,
    /// The message of a condition that says pods cannot be created (`ReplicaFailure`): quota or policy.
    pub cannot_create_pods: Option<String>,
}

/// What is known of a pod from one read of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFacts {
    /// Its name.
    pub name: String,
    /// Whether it belongs to the newest template of its workload.
    pub current: bool,
    /// Whether its deletion has been asked for.
    pub terminating: bool,
    /// Whether its condition `Ready` holds.
    pub ready: bool,
    /// The message of a false `PodScheduled` condition.
    pub unschedulable: Option<String>,
    /// Init containers, then containers, in the order of the spec.
    pub containers: Vec<ContainerFacts>,
    /// What was noted of it, the newest of each reason, newest first.
    pub events: Vec<EventFacts>,
}

/// Something that Kubernetes noted of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFacts {
    /// `reason`: `FailedMount`, `Unhealthy`, ….
    pub reason: String,
    /// `message`.
    pub message: String,
}

impl fmt::Display for EventFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

/// What is known of one container of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerFacts {
    /// Its name.
    pub name: String,
    /// The image as the pod's spec names it.
    pub image: String,
    /// `status.imageID` as the runtime reports it; empty until it is known.
    pub image_id: String,
    /// Whether it passes its readiness probe.
    pub ready: bool,
    /// How often it was started again.
    pub restarts: u32,
    /// What it does now.
    pub state: ContainerState,
    /// How its previous run ended.
    pub last_end: Option<ContainerEnd>,
}

/// What a container does now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ContainerState {
    /// Not reported yet.
    #[default]
    Unknown,
    /// Waiting to run, with Kubernetes' reason such as `ErrImagePull` and its message.
    Waiting {
        /// `state.waiting.reason`.
        reason: String,
        /// `state.waiting.message`.
        message: String,
    },
    /// Running.
    Running,
    /// Ended.
    Ended(ContainerEnd),
}

/// How a run of a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerEnd {
    /// `reason`: `Completed`, `Error`, `OOMKilled`, ….
    pub reason: String,
    /// Exit code.
    pub exit_code: i32,
    /// `message`, often empty.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_written_as_kubernetes_names_them() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            let name = format!("{kind}/web").parse::<ObjectName>();
            assert_eq!(name.unwrap().kind, kind);
        }
    }
}
