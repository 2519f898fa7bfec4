//! Removing single objects, and waiting until they are gone.

use futures::StreamExt as _;
use kube::api::{DynamicObject, ResourceExt as _};
use kube::runtime::watcher::{Config, Event};
use preview_core::names::NamespaceName;
use preview_core::objects::{Kind, ObjectName};
use preview_core::ownership::Claimant;
use serde_json::Value;
use tokio::time::Instant;

use crate::call::Operation;
use crate::cluster::Cluster;
use crate::contents;
use crate::error::Error;
use crate::facts::job_facts;
use crate::fence::{Fenced, Round, until_settled};
use crate::watch::{Failure, Hiccup, watch};

impl Cluster {
    /// Deletes `objects`, one after the other, with everything that they own, and waits until all of them are gone; gives
    /// those that were there.
    ///
    /// Each delete carries the uid and resourceVersion of a read after which the fence was confirmed still ours. What
    /// nobody of us made, such as the claim of a StatefulSet's volume, is deleted too where it is named.
    ///
    /// # Errors
    /// When the cluster cannot be asked, refuses, the Namespace or an object in none is somebody else's, the end of a
    /// VolumeSnapshotContent would be the end of the golden snapshot, or something is still there at the deadline: it is
    /// named with the finalizers that hold it.
    pub async fn remove(
        &self,
        claimant: &Claimant,
        namespace: &NamespaceName,
        objects: &[ObjectName],
        deadline: std::time::Instant,
    ) -> Result<Fenced<Vec<ObjectName>>, Error> {
        self.remove_those(claimant, namespace, objects, |_| true, deadline)
            .await
    }

    /// Deletes those of the Jobs `jobs` that have failed, and waits until they are gone, so that they can be made again
    /// under the same names; gives those that had failed.
    ///
    /// # Errors
    /// As [`Self::remove`].
    pub async fn remove_failed_jobs(
        &self,
        claimant: &Claimant,
        namespace: &NamespaceName,
        jobs: &[ObjectName],
        deadline: std::time::Instant,
    ) -> Result<Fenced<Vec<ObjectName>>, Error> {
        self.remove_those(claimant, namespace, jobs, has_failed, deadline)
            .await
    }

    /// Deletes those of `objects` that are there and `unwanted`, and waits until they are gone.
    async fn remove_those(
        &self,
        claimant: &Claimant,
        namespace: &NamespaceName,
        objects: &[ObjectName],
        unwanted: fn(&DynamicObject) -> bool,
        deadline: std::time::Instant,
    ) -> Result<Fenced<Vec<ObjectName>>, Error> {
        let mut condemned = Vec::new();
        for object in objects {
            let round = self.condemn_object(claimant, namespace, object, unwanted);
            match round.await? {
                Fenced::Done(Some(read)) => condemned.push((object.clone(), *read)),
                Fenced::Done(None) => {}
                Fenced::Superseded { by } => return Ok(Fenced::Superseded { by }),
                Fenced::Gone => return Ok(Fenced::Gone),
            }
        }
        self.all_gone(namespace, condemned, deadline).await
    }

    /// Asks for the deletion of the object where it is there and `unwanted`; as it was read then.
    async fn condemn_object(
        &self,
        claimant: &Claimant,
        namespace: &NamespaceName,
        object: &ObjectName,
        unwanted: fn(&DynamicObject) -> bool,
    ) -> Result<Fenced<Option<Box<DynamicObject>>>, Error> {
        let operation = self.operation(format!("remove {object} from {namespace}"));
        until_settled(&operation, async || {
            self.removal(&operation, claimant, namespace, object, unwanted)
                .await
        })
        .await
    }

