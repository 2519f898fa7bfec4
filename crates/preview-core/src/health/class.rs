//! What kinds of failure there are, and who can do something about each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What went wrong, in the words of who can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
    /// An image cannot be pulled.
    Image,
    /// A container ends by itself.
    Crash,
    /// A container used more memory than its limit.
    OutOfMemory,
    /// A container cannot be made as configured: a missing ConfigMap, Secret or key.
    Configuration,
    /// The namespace's quota or a policy keeps pods from being created.
    Quota,
    /// No node can take a pod.
    Scheduling,
    /// A volume is not provided, or cannot be mounted.
    Volume,
    /// A container runs and never passes its readiness probe.
    Probe,
    /// The migration Job failed.
    Migration,
    /// The database does not come up.
    Database,
    /// The page does not answer as it should.
    Check,
    /// The page answers within the cluster, and what leads to it from outside does not.
    Route,
    /// The deadline came first.
    Timeout,
    /// GitHub did not do what it was asked.
    #[serde(rename = "github")]
    GitHub,
    /// The registry did not do what it was asked.
    Registry,
    /// The cluster did not do what it was asked.
    Cluster,
    /// The machine that the run is on failed, or somebody stopped the run there.
    Runner,
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "image cannot be pulled",
            Self::Crash => "container crashes",
            Self::OutOfMemory => "out of memory",
            Self::Configuration => "configuration is broken",
            Self::Quota => "quota or policy rejects pods",
            Self::Scheduling => "pod cannot be scheduled",
            Self::Probe => "never becomes ready",
            Self::Migration => "migration failed",
            Self::Database => "database does not come up",
            Self::Check => "page does not answer",
            Self::Route => "route does not lead to the page",
            Self::Volume => "volume cannot be used",
            Self::Timeout => "deadline exceeded",
            Self::GitHub => "GitHub failed",
            Self::Registry => "registry failed",
            Self::Cluster => "cluster failed",
            Self::Runner => "run was broken off",
        })
    }
}

/// Who can do something about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// Whoever wrote the change: the code is at fault.
    Author,
    /// Whoever runs the cluster and its configuration: another change would fail alike.
    Operator,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Author => "author",
            Self::Operator => "operator",
        })
    }
}

impl FailureClass {
    /// What stands above [`Failure::log`](super::Failure::log) where people read it.
    #[must_use]
    pub const fn log_heading(self) -> &'static str {
        match self {
            Self::Check | Self::Route => "What it answered begins:",
            _ => "The last lines it printed:",
        }
    }

    /// Who has to act.
    ///
    /// An image is the operator's: before it is deployed the registry was seen to have all of it, so it is the node
    /// that cannot pull. Configuration is too: it comes from the base branch.
    #[must_use]
    pub const fn actor(self) -> Actor {
        match self {
            Self::Crash | Self::OutOfMemory | Self::Probe | Self::Migration | Self::Check => {
                Actor::Author
            }
            Self::Image
            | Self::Configuration
            | Self::Quota
            | Self::Scheduling
            | Self::Volume
            | Self::Database
            | Self::Route
            | Self::Timeout
            | Self::GitHub
            | Self::Registry
            | Self::Cluster
            | Self::Runner => Actor::Operator,
        }
    }
}

/// An error of something outside, which knows what kind of failure it is: whoever reads it need not guess from its text
/// whether GitHub, the registry or the cluster is to be looked at.
pub trait Classified: fmt::Display {
    /// The kind.
    fn class(&self) -> FailureClass;
}
