//! A Kubernetes cluster of one node, in memory: the API as v1.36 behaves, its controllers, and containers that do what
//! they are told.
//!
//! Modelled, and compared with a real v1.36:
//! - get, list, watch (selectors, bookmarks, 410), create, update, server-side apply with field ownership, its dry run,
//!   merge patch, delete with preconditions, of the kinds listed in `kinds.rs`; the fields of those kinds are all of v1.36's.
//! - namespaces: 404 and 403 for what is written into an absent or a terminating one; their end, and finalizers.
//! - who the account is and whether it may do something (SelfSubjectReview, SelfSubjectAccessReview).
//! - discovery; kinds of Gateway API and of volume snapshots where they are installed, with the defaults of their
//!   definitions.
//! - admission by ResourceQuota, LimitRange and Pod Security at `baseline`; defaults; what may not change.
//! - Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs, garbage collection, claims and their volumes.
//! - pods: scheduling by requests and claims, image pulls from a known registry, init containers, restarts with
//!   back-off, ConfigMaps and Secrets that are missing, logs, events of what goes wrong.
//! - pages of Services through the API server's proxy, and over TLS through a front door that obeys Ingresses.
//!
//! Waits are shorter than on a real cluster: a step of a container takes some milliseconds, a back-off begins at 20 ms,
//! a pod ends a few milliseconds after its deletion, a namespace as soon as it is empty.
//!
//! Not modelled, and refused with `501`: other kinds (Nodes, EndpointSlices, ControllerRevisions,
//! RBAC, …), which discovery does not list either; aggregated discovery; JSON patches, strategic merge
//! patches and YAML; dry runs of anything but an apply; deleting collections; foreground deletion; lists in pages;
//! following a log; other subresources than `status` (by merge patch), `log` and `proxy` (GET); quotas with scopes and of what is not counted; LimitRanges of other types than Container; Pod Security
//! at `restricted`.
//!
//! Not modelled, and silent:
//! - RBAC and other policies: whoever has the token may do everything that a test did not forbid.
//! - of Pod Security's `baseline` all but host namespaces, host paths, host ports, privileged containers and added
//!   capabilities.
//! - ownership (`managedFields`) of what controllers write: it has no owner.
//! - CronJobs make no Jobs. NetworkPolicies and probes are stored only: whether a container is ready is
//!   told ([`Behaviour`]). Taints, affinity, priorities, disruption budgets, `minReadySeconds`,
//!   `revisionHistoryLimit`.
//! - events, save warnings and the completion of Jobs; an event that is the same again is not counted.
//! - finalizers of a Job's pods (`batch.kubernetes.io/job-tracking`) and the default token volume of pods.
//! - validation beyond names, labels, required fields, amounts, selectors, mounts, NetworkPolicies and immutable fields; of
//!   Gateway API also patterns, enumerations and rules (CEL), of volume snapshots patterns.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use sandbox::cluster::{Behaviour, Cluster};
//!
//! let cluster = Cluster::start().await?;
//! let crash = Behaviour::Crash { exit_code: 3, log: vec!["no database".to_owned()] };
//! cluster.behave("example/api", crash);
//! cluster.write_kubeconfig(std::path::Path::new("/tmp/kubeconfig"))?;
//! # Ok(())
//! # }
//! ```

use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::server::Server;

mod access;
mod api;
mod apply;
mod behaviour;
mod clients;
mod controllers;
mod defaults;
mod discovery;
mod environment;
mod fields;
mod front_door;
mod images;
mod kinds;
mod managers;
mod network_policy;
mod node;
mod people;
mod pods;
mod proxy;
mod quantity;
mod quota;
mod refusal;
mod schema;
mod security;
mod seen;
mod selectors;
mod snapshots;
mod state;
mod store;
mod time;
mod validate;
mod watch;
mod write;

pub use behaviour::{Behaviour, Reply, Responder, Visit};
pub use front_door::FrontDoor;
pub use kinds::kinds;
pub use seen::SeenPod;

use state::State;

/// A handle on the server; the server ends with its last handle.
#[derive(Clone, Debug)]
pub struct Cluster {
    server: Arc<Server>,
    state: Arc<Mutex<State>>,
    _controllers: Arc<Controllers>,
}

/// The controllers' task; ends when dropped.
#[derive(Debug)]
struct Controllers(JoinHandle<()>);

impl Drop for Controllers {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Cluster {
    /// Starts the server on a free loopback port, with the namespaces `default` and `kube-system` and a default
    /// StorageClass.
    ///
    /// # Errors
    /// When no loopback port can be bound.
    pub async fn start() -> std::io::Result<Self> {
        let listener = Server::bind().await?;
        let state = Arc::new(Mutex::new(State::new()));
        let router = Router::new()
            .fallback(api::serve)
            .with_state(Arc::clone(&state));
        let cluster = Self {
            server: Arc::new(Server::serve(listener, router)?),
            _controllers: Arc::new(Controllers(tokio::spawn(controllers::run(Arc::clone(
                &state,
            ))))),
            state,
        };
        for namespace in ["default", "kube-system"] {
            cluster
                .create_namespace(namespace)
                .map_err(std::io::Error::other)?;
        }
        let default = json!({ "storageclass.kubernetes.io/is-default-class": "true" });
        let class = json!({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": { "name": defaults::STORAGE_CLASS, "annotations": default },
            "provisioner": "kubernetes.io/host-path",
        });
        cluster
            .create("kubectl-create", class)
            .map_err(std::io::Error::other)?;
        Ok(cluster)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        api::lock(&self.state)
    }

    /// The server's base URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The base URL of another way to the server, behind `gate`: for [`Self::kubeconfig_at`].
    ///
    /// # Errors
    /// When no loopback port can be bound.
    pub async fn through(&self, gate: &crate::Gate) -> std::io::Result<String> {
        self.server.through(gate).await
    }

    /// The log of exchanges, and the place to plan faults.
    #[must_use]
    pub fn traffic(&self) -> crate::Traffic {
        self.server.traffic.clone()
    }

    /// The token of the one account, which may do everything.
    #[must_use]
    pub fn token(&self) -> String {
        self.state().token.clone()
    }

    /// A kubeconfig of that account.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig_at(&self.url())
    }

    /// A kubeconfig of that account for a way to the server.
    #[must_use]
    pub fn kubeconfig_at(&self, url: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: sandbox\n\
             clusters:\n- name: sandbox\n  cluster:\n    server: {}\n\
             users:\n- name: sandbox\n  user:\n    token: {}\n\
             contexts:\n- name: sandbox\n  context:\n    cluster: sandbox\n    user: sandbox\n",
            url,
            self.token()
        )
    }

    /// Writes [`Self::kubeconfig`] to a file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_kubeconfig(&self, path: &std::path::Path) -> std::io::Result<()> {
        std::fs::write(path, self.kubeconfig())
    }
}
