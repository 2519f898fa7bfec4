//! Whether what was merged may go to a target: the chain of evidence from the merged commit to the images, and the
//! verdict on it.
//!
//! All evidence is fetched before anything is decided. Nothing in it is believed for who wrote it, only for what proves
//! it: a record for its signature, an image for its bytes, a merge for its tree.

mod chain;
mod history;
mod job;
mod promotable;
mod refusal;
mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::attestation::{Attestation, Demand, Unattested, attested};
use crate::deploy::Unwanted;
use crate::names::{
    CommitSha, ComponentName, Digest, NamespaceName, PinnedImage, PrNumber, RepositoryId,
    RepositorySlug, Subject, TreeSha,
};
use crate::objects::ObjectName;
use crate::pulls::{Commit, PullRequest, PullState};
use crate::record::{BuiltBy, Record, RecordRefused, Recorded};

pub use chain::{Link, Mark, chain, lines};
pub use history::{Outcome, Promotion, Told, markdown, table};
pub use job::{Command, Errand};
pub use promotable::{CONTEXT, Merging, Promotable, TestMerge, promotable};
pub use refusal::{Gained, Moved, Nothing, Refusal, Titled};
pub use running::{Running, compare_running, reported};

/// Everything that is known before a promotion to one target is decided.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The repository.
    pub repository: RepositoryId,
    /// Its name, for messages.
    pub slug: RepositorySlug,
    /// Its default branch.
    pub default_branch: String,
    /// The commit M.
    pub commit: Commit,
    /// Whether M is a commit of the default branch.
    pub on_default_branch: bool,
    /// The pull requests that GitHub names for M, whatever their state and base.
    pub pulls: Vec<PullRequest>,
    /// The records found for M and for the heads of those pull requests, believed or not.
    pub records: Vec<Result<Record, RecordRefused>>,
    /// What the registry says of the images that the records name.
    pub images: BTreeMap<PinnedImage, ImageFacts>,
    /// What is known of who built those images; none where the configuration does not ask.
    pub attestations: Option<Attestations>,
    /// Trees of records that differ from M's in nothing but paths that the configuration ignores, with those paths.
    pub alike: BTreeMap<TreeSha, Vec<String>>,
    /// By the commit of the default branch that was tested on: what that branch had gained when M was merged to it.
    pub gained: BTreeMap<CommitSha, Gained>,
    /// The target.
    pub target: Target,
    /// The merged pull request that was to have no preview, and the rule by which; only where it has no record.
    pub unwanted: Option<(PrNumber, Unwanted)>,
    /// What it is all for.
    pub intent: Intent,
}

/// What a commit is to be brought to a target for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Intent {
    /// To go on with it.
    Promote,
    /// To go on with it on a target where nothing of ours runs yet: whatever runs there is replaced.
    Adopt,
    /// To go back to it, from whatever runs and whether or not the target is frozen.
    RollBack,
}

/// Who must have built the images, and what GitHub keeps of who did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestations {
    /// Who must have.
    pub demand: Demand,
    /// By image, those that GitHub keeps for its digest, believed or not.
    pub found: BTreeMap<PinnedImage, Vec<Attestation>>,
}

impl Attestations {
    /// Whether the image is attested as it has to be.
    fn judge(&self, recorded: &Recorded) -> Result<(), Unattested> {
        // An image that nobody asked GitHub about has none.
        let found = self.found.get(&recorded.image);
        let found = found.map_or(&[][..], Vec::as_slice);
        attested(&self.demand, recorded.into(), found)
    }
}

/// What the registry says of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFacts {
    /// Whether it has what the digest names.
    pub present: bool,
    /// Which piece is not what its digest says, where one is not: then nothing else is known.
    pub damage: Option<String>,
    /// Pieces below that which it does not have.
    pub missing: Vec<String>,
    /// The commit that the revision label names; none where there is none, or the text that is no one commit.
    pub revision: Result<Option<CommitSha>, String>,
    /// The digests of what it consists of: the manifests of its platforms and their configs. A node may report one of
    /// them in place of the image's own.
    pub parts: BTreeSet<Digest>,
}

/// Where it is to go, and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name, such as `production`.
    pub name: String,
    /// Its namespace.
    pub namespace: NamespaceName,
    /// Why nothing may be promoted to it, in the words of who froze it.
    pub frozen: Option<String>,
    /// The workloads that the configuration names, each with what was found of it.
    pub workloads: Vec<Workload>,
}

