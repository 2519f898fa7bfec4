//! What is left of a preview that is being taken down, as far as it has been seen.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{DynamicObject, ResourceExt as _};
use kube::runtime::watcher::Event;
use preview_core::cleanup::RetainedVolumes;
use preview_core::finalizers;
use preview_core::names::{NamespaceName, Uid};
use preview_core::objects::{Kind, NamespaceFacts, ObjectName};
use preview_core::outcome::ReceiptItem;
use preview_core::ownership::{Owner, keys};

use crate::contents::{is_for, why_kept};
use crate::facts::{namespace_facts, uid};
use crate::receipt::{Receipt, blocked, gone, kept};
use crate::watch::Store;

/// What is to be known of a volume that was deleted although its policy keeps it.
const STORAGE_STAYS: &str =
    "its reclaim policy was Retain, so the storage behind it stays with whoever provides it";

/// The uids of claims that a teardown noted; none where none got that far.
pub(crate) fn noted(namespace: &NamespaceFacts) -> Option<BTreeSet<Uid>> {
    let text = namespace.annotations.get(keys::CLAIM_UIDS)?;
    // What cannot be a uid was not written by us, and names no volume.
    Some(
        text.split_whitespace()
            .filter_map(|uid| uid.parse().ok())
            .collect(),
    )
}

/// One event of one of the watches.
pub(crate) enum Seen {
    Namespace(Box<Event<Namespace>>),
    Pod(Box<Event<Pod>>),
    Claim(Box<Event<PersistentVolumeClaim>>),
    Volume(Box<Event<PersistentVolume>>),
    Content(Box<Event<DynamicObject>>),
}

/// What is left of a preview, as far as it has been seen.
pub(crate) struct Remains {
    pub(crate) namespace: NamespaceName,
    pub(crate) uid: Uid,
    namespaces: Store<Namespace>,
    pods: Store<Pod>,
    claims: Store<PersistentVolumeClaim>,
    volumes: Store<PersistentVolume>,
    /// The owner's VolumeSnapshotContents, those for other namespaces among them; none where the cluster serves no such
    /// kind.
    contents: Option<Store<DynamicObject>>,
    /// By which labels they are found.
    selector: String,
    /// What becomes of volumes that their policy keeps.
    retained: RetainedVolumes,
    /// Every claim there was, by its uid, with its name where somebody still saw it.
    pub(crate) claimed: BTreeMap<Uid, Option<String>>,
    /// Every pod that was seen.
    pub(crate) pods_seen: BTreeSet<String>,
    /// Every volume that was seen, by its name, with the uid of its claim.
    pub(crate) volumes_seen: BTreeMap<String, Uid>,
    /// Those of them whose policy keeps them.
    retained_seen: BTreeSet<String>,
    /// Every content for this Namespace that was seen, by its name, with its uid.
    contents_seen: BTreeMap<String, String>,
    /// The versions of contents and volumes whose deletion was asked for.
    asked: BTreeSet<String>,
    /// Why the watch is interrupted, while it is.
    pub(crate) hiccup: Option<String>,
}

impl Remains {
    pub(crate) fn new(read: &NamespaceFacts, owner: &Owner, retained: RetainedVolumes) -> Self {
        let claimed = noted(read).into_iter().flatten();
        Self {
            namespace: read.name.clone(),
            uid: read.uid.clone(),
            namespaces: Store::default(),
            pods: Store::default(),
            claims: Store::default(),
            volumes: Store::default(),
            contents: None,
            selector: owner.selector(),
            retained,
            claimed: claimed.map(|uid| (uid, None)).collect(),
            pods_seen: BTreeSet::new(),
            volumes_seen: BTreeMap::new(),
            retained_seen: BTreeSet::new(),
            contents_seen: BTreeMap::new(),
            asked: BTreeSet::new(),
            hiccup: None,
        }
    }

