//! The three commits that are never the same: H, the pull request's head; B, what the images were built from; and M,
//! what the merge left on the default branch.

use std::fmt;

use crate::names::{CommitSha, ComponentName, PinnedImage};
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
    /// It was built from a commit that is neither H nor a merge of H into the base branch.
    OtherCommit {
        /// The commit B that the label names.
        built_from: CommitSha,
        /// B's parents.
        parents: Vec<CommitSha>,
    },
}

/// An image whose commit B does not prove what it is wanted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongRevision {
    /// The component.
    pub component: ComponentName,
    /// The image.
    pub image: PinnedImage,
    /// The commit H it should have been built for.
    pub head: CommitSha,
    /// The branch whose merge with H is accepted too.
    pub base_ref: String,
    /// What is wrong.
    pub why: NotBuiltFrom,
}

impl fmt::Display for WrongRevision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            component,
            image,
            head,
            base_ref,
            why,
        } = self;
        write!(f, "the image of component {component}, {image}, ")?;
        match why {
            NotBuiltFrom::NoRevision => write!(
                f,
                "does not say which commit it was built from; let CI set the label \
                 org.opencontainers.image.revision to the commit it checked out"
            ),
            NotBuiltFrom::UnknownCommit { revision } => write!(
                f,
                "says it was built from {revision:?}, which is no commit of this repository; \
                 let CI set the label org.opencontainers.image.revision to the commit it checked out"
            ),
            NotBuiltFrom::OtherCommit {
                built_from,
                parents,
            } => {
                let parents: Vec<&str> = parents.iter().map(CommitSha::short).collect();
                write!(
                    f,
                    "was built from {built_from} (parents: {}), which is neither the head {head} nor a merge of it \
                     into {base_ref}; run CI again for the head",
                    if parents.is_empty() {
                        "none".to_owned()
                    } else {
                        parents.join(", ")
                    }
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
    let other = NotBuiltFrom::OtherCommit {
        built_from: commit.sha.clone(),
        parents: commit.parents.clone(),
    };
    let [first, second] = commit.parents.as_slice() else {
        return Err(other);
    };
    let base = match (first == head, second == head) {
        (false, true) => first,
        (true, false) => second,
        _ => return Err(other),
    };
    if built_from.parents_on_base.contains(base) {
        Ok(Some(base.clone()))
    } else {
        Err(other)
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
    fn a_wrong_revision_names_b_its_parents_h_and_the_base() {
        let why = base_of(&built('b', &['e', 'c'], &['e']), &sha('a')).unwrap_err();
        let refusal = WrongRevision {
            component: "web".parse().unwrap(),
            image: format!("ghcr.io/acme/web@sha256:{}", "1".repeat(64))
                .parse()
                .unwrap(),
            head: sha('a'),
            base_ref: "main".into(),
            why,
        };
        insta::assert_snapshot!(refusal, @"the image of component web, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, was built from bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb (parents: eeeeeee, ccccccc), which is neither the head aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa nor a merge of it into main; run CI again for the head");
    }
}
