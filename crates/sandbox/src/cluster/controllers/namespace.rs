//! Namespaces on their way out: first the pods, then everything else, then the Namespace itself.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{is_terminating, told};
use crate::cluster::kinds::Resource;
use crate::cluster::refusal::Refusal;
use crate::cluster::state::State;
use crate::cluster::store::Key;

pub(super) fn reconcile(state: &mut State, key: &Key, namespace: &Value) -> Result<(), Refusal> {
    if !is_terminating(namespace) || namespace["spec"].get("finalizers").is_none() {
        return Ok(());
    }
    let pods = contents(state, &key.name, &|resource| resource.kind == "Pod");
    let doomed = if pods.is_empty() {
        contents(state, &key.name, &|_| true)
    } else {
        pods
    };
    for object in &doomed {
        state.remove(object);
    }
    let left = contents(state, &key.name, &|_| true);
    let conditions = conditions(state, namespace, &left);
    state.edit(key, |namespace| {
        namespace["status"]["conditions"] = conditions.into()
    });
    if left.is_empty() {
        state.edit(key, |namespace| {
            if let Some(spec) = namespace["spec"].as_object_mut() {
                spec.remove("finalizers");
            }
        });
    }
    Ok(())
}

fn contents(state: &State, namespace: &str, wanted: &dyn Fn(&Resource) -> bool) -> Vec<Key> {
    let kinds = Resource::all().iter();
    let kinds = kinds.filter(|resource| resource.namespaced && wanted(resource));
    let keys = kinds.flat_map(|resource| state.store.list(resource.kind, Some(namespace)));
    keys.map(|(key, _)| key.clone()).collect()
}

/// What the Namespace tells of its deletion, in the words of the namespace controller.
fn conditions(state: &State, namespace: &Value, left: &[Key]) -> Vec<Value> {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut finalizers: BTreeMap<String, usize> = BTreeMap::new();
    for key in left {
        if let Some(resource) = Resource::of_kind(key.kind) {
            *kinds
                .entry(format!("{}.{}", resource.plural, resource.group))
                .or_default() += 1;
        }
        let object = state.store.get(key);
        let held = object.and_then(|object| object["metadata"]["finalizers"].as_array());
        for finalizer in held.into_iter().flatten().filter_map(Value::as_str) {
            *finalizers.entry(finalizer.to_owned()).or_default() += 1;
        }
    }
    let list = |counts: &BTreeMap<String, usize>, verb: &str| {
        let parts = counts
            .iter()
            .map(|(what, count)| format!("{what} {verb} {count} resource instances"));
        parts.collect::<Vec<_>>().join(", ")
    };
    let remaining = if kinds.is_empty() {
        (
            "ContentRemoved",
            "All content successfully removed".to_owned(),
        )
    } else {
        let list = list(&kinds, "has");
        (
            "SomeResourcesRemain",
            format!("Some resources are remaining: {list}"),
        )
    };
    let held = if finalizers.is_empty() {
        (
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished".to_owned(),
        )
    } else {
        let list = list(&finalizers, "in");
        let message = format!("Some content in the namespace has finalizers remaining: {list}");
        ("SomeFinalizersRemain", message)
    };
    let told = |kind, status, reason, message: &str| told(namespace, kind, status, reason, message);
    vec![
        told(
            "NamespaceDeletionDiscoveryFailure",
            false,
            "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        told(
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        told(
            "NamespaceDeletionContentFailure",
            false,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        told(
            "NamespaceContentRemaining",
            !kinds.is_empty(),
            remaining.0,
            &remaining.1,
        ),
        told(
            "NamespaceFinalizersRemaining",
            !finalizers.is_empty(),
            held.0,
            &held.1,
        ),
    ]
}
