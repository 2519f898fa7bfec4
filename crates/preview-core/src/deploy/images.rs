//! Whether the images that CI pushed may stand for a pull request's head.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::commits::{BuiltFrom, NotBuiltFrom, WrongRevision};
use crate::config::Forks;
use crate::names::{CommitSha, ComponentName, ImageName, PinnedImage, Subject, TreeSha};
use crate::pulls::Commit;
use crate::record::BuiltBy;

use super::imported::{Imported, Origin, Unproven, who_built};
use super::previewed::Previewed;
use super::unchanged::{MustBeBuilt, Shown, Unchanged};

/// What is known of the image that a component would run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentEvidence {
    /// The component.
    pub component: ComponentName,
    /// Where its images are.
    pub name: ImageName,
    /// The tags that were looked for, in that order.
    pub tags: Vec<Tag>,
    /// What the first of them that exists names; none where none exists.
    pub image: Option<PinnedImage>,
    /// Pieces of it that the registry does not have.
    pub missing: Vec<String>,
    /// What its revision label says.
    pub revision: Revision,
    /// What is recorded of who built it; of a branch nothing has to be.
    pub imported: Imported,
    /// Where no tag exists and the configuration says what it is built from: the image that it had before, if that is
    /// still the same.
    pub unchanged: Option<Result<Unchanged, MustBeBuilt>>,
}

/// A tag under which CI may have pushed the images: a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tag {
    /// H.
    Head(CommitSha),
    /// GitHub's test merge of H into the base.
    TestMerge(CommitSha),
    /// A commit that is previewed by itself.
    Commit(CommitSha),
}

impl Tag {
    /// The commit whose SHA is the tag.
    #[must_use]
    pub fn commit(&self) -> &CommitSha {
        let (Self::Head(commit) | Self::TestMerge(commit) | Self::Commit(commit)) = self;
        commit
    }

    /// What that commit is.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Head(_) => "the head",
            Self::TestMerge(_) => "its test merge",
            Self::Commit(_) => "the commit",
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.commit(), self.kind())
    }
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
    /// Who built it.
    pub built_by: BuiltBy,
    /// For a component that is as it was: as what it was tested before. Its B has nothing to do with H then.
    pub unchanged: Option<TestedAs>,
}

/// What an image was tested as: "#7, which became abc1234".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestedAs {
    /// What was previewed.
    pub subject: Subject,
    /// The commit of the base branch that it became.
    pub since: CommitSha,
}

impl fmt::Display for TestedAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since.short();
        match &self.subject {
            Subject::Pr(number) => write!(f, "#{number}, which became {since}"),
            Subject::Commit(_) => f.write_str(since),
        }
    }
}

/// Images that may be deployed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The images.
    pub images: BTreeMap<ComponentName, AcceptedImage>,
    /// The one tree that all of them show: that of B.
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

    /// The components that are as they were, and as what they were tested then.
    pub fn unchanged(&self) -> impl Iterator<Item = (&ComponentName, &TestedAs)> {
        self.images
            .iter()
            .filter_map(|(component, accepted)| Some((component, accepted.unchanged.as_ref()?)))
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
        "component {component} has no image: {name} has none of the tags {}{}; \
         let CI push it under the tag of {}",
        tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        why.as_ref().map_or_else(String::new, |why| format!(", and it has to be built, for {why}")),
        tags.first().map_or("its commit", Tag::kind)
    )]
    NoImage {
        /// The component.
        component: ComponentName,
        /// Where it was looked for.
        name: ImageName,
        /// Under which tags.
        tags: Vec<Tag>,
        /// Why it has to be there although the configuration says what it is built from.
        why: Option<Box<MustBeBuilt>>,
    },
    /// Its own runs may push none, and nobody has built it for them.
    #[error(
        "component {component} has no image: {name} has none of the tags {}, and the runs of {origin} may push none; let \
         the workflow preview-deploy.yml build it once it is approved, or import its OCI layout with `preview-deploy import`",
        tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    )]
    NotBuilt {
        /// The component.
        component: ComponentName,
        /// Where it was looked for.
        name: ImageName,
        /// Under which tags.
        tags: Vec<Tag>,
        /// Where the pull request comes from.
        origin: Origin,
    },
    /// It is not known who built it, or it is known and not enough.
    #[error(
        "the image of component {component}, {image}, {}",
        match why {
            Unproven::Unknown => format!(
                "is recorded nowhere as imported for this head of {origin}, so whoever may push to the registry may have put \
                 it there; let the workflow preview-deploy.yml build it once it is approved, or import its OCI layout with \
                 `preview-deploy import`"
            ),
            Unproven::NoKey => format!(
                "is of {origin}, and who built it cannot be told without the key; give this job's environment the secret \
                 PREVIEW_RECORD_KEY that `preview-deploy import` has"
            ),
            Unproven::ByContributor => format!(
                "was built by the own workflow of {origin}, and pull_requests.forks = \"build\" in preview.toml takes only what \
                 the default branch's has built; let preview-deploy.yml build it once it is approved"
            ),
        }
    )]
    NotImported {
        /// The component.
        component: ComponentName,
        /// The image.
        image: PinnedImage,
        /// Where the pull request comes from.
        origin: Origin,
        /// What is wrong.
        why: Unproven,
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
        commits
            .iter()
            .map(|(component, b)| format!("{component} from {} with tree {}", b.sha, b.tree))
            .collect::<Vec<_>>()
            .join(", ")
    )]
    DifferentTrees {
        /// The commit B of each.
        commits: BTreeMap<ComponentName, Commit>,
    },
}

