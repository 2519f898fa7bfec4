//! The three commits that are never the same: H, the pull request's head; B, what the images were built from; and M,
//! what the merge left on the default branch.

use std::fmt;

use crate::names::{CommitSha, ComponentName, PinnedImage, TreeSha};
use crate::pulls::Commit;

/// Why an image may not stand for a pull request's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotBuiltFrom {
    /// It does not say what it was built from.
    NoRevision,
    /// It names something that is no commit of this repository.
    UnknownCommit {
        /// What the label says.
        revision: String,
    },
    /// B merges another head: it fits the base, and not H.
    OtherHead {
        /// The commit B that the label names.
        built_from: CommitSha,
        /// The commit that it merges into the base branch.
        merges: CommitSha,
    },
    /// B merges H into something else: it fits H, and not the base.
    OtherBase {
        /// The commit B that the label names.
        built_from: CommitSha,
        /// What it merges H into: no commit of the base branch.
        into: CommitSha,
    },
    /// For a commit: B has other files.
    OtherTree {
        /// The commit B that the label names.
        built_from: CommitSha,
        /// B's tree.
        tree: TreeSha,
        /// The commit's.
        wanted: TreeSha,
    },
    /// B is neither H nor a merge of two of which one is H or a commit of the base branch.
    OtherCommit {
        /// The commit B that the label names.
        built_from: CommitSha,
        /// B's parents.
        parents: Vec<CommitSha>,
    },
}

/// What B has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// H, or a merge of it into the base branch.
    Head {
        /// The commit H.
        head: CommitSha,
        /// The base branch.
        base_ref: String,
    },
    /// This commit, or one with the same files.
    Commit(CommitSha),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head { head, .. } => write!(f, "the head {head}"),
            Self::Commit(commit) => write!(f, "the commit {commit}"),
        }
    }
}

impl Wanted {
    /// What else is accepted.
    fn or(&self) -> String {
        match self {
            Self::Head { base_ref, .. } => format!("a merge of it into {base_ref}"),
            Self::Commit(_) => "one with the same files".to_owned(),
        }
    }
}

/// An image whose commit B does not prove what it is wanted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongRevision {
    /// The component.
    pub component: ComponentName,
    /// The image.
    pub image: PinnedImage,
    /// What it should have been built from.
    pub wanted: Wanted,
    /// What is wrong.
    pub why: NotBuiltFrom,
}

impl fmt::Display for WrongRevision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            component,
            image,
            wanted,
            why,
        } = self;
        let or = wanted.or();
        write!(f, "the image of component {component}, {image}, ")?;
        match why {
            NotBuiltFrom::NoRevision => write!(
                f,
                "does not say which commit it was built from, so nothing ties it to {wanted}; let CI set the label \
                 org.opencontainers.image.revision to the commit it checked out"
            ),
            NotBuiltFrom::UnknownCommit { revision } => write!(
                f,
                "says it was built from {revision:?}, which is no commit of this repository, so neither {wanted} nor \
                 {or}; let CI set the label org.opencontainers.image.revision to the commit it checked out"
            ),
            NotBuiltFrom::OtherHead { built_from, merges } => write!(
                f,
                "was built from {built_from}, which merges another head, {merges}, and not {wanted}; run CI again for \
                 that"
            ),
            NotBuiltFrom::OtherBase { built_from, into } => write!(
                f,
                "was built from {built_from}, which merges {wanted} with {into}: that is no commit of the base, so it is \
                 not {or}; run CI again for the head"
            ),
            NotBuiltFrom::OtherTree {
                built_from,
                tree,
                wanted: files,
            } => write!(
                f,
                "was built from {built_from} with the tree {tree}, and {wanted} has the tree {files}; run CI again for \
                 that"
            ),
            NotBuiltFrom::OtherCommit {
                built_from,
                parents,
            } => {
                let parents: Vec<&str> = parents.iter().map(CommitSha::short).collect();
                let parents = match parents.as_slice() {
                    [] => "none".to_owned(),
                    some => some.join(", "),
                };
                write!(
                    f,
                    "was built from {built_from} (parents: {parents}), which is neither {wanted} nor {or}; run CI \
                     again for that"
                )
            }
        }
    }
}

/// What is known of the commit that an image names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltFrom {
    /// B itself.
    pub commit: Commit,
    /// Those of B's parents that are commits of the base branch.
    pub parents_on_base: Vec<CommitSha>,
}

