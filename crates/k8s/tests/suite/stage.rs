//! Where a story happens: a namespace of its own, us, and a person with rights of their own.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolume};
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, ResourceExt as _,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use preview_core::health::Rollout;
use preview_core::names::{Fence, NamespaceName, PinnedImage, RepositoryId};
use preview_core::objects::{Kind, Manifest, NamespaceFacts, ObjectName};
use preview_core::ownership::{Claimant, Owner, keys};
use preview_k8s::{Change, Cluster, Fenced, NamespaceChange, Settings};
use serde_json::{Value, json};
use tokio::sync::{OnceCell, Semaphore};

/// Whose previews the stories are.
pub(crate) const REPOSITORY: RepositoryId = RepositoryId(990_001);

/// A cluster that runs containers, with an account that may do everything.
pub(crate) struct Backend {
    pub(crate) kubeconfig: PathBuf,
    /// Two images that run, differ, and answer `alive` at `/healthz` on port 8080.
    pub(crate) images: [PinnedImage; 2],
    /// What to write in a pod template to have a container of some behaviour.
    pub(crate) containers: BTreeMap<Behaviour, Value>,
    /// After this time, what can happen by itself has happened.
    pub(crate) moment: Duration,
    /// Keeps servers of this process alive.
    pub(crate) _servers: Option<Box<dyn Any + Send + Sync>>,
}

/// What a container does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Behaviour {
    /// It runs until it is told to end.
    Runs,
    /// It runs, but never passes its readiness probe.
    NeverReady,
    /// It prints `cannot reach the database` and ends with exit code 3.
    Crashes,
    /// It prints `cannot log in with` and its variable `PASSWORD`, and ends with exit code 3.
    Blabs,
    /// It uses more memory than its limit.
    Hungry,
    /// It ends well.
    Succeeds,
    /// Its image is not in the registry.
    Absent,
}

/// Stories at the same time: a real node is small.
static ROOM: Semaphore = Semaphore::const_new(4);

/// Plays one story, and cleans up after it however it ends.
pub(crate) async fn play(backend: impl AsyncFn() -> Backend, story: impl AsyncFn(&Stage)) {
    let _room = ROOM.acquire().await.unwrap();
    let stage = Stage::on(backend().await).await;
    let outcome = AssertUnwindSafe(story(&stage)).catch_unwind().await;
    clean_up(&stage.person, stage.namespace.as_str()).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// A namespace's name of its own on the backend, us, and a person.
pub(crate) struct Stage {
    pub(crate) backend: Backend,
    pub(crate) us: Cluster,
    /// Somebody else with rights on the cluster, who is no program of ours.
    pub(crate) person: Client,
    pub(crate) namespace: NamespaceName,
    pub(crate) claimant: Claimant,
}

impl Stage {
    async fn on(backend: Backend) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        static CLEAN: OnceCell<()> = OnceCell::const_new();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let person = person(&backend.kubeconfig).await;
        if Path::new("/proc/self").exists() {
            CLEAN.get_or_init(|| clear_dead_runs(&person)).await;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("suite-{}-{number}", std::process::id());
        let settings = Settings {
            kubeconfig: Some(backend.kubeconfig.clone()),
            ..Settings::inferred("preview-suite")
        };
        Self {
            us: Cluster::connect(settings).await.unwrap(),
            person,
            namespace: namespace.parse().unwrap(),
            claimant: Claimant {
                owner: Owner {
                    repository: REPOSITORY,
                    subject: format!("pr-{number}").parse().unwrap(),
                },
                repository: "acme/shop".parse().unwrap(),
                head: "1".repeat(40).parse().unwrap(),
                fence: Fence {
                    run: 100,
                    attempt: 1,
                },
            },
            backend,
        }
    }

    /// The Namespace as a deploy makes it.
    pub(crate) fn manifest(&self) -> Manifest {
        let labels = self.claimant.owner.labels();
        let metadata = json!({ "metadata": {
            "name": self.namespace,
            "labels": labels,
            "annotations": self.claimant.annotations(),
            "finalizers": [keys::FINALIZER],
        }});
        Manifest::new(Kind::Namespace, self.namespace.as_str(), &labels, metadata)
    }

    pub(crate) async fn create(&self) -> NamespaceFacts {
        let made = self.us.create_namespace(self.manifest()).await.unwrap();
        made.expect("no namespace of that name is there yet")
    }

    pub(crate) async fn read(&self) -> NamespaceFacts {
        let found = self.us.namespace(&self.namespace).await.unwrap();
        found.expect("the namespace is there")
    }

    /// The next run for the same head.
    pub(crate) fn newer(&self) -> Claimant {
        let mut newer = self.claimant.clone();
        newer.fence.run += 1;
        newer
    }

    /// The next run takes the preview over.
    pub(crate) async fn take_over(&self) -> Claimant {
        let newer = self.newer();
        let change = NamespaceChange::annotate(newer.annotations());
        let changed = self.us.change_namespace(&self.read().await, &change).await;
        changed.unwrap().expect("nobody else changes it");
        newer
    }

    pub(crate) async fn try_apply(
        &self,
        wave: Vec<Manifest>,
    ) -> preview_k8s::Result<Fenced<Vec<(ObjectName, Change)>>> {
        self.us.apply(&self.claimant, &self.namespace, wave).await
    }

    /// Applies, and tells what that did to each object.
    pub(crate) async fn apply(&self, wave: Vec<Manifest>) -> Vec<Change> {
        match self.try_apply(wave).await.unwrap() {
            Fenced::Done(done) => done.into_iter().map(|(_, change)| change).collect(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn rollout(&self, workload: &ObjectName, within: Duration) -> Rollout {
        let verdicts = self
            .us
            .await_rollout(
                &self.namespace,
                std::slice::from_ref(workload),
                Instant::now() + within,
                |_, _| {},
            )
            .await
            .unwrap();
        verdicts.into_iter().next().unwrap().1
    }

    pub(crate) async fn object(&self, kind: Kind, name: &str) -> Option<Value> {
        let name = ObjectName::new(kind, name);
        self.us.object(&self.namespace, &name).await.unwrap()
    }

    /// The text without what differs from run to run.
    pub(crate) fn told(&self, text: impl std::fmt::Display) -> String {
        let text = text.to_string();
        let text = text.replace(self.namespace.as_str(), "NAMESPACE");
        text.replace(self.us.server(), "SERVER")
    }

    pub(crate) fn container(&self, behaviour: Behaviour) -> Value {
        let mut container = self.backend.containers[&behaviour].clone();
        container["name"] = json!("main");
        container
    }

    pub(crate) fn deployment(&self, name: &str, behaviour: Behaviour) -> Manifest {
        deployment(name, self.container(behaviour))
    }

    pub(crate) fn job(&self, name: &str, behaviour: Behaviour) -> Manifest {
        let spec = json!({
            "backoffLimit": 0,
            "template": { "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
                "containers": [self.container(behaviour)],
            }},
        });
        manifest(Kind::Job, name, json!({ "spec": spec }))
    }
}

pub(crate) fn manifest(kind: Kind, name: &str, fields: Value) -> Manifest {
    Manifest::new(kind, name, &BTreeMap::new(), fields)
}

pub(crate) fn deployment(name: &str, container: Value) -> Manifest {
    let labels = json!({ "app": name });
    let spec = json!({
        "replicas": 1,
        "selector": { "matchLabels": labels },
        "template": {
            "metadata": { "labels": labels },
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [container],
            },
        },
    });
    manifest(Kind::Deployment, name, json!({ "spec": spec }))
}

pub(crate) fn config_map(name: &str, greeting: &str) -> Manifest {
    let data = json!({ "data": { "greeting": greeting } });
    manifest(Kind::ConfigMap, name, data)
}

pub(crate) fn volume_claim(name: &str) -> Manifest {
    let spec = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": { "requests": { "storage": "8Mi" } },
    });
    manifest(Kind::PersistentVolumeClaim, name, json!({ "spec": spec }))
}

