//! Taking a preview down, and proving that it is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use backon::BackoffBuilder as _;
use futures::stream::{BoxStream, SelectAll, StreamExt as _};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{Api, DynamicObject, ListParams, ResourceExt as _};
use kube::runtime::watcher::{Config, Event};
use preview_core::names::{Fence, NamespaceName, Uid};
use preview_core::objects::{Kind, NamespaceFacts, ObjectName};
use preview_core::outcome::ReceiptItem;
use preview_core::ownership::{Owner, keys};
use tokio::time::Instant;

use crate::call::{Operation, pauses};
use crate::cluster::Cluster;
use crate::error::Error;
use crate::facts::{namespace_facts, uid};
use crate::kinds::CUSTOM;
use crate::namespaces::NamespaceChange;
use crate::receipt::{Receipt, blocked, gone, kept};
use crate::watch::{Failure, Hiccup, Outcome, Store, watch};

/// What came of taking a preview down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TearDown {
    /// Its deletion was asked for, by us or by somebody before us; how far it came by the deadline.
    Done(Receipt),
    /// Another run took the preview over after it was read; nothing was deleted. Decide again.
    Superseded {
        /// The run; none when the annotation is gone.
        by: Option<Fence>,
    },
}

impl Cluster {
    /// Takes the preview down: notes the uids of its volumes' claims on the Namespace, deletes the Namespace as it was
    /// read, watches until pods, claims and volumes are gone, takes our finalizer off and watches until the Namespace
    /// is gone too. What a teardown that died left half done is gone on with; a Namespace that is gone already has a
    /// receipt as well. Nothing is removed by force: what is still there at the deadline is on the receipt, with the
    /// object and finalizer that block it.
    ///
    /// # Errors
    /// When the Namespace is not `owner`'s, or the cluster cannot be asked, or refuses.
    pub async fn tear_down(
        &self,
        owner: &Owner,
        read: &NamespaceFacts,
        deadline: std::time::Instant,
    ) -> Result<TearDown, Error> {
        let operation = self.operation(format!("tear down Namespace/{}", read.name));
        let mut remains = Remains::new(read);
        if let Some(by) = self.condemn(&operation, owner, read, &mut remains).await? {
            return Ok(TearDown::Superseded { by: by.0 });
        }
        let deadline = Instant::from_std(deadline);
        self.await_gone(&operation, &mut remains, deadline).await?;
        Ok(TearDown::Done(self.receipt(&remains).await))
    }

    /// Notes the claims and asks for the deletion; the run that was faster, if one was.
    async fn condemn(
        &self,
        operation: &Operation,
        owner: &Owner,
        read: &NamespaceFacts,
        remains: &mut Remains,
    ) -> Result<Option<By>, Error> {
        owner.check(read)?;
        let mut pauses = pauses().build();
        for attempt in 1.. {
            let now = self.namespace_within(operation, &read.name).await?;
            let Some(now) = now.filter(|now| now.uid == read.uid) else {
                return Ok(None);
            };
            owner.check(&now)?;
            if !now.terminating && (now.fence(), now.head()) != (read.fence(), read.head()) {
                return Ok(Some(By(now.fence())));
            }
            let noted = self.note_claims(now, remains).await?;
            let condemned = match noted {
                Some(noted) if noted.terminating => true,
                Some(noted) => self.delete_namespace(&noted).await?,
                None => false,
            };
            if condemned {
                return Ok(None);
            }
            let pause = pauses.next().unwrap_or_default();
            if Instant::now() + pause >= operation.deadline {
                return Err(operation.contended(attempt, "the Namespace kept changing".into()));
            }
            tokio::time::sleep(pause).await;
        }
        unreachable!("rounds are not limited by their number")
    }

