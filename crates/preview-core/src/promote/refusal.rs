//! Why a promotion does nothing, or is refused: both values that disagree, and the next step.

use std::fmt;

use super::chain::ATTESTED;
use crate::attestation::Unattested;
use crate::deploy::Unwanted;
use crate::markdown::printable;
use crate::names::{
    CommitSha, ComponentName, NamespaceName, PinnedImage, PrNumber, Subject, TreeSha,
};
use crate::objects::ObjectName;
use crate::record::RecordRefused;

/// Characters of a commit's title that are shown.
const LONGEST_TITLE: usize = 60;

/// Why there is nothing to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nothing {
    /// It runs already.
    #[error("{target} runs {} already, with exactly these images", commit.short())]
    AlreadyRunning {
        /// The target.
        target: String,
        /// The commit M.
        commit: CommitSha,
    },
    /// It was to have no preview, so nothing was tested that could be promoted.
    #[error(
        "#{pull}, merged as {}, was to have no preview: {why}; what it changed comes with the next one that is tested",
        commit.short()
    )]
    Unwanted {
        /// The commit M.
        commit: CommitSha,
        /// The pull request.
        pull: PrNumber,
        /// The rule.
        why: Unwanted,
    },
    /// Something newer runs.
    #[error(
        "{target} runs {} in {object}, which contains {}: the newer promotion stands",
        newer.short(),
        commit.short()
    )]
    NewerIsThere {
        /// The target.
        target: String,
        /// Where.
        object: ObjectName,
        /// What runs.
        newer: CommitSha,
        /// The commit M.
        commit: CommitSha,
    },
}

