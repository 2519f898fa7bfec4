//! A promotion that dies half-way, and the one after it; by each way of merging.
//!
//! A run is frozen where it is about to write to the cluster, and killed there: what it has written stays.

use std::{pin::pin, time::Instant};

use anyhow::{Context as _, ensure};
use sandbox::{Gate, github::MergeStyle};

use super::{
    killed::until_held,
    kube::until,
    stage::{PATIENCE, Stage},
};

/// Each way of merging, in turn.
const STYLES: [MergeStyle; 3] = [MergeStyle::Merge, MergeStyle::Rebase, MergeStyle::Squash];

/// Plays it.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) async fn production_gets_there_although_its_promotion_dies(
    stage: &mut Stage,
) -> anyhow::Result<()> {
    let played = acts(stage).await;
    stage.cleared_after(played).await
}

async fn acts(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act("Production is a page, which a first promotion may replace");
    stage.furnish_a_page().await?;
    let (commit, image) = merged(stage, 0).await?;
    stage.promote(&commit).await?;
    runs(stage, &image).await?;
    for nth in 1.. {
        stage.act(&format!(
            "Another one is merged, and its promotion killed before its write {nth}"
        ));
        let (commit, image) = merged(stage, nth).await?;
        let killed = killed_before(stage, &commit, nth).await?;
        if killed {
            stage.promote_again(&commit).await?;
        }
        runs(stage, &image).await?;
        stage.cleanup().await?;
        if !killed {
            ensure!(nth > 2, "a promotion of no more than {} writes", nth - 1);
            break;
        }
    }
    stage.show_page();
    stage.github_is_content()
}

/// A pull request that is previewed and merged; the commit M, and the image of its page.
async fn merged(stage: &mut Stage, nth: usize) -> anyhow::Result<(String, String)> {
    let file = format!("docs/{nth}.md");
    let number = stage.open(&format!("feature/{nth}"), &[(&file, "Soon.\n")]);
    stage.ci_builds_a_page(number).await?;
    let mut ended = stage.deploy_at_once(&[number]).await?;
    let (_, ended) = ended.pop().context("nothing was deployed")?;
    let images = ended.with(0, "deployed")?.result.images;
    let image = images.values().next().context("it runs no image")?;
    let style = STYLES[nth % STYLES.len()];
    let commit = stage.repository.merge(number, style);
    stage
        .progress
        .say(&format!("#{number} is merged by {style:?}"));
    Ok((commit, image.to_string()))
}

/// Runs a promotion, and kills it before it writes to the cluster the `nth` time; whether it came to that.
async fn killed_before(stage: &mut Stage, commit: &str, nth: usize) -> anyhow::Result<bool> {
    let gate = Gate::closed_from_write(nth);
    let run = stage.prepared_promotion(commit)?;
    let run = stage.behind_on_cluster(run, &gate).await?;
    // What is dropped here is killed.
    match until_held(pin!(stage.started(run)), &gate).await {
        Some(ended) => ended?.with(0, "promoted").map(|_| false),
        None => {
            let held = gate.held().context("nothing is held")?;
            stage.progress.say(&format!("killed before {held}"));
            Ok(true)
        }
    }
}

/// Waits until all of production's pages run `image`, and nothing else.
async fn runs(stage: &Stage, image: &str) -> anyhow::Result<()> {
    let (_, digest) = image.split_once('@').context("an image without digest")?;
    until(Instant::now() + PATIENCE, async || {
        let set = stage.page_of_production().await?;
        let ids = stage.pages_of_production().await?;
        let are = !ids.is_empty() && ids.iter().all(|id| id.ends_with(digest));
        Ok(match set.ends_with(digest) && are {
            true => Ok(()),
            false => Err(format!("production is set to {set}, and runs {ids:?}")),
        })
    })
    .await
}