    /// Writes the claims' uids on the Namespace, together with those noted before; none when somebody was faster.
    async fn note_claims(
        &self,
        namespace: NamespaceFacts,
        remains: &mut Remains,
    ) -> Result<Option<NamespaceFacts>, Error> {
        remains
            .pods_seen
            .extend(self.pod_names(&namespace.name).await?);
        for claim in self.volume_claims(&namespace.name).await? {
            let volume = claim.volume.map(|volume| (volume, claim.uid.clone()));
            remains.volumes_seen.extend(volume);
            remains.claimed.insert(claim.uid, Some(claim.name));
        }
        let before = noted(&namespace);
        for uid in before.iter().flatten() {
            remains.claimed.entry(uid.clone()).or_default();
        }
        let all: BTreeSet<Uid> = remains.claimed.keys().cloned().collect();
        if before.is_some_and(|before| before == all) {
            return Ok(Some(namespace));
        }
        let text: Vec<&str> = all.iter().map(Uid::as_str).collect();
        let note = NamespaceChange::annotate([(keys::CLAIM_UIDS.to_owned(), text.join(" "))]);
        self.change_namespace(&namespace, &note).await
    }

    async fn pod_names(&self, namespace: &NamespaceName) -> Result<Vec<String>, Error> {
        let operation = self.operation(format!("list Pods in {namespace}"));
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace.as_str());
        let params = ListParams::default();
        let list = self.list(&operation, || api.list(&params)).await?;
        Ok(list.iter().map(|pod| pod.name_any()).collect())
    }

    /// Watches until everything is gone, or the deadline.
    async fn await_gone(
        &self,
        operation: &Operation,
        remains: &mut Remains,
        deadline: Instant,
    ) -> Result<(), Error> {
        let mut events = self.watch_remains(&remains.namespace);
        while let Ok(next) = tokio::time::timeout_at(deadline, events.next()).await {
            match next {
                Some(Ok(seen)) => {
                    remains.take(seen);
                    remains.hiccup = None;
                }
                Some(Err(Failure::Passing(Hiccup(reason)))) => {
                    tracing::debug!(namespace = %remains.namespace, reason, "watch interrupted");
                    remains.hiccup = Some(reason);
                }
                Some(Err(Failure::Final(end))) => return Err(self.finally(operation, end)),
                None => return Err(self.malformed(operation, "the watch ended")),
            }
            if !remains.is_known() || !remains.is_emptied() {
                continue;
            }
            match remains.present() {
                None => return Ok(()),
                Some(namespace) => self.release(namespace).await?,
            }
        }
        Ok(())
    }

    fn watch_remains(
        &self,
        namespace: &NamespaceName,
    ) -> SelectAll<BoxStream<'static, Outcome<Seen>>> {
        let client = || self.client.clone();
        let this = Config::default().fields(&format!("metadata.name={namespace}"));
        let within = namespace.as_str();
        let namespaces = watch(self.namespace_api(), this);
        let pods = watch(Api::namespaced(client(), within), Config::default());
        let claims = watch(Api::namespaced(client(), within), Config::default());
        let volumes = watch(Api::all(client()), Config::default());
        futures::stream::select_all([
            boxed(namespaces, Seen::Namespace),
            boxed(pods, Seen::Pod),
            boxed(claims, Seen::Claim),
            boxed(volumes, Seen::Volume),
        ])
    }

    /// Takes our finalizer off the Namespace, as it was seen: a newer version brings an event, and with it the next
    /// attempt.
    async fn release(&self, seen: &Namespace) -> Result<(), Error> {
        let operation = self.operation(format!("read Namespace/{}", seen.name_any()));
        let facts = namespace_facts(seen).map_err(|detail| self.malformed(&operation, detail))?;
        if !facts
            .finalizers
            .iter()
            .any(|finalizer| finalizer == keys::FINALIZER)
        {
            return Ok(());
        }
        let mut finalizers = facts.finalizers.clone();
        finalizers.retain(|finalizer| finalizer != keys::FINALIZER);
        let change = NamespaceChange {
            finalizers: Some(finalizers),
            ..NamespaceChange::default()
        };
        self.change_namespace(&facts, &change).await.map(drop)
    }

    async fn receipt(&self, remains: &Remains) -> Receipt {
        let mut items = vec![remains.namespace_item()];
        items.extend(remains.pod_items());
        items.extend(remains.claim_items());
        items.extend(remains.volume_items());
        if remains.present().is_some() {
            items.extend(self.held_items(&remains.namespace).await);
        }
        Receipt { items }
    }

    /// Objects in the Namespace that a finalizer holds, as far as we know their kinds and may list them. What else
    /// there is, the Namespace's conditions name by kind.
    async fn held_items(&self, namespace: &NamespaceName) -> Vec<ReceiptItem> {
        let operation = Operation {
            deadline: Instant::now() + HELD,
            ..self.operation(format!("list what is left in Namespace/{namespace}"))
        };
        let params = ListParams::default();
        let mut items = Vec::new();
        let missing = self.missing_kinds_within(&operation, &CUSTOM).await;
        let missing = missing.unwrap_or_else(|error| {
            tracing::debug!(%error, "which kinds there are is not known");
            CUSTOM.to_vec()
        });
        for kind in Kind::ALL {
            // Told by their own watches, or no content of a Namespace, or of no kind that is there.
            if kind == Kind::PersistentVolumeClaim
                || !kind.is_namespaced()
                || missing.contains(&kind)
            {
                continue;
            }
            let api = self.api(kind, namespace);
            match self.list(&operation, || api.list(&params)).await {
                Ok(list) => items.extend(list.items.iter().filter_map(|object| held(kind, object))),
                Err(error) => tracing::debug!(%error, "what is left of this kind is not known"),
            }
        }
        items
    }
}

