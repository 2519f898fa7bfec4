//! Removing what a preview no longer wants.

use std::collections::BTreeSet;
use std::fmt::Debug;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Preconditions, PropagationPolicy};
use preview_core::names::NamespaceName;
use preview_core::objects::{Kind, ObjectName};
use preview_core::ownership::{Claimant, Owner};
use serde::de::DeserializeOwned;

use crate::call::{Answer, Operation};
use crate::cluster::Cluster;
use crate::contents;
use crate::error::Error;
use crate::fence::{Fenced, Round, until_settled};
use crate::kinds::{CUSTOM, resource};

/// Kinds that are listed at the same time.
const PARALLEL: usize = 6;

impl Cluster {
    /// Deletes the objects in `namespace` that carry the owner's labels and are not in `keep`. Never a
    /// PersistentVolumeClaim, and nothing that a controller made. Each delete carries the uid and resourceVersion of a
    /// list after which the fence was confirmed still ours.
    ///
    /// A VolumeSnapshotContent lies in no namespace; it goes when it is for a VolumeSnapshot of this one.
    ///
    /// # Errors
    /// When the cluster cannot be asked, refuses, or the Namespace is somebody else's; or when the end of a
    /// VolumeSnapshotContent would be the end of the golden snapshot: then nothing is deleted.
    pub async fn prune(
        &self,
        claimant: &Claimant,
        namespace: &NamespaceName,
        keep: &BTreeSet<ObjectName>,
    ) -> Result<Fenced<Vec<ObjectName>>, Error> {
        let operation = self.operation(format!("prune {namespace}"));
        let mut removed = BTreeSet::new();
        let settled = until_settled(&operation, async || {
            self.prune_round(&operation, claimant, namespace, keep, &mut removed)
                .await
        });
        Ok(settled.await?.map(|()| removed.into_iter().collect()))
    }

    async fn prune_round(
        &self,
        operation: &Operation,
        claimant: &Claimant,
        namespace: &NamespaceName,
        keep: &BTreeSet<ObjectName>,
        removed: &mut BTreeSet<ObjectName>,
    ) -> Result<Round<Fenced<()>>, Error> {
        let unwanted = self
            .unwanted(operation, &claimant.owner, namespace, keep)
            .await?;
        match self.confirm(operation, claimant, namespace).await? {
            Fenced::Done(()) => {}
            lost => return Ok(Round::Settled(lost)),
        }
        for (name, object) in &unwanted {
            contents::check_deletion(operation, name, object)?;
        }
        for (name, object) in unwanted {
            if let Some(reason) = self.delete(operation, namespace, &name, &object).await? {
                return Ok(Round::Again(reason));
            }
            removed.insert(name);
        }
        Ok(Round::Settled(Fenced::Done(())))
    }

    /// What [`Self::prune`] would delete.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn prunable(
        &self,
        owner: &Owner,
        namespace: &NamespaceName,
        keep: &BTreeSet<ObjectName>,
    ) -> Result<BTreeSet<ObjectName>, Error> {
        let operation = self.operation(format!("list what would be pruned in {namespace}"));
        let unwanted = self.unwanted(&operation, owner, namespace, keep).await?;
        Ok(unwanted.into_iter().map(|(name, _)| name).collect())
    }

    async fn unwanted(
        &self,
        operation: &Operation,
        owner: &Owner,
        namespace: &NamespaceName,
        keep: &BTreeSet<ObjectName>,
    ) -> Result<Vec<(ObjectName, DynamicObject)>, Error> {
        let mut owned = self.owned(operation, namespace, &owner.selector()).await?;
        owned.retain(|(name, object)| !keep.contains(name) && is_prunable(object));
        Ok(owned)
    }

    async fn owned(
        &self,
        operation: &Operation,
        namespace: &NamespaceName,
        selector: &str,
    ) -> Result<Vec<(ObjectName, DynamicObject)>, Error> {
        let kinds = Kind::ALL.into_iter().filter(|kind| is_pruned(*kind));
        let listed = self.listed(operation, kinds, selector, Some(namespace));
        let mut listed = listed.await?;
        listed.retain(|(name, object)| {
            name.kind.is_namespaced() || contents::is_for(object, namespace)
        });
        Ok(listed)
    }

    /// The objects of these kinds with the labels of `selector`, of one namespace or of all; of kinds that the cluster does
    /// not know there are none.
    pub(crate) async fn listed(
        &self,
        operation: &Operation,
        kinds: impl Iterator<Item = Kind>,
        selector: &str,
        namespace: Option<&NamespaceName>,
    ) -> Result<Vec<(ObjectName, DynamicObject)>, Error> {
        let params = ListParams::default().labels(selector);
        let params = &params;
        let missing = self.missing_kinds_within(operation, &CUSTOM).await?;
        futures::stream::iter(kinds.filter(|kind| !missing.contains(kind)))
            .map(|kind| async move {
                let api = match namespace {
                    Some(namespace) => self.api(kind, namespace),
                    None => Api::all_with(self.client.clone(), &resource(kind)),
                };
                let list = self.list(operation, || api.list(params)).await?;
                let named = list.items.into_iter().filter_map(move |object| {
                    let name = object.metadata.name.clone()?;
                    Some((ObjectName::new(kind, name), object))
                });
                Ok::<_, Error>(named)
            })
            .buffered(PARALLEL)
            .try_fold(Vec::new(), |mut all, found| async {
                all.extend(found);
                Ok(all)
            })
            .await
    }

    /// Deletes the object as it was read; the reason when it is not what was read any more.
    pub(crate) async fn delete(
        &self,
        operation: &Operation,
        namespace: &NamespaceName,
        name: &ObjectName,
        read: &DynamicObject,
    ) -> Result<Option<String>, Error> {
        // Jobs of batch/v1 would leave their pods behind by default.
        let how = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let api = self.api(name.kind, namespace);
        self.delete_as_read(operation, &api, &read.metadata, how)
            .await
    }

    /// Deletes what was read, on the condition that it is still that; the server's words where it is not.
    pub(crate) async fn delete_as_read<K>(
        &self,
        operation: &Operation,
        api: &Api<K>,
        read: &ObjectMeta,
        how: DeleteParams,
    ) -> Result<Option<String>, Error>
    where
        K: Clone + Debug + DeserializeOwned,
    {
        let name = read.name.clone().unwrap_or_default();
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: read.uid.clone(),
                resource_version: read.resource_version.clone(),
            }),
            ..how
        };
        let answer = self.call(operation, || async {
            api.delete(&name, &params).await.map(drop)
        });
        Ok(match answer.await? {
            Answer::Done(()) | Answer::Absent(_) => None,
            Answer::Conflict(reason) => Some(reason),
        })
    }
}

const fn is_pruned(kind: Kind) -> bool {
    !matches!(kind, Kind::Namespace | Kind::PersistentVolumeClaim)
}

/// What is not on its way out already, and not made by a controller that we would have to remove instead (the Jobs of
/// a CronJob carry its template's labels).
pub(crate) fn is_prunable(object: &DynamicObject) -> bool {
    object.metadata.deletion_timestamp.is_none()
        && object
            .metadata
            .owner_references
            .iter()
            .flatten()
            .all(|owner| owner.controller != Some(true))
}
