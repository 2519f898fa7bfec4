//! Remarks on a preview that hold whatever its state is.

use std::fmt;

use super::display_name;
use crate::database::Rebuild;
use crate::deploy::TestedAs;
use crate::names::{CommitSha, ComponentName};

/// Something that whoever looks at the preview should know; one item of the comment's list of remarks.
///
/// Its `Display` is Markdown, one line of it: what is not ours in it goes through [`crate::markdown`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The database was made afresh: what people had typed into it is gone.
    DatabaseRebuilt(Rebuild),
    /// The deploy failed before it touched what serves.
    PreviousServes {
        /// The commit H that serves.
        commit: CommitSha,
    },
    /// CI built no image of a component that the pull request leaves as it was.
    Unchanged {
        /// The component.
        component: ComponentName,
        /// As what its image was tested.
        tested: TestedAs,
    },
    /// The quota has no room for a pod more: an update takes one away before its successor comes.
    UpdatesInPlace,
    /// The quota has no room for two versions: the previous one was stopped before the new one came.
    StoppedFirst,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DatabaseRebuilt(why) => write!(
                f,
                "The database was made afresh, and what was in it is gone: {why}."
            ),
            Self::PreviousServes { commit } => {
                let commit = commit.short();
                write!(f, "The previous version, {commit}, still serves.")
            }
            Self::Unchanged { component, tested } => write!(
                f,
                "{} is as it was and was not built again: its image is the one that was tested with {tested}.",
                display_name(component)
            ),
            Self::UpdatesInPlace => f.write_str(
                "The quota has no room for one more pod, so an update stops each pod before its successor starts; \
                 meanwhile fewer of them answer, or none.",
            ),
            Self::StoppedFirst => f.write_str(
                "The quota has no room for two versions side by side, so the previous one was stopped first.",
            ),
        }
    }
}
