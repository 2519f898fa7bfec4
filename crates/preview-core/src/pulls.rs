//! A pull request as it was read live, and the commits around it.

use serde::{Deserialize, Serialize};

use crate::names::{CommitSha, PrNumber, RepositorySlug, TreeSha};

/// Whether a pull request is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullState {
    /// Open.
    Open,
    /// Closed without being merged.
    Closed,
    /// Merged, and what that left on the base branch (commit M).
    Merged {
        /// The merge, squash or last rebased commit.
        commit: CommitSha,
    },
}

/// A pull request, read live; an event's payload is a snapshot and lies by minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number.
    pub number: PrNumber,
    /// Open, closed or merged.
    pub state: PullState,
    /// The title, written by its author: escape it wherever it is shown.
    pub title: String,
    /// The author's login.
    pub author: String,
    /// Whether it is a draft.
    pub draft: bool,
    /// Names of its labels.
    pub labels: Vec<String>,
    /// The commit H at the tip of its branch.
    pub head: CommitSha,
    /// The branch's name, written by its author.
    pub head_ref: String,
    /// The repository of the branch; none when a fork was deleted.
    pub head_repository: Option<RepositorySlug>,
    /// The branch it is to be merged into.
    pub base_ref: String,
    /// Before merging: GitHub's test merge of the head into the base (the usual commit B), where it could be made.
    pub test_merge: Option<CommitSha>,
}

impl PullRequest {
    /// Whether its branch lies in another repository than `base` (a deleted fork counts as one).
    #[must_use]
    pub fn is_from_fork(&self, base: &RepositorySlug) -> bool {
        self.head_repository.as_ref() != Some(base)
    }
}

/// A git commit: what it contains and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its SHA.
    pub sha: CommitSha,
    /// The tree of files.
    pub tree: TreeSha,
    /// Its parents, first parent first.
    pub parents: Vec<CommitSha>,
}
