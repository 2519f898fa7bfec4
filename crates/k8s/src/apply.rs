//! Server-side apply through the fence.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{DynamicObject, Patch, PatchParams};
use preview_core::names::NamespaceName;
use preview_core::objects::{Kind, Manifest, ObjectName};
use preview_core::ownership::{Claimant, keys};
use serde_json::{Value, json};

use crate::call::{Answer, Operation};
use crate::cluster::Cluster;
use crate::contents;
use crate::error::Error;
use crate::fence::{Fenced, Round, until_settled};

/// A `resourceVersion` that no object has: etcd counts from 1, and its first revision is the empty store. Applied to
/// an absent object it creates it; an object that appeared meanwhile answers 409 and is not overwritten (measured on
/// v1.36; 0 would mean "any").
pub(crate) const MUST_BE_ABSENT: &str = "1";

/// Objects of a wave that are written at the same time.
pub(crate) const PARALLEL: usize = 6;

/// What applying an object did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It was not there.
    Created,
    /// It was there, and something other than our fence is different now.
    Changed,
    /// It was there, and at most our fence is different now.
    Unchanged,
}

impl Cluster {
    /// How we apply: fields are ours even where another manager set them, and a misspelt field is refused.
    pub(crate) fn apply_params(&self) -> PatchParams {
        PatchParams::apply(self.manager).force().validation_strict()
    }

    /// Applies the objects of one wave in parallel, each with the owner's labels and the fence as a label on its own
    /// metadata (never on pod templates: a new run restarts no pod).
    ///
    /// Every existing object is written on the condition of the uid and resourceVersion of a read after which the
    /// Namespace's fence was confirmed still ours; a 409 starts again at the fence. The fence is confirmed again right
    /// before each create, and a create overwrites nothing that appeared meanwhile. A Job that exists is left alone:
    /// its template is immutable, and its name carries the template's hash.
    ///
    /// What lies in no namespace (a VolumeSnapshotContent) is the preview's all the same, by its labels and the namespace
    /// that it names; its name must tell previews apart. To which VolumeSnapshot it is bound is left as it is, as long as
    /// that one is there.
    ///
    /// # Errors
    /// When the cluster cannot be asked, refuses an object, or the Namespace is somebody else's, or what lies in none.
    pub async fn apply(
        &self,
        claimant: &Claimant,
        namespace: &NamespaceName,
        wave: Vec<Manifest>,
    ) -> Result<Fenced<Vec<(ObjectName, Change)>>, Error> {
        let mut results = futures::stream::iter(wave)
            .map(|manifest| async move {
                let object = manifest.object().clone();
                let outcome = self.apply_one(claimant, namespace, manifest).await?;
                Ok::<_, Error>((object, outcome))
            })
            .buffered(PARALLEL);
        let mut done = Vec::new();
        while let Some((object, outcome)) = results.try_next().await? {
            match outcome {
                Fenced::Done(change) => done.push((object, change)),
                Fenced::Superseded { by } => return Ok(Fenced::Superseded { by }),
                Fenced::Gone => return Ok(Fenced::Gone),
            }
        }
        Ok(Fenced::Done(done))
    }

    async fn apply_one(
        &self,
        claimant: &Claimant,
        namespace: &NamespaceName,
        manifest: Manifest,
    ) -> Result<Fenced<Change>, Error> {
        let object = manifest.object().clone();
        let operation = self.operation(format!("apply {object} in {namespace}"));
        if object.kind == Kind::Namespace {
            return Err(Error::Misuse {
                operation: operation.what,
                reason: "a Namespace is created and changed by compare-and-set, not applied".into(),
            });
        }
        let body = body(claimant, namespace, manifest);
        until_settled(&operation, async || {
            self.round(&operation, claimant, namespace, &object, &body)
                .await
        })
        .await
    }

