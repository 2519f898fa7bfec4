//! What the cluster is: its objects, what its node runs, and what it was told about the world outside.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio::time::Instant;

use super::behaviour::{Behaviour, Responder};
use super::kinds::Resource;
use super::node::Run;
use super::quantity::Quantity;
use super::store::Store;
use crate::registry::Registry;

/// What was seen, and since when it is so.
#[derive(Debug)]
pub(super) struct Progress {
    seen: Value,
    since: Instant,
}

pub(super) struct State {
    pub(super) store: Store,
    pub(super) token: String,
    /// What the node runs, by the pod's uid.
    pub(super) runs: BTreeMap<String, Run>,
    /// What was last seen of each Deployment and Job that is under way, by its uid.
    pub(super) progress: BTreeMap<String, Progress>,
    /// Told behaviours; the last that fits an image counts.
    pub(super) behaviours: Vec<(String, Behaviour)>,
    pub(super) registries: Vec<Registry>,
    pub(super) responder: Option<Responder>,
    /// What the account may not do, as verb and resource.
    pub(super) forbidden: BTreeSet<(String, String)>,
    /// CPU and memory that pods may request together.
    pub(super) capacity: [Quantity; 2],
    /// Groups of custom kinds whose definitions somebody installed.
    pub(super) installed: BTreeSet<&'static str>,
    /// Numbers given out as addresses.
    pub(super) addresses: u16,
    /// When something is to be done although nothing was written.
    due: Option<Instant>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            store: Store::new(),
            token: format!("{:032x}", rand::random::<u128>()),
            runs: BTreeMap::new(),
            progress: BTreeMap::new(),
            behaviours: Vec::new(),
            registries: Vec::new(),
            responder: None,
            forbidden: BTreeSet::new(),
            capacity: [Quantity::count(64), Quantity::count(1 << 38)],
            installed: BTreeSet::new(),
            addresses: 1,
            due: None,
        }
    }

    /// Whether the API has this resource.
    pub(super) fn serves(&self, resource: &Resource) -> bool {
        !resource.is_custom() || self.installed.contains(resource.group)
    }

    /// Since when the object with this uid is seen as it is now.
    pub(super) fn moved(&mut self, uid: &str, seen: Value, now: Instant) -> Instant {
        match self.progress.get(uid) {
            Some(progress) if progress.seen == seen => progress.since,
            _ => {
                let since = now;
                self.progress
                    .insert(uid.to_owned(), Progress { seen, since });
                now
            }
        }
    }

    /// Has the controllers look again at `time` at the latest.
    pub(super) fn wake_at(&mut self, time: Instant) {
        self.due = Some(self.due.map_or(time, |due| due.min(time)));
    }

    /// When the controllers have to look again.
    pub(super) fn take_due(&mut self) -> Option<Instant> {
        self.due.take()
    }

    /// An address of the cluster's network that nothing else has.
    pub(super) fn address(&mut self) -> String {
        self.addresses += 1;
        let [high, low] = self.addresses.to_be_bytes();
        format!("198.18.{high}.{low}")
    }
}

/// A random name suffix as Kubernetes makes them, without vowels.
pub(super) fn suffix(length: usize) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let letters = (0..length).map(|_| {
        let at = usize::from(rand::random::<u8>()) % LETTERS.len();
        char::from(LETTERS[at])
    });
    letters.collect()
}

/// A random uid.
pub(super) fn uid() -> String {
    let number: u128 = rand::random();
    // Version 4, variant 1.
    let number = (number & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{number:032x}");
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}