    /// Settled with the object, as it was read, when it is on its way out, and with none where it was not there.
    async fn removal(
        &self,
        operation: &Operation,
        claimant: &Claimant,
        namespace: &NamespaceName,
        object: &ObjectName,
        unwanted: fn(&DynamicObject) -> bool,
    ) -> Result<Round<Fenced<Option<Box<DynamicObject>>>>, Error> {
        let api = self.api(object.kind, namespace);
        let read = self.read(operation, || api.get(&object.name)).await?;
        let Some(read) = read.filter(unwanted) else {
            return Ok(Round::Settled(Fenced::Done(None)));
        };
        match self.confirm(operation, claimant, namespace).await? {
            Fenced::Done(()) => {}
            Fenced::Superseded { by } => return Ok(Round::Settled(Fenced::Superseded { by })),
            Fenced::Gone => return Ok(Round::Settled(Fenced::Gone)),
        }
        contents::check(operation, &claimant.owner, namespace, object, &read)?;
        contents::check_deletion(operation, object, &read)?;
        if read.metadata.deletion_timestamp.is_none()
            && let Some(reason) = self.delete(operation, namespace, object, &read).await?
        {
            return Ok(Round::Again(reason));
        }
        Ok(Round::Settled(Fenced::Done(Some(Box::new(read)))))
    }

    async fn all_gone(
        &self,
        namespace: &NamespaceName,
        condemned: Vec<(ObjectName, DynamicObject)>,
        deadline: std::time::Instant,
    ) -> Result<Fenced<Vec<ObjectName>>, Error> {
        let deadline = Instant::from_std(deadline);
        let mut gone = Vec::new();
        for (object, read) in condemned {
            self.gone(namespace, &object, &read, deadline).await?;
            gone.push(object);
        }
        Ok(Fenced::Done(gone))
    }

    /// Watches until what was read is gone.
    async fn gone(
        &self,
        namespace: &NamespaceName,
        object: &ObjectName,
        read: &DynamicObject,
        deadline: Instant,
    ) -> Result<(), Error> {
        let operation = self.operation(format!("remove {object} from {namespace}"));
        let this = Config::default().fields(&format!("metadata.name={}", object.name));
        let mut events = watch(self.api(object.kind, namespace), this);
        // Kubernetes lists nothing where nothing is left.
        let mut listed = false;
        let mut last = read.clone();
        loop {
            let next = tokio::time::timeout_at(deadline, events.next()).await;
            let is_it = |seen: &DynamicObject| seen.uid() == read.uid();
            match next {
                Err(_) => return Err(still_there(&operation, object, &last)),
                Ok(Some(Ok(Event::Init))) => listed = false,
                Ok(Some(Ok(Event::InitApply(seen) | Event::Apply(seen)))) => {
                    if !is_it(&seen) {
                        return Ok(());
                    }
                    listed = true;
                    last = seen;
                }
                Ok(Some(Ok(Event::InitDone))) if !listed => return Ok(()),
                Ok(Some(Ok(Event::InitDone))) => {}
                Ok(Some(Ok(Event::Delete(seen)))) if is_it(&seen) => return Ok(()),
                Ok(Some(Ok(Event::Delete(_)))) => {}
                Ok(Some(Err(Failure::Passing(Hiccup(reason))))) => {
                    tracing::debug!(%object, reason, "watch interrupted");
                }
                Ok(Some(Err(Failure::Final(end)))) => return Err(self.finally(&operation, end)),
                Ok(None) => return Err(self.malformed(&operation, "the watch ended")),
            }
        }
    }
}

pub(crate) fn has_failed(object: &DynamicObject) -> bool {
    let job = serde_json::to_value(object).unwrap_or(Value::Null);
    serde_json::from_value(job).is_ok_and(|job| job_facts(&job).gave_up.is_some())
}

fn still_there(operation: &Operation, object: &ObjectName, last: &DynamicObject) -> Error {
    let held = last.finalizers().join(", ");
    let held = match (held.as_str(), object.kind) {
        ("kubernetes.io/pvc-protection", Kind::PersistentVolumeClaim) => {
            "a pod still uses it".to_owned()
        }
        ("", _) => "nothing holds it".to_owned(),
        (held, _) => format!("finalizer {held} holds it"),
    };
    Error::StillThere {
        operation: operation.what.clone(),
        waited: operation.started.elapsed(),
        reason: held,
    }
}