impl ImageRefusal {
    /// Whether it has to be built still, by whoever may: no fault of anybody.
    #[must_use]
    pub const fn is_yet_to_be_built(&self) -> bool {
        matches!(self, Self::NotBuilt { .. } | Self::NotImported { .. })
    }
}

/// Checks that the images of all components are there, whole, and built from one tree that shows what is previewed, or
/// from what is the same in it. `shown` is B where not one of them was built for it.
///
/// # Errors
/// When they are not: every reason that was found.
pub fn accept(
    evidence: &[ComponentEvidence],
    previewed: &Previewed,
    shown: Option<&Shown>,
    forks: Forks,
) -> Result<Accepted, Vec<ImageRefusal>> {
    if evidence.is_empty() {
        return Err(vec![ImageRefusal::NoComponents]);
    }
    let mut refusals = Vec::new();
    let mut images = BTreeMap::new();
    let mut commits = BTreeMap::new();
    let mut base = None;
    for one in evidence {
        match accept_one(one, previewed, forks) {
            Ok((accepted, built)) => {
                images.insert(one.component.clone(), accepted);
                if let Some(built) = built {
                    commits.insert(one.component.clone(), built.commit);
                    base = base.or(built.base);
                }
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
    let distinct: BTreeSet<&TreeSha> = commits.values().map(|commit| &commit.tree).collect();
    let of_none = shown.filter(|_| commits.is_empty());
    if let Some(shown) = of_none.filter(|_| refusals.is_empty()) {
        return Ok(Accepted {
            images,
            tree: shown.commit.tree.clone(),
            base: shown.base.clone(),
        });
    }
    match distinct.first() {
        Some(tree) if refusals.is_empty() && distinct.len() == 1 => Ok(Accepted {
            images,
            tree: (*tree).clone(),
            base,
        }),
        _ => {
            if distinct.len() > 1 {
                refusals.push(ImageRefusal::DifferentTrees { commits });
            }
            if refusals.is_empty() {
                refusals.extend(
                    evidence
                        .iter()
                        .map(|one| no_image(one, previewed, Some(MustBeBuilt::NothingToCompare))),
                );
            }
            Err(refusals)
        }
    }
}

fn no_image(
    evidence: &ComponentEvidence,
    previewed: &Previewed,
    why: Option<MustBeBuilt>,
) -> ImageRefusal {
    if !previewed.origin().may_push() {
        return ImageRefusal::NotBuilt {
            component: evidence.component.clone(),
            name: evidence.name.clone(),
            tags: evidence.tags.clone(),
            origin: previewed.origin().clone(),
        };
    }
    ImageRefusal::NoImage {
        component: evidence.component.clone(),
        name: evidence.name.clone(),
        tags: evidence.tags.clone(),
        why: why.map(Box::new),
    }
}

/// The image, and B where it was built for what is previewed.
fn accept_one(
    evidence: &ComponentEvidence,
    previewed: &Previewed,
    forks: Forks,
) -> Result<(AcceptedImage, Option<Shown>), ImageRefusal> {
    let component = evidence.component.clone();
    let Some(image) = evidence.image.clone() else {
        return match evidence.unchanged.clone() {
            Some(Ok(unchanged)) => Ok((AcceptedImage::from(unchanged), None)),
            Some(Err(why)) => Err(no_image(evidence, previewed, Some(why))),
            None => Err(no_image(evidence, previewed, None)),
        };
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
        Revision::Commit(built_from) => previewed.base_of(built_from).map(|base| Shown {
            commit: built_from.commit.clone(),
            base,
        }),
    };
    let shown = built_from.map_err(|why| {
        ImageRefusal::WrongRevision(Box::new(WrongRevision {
            component: component.clone(),
            image: image.clone(),
            wanted: previewed.wanted(),
            why,
        }))
    })?;
    let origin = previewed.origin();
    let built_by = who_built(origin, evidence.imported, forks);
    let accepted = AcceptedImage {
        built_by: built_by.map_err(|why| ImageRefusal::NotImported {
            component,
            image: image.clone(),
            origin: origin.clone(),
            why,
        })?,
        image,
        built_from: shown.commit.sha.clone(),
        unchanged: None,
    };
    Ok((accepted, Some(shown)))
}

impl From<Unchanged> for AcceptedImage {
    fn from(unchanged: Unchanged) -> Self {
        let Unchanged {
            recorded,
            since,
            subject,
        } = unchanged;
        Self {
            image: recorded.image,
            built_from: recorded.built_from,
            built_by: recorded.built_by,
            unchanged: Some(TestedAs { subject, since }),
        }
    }
}

#[cfg(test)]
mod tests;