    async fn round(
        &self,
        operation: &Operation,
        claimant: &Claimant,
        namespace: &NamespaceName,
        object: &ObjectName,
        body: &Value,
    ) -> Result<Round<Fenced<Change>>, Error> {
        let api = self.api(object.kind, namespace);
        let existing = self.read(operation, || api.get(&object.name)).await?;
        let binding = self.binding(operation, namespace, object, existing.as_ref());
        let binding = binding.await?;
        match self.confirm(operation, claimant, namespace).await? {
            Fenced::Done(()) => {}
            Fenced::Superseded { by } => return Ok(Round::Settled(Fenced::Superseded { by })),
            Fenced::Gone => return Ok(Round::Settled(Fenced::Gone)),
        }
        if let Some(existing) = &existing {
            contents::check(operation, &claimant.owner, namespace, object, existing)?;
            if existing.metadata.deletion_timestamp.is_some() {
                return Ok(Round::Again(
                    "an object of that name is being deleted".into(),
                ));
            }
            if object.kind == Kind::Job {
                return Ok(Round::Settled(Fenced::Done(Change::Unchanged)));
            }
        }
        let body = conditional(body.clone(), existing.as_ref(), binding);
        let (params, patch) = (self.apply_params(), Patch::Apply(&body));
        let answer = self
            .call(operation, || api.patch(&object.name, &params, &patch))
            .await?;
        Ok(match (answer, existing) {
            (Answer::Done(_), None) => Round::Settled(Fenced::Done(Change::Created)),
            (Answer::Done(after), Some(before)) => {
                Round::Settled(Fenced::Done(difference(&before, &after)))
            }
            (Answer::Conflict(reason), _) => Round::Again(reason),
            (Answer::Absent(reason), _) => self.why_absent(operation, namespace, reason).await?,
        })
    }

    /// A 404 on apply: the Namespace went away between two requests, or the cluster does not know the kind.
    async fn why_absent(
        &self,
        operation: &Operation,
        namespace: &NamespaceName,
        reason: String,
    ) -> Result<Round<Fenced<Change>>, Error> {
        if self.namespace_within(operation, namespace).await?.is_none() {
            return Ok(Round::Settled(Fenced::Gone));
        }
        Err(Error::Absent {
            operation: operation.what.clone(),
            reason,
            next: "check that the cluster serves this kind of object".into(),
        })
    }
}

/// What is applied: the object with the owner's labels, and the fence.
pub(crate) fn body(claimant: &Claimant, namespace: &NamespaceName, manifest: Manifest) -> Value {
    let namespaced = manifest.object().kind.is_namespaced();
    let mut body = manifest.into_body();
    let metadata = &mut body["metadata"];
    if namespaced {
        metadata["namespace"] = json!(namespace);
    }
    for (key, value) in claimant.owner.labels() {
        metadata["labels"][key] = json!(value);
    }
    metadata["labels"][keys::FENCE] = json!(claimant.fence.to_string());
    body
}

/// The body, to be written only where there is what was read; bound as that is.
pub(crate) fn conditional(
    mut body: Value,
    existing: Option<&DynamicObject>,
    binding: Option<Value>,
) -> Value {
    let metadata = &mut body["metadata"];
    match existing {
        Some(existing) => {
            metadata["uid"] = json!(existing.metadata.uid);
            metadata["resourceVersion"] = json!(existing.metadata.resource_version);
        }
        None => metadata["resourceVersion"] = json!(MUST_BE_ABSENT),
    }
    if let Some(binding) = binding {
        body["spec"]["volumeSnapshotRef"] = binding;
    }
    body
}

fn difference(before: &DynamicObject, after: &DynamicObject) -> Change {
    if before.metadata.resource_version == after.metadata.resource_version
        || apart_from_the_fence(before) == apart_from_the_fence(after)
    {
        Change::Unchanged
    } else {
        Change::Changed
    }
}

/// The object without what every run leaves different. `generation` follows from what is compared anyway.
fn apart_from_the_fence(object: &DynamicObject) -> DynamicObject {
    let mut object = object.clone();
    object.metadata.resource_version = None;
    object.metadata.managed_fields = None;
    let labels: &mut BTreeMap<_, _> = object.metadata.labels.get_or_insert_default();
    labels.remove(keys::FENCE);
    object
}
