//! Why a promotion does nothing, or is refused: both values that disagree, and the next step.

use crate::attestation::Unattested;
use crate::names::{
    CommitSha, ComponentName, NamespaceName, PinnedImage, PrNumber, Subject, TreeSha,
};
use crate::objects::ObjectName;
use crate::record::RecordRefused;

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
         what is in it; let a workflow of the default branch build it and deploy the preview again"
    )]
    BuiltByContributor {
        /// The component.
        component: ComponentName,
        /// The image.
        image: PinnedImage,
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
         find out what deleted it, then run CI for it and deploy the preview again"
    )]
    DigestMissing {
        /// The component.
        component: ComponentName,
        /// The image.
        image: PinnedImage,
    },
    /// The registry lost pieces of the image.
    #[error(
        "the image of {component} that was tested, {image}, is incomplete: the registry lacks {}; \
         find out what deleted them, then run CI for it and deploy the preview again",
        missing.join(", ")
    )]
    IndexIncomplete {
        /// The component.
        component: ComponentName,
        /// The image.
        image: PinnedImage,
        /// What is missing.
        missing: Vec<String>,
    },
    /// The image says another commit than the record.
    #[error(
        "the image of {component}, {image}, says it was built from {found}, and the record says {recorded}; \
         deploy the preview again to record what its images say"
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
    /// The configuration names nothing to promote to.
    #[error("the target {target} names no workloads; name at least one in preview.toml")]
    EmptyTarget {
        /// The target.
        target: String,
    },
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
    },
}

impl Moved {
    fn describe(&self, subject: &Subject) -> String {
        match self {
            Self::Head { merged } => format!(
                "{subject} was merged at {}, which no preview tested",
                merged.short()
            ),
            Self::Base { branch, tested_on } => {
                let tested_on = tested_on.as_ref();
                let tested_on =
                    tested_on.map_or_else(String::new, |base| format!(" from {}", base.short()));
                format!("{branch} moved on{tested_on} between the test and the merge")
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