    /// Takes note of the contents for this Namespace, none where the cluster serves no such kind; the receipt where one of
    /// them keeps the Namespace from being deleted.
    pub(crate) fn expect(&mut self, contents: Option<&[DynamicObject]>) -> Option<Receipt> {
        let contents = contents?;
        self.contents = Some(Store::default());
        self.note_contents(contents);
        let kept = contents.iter().filter_map(|content| {
            let what = content_name(&content.name_any());
            Some(blocked(what, why_kept(content)?))
        });
        let kept: Vec<_> = kept.collect();
        let because = kept.first()?.object.clone();
        let namespace = blocked(
            format!("Namespace/{}", self.namespace),
            format!("nothing was deleted, because of {because}"),
        );
        let items = [namespace].into_iter().chain(kept).collect();
        Some(Receipt { items })
    }

    /// By which labels contents are found; none where the cluster serves no such kind.
    pub(crate) fn contents_selector(&self) -> Option<String> {
        self.contents.as_ref().map(|_| self.selector.clone())
    }

    fn note_contents<'a>(&mut self, contents: impl IntoIterator<Item = &'a DynamicObject>) {
        let seen = contents.into_iter();
        self.contents_seen
            .extend(seen.map(|content| (content.name_any(), uid(&content.metadata).to_owned())));
    }

    /// The contents that may be deleted, in a version of which that was not asked yet.
    pub(crate) fn contents_to_delete(&mut self) -> Vec<DynamicObject> {
        let mut found: Vec<_> = self
            .contents_left()
            .filter(|content| content.metadata.deletion_timestamp.is_none())
            .filter(|content| why_kept(content).is_none())
            .cloned()
            .collect();
        found.retain(|content| {
            let version = content.resource_version().unwrap_or_default();
            self.asked.insert(version)
        });
        found
    }

    /// The volumes that go although their policy keeps them, in a version of which that was not asked yet: nobody has a
    /// claim on them any more.
    pub(crate) fn volumes_to_delete(&mut self) -> Vec<PersistentVolume> {
        let claims: BTreeSet<&str> = self
            .claims_left()
            .map(|claim| uid(&claim.metadata))
            .collect();
        let mut found: Vec<_> = self
            .volumes_left()
            .filter(|volume| is_retained(volume) && !self.stays(volume))
            .filter(|volume| volume.metadata.deletion_timestamp.is_none())
            .filter(|volume| is_released(volume, &claims))
            .cloned()
            .collect();
        found.retain(|volume| {
            let version = volume.resource_version().unwrap_or_default();
            self.asked.insert(version)
        });
        found
    }

    /// Whether the volume is one that is not waited for.
    fn stays(&self, volume: &PersistentVolume) -> bool {
        self.retained == RetainedVolumes::Stay && is_retained(volume)
    }

    pub(crate) fn take(&mut self, seen: Seen) {
        match seen {
            Seen::Namespace(event) => self.namespaces.take(*event),
            Seen::Pod(event) => self.pods.take(*event),
            Seen::Claim(event) => self.claims.take(*event),
            Seen::Volume(event) => self.volumes.take(*event),
            Seen::Content(event) => self.contents.get_or_insert_default().take(*event),
        }
        let contents: Vec<_> = self.contents_left().cloned().collect();
        self.note_contents(&contents);
        if !self.is_known() || self.present().is_none() {
            return;
        }
        self.pods_seen
            .extend(self.pods.values().map(|pod| pod.name_any()));
        for claim in self.claims.values() {
            if let Ok(uid) = uid(&claim.metadata).parse() {
                self.claimed.insert(uid, Some(claim.name_any()));
            }
        }
        for (volume, uid) in ours(&self.volumes, &self.claimed, &self.namespace) {
            self.volumes_seen.insert(volume.name_any(), uid);
            if is_retained(volume) {
                self.retained_seen.insert(volume.name_any());
            }
        }
    }

    pub(crate) fn is_known(&self) -> bool {
        self.namespaces.is_ready()
            && self.pods.is_ready()
            && self.claims.is_ready()
            && self.volumes.is_ready()
            && self.contents.as_ref().is_none_or(Store::is_ready)
    }

    /// The Namespace, while it is there; one made afresh under its name is another one.
    pub(crate) fn present(&self) -> Option<&Namespace> {
        let namespace = self.namespaces.get(self.namespace.as_str())?;
        (uid(&namespace.metadata) == self.uid.as_str()).then_some(namespace)
    }

    fn pods_left(&self) -> impl Iterator<Item = &Pod> {
        let there = self.present().is_some();
        self.pods.values().filter(move |_| there)
    }

    fn claims_left(&self) -> impl Iterator<Item = &PersistentVolumeClaim> {
        let there = self.present().is_some();
        self.claims.values().filter(move |_| there)
    }

    fn volumes_left(&self) -> impl Iterator<Item = &PersistentVolume> {
        ours(&self.volumes, &self.claimed, &self.namespace).map(|(volume, _)| volume)
    }

    /// The contents for this Namespace. Those for one that was made afresh under its name are that one's.
    fn contents_left(&self) -> impl Iterator<Item = &DynamicObject> {
        let afresh =
            self.namespaces.get(self.namespace.as_str()).is_some() && self.present().is_none();
        let known = self.namespaces.is_ready() && !afresh;
        let all = self.contents.iter().flat_map(Store::values);
        all.filter(move |content| known && is_for(content, &self.namespace))
    }

    /// Whether nothing is left of what our finalizer waits for.
    pub(crate) fn is_emptied(&self) -> bool {
        self.pods_left().next().is_none()
            && self.claims_left().next().is_none()
            && self.volumes_left().all(|volume| self.stays(volume))
            && self.contents_left().next().is_none()
    }

    pub(crate) fn namespace_item(&self) -> ReceiptItem {
        let what = format!("Namespace/{}", self.namespace);
        if !self.namespaces.is_ready() {
            return blocked(what, self.unknown());
        }
        match self.present() {
            None => gone(what, format!("no Namespace has uid {}", self.uid)),
            Some(namespace) => blocked(what, namespace_blocker(namespace)),
        }
    }

    pub(crate) fn pod_items(&self) -> Vec<ReceiptItem> {
        if !self.pods.is_ready() {
            return vec![blocked("pods", self.unknown())];
        }
        let left: Vec<_> = self.pods_left().map(pod_item).collect();
        if left.is_empty() {
            let proof = format!("{} seen, none left", self.pods_seen.len());
            return vec![gone("pods", proof)];
        }
        left
    }

    pub(crate) fn claim_items(&self) -> Vec<ReceiptItem> {
        let item = |(claim_uid, name): (&Uid, &Option<String>)| {
            let what = match name {
                Some(name) => format!("PersistentVolumeClaim/{name}"),
                None => format!("PersistentVolumeClaim of uid {claim_uid}"),
            };
            if !self.claims.is_ready() {
                return blocked(what, self.unknown());
            }
            let mut left = self.claims_left();
            match left.find(|claim| uid(&claim.metadata) == claim_uid.as_str()) {
                None => gone(what, format!("no claim has uid {claim_uid}")),
                Some(claim) => blocked(what, waits_or_held(claim.finalizers())),
            }
        };
        self.claimed.iter().map(item).collect()
    }

    pub(crate) fn volume_items(&self) -> Vec<ReceiptItem> {
        if self.claimed.is_empty() {
            return Vec::new();
        }
        if !self.volumes.is_ready() {
            return vec![blocked("PersistentVolumes", self.unknown())];
        }
        let left = self.volumes_left();
        let mut items: Vec<_> = left.map(|volume| self.volume_item(volume)).collect();
        let is_gone = |name: &String| self.volumes.get(name).is_none();
        let those_gone = self.volumes_seen.iter().filter(|(name, _)| is_gone(name));
        items.extend(those_gone.map(|(name, claim)| {
            let what = format!("PersistentVolume/{name}");
            let proof = format!("no volume is of claim {claim}");
            match self.retained_seen.contains(name) {
                true => gone(what, format!("{proof}; {STORAGE_STAYS}")),
                false => gone(what, proof),
            }
        }));
        if items.is_empty() {
            let proof = "no volume is of one of the claims";
            items.push(gone("PersistentVolumes", proof));
        }
        items
    }

    pub(crate) fn content_items(&self) -> Vec<ReceiptItem> {
        let Some(contents) = &self.contents else {
            return Vec::new();
        };
        let item = |(name, seen): (&String, &String)| {
            let what = content_name(name);
            if !contents.is_ready() {
                return Some(blocked(what, self.unknown()));
            }
            let is_it = |content: &&DynamicObject| uid(&content.metadata) == seen;
            match contents.values().find(is_it) {
                None => Some(gone(what, format!("no content has uid {seen}"))),
                Some(_) if !self.contents_left().any(|content| is_it(&content)) => None,
                Some(content) => Some(blocked(what, content_blocker(content))),
            }
        };
        self.contents_seen.iter().filter_map(item).collect()
    }

    fn volume_item(&self, volume: &PersistentVolume) -> ReceiptItem {
        let what = format!("PersistentVolume/{}", volume.name_any());
        if self.stays(volume) {
            let reason =
                "its reclaim policy is Retain; delete it when its data is not needed any more";
            return kept(what, reason);
        }
        let status = volume.status.clone().unwrap_or_default();
        let phase = status.phase.unwrap_or_else(|| "not reported".to_owned());
        let blocker = match status.message.filter(|message| !message.is_empty()) {
            Some(message) => format!("phase {phase}: {message}"),
            None => format!("phase {phase}, {}", waits_or_held(volume.finalizers())),
        };
        blocked(what, blocker)
    }

    fn unknown(&self) -> String {
        match &self.hiccup {
            Some(reason) => format!("not known: the watch was interrupted: {reason}"),
            None => "not known: the cluster did not tell in time".to_owned(),
        }
    }
}

