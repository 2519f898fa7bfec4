//! VolumeSnapshotContents: the only objects of previews that lie in no namespace. One is a preview's by its labels and by
//! the namespace of the VolumeSnapshot that it names.
//!
//! It stands for a snapshot at the storage that all previews are made from. With the deletion policy `Retain`, as we write
//! it, its end is nobody else's; with `Delete` its end, or that of its VolumeSnapshot, is the end of that snapshot:
//! <https://kubernetes.io/docs/concepts/storage/volume-snapshots/#deletion-policy>.

use kube::api::{DynamicObject, ListParams, ResourceExt as _};
use preview_core::names::NamespaceName;
use preview_core::objects::{Kind, ObjectName};
use preview_core::ownership::Owner;
use serde_json::Value;

use crate::call::Operation;
use crate::cluster::Cluster;
use crate::error::Error;
use crate::facts::uid;

const KIND: Kind = Kind::VolumeSnapshotContent;

/// Refuses to touch an object in no namespace that is not `owner`'s, for `namespace`. What lies in the namespace is the
/// owner's as that is.
pub(crate) fn check(
    operation: &Operation,
    owner: &Owner,
    namespace: &NamespaceName,
    name: &ObjectName,
    object: &DynamicObject,
) -> Result<(), Error> {
    if name.kind.is_namespaced() {
        return Ok(());
    }
    let foreign = |reason: String| Error::ForeignObject {
        operation: operation.what.clone(),
        reason,
    };
    let labels = object.metadata.labels.clone().unwrap_or_default();
    owner
        .check_labels(&labels)
        .map_err(|label| foreign(label.to_string()))?;
    match is_for(object, namespace) {
        true => Ok(()),
        false => {
            let of = &object.data["spec"]["volumeSnapshotRef"]["namespace"];
            Err(foreign(format!("it is for the namespace {of}")))
        }
    }
}

/// Whether the content names a VolumeSnapshot of `namespace`.
pub(crate) fn is_for(content: &DynamicObject, namespace: &NamespaceName) -> bool {
    content.data["spec"]["volumeSnapshotRef"]["namespace"] == namespace.as_str()
}

/// Why the content may not be deleted, nor its VolumeSnapshot; none where it may.
pub(crate) fn why_kept(content: &DynamicObject) -> Option<String> {
    let policy = &content.data["spec"]["deletionPolicy"];
    (policy != "Retain").then(|| {
        format!(
            "its deletion policy is {}, so the golden snapshot at the storage would be deleted with it; set it to Retain \
             with `kubectl patch volumesnapshotcontent {} --type merge --patch '{{\"spec\":{{\"deletionPolicy\":\"Retain\"}}}}'`",
            policy.as_str().unwrap_or("not set"),
            content.name_any()
        )
    })
}

/// Refuses to delete a content that may not be deleted.
pub(crate) fn check_deletion(
    operation: &Operation,
    name: &ObjectName,
    object: &DynamicObject,
) -> Result<(), Error> {
    let kept = (name.kind == KIND).then(|| why_kept(object)).flatten();
    kept.map_or(Ok(()), |reason| {
        Err(Error::Kept {
            operation: operation.what.clone(),
            object: name.clone(),
            reason,
        })
    })
}

impl Cluster {
    /// The VolumeSnapshotContents that are `owner`'s, for `namespace`; none where the cluster serves no such kind.
    pub(crate) async fn contents(
        &self,
        owner: &Owner,
        namespace: &NamespaceName,
    ) -> Result<Option<Vec<DynamicObject>>, Error> {
        let operation = self.operation(format!("list VolumeSnapshotContents of {namespace}"));
        if !self
            .missing_kinds_within(&operation, &[KIND])
            .await?
            .is_empty()
        {
            return Ok(None);
        }
        let api = self.api(KIND, namespace);
        let params = ListParams::default().labels(&owner.selector());
        let mut found = self.list(&operation, || api.list(&params)).await?.items;
        found.retain(|content| is_for(content, namespace));
        Ok(Some(found))
    }

    /// The VolumeSnapshot that the content `existing` is bound to, as it names it, while that one is there: whoever binds
    /// them writes its uid into a map that has one writer only, and without the uid would have to do so again. A uid of
    /// one that is gone has to go, or nobody could bind the content any more.
    pub(crate) async fn binding(
        &self,
        operation: &Operation,
        namespace: &NamespaceName,
        object: &ObjectName,
        existing: Option<&DynamicObject>,
    ) -> Result<Option<Value>, Error> {
        let bound = existing.filter(|_| object.kind == KIND);
        let Some(bound) = bound.map(|content| &content.data["spec"]["volumeSnapshotRef"]) else {
            return Ok(None);
        };
        let (Some(name), Some(of)) = (bound["name"].as_str(), bound["uid"].as_str()) else {
            return Ok(None);
        };
        let api = self.api(Kind::VolumeSnapshot, namespace);
        let snapshot = self.read(operation, || api.get(name)).await?;
        let is_there = snapshot.is_some_and(|snapshot| uid(&snapshot.metadata) == of);
        Ok(is_there.then(|| bound.clone()))
    }
}
