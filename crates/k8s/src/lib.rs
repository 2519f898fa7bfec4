//! Adapter to Kubernetes: observes a cluster in the core's facts, and carries out what was decided.
//!
//! Everything takes and returns types of `preview-core`; no kube type is public. Every write of an existing object is
//! conditional on the uid and resourceVersion of a read, and what belongs to a preview is written through the *fence*
//! ([`Cluster::apply`]). Reads and idempotent writes are repeated while the server is not itself, within the limits of
//! [`Timeouts`].
//!
//! A program that uses this crate installs a rustls provider before [`Cluster::connect`].

mod access;
mod apply;
mod call;
mod certificate;
mod classes;
mod cluster;
mod contents;
mod discovery;
mod dry_run;
mod error;
mod evidence;
mod facts;
mod fence;
mod in_use;
mod kinds;
mod lease;
mod leftovers;
mod namespaces;
mod objects;
mod page;
mod prune;
mod quotas;
mod receipt;
mod remains;
mod remove;
mod requests;
mod rollout;
mod sleep;
mod snapshot;
mod stuck;
mod target;
mod target_job;
mod teardown;
mod watch;
mod world;

pub use apply::Change;
pub use cluster::{Cluster, Settings, Timeouts};
pub use dry_run::DryRun;
pub use error::Error;
pub use fence::Fenced;
pub use in_use::{InUse, PodInUse};
pub use lease::{Bid, HeldLease, LeaseFacts, Take};
pub use namespaces::NamespaceChange;
pub use objects::VolumeClaim;
pub use page::Page;
pub use receipt::Receipt;
pub use rollout::RolloutWatch;
pub use target::{TargetContainer, TargetFacts, Written};
pub use target_job::Errand;
pub use teardown::TearDown;

/// What this adapter's operations return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
