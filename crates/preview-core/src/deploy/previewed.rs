//! What is previewed: a pull request at its head, or a commit by itself.

use std::fmt;

use crate::commits::{BuiltFrom, NotBuiltFrom, Wanted, base_of};
use crate::names::{CommitSha, PrNumber, Subject, TreeSha};
use crate::pulls::{Commit, PullRequest, Repository};

use super::{Instead, Origin, Refusal, Tag};

/// What is previewed, as it was read live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previewed {
    /// The repository that it is of.
    pub repository: Repository,
    /// H of a pull request, or the commit itself: statuses, deployments and the record speak of it.
    pub head: CommitSha,
    /// The branch that it goes into, or went.
    pub base_ref: String,
    /// Which of the two it is.
    pub of: Of,
}

/// A pull request or a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// A pull request.
    Pull {
        /// Its number.
        number: PrNumber,
        /// GitHub's test merge of the head into the base, where it could be made.
        test_merge: Option<CommitSha>,
        /// Whether it is of somebody who need not be able to write to the repository: it comes from a fork, or from a bot.
        is_strange: bool,
        /// Where it comes from.
        origin: Origin,
    },
    /// A commit that was merged, or that a merge queue is about to merge.
    Commit {
        /// Its tree of files.
        tree: TreeSha,
    },
}

impl Previewed {
    /// Whose preview it is.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match &self.of {
            Of::Pull { number, .. } => Subject::Pr(*number),
            Of::Commit { .. } => Subject::Commit(self.head.clone()),
        }
    }

    /// The pull request's number; none where it is a commit, which nobody can be told on.
    #[must_use]
    pub fn number(&self) -> Option<PrNumber> {
        self.subject().pr()
    }

    /// Where it comes from; what is merged is on a branch.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        match &self.of {
            Of::Pull { origin, .. } => origin,
            Of::Commit { .. } => &Origin::Branch,
        }
    }

    /// What it is at which commit: `pull request #7 at abc1234` or `commit abc1234`.
    #[must_use]
    pub fn at_head(&self) -> String {
        match &self.of {
            Of::Pull { .. } => format!("{self} at {}", self.head.short()),
            Of::Commit { .. } => self.to_string(),
        }
    }

    /// What has happened to one that is not to be previewed any more.
    #[must_use]
    pub fn ended(&self) -> String {
        match &self.of {
            Of::Pull { .. } => format!("{self} was closed"),
            Of::Commit { .. } => {
                format!("{self} left {} or its merge queue", self.base_ref)
            }
        }
    }

    /// The tags under which CI may have pushed its images, the first that exists counts.
    #[must_use]
    pub fn tags(&self) -> Vec<Tag> {
        let head = self.head.clone();
        match &self.of {
            Of::Pull { test_merge, .. } => [Tag::Head(head)]
                .into_iter()
                .chain(test_merge.clone().map(Tag::TestMerge))
                .collect(),
            Of::Commit { .. } => vec![Tag::Commit(head)],
        }
    }

    /// Checks that what was built from B shows it: of a pull request, B is H or merges H into its base; of a commit, B
    /// is that or has the same files.
    ///
    /// Returns the base commit that B merges H into; none where it merges nothing.
    ///
    /// # Errors
    /// When B is anything else.
    pub fn base_of(&self, built_from: &BuiltFrom) -> Result<Option<CommitSha>, NotBuiltFrom> {
        let Of::Commit { tree } = &self.of else {
            return base_of(built_from, &self.head);
        };
        let b = &built_from.commit;
        if b.sha == self.head || b.tree == *tree {
            return Ok(None);
        }
        Err(NotBuiltFrom::OtherTree {
            built_from: b.sha.clone(),
            tree: b.tree.clone(),
            wanted: tree.clone(),
        })
    }
}

impl Previewed {
    /// What images have to be built from.
    pub(super) fn wanted(&self) -> Wanted {
        let head = self.head.clone();
        match &self.of {
            Of::Pull { .. } => Wanted::Head {
                head,
                base_ref: self.base_ref.clone(),
            },
            Of::Commit { .. } => Wanted::Commit(head),
        }
    }
}

impl From<PullRequest> for Previewed {
    fn from(pull: PullRequest) -> Self {
        let is_strange = pull.is_from_fork() || pull.is_by_bot;
        let origin = Origin::from(&pull);
        Self {
            repository: pull.base_repository,
            head: pull.head,
            base_ref: pull.base_ref,
            of: Of::Pull {
                number: pull.number,
                test_merge: pull.test_merge,
                is_strange,
                origin,
            },
        }
    }
}