/// Checks that B is acceptable for H: B is H, or B's parents are a commit of the base branch and H.
///
/// Returns the base commit of the test merge; none where B is H.
///
/// # Errors
/// When B is anything else.
pub fn base_of(
    built_from: &BuiltFrom,
    head: &CommitSha,
) -> Result<Option<CommitSha>, NotBuiltFrom> {
    let commit = &built_from.commit;
    if commit.sha == *head {
        return Ok(None);
    }
    let on_base = |parent: &CommitSha| built_from.parents_on_base.contains(parent);
    let sha = commit.sha.clone();
    match commit.parents.as_slice() {
        [one, other] | [other, one] if other == head && one != head => {
            let into = one.clone();
            if on_base(one) {
                Ok(Some(into))
            } else {
                let built_from = sha;
                Err(NotBuiltFrom::OtherBase { built_from, into })
            }
        }
        [one, other] | [other, one] if on_base(one) && !on_base(other) => {
            Err(NotBuiltFrom::OtherHead {
                built_from: sha,
                merges: other.clone(),
            })
        }
        parents => Err(NotBuiltFrom::OtherCommit {
            built_from: sha,
            parents: parents.to_vec(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha(digit: char) -> CommitSha {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn built(commit: char, parents: &[char], on_base: &[char]) -> BuiltFrom {
        BuiltFrom {
            commit: Commit {
                sha: sha(commit),
                tree: "7".repeat(40).parse().unwrap(),
                parents: parents.iter().copied().map(sha).collect(),
            },
            parents_on_base: on_base.iter().copied().map(sha).collect(),
        }
    }

    #[test]
    fn b_is_the_head_or_a_merge_of_the_head_into_the_base() {
        let head = sha('a');
        let table: &[(&str, BuiltFrom, Option<Option<char>>)] = &[
            ("the head itself", built('a', &['9'], &[]), Some(None)),
            (
                "a test merge",
                built('b', &['e', 'a'], &['e']),
                Some(Some('e')),
            ),
            (
                "a merge with the parents the other way round",
                built('b', &['a', 'e'], &['e']),
                Some(Some('e')),
            ),
            (
                "a test merge of another head",
                built('b', &['e', 'c'], &['e']),
                None,
            ),
            (
                "a merge of the head into something else",
                built('b', &['d', 'a'], &[]),
                None,
            ),
            ("a child of the head", built('b', &['a'], &[]), None),
            ("an octopus", built('b', &['e', 'a', 'c'], &['e']), None),
            (
                "a merge of the head with itself",
                built('b', &['a', 'a'], &['a']),
                None,
            ),
        ];
        for (what, built_from, base) in table {
            assert_eq!(
                base_of(built_from, &head).ok(),
                base.map(|base| base.map(sha)),
                "{what}"
            );
        }
    }

    #[test]
    fn a_wrong_revision_says_which_of_b_h_and_the_base_do_not_fit() {
        let told = [
            built('b', &['e', 'c'], &['e']),
            built('b', &['a', 'd'], &[]),
            built('b', &['c'], &[]),
            built('b', &['e', '5'], &['e', '5']),
            built('b', &[], &[]),
        ]
        .map(|built_from| {
            let refusal = WrongRevision {
                component: "web".parse().unwrap(),
                image: format!("ghcr.io/acme/web@sha256:{}", "1".repeat(64))
                    .parse()
                    .unwrap(),
                wanted: Wanted::Head {
                    head: sha('a'),
                    base_ref: "main".into(),
                },
                why: base_of(&built_from, &sha('a')).unwrap_err(),
            };
            let digits = |digit: &str| digit.repeat(40);
            let text = refusal.to_string();
            let (_, text) = text.split_once(", was ").unwrap();
            "abcde5".chars().fold(text.to_owned(), |text, digit| {
                text.replace(&digits(&digit.to_string()), &format!("{digit}…"))
            })
        });
        insta::assert_snapshot!(told.join("\n"), @r"
        built from b…, which merges another head, c…, and not the head a…; run CI again for that
        built from b…, which merges the head a… with d…: that is no commit of the base, so it is not a merge of it into main; run CI again for the head
        built from b… (parents: ccccccc), which is neither the head a… nor a merge of it into main; run CI again for that
        built from b… (parents: eeeeeee, 5555555), which is neither the head a… nor a merge of it into main; run CI again for that
        built from b… (parents: none), which is neither the head a… nor a merge of it into main; run CI again for that
        ");
    }
}