/// A container of a target that runs a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The component.
    pub component: ComponentName,
    /// The workload, such as `Deployment/web`.
    pub object: ObjectName,
    /// The container within it.
    pub container: String,
    /// What was found there.
    pub found: Found,
}

/// What was found in place of a workload's container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The target has no such workload.
    NoWorkload,
    /// The workload has no such container; applying one would add it.
    NoContainer {
        /// Those it has.
        containers: Vec<String>,
    },
    /// A tool reconciles the workload from git and would undo what we write.
    Reconciled {
        /// Which, and how that is known.
        by: String,
    },
    /// It runs something.
    Runs {
        /// The image as the template names it.
        image: String,
        /// The commit that our annotation names, and how it stands to M; none where nothing of ours ran there yet.
        commit: Option<(CommitSha, Lineage)>,
    },
}

/// How the commit that runs stands to M.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lineage {
    /// It is M.
    Same,
    /// M contains it.
    Ancestor,
    /// It contains M: something newer runs.
    Descendant,
    /// Neither contains the other, or it is unknown.
    Unrelated,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Bring these images to the target.
    Promote {
        /// By component, those that the target runs.
        images: BTreeMap<ComponentName, PinnedImage>,
        /// The record that proves them.
        record: Box<Record>,
    },
    /// There is nothing to do.
    Nothing(Nothing),
    /// Rules say no: every broken link of the chain.
    Refused(Vec<Refusal>),
}

impl Evidence {
    /// The merged pull requests that M belongs to.
    fn merged_pulls(&self) -> Vec<PrNumber> {
        let merged = self.pulls.iter().filter(|pull| {
            matches!(pull.state, PullState::Merged { .. }) && pull.base_ref == self.default_branch
        });
        merged.map(|pull| pull.number).collect()
    }

    /// The records that can be believed and are of M or of a pull request that M merged.
    fn believed(&self) -> impl Iterator<Item = &Record> {
        let pulls = self.merged_pulls();
        self.records
            .iter()
            .filter_map(|record| record.as_ref().ok())
            .filter(move |record| record.is_of(&self.commit.sha, &pulls))
    }

    /// The images that the target is to run and the record that proves them, where there is one of M's tree: what a
    /// promotion that ended half-way goes on with.
    #[must_use]
    pub fn proven(&self) -> Option<(BTreeMap<ComponentName, PinnedImage>, Record)> {
        let record = self.record()?;
        let tested = self.is_of_merged_tree(record);
        tested.then(|| (self.images_for_target(record), record.clone()))
    }

    /// Whether what was tested is what was merged, but for what the configuration ignores.
    fn is_of_merged_tree(&self, record: &Record) -> bool {
        record.tree == self.commit.tree || self.alike.contains_key(&record.tree)
    }

    /// The record that decides: the newest of M's very tree, or else of one that is alike, or, where none is, the newest.
    fn record(&self) -> Option<&Record> {
        self.believed().max_by_key(|record| {
            (
                record.tree == self.commit.tree,
                self.is_of_merged_tree(record),
                record.tested_at,
                record.run,
            )
        })
    }

    /// What is wrong with the record; nothing where there is one and it tested M's tree.
    ///
    /// A record that cannot be believed counts only where there is no better one: anybody can write such a thing, and
    /// must not be able to stop a promotion with it.
    fn record_refusals(&self) -> Vec<Refusal> {
        let Some(record) = self.record() else {
            let mut refused: Vec<Refusal> = Vec::new();
            for why in self
                .records
                .iter()
                .filter_map(|record| record.as_ref().err())
            {
                let refusal = Refusal::Record(why.clone());
                if !refused.contains(&refusal) {
                    refused.push(refusal);
                }
            }
            if refused.is_empty() {
                return vec![Refusal::NeverTested {
                    commit: self.commit.sha.clone(),
                    pulls: self.merged_pulls(),
                }];
            }
            return refused;
        };
        if self.is_of_merged_tree(record) {
            return Vec::new();
        }
        vec![Refusal::Skew {
            subject: record.subject.clone(),
            head: record.head.clone(),
            tested: record.tree.clone(),
            commit: self.commit.sha.clone(),
            merged: self.commit.tree.clone(),
            moved: self.moved_since(record),
        }]
    }

