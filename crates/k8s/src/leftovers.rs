//! Removing what older runs have left in previews.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{Api, DynamicObject, ListParams};
use preview_core::leftovers::{KINDS, is_left};
use preview_core::names::{Fence, NamespaceName};
use preview_core::objects::{Kind, ObjectName};
use preview_core::ownership::{Claimant, keys};

use crate::call::Operation;
use crate::cluster::Cluster;
use crate::error::Error;
use crate::fence::{Fenced, Round, until_settled};
use crate::kinds::{CUSTOM, resource};
use crate::prune::is_prunable;

/// Kinds that are listed at the same time.
const PARALLEL: usize = 6;

impl Cluster {
    /// Those of the namespaces of `previews` in which an object with the labels of `selector` was left by an older run than
    /// the one that is named, from one list for each kind over all namespaces.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn with_leftovers(
        &self,
        selector: &str,
        previews: &BTreeMap<NamespaceName, Fence>,
    ) -> Result<BTreeSet<NamespaceName>, Error> {
        let operation = self.operation(format!("list what older runs left with {selector}"));
        let found = self.of_kinds(&operation, selector, None).await?;
        let left = found.into_iter().filter_map(|(name, object)| {
            let namespace: NamespaceName = object.metadata.namespace.as_ref()?.parse().ok()?;
            let current = previews.get(&namespace)?;
            was_left(&name, &object, *current).then_some(namespace)
        });
        Ok(left.collect())
    }

    /// Deletes what older runs than the claimant's have left in `namespace`, of what every deploy applies
    /// ([`preview_core::leftovers`]). Each delete carries the uid and resourceVersion of a list after which the fence was
    /// confirmed still the claimant's.
    ///
    /// # Errors
    /// When the cluster cannot be asked, refuses, or the Namespace is somebody else's.
    pub async fn prune_leftovers(
        &self,
        claimant: &Claimant,
        namespace: &NamespaceName,
    ) -> Result<Fenced<Vec<ObjectName>>, Error> {
        let operation = self.operation(format!("prune what older runs left in {namespace}"));
        let mut removed = BTreeSet::new();
        let settled = until_settled(&operation, async || {
            let selector = claimant.owner.selector();
            let mut left = self
                .of_kinds(&operation, &selector, Some(namespace))
                .await?;
            left.retain(|(name, object)| was_left(name, object, claimant.fence));
            match self.confirm(&operation, claimant, namespace).await? {
                Fenced::Done(()) => {}
                lost => return Ok(Round::Settled(lost)),
            }
            for (name, object) in left {
                let deleted = self.delete(&operation, namespace, &name, &object);
                if let Some(reason) = deleted.await? {
                    return Ok(Round::Again(reason));
                }
                removed.insert(name);
            }
            Ok(Round::Settled(Fenced::Done(())))
        });
        Ok(match settled.await? {
            Fenced::Done(()) => Fenced::Done(removed.into_iter().collect()),
            Fenced::Superseded { by } => Fenced::Superseded { by },
            Fenced::Gone => Fenced::Gone,
        })
    }

    /// The objects of the kinds in question, of one namespace or of all.
    async fn of_kinds(
        &self,
        operation: &Operation,
        selector: &str,
        namespace: Option<&NamespaceName>,
    ) -> Result<Vec<(ObjectName, DynamicObject)>, Error> {
        let params = ListParams::default().labels(selector);
        let params = &params;
        let missing = self.missing_kinds_within(operation, &CUSTOM).await?;
        let kinds = KINDS.into_iter().filter(|kind| !missing.contains(kind));
        futures::stream::iter(kinds)
            .map(|kind| async move {
                let api = self.api_within(kind, namespace);
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

    fn api_within(&self, kind: Kind, namespace: Option<&NamespaceName>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => self.api(kind, namespace),
            None => Api::all_with(self.client.clone(), &resource(kind)),
        }
    }
}

fn was_left(name: &ObjectName, object: &DynamicObject, current: Fence) -> bool {
    let labels = object.metadata.labels.as_ref();
    let label = labels.and_then(|labels| labels.get(keys::FENCE));
    is_prunable(object) && is_left(name, label.map(String::as_str), current)
}