/// The volumes whose claim is one of those noted, with its uid. Whoever may write on the Namespace may have noted others'
/// claims: a volume that was claimed in another namespace is none of its.
fn ours<'a>(
    volumes: &'a Store<PersistentVolume>,
    claimed: &'a BTreeMap<Uid, Option<String>>,
    namespace: &'a NamespaceName,
) -> impl Iterator<Item = (&'a PersistentVolume, Uid)> {
    volumes.values().filter_map(|volume| {
        let claim = volume.spec.as_ref()?.claim_ref.as_ref()?;
        let uid: Uid = claim.uid.as_deref()?.parse().ok()?;
        let is_within = claim.namespace.as_deref() == Some(namespace.as_str());
        (is_within && claimed.contains_key(&uid)).then_some((volume, uid))
    })
}

fn is_retained(volume: &PersistentVolume) -> bool {
    let policy = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    policy == Some("Retain")
}

/// Whether the volume's claim is gone: it is not one of `claims`, and the cluster says so itself.
/// <https://kubernetes.io/docs/concepts/storage/persistent-volumes/#phase>
fn is_released(volume: &PersistentVolume, claims: &BTreeSet<&str>) -> bool {
    let status = volume.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    let spec = volume.spec.as_ref();
    let claim = spec.and_then(|spec| spec.claim_ref.as_ref()?.uid.as_deref());
    phase == Some("Released") && claim.is_some_and(|claim| !claims.contains(claim))
}