/// Time to list what is left, after the deadline.
const HELD: Duration = Duration::from_secs(15);

/// The run that was faster, as far as the Namespace tells.
struct By(Option<Fence>);

/// The uids of claims that a teardown noted; none where none got that far.
fn noted(namespace: &NamespaceFacts) -> Option<BTreeSet<Uid>> {
    let text = namespace.annotations.get(keys::CLAIM_UIDS)?;
    // What cannot be a uid was not written by us, and names no volume.
    Some(
        text.split_whitespace()
            .filter_map(|uid| uid.parse().ok())
            .collect(),
    )
}

fn held(kind: Kind, object: &DynamicObject) -> Option<ReceiptItem> {
    let finalizers = object.finalizers();
    (!finalizers.is_empty()).then(|| {
        blocked(
            ObjectName::new(kind, object.name_any()).to_string(),
            by_finalizers(finalizers),
        )
    })
}

fn by_finalizers(finalizers: &[String]) -> String {
    format!("finalizer {}", finalizers.join(", "))
}

/// One event of one of the watches.
enum Seen {
    Namespace(Box<Event<Namespace>>),
    Pod(Box<Event<Pod>>),
    Claim(Box<Event<PersistentVolumeClaim>>),
    Volume(Box<Event<PersistentVolume>>),
}

fn boxed<E: Send + 'static>(
    events: BoxStream<'static, Outcome<E>>,
    seen: fn(Box<E>) -> Seen,
) -> BoxStream<'static, Outcome<Seen>> {
    events
        .map(move |event| event.map(|event| seen(Box::new(event))))
        .boxed()
}

/// What is left of a preview, as far as it has been seen.
struct Remains {
    namespace: NamespaceName,
    uid: Uid,
    namespaces: Store<Namespace>,
    pods: Store<Pod>,
    claims: Store<PersistentVolumeClaim>,
    volumes: Store<PersistentVolume>,
    /// Every claim there was, by its uid, with its name where somebody still saw it.
    claimed: BTreeMap<Uid, Option<String>>,
    /// Every pod that was seen.
    pods_seen: BTreeSet<String>,
    /// Every volume that was seen, by its name, with the uid of its claim.
    volumes_seen: BTreeMap<String, Uid>,
    /// Why the watch is interrupted, while it is.
    hiccup: Option<String>,
}