async fn person(kubeconfig: &Path) -> Client {
    let read = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(read, &options).await;
    Client::try_from(config.unwrap()).unwrap()
}

/// Removes the namespaces of runs that died before they could.
async fn clear_dead_runs(person: &Client) {
    let params = ListParams::default().labels(&format!("{}={REPOSITORY}", keys::REPOSITORY_ID));
    let all = Api::<Namespace>::all(person.clone());
    for namespace in all.list(&params).await.unwrap() {
        let name = namespace.name_any();
        let run = name
            .strip_prefix("suite-")
            .and_then(|rest| rest.split('-').next());
        let lives = run.is_some_and(|process| Path::new("/proc").join(process).exists());
        if !lives {
            clean_up(person, &name).await;
        }
    }
}

/// Asks for the deletion of a namespace that is a story's, and takes off what would hold it.
async fn clean_up(person: &Client, namespace: &str) {
    let none = json!({ "metadata": { "finalizers": null } });
    let (none, params) = (Patch::Merge(none), PatchParams::default());
    let config_maps = Api::<ConfigMap>::namespaced(person.clone(), namespace);
    if let Ok(list) = config_maps.list(&ListParams::default()).await {
        for held in list
            .items
            .iter()
            .filter(|object| !object.finalizers().is_empty())
        {
            let _ = config_maps.patch(&held.name_any(), &params, &none).await;
        }
    }
    // What lies in no namespace is named as the story's, or is for it.
    let volumes = Api::<PersistentVolume>::all(person.clone());
    let _ = volumes.delete(namespace, &DeleteParams::default()).await;
    let contents = contents(person);
    if let Ok(list) = contents.list(&ListParams::default()).await {
        let of = |content: &DynamicObject| {
            content.data["spec"]["volumeSnapshotRef"]["namespace"] == namespace
        };
        for content in list.items.iter().filter(|content| of(content)) {
            let name = content.name_any();
            let _ = contents.patch(&name, &params, &none).await;
            let _ = contents.delete(&name, &DeleteParams::default()).await;
        }
    }
    let namespaces = Api::<Namespace>::all(person.clone());
    let _ = namespaces.patch(namespace, &params, &none).await;
    let _ = namespaces.delete(namespace, &DeleteParams::default()).await;
}

const SNAPSHOTS: &str = "snapshot.storage.k8s.io";

/// The VolumeSnapshotContents of the cluster.
pub(crate) fn contents(person: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(SNAPSHOTS, "v1", "VolumeSnapshotContent");
    let resource = ApiResource::from_gvk_with_plural(&kind, "volumesnapshotcontents");
    Api::all_with(person.clone(), &resource)
}

/// The VolumeSnapshots of a namespace.
pub(crate) fn snapshots(person: &Client, namespace: &NamespaceName) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(SNAPSHOTS, "v1", "VolumeSnapshot");
    let resource = ApiResource::from_gvk_with_plural(&kind, "volumesnapshots");
    Api::namespaced_with(person.clone(), namespace.as_str(), &resource)
}
