//! What taking a preview down takes along.

use serde::Deserialize;

use super::error::{ConfigError, Source};
use super::slots::workflow_file;
use crate::cleanup::RetainedVolumes;

/// What taking a preview down takes along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanupSettings {
    /// The file name of the workflow that is started, by `workflow_dispatch`, where somebody asks for the end of a preview.
    /// Its inputs are `pr` and `force`.
    pub workflow: String,
    /// What becomes of volumes that their own policy keeps.
    pub retained_volumes: RetainedVolumes,
}

/// What taking a preview down takes along.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct CleanupFile {
    /// The file name of the workflow that takes previews down: it is started, by `workflow_dispatch` on the default branch,
    /// where a comment says `/preview destroy`. It takes the inputs `pr` and `force`.
    #[serde(default = "workflow")]
    pub(super) workflow: String,
    /// Whether PersistentVolumes whose reclaim policy is `Retain` are deleted, too. The storage behind them stays with
    /// whoever provides it, and without its volume nothing in the cluster tells whose it was.
    #[serde(default)]
    pub(super) delete_retained_volumes: bool,
}

impl Default for CleanupFile {
    fn default() -> Self {
        Self {
            workflow: workflow(),
            delete_retained_volumes: false,
        }
    }
}

fn workflow() -> String {
    "preview-cleanup.yml".to_owned()
}

pub(super) fn cleanup(
    source: &Source<'_>,
    written: CleanupFile,
) -> Result<CleanupSettings, ConfigError> {
    workflow_file(
        source,
        &["cleanup", "workflow"],
        &written.workflow,
        &workflow(),
    )?;
    let retained_volumes = match written.delete_retained_volumes {
        true => RetainedVolumes::Go,
        false => RetainedVolumes::Stay,
    };
    Ok(CleanupSettings {
        workflow: written.workflow,
        retained_volumes,
    })
}
