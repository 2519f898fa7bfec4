//! Pods from before that keep a workload from coming up.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams};
use preview_core::health::stuck;
use preview_core::names::NamespaceName;
use preview_core::objects::{Kind, ObjectName};
use preview_core::ownership::Claimant;

use crate::call::Operation;
use crate::cluster::Cluster;
use crate::error::Error;
use crate::fence::{Fenced, Round, until_settled};

impl Cluster {
    /// Deletes the pods that keep `workloads`, which were there before, from coming up; gives their names. Their
    /// controllers make new ones at once.
    ///
    /// What was in their way may be gone by now, and the kubelet tries later and later. A StatefulSet's pod even has to
    /// go before the one of a newer template comes.
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback>
    ///
    /// Each delete carries the uid and resourceVersion of a list after which the fence was confirmed still ours.
    ///
    /// # Errors
    /// When the cluster cannot be asked, refuses, the Namespace is somebody else's, or a controller does not look at its
    /// newest version.
    pub async fn remove_stuck_pods(
        &self,
        claimant: &Claimant,
        namespace: &NamespaceName,
        workloads: &[ObjectName],
    ) -> Result<Fenced<BTreeSet<String>>, Error> {
        let operation = self.operation(format!("remove the pods that are stuck in {namespace}"));
        let mut removed = BTreeSet::new();
        let settled = until_settled(&operation, async || {
            self.removal_of_stuck(&operation, claimant, namespace, workloads, &mut removed)
                .await
        });
        Ok(settled.await?.map(|()| removed))
    }

    async fn removal_of_stuck(
        &self,
        operation: &Operation,
        claimant: &Claimant,
        namespace: &NamespaceName,
        workloads: &[ObjectName],
        removed: &mut BTreeSet<String>,
    ) -> Result<Round<Fenced<()>>, Error> {
        let kinds: BTreeSet<Kind> = workloads.iter().map(|workload| workload.kind).collect();
        let world = self.world_now(operation, namespace, &kinds).await?;
        let mut condemned = Vec::new();
        for workload in workloads {
            let Some((facts, pods)) = world.workload(workload) else {
                continue;
            };
            if facts.observed_generation < facts.generation {
                let reason = format!("the controller of {workload} has not looked at it yet");
                return Ok(Round::Again(reason));
            }
            let stuck = stuck(workload.kind, &facts, &pods);
            condemned.extend(stuck.filter_map(|pod| world.pod(&pod.name)));
        }
        match self.confirm(operation, claimant, namespace).await? {
            Fenced::Done(()) => {}
            lost => return Ok(Round::Settled(lost)),
        }
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace.as_str());
        for pod in condemned {
            let deleted =
                self.delete_as_read(operation, &api, &pod.metadata, DeleteParams::default());
            if let Some(reason) = deleted.await? {
                return Ok(Round::Again(reason));
            }
            removed.extend(pod.metadata.name.clone());
        }
        Ok(Round::Settled(Fenced::Done(())))
    }
}
