//! A thousand previews on one API server, and a sweep of them.
//!
//! Their pods are on a node that kwok plays; Namespaces, Deployments, claims and volumes are real. Not for the sandbox, where
//! cleanup's own story has as many.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use preview_core::{
    names::RepositoryId,
    outcome::Program,
    ownership::{Owner, keys},
    sweep::{Measure, count},
};
use sandbox::Gate;
use serde_json::{Value, json};

use super::{
    kube::until,
    simulated::{Simulated, placed},
    stage::{Event, Stage},
};

const PREVIEWS: usize = 1_000;
/// Of them, those whose pull request is closed.
const ORPHANS: usize = 40;
/// How many a sweep may destroy.
const LIMIT: usize = 25;
/// Requests to the cluster at a time.
const PARALLEL: usize = 16;
/// Until all pods run.
const PATIENCE: Duration = Duration::from_secs(600);

/// Plays it.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) async fn a_thousand_previews(stage: &mut Stage) -> anyhow::Result<()> {
    let node = Simulated::start(stage).await?;
    let played = acts(stage).await;
    let cleared = stage.cleared_after(played).await;
    let ended = node.end(stage).await;
    cleared.and(ended)
}

async fn acts(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act("A thousand pull requests have a preview, and forty of them are closed");
    stage.uses_small_previews();
    stage.configure(&format!("[sweep]\nlimit = {LIMIT}\n"));
    let began = Instant::now();
    let mut numbers = Vec::new();
    for n in 0..PREVIEWS {
        let number = stage
            .repository
            .open_pull_request(&format!("feature/{n}"), &[]);
        numbers.push(number);
    }
    let (orphans, _) = numbers.split_at(ORPHANS);
    let made = numbers.iter().map(|&number| {
        let objects = preview(stage, number, orphans.contains(&number));
        async {
            for object in objects? {
                stage.ground.kube.create(&object).await?;
            }
            anyhow::Ok(())
        }
    });
    let made = stream::iter(made).buffer_unordered(PARALLEL);
    made.try_collect::<Vec<()>>().await?;
    for &number in orphans {
        stage.repository.close(number);
    }
    all_run(stage, PREVIEWS).await?;
    stage.progress.say(&format!(
        "{PREVIEWS} previews, with a pod each, after {} s",
        began.elapsed().as_secs()
    ));

    stage.act("A sweep destroys as many as it may");
    let swept = sweep(stage, 1, "refused").await?;
    ensure!(
        (swept.destroyed, swept.left) == (LIMIT, ORPHANS - LIMIT),
        "{swept:?}"
    );
    ensure!(
        swept.of_github <= 25 + 6 * (LIMIT + 3) && swept.of_cluster <= 30 + 20 * (LIMIT + 3),
        "it asked too much: {swept:?}"
    );
    remain(stage, &numbers, PREVIEWS - LIMIT).await?;

    stage.act("The next one goes on, and leaves what is open");
    let swept = sweep(stage, 0, "swept").await?;
    ensure!(swept.destroyed == ORPHANS - LIMIT, "{swept:?}");
    let open = numbers.split_off(ORPHANS);
    remain(stage, &open, PREVIEWS - ORPHANS).await?;
    all_run(stage, PREVIEWS - ORPHANS).await?;
    let volumes = stage.list("v1", "PersistentVolume", None).await?;
    let ours = |it: &&Value| {
        let of = it["spec"]["claimRef"]["namespace"].as_str();
        of.is_some_and(|of| of.starts_with("numbers-pr-"))
    };
    ensure!(!volumes.iter().any(|it| ours(&it)), "volumes are left");

    stage.act("All that are left are listed");
    let listed = stage.list_previews().await?;
    ensure!(listed == open.len(), "{listed} are listed");
    stage.github_is_content()
}

/// What a sweep did, and what it asked.
#[derive(Debug)]
struct Swept {
    destroyed: usize,
    left: usize,
    of_github: usize,
    of_cluster: usize,
}

