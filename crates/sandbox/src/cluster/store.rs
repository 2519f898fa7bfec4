//! All objects with their versions, and what changed since when.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::watch;

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) kind: &'static str,
    /// Empty for objects of the whole cluster.
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Key {
    pub(super) fn new(
        kind: &'static str,
        namespace: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

/// One write: what was there before, and after.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) key: Key,
    pub(super) before: Option<Arc<Value>>,
    pub(super) after: Option<Arc<Value>>,
}

/// Everything that a store held at a version.
#[derive(Debug)]
pub(super) struct Checkpoint {
    objects: BTreeMap<Key, Arc<Value>>,
    version: u64,
}

/// Changes kept for watches that begin in the past.
const HISTORY: usize = 50_000;

#[derive(Debug)]
pub(super) struct Store {
    objects: BTreeMap<Key, Arc<Value>>,
    version: u64,
    history: VecDeque<Change>,
    /// Changes up to this version are forgotten.
    compacted: u64,
    changed: watch::Sender<u64>,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            objects: BTreeMap::new(),
            // etcd's revision of an empty store.
            version: 1,
            history: VecDeque::new(),
            compacted: 0,
            changed: watch::Sender::new(1),
        }
    }

    /// The version of the newest write.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Tells the version of each write.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Wakes everybody who waits for a write, without one.
    pub(super) fn wake(&self) {
        self.changed.send_modify(|_| {});
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// The objects of a kind with their places, of one namespace or all.
    pub(super) fn list(
        &self,
        kind: &'static str,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        let from = Key::new(kind, namespace.unwrap_or_default(), "");
        let namespace = namespace.map(str::to_owned);
        self.objects.range(from..).take_while(move |(key, _)| {
            key.kind == kind
                && namespace
                    .as_ref()
                    .is_none_or(|namespace| *namespace == key.namespace)
        })
    }

    /// Everything.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.objects.iter()
    }

    /// Writes the object under the next version.
    pub(super) fn put(&mut self, key: Key, mut object: Value) -> Arc<Value> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = Arc::new(object);
        let before = self.objects.insert(key.clone(), Arc::clone(&object));
        self.record(key, before, Some(Arc::clone(&object)));
        object
    }

    /// Removes the object; watches see it as it was, with the version of its removal.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?;
        self.version += 1;
        self.record(key.clone(), Some(Arc::clone(&before)), None);
        Some(before)
    }

    /// Everything as it is now, for [`Self::restore`].
    pub(super) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            objects: self.objects.clone(),
            version: self.version,
        }
    }

    /// Forgets every write since `checkpoint`. Nobody has seen one: the store is locked while a request is answered.
    pub(super) fn restore(&mut self, checkpoint: Checkpoint) {
        let Checkpoint { objects, version } = checkpoint;
        self.objects = objects;
        self.version = version;
        let is_later = |change: &Change| change.version > version;
        while self.history.back().is_some_and(is_later) {
            self.history.pop_back();
        }
        self.changed.send_replace(version);
    }

    fn record(&mut self, key: Key, before: Option<Arc<Value>>, after: Option<Arc<Value>>) {
        if self.history.len() >= HISTORY
            && let Some(oldest) = self.history.pop_front()
        {
            self.compacted = oldest.version;
        }
        self.history.push_back(Change {
            version: self.version,
            key,
            before,
            after,
        });
        self.changed.send_replace(self.version);
    }

    /// The changes after `version`, or the oldest version from which there are changes.
    pub(super) fn since(&self, version: u64) -> Result<impl Iterator<Item = &Change>, u64> {
        if version < self.compacted {
            return Err(self.compacted);
        }
        let from = self
            .history
            .partition_point(|change| change.version <= version);
        Ok(self.history.range(from..))
    }

    /// Forgets all changes so far, as etcd does from time to time.
    pub(super) fn compact(&mut self) {
        self.compacted = self.version;
        self.history.clear();
    }
}
