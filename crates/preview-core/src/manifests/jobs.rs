//! Commands that run once for each database: every component's `migrate`, what fills a fresh database, and every
//! component's `seed`.

use serde_json::{Value, json};

use super::{DATABASE, Preview, labels, pod, seed, short_hash};
use crate::config::{Component, Seed};
use crate::database::State;
use crate::names::{PinnedImage, Uid};
use crate::objects::{Kind, Manifest};

/// A migration that failed is tried once more: the database may just have been restarting.
const RETRIES: u32 = 1;

/// Jobs that run at the same time, to be complete before the next wave.
#[derive(Clone, Debug, PartialEq)]
pub struct JobWave {
    /// What they do.
    pub what: Work,
    /// What they need to be there before them: the files of a seed.
    pub files: Option<&'static str>,
    /// The Jobs.
    pub jobs: Vec<Manifest>,
}

/// What a Job does to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// It brings its schema up to date, with every image anew.
    Migrate,
    /// It fills it, once.
    Seed,
}

impl JobWave {
    /// Without those that `state` says are done; none where nothing is left to do.
    #[must_use]
    pub fn pending(mut self, state: &State) -> Option<Self> {
        let done = match self.what {
            Work::Migrate => &state.migrated,
            Work::Seed => &state.seeded,
        };
        self.jobs.retain(|job| !done.contains(&job.object().name));
        (!self.jobs.is_empty()).then_some(self)
    }

    /// The state once its Jobs are complete.
    pub fn done(&self, state: &mut State) {
        let done = match self.what {
            Work::Migrate => &mut state.migrated,
            Work::Seed => &mut state.seeded,
        };
        done.extend(self.jobs.iter().map(|job| job.object().name.clone()));
    }
}

/// All waves; a wave of nothing is left out.
pub(super) fn waves(preview: &Preview<'_>, volume_claim: &Uid) -> Vec<JobWave> {
    if preview.config.database.is_none() {
        return Vec::new();
    }
    let components = |what: Work| -> Vec<Manifest> {
        let jobs = preview.images.iter().filter_map(|(component, image)| {
            let command = match what {
                Work::Migrate => component.migrate.as_ref(),
                Work::Seed => component.seed.as_ref(),
            };
            Some(of_component(
                preview,
                component,
                image,
                what,
                command?,
                volume_claim,
            ))
        });
        jobs.collect()
    };
    let wave = |what, files, jobs| JobWave { what, files, jobs };
    let (database, files) = of_database(preview, volume_claim);
    let waves = [
        wave(Work::Migrate, None, components(Work::Migrate)),
        wave(Work::Seed, files, database.into_iter().collect()),
        wave(Work::Seed, None, components(Work::Seed)),
    ];
    let waves = waves.into_iter();
    waves.filter(|wave| !wave.jobs.is_empty()).collect()
}

/// The Job of a component's command.
fn of_component(
    preview: &Preview<'_>,
    component: &Component,
    image: &PinnedImage,
    what: Work,
    command: &[String],
    volume_claim: &Uid,
) -> Manifest {
    let name = what.as_str();
    let mut container = pod::container(preview, component, image, name);
    container["command"] = json!(command);
    // Not the component's own name: its Service must not take a migration for a replica.
    let program = format!("{}-{name}", component.name);
    let spec = pod::spec(container);
    job(
        preview,
        &program,
        component.name.as_str(),
        what,
        spec,
        volume_claim,
    )
}

/// The Job that fills a fresh database with what is no component's, and the Secret that it needs.
fn of_database(
    preview: &Preview<'_>,
    volume_claim: &Uid,
) -> (Option<Manifest>, Option<&'static str>) {
    let database = preview.config.database.as_ref();
    let Some((database, seed)) = database.and_then(|db| Some((db, db.seed.as_ref()?))) else {
        return (None, None);
    };
    let (spec, files) = match seed {
        Seed::Sql(_) => (seed::of_sql(database), Some(seed::FILES)),
        Seed::Image { image, command } => (seed::of_image(image, command), None),
        // The rows came with the volume.
        Seed::Snapshot { .. } => return (None, None),
    };
    let program = format!("{DATABASE}-seed");
    let job = job(preview, &program, DATABASE, Work::Seed, spec, volume_claim);
    (Some(job), files)
}

fn job(
    preview: &Preview<'_>,
    program: &str,
    component: &str,
    what: Work,
    mut spec: Value,
    volume_claim: &Uid,
) -> Manifest {
    let labels = labels(program, component);
    spec["restartPolicy"] = json!("Never");
    let template = json!({ "metadata": { "labels": labels }, "spec": spec });
    let database = Value::String(volume_claim.to_string());
    let hash = match what {
        Work::Migrate => short_hash(&[&template, &database]),
        Work::Seed => short_hash(&[&database]),
    };
    let spec = json!({
        "backoffLimit": RETRIES,
        "activeDeadlineSeconds": preview.config.deadline.as_secs(),
        "template": template,
    });
    Manifest::new(
        Kind::Job,
        format!("{program}-{hash}"),
        &labels,
        json!({ "spec": spec }),
    )
}

impl Work {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Migrate => "migrate",
            Self::Seed => "seed",
        }
    }
}
