//! The database: kept, or made afresh where it does not fit; then migrated, and filled once.

use futures::future::try_join_all;
use preview_actions::{Failed, Outside as _};
use preview_core::comment::{Condition, Note, Replicas};
use preview_core::config::{Database, Seed};
use preview_core::database::{Divergence, Migration, Rebuild, STATE, State, migrations};
use preview_core::health::{Failure, FailureClass};
use preview_core::lifecycle::Phase;
use preview_core::manifests::{
    DATABASE, JobWave, PASSWORD_KEY, SECRET, VOLUME_CLAIM, Work, seed_files,
};
use preview_core::names::{BlobSha, ComponentName, Uid};
use preview_core::objects::{Kind, Manifest, ObjectName};
use preview_core::paths::PathPatterns;
use secrecy::SecretString;

use crate::Deploy;
use crate::golden::Wave;
use crate::slot::Slot;
use crate::stop::Stop;
use crate::story::Story;

/// What the tree that the images were built from has for the database.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// The migration files.
    migrations: Vec<Migration>,
    /// The Secret with the SQL files that fill a fresh database, where they have not run.
    seed: Option<Manifest>,
}

/// The database that the preview has.
#[derive(Debug)]
pub(crate) struct Running {
    /// What was done to it.
    state: State,
    /// Whether it is the one that was there before this run.
    is_the_old_one: bool,
    /// What its volume was restored from.
    restored_from: Vec<ObjectName>,
}

impl Running {
    /// The uid of its volume's claim.
    pub(crate) fn volume_claim(&self) -> &Uid {
        &self.state.volume_claim
    }

    /// The objects that its volume was restored from.
    pub(crate) fn restored_from(&self) -> &[ObjectName] {
        &self.restored_from
    }
}

/// What a deploy would do with the database.
#[derive(Debug)]
pub(crate) struct Foreseen {
    /// What its volume would be restored from.
    pub(crate) pair: Vec<Manifest>,
    /// The server.
    pub(crate) server: Vec<Manifest>,
    /// The Secret that a seed would need.
    pub(crate) seed: Option<Manifest>,
    /// The Jobs that would run; those of a database that is yet to be made have names that only its volume's claim decides.
    pub(crate) jobs: Vec<Manifest>,
    /// The claim of the volume that would be kept.
    pub(crate) kept: Option<Uid>,
    /// Why the database that is there would be made afresh.
    pub(crate) rebuilt: Option<Rebuild>,
}

impl Foreseen {
    /// The uid of a claim that is not there yet: the nil UUID, which no object has.
    pub(crate) const YET_TO_BE_MADE: &str = "00000000-0000-0000-0000-000000000000";

    /// All that would be applied.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = Manifest> {
        let all = self.pair.iter().chain(&self.server).chain(&self.seed);
        all.chain(&self.jobs).cloned()
    }
}

/// What is there of a database.
#[derive(Debug, Default)]
struct Found {
    /// Its volume's claim, unless that is on its way out.
    claim: Option<Uid>,
    /// What was done to it, or to the one before it.
    state: Option<State>,
}

impl Found {
    /// What was done to the database that is there.
    fn current(&self) -> Option<&State> {
        let state = self.state.as_ref()?;
        (self.claim.as_ref() == Some(&state.volume_claim)).then_some(state)
    }
}