/// A broken link of the chain, with both values and the next step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// M is not on the default branch.
    #[error("{commit} is not a commit of {branch}; promote the commit that the merge left there")]
    NotMerged {
        /// The commit.
        commit: CommitSha,
        /// The default branch.
        branch: String,
    },
    /// There is no record at all.
    #[error(
        "{commit} was never tested: there is no record of a preview {}; {}",
        tested_of(pulls),
        test_by_itself(commit)
    )]
    NeverTested {
        /// The commit M.
        commit: CommitSha,
        /// The merged pull requests it belongs to; none for a direct push.
        pulls: Vec<PrNumber>,
    },
    /// There are records, and none can be believed.
    #[error("a record cannot be believed: {0}")]
    Record(RecordRefused),
    /// What was tested is not what was merged.
    #[error(
        "what was tested is not what was merged: the preview of {subject} at {} tested the tree {tested}, and {} has \
         the tree {merged}: {}; {}",
        head.short(),
        commit.short(),
        moved.describe(subject),
        test_by_itself(commit)
    )]
    Skew {
        /// What was previewed.
        subject: Subject,
        /// At which head.
        head: CommitSha,
        /// The tree of B.
        tested: TreeSha,
        /// The commit M.
        commit: CommitSha,
        /// The tree of M.
        merged: TreeSha,
        /// What moved in between.
        moved: Moved,
    },
    /// The target runs a component that was not tested.
    #[error(
        "{object} runs the component {component}, which the preview of {subject} did not have; \
         add it to preview.toml's components, or take it out of the target"
    )]
    ComponentNotInRecord {
        /// The component.
        component: ComponentName,
        /// Where it would run.
        object: ObjectName,
        /// What was previewed.
        subject: Subject,
    },
    /// A fork's author wrote the build.
    #[error(
        "the image of {component}, {image}, was built by a contributor's own workflow, which proves nothing about \
         what is in it; {}",
        test_by_itself(commit)
    )]
    BuiltByContributor {
        /// The component.
        component: ComponentName,
        /// The image.
        image: PinnedImage,
        /// The commit M.
        commit: CommitSha,
    },
    /// The workflow that must have built it does not say so.
    #[error("the image of {component}, {image}, {}", unattested(signer, why))]
    NotAttested {
        /// The component.
        component: ComponentName,
        /// The image.
        image: PinnedImage,
        /// The workflow with its ref.
        signer: String,
        /// Why it does not count as attested.
        why: Unattested,
    },
    /// The registry lost the image.
    #[error(
        "the registry does not have the image of {component} that was tested, {image}; \
         find out what deleted it; {}",
        test_by_itself(commit)
    )]
    DigestMissing {
        /// The component.
        component: ComponentName,
        /// The image.
        image: PinnedImage,
        /// The commit M.
        commit: CommitSha,
    },
    /// The registry lost pieces of the image.
    #[error(
        "the image of {component} that was tested, {image}, is incomplete: the registry lacks {}; \
         find out what deleted them; {}",
        missing.join(", "),
        test_by_itself(commit)
    )]
    IndexIncomplete {
        /// The component.
        component: ComponentName,
        /// The image.
        image: PinnedImage,
        /// What is missing.
        missing: Vec<String>,
        /// The commit M.
        commit: CommitSha,
    },
    /// The registry serves something else under the image's digests.
    #[error(
        "the registry serves other bytes than those of the image of {component} that was tested, {image}: {damage}; \
         find out what changed them before anything from there runs again; {}",
        test_by_itself(commit)
    )]
    Damaged {
        /// The component.
        component: ComponentName,
        /// The image.
        image: PinnedImage,
        /// Which piece, with both values.
        damage: String,
        /// The commit M.
        commit: CommitSha,
    },
    /// The image says another commit than the record.
    #[error(
        "the image of {component}, {image}, says it was built from {found}, and the record says {recorded}; \
         {}",
        test_by_itself(commit)
    )]
    RevisionDisagrees {
        /// The component.
        component: ComponentName,
        /// The image.
        image: PinnedImage,
        /// What its label says.
        found: String,
        /// What the record says.
        recorded: CommitSha,
        /// The commit M.
        commit: CommitSha,
    },
    /// The target lacks the workload.
    #[error(
        "{namespace} has no {object}; create it once with its configuration, or correct the target in preview.toml"
    )]
    NoSuchWorkload {
        /// The target's namespace.
        namespace: NamespaceName,
        /// The workload.
        object: ObjectName,
    },
    /// The workload lacks the container.
    #[error(
        "{object} in {namespace} has no container {container:?}, only {}; correct the target in preview.toml",
        containers.join(", ")
    )]
    NoSuchContainer {
        /// The target's namespace.
        namespace: NamespaceName,
        /// The workload.
        object: ObjectName,
        /// The container.
        container: String,
        /// Those there are.
        containers: Vec<String>,
    },
    /// Something else writes the workload's images.
    #[error(
        "{object} in {namespace} is reconciled from git ({by}), which would undo the promotion; \
         change the image in that repository, or take the workload out of it"
    )]
    ReconciledFromGit {
        /// The target's namespace.
        namespace: NamespaceName,
        /// The workload.
        object: ObjectName,
        /// By which tool.
        by: String,
    },
    /// The target runs something that M does not contain.
    #[error(
        "{object} runs {running}, which {} does not contain, so promoting it would lose changes; \
         promote a commit of {branch} that contains both",
        commit.short()
    )]
    Regression {
        /// The workload.
        object: ObjectName,
        /// What runs.
        running: CommitSha,
        /// The commit M.
        commit: CommitSha,
        /// The default branch.
        branch: String,
    },
    /// Nothing of ours ran there yet, so that nothing says what a promotion would replace.
    #[error(
        "{object} in {namespace} runs {image}, which no promotion brought there, so that nothing says whether {} is newer; \
         where it may be replaced, promote by hand once: `preview-promote --commit {commit} --adopt`",
        commit.short()
    )]
    NotAdopted {
        /// The target's namespace.
        namespace: NamespaceName,
        /// The workload.
        object: ObjectName,
        /// What it runs.
        image: String,
        /// The commit M.
        commit: CommitSha,
    },
    /// Somebody froze the target.
    #[error(
        "{target} is frozen: {reason}; when it may be promoted to again: `preview-promote resume --target {target}`"
    )]
    Frozen {
        /// The target.
        target: String,
        /// In their words.
        reason: String,
    },
    /// The configuration names nothing to promote to.
    #[error("the target {target} names no workloads; name at least one in preview.toml")]
    EmptyTarget {
        /// The target.
        target: String,
    },
}

impl Refusal {
    /// The link of the [`chain`](fn@super::chain) that is broken.
    #[must_use]
    pub fn link(&self) -> String {
        match self {
            Self::NotMerged { .. } => "merged".to_owned(),
            Self::NeverTested { .. } | Self::Record(_) => "tested".to_owned(),
            Self::Skew { .. } => "tree".to_owned(),
            Self::ComponentNotInRecord { component, .. } => format!("{component}: in the record"),
            Self::BuiltByContributor { component, .. } => format!("{component}: built by"),
            Self::NotAttested { component, .. } => format!("{component}: {ATTESTED}"),
            Self::DigestMissing { component, .. } => format!("{component}: in the registry"),
            Self::IndexIncomplete { component, .. } | Self::Damaged { component, .. } => {
                format!("{component}: complete")
            }
            Self::RevisionDisagrees { component, .. } => format!("{component}: revision"),
            Self::NoSuchWorkload { object, .. }
            | Self::NoSuchContainer { object, .. }
            | Self::ReconciledFromGit { object, .. } => format!("{object}: there"),
            Self::NotAdopted { object, .. } | Self::Regression { object, .. } => {
                format!("{object}: nothing lost")
            }
            Self::Frozen { target, .. } => format!("{target}: not frozen"),
            Self::EmptyTarget { target } => format!("{target}: workloads"),
        }
    }

    /// Whether it is about the commit, so that an older one may still go to the target; none may where the target is wrong.
    #[must_use]
    pub fn is_of_the_commit(&self) -> bool {
        self.mended_by() != MendedBy::TheTarget
    }