/// Our finalizer, what the Namespace's conditions say (which may be some seconds old), and others' finalizers.
fn namespace_blocker(namespace: &Namespace) -> String {
    let finalizers = namespace.finalizers();
    let (ours, others): (Vec<_>, Vec<_>) = finalizers
        .iter()
        .cloned()
        .partition(|finalizer| finalizer == keys::FINALIZER);
    let facts = namespace_facts(namespace);
    let told = facts.map(|facts| facts.blockers).unwrap_or_default();
    let mut parts = Vec::new();
    if !ours.is_empty() {
        parts.push("it waits for its pods, claims, volumes and snapshot contents".to_owned());
    }
    if !told.is_empty() {
        parts.push(told.join(" "));
    }
    if !others.is_empty() || parts.is_empty() {
        parts.push(waits_or_held(&others));
    }
    parts.join("; ")
}

fn waits_or_held(finalizers: &[String]) -> String {
    if finalizers.is_empty() {
        "its deletion goes on".to_owned()
    } else {
        finalizers::told(finalizers)
    }
}

fn pod_item(pod: &Pod) -> ReceiptItem {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let blocker = match (pod.finalizers(), node) {
        ([], Some(node)) => format!("node {node} has not ended it yet"),
        (finalizers, _) => waits_or_held(finalizers),
    };
    blocked(format!("Pod/{}", pod.name_any()), blocker)
}

fn content_name(name: &str) -> String {
    ObjectName::new(Kind::VolumeSnapshotContent, name).to_string()
}

fn content_blocker(content: &DynamicObject) -> String {
    if let Some(reason) = why_kept(content) {
        return reason;
    }
    waits_or_held(content.finalizers())
}
