//! What in a namespace uses its quota.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, ListParams};
use preview_core::names::NamespaceName;
use preview_core::objects::{Kind, ObjectName};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::error::Error;

/// What uses the quota of a namespace and does not go by itself: pods that run, and volumes.
///
/// A pod that has ended uses nothing; one that is being deleted frees what it uses when its grace is over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InUse {
    /// Pods of workloads.
    pub pods: Vec<PodInUse>,
    /// PersistentVolumeClaims: their names and specs.
    pub claims: Vec<(String, Value)>,
}

/// A pod that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct PodInUse {
    /// The workload that made it.
    pub workload: ObjectName,
    /// Its spec, with what the server filled in.
    pub spec: Value,
}

impl Cluster {
    /// What in `namespace` uses its quota; nothing where there is no such namespace.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn in_use(&self, namespace: &NamespaceName) -> Result<InUse, Error> {
        let operation = self.operation(format!("list what runs in {namespace}"));
        let params = &ListParams::default();
        let client = || self.client.clone();
        let pods: Api<Pod> = Api::namespaced(client(), namespace.as_str());
        let sets: Api<ReplicaSet> = Api::namespaced(client(), namespace.as_str());
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client(), namespace.as_str());
        let (pods, sets, claims) = futures::try_join!(
            self.list(&operation, || pods.list(params)),
            self.list(&operation, || sets.list(params)),
            self.list(&operation, || claims.list(params)),
        )?;
        let json = |spec: Result<Value, serde_json::Error>| {
            spec.map_err(|error| self.malformed(&operation, error.to_string()))
        };
        let mut in_use = InUse::default();
        for pod in pods.items {
            if let Some(workload) = workload_of(&pod.metadata, &sets.items)
                && !is_going(&pod)
            {
                let spec = json(serde_json::to_value(pod.spec))?;
                in_use.pods.push(PodInUse { workload, spec });
            }
        }
        for claim in claims.items {
            if claim.metadata.deletion_timestamp.is_none() {
                let spec = json(serde_json::to_value(claim.spec))?;
                let name = claim.metadata.name.unwrap_or_default();
                in_use.claims.push((name, spec));
            }
        }
        Ok(in_use)
    }
}

fn is_going(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    pod.metadata.deletion_timestamp.is_some() || matches!(phase, Some("Succeeded" | "Failed"))
}

/// The workload that a pod is of: its controller, or the Deployment above its ReplicaSet. None for a pod that somebody
/// made by hand.
fn workload_of(pod: &ObjectMeta, sets: &[ReplicaSet]) -> Option<ObjectName> {
    let owner = controller(pod)?;
    let owner = if owner.kind == "ReplicaSet" {
        let set = sets
            .iter()
            .find(|set| set.metadata.uid.as_deref() == Some(owner.uid.as_str()))?;
        controller(&set.metadata)?
    } else {
        owner
    };
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == owner.kind)?;
    Some(ObjectName::new(kind, owner.name.clone()))
}

fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    let owners = metadata.owner_references.iter().flatten();
    owners
        .into_iter()
        .find(|owner| owner.controller == Some(true))
}
