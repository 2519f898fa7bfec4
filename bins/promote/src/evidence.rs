//! Facts: what was merged, what was tested of it, and what the target runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::{try_join, try_join_all};
use futures::try_join;
use preview_actions::{Failed, Outside as _};
use preview_core::config::TargetWorkload;
use preview_core::names::{CommitSha, Digest, PinnedImage};
use preview_core::objects::ObjectName;
use preview_core::promote::{Attestations, Evidence, Found, ImageFacts, Lineage, Target, Workload};
use preview_core::pulls::{Commit, PullRequest};
use preview_core::record::{Record, RecordRefused, Trust};
use preview_k8s::TargetFacts;
use preview_registry::{Inspection, Kind};

use crate::Promotion;
use crate::world::World;

/// For how long GitHub may not know yet which pull request a commit came from: seconds, after a push.
const LAG: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// What does not depend on the target.
pub(crate) struct Merged {
    pub(crate) commit: Commit,
    pub(crate) on_default_branch: bool,
    pub(crate) pulls: Vec<PullRequest>,
    pub(crate) records: Vec<Result<Record, RecordRefused>>,
    pub(crate) images: BTreeMap<PinnedImage, Inspection>,
    pub(crate) attestations: Option<Attestations>,
}

impl Merged {
    /// The digests of what an image consists of: what a node may report in its place.
    pub(crate) fn belongs_to(&self, image: &PinnedImage) -> BTreeSet<Digest> {
        let inspection = self.images.get(image);
        let platforms = inspection.into_iter().flat_map(|i| &i.platforms);
        platforms
            .flat_map(|platform| [platform.manifest.clone(), platform.config.clone()])
            .collect()
    }
}

impl World<'_> {
    /// What is known of the commit M: its pull request, its records, and their images in the registry.
    pub(crate) async fn merged(&self, sha: &CommitSha) -> Result<Merged, Failed> {
        let branch = &self.repository.default_branch;
        let commit = self.github.commit(sha).await.outside()?.ok_or_else(|| {
            Failed::refused(format!(
                "{} has no commit {sha}; promote a commit of {branch}",
                self.repository.slug
            ))
        })?;
        let (on_default_branch, pulls) = try_join(
            async { self.github.is_ancestor(sha, branch).await.outside() },
            self.pulls_of(sha),
        )
        .await?;
        let mut tested: BTreeSet<&CommitSha> = pulls.iter().map(|pull| &pull.head).collect();
        tested.insert(sha);
        let records = try_join_all(tested.into_iter().map(|head| self.records_of(head))).await?;
        let records: Vec<_> = records.into_iter().flatten().collect();
        let images: BTreeSet<&PinnedImage> = records
            .iter()
            .flatten()
            .flat_map(|record| record.components.values().map(|recorded| &recorded.image))
            .collect();
        let inspected = images.iter().copied().map(|image| async move {
            let inspection = self.registry.inspect(image).await.outside()?;
            Ok::<_, Failed>((image.clone(), inspection))
        });
        let attestations = self.attestations(images.iter().copied());
        let (inspected, attestations) = try_join(try_join_all(inspected), attestations).await?;
        let images = inspected.into_iter().collect();
        Ok(Merged {
            commit,
            on_default_branch,
            pulls,
            records,
            images,
            attestations,
        })
    }

    async fn pulls_of(&self, sha: &CommitSha) -> Result<Vec<PullRequest>, Failed> {
        for pause in LAG {
            let pulls = self.github.pulls_of_commit(sha).await.outside()?;
            if !pulls.is_empty() {
                return Ok(pulls);
            }
            tokio::time::sleep(pause).await;
        }
        self.github.pulls_of_commit(sha).await.outside()
    }

    /// The records that were kept for this head, believed or not.
    async fn records_of(
        &self,
        head: &CommitSha,
    ) -> Result<Vec<Result<Record, RecordRefused>>, Failed> {
        let records = self.github.records(head, self.trust(), self.repository.id);
        records.await.outside()
    }

    /// Which records are believed.
    pub(crate) fn trust(&self) -> Trust<'_> {
        self.config.promote.trust(self.key.as_ref())
    }

    /// How the commit that runs stands to M.
    async fn lineage(&self, running: &CommitSha, merged: &CommitSha) -> Result<Lineage, Failed> {
        if running == merged {
            return Ok(Lineage::Same);
        }
        // What somebody else annotated may be no commit of this repository.
        if self.github.commit(running).await.outside()?.is_none() {
            return Ok(Lineage::Unrelated);
        }
        let (older, newer) = try_join!(
            self.github.is_ancestor(running, merged.as_str()),
            self.github.is_ancestor(merged, running.as_str()),
        )
        .outside()?;
        Ok(match (older, newer) {
            (true, _) => Lineage::Ancestor,
            (_, true) => Lineage::Descendant,
            _ => Lineage::Unrelated,
        })
    }
}

impl Promotion<'_> {
    /// Everything that is known now.
    pub(crate) async fn evidence(&self) -> Result<Evidence, Failed> {
        let workloads = self
            .target
            .workloads
            .iter()
            .map(|workload| self.workload(workload));
        let repository = &self.world.repository;
        let images = self.merged.images.iter();
        Ok(Evidence {
            repository: repository.id,
            slug: repository.slug.clone(),
            default_branch: repository.default_branch.clone(),
            commit: self.merged.commit.clone(),
            on_default_branch: self.merged.on_default_branch,
            pulls: self.merged.pulls.clone(),
            records: self.merged.records.clone(),
            images: images
                .map(|(image, found)| (image.clone(), image_facts(found)))
                .collect(),
            attestations: self.merged.attestations.clone(),
            target: Target {
                name: self.target.name.to_string(),
                namespace: self.target.namespace.clone(),
                workloads: try_join_all(workloads).await?,
            },
        })
    }

    async fn workload(&self, wanted: &TargetWorkload) -> Result<Workload, Failed> {
        Ok(Workload {
            component: wanted.component.clone(),
            object: wanted.workload.clone(),
            container: wanted.container.clone(),
            found: self.found(wanted).await?,
        })
    }

    async fn found(&self, wanted: &TargetWorkload) -> Result<Found, Failed> {
        let Some(facts) = self.read(&wanted.workload).await? else {
            return Ok(Found::NoWorkload);
        };
        if let Some(by) = facts.reconciler {
            return Ok(Found::Reconciled { by });
        }
        let Some(container) = facts.container(&wanted.container) else {
            let containers = facts.containers.into_iter().map(|container| container.name);
            return Ok(Found::NoContainer {
                containers: containers.collect(),
            });
        };
        let commit = match facts.commit() {
            None => None,
            Some(running) => {
                let lineage = self.world.lineage(&running, self.commit()).await?;
                Some((running, lineage))
            }
        };
        Ok(Found::Runs {
            image: container.image.clone(),
            commit,
        })
    }

    pub(crate) async fn read(&self, workload: &ObjectName) -> Result<Option<TargetFacts>, Failed> {
        let namespace = &self.target.namespace;
        self.world
            .cluster
            .target(namespace, workload)
            .await
            .outside()
    }
}

fn image_facts(found: &Inspection) -> ImageFacts {
    let (whole, pieces): (Vec<_>, Vec<_>) = found
        .missing
        .iter()
        .partition(|missing| missing.kind == Kind::Image);
    ImageFacts {
        present: whole.is_empty(),
        missing: pieces.iter().map(ToString::to_string).collect(),
        revision: found.revision().map_err(|disagree| disagree.to_string()),
    }
}
