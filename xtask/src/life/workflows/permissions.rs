//! Every permission of every job is needed: a story in which it is taken away ends otherwise.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Context as _, bail, ensure};
use futures::{StreamExt as _, stream};
use sandbox::World;

use super::{
    super::{Acts, Ground, Like, Programs, Progress, Stage},
    acts, acts_of_fork, acts_of_skew,
};
use crate::runner::{Ended, Service, Workflow};

/// How many stories are on at a time: most of a story is computing.
const AT_A_TIME: usize = 3;

/// What a job asks for although no story shows what for: file, job, permission, and why.
const ALL_THE_SAME: &[(&str, &str, &str, &str)] = &[
    ("preview-cleanup.yml", "cleanup", "actions", QUEUE),
    ("preview-cleanup.yml", "cleanup", "issues", LABELS),
    ("preview-cleanup.yml", "sweep", "statuses", PROMOTABLE),
    ("preview-deploy.yml", "deploy", "actions", QUEUE),
    ("preview-deploy.yml", "deploy", "issues", LABELS),
    ("preview-deploy.yml", "import", "pull-requests", REFUSED),
    ("preview-deploy.yml", "import", "statuses", REFUSED),
    ("preview-deploy.yml", "plan", "deployments", UNCHANGED),
    ("promote.yml", "promote", "attestations", ATTESTATION),
    ("promote.yml", "promote-tested", "attestations", ATTESTATION),
    ("promote.yml", "promote-tested", "issues", LABELS),
    ("promote.yml", "promote-tested", "statuses", PROMOTABLE),
    ("promote.yml", "test", "actions", QUEUE),
    ("promote.yml", "test", "pull-requests", QUEUE),
];
const QUEUE: &str =
    "starts and tells those who wait for a slot, and nobody does here: the play `queue`";
const LABELS: &str = "looks what else carries a label that has to go, and none has to here";
const PROMOTABLE: &str = "tells other pull requests with previews, and there is none any more";
const REFUSED: &str =
    "tells why archives are refused, and these are good: the stories of hostile ones";
const UNCHANGED: &str =
    "finds the image of a component that CI did not build: the play `unchanged`";
const ATTESTATION: &str =
    "reads who built the images, where preview.toml asks: docs/attestation.md";

/// A permission of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Case<'a> {
    file: &'a str,
    job: &'a str,
    permission: &'a str,
    /// Why no story misses it; empty where one has to.
    why: &'a str,
}

/// What a story goes by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Story {
    Life,
    Skew,
    Fork,
}

impl Story {
    /// The one in which this job has something to do.
    fn of(job: &str) -> Self {
        match job {
            "test" | "promote-tested" => Self::Skew,
            "build" | "import" => Self::Fork,
            _ => Self::Life,
        }
    }

    fn acts<'a>(self, stage: &'a mut Stage, service: &'a Service) -> Acts<'a> {
        match self {
            Self::Life => Box::pin(acts(stage, service)),
            Self::Skew => Box::pin(acts_of_skew(stage, service)),
            Self::Fork => Box::pin(acts_of_fork(stage, service)),
        }
    }
}

/// Plays the stories once as they are, and once without each permission; prints what each was needed for. Where `only` is told, of
/// this name alone, and then those that are in [`ALL_THE_SAME`], too.
///
/// Must not be called on a thread that drives an async runtime: it has one of its own.
///
/// # Errors
/// When a story fails as it is, or one ends as usual without a permission that nothing in [`ALL_THE_SAME`] is said of.
pub(crate) fn each_is_needed(only: Option<&str>) -> anyhow::Result<()> {
    let programs = Programs::build(Like::Tests)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start a runtime")?;
    runtime.block_on(async {
        let mut usual = BTreeMap::new();
        for story in [Story::Life, Story::Skew, Story::Fork] {
            let (service, played) = told(story, &programs, None).await?;
            played.context("with all permissions")?;
            usual.insert(story, service.ended());
        }
        let workflows = stage(&programs).await?.0.workflows()?;
        let mut cases = cases(&workflows);
        match only {
            Some(only) => cases.retain(|case| case.permission == only),
            // Each of them is a whole story, which ends as usual.
            None => cases.retain(|case| case.why.is_empty()),
        }
        let without = stream::iter(&cases).map(|case| without(case, &usual, &programs));
        let ended = without.buffered(AT_A_TIME);
        let ended: Vec<_> = ended.collect().await;
        verdict(&cases, &ended)
    })
}

