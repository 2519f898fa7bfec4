//! Objects whose owners are all gone go, too.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster::state::State;
use crate::cluster::store::Key;

fn owners(object: &Value) -> impl Iterator<Item = &str> {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners
        .into_iter()
        .flatten()
        .filter_map(|owner| owner["uid"].as_str())
}

pub(super) fn collect(state: &mut State) {
    let all = state.store.all();
    let mut owned = all
        .filter(|(_, object)| owners(object).next().is_some())
        .peekable();
    if owned.peek().is_none() {
        return;
    }
    let uids = state.store.all();
    let uids: BTreeSet<&str> = uids
        .filter_map(|(_, o)| o["metadata"]["uid"].as_str())
        .collect();
    let orphaned = owned.filter(|(_, object)| owners(object).all(|owner| !uids.contains(owner)));
    let orphaned: Vec<Key> = orphaned.map(|(key, _)| key.clone()).collect();
    for key in orphaned {
        state.remove(&key);
    }
}

/// Has the dependents of the object with this uid live on without it.
pub(in crate::cluster) fn orphan(state: &mut State, uid: &str) {
    let dependents = state
        .store
        .all()
        .filter(|(_, object)| owners(object).any(|o| o == uid));
    let dependents: Vec<Key> = dependents.map(|(key, _)| key.clone()).collect();
    for key in dependents {
        state.edit(&key, |object| {
            if let Some(owners) = object["metadata"]["ownerReferences"].as_array_mut() {
                owners.retain(|owner| owner["uid"] != uid);
            }
        });
    }
}
