//! Which versions of an image's package nothing needs any more.
//!
//! GitHub's package list deletes a *version*: a manifest with all its tags. One goes on positive facts alone: each of its
//! tags is of somebody who has ended, one of them is a commit that this repository knows, and its digest is in nothing
//! that is there or may be wanted again. The manifests in an index are versions without tags: they live as long as an
//! index that names them, and no longer.
//! <https://docs.github.com/en/packages/learn-github-packages/deleting-and-restoring-a-package>

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::names::{CommitSha, Digest, PinnedImage, PrNumber, Subject};

/// How many of a target's newest promotions keep their images: what it may be rolled back to.
pub const PROMOTIONS_KEPT: usize = 10;

/// A version of an image's package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageVersion {
    /// The digest of its manifest.
    pub digest: Digest,
    /// All tags that point to it.
    pub tags: Vec<String>,
}

/// What a tag says of whose image it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tag {
    /// The image of a commit: a pull request's head H, or one that was tested by itself.
    Commit(CommitSha),
    /// The newest image of a pull request.
    Pull(PrNumber),
    /// Anything else: a release, `latest`, a branch.
    Other,
}

impl Tag {
    /// What `tag` says: 40 hexadecimal digits are a commit, `pr-7` is a pull request.
    #[must_use]
    pub fn parse(tag: &str) -> Self {
        if let Ok(commit) = tag.parse() {
            return Self::Commit(commit);
        }
        match tag.parse() {
            Ok(Subject::Pr(number)) => Self::Pull(number),
            Ok(Subject::Commit(_)) | Err(_) => Self::Other,
        }
    }
}

/// Whose images the commits of this repository are, as far as is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners(BTreeMap<CommitSha, BTreeSet<Subject>>);

impl Owners {
    /// Notes that `commit` was one of `subject`'s.
    pub fn note(&mut self, commit: CommitSha, subject: Subject) {
        self.0.entry(commit).or_default().insert(subject);
    }

    /// Everybody whose tags are on `version`; none where a tag is of somebody unknown, or no tag is of a commit that is
    /// known: a pull request's number alone may be another repository's.
    #[must_use]
    pub fn of(&self, version: &ImageVersion) -> Option<BTreeSet<Subject>> {
        let mut owners = BTreeSet::new();
        let mut is_ours = false;
        for tag in &version.tags {
            match Tag::parse(tag) {
                Tag::Commit(commit) => {
                    owners.extend(self.0.get(&commit)?.iter().cloned());
                    is_ours = true;
                }
                Tag::Pull(number) => {
                    owners.insert(Subject::Pr(number));
                }
                Tag::Other => return None,
            }
        }
        is_ours.then_some(owners)
    }
}

/// Of `children`, the manifests in an index that goes, those that go with it: they have no tag, nothing needs them, and
/// no index that stays names them. `staying` are all other versions of the package, each with what it names.
#[must_use]
pub fn children_that_go<'a>(
    children: &'a [Digest],
    staying: &[(ImageVersion, Vec<Digest>)],
    needed: &BTreeSet<Digest>,
) -> Vec<&'a Digest> {
    let is_wanted = |child: &Digest| {
        needed.contains(child)
            || staying.iter().any(|(version, names)| {
                names.contains(child) || version.digest == *child && !version.tags.is_empty()
            })
    };
    children.iter().filter(|child| !is_wanted(child)).collect()
}

/// What was done about a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CleanedImage {
    /// The image.
    pub image: PinnedImage,
    /// Its tags; none where it went with its index.
    pub tags: Vec<String>,
    /// Why it is still there; none where it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(digit: char) -> CommitSha {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn pull(number: u64) -> Subject {
        Subject::Pr(PrNumber::new(number).unwrap())
    }

    fn tagged(tags: &[&str]) -> ImageVersion {
        ImageVersion {
            digest: digest("web"),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        }
    }

    #[test]
    fn a_version_has_owners_only_where_every_tag_is_known() {
        let mut owners = Owners::default();
        owners.note(commit('a'), pull(7));
        owners.note(commit('b'), pull(8));
        let (a, b, stranger) = ("a".repeat(40), "b".repeat(40), "c".repeat(40));
        let seven = Some(BTreeSet::from([pull(7)]));
        let both = Some(BTreeSet::from([pull(7), pull(8)]));
        for (tags, expected) in [
            (vec![a.as_str()], seven.clone()),
            (vec![&a, "pr-7"], seven),
            (vec![&a, &b], both.clone()),
            // Pull request 8 has moved on to the same bytes.
            (vec![&a, "pr-8"], both),
            (vec!["pr-7"], None),
            (vec![&a, "latest"], None),
            (vec![&a, &stranger], None),
            (vec![&a, "pr-0"], None),
            (vec![&a, "commit-aaaa"], None),
            // A manifest in an index.
            (vec![], None),
        ] {
            assert_eq!(owners.of(&tagged(&tags)), expected, "{tags:?}");
        }
    }

    #[test]
    fn a_child_lives_as_long_as_an_index_that_names_it() {
        let [own, shared, tagged, needed] = ["own", "shared", "tagged", "needed"].map(digest);
        let children = [own.clone(), shared.clone(), tagged.clone(), needed.clone()];
        let version = |digest: &Digest, tags: &[&str]| ImageVersion {
            digest: digest.clone(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        };
        let staying = [
            (version(&digest("another index"), &["pr-8"]), vec![shared]),
            (version(&own, &[]), vec![]),
            (version(&tagged, &["arm64"]), vec![]),
        ];
        let needed = BTreeSet::from([needed]);
        assert_eq!(children_that_go(&children, &staying, &needed), [&own]);
    }
}
