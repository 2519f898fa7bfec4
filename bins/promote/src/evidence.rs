//! Facts: what was merged, what was tested of it, and what the target runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::future::{try_join, try_join_all};
use futures::try_join;
use jiff::Timestamp;
use preview_actions::{Failed, Outside as _};
use preview_core::config::TargetWorkload;
use preview_core::deploy::{Unwanted, depends_on_files, touches, wanted};
use preview_core::names::{CommitSha, Digest, PinnedImage, PrNumber, Subject, TreeSha};
use preview_core::objects::ObjectName;
use preview_core::promote::{
    Attestations, Evidence, Found, Gained, ImageFacts, Lineage, Target, Workload,
};
use preview_core::pulls::{Commit, PullRequest};
use preview_core::record::{Record, RecordRefused, Trust};
use preview_k8s::TargetFacts;
use preview_registry::{Error, Inspection, Kind};

use crate::promotion::Promotion;
use crate::world::World;

/// For how long after a commit was made GitHub may not know yet which pull request it came from.
const LAG: Duration = Duration::from_secs(60);

/// Between one question and the next, at first and at most.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// Trees of records that are compared with M's where paths are ignored.
const MOST_TREES: usize = 3;

/// What does not depend on the target.
pub(crate) struct Merged {
    pub(crate) commit: Commit,
    pub(crate) on_default_branch: bool,
    pub(crate) pulls: Vec<PullRequest>,
    pub(crate) records: Vec<Result<Record, RecordRefused>>,
    pub(crate) images: BTreeMap<PinnedImage, ImageFacts>,
    unwanted: Option<(PrNumber, Unwanted)>,
    alike: BTreeMap<TreeSha, Vec<String>>,
    gained: BTreeMap<CommitSha, Gained>,
    pub(crate) attestations: Option<Attestations>,
}