    fn moved_since(&self, record: &Record) -> Moved {
        let of_record = |pull: &&PullRequest| record.subject == Subject::Pr(pull.number);
        match self.pulls.iter().find(of_record) {
            Some(pull) if pull.head != record.head => Moved::Head {
                merged: pull.head.clone(),
            },
            _ => Moved::Base {
                branch: self.default_branch.clone(),
                tested_on: record.base.clone(),
                gained: record
                    .base
                    .as_ref()
                    .and_then(|base| self.gained.get(base).cloned()),
            },
        }
    }

    /// What is wrong with the images that the target would run, as far as there is a record that names them.
    fn image_refusals(&self) -> Vec<Refusal> {
        let Some(record) = self.record() else {
            return Vec::new();
        };
        let mut refusals = Vec::new();
        let mut seen = Vec::new();
        for workload in &self.target.workloads {
            let Some(recorded) = record.components.get(&workload.component) else {
                refusals.push(Refusal::ComponentNotInRecord {
                    component: workload.component.clone(),
                    object: workload.object.clone(),
                    subject: record.subject.clone(),
                });
                continue;
            };
            if !seen.contains(&&workload.component) {
                seen.push(&workload.component);
                refusals.extend(self.image_of(&workload.component, recorded));
            }
        }
        refusals
    }

    fn image_of(&self, component: &ComponentName, recorded: &Recorded) -> Vec<Refusal> {
        let (component, image) = (component.clone(), recorded.image.clone());
        let mut refusals = Vec::new();
        if recorded.built_by == BuiltBy::Contributor {
            refusals.push(Refusal::BuiltByContributor {
                component: component.clone(),
                image: image.clone(),
                commit: self.commit.sha.clone(),
            });
        }
        let attestations = self.attestations.as_ref();
        if let Some((demanded, Err(why))) = attestations.map(|a| (a, a.judge(recorded))) {
            refusals.push(Refusal::NotAttested {
                component: component.clone(),
                image: image.clone(),
                signer: demanded.demand.signer.clone(),
                why,
            });
        }
        // An image that nobody asked the registry about is not there.
        let Some(facts) = self.images.get(&image).filter(|facts| facts.present) else {
            refusals.push(Refusal::DigestMissing {
                component,
                image,
                commit: self.commit.sha.clone(),
            });
            return refusals;
        };
        if let Some(damage) = &facts.damage {
            refusals.push(Refusal::Damaged {
                component: component.clone(),
                image: image.clone(),
                damage: damage.clone(),
                commit: self.commit.sha.clone(),
            });
        }
        if !facts.missing.is_empty() {
            refusals.push(Refusal::IndexIncomplete {
                component: component.clone(),
                image: image.clone(),
                missing: facts.missing.clone(),
                commit: self.commit.sha.clone(),
            });
        }
        if facts.tells_its_revision() && facts.revision != Ok(Some(recorded.built_from.clone())) {
            refusals.push(Refusal::RevisionDisagrees {
                component,
                image,
                found: facts.said(),
                recorded: recorded.built_from.clone(),
                commit: self.commit.sha.clone(),
            });
        }
        refusals
    }

    /// What is wrong with the target.
    fn target_refusals(&self) -> Vec<Refusal> {
        if self.target.workloads.is_empty() {
            return vec![Refusal::EmptyTarget {
                target: self.target.name.clone(),
            }];
        }
        let workloads = self.target.workloads.iter();
        let frozen = self.frozen().map(|reason| Refusal::Frozen {
            target: self.target.name.clone(),
            reason: reason.to_owned(),
        });
        workloads
            .filter_map(|w| self.workload_refusal(w))
            .chain(frozen)
            .collect()
    }

    /// Why nothing may be promoted to the target, where that is what is asked for.
    fn frozen(&self) -> Option<&str> {
        let frozen = self.target.frozen.as_deref();
        frozen.filter(|_| self.intent != Intent::RollBack)
    }

    fn workload_refusal(&self, workload: &Workload) -> Option<Refusal> {
        let namespace = self.target.namespace.clone();
        let object = workload.object.clone();
        match &workload.found {
            Found::NoWorkload => Some(Refusal::NoSuchWorkload { namespace, object }),
            Found::NoContainer { containers } => Some(Refusal::NoSuchContainer {
                namespace,
                object,
                container: workload.container.clone(),
                containers: containers.clone(),
            }),
            Found::Reconciled { by } => Some(Refusal::ReconciledFromGit {
                namespace,
                object,
                by: by.clone(),
            }),
            Found::Runs {
                image,
                commit: None,
            } if self.intent != Intent::Adopt => Some(Refusal::NotAdopted {
                namespace,
                object,
                image: image.clone(),
                commit: self.commit.sha.clone(),
            }),
            Found::Runs {
                commit: Some((running, Lineage::Unrelated)),
                ..
            } if self.intent != Intent::RollBack => Some(Refusal::Regression {
                object,
                running: running.clone(),
                commit: self.commit.sha.clone(),
                branch: self.default_branch.clone(),
            }),
            Found::Runs { .. } => None,
        }
    }

