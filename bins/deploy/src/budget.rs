//! Quota: whether the preview fits, before anything is applied; and room for what comes, beside what runs.

use preview_actions::{Failed, Outside as _, Runner};
use preview_core::comment::Note;
use preview_core::manifests::Preview;
use preview_core::objects::{Kind, Manifest, ObjectName};
use preview_core::quota::{self, Budget, Left, Overdraft, Running, Update};
use preview_k8s::InUse;

use crate::Deploy;
use crate::stop::Stop;
use crate::story::Story;

/// Shows what the preview needs and is allowed, as far as that can be known without a cluster.
///
/// # Errors
/// When it cannot fit.
pub(crate) fn planned(runner: &Runner, preview: &Preview<'_>) -> Result<(), Failed> {
    let budget = preview.budget().map_err(Failed::refused)?;
    if let Err(overdraft) = budget.check(&[]) {
        show(runner, &overdraft);
        return Err(Failed::Refused(overdraft.reasons()));
    }
    for line in budget.at_rest().lines() {
        runner.console().line(&line);
    }
    if budget.update(&[]) == Update::InPlace {
        runner.console().line(&Note::UpdatesInPlace.to_string());
    }
    Ok(())
}

/// Keeps the sum of each object, for the log, `result.json` and the summary.
fn show(runner: &Runner, overdraft: &Overdraft) {
    for line in overdraft.table.lines() {
        runner.console().line(&line);
    }
    runner.know(|result| result.overdraft = Some(overdraft.clone()));
}

/// The workloads as they can be rolled out within the quota.
struct Fitted {
    wave: Vec<Manifest>,
    /// Whether what runs has to be stopped before, for the two do not fit beside each other.
    stops_first: bool,
    /// Whether an old pod goes before a new one comes.
    in_place: bool,
}

impl Fitted {
    fn into(budget: &Budget, running: &[Running], wave: Vec<Manifest>) -> Self {
        let beside = budget.update(running);
        let stops_first = beside == Update::StopFirst;
        let update = match beside {
            // Nothing runs by then.
            Update::StopFirst => budget.update(&[]),
            Update::Surging | Update::InPlace => beside,
        };
        let in_place = update != Update::Surging;
        Self {
            wave: match in_place {
                true => wave.into_iter().map(quota::in_place).collect(),
                false => wave,
            },
            stops_first,
            in_place,
        }
    }
}

impl Deploy<'_> {
    /// Whether everything that the preview needs fits its quota, beside the volumes that are there already.
    pub(crate) async fn check_quota(
        &self,
        story: &mut Story<'_>,
        refusals: &mut Vec<String>,
    ) -> Result<(), Failed> {
        let budget = match self.preview.budget() {
            Ok(budget) => budget,
            Err(uncountable) => {
                refusals.push(uncountable.to_string());
                return Ok(());
            }
        };
        let claims = self.in_use().await?.claims.into_iter();
        let left: Result<Vec<Left>, _> = claims.map(|(name, spec)| Left::of(name, &spec)).collect();
        if let Err(overdraft) = budget.check(&left.outside()?) {
            show(self.runner, &overdraft);
            refusals.extend(overdraft.reasons());
            story.shows(overdraft.table);
        }
        Ok(())
    }

    async fn in_use(&self) -> Result<InUse, Failed> {
        let namespace = self.preview.namespace_name();
        self.world.cluster.in_use(namespace).await.outside()
    }

    async fn running(&self) -> Result<Vec<Running>, Failed> {
        let pods = self.in_use().await?.pods.into_iter();
        // A Job's pods end by themselves, and whoever is rejected meanwhile waits.
        let pods = pods.filter(|pod| pod.workload.kind != Kind::Job);
        pods.map(|pod| Running::of(pod.workload, &pod.spec))
            .collect::<Result<_, _>>()
            .outside()
    }

    fn budget(&self) -> Result<Budget, Failed> {
        self.preview.budget().map_err(Failed::refused)
    }

    /// Makes room for what comes before the workloads: where it does not fit beside the previous version, that is
    /// stopped. It could never come up otherwise, and will once nothing of the previous version runs.
    pub(crate) async fn make_room(
        &self,
        wave: &[Manifest],
        story: &mut Story<'_>,
    ) -> Result<(), Stop> {
        let running = self.running().await?;
        if self.budget()?.has_room(wave, &running).outside()? {
            return Ok(());
        }
        self.stop(&running, story).await
    }

    /// The workloads as they can be rolled out within the quota; where old and new do not fit beside each other, the
    /// old ones are stopped.
    pub(crate) async fn within_quota(
        &self,
        wave: Vec<Manifest>,
        story: &mut Story<'_>,
    ) -> Result<Vec<Manifest>, Stop> {
        let running = self.running().await?;
        let fitted = Fitted::into(&self.budget()?, &running, wave);
        if fitted.stops_first {
            self.stop(&running, story).await?;
        }
        if fitted.in_place {
            story.note(Note::UpdatesInPlace);
        }
        Ok(fitted.wave)
    }

    /// The workloads as [`Self::within_quota`] would have them, and whether it would stop the old ones.
    pub(crate) async fn foreseen(
        &self,
        wave: Vec<Manifest>,
    ) -> Result<(Vec<Manifest>, bool), Failed> {
        let fitted = Fitted::into(&self.budget()?, &self.running().await?, wave);
        Ok((fitted.wave, fitted.stops_first))
    }

    /// Stops the previous version, but for the database.
    async fn stop(&self, running: &[Running], story: &mut Story<'_>) -> Result<(), Stop> {
        let stopped = running.iter().filter(|pod| pod.can_be_stopped());
        let mut stopped: Vec<ObjectName> = stopped.map(|pod| pod.workload.clone()).collect();
        stopped.sort();
        stopped.dedup();
        if stopped.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = stopped.iter().map(ToString::to_string).collect();
        let (cluster, namespace) = (&self.world.cluster, self.preview.namespace_name());
        let deadline = self.runner.deadline();
        let work = async {
            let removed = cluster.remove(self.claimant, namespace, &stopped, deadline);
            self.fenced(removed.await).await
        };
        self.runner.step("stop", names.join(", "), work).await?;
        story.note(Note::StoppedFirst);
        Ok(())
    }
}
