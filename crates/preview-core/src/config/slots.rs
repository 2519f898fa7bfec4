//! How many previews there may be at once, and who is started when one has gone.

use serde::Deserialize;

use super::error::{ConfigError, Source};
use super::read::check;

/// Which previews `capacity` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum CapacityOf {
    /// Those of this repository.
    #[default]
    Repository,
    /// All on the cluster, whichever repository they are of. Every repository must say the same.
    Cluster,
}

/// What happens to previews that wait for a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// The file name of the workflow that is started, by `workflow_dispatch`, for the preview whose turn it is. Its inputs
    /// are `pr` and `sha`, or `commit`.
    pub workflow: String,
}

/// What happens to previews that wait for a slot.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct QueueFile {
    /// The file name of the workflow that deploys a preview: it is started, by `workflow_dispatch` on the default branch,
    /// for the one whose turn it is. It takes the inputs `pr` and `sha`, or `commit`.
    #[serde(default = "workflow")]
    pub(super) workflow: String,
}

impl Default for QueueFile {
    fn default() -> Self {
        Self {
            workflow: workflow(),
        }
    }
}

/// What a sweep may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepSettings {
    /// How many previews one sweep may destroy; unless told 5, or half of all where that is more.
    pub limit: Option<u32>,
}

/// What `preview-cleanup sweep` may do.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct SweepFile {
    /// How many previews one sweep may destroy. Where more are to go, it stops there and fails, for somebody to look
    /// whether that is right. Unless told, 5, or half of all previews where that is more.
    pub(super) limit: Option<u32>,
}

pub(super) fn sweep(written: SweepFile) -> SweepSettings {
    let SweepFile { limit } = written;
    SweepSettings { limit }
}

fn workflow() -> String {
    "preview-deploy.yml".to_owned()
}

pub(super) fn queue(source: &Source<'_>, written: QueueFile) -> Result<QueueSettings, ConfigError> {
    let QueueFile { workflow: file } = written;
    workflow_file(source, &["queue", "workflow"], &file, &workflow())?;
    Ok(QueueSettings { workflow: file })
}

/// Refuses what is no file name of a workflow, such as `example`.
pub(super) fn workflow_file(
    source: &Source<'_>,
    key: &[&str],
    file: &str,
    example: &str,
) -> Result<(), ConfigError> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let name = file.strip_suffix(".yml").or(file.strip_suffix(".yaml"));
    let good = name.is_some_and(|name| !name.is_empty() && name.bytes().all(is_plain));
    let problem =
        format!("{file:?} is no file of .github/workflows; write its name alone, like {example}");
    check(source, good, key, problem)
}
