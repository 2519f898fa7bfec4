//! Whether the images that CI pushed may stand for a pull request's head.

use std::collections::{BTreeMap, BTreeSet};

use crate::commits::{BuiltFrom, NotBuiltFrom, WrongRevision, base_of};
use crate::names::{CommitSha, ComponentName, ImageName, PinnedImage, TreeSha};

/// What is known of the image that a component would run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentEvidence {
    /// The component.
    pub component: ComponentName,
    /// Where its images are.
    pub name: ImageName,
    /// The tags that were looked for, in that order.
    pub tags: Vec<String>,
    /// What the first of them that exists names; none where none exists.
    pub image: Option<PinnedImage>,
    /// Pieces of it that the registry does not have.
    pub missing: Vec<String>,
    /// What its revision label says.
    pub revision: Revision,
}

/// What an image says of the commit it was built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revision {
    /// Nothing.
    None,
    /// Its platforms say different things, or none that is a commit; this is the error.
    Unclear(String),
    /// Something that is no commit of this repository.
    Unknown(String),
    /// This commit B.
    Commit(BuiltFrom),
}

/// An image that may be deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedImage {
    /// The image.
    pub image: PinnedImage,
    /// The commit B it was built from.
    pub built_from: CommitSha,
}

/// Images that may be deployed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The images.
    pub images: BTreeMap<ComponentName, AcceptedImage>,
    /// The one tree that all of them were built from.
    pub tree: TreeSha,
    /// The commit of the base branch that B merges H into; none where B is H.
    pub base: Option<CommitSha>,
}

impl Accepted {
    /// The images alone.
    #[must_use]
    pub fn pinned(&self) -> BTreeMap<ComponentName, PinnedImage> {
        self.images
            .iter()
            .map(|(component, accepted)| (component.clone(), accepted.image.clone()))
            .collect()
    }
}

/// Why images are not deployed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageRefusal {
    /// The configuration names no component.
    #[error("there is nothing to deploy: name at least one component in preview.toml")]
    NoComponents,
    /// CI pushed no image for this head.
    #[error(
        "component {component} has no image: {name} has none of the tags {}; \
         let CI push the image of a pull request under the tag of its head commit",
        tags.join(", ")
    )]
    NoImage {
        /// The component.
        component: ComponentName,
        /// Where it was looked for.
        name: ImageName,
        /// Under which tags.
        tags: Vec<String>,
    },
    /// The registry has only some of it.
    #[error(
        "the image of component {component}, {image}, is incomplete: the registry lacks {}; run CI again to push it",
        missing.join(", ")
    )]
    Incomplete {
        /// The component.
        component: ComponentName,
        /// The image.
        image: PinnedImage,
        /// What is missing.
        missing: Vec<String>,
    },
    /// It does not say one commit.
    #[error("the image of component {component}, {image}: {why}")]
    UnclearRevision {
        /// The component.
        component: ComponentName,
        /// The image.
        image: PinnedImage,
        /// What it says.
        why: String,
    },
    /// It was built from something else.
    #[error("{0}")]
    WrongRevision(Box<WrongRevision>),
    /// The components were built from different files.
    #[error(
        "the images were built from different trees ({}), so no merge could ever equal what the preview shows; \
         run CI again to build all components from one commit",
        trees.iter().map(|(c, t)| format!("{c} from {t}")).collect::<Vec<_>>().join(", ")
    )]
    DifferentTrees {
        /// What each was built from.
        trees: BTreeMap<ComponentName, TreeSha>,
    },
}