impl Merged {
    /// The digests of what an image consists of: what a node may report in its place.
    pub(crate) fn belongs_to(&self, image: &PinnedImage) -> BTreeSet<Digest> {
        let facts = self.images.get(image);
        facts.map(|facts| facts.parts.clone()).unwrap_or_default()
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
            async { self.github.pulls_of_commit(sha).await.outside() },
        )
        .await?;
        let pulls = match pulls.is_empty() && on_default_branch {
            true => self.pulls_in_time(sha).await?,
            // What is not on it came of no merge that GitHub could be late to tell of.
            false => pulls,
        };
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
            let facts = image_facts(self.registry.inspect(image).await).outside()?;
            Ok::<_, Failed>((image.clone(), facts))
        });
        let attestations = self.attestations(images.iter().copied());
        let unwanted = async {
            match records.is_empty() {
                true => self.unwanted(&pulls).await,
                false => Ok(None),
            }
        };
        let (inspected, attestations, alike, gained, unwanted) = try_join!(
            try_join_all(inspected),
            attestations,
            self.alike(&commit, &records),
            self.gained(&commit, &pulls, &records),
            unwanted,
        )?;
        let images = inspected.into_iter().collect();
        Ok(Merged {
            commit,
            on_default_branch,
            pulls,
            records,
            images,
            unwanted,
            alike,
            gained,
            attestations,
        })
    }

    /// The pull requests that the commit came from. That there is none is believed once the commit is a minute old.
    async fn pulls_in_time(&self, sha: &CommitSha) -> Result<Vec<PullRequest>, Failed> {
        let [mut pause, longest] = PAUSES;
        let mut until = None;
        loop {
            let pulls = self.github.pulls_of_commit(sha).await.outside()?;
            if !pulls.is_empty() {
                return Ok(pulls);
            }
            let until = match until {
                Some(until) => until,
                None => {
                    let made = self.github.committed_at(sha).await.outside()?;
                    *until.insert(made.map_or_else(Timestamp::now, |made| made + LAG))
                }
            };
            let now = Timestamp::now();
            if now >= until || Instant::now() + pause >= self.runner.deadline() {
                return Ok(pulls);
            }
            // A commit's date is its author's business, and may lie in the future.
            let left = until.duration_since(now).unsigned_abs().min(LAG);
            tokio::time::sleep(pause.min(left)).await;
            pause = longest.min(pause * 2);
        }
    }

    /// The first of these pull requests, and the rule by which it was to have no preview; none where one of them was to.
    async fn unwanted(
        &self,
        pulls: &[PullRequest],
    ) -> Result<Option<(PrNumber, Unwanted)>, Failed> {
        let rules = &self.config.pull_requests;
        let mut first = None;
        for pull in pulls {
            let mut is_wanted = wanted(rules, pull);
            if is_wanted.is_ok() && depends_on_files(rules) {
                let changed = self.github.changed_files(pull.number).await;
                is_wanted = touches(rules, &changed.outside()?);
            }
            match is_wanted {
                Ok(()) => return Ok(None),
                Err(why) => first = first.or(Some((pull.number, why))),
            }
        }
        Ok(first)
    }

    /// Records that are believed, of other trees than M's; none where there is one of M's.
    fn skewed<'r>(
        &self,
        commit: &Commit,
        records: &'r [Result<Record, RecordRefused>],
    ) -> Vec<&'r Record> {
        let believed: Vec<&Record> = records.iter().flatten().collect();
        match believed.iter().any(|record| record.tree == commit.tree) {
            true => Vec::new(),
            false => believed,
        }
    }

    /// The trees of records that differ from M's in nothing but paths that the configuration ignores.
    async fn alike(
        &self,
        commit: &Commit,
        records: &[Result<Record, RecordRefused>],
    ) -> Result<BTreeMap<TreeSha, Vec<String>>, Failed> {
        let ignore = &self.config.promote.ignore;
        let mut alike = BTreeMap::new();
        if ignore.is_empty() {
            return Ok(alike);
        }
        let trees = self.skewed(commit, records).into_iter().map(|it| &it.tree);
        let trees: BTreeSet<&TreeSha> = trees.collect();
        for tree in trees.into_iter().take(MOST_TREES) {
            let differing = self.github.differing_paths(tree, &commit.tree).await;
            let differing = differing.outside()?.unwrap_or_default();
            if !differing.is_empty() && differing.iter().all(|path| ignore.mean(path)) {
                alike.insert(tree.clone(), differing);
            }
        }
        Ok(alike)
    }

    /// What the default branch had gained since the newest record of another tree than M's was tested.
    async fn gained(
        &self,
        commit: &Commit,
        pulls: &[PullRequest],
        records: &[Result<Record, RecordRefused>],
    ) -> Result<BTreeMap<CommitSha, Gained>, Failed> {
        let skewed = self.skewed(commit, records);
        let newest = skewed.into_iter().max_by_key(|it| (it.tested_at, it.run));
        let Some((record, base)) = newest.and_then(|record| Some((record, record.base.as_ref()?)))
        else {
            return Ok(BTreeMap::new());
        };
        let merged_as_tested = |pull: &PullRequest| {
            record.subject == Subject::Pr(pull.number) && record.head == pull.head
        };
        if !pulls.iter().any(merged_as_tested) {
            return Ok(BTreeMap::new());
        }
        let gained = self.github.gained(base, &record.head, commit).await;
        Ok(gained
            .outside()?
            .map(|gained| (base.clone(), gained))
            .into_iter()
            .collect())
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

    /// How the commit that runs stands to M. Commits do not change, so it is asked for once.
    pub(crate) async fn lineage(
        &self,
        running: &CommitSha,
        merged: &CommitSha,
    ) -> Result<Lineage, Failed> {
        if running == merged {
            return Ok(Lineage::Same);
        }
        let key = (running.clone(), merged.clone());
        let mut known = self.lineages.lock().await;
        if let Some(lineage) = known.get(&key) {
            return Ok(*lineage);
        }
        let lineage = self.lineage_asked(running, merged).await?;
        known.insert(key, lineage);
        Ok(lineage)
    }

    async fn lineage_asked(
        &self,
        running: &CommitSha,
        merged: &CommitSha,
    ) -> Result<Lineage, Failed> {
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
        let (namespace, name) = (&self.target.namespace, self.target.name.as_str());
        let lease = self.world.cluster.lease(namespace, name);
        let (workloads, lease) =
            try_join(try_join_all(workloads), async { lease.await.outside() }).await?;
        let repository = &self.world.repository;
        Ok(Evidence {
            repository: repository.id,
            slug: repository.slug.clone(),
            default_branch: repository.default_branch.clone(),
            commit: self.merged.commit.clone(),
            on_default_branch: self.merged.on_default_branch,
            pulls: self.merged.pulls.clone(),
            records: self.merged.records.clone(),
            images: self.merged.images.clone(),
            attestations: self.merged.attestations.clone(),
            target: Target {
                name: self.target.name.to_string(),
                namespace: self.target.namespace.clone(),
                frozen: lease.and_then(|lease| lease.frozen),
                workloads,
            },
            unwanted: self.merged.unwanted.clone(),
            alike: self.merged.alike.clone(),
            gained: self.merged.gained.clone(),
            intent: self.intent,
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

/// What an inspection tells, which may be that the registry serves something else.
fn image_facts(found: Result<Inspection, Error>) -> Result<ImageFacts, Error> {
    let found = match found {
        Err(Error::Corrupt {
            what,
            expected,
            actual,
            ..
        }) => {
            let damage = format!("{what} should be {expected} and is {actual}");
            return Ok(ImageFacts::damaged(damage));
        }
        found => found?,
    };
    let (whole, pieces): (Vec<_>, Vec<_>) = found
        .missing
        .iter()
        .partition(|missing| missing.kind == Kind::Image);
    let platforms = found.platforms.iter();
    Ok(ImageFacts {
        present: whole.is_empty(),
        damage: None,
        missing: pieces.iter().map(ToString::to_string).collect(),
        revision: found.revision().map_err(|disagree| disagree.to_string()),
        parts: platforms
            .flat_map(|platform| [platform.manifest.clone(), platform.config.clone()])
            .collect(),
    })
}
