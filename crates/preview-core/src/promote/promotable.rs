//! Whether merging a pull request now would leave what its preview has shown.

use std::fmt;

use crate::names::{CommitSha, TreeSha};
use crate::pulls::{Commit, PullRequest};
use crate::record::BuiltBy;

/// The context of the commit status that tells it, for a branch protection to require.
pub const CONTEXT: &str = "preview/promotable";

/// A pull request, the commit that its base branch is at, and what GitHub says of merging the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merging {
    /// The pull request.
    pub pull: PullRequest,
    /// The head of its base branch, read at the same time.
    pub base: CommitSha,
    /// What came of GitHub's last try.
    pub tried: TestMerge,
}

/// What came of GitHub's last try to merge a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestMerge {
    /// A commit.
    Made(Commit),
    /// Conflicts.
    Conflicts,
    /// Nothing yet.
    Unknown,
}

impl Merging {
    /// The merge of exactly this head into exactly this base. GitHub merges in the background, so there may be none yet.
    /// <https://docs.github.com/en/rest/pulls/pulls#get-a-pull-request>
    #[must_use]
    pub fn made(&self) -> Option<&Commit> {
        match &self.tried {
            TestMerge::Made(commit) => {
                let of_both = [&self.base, &self.pull.head];
                commit.parents.iter().eq(of_both).then_some(commit)
            }
            TestMerge::Conflicts | TestMerge::Unknown => None,
        }
    }

    /// Whether GitHub has said what it has to say.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.tried == TestMerge::Conflicts || self.made().is_some()
    }
}

/// Whether a merge would leave what was tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promotable {
    /// It would.
    Yes,
    /// It would leave what no preview has shown: the branch has moved on since.
    Moved {
        /// The base branch.
        base_ref: String,
    },
    /// It cannot be merged.
    Conflicts {
        /// The base branch.
        base_ref: String,
    },
    /// GitHub has not merged it with the branch as it is yet.
    Unknown {
        /// The base branch.
        base_ref: String,
    },
    /// Nobody would believe the record, for it is unsigned.
    Unsigned,
    /// Its author's own workflow built an image of it.
    ByContributor,
}

/// Compares the tree that was `tested` with the one that merging now would leave, where promotion takes what these built.
#[must_use]
pub fn promotable(
    tested: &TreeSha,
    built_by: impl IntoIterator<Item = BuiltBy>,
    merging: &Merging,
) -> Promotable {
    if built_by.into_iter().any(|one| one == BuiltBy::Contributor) {
        return Promotable::ByContributor;
    }
    let base_ref = merging.pull.base_ref.clone();
    match (&merging.tried, merging.made()) {
        (_, Some(merge)) if merge.tree == *tested => Promotable::Yes,
        (_, Some(_)) => Promotable::Moved { base_ref },
        (TestMerge::Conflicts, None) => Promotable::Conflicts { base_ref },
        (_, None) => Promotable::Unknown { base_ref },
    }
}

impl Promotable {
    /// Whether it is so; none where that is not known yet.
    #[must_use]
    pub fn is_so(&self) -> Option<bool> {
        match self {
            Self::Yes => Some(true),
            Self::Moved { .. } | Self::Conflicts { .. } | Self::Unsigned | Self::ByContributor => {
                Some(false)
            }
            Self::Unknown { .. } => None,
        }
    }
}

impl fmt::Display for Promotable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("Merged now, it is what the preview shows"),
            Self::Moved { base_ref } => write!(
                f,
                "{base_ref} has moved on, so a merge is not what the preview shows; update the branch"
            ),
            Self::Conflicts { base_ref } => {
                write!(f, "It has conflicts with {base_ref}; resolve them")
            }
            Self::Unknown { base_ref } => write!(
                f,
                "GitHub has not merged it with {base_ref} as it is; the next push or sweep looks again"
            ),
            Self::Unsigned => {
                f.write_str("The record of its preview is unsigned; set PREVIEW_RECORD_KEY")
            }
            Self::ByContributor => f.write_str(
                "Its author's own workflow built it, which is never promoted; let preview-deploy.yml build it",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pulls::tests::pull;

    fn sha(digit: char) -> CommitSha {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn tree(digit: char) -> TreeSha {
        digit.to_string().repeat(40).parse().unwrap()
    }

    /// Of the head `a` into a base that is at `9`.
    fn merging(tried: TestMerge) -> Merging {
        Merging {
            pull: pull(7),
            base: sha('9'),
            tried,
        }
    }

    fn made(parents: &[char]) -> TestMerge {
        TestMerge::Made(Commit {
            sha: sha('b'),
            tree: tree('7'),
            parents: parents.iter().copied().map(sha).collect(),
        })
    }

    #[test]
    fn only_the_merge_of_this_head_into_this_base_says_anything() {
        let table = [
            ("merge gives what was tested", '7', made(&['9', 'a'])),
            ("merge gives something else", '6', made(&['9', 'a'])),
            ("merge of an older base", '7', made(&['8', 'a'])),
            ("merge of an older head", '7', made(&['9', 'c'])),
            ("no merge of two", '7', made(&['9'])),
            ("conflicts", '7', TestMerge::Conflicts),
            ("not tried yet", '7', TestMerge::Unknown),
        ];
        let told = table.map(|(what, tested, tried)| {
            let merging = merging(tried);
            let promotable = promotable(&tree(tested), [BuiltBy::Trusted], &merging);
            assert_eq!(promotable.is_so().is_some(), merging.is_known(), "{what}");
            assert!(promotable.to_string().chars().count() <= 140, "{what}");
            format!("{what}: {:?}, {promotable}", promotable.is_so())
        });
        insta::assert_snapshot!(told.join("\n"), @r"
        merge gives what was tested: Some(true), Merged now, it is what the preview shows
        merge gives something else: Some(false), main has moved on, so a merge is not what the preview shows; update the branch
        merge of an older base: None, GitHub has not merged it with main as it is; the next push or sweep looks again
        merge of an older head: None, GitHub has not merged it with main as it is; the next push or sweep looks again
        no merge of two: None, GitHub has not merged it with main as it is; the next push or sweep looks again
        conflicts: Some(false), It has conflicts with main; resolve them
        not tried yet: None, GitHub has not merged it with main as it is; the next push or sweep looks again
        ");
    }

    #[test]
    fn what_an_author_built_is_not_whatever_the_merge_gives() {
        let merging = merging(made(&['9', 'a']));
        let built_by = [BuiltBy::Trusted, BuiltBy::Contributor];
        let promotable = promotable(&tree('7'), built_by, &merging);
        assert_eq!(promotable.is_so(), Some(false));
        assert!(promotable.to_string().chars().count() <= 140);
    }
}
