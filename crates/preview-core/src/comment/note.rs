//! Remarks on a preview that hold whatever its state is.

use std::fmt;

use crate::database::Rebuild;
use crate::names::CommitSha;

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
        }
    }
}
