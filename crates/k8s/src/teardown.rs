//! Taking a preview down, and proving that it is gone.

use std::collections::BTreeSet;
use std::time::Duration;

use backon::BackoffBuilder as _;
use futures::stream::{BoxStream, SelectAll, StreamExt as _};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, Pod};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, ResourceExt as _};
use kube::runtime::watcher::Config;
use preview_core::cleanup::RetainedVolumes;
use preview_core::finalizers;
use preview_core::names::{Fence, NamespaceName, Uid};
use preview_core::objects::{Kind, NamespaceFacts, ObjectName};
use preview_core::outcome::ReceiptItem;
use preview_core::ownership::{Owner, keys};
use tokio::time::Instant;

use crate::call::{Operation, pauses};
use crate::cluster::Cluster;
use crate::error::Error;
use crate::facts::namespace_facts;
use crate::kinds::CUSTOM;
use crate::namespaces::NamespaceChange;
use crate::receipt::{Receipt, blocked};
use crate::remains::{Remains, Seen, noted};
use crate::watch::{Failure, Hiccup, Outcome, watch};

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
    /// read, then its VolumeSnapshotContents, watches until pods, claims, volumes and those contents are gone, takes our
    /// finalizer off and watches until the Namespace is gone too. What a teardown that died left half done is gone on
    /// with; a Namespace that is gone already has a receipt as well. Nothing is removed by force: what is still there at
    /// the deadline is on the receipt, with the object and finalizer that block it.
    ///
    /// Volumes that their own policy keeps are named, and not waited for; where `retained` says so, they are deleted and
    /// waited for as all others.
    ///
    /// Where a content has another deletion policy than `Retain`, nothing is deleted, the Namespace neither: its
    /// VolumeSnapshot would go with it, and with that the golden snapshot at the storage.
    ///
    /// # Errors
    /// When the Namespace is not `owner`'s, or the cluster cannot be asked, or refuses.
    pub async fn tear_down(
        &self,
        owner: &Owner,
        read: &NamespaceFacts,
        retained: RetainedVolumes,
        deadline: std::time::Instant,
    ) -> Result<TearDown, Error> {
        let operation = self.operation(format!("tear down Namespace/{}", read.name));
        let mut remains = Remains::new(read, owner, retained);
        match self.condemn(&operation, owner, read, &mut remains).await? {
            Condemned::Yes => {}
            Condemned::Superseded(by) => return Ok(TearDown::Superseded { by }),
            Condemned::Kept(receipt) => return Ok(TearDown::Done(receipt)),
        }
        let deadline = Instant::from_std(deadline);
        self.await_gone(&operation, &mut remains, deadline).await?;
        Ok(TearDown::Done(self.receipt(&remains).await))
    }

    /// Notes the claims and asks for the deletion.
    async fn condemn(
        &self,
        operation: &Operation,
        owner: &Owner,
        read: &NamespaceFacts,
        remains: &mut Remains,
    ) -> Result<Condemned, Error> {
        owner.check(read)?;
        let contents = self.contents(owner, &read.name).await?;
        let kept = remains.expect(contents.as_deref());
        let mut pauses = pauses().build();
        for attempt in 1.. {
            let now = self.namespace_within(operation, &read.name).await?;
            let Some(now) = now.filter(|now| now.uid == read.uid) else {
                return Ok(Condemned::Yes);
            };
            owner.check(&now)?;
            if !now.terminating && (now.fence(), now.head()) != (read.fence(), read.head()) {
                return Ok(Condemned::Superseded(now.fence()));
            }
            if let Some(receipt) = kept.clone().filter(|_| !now.terminating) {
                return Ok(Condemned::Kept(receipt));
            }
            let noted = self.note_claims(now, remains).await?;
            let condemned = match noted {
                Some(noted) if noted.terminating => true,
                Some(noted) => self.delete_namespace(&noted).await?,
                None => false,
            };
            if condemned {
                return Ok(Condemned::Yes);
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
        let mut events = self.watch_remains(remains);
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
            if !remains.is_known() {
                continue;
            }
            self.delete_contents(remains).await?;
            self.delete_volumes(remains).await?;
            if !remains.is_emptied() {
                continue;
            }
            match remains.present() {
                None => return Ok(()),
                Some(namespace) => self.release(namespace).await?,
            }
        }
        Ok(())
    }

    fn watch_remains(&self, remains: &Remains) -> SelectAll<BoxStream<'static, Outcome<Seen>>> {
        let namespace = &remains.namespace;
        let client = || self.client.clone();
        let this = Config::default().fields(&format!("metadata.name={namespace}"));
        let within = namespace.as_str();
        let namespaces = watch(self.namespace_api(), this);
        let pods = watch(Api::namespaced(client(), within), Config::default());
        let claims = watch(Api::namespaced(client(), within), Config::default());
        let volumes = watch(Api::all(client()), Config::default());
        let mut all = futures::stream::select_all([
            boxed(namespaces, Seen::Namespace),
            boxed(pods, Seen::Pod),
            boxed(claims, Seen::Claim),
            boxed(volumes, Seen::Volume),
        ]);
        if let Some(selector) = remains.contents_selector() {
            let contents = self.api(Kind::VolumeSnapshotContent, namespace);
            let contents = watch(contents, Config::default().labels(&selector));
            all.push(boxed(contents, Seen::Content));
        }
        all
    }

    /// Asks for the deletion of the contents that may go, as they were seen: a newer version brings an event, and with
    /// it the next attempt.
    async fn delete_contents(&self, remains: &mut Remains) -> Result<(), Error> {
        let contents = remains.contents_to_delete();
        if contents.is_empty() {
            return Ok(());
        }
        let namespace = &remains.namespace;
        let operation = self.operation(format!("delete VolumeSnapshotContents of {namespace}"));
        // A preview that was made afresh under this name since may own what the watch has shown.
        let now = self.namespace_within(&operation, namespace).await?;
        if now.is_some_and(|now| now.uid != remains.uid) {
            return Ok(());
        }
        for content in contents {
            let name = ObjectName::new(Kind::VolumeSnapshotContent, content.name_any());
            self.delete(&operation, namespace, &name, &content).await?;
        }
        Ok(())
    }

    /// Asks for the deletion of the volumes that their policy keeps and we do not, as they were seen.
    async fn delete_volumes(&self, remains: &mut Remains) -> Result<(), Error> {
        let api = Api::<PersistentVolume>::all(self.client.clone());
        for volume in remains.volumes_to_delete() {
            let operation =
                self.operation(format!("delete PersistentVolume/{}", volume.name_any()));
            let how = DeleteParams::default();
            self.delete_as_read(&operation, &api, &volume.metadata, how)
                .await?;
        }
        Ok(())
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
        items.extend(remains.content_items());
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

/// Whether the Namespace is on its way out.
enum Condemned {
    /// It is, or it is gone.
    Yes,
    /// Another run was faster: which, as far as the Namespace tells.
    Superseded(Option<Fence>),
    /// It is not, since its end would destroy what is not the preview's.
    Kept(Receipt),
}

fn held(kind: Kind, object: &DynamicObject) -> Option<ReceiptItem> {
    let finalizers = object.finalizers();
    (!finalizers.is_empty()).then(|| {
        blocked(
            ObjectName::new(kind, object.name_any()).to_string(),
            finalizers::told(finalizers),
        )
    })
}

fn boxed<E: Send + 'static>(
    events: BoxStream<'static, Outcome<E>>,
    seen: fn(Box<E>) -> Seen,
) -> BoxStream<'static, Outcome<Seen>> {
    events
        .map(move |event| event.map(|event| seen(Box::new(event))))
        .boxed()
}
