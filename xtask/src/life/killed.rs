//! Previews that are taken down half-way: by a cleanup that is killed, by somebody who deletes the Namespace, and while
//! production gets what was merged.
//!
//! A run is frozen where it is about to write to the cluster, and killed there: what it has written stays.

use std::pin::{Pin, pin};

use anyhow::{Context as _, ensure};
use preview_core::{
    outcome::Program,
    sweep::{Measure, count},
};
use sandbox::Gate;

use super::{
    database::tells,
    ending,
    kube::Place,
    programs::Ended,
    stage::{Event, Prepared, Stage},
};
use crate::images::Edition;

/// Plays it.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) async fn a_preview_goes_although_its_cleanup_dies(
    stage: &mut Stage,
) -> anyhow::Result<()> {
    let played = acts(stage).await;
    stage.cleared_after(played).await
}

async fn acts(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act("A pull request is previewed, beside what production runs");
    stage.furnish_production().await?;
    let number = stage.open_pull_request();
    deployed(stage).await?;
    let mut ending = None;
    for nth in 1.. {
        stage.act(&format!(
            "It is closed, and its cleanup killed before its write {nth}"
        ));
        stage.close()?;
        let killed = cleanup_killed_before(stage, nth).await?;
        if killed && terminates(stage).await? {
            // The first: how many writes follow depends on how the volumes go.
            ending.get_or_insert(nth);
        }
        if killed {
            // What there was to destroy may be gone: then GitHub alone is left to be told.
            stage.cleanup_again().await?;
        }
        stage.nothing_is_left_of_the_preview().await?;
        tells(stage, number, "🗑️ Destroyed")?;
        stage.reopen()?;
        deployed(stage).await?;
        if !killed {
            ensure!(nth > 3, "a cleanup of no more than {} writes", nth - 1);
            break;
        }
    }
    let ending = ending.context("no cleanup died while its Namespace ended")?;

    stage.act("It is opened again while its Namespace ends, after a cleanup that died");
    let before = stage.identity().await?;
    stage.close()?;
    ensure!(
        cleanup_killed_before(stage, ending).await? && terminates(stage).await?,
        "the Namespace should be ending, held by its finalizer"
    );
    stage.reopen()?;
    let second = deployed(stage).await?;
    let after = stage.identity().await?;
    ensure!(
        before.namespace != after.namespace && before.volume != after.volume,
        "it is the preview of before: {before:?}, {after:?}"
    );
    stage.look_at_preview(&second).await?;

    stage.act("Somebody deletes the Namespace by hand: it stays until its volumes are gone");
    stage.the_preview_can_be_seen().await?;
    delete(stage).await?;
    ensure!(
        terminates(stage).await?,
        "the Namespace should be ending, held by its finalizer"
    );
    let swept = stage.sweep().await?.swept;
    ensure!(count(&swept, Measure::Destroyed) == 1, "{swept:?}");
    stage.nothing_is_left_of_the_preview().await?;
    tells(stage, number, "🗑️ Destroyed")?;

    stage.act("It is merged, and is promoted to the end while its cleanup stands still");
    stage.ci_builds(Edition::First).await?;
    let tested = stage.deploy().await?;
    let merged = stage.merge()?;
    side_by_side(stage, Program::Cleanup, &merged).await?;
    stage.nothing_is_left_of_the_preview().await?;
    stage.production_runs(&tested).await?;

    stage.act(
        "Another one is merged, and is cleaned up to the end while its promotion stands still",
    );
    stage.open_another_headline()?;
    stage.ci_builds(Edition::First).await?;
    let tested = stage.deploy().await?;
    let merged = stage.merge()?;
    side_by_side(stage, Program::Promote, &merged).await?;
    stage.nothing_is_left_of_the_preview().await?;
    stage.production_runs(&tested).await?;
    stage.show_page();
    stage.github_is_content()
}

/// Builds and deploys the pull request; gives B.
async fn deployed(stage: &mut Stage) -> anyhow::Result<String> {
    let built = stage.ci_builds(Edition::First).await?;
    stage.deploy().await?;
    stage.the_preview_can_be_seen().await?;
    Ok(built.test_merge)
}

/// Runs a cleanup, and kills it before it writes to the cluster the `nth` time; whether it came to that.
async fn cleanup_killed_before(stage: &mut Stage, nth: usize) -> anyhow::Result<bool> {
    let run = stage.prepared(Program::Cleanup, Event::PullRequest, &[])?;
    killed_before(stage, run, nth, "destroyed").await
}

/// Starts a run, and kills it before it writes to the cluster the `nth` time; whether it came to that, or it ended well with
/// this verdict.
pub(super) async fn killed_before(
    stage: &Stage,
    run: Prepared,
    nth: usize,
    verdict: &str,
) -> anyhow::Result<bool> {
    let gate = Gate::closed_from_write(nth);
    let run = stage.behind_on_cluster(run, &gate).await?;
    killed(stage, run, &gate, verdict).await
}

/// Starts a run, and kills it where its gate holds it; whether it came to that, or it ended well with this verdict.
pub(super) async fn killed(
    stage: &Stage,
    run: Prepared,
    gate: &Gate,
    verdict: &str,
) -> anyhow::Result<bool> {
    // What is dropped here is killed.
    let early = until_held(pin!(stage.started(run)), gate).await;
    match early {
        Some(ended) => ended?.with(0, verdict).map(|_| false),
        None => {
            let held = gate.held().context("nothing is held")?;
            stage.progress.say(&format!("killed before {held}"));
            Ok(true)
        }
    }
}

/// Runs the cleanup and the promotion of a merge: `first` is frozen at its first write to the cluster until the other one
/// has ended.
async fn side_by_side(stage: &mut Stage, first: Program, merged: &str) -> anyhow::Result<()> {
    let cleanup = stage.prepared(Program::Cleanup, Event::PullRequest, &[])?;
    let promotion = stage.prepared_promotion(merged)?;
    stage.has_adopted();
    let (frozen, other) = match first {
        Program::Cleanup => (cleanup, promotion),
        _ => (promotion, cleanup),
    };
    let (gate, open) = (Gate::closed_from_write(1), Gate::closed_from(usize::MAX));
    let frozen = stage.behind_on_cluster(frozen, &gate).await?;
    ending::side_by_side(stage, (frozen, &gate), (other, &open)).await?;
    ensure!(gate.held().is_some(), "{first} wrote nothing");
    Ok(())
}

/// How the run ended, where it did before its gate held it.
pub(super) async fn until_held(
    run: Pin<&mut impl Future<Output = anyhow::Result<Ended>>>,
    gate: &Gate,
) -> Option<anyhow::Result<Ended>> {
    tokio::select! {
        ended = run => Some(ended),
        () = gate.holds() => None,
    }
}

const NAMESPACES: Place<'_> = Place {
    api: "v1",
    kind: "Namespace",
    namespace: None,
};

async fn delete(stage: &Stage) -> anyhow::Result<()> {
    let name = stage.preview()?;
    let was_there = stage.ground.kube.delete(NAMESPACES, &name).await?;
    ensure!(was_there, "there is no Namespace {name}");
    stage
        .progress
        .say(&format!("Namespace/{name} is deleted by hand"));
    Ok(())
}

async fn terminates(stage: &Stage) -> anyhow::Result<bool> {
    let name = stage.preview()?;
    let namespace = stage.ground.kube.get(NAMESPACES, &name).await?;
    Ok(namespace.is_some_and(|it| !it["metadata"]["deletionTimestamp"].is_null()))
}
