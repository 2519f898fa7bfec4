//! The rules of previews and of promotion.
//!
//! Pure: no async, no IO, no environment, no clock, no randomness. Adapters observe facts and put them into the types
//! of this crate; its functions decide, and the binaries carry out what was decided.

pub mod alert;
pub mod approvals;
pub mod attestation;
pub mod branches;
pub mod causes;
pub mod checks;
pub mod cleanup;
pub mod commands;
pub mod comment;
pub mod commits;
pub mod config;
pub mod database;
pub mod deploy;
pub mod deployments;
pub mod doctor;
pub mod finalizers;
pub mod health;
pub mod import;
pub mod labels;
pub mod layout;
pub mod leftovers;
pub mod lifecycle;
pub mod lifetime;
pub mod manifests;
pub mod markdown;
pub mod metrics;
pub mod names;
pub mod objects;
pub mod outcome;
pub mod ownership;
pub mod paths;
pub mod plan;
pub mod previews;
pub mod promote;
pub mod pulls;
pub mod quota;
pub mod record;
pub mod redaction;
pub mod rights;
#[cfg(feature = "schema")]
mod schema;
pub mod slots;
pub mod snapshot;
pub mod summary;
pub mod sweep;
mod table;
pub mod tls;
pub mod yaml;

pub use names::{
    BlobSha, CommitSha, ComponentName, Digest, Fence, Host, ImageName, NamespaceName, NotA,
    PinnedImage, PrNumber, RepositoryId, RepositorySlug, Subject, TargetName, TreeSha, Uid,
};