impl Deploy<'_> {
    /// The password that the preview has, or a new one: a database keeps the one it was made with.
    pub(crate) async fn database_password(&self) -> Result<SecretString, Failed> {
        let namespace = self.preview.namespace_name();
        let cluster = &self.world.cluster;
        let existing = cluster
            .secret_value(namespace, SECRET, PASSWORD_KEY)
            .await
            .outside()?;
        Ok(existing.unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()).into()))
    }

    /// Reads what the repository has for the database, before anything is applied.
    ///
    /// # Errors
    /// When it cannot be read, or the files that fill it are too large.
    pub(crate) async fn database_files(&self) -> Result<Files, Stop> {
        let Some(database) = &self.world.config.database else {
            return Ok(Files::default());
        };
        let sql = match &database.seed {
            Some(Seed::Sql(patterns)) => Some(patterns),
            _ => None,
        };
        if database.migrations.is_empty() && sql.is_none() {
            return Ok(Files::default());
        }
        let tree = self.world.github.files_of_tree(&self.accepted.tree);
        let tree = tree.await.outside()?;
        let mut files = Files {
            migrations: migrations(&tree, &database.migrations),
            seed: None,
        };
        self.must_have(&files.migrations, database)?;
        if let Some(patterns) = sql
            && self.is_to_be_filled(&files).await?
        {
            files.seed = Some(self.seed(&tree, patterns).await?);
        }
        Ok(files)
    }

    /// Patterns that mean nothing are most likely misspelt, and every later migration would go unseen.
    fn must_have(&self, migrations: &[Migration], database: &Database) -> Result<(), Failed> {
        if migrations.is_empty() && !database.migrations.is_empty() {
            return Err(Failed::refused(format!(
                "database.migrations ({}) means no file of {}; correct it in preview.toml",
                database.migrations,
                self.built_from()
            )));
        }
        Ok(())
    }

    /// The tree that the images were built from, for people.
    fn built_from(&self) -> String {
        format!("tree {}", self.accepted.tree)
    }

    /// Whether the database, as far as it can be known now, has yet to be filled.
    async fn is_to_be_filled(&self, files: &Files) -> Result<bool, Failed> {
        let found = self.found().await?;
        let kept = found
            .current()
            .filter(|_| self.unfit(&found, files).is_none());
        Ok(kept.is_none_or(|state| self.pending(state).iter().any(|wave| wave.files.is_some())))
    }

    async fn seed(
        &self,
        tree: &[(String, BlobSha)],
        patterns: &PathPatterns,
    ) -> Result<Manifest, Failed> {
        let meant: Vec<_> = tree
            .iter()
            .filter(|(path, _)| patterns.mean(path))
            .collect();
        if meant.is_empty() {
            return Err(Failed::refused(format!(
                "database.seed.sql ({patterns}) means no file of {}; correct it in preview.toml",
                self.built_from()
            )));
        }
        let contents = meant.into_iter().map(|(path, blob)| async move {
            let content = self.world.github.blob(blob).await.outside()?;
            Ok::<_, Failed>((path.clone(), content))
        });
        let contents = try_join_all(contents).await?;
        seed_files(&contents).map_err(Failed::refused)
    }

    async fn found(&self) -> Result<Found, Failed> {
        let namespace = self.preview.namespace_name();
        let cluster = &self.world.cluster;
        let name = ObjectName::new(Kind::ConfigMap, STATE);
        let (claims, state) = (
            cluster.volume_claims(namespace).await.outside()?,
            cluster.object(namespace, &name).await.outside()?,
        );
        let claim = claims
            .into_iter()
            .find(|claim| claim.name == VOLUME_CLAIM && !claim.terminating);
        let state = state.map(|object| State::read(&object));
        Ok(Found {
            claim: claim.map(|claim| claim.uid),
            state: match state {
                // What cannot be read does not matter to a database that is made afresh.
                Some(Err(_)) if self.reset_database => None,
                Some(state) => Some(state.outside()?),
                None => None,
            },
        })
    }

    /// Why the database that is there, or was there when somebody last looked, is not kept.
    fn unfit(&self, found: &Found, files: &Files) -> Option<Rebuild> {
        if self.reset_database && found.claim.is_some() {
            return Some(Rebuild::Asked);
        }
        let state = found.state.as_ref()?;
        let configured = &self.world.config.database.as_ref()?.migrations;
        let changed = match configured.is_empty() {
            true => None,
            false => Divergence::between(&state.migrations, &files.migrations),
        };
        // A run that made it afresh may have died before it could say so.
        let lost = || found.current().is_none().then_some(Rebuild::Lost);
        changed.map(Rebuild::Migrations).or_else(lost)
    }

    /// The Jobs that have yet to run on a database.
    fn pending(&self, state: &State) -> Vec<JobWave> {
        let waves = self.preview.job_waves(&state.volume_claim).into_iter();
        waves.filter_map(|wave| wave.pending(state)).collect()
    }

    /// The database: the one that is there where it fits, and otherwise a fresh one.
    pub(crate) async fn bring_up_database(
        &self,
        story: &mut Story<'_>,
        files: &Files,
    ) -> Result<Option<Running>, Stop> {
        if self.world.config.database.is_none() {
            return Ok(None);
        }
        let found = self.found().await?;
        let unfit = self.unfit(&found, files);
        let wave = self.database_wave(unfit.is_none()).await?;
        if let Some(why) = unfit.clone() {
            self.remove_database().await?;
            story.note(Note::DatabaseRebuilt(why));
        }
        self.make_room(&wave.server, story).await?;
        let restored_from = wave.pair.iter().map(|manifest| manifest.object().clone());
        let restored_from = restored_from.collect();
        if !wave.pair.is_empty() {
            self.apply(wave.pair).await?;
        }
        self.apply_and_wait(wave.server, story, as_database).await?;
        let claim = self.volume_claim().await?;
        let kept = found.current().filter(|state| state.volume_claim == claim);
        let is_the_old_one = unfit.is_none() && found.claim.as_ref() == Some(&claim);
        let mut state = kept.cloned().unwrap_or_else(|| State::fresh(claim));
        if let Some(since) = state.begin(&files.migrations) {
            story.note(Note::MigrationsInDoubt(since));
        }
        self.keep(&state).await?;
        Ok(Some(Running {
            state,
            is_the_old_one,
            restored_from,
        }))
    }

    /// Whether, as far as it can be known now, the database that is there is not kept, or there is none.
    pub(crate) async fn is_made_afresh(&self, files: &Files) -> Result<bool, Failed> {
        let found = self.found().await?;
        Ok(self.unfit(&found, files).is_some() || !self.has_database_server().await?)
    }

    /// What [`Self::bring_up_database`] and [`Self::migrate`] would do, as far as it can be known now; `is_afresh` where
    /// all that is there is on its way out.
    pub(crate) async fn foreseen_database(
        &self,
        files: &Files,
        is_afresh: bool,
    ) -> Result<Option<Foreseen>, Stop> {
        if self.world.config.database.is_none() {
            return Ok(None);
        }
        let mut found = Found::default();
        if !is_afresh {
            found = self.found().await?;
        }
        let rebuilt = self.unfit(&found, files);
        let Wave { pair, server } = self.database_wave(!is_afresh && rebuilt.is_none()).await?;
        let kept = found.claim.clone().filter(|_| rebuilt.is_none());
        let state = match (found.current(), &kept) {
            (Some(state), Some(_)) => state.clone(),
            _ => State::fresh(
                kept.clone()
                    .map_or_else(|| Foreseen::YET_TO_BE_MADE.parse().misused(), Ok)?,
            ),
        };
        let waves = self.pending(&state);
        let is_filled = waves.iter().any(|wave| wave.files.is_some());
        Ok(Some(Foreseen {
            pair,
            server,
            seed: files.seed.clone().filter(|_| is_filled),
            jobs: waves.into_iter().flat_map(|wave| wave.jobs).collect(),
            kept,
            rebuilt,
        }))
    }

    /// Deletes the server and its volume, and waits until both are gone: a StatefulSet would take a claim that is on its
    /// way out for its own.
    async fn remove_database(&self) -> Result<(), Stop> {
        let objects = [
            ObjectName::new(Kind::StatefulSet, DATABASE),
            ObjectName::new(Kind::PersistentVolumeClaim, VOLUME_CLAIM),
        ];
        let names = objects.each_ref().map(ToString::to_string).join(", ");
        let namespace = self.preview.namespace_name();
        let removed = async {
            let cluster = &self.world.cluster;
            let deadline = self.runner.deadline();
            let removed = cluster.remove(self.claimant, namespace, &objects, deadline);
            self.fenced(removed.await).await
        };
        self.runner.step("remove", names, removed).await?;
        Ok(())
    }

    async fn volume_claim(&self) -> Result<Uid, Failed> {
        let namespace = self.preview.namespace_name();
        let claims = self
            .world
            .cluster
            .volume_claims(namespace)
            .await
            .outside()?;
        let claim = claims.into_iter().find(|claim| claim.name == VOLUME_CLAIM);
        let claim = claim.ok_or_else(|| {
            Failed::cluster(format!(
                "find PersistentVolumeClaim/{VOLUME_CLAIM} in {namespace}: it is not there although the database runs; \
                 destroy the preview and deploy it again"
            ))
        })?;
        Ok(claim.uid)
    }

    /// Writes down what was done to the database.
    async fn keep(&self, state: &State) -> Result<(), Stop> {
        self.apply(vec![self.preview.database_state(state)]).await?;
        Ok(())
    }

    /// `migrate` of every component, then what fills a fresh database; what is done already is not done again.
    pub(crate) async fn migrate(
        &self,
        slot: &mut Slot<'_>,
        story: &mut Story<'_>,
        running: Option<&Running>,
        files: &Files,
    ) -> Result<(), Stop> {
        let Some(running) = running else {
            return Ok(());
        };
        let mut state = running.state.clone();
        let waves = self.pending(&state);
        if !waves.is_empty() {
            slot.is_in(Phase::Migrating).await?;
            story.deploys("migrating the database").await?;
        }
        for wave in waves {
            if wave.what == Work::Seed {
                self.are_applied(&mut state, files).await?;
            }
            let done = self.run_jobs(&wave, story, files).await;
            if let Err(Stop::Failed(Failed::Broken(..))) = &done
                && running.is_the_old_one
            {
                self.tell_who_serves(slot, story).await;
            }
            done?;
            wave.done(&mut state);
            self.keep(&state).await?;
        }
        self.are_applied(&mut state, files).await
    }

    /// Writes down that the schema is that of all migration files.
    async fn are_applied(&self, state: &mut State, files: &Files) -> Result<(), Stop> {
        match state.complete(&files.migrations) {
            true => self.keep(state).await,
            false => Ok(()),
        }
    }

    async fn run_jobs(
        &self,
        wave: &JobWave,
        story: &mut Story<'_>,
        files: &Files,
    ) -> Result<(), Stop> {
        let namespace = self.preview.namespace_name();
        let jobs: Vec<ObjectName> = wave.jobs.iter().map(|job| job.object().clone()).collect();
        let cluster = &self.world.cluster;
        let deadline = self.runner.deadline();
        let failed = cluster.remove_failed_jobs(self.claimant, namespace, &jobs, deadline);
        for job in self.fenced(failed.await).await? {
            let line = format!("  removed {job}, which had failed");
            self.runner.console().line(&line);
        }
        if wave.files.is_some() {
            let seed = files.seed.clone().ok_or_else(|| {
                Stop::cluster(
                    "fill the database: it was made afresh while this run had not yet begun; run this again",
                )
            })?;
            self.apply(vec![seed]).await?;
        }
        self.make_room(&wave.jobs, story).await?;
        self.apply_and_wait(wave.jobs.clone(), story, as_migration)
            .await
    }

    /// Nothing that serves was touched yet: what was there before is there still, if it is.
    async fn tell_who_serves(&self, slot: &Slot<'_>, story: &mut Story<'_>) {
        let Some(commit) = slot.serves() else {
            return;
        };
        match self.ready_components().await {
            Ok(seen) if seen.iter().all(|(_, replicas)| replicas.ready > 0) => {
                story.still_serves(commit, seen);
            }
            Ok(_) => {}
            Err(error) => {
                let warning = format!("whether the previous version serves is not known: {error}");
                self.runner.console().warning(&warning);
            }
        }
    }

    /// How the components are that were deployed before.
    async fn ready_components(&self) -> Result<Vec<(ComponentName, Replicas)>, Failed> {
        let namespace = self.preview.namespace_name();
        let mut seen = Vec::new();
        for shown in self.preview.shown_workloads() {
            let Some(component) = shown.component else {
                continue;
            };
            let pods = self.world.cluster.pods(namespace, &shown.object);
            let ready = pods.await.outside()?.iter().filter(|pod| pod.ready).count();
            let ready = u32::try_from(ready).unwrap_or(u32::MAX);
            let condition = match ready >= shown.replicas {
                true => Condition::Ready,
                false => Condition::Starting,
            };
            let desired = shown.replicas;
            seen.push((
                component,
                Replicas {
                    condition,
                    ready,
                    desired,
                },
            ));
        }
        Ok(seen)
    }
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
