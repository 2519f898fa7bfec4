//! The images set on a target, awaited, compared with what runs, and set back where that fails.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use preview_actions::{Failed, Outside as _};
use preview_core::config::AfterMigration;
use preview_core::health::{Failure, Rollout};
use preview_core::names::{Digest, Fence, PinnedImage};
use preview_core::objects::ObjectName;
use preview_core::ownership::{images_annotation, keys};
use preview_core::promote::{Link, Running, compare_running, reported};
use preview_k8s::{HeldLease, TargetFacts, Written};

use crate::alerts::Occasion;
use crate::errands::Migration;
use crate::promotion::{Promotion, Proven};

/// How often a workload that keeps changing under our hands is read again.
const ROUNDS: u32 = 5;

/// How long the way back may take, whatever is left of the run's own time.
const BACK: Duration = Duration::from_secs(300);

/// Why a run that has lost the target goes no further.
pub(crate) const TAKEN_OVER: &str = "another run has taken the target over";

/// Why an image is not running now.
pub(crate) enum Undone {
    /// Another run has the target.
    GaveWay(String),
    /// It does not come up, or runs something else.
    Broken(Failed),
}

impl From<Failed> for Undone {
    fn from(failed: Failed) -> Self {
        Self::Broken(failed)
    }
}

impl Promotion<'_> {
    /// Brings the images to the target, or back what ran before. Gives what ran before, or the reason where another run took
    /// the target over.
    pub(crate) async fn roll_out(
        &self,
        lease: &HeldLease,
        proven: &Proven,
        migration: Migration,
    ) -> Result<Result<Vec<TargetFacts>, String>, Failed> {
        self.runner.enters("rolling-out");
        let mut before = Vec::new();
        let failed = match self.forward(lease, proven, &mut before).await {
            Ok(()) => return Ok(Ok(before)),
            Err(Undone::GaveWay(why)) => return Ok(Err(why)),
            Err(Undone::Broken(failed)) if before.is_empty() => return Err(failed),
            Err(Undone::Broken(failed)) => failed,
        };
        let way_back = self.back(lease, &before, migration).await;
        let console = self.runner.console();
        console.line(&format!("{}: {way_back}", self.target.name));
        let happened = vec![failed.to_string(), way_back.clone()];
        self.alert(Occasion::Failed, happened).await;
        self.note_failure(proven, &before).await;
        Err(with_way_back(failed, &way_back))
    }

    /// Sets every image, awaits the rollout and looks what runs. `before` takes what was there, as far as it was
    /// changed.
    async fn forward(
        &self,
        lease: &HeldLease,
        proven: &Proven,
        before: &mut Vec<TargetFacts>,
    ) -> Result<(), Undone> {
        for workload in self.workloads() {
            self.set(lease, proven, &workload, before).await?;
        }
        self.complete(self.runner.deadline()).await?;
        self.verify(proven, before).await?;
        self.looked_at(lease, proven).await
    }

    /// The target's workloads, each once: one may run several components.
    fn workloads(&self) -> Vec<ObjectName> {
        let all = self
            .target
            .workloads
            .iter()
            .map(|workload| workload.workload.clone());
        all.collect::<BTreeSet<_>>().into_iter().collect()
    }

    async fn set(
        &self,
        lease: &HeldLease,
        proven: &Proven,
        workload: &ObjectName,
        before: &mut Vec<TargetFacts>,
    ) -> Result<(), Undone> {
        let images = self.images_for(workload, proven);
        let by_component = proven
            .images
            .iter()
            .map(|(name, image)| (name.as_str(), image));
        let images_noted = images_annotation(by_component);
        let annotations = BTreeMap::from([(keys::IMAGES.to_owned(), images_noted)]);
        for _ in 0..ROUNDS {
            let read = self.present(workload).await?;
            let set =
                self.world
                    .cluster
                    .set_images(lease, &read, &images, self.commit(), &annotations);
            let written = self
                .runner
                .step("set images", workload, set)
                .await
                .outside()?;
            match written {
                Written::Done(_) => {
                    self.tell_former_owners(&read, &images);
                    // A run that died may have set them before: what ran before that one is what there is to go back to.
                    before.push(read.before(self.commit()).unwrap_or(read));
                    return Ok(());
                }
                Written::Superseded { by } => return Err(gave_way(by)),
                Written::Changed => {}
            }
        }
        Err(kept_changing("set images", workload).into())
    }

    /// Names who had set what was just set by force: whatever it is, it may set it back.
    fn tell_former_owners(&self, read: &TargetFacts, images: &[(String, PinnedImage)]) {
        for (container, _) in images {
            if let Some(owner) = read.owners.get(container) {
                let line = format!(
                    "  the image of {}, container {container}, was set by {owner} before",
                    read.workload
                );
                self.runner.console().line(&line);
            }
        }
    }

    /// The images of the containers of one workload.
    fn images_for(&self, workload: &ObjectName, proven: &Proven) -> Vec<(String, PinnedImage)> {
        let of_workload = self
            .target
            .workloads
            .iter()
            .filter(|it| it.workload == *workload);
        of_workload
            .filter_map(|it| {
                Some((
                    it.container.clone(),
                    proven.images.get(&it.component)?.clone(),
                ))
            })
            .collect()
    }

    async fn present(&self, workload: &ObjectName) -> Result<TargetFacts, Failed> {
        self.read(workload).await?.ok_or_else(|| {
            Failed::cluster(format!(
                "read {workload} in {}: it is gone; somebody deleted it during the promotion: make it again, and run \
                 this again",
                self.target.namespace
            ))
        })
    }

    async fn complete(&self, deadline: Instant) -> Result<(), Failed> {
        let workloads = self.workloads();
        let names: Vec<String> = workloads.iter().map(ToString::to_string).collect();
        let console = self.runner.console();
        let tell = |object: &ObjectName, rollout: &Rollout| {
            if let Rollout::Waiting { ready, desired } = rollout {
                console.line(&format!("  {object}: {ready} of {desired} ready"));
            }
        };
        let work = async {
            let namespace = &self.target.namespace;
            let cluster = &self.world.cluster;
            let verdicts = cluster.await_rollout(namespace, &workloads, deadline, tell);
            let failed = verdicts.await.outside()?.into_iter().find_map(failure);
            failed.map_or(Ok(()), |failure| {
                Err(self.runner.broken(failure, namespace))
            })
        };
        self.runner.step("await", names.join(", "), work).await
    }

    /// Looks whether the pods run the images they were told to. What cannot be told is only warned of.
    async fn verify(&self, proven: &Proven, before: &[TargetFacts]) -> Result<(), Failed> {
        self.runner.enters("verifying");
        let others: BTreeSet<Digest> = before
            .iter()
            .flat_map(|facts| &facts.containers)
            .filter_map(|container| container.image.parse::<PinnedImage>().ok())
            .map(|image| image.digest)
            .collect();
        let mut doubts = Vec::new();
        for workload in self.workloads() {
            let pods = self.world.cluster.pods(&self.target.namespace, &workload);
            let pods = pods.await.outside()?;
            for (name, image) in self.images_for(&workload, proven) {
                let containers = pods.iter().flat_map(|pod| &pod.containers);
                let ids: Vec<String> = containers
                    .filter(|container| container.name == name)
                    .map(|container| container.image_id.clone())
                    .collect();
                let belongs = self.belong_to(&image, &ids).await;
                let running = compare_running(&ids, &image.digest, &belongs, &others);
                self.runner.know(|result| {
                    result
                        .chain
                        .push(Link::runs(&workload, &name, &image.digest, &ids, &running));
                });
                let line = format!("{workload}, container {name}: {running}");
                match running {
                    Running::Verified => self.runner.console().line(&format!("  {line}")),
                    Running::NotVerified { .. } => {
                        self.runner.console().warning(&line);
                        doubts.push(line);
                    }
                    Running::Differs { .. } => {
                        return Err(Failed::cluster(format!(
                            "verify {workload} in {}: container {name}: {running}, not {image}; find out what pulled it",
                            self.target.namespace
                        )));
                    }
                }
            }
        }
        if !doubts.is_empty() {
            self.alert(Occasion::NotVerified, doubts).await;
        }
        Ok(())
    }

    /// The digests that a node may report in place of the image's own: of what it consists of, and those of `ids` that name
    /// another index over one of its manifests, as the registry has it.
    async fn belong_to(&self, image: &PinnedImage, ids: &[String]) -> BTreeSet<Digest> {
        let mut belongs = self.merged.belongs_to(image);
        let strangers = reported(ids).into_iter();
        let strangers: Vec<Digest> = strangers
            .filter(|digest| *digest != image.digest && !belongs.contains(digest))
            .collect();
        for digest in strangers {
            let other = PinnedImage {
                name: image.name.clone(),
                digest,
            };
            // What the registry does not tell stays unknown.
            if let Ok(inspection) = self.world.registry.inspect(&other).await
                && inspection
                    .platforms
                    .iter()
                    .any(|it| belongs.contains(&it.manifest))
            {
                belongs.insert(other.digest);
            }
        }
        belongs
    }

    /// Sets back what ran before, and looks that it runs; says how that went.
    async fn back(
        &self,
        lease: &HeldLease,
        before: &[TargetFacts],
        migration: Migration,
    ) -> String {
        if migration == Migration::Ran
            && self.target.rollback_after_migration == AfterMigration::Refuse
        {
            return format!(
                "nothing was set back, for the database was migrated and `rollback_after_migration` says so: {}",
                self.standing().await
            );
        }
        self.runner.enters("rolling-back");
        self.runner.needs(BACK);
        let schema = match migration {
            Migration::None => "",
            Migration::Ran => "; the database stays migrated",
        };
        match self.restored(lease, before).await {
            Ok(()) => format!("what ran before is set back, and runs{schema}"),
            Err(Undone::GaveWay(why)) => format!("nothing was set back: {why}"),
            Err(Undone::Broken(error)) => format!(
                "what ran before could not be set back: {error}{schema}: {}: look at the target now",
                self.standing().await
            ),
        }
    }

    /// What each container is set to run, word for word: for whoever has to go on by hand.
    async fn standing(&self) -> String {
        let mut told = Vec::new();
        for workload in self.workloads() {
            told.push(match self.read(&workload).await {
                Ok(Some(facts)) => {
                    let containers = facts.containers.iter();
                    let runs = containers.map(|it| format!("{} runs {}", it.name, it.image));
                    format!("in {workload} {}", runs.collect::<Vec<_>>().join(", "))
                }
                Ok(None) => format!("{workload} is gone"),
                Err(error) => format!("what {workload} runs cannot be told: {error}"),
            });
        }
        told.join("; ")
    }

    async fn restored(&self, lease: &HeldLease, before: &[TargetFacts]) -> Result<(), Undone> {
        for earlier in before {
            self.restore(lease, earlier).await?;
        }
        Ok(self.complete(Instant::now() + BACK).await?)
    }

    async fn restore(&self, lease: &HeldLease, before: &TargetFacts) -> Result<(), Undone> {
        let workload = &before.workload;
        for _ in 0..ROUNDS {
            let read = self.present(workload).await?;
            let restore = self.world.cluster.restore_images(lease, &read, before);
            match self
                .runner
                .step("set back", workload, restore)
                .await
                .outside()?
            {
                Written::Done(_) => return Ok(()),
                Written::Superseded { by } => return Err(gave_way(by)),
                Written::Changed => {}
            }
        }
        Err(kept_changing("set back", workload).into())
    }
}

fn with_way_back(failed: Failed, way_back: &str) -> Failed {
    match failed {
        Failed::Broken(mut failure, namespace) => {
            failure.message = format!("{}; {way_back}", failure.message);
            Failed::Broken(failure, namespace)
        }
        Failed::Outside(class, error) => Failed::Outside(class, format!("{error}; {way_back}")),
        other => Failed::cluster(format!("{other}; {way_back}")),
    }
}

fn failure((_, rollout): (ObjectName, Rollout)) -> Option<Failure> {
    match rollout {
        Rollout::Failed(failure) => Some(failure),
        Rollout::Waiting { .. } | Rollout::Complete { .. } => None,
    }
}

pub(crate) fn gave_way(by: Option<Fence>) -> Undone {
    Undone::GaveWay(by.map_or_else(
        || TAKEN_OVER.to_owned(),
        |by| format!("run {by} has taken the target over"),
    ))
}

fn kept_changing(what: &str, workload: &ObjectName) -> Failed {
    Failed::cluster(format!(
        "{what} {workload}: it changed each of {ROUNDS} times between read and write; find out what writes it, and run \
         this again"
    ))
}