    /// A workload that runs something which contains M.
    fn newer(&self) -> Option<Nothing> {
        if self.intent == Intent::RollBack {
            return None;
        }
        self.target.workloads.iter().find_map(|workload| {
            let Found::Runs {
                commit: Some((newer, Lineage::Descendant)),
                ..
            } = &workload.found
            else {
                return None;
            };
            Some(Nothing::NewerIsThere {
                target: self.target.name.clone(),
                object: workload.object.clone(),
                newer: newer.clone(),
                commit: self.commit.sha.clone(),
            })
        })
    }

    fn images_for_target(&self, record: &Record) -> BTreeMap<ComponentName, PinnedImage> {
        let components = self.target.workloads.iter().map(|w| &w.component);
        components
            .filter_map(|component| {
                let recorded = record.components.get(component)?;
                Some((component.clone(), recorded.image.clone()))
            })
            .collect()
    }

    /// Whether every workload runs M with exactly `images`.
    fn runs_already(&self, images: &BTreeMap<ComponentName, PinnedImage>) -> bool {
        self.target.workloads.iter().all(|workload| {
            let wanted = images.get(&workload.component).map(ToString::to_string);
            matches!(
                &workload.found,
                Found::Runs { image, commit: Some((_, Lineage::Same)) } if Some(image) == wanted.as_ref()
            )
        })
    }
}

impl ImageFacts {
    /// Of an image of which a piece is not what its digest says.
    #[must_use]
    pub fn damaged(damage: String) -> Self {
        Self {
            present: true,
            damage: Some(damage),
            missing: Vec::new(),
            revision: Ok(None),
            parts: BTreeSet::new(),
        }
    }

    /// Whether a label that is not there is none: it may be in what the registry lost, or changed.
    fn tells_its_revision(&self) -> bool {
        let is_whole = self.missing.is_empty() && self.damage.is_none();
        is_whole || self.revision != Ok(None)
    }

    /// What the revision label says, for messages.
    fn said(&self) -> String {
        match &self.revision {
            Ok(Some(commit)) => commit.to_string(),
            Ok(None) => "nothing at all".to_owned(),
            Err(text) => format!("{text:?}"),
        }
    }
}

/// Decides on the whole evidence.
///
/// Where something newer runs there is nothing to do, whatever else is wrong: nobody has to act.
#[must_use]
pub fn decide(evidence: &Evidence) -> Verdict {
    if let Some(newer) = evidence.newer() {
        return Verdict::Nothing(newer);
    }
    if let Some((pull, why)) = &evidence.unwanted
        && evidence.records.is_empty()
        && evidence.intent != Intent::RollBack
    {
        return Verdict::Nothing(Nothing::Unwanted {
            commit: evidence.commit.sha.clone(),
            pull: *pull,
            why: why.clone(),
        });
    }
    let mut refusals = Vec::new();
    if !evidence.on_default_branch {
        refusals.push(Refusal::NotMerged {
            commit: evidence.commit.sha.clone(),
            branch: evidence.default_branch.clone(),
        });
    }
    refusals.extend(evidence.record_refusals());
    refusals.extend(evidence.image_refusals());
    refusals.extend(evidence.target_refusals());
    let Some(record) = evidence.record().filter(|_| refusals.is_empty()) else {
        return Verdict::Refused(refusals);
    };
    let images = evidence.images_for_target(record);
    if evidence.runs_already(&images) {
        return Verdict::Nothing(Nothing::AlreadyRunning {
            target: evidence.target.name.clone(),
            commit: evidence.commit.sha.clone(),
        });
    }
    Verdict::Promote {
        images,
        record: Box::new(record.clone()),
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "the same commit",
            Self::Ancestor => "contained in it",
            Self::Descendant => "newer",
            Self::Unrelated => "not contained in it",
        })
    }
}

/// The digest at the end of `text`, such as that of `name@sha256:…`.
fn digest_in(text: &str) -> Option<Digest> {
    let at = text.rfind("sha256:")?;
    text[at..].parse().ok()
}

#[cfg(test)]
mod tests;
