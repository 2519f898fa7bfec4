//! A pull request as it was read live, and the commits around it.

use serde::{Deserialize, Serialize};

use crate::names::{CommitSha, PrNumber, RepositoryId, RepositorySlug, TreeSha};

/// A repository as GitHub has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Its id, which survives a rename.
    pub id: RepositoryId,
    /// Its name today, with the capitals GitHub shows.
    pub slug: RepositorySlug,
    /// The branch that pull requests usually go to.
    pub default_branch: String,
}

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
    /// Whether GitHub marks the author as a bot.
    pub is_by_bot: bool,
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
    /// The repository that it is of.
    pub base_repository: Repository,
    /// The branch it is to be merged into.
    pub base_ref: String,
    /// Before merging: GitHub's test merge of the head into the base (the usual commit B), where it could be made.
    pub test_merge: Option<CommitSha>,
    /// Whether GitHub could make one; none while it has not tried, and in every list.
    pub mergeable: Option<bool>,
}

impl PullRequest {
    /// Whether its branch lies in another repository than the one it is of (a deleted fork counts as one).
    #[must_use]
    pub fn is_from_fork(&self) -> bool {
        self.head_repository.as_ref() != Some(&self.base_repository.slug)
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

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileStatus {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its content is another.
    Modified,
    /// It lies elsewhere, perhaps with another content.
    Renamed,
    /// It is new, and much like another.
    Copied,
    /// Its mode is another: a symbolic link, or executable.
    Changed,
    /// Listed without being touched.
    Unchanged,
}

/// A file that a pull request touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedFile {
    /// Where it lies now, or lay before it was removed.
    pub path: String,
    /// Where it lay before, if it was renamed or copied.
    pub previous_path: Option<String>,
    /// What became of it.
    pub status: FileStatus,
}

impl ChangedFile {
    /// Every path that is not as it was because of this file.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        [Some(&self.path), self.previous_path.as_ref()]
            .into_iter()
            .flatten()
            .map(String::as_str)
    }
}

/// The files that a pull request touches: what its head changed since it left its base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedFiles {
    files: Vec<ChangedFile>,
}

impl ChangedFiles {
    /// GitHub's list of a pull request's files ends here, without saying so.
    /// <https://docs.github.com/en/rest/pulls/pulls#list-pull-requests-files>
    pub const MOST: usize = 3_000;

    /// The files as GitHub lists them.
    #[must_use]
    pub fn new(files: Vec<ChangedFile>) -> Self {
        Self { files }
    }

    /// The files, or the first [`Self::MOST`] of them.
    #[must_use]
    pub fn files(&self) -> &[ChangedFile] {
        &self.files
    }

    /// Whether these are all: where they are not, nothing can be said to be untouched.
    #[must_use]
    pub fn are_all(&self) -> bool {
        self.files.len() < Self::MOST
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An open one of alice's, from `feature` into `main`, at the commit `aaa…` and with the test merge `bbb…`.
    pub(crate) fn pull(number: u64) -> PullRequest {
        let sha = |digit: &str| Some(digit.repeat(40).parse().unwrap());
        let slug: RepositorySlug = "acme/shop".parse().unwrap();
        PullRequest {
            number: PrNumber::new(number).unwrap(),
            state: PullState::Open,
            title: "A title".into(),
            author: "alice".into(),
            is_by_bot: false,
            draft: false,
            labels: Vec::new(),
            head: sha("a").unwrap(),
            head_ref: "feature".into(),
            head_repository: Some(slug.clone()),
            base_repository: Repository {
                id: RepositoryId(42),
                slug,
                default_branch: "main".into(),
            },
            base_ref: "main".into(),
            test_merge: sha("b"),
            mergeable: Some(true),
        }
    }
}
