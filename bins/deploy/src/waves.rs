//! Everything that a preview is made of, wave by wave.

use preview_actions::{Failed, Outside as _};
use preview_core::health::{Failure, FailureClass, Rollout};
use preview_core::lifecycle::Phase;
use preview_core::manifests::{PASSWORD_KEY, PULL_SECRET, SECRET, Secrets, VOLUME_CLAIM};
use preview_core::names::Uid;
use preview_core::objects::{Kind, Manifest, ObjectName};
use preview_core::outcome::EffectResult;
use preview_k8s::Change;
use secrecy::SecretString;

use crate::Deploy;
use crate::preflight::Found;
use crate::slot::Slot;
use crate::stop::Stop;
use crate::story::Story;

impl Deploy<'_> {
    /// Quota, limits, accounts and configuration: before anything runs.
    pub(crate) async fn furnish(&self, slot: &mut Slot<'_>, found: Found) -> Result<(), Stop> {
        slot.is_in(Phase::Provisioning).await?;
        let secrets = Secrets {
            database_password: self.database_password().await?,
            pull: self.world.pull.clone(),
            certificate: found.certificate,
        };
        self.runner.console().mask(&secrets.database_password);
        self.apply(self.preview.furniture(&secrets)).await
    }

    /// The password that the preview has, or a new one: a database keeps the one it was made with.
    async fn database_password(&self) -> Result<SecretString, Failed> {
        let namespace = self.preview.namespace_name();
        let cluster = &self.world.cluster;
        let existing = cluster
            .secret_value(namespace, SECRET, PASSWORD_KEY)
            .await
            .outside()?;
        Ok(existing.unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()).into()))
    }

    /// The database; returns the uid of its volume's claim, which says whether it is the same one as before.
    pub(crate) async fn bring_up_database(
        &self,
        story: &mut Story<'_>,
    ) -> Result<Option<Uid>, Stop> {
        let wave = self.preview.database();
        if wave.is_empty() {
            return Ok(None);
        }
        self.apply_and_wait(wave, story, as_database).await?;
        let namespace = self.preview.namespace_name();
        let claims = self
            .world
            .cluster
            .volume_claims(namespace)
            .await
            .outside()?;
        let claim = claims.into_iter().find(|claim| claim.name == VOLUME_CLAIM);
        let claim = claim.ok_or_else(|| {
            Failed::Outside(format!(
                "find PersistentVolumeClaim/{VOLUME_CLAIM} in {namespace}: it is not there although the database runs; \
                 destroy the preview and deploy it again"
            ))
        })?;
        Ok(Some(claim.uid))
    }

    /// `migrate` of every component, then `seed`.
    pub(crate) async fn migrate(
        &self,
        slot: &mut Slot<'_>,
        story: &mut Story<'_>,
        database: Option<&Uid>,
    ) -> Result<(), Stop> {
        let waves = database
            .map(|uid| self.preview.jobs(uid))
            .unwrap_or_default();
        if !waves.is_empty() {
            slot.is_in(Phase::Migrating).await?;
        }
        for wave in waves {
            self.apply_and_wait(wave, story, as_migration).await?;
        }
        Ok(())
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
        slot.is_in(phase).await?;
        story.deploys(step).await?;
        let wave = [self.preview.workloads(), self.preview.routes()].concat();
        self.apply_and_wait(wave, story, |failure| failure).await
    }

    /// Removes what the preview no longer has.
    pub(crate) async fn prune(&self, database: Option<&Uid>) -> Result<(), Stop> {
        let namespace = self.preview.namespace_name();
        let mut keep = self.preview.all_names(database);
        if self.world.pull.is_some() {
            keep.insert(ObjectName::new(Kind::Secret, PULL_SECRET));
        }
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

    async fn apply(&self, wave: Vec<Manifest>) -> Result<(), Stop> {
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
            .await?;
        Ok(())
    }

    /// Applies a wave, and waits until what runs in it is complete; `as_seen` says what a failure means here.
    async fn apply_and_wait(
        &self,
        wave: Vec<Manifest>,
        story: &mut Story<'_>,
        as_seen: fn(Failure) -> Failure,
    ) -> Result<(), Stop> {
        let objects = wave.iter().map(Manifest::object);
        let waited: Vec<ObjectName> = objects.filter(|o| is_waited_for(o.kind)).cloned().collect();
        self.apply(wave).await?;
        let names: Vec<String> = waited.iter().map(ToString::to_string).collect();
        let verdicts = self
            .runner
            .step(
                "await",
                names.join(", "),
                self.complete(&waited, story, as_seen),
            )
            .await;
        Ok(verdicts?)
    }

    async fn complete(
        &self,
        waited: &[ObjectName],
        story: &mut Story<'_>,
        as_seen: fn(Failure) -> Failure,
    ) -> Result<(), Failed> {
        let console = self.runner.console();
        let namespace = self.preview.namespace_name();
        let tell = |object: &ObjectName, rollout: &Rollout| {
            if let Rollout::Waiting { ready, desired } = rollout {
                console.line(&format!("  {object}: {ready} of {desired} ready"));
            }
        };
        let verdicts = self
            .world
            .cluster
            .await_rollout(namespace, waited, self.runner.deadline(), tell)
            .await
            .outside()?;
        story.saw(&verdicts);
        for (_, verdict) in verdicts {
            if let Rollout::Failed(failure) = verdict {
                let failure = Box::new(as_seen(failure));
                return Err(Failed::Broken(failure, namespace.clone()));
            }
        }
        Ok(())
    }
}

fn is_waited_for(kind: Kind) -> bool {
    matches!(kind, Kind::Deployment | Kind::StatefulSet | Kind::Job)
}

/// The database's image comes from the configuration: that it does not stay up is not the author's doing.
fn as_database(failure: Failure) -> Failure {
    let class = match failure.class {
        FailureClass::Crash | FailureClass::Probe | FailureClass::OutOfMemory => {
            FailureClass::Database
        }
        other => other,
    };
    Failure { class, ..failure }
}

/// A command that ends badly has done so by its own will.
fn as_migration(failure: Failure) -> Failure {
    let class = match failure.class {
        FailureClass::Crash | FailureClass::Probe => FailureClass::Migration,
        other => other,
    };
    Failure { class, ..failure }
}
