//! What taking a preview down takes along.

use serde::Deserialize;

use crate::cleanup::RetainedVolumes;

/// What taking a preview down takes along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanupSettings {
    /// What becomes of volumes that their own policy keeps.
    pub retained_volumes: RetainedVolumes,
}

/// What taking a preview down takes along.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct CleanupFile {
    /// Whether PersistentVolumes whose reclaim policy is `Retain` are deleted, too. The storage behind them stays with
    /// whoever provides it, and without its volume nothing in the cluster tells whose it was.
    #[serde(default)]
    pub(super) delete_retained_volumes: bool,
}

pub(super) fn cleanup(written: &CleanupFile) -> CleanupSettings {
    let retained_volumes = match written.delete_retained_volumes {
        true => RetainedVolumes::Go,
        false => RetainedVolumes::Stay,
    };
    CleanupSettings { retained_volumes }
}