async fn sweep(stage: &mut Stage, exit: i32, verdict: &str) -> anyhow::Result<Swept> {
    let before = stage.github.traffic().exchanges().len();
    let gate = Gate::closed_from(usize::MAX);
    let run = stage.prepared(Program::Cleanup, Event::Schedule, &["sweep"])?;
    let run = stage.behind_on_cluster(run, &gate).await?;
    let began = Instant::now();
    let result = stage.started(run).await?.with(exit, verdict)?.result;
    let swept = Swept {
        destroyed: count(&result.swept, Measure::Destroyed),
        left: count(&result.swept, Measure::Left),
        of_github: stage.github.traffic().exchanges().len() - before,
        of_cluster: gate.came().len(),
    };
    stage.progress.say(&format!(
        "{} destroyed, {} left, in {} s, with {} requests to GitHub and {} to the cluster",
        swept.destroyed,
        swept.left,
        began.elapsed().as_secs(),
        swept.of_github,
        swept.of_cluster
    ));
    Ok(swept)
}

/// Checks that previews of that many of these pull requests are there, and no others.
async fn remain(stage: &Stage, numbers: &[u64], count: usize) -> anyhow::Result<()> {
    let namespaces = stage.list("v1", "Namespace", None).await?;
    let names = namespaces
        .iter()
        .filter_map(|it| it["metadata"]["name"].as_str());
    let found: Vec<&str> = names
        .filter(|name| name.starts_with("numbers-pr-"))
        .collect();
    ensure!(found.len() == count, "{} are there", found.len());
    let wanted = |name: &&str| numbers.iter().any(|n| **name == format!("numbers-pr-{n}"));
    let strangers: Vec<_> = found.iter().filter(|name| !wanted(name)).collect();
    ensure!(strangers.is_empty(), "they should be gone: {strangers:?}");
    Ok(())
}

/// Waits until so many pods of previews run, and no others are there.
async fn all_run(stage: &Stage, count: usize) -> anyhow::Result<()> {
    until(Instant::now() + PATIENCE, async || {
        let pods = stage.list("v1", "Pod", None).await?;
        let of_previews = pods.iter().filter(|pod| {
            let namespace = pod["metadata"]["namespace"].as_str();
            namespace.is_some_and(|name| name.starts_with("numbers-pr-"))
        });
        let phases: Vec<&str> = of_previews
            .filter_map(|pod| pod["status"]["phase"].as_str())
            .collect();
        let running = phases.iter().filter(|phase| **phase == "Running").count();
        Ok(match running == count && phases.len() == count {
            true => Ok(()),
            false => Err(format!("{running} of {} pods run", phases.len())),
        })
    })
    .await
}

/// A preview as a deploy leaves it, in small: a page that runs nowhere, and where it is to go, a volume.
fn preview(stage: &Stage, number: u64, has_volume: bool) -> anyhow::Result<Vec<Value>> {
    let owner = Owner {
        repository: RepositoryId(stage.repository.id()),
        subject: format!("pr-{number}").parse().context("a subject")?,
    };
    let (name, labels) = (format!("numbers-pr-{number}"), owner.labels());
    let head = stage.repository.head_of(number);
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": name, "labels": labels, "finalizers": [keys::FINALIZER],
        "annotations": { keys::HEAD: head, keys::FENCE: "50.1", keys::CLAIM: "held" },
    } });
    let mut pod = placed();
    pod["automountServiceAccountToken"] = json!(false);
    pod["containers"] = json!([{ "name": "web", "image": "registry.example/web" }]);
    let page = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web", "namespace": name, "labels": labels },
        "spec": { "selector": { "matchLabels": { "app": "web" } }, "template": {
            "metadata": { "labels": { "app": "web" } }, "spec": pod,
        } },
    });
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": "data", "namespace": name, "labels": labels },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Mi" } } },
    });
    let volume = has_volume.then_some(volume);
    Ok([namespace, page].into_iter().chain(volume).collect())
}