/// Checks that the images of all components are there, whole, and built from one tree that stands for `head`.
///
/// # Errors
/// When they are not: every reason that was found.
pub fn accept(
    evidence: &[ComponentEvidence],
    head: &CommitSha,
    base_ref: &str,
) -> Result<Accepted, Vec<ImageRefusal>> {
    if evidence.is_empty() {
        return Err(vec![ImageRefusal::NoComponents]);
    }
    let mut refusals = Vec::new();
    let mut images = BTreeMap::new();
    let mut trees = BTreeMap::new();
    let mut base = None;
    for one in evidence {
        match accept_one(one, head, base_ref) {
            Ok((accepted, tree, its_base)) => {
                images.insert(one.component.clone(), accepted);
                trees.insert(one.component.clone(), tree);
                base = base.or(its_base);
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
    let distinct: BTreeSet<&TreeSha> = trees.values().collect();
    match distinct.first() {
        Some(tree) if refusals.is_empty() && distinct.len() == 1 => Ok(Accepted {
            images,
            tree: (*tree).clone(),
            base,
        }),
        _ => {
            if distinct.len() > 1 {
                refusals.push(ImageRefusal::DifferentTrees { trees });
            }
            Err(refusals)
        }
    }
}

fn accept_one(
    evidence: &ComponentEvidence,
    head: &CommitSha,
    base_ref: &str,
) -> Result<(AcceptedImage, TreeSha, Option<CommitSha>), ImageRefusal> {
    let component = evidence.component.clone();
    let Some(image) = evidence.image.clone() else {
        return Err(ImageRefusal::NoImage {
            component,
            name: evidence.name.clone(),
            tags: evidence.tags.clone(),
        });
    };
    if !evidence.missing.is_empty() {
        return Err(ImageRefusal::Incomplete {
            component,
            image,
            missing: evidence.missing.clone(),
        });
    }
    let built_from = match &evidence.revision {
        Revision::Unclear(why) => {
            return Err(ImageRefusal::UnclearRevision {
                component,
                image,
                why: why.clone(),
            });
        }
        Revision::None => Err(NotBuiltFrom::NoRevision),
        Revision::Unknown(revision) => Err(NotBuiltFrom::UnknownCommit {
            revision: revision.clone(),
        }),
        Revision::Commit(built_from) => base_of(built_from, head).map(|base| (built_from, base)),
    };
    let (built_from, base) = built_from.map_err(|why| {
        ImageRefusal::WrongRevision(Box::new(WrongRevision {
            component,
            image: image.clone(),
            head: head.clone(),
            base_ref: base_ref.to_owned(),
            why,
        }))
    })?;
    let commit = &built_from.commit;
    let accepted = AcceptedImage {
        image,
        built_from: commit.sha.clone(),
    };
    Ok((accepted, commit.tree.clone(), base))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pulls::Commit;

    fn sha(digit: char) -> CommitSha {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn evidence(component: &str, commit: char, parents: &[char], tree: char) -> ComponentEvidence {
        let name: ImageName = format!("ghcr.io/acme/{component}").parse().unwrap();
        let digest = format!("sha256:{}", "1".repeat(64)).parse().unwrap();
        ComponentEvidence {
            component: component.parse().unwrap(),
            tags: vec!["h".into(), "b".into()],
            image: Some(name.at(digest)),
            name,
            missing: Vec::new(),
            revision: Revision::Commit(BuiltFrom {
                commit: Commit {
                    sha: sha(commit),
                    tree: tree.to_string().repeat(40).parse().unwrap(),
                    parents: parents.iter().copied().map(sha).collect(),
                },
                parents_on_base: parents
                    .iter()
                    .copied()
                    .filter(|p| *p == 'e')
                    .map(sha)
                    .collect(),
            }),
        }
    }

    #[test]
    fn images_of_one_tree_are_accepted_with_their_commits_and_base() {
        // A re-run keeps its old B: two merges of one tree, and one component built from H itself.
        let accepted = accept(
            &[
                evidence("api", 'a', &['9'], '7'),
                evidence("web", 'b', &['e', 'a'], '7'),
            ],
            &sha('a'),
            "main",
        )
        .unwrap();
        assert_eq!(accepted.base, Some(sha('e')));
        assert_eq!(accepted.tree.as_str(), "7".repeat(40));
        let built_from: Vec<&CommitSha> = accepted.images.values().map(|i| &i.built_from).collect();
        assert_eq!(built_from, [&sha('a'), &sha('b')]);
        assert_eq!(accepted.pinned().len(), 2);
    }

    #[test]
    fn every_image_that_cannot_stand_for_the_head_is_named() {
        let good = || evidence("web", 'b', &['e', 'a'], '7');
        let refused = accept(
            &[
                ComponentEvidence {
                    image: None,
                    ..good()
                },
                ComponentEvidence {
                    missing: vec!["layer sha256:2".into()],
                    ..good()
                },
                ComponentEvidence {
                    revision: Revision::None,
                    ..good()
                },
                ComponentEvidence {
                    revision: Revision::Unknown("main".into()),
                    ..good()
                },
                ComponentEvidence {
                    revision: Revision::Unclear("its platforms disagree".into()),
                    ..good()
                },
                evidence("api", 'c', &['e'], '7'),
            ],
            &sha('a'),
            "main",
        )
        .unwrap_err();
        let told: Vec<String> = refused.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        component web has no image: ghcr.io/acme/web has none of the tags h, b; let CI push the image of a pull request under the tag of its head commit
        the image of component web, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, is incomplete: the registry lacks layer sha256:2; run CI again to push it
        the image of component web, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, does not say which commit it was built from; let CI set the label org.opencontainers.image.revision to the commit it checked out
        the image of component web, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, says it was built from "main", which is no commit of this repository; let CI set the label org.opencontainers.image.revision to the commit it checked out
        the image of component web, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111: its platforms disagree
        the image of component api, ghcr.io/acme/api@sha256:1111111111111111111111111111111111111111111111111111111111111111, was built from cccccccccccccccccccccccccccccccccccccccc (parents: eeeeeee), which is neither the head aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa nor a merge of it into main; run CI again for the head
        "#);
    }

    #[test]
    fn components_of_different_trees_and_none_at_all_are_refused() {
        let refused = accept(
            &[
                evidence("api", 'a', &['9'], '8'),
                evidence("web", 'b', &['e', 'a'], '7'),
            ],
            &sha('a'),
            "main",
        )
        .unwrap_err();
        insta::assert_snapshot!(refused[0], @"the images were built from different trees (api from 8888888888888888888888888888888888888888, web from 7777777777777777777777777777777777777777), so no merge could ever equal what the preview shows; run CI again to build all components from one commit");
        assert_eq!(refused.len(), 1);
        assert_eq!(
            accept(&[], &sha('a'), "main"),
            Err(vec![ImageRefusal::NoComponents])
        );
    }
}