    /// Whether a preview of the commit M by itself, from images that CI built of it, mends this link.
    #[must_use]
    pub fn is_mended_by_a_test(&self) -> bool {
        self.mended_by() == MendedBy::ATest
    }

    fn mended_by(&self) -> MendedBy {
        match self {
            Self::NeverTested { .. }
            | Self::Skew { .. }
            | Self::BuiltByContributor { .. }
            | Self::NotAttested { .. }
            | Self::DigestMissing { .. }
            | Self::IndexIncomplete { .. }
            | Self::Damaged { .. }
            | Self::RevisionDisagrees { .. } => MendedBy::ATest,
            Self::Record(why) if why.is_mended_by_a_test() => MendedBy::ATest,
            Self::Record(_) | Self::NotMerged { .. } | Self::ComponentNotInRecord { .. } => {
                MendedBy::AnotherCommit
            }
            Self::NoSuchWorkload { .. }
            | Self::NoSuchContainer { .. }
            | Self::ReconciledFromGit { .. }
            | Self::NotAdopted { .. }
            | Self::Regression { .. }
            | Self::Frozen { .. }
            | Self::EmptyTarget { .. } => MendedBy::TheTarget,
        }
    }
}

/// What it takes to mend a broken link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MendedBy {
    /// A preview of the commit M by itself.
    ATest,
    /// A commit of which it holds: of this one no preview mends it.
    AnotherCommit,
    /// A change of the target, whatever the commit.
    TheTarget,
}

/// What moved between the test and the merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    /// The pull request: it was merged with another head than the one that was tested last.
    Head {
        /// With which.
        merged: CommitSha,
    },
    /// The branch it was merged into.
    Base {
        /// Its name.
        branch: String,
        /// Its commit that the test merged the head into, where it did.
        tested_on: Option<CommitSha>,
        /// What it gained since; none where that is not known.
        gained: Option<Gained>,
    },
}

/// What a branch gained between two of its commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gained {
    /// The first of the commits, oldest first.
    pub commits: Vec<Titled>,
    /// How many more there are.
    pub more: u64,
}

/// A commit as people know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Titled {
    /// Which.
    pub sha: CommitSha,
    /// The first line of its message, written by its author.
    pub title: String,
}

impl fmt::Display for Gained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let titles = self.commits.iter().map(|commit| {
            let title: String = printable(&commit.title)
                .chars()
                .take(LONGEST_TITLE)
                .collect();
            format!("{} ({title})", commit.sha.short())
        });
        f.write_str(&titles.collect::<Vec<_>>().join(", "))?;
        match self.more {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl Moved {
    fn describe(&self, subject: &Subject) -> String {
        match self {
            Self::Head { merged } => format!(
                "{subject} was merged at {}, which no preview tested",
                merged.short()
            ),
            Self::Base {
                branch,
                tested_on,
                gained,
            } => {
                let tested_on = tested_on.as_ref();
                let tested_on =
                    tested_on.map_or_else(String::new, |base| format!(" from {}", base.short()));
                let gained = gained.as_ref().filter(|gained| !gained.commits.is_empty());
                let gained = gained.map_or_else(String::new, |gained| {
                    format!(", and the tested tree lacked {gained}")
                });
                format!("{branch} moved on{tested_on} between the test and the merge{gained}")
            }
        }
    }
}

fn tested_of(pulls: &[PrNumber]) -> String {
    if pulls.is_empty() {
        return "of it, and it belongs to no merged pull request".to_owned();
    }
    let pulls: Vec<String> = pulls.iter().map(|number| format!("#{number}")).collect();
    format!("of the pull request it merged, {}", pulls.join(", "))
}

fn unattested(signer: &str, why: &Unattested) -> String {
    match why {
        Unattested::Missing => format!(
            "has no attestation of who built it, and must have been built by {signer}; let that workflow build and attest \
             it, and deploy the preview again; if it did, grant this job `attestations: read`"
        ),
        Unattested::Invalid(reasons) => format!(
            "has no attestation that can be believed, and must have been built by {signer}: {}; if the authorities that \
             are trusted here are out of date, name newer ones in promote.require_attestation.trust_root; else find out \
             who wrote it",
            reasons.join("; ")
        ),
        Unattested::Differs {
            what,
            wanted,
            found,
        } => {
            let by = match wanted == signer {
                true => "that one",
                false => signer,
            };
            format!(
                "is attested with {what} {found}, and must be with {wanted}; let {by} build and attest the image, and \
                 deploy the preview again"
            )
        }
    }
}

/// The way on where a merge left what no preview has shown.
fn test_by_itself(commit: &CommitSha) -> String {
    format!(
        "let CI push images of it, test it by itself with `preview-deploy --commit {commit}`, and promote it again"
    )
}
