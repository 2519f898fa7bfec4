//! Removing what older runs have left in previews.

use std::collections::{BTreeMap, BTreeSet};

use kube::api::DynamicObject;
use preview_core::leftovers::{KINDS, is_left};
use preview_core::names::{Fence, NamespaceName};
use preview_core::objects::ObjectName;
use preview_core::ownership::{Claimant, keys};

use crate::cluster::Cluster;
use crate::error::Error;
use crate::fence::{Fenced, Round, until_settled};
use crate::prune::is_prunable;

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
        let found = self
            .listed(&operation, KINDS.into_iter(), selector, None)
            .await?;
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
                .listed(&operation, KINDS.into_iter(), &selector, Some(namespace))
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
        Ok(settled.await?.map(|()| removed.into_iter().collect()))
    }
}

fn was_left(name: &ObjectName, object: &DynamicObject, current: Fence) -> bool {
    let labels = object.metadata.labels.as_ref();
    let label = labels.and_then(|labels| labels.get(keys::FENCE));
    is_prunable(object) && is_left(name, label.map(String::as_str), current)
}
