//! The adapter to GitHub: pull requests, commits, the comment, labels, deployments, statuses, and event payloads.
//!
//! [octocrab] is the transport and nothing more: what is asked, how answers are read, and when a request is repeated
//! is decided here. Its models demand dozens of fields; ours are the few that we read. Its retry repeats POSTs blindly;
//! ours never does (see [`GitHub`]). No type of octocrab is public.
//!
//! A client needs a rustls crypto provider: call `rustls::crypto::ring::default_provider().install_default()` once in
//! `main`.
//!
//! [octocrab]: https://docs.rs/octocrab

mod answer;
mod attestations;
mod call;
mod client;
mod comments;
mod commits;
mod deployments;
mod error;
pub mod event;
mod files;
mod known;
mod labels;
mod merges;
mod packages;
mod people;
mod pulls;
mod records;
mod settings;
mod standing;
mod statuses;
mod text;
mod transport;
mod workflows;

pub use client::{GitHub, Settings};
pub use comments::{COMMENT_BUDGET, Change, Comment, CommentOutcome};
pub use commits::Brought;
pub use deployments::{
    Deployment, DeploymentFilter, DeploymentId, DeploymentRequest, DeploymentState,
    DeploymentStatus, NewDeploymentStatus, NodeId,
};
pub use error::{Error, Problem};
pub use labels::LabelChanges;
pub use packages::{Package, PackageVersion};
pub use people::Reaction;
pub use standing::{ActiveDeployment, CarriedLabel, Standing};
pub use statuses::{CommitState, CommitStatus};
pub use workflows::Cancelling;