fn verdict(cases: &[Case<'_>], ended: &[anyhow::Result<Option<String>>]) -> anyhow::Result<()> {
    let mut failed = String::new();
    for (case, ended) in cases.iter().zip(ended) {
        let Case {
            file,
            job,
            permission,
            why,
        } = case;
        let name = format!("{file}, {job}, {permission}");
        match (ended, why.is_empty()) {
            (Ok(Some(difference)), true) => println!("{name}: {difference}"),
            (Ok(None), false) => println!("{name}: {why}"),
            (Ok(Some(difference)), false) => {
                let _ = writeln!(failed, "{name} has a story now: {difference}");
            }
            (Ok(None), true) => {
                let _ = writeln!(failed, "{name}: nothing misses it");
            }
            (Err(error), _) => {
                let _ = writeln!(failed, "{name}: {error:#}");
            }
        }
    }
    ensure!(
        failed.is_empty(),
        "permissions of the example's workflows:\n{failed}"
    );
    Ok(())
}

/// Each permission of each job.
fn cases(workflows: &BTreeMap<String, Workflow>) -> Vec<Case<'_>> {
    let mut cases = Vec::new();
    for (file, workflow) in workflows {
        for (job, declared) in &workflow.jobs {
            let named = declared.permissions.iter().flat_map(|it| it.all());
            cases.extend(named.map(|(permission, _)| {
                let mut listed = ALL_THE_SAME.iter();
                let listed = listed.find(|it| (it.0, it.1, it.2) == (file, job, permission));
                Case {
                    file,
                    job,
                    permission,
                    why: listed.map_or("", |it| it.3),
                }
            }));
        }
    }
    cases
}

/// Plays the job's story without the permission, until it ends otherwise; gives how, if it does.
async fn without(
    case: &Case<'_>,
    usual: &BTreeMap<Story, Vec<Ended>>,
    programs: &Programs,
) -> anyhow::Result<Option<String>> {
    let story = Story::of(case.job);
    let (service, played) = told(story, programs, Some((case, &usual[&story]))).await?;
    match (service.difference(), played) {
        (Some(difference), _) => Ok(Some(difference)),
        (None, Ok(())) => Ok(None),
        (None, Err(error)) => bail!("the job ends as usual, and the story does not: {error:#}"),
    }
}

async fn told(
    story: Story,
    programs: &Programs,
    without: Option<(&Case<'_>, &Vec<Ended>)>,
) -> anyhow::Result<(Service, anyhow::Result<()>)> {
    let (mut stage, _folder) = stage(programs).await?;
    let mut workflows = stage.workflows()?;
    if let Some((case, _)) = without {
        let job = workflows
            .get_mut(case.file)
            .and_then(|it| it.jobs.get_mut(case.job));
        let permissions = job.and_then(|job| job.permissions.as_mut());
        let permissions = permissions.context("the job names no permissions")?;
        *permissions = permissions.clone().less(case.permission);
    }
    let service = stage.adopt_previews(workflows).await?;
    if let Some((case, usual)) = without {
        service.watch(case.file, case.job, usual);
    }
    let played = story.acts(&mut stage, &service).await;
    Ok((service, played))
}

async fn stage(programs: &Programs) -> anyhow::Result<(Stage, tempfile::TempDir)> {
    let folder = tempfile::tempdir().context("make a folder for results")?;
    let world = World::start().await.context("start the sandbox")?;
    let github = world.github.clone();
    let ground = Ground::sandbox(world, folder.path())?;
    let set = Stage::set(
        "workflows",
        github,
        ground,
        programs.clone(),
        Progress::unseen(),
        folder.path(),
    );
    Ok((set.await?, folder))
}