impl Remains {
    fn new(read: &NamespaceFacts) -> Self {
        let claimed = noted(read).into_iter().flatten();
        Self {
            namespace: read.name.clone(),
            uid: read.uid.clone(),
            namespaces: Store::default(),
            pods: Store::default(),
            claims: Store::default(),
            volumes: Store::default(),
            claimed: claimed.map(|uid| (uid, None)).collect(),
            pods_seen: BTreeSet::new(),
            volumes_seen: BTreeMap::new(),
            hiccup: None,
        }
    }

    fn take(&mut self, seen: Seen) {
        match seen {
            Seen::Namespace(event) => self.namespaces.take(*event),
            Seen::Pod(event) => self.pods.take(*event),
            Seen::Claim(event) => self.claims.take(*event),
            Seen::Volume(event) => self.volumes.take(*event),
        }
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
        let volumes =
            ours(&self.volumes, &self.claimed).map(|(volume, uid)| (volume.name_any(), uid));
        self.volumes_seen.extend(volumes);
    }

    fn is_known(&self) -> bool {
        self.namespaces.is_ready()
            && self.pods.is_ready()
            && self.claims.is_ready()
            && self.volumes.is_ready()
    }

    /// The Namespace, while it is there; one made afresh under its name is another one.
    fn present(&self) -> Option<&Namespace> {
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
        ours(&self.volumes, &self.claimed).map(|(volume, _)| volume)
    }

    /// Whether nothing is left of what our finalizer waits for.
    fn is_emptied(&self) -> bool {
        self.pods_left().next().is_none()
            && self.claims_left().next().is_none()
            && self.volumes_left().all(is_retained)
    }

    fn namespace_item(&self) -> ReceiptItem {
        let what = format!("Namespace/{}", self.namespace);
        if !self.namespaces.is_ready() {
            return blocked(what, self.unknown());
        }
        match self.present() {
            None => gone(what, format!("no Namespace has uid {}", self.uid)),
            Some(namespace) => blocked(what, namespace_blocker(namespace)),
        }
    }

    fn pod_items(&self) -> Vec<ReceiptItem> {
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

    fn claim_items(&self) -> Vec<ReceiptItem> {
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

    fn volume_items(&self) -> Vec<ReceiptItem> {
        if self.claimed.is_empty() {
            return Vec::new();
        }
        if !self.volumes.is_ready() {
            return vec![blocked("PersistentVolumes", self.unknown())];
        }
        let mut items: Vec<_> = self.volumes_left().map(volume_item).collect();
        let is_gone = |name: &String| self.volumes.get(name).is_none();
        let those_gone = self.volumes_seen.iter().filter(|(name, _)| is_gone(name));
        items.extend(those_gone.map(|(name, claim)| {
            let what = format!("PersistentVolume/{name}");
            gone(what, format!("no volume is of claim {claim}"))
        }));
        if items.is_empty() {
            let proof = "no volume is of one of the claims";
            items.push(gone("PersistentVolumes", proof));
        }
        items
    }

    fn unknown(&self) -> String {
        match &self.hiccup {
            Some(reason) => format!("not known: the watch was interrupted: {reason}"),
            None => "not known: the cluster did not tell in time".to_owned(),
        }
    }
}

/// The volumes whose claim is one of those noted, with its uid.
fn ours<'a>(
    volumes: &'a Store<PersistentVolume>,
    claimed: &'a BTreeMap<Uid, Option<String>>,
) -> impl Iterator<Item = (&'a PersistentVolume, Uid)> {
    volumes.values().filter_map(|volume| {
        let claim = volume.spec.as_ref()?.claim_ref.as_ref()?;
        let uid: Uid = claim.uid.as_deref()?.parse().ok()?;
        claimed.contains_key(&uid).then_some((volume, uid))
    })
}

fn is_retained(volume: &PersistentVolume) -> bool {
    let policy = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    policy == Some("Retain")
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
        parts.push("it waits for its pods, claims and volumes".to_owned());
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
        by_finalizers(finalizers)
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

fn volume_item(volume: &PersistentVolume) -> ReceiptItem {
    let what = format!("PersistentVolume/{}", volume.name_any());
    if is_retained(volume) {
        let reason = "its reclaim policy is Retain; delete it when its data is not needed any more";
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
