//! Why a deploy ends before its end.

use std::fmt;

use preview_actions::Failed;
use preview_core::names::Fence;
use preview_core::slots::Waiting;

/// What ends a deploy.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Another run owns the preview, for this reason.
    Superseded(String),
    /// All slots are taken.
    Queued(Waiting),
    /// The pull request was closed meanwhile, or the commit is neither merged nor about to be any more.
    NotWanted,
    /// It failed.
    Failed(Failed),
}

impl Stop {
    pub(crate) fn superseded_by(by: Option<Fence>) -> Self {
        Self::Superseded(by.map_or_else(
            || "another run has taken the preview over".to_owned(),
            |by| format!("run {by} has taken the preview over"),
        ))
    }

    /// The cluster is not as it has to be.
    pub(crate) fn cluster(error: impl Into<String>) -> Self {
        Self::Failed(Failed::cluster(error))
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Superseded(why) => f.write_str(why),
            Self::Queued(_) => f.write_str("all slots are taken"),
            Self::NotWanted => f.write_str("the preview is not wanted any more"),
            Self::Failed(failed) => failed.fmt(f),
        }
    }
}

impl From<Failed> for Stop {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}