/// `pull request #7` or `commit abc1234`.
impl fmt::Display for Previewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.of {
            Of::Pull { number, .. } => write!(f, "pull request #{number}"),
            Of::Commit { .. } => write!(f, "commit {}", self.head.short()),
        }
    }
}

/// What was read live of a commit that is to be previewed by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitFacts {
    /// The repository.
    pub repository: Repository,
    /// The commit; none where the repository has no such commit.
    pub commit: Option<Commit>,
    /// Whether it is on the default branch, or the head of a group in its merge queue.
    pub merged_or_queued: bool,
}

/// Chooses the commit `asked` by itself.
///
/// # Errors
/// When it may have no preview: its merge is its review, so it must have been merged, or be about to be.
pub fn choose_commit(asked: &CommitSha, facts: CommitFacts) -> Result<Previewed, Instead> {
    let repository = facts.repository;
    let branch = repository.default_branch.clone();
    let commit = facts.commit.ok_or_else(|| Refusal::NoSuchCommit {
        repository: repository.slug.clone(),
        commit: asked.clone(),
        branch: branch.clone(),
    })?;
    if !facts.merged_or_queued {
        let commit = asked.clone();
        return Err(Refusal::NotMerged { commit, branch }.into());
    }
    Ok(Previewed {
        repository,
        head: commit.sha,
        base_ref: branch,
        of: Of::Commit { tree: commit.tree },
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::pulls::tests::pull;

    /// The commit `ddd…` of `main`, with the tree `777…`.
    pub(crate) fn commit() -> Previewed {
        Previewed {
            head: "d".repeat(40).parse().unwrap(),
            of: Of::Commit {
                tree: "7".repeat(40).parse().unwrap(),
            },
            ..Previewed::from(pull(7))
        }
    }

    #[test]
    fn a_pull_request_and_a_commit_are_called_by_what_they_are() {
        for (previewed, said, subject, tags) in [
            (
                Previewed::from(pull(7)),
                "pull request #7",
                "pr-7".to_owned(),
                "the head, its test merge",
            ),
            (
                commit(),
                "commit ddddddd",
                format!("commit-{}", "d".repeat(40)),
                "the commit",
            ),
        ] {
            assert_eq!(previewed.to_string(), said);
            assert_eq!(previewed.subject().to_string(), subject);
            let kinds = previewed
                .tags()
                .iter()
                .map(|tag| tag.kind())
                .collect::<Vec<_>>();
            assert_eq!(kinds.join(", "), tags);
        }
    }

    #[test]
    fn images_of_a_commit_are_built_from_it_or_from_the_same_files() {
        let built = |sha: &str, tree: &str| BuiltFrom {
            commit: Commit {
                sha: sha.repeat(40).parse().unwrap(),
                tree: tree.repeat(40).parse().unwrap(),
                parents: Vec::new(),
            },
            parents_on_base: Vec::new(),
        };
        let commit = commit();
        assert_eq!(commit.base_of(&built("d", "7")), Ok(None));
        assert_eq!(commit.base_of(&built("b", "7")), Ok(None), "a test merge");
        assert!(commit.base_of(&built("b", "8")).is_err());
    }

    #[test]
    fn only_a_commit_that_was_merged_or_is_about_to_be_gets_a_preview_by_itself() {
        let previewed = commit();
        let Of::Commit { tree } = previewed.of.clone() else {
            unreachable!()
        };
        let exists = Commit {
            sha: previewed.head.clone(),
            tree,
            parents: Vec::new(),
        };
        let choose = |commit: Option<&Commit>, merged_or_queued| {
            let facts = CommitFacts {
                repository: previewed.repository.clone(),
                commit: commit.cloned(),
                merged_or_queued,
            };
            choose_commit(&previewed.head, facts)
        };
        assert_eq!(choose(Some(&exists), true), Ok(previewed.clone()));
        let refused = [choose(Some(&exists), false), choose(None, false)]
            .map(|chosen| chosen.unwrap_err().to_string());
        insta::assert_snapshot!(refused.join("\n"), @r"
        commit dddddddddddddddddddddddddddddddddddddddd is neither on main nor the head of a group in its merge queue, so no merge has reviewed it and it gets no preview by itself; open a pull request of it
        acme/shop has no commit dddddddddddddddddddddddddddddddddddddddd; give a commit of main, or the head of a group in its merge queue
        ");
    }
}
