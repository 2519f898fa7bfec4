//! Putting what runs in a preview to sleep, and waking it.

use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use preview_core::names::NamespaceName;
use preview_core::objects::{Kind, ObjectName};
use preview_core::ownership::{Claimant, keys};
use serde_json::{Value, json};

use crate::call::{Answer, Operation};
use crate::cluster::Cluster;
use crate::error::Error;
use crate::fence::{Fenced, Round, until_settled};
use crate::prune::is_prunable;

/// Kinds that can be told to run nothing. A DaemonSet cannot.
const SLEEPERS: [Kind; 3] = [Kind::Deployment, Kind::StatefulSet, Kind::CronJob];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Asleep,
    Awake,
}

impl Cluster {
    /// Scales every workload with the owner's labels to zero and suspends its CronJobs; each notes what it was before
    /// ([`keys::AWAKE`]). Volumes stay. What sleeps already is left as it is.
    ///
    /// Each write carries the uid and resourceVersion of a list after which the fence was confirmed still the claimant's.
    ///
    /// # Errors
    /// When the cluster cannot be asked, refuses, or the Namespace is somebody else's.
    pub async fn put_to_sleep(
        &self,
        claimant: &Claimant,
        namespace: &NamespaceName,
    ) -> Result<Fenced<()>, Error> {
        let operation = self.operation(format!("put {namespace} to sleep"));
        until_settled(&operation, async || {
            self.sleep_round(&operation, claimant, namespace, Wanted::Asleep)
                .await
        })
        .await
    }

    /// Has all that was put to sleep run as it did before. What a deploy applies afterwards says how many of it are
    /// wanted; a manifest that says nothing of that has no other way to wake.
    ///
    /// # Errors
    /// As [`Self::put_to_sleep`].
    pub async fn wake(
        &self,
        claimant: &Claimant,
        namespace: &NamespaceName,
    ) -> Result<Fenced<()>, Error> {
        let operation = self.operation(format!("wake {namespace}"));
        until_settled(&operation, async || {
            self.sleep_round(&operation, claimant, namespace, Wanted::Awake)
                .await
        })
        .await
    }

    async fn sleep_round(
        &self,
        operation: &Operation,
        claimant: &Claimant,
        namespace: &NamespaceName,
        wanted: Wanted,
    ) -> Result<Round<Fenced<()>>, Error> {
        let params = ListParams::default().labels(&claimant.owner.selector());
        let mut changes: Vec<(ObjectName, Value)> = Vec::new();
        for kind in SLEEPERS {
            let api = self.api(kind, namespace);
            let list = self.list(operation, || api.list(&params)).await?;
            let own = list.items.iter().filter(|object| is_prunable(object));
            changes.extend(own.filter_map(|object| change(kind, object, wanted)));
        }
        match self.confirm(operation, claimant, namespace).await? {
            Fenced::Done(()) => {}
            lost => return Ok(Round::Settled(lost)),
        }
        for (object, change) in changes {
            let api = self.api(object.kind, namespace);
            let params = PatchParams {
                field_manager: Some(self.manager.to_owned()),
                ..PatchParams::default()
            };
            let patch = Patch::Merge(&change);
            let patched = self.call(operation, || api.patch(&object.name, &params, &patch));
            if let Answer::Conflict(reason) | Answer::Absent(reason) = patched.await? {
                return Ok(Round::Again(reason));
            }
        }
        Ok(Round::Settled(Fenced::Done(())))
    }
}

/// What makes the object sleep, or wake; none where it does already.
fn change(kind: Kind, object: &DynamicObject, wanted: Wanted) -> Option<(ObjectName, Value)> {
    let name = ObjectName::new(kind, object.metadata.name.clone()?);
    let annotations = object.metadata.annotations.as_ref();
    let noted = annotations.and_then(|annotations| annotations.get(keys::AWAKE));
    let spec = &object.data["spec"];
    let (note, spec) = match (kind, wanted) {
        (Kind::CronJob, Wanted::Asleep) => match spec["suspend"].as_bool() {
            Some(true) => return None,
            _ => (json!("running"), json!({ "suspend": true })),
        },
        (Kind::CronJob, Wanted::Awake) => {
            noted?;
            (Value::Null, json!({ "suspend": false }))
        }
        // https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#replicas: one, unless told.
        (_, Wanted::Asleep) => match spec["replicas"].as_u64().unwrap_or(1) {
            0 => return None,
            replicas => (json!(replicas.to_string()), json!({ "replicas": 0 })),
        },
        (_, Wanted::Awake) => {
            let replicas: u32 = noted?.parse().unwrap_or(1);
            (Value::Null, json!({ "replicas": replicas }))
        }
    };
    let change = json!({
        "metadata": {
            "uid": object.metadata.uid,
            "resourceVersion": object.metadata.resource_version,
            "annotations": { keys::AWAKE: note },
        },
        "spec": spec,
    });
    Some((name, change))
}
