//! Everything that a preview is made of, wave by wave.

use preview_actions::{Failed, Outside as _};
use preview_core::health::{Failure, Rollout};
use preview_core::lifecycle::Phase;
use preview_core::manifests::Secrets;
use preview_core::objects::{Kind, Manifest, ObjectName};
use preview_core::outcome::EffectResult;
use preview_core::tls::SecretData;
use preview_k8s::Change;

use crate::Deploy;
use crate::database::Running;
use crate::slot::Slot;
use crate::stop::Stop;
use crate::story::Story;

impl Deploy<'_> {
    /// Quota, limits, accounts and configuration: before anything runs.
    pub(crate) async fn furnish(
        &self,
        slot: &mut Slot<'_>,
        certificate: Option<SecretData>,
    ) -> Result<(), Stop> {
        slot.is_in(Phase::Provisioning).await?;
        let secrets = self.secrets(certificate).await?;
        self.apply(self.preview.furniture(&secrets)).await?;
        Ok(())
    }

    /// The secrets of the preview, which from now on nothing shows.
    pub(crate) async fn secrets(&self, certificate: Option<SecretData>) -> Result<Secrets, Failed> {
        let secrets = Secrets {
            database_password: self.database_password().await?,
            pull: self.world.pull.clone(),
            certificate,
        };
        self.runner.console().mask(&secrets.database_password);
        Ok(secrets)
    }

    /// The components, and how they are reached.
    pub(crate) async fn roll_out(
        &self,
        slot: &mut Slot<'_>,
        story: &mut Story<'_>,
    ) -> Result<(), Stop> {
        let (phase, step) = if slot.is_update {
            (Phase::Updating, "updating")
        } else {
            (Phase::RollingOut, "rolling out")
        };
        slot.is_replaced(phase).await?;
        story.deploys(step).await?;
        let supplies = self.preview.supplies();
        if !supplies.is_empty() {
            self.apply(supplies).await?;
        }
        let workloads = self.within_quota(self.preview.workloads(), story).await?;
        self.remove_failed_jobs(&workloads).await?;
        self.apply_and_wait(workloads, story, |failure| failure)
            .await?;
        let routes = self.preview.routes();
        if !routes.is_empty() {
            self.apply(routes).await?;
        }
        Ok(())
    }

    /// Removes those of the Jobs in `wave` that have failed: they shall be tried again, under the same names.
    async fn remove_failed_jobs(&self, wave: &[Manifest]) -> Result<(), Stop> {
        let objects = wave.iter().map(Manifest::object);
        let jobs: Vec<ObjectName> = objects.filter(|o| o.kind == Kind::Job).cloned().collect();
        if jobs.is_empty() {
            return Ok(());
        }
        let namespace = self.preview.namespace_name();
        let (cluster, deadline) = (&self.world.cluster, self.runner.deadline());
        let failed = cluster.remove_failed_jobs(self.claimant, namespace, &jobs, deadline);
        for job in self.fenced(failed.await).await? {
            let line = format!("  removed {job}, which had failed");
            self.runner.console().line(&line);
        }
        Ok(())
    }

    /// Removes what the preview no longer has.
    pub(crate) async fn prune(&self, database: Option<&Running>) -> Result<(), Stop> {
        let namespace = self.preview.namespace_name();
        let mut keep = self.preview.all_names(database.map(Running::volume_claim));
        let restored_from = database.map(Running::restored_from);
        keep.extend(restored_from.into_iter().flatten().cloned());
        let work = async {
            let cluster = &self.world.cluster;
            self.fenced(cluster.prune(self.claimant, namespace, &keep).await)
                .await
        };
        let came_of_it = |removed: &Vec<ObjectName>| match removed.is_empty() {
            true => EffectResult::Unchanged,
            false => EffectResult::Done,
        };
        let removed = self
            .runner
            .step_with("prune", namespace, work, came_of_it)
            .await?;
        for object in removed {
            self.runner.console().line(&format!("  removed {object}"));
        }
        Ok(())
    }

    /// Has those pods made anew that keep what was there before from coming up.
    async fn renew_stuck_pods(&self, applied: &[(ObjectName, Change)]) -> Result<(), Stop> {
        // Whatever else was changed gets new pods anyway.
        let was_there = |(object, change): &&(ObjectName, Change)| match object.kind {
            Kind::StatefulSet => *change != Change::Created,
            Kind::Deployment | Kind::DaemonSet => *change == Change::Unchanged,
            _ => false,
        };
        let were_there = applied.iter().filter(was_there);
        let were_there: Vec<ObjectName> = were_there.map(|(object, _)| object.clone()).collect();
        if were_there.is_empty() {
            return Ok(());
        }
        let (cluster, namespace) = (&self.world.cluster, self.preview.namespace_name());
        let removed = cluster.remove_stuck_pods(self.claimant, namespace, &were_there);
        for pod in self.fenced(removed.await).await? {
            let line = format!("  removed the pod {pod}, which could not come up");
            self.runner.console().line(&line);
        }
        Ok(())
    }

    /// Applies the objects of a wave; what that did to each.
    pub(crate) async fn apply(
        &self,
        wave: Vec<Manifest>,
    ) -> Result<Vec<(ObjectName, Change)>, Stop> {
        let names: Vec<String> = wave.iter().map(|m| m.object().to_string()).collect();
        let namespace = self.preview.namespace_name();
        let work = async {
            let applied = self
                .world
                .cluster
                .apply(self.claimant, namespace, wave)
                .await;
            self.fenced(applied).await
        };
        let came_of_it = |changes: &Vec<(ObjectName, Change)>| {
            if changes
                .iter()
                .all(|(_, change)| *change == Change::Unchanged)
            {
                EffectResult::Unchanged
            } else {
                EffectResult::Done
            }
        };
        self.runner
            .step_with("apply", names.join(", "), work, came_of_it)
            .await
    }

    /// Applies a wave, and waits until what runs in it is complete; `as_seen` says what a failure means here.
    pub(crate) async fn apply_and_wait(
        &self,
        wave: Vec<Manifest>,
        story: &mut Story<'_>,
        as_seen: fn(Failure) -> Failure,
    ) -> Result<(), Stop> {
        let objects = wave.iter().map(Manifest::object);
        let waited: Vec<ObjectName> = objects.filter(|o| is_waited_for(o.kind)).cloned().collect();
        let (jobs, others): (Vec<_>, Vec<_>) =
            waited.into_iter().partition(|o| o.kind == Kind::Job);
        let namespace = self.preview.namespace_name();
        let (cluster, deadline) = (&self.world.cluster, self.runner.deadline());
        // A Job may end, and be removed, before anybody looks after it was applied.
        let watched = match jobs.is_empty() {
            true => None,
            false => Some(
                cluster
                    .watch_jobs(namespace, &jobs, deadline)
                    .await
                    .outside()?,
            ),
        };
        let applied = self.apply(wave).await?;
        self.renew_stuck_pods(&applied).await?;
        let tell = |object: &ObjectName, rollout: &Rollout| self.tell(object, rollout);
        if let Some(watched) = watched {
            let verdicts = async { watched.complete(tell).await.outside() };
            self.complete(&jobs, verdicts, story, as_seen).await?;
        }
        if !others.is_empty() {
            let verdicts = async {
                let rollout = cluster.await_rollout(namespace, &others, deadline, tell);
                rollout.await.outside()
            };
            self.complete(&others, verdicts, story, as_seen).await?;
        }
        Ok(())
    }

    fn tell(&self, object: &ObjectName, rollout: &Rollout) {
        if let Rollout::Waiting { ready, desired } = rollout {
            let line = format!("  {object}: {ready} of {desired} ready");
            self.runner.console().line(&line);
        }
    }

    /// Waits for the `verdicts` on what was applied, of which none may be a failure.
    async fn complete(
        &self,
        waited: &[ObjectName],
        verdicts: impl Future<Output = Result<Vec<(ObjectName, Rollout)>, Failed>>,
        story: &mut Story<'_>,
        as_seen: fn(Failure) -> Failure,
    ) -> Result<(), Failed> {
        let names: Vec<String> = waited.iter().map(ToString::to_string).collect();
        let complete = async {
            let verdicts = verdicts.await?;
            story.saw(&verdicts);
            for (_, verdict) in verdicts {
                if let Rollout::Failed(failure) = verdict {
                    let namespace = self.preview.namespace_name();
                    return Err(self.runner.broken(as_seen(failure), namespace));
                }
            }
            Ok(())
        };
        self.runner.step("await", names.join(", "), complete).await
    }
}

fn is_waited_for(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::Job
    )
}
