//! A promotion that dies half-way, and the one after it; by each way of merging.
//!
//! A run is frozen where it is about to write to the cluster, and killed there: what it has written stays.

use anyhow::ensure;
use preview_core::outcome::ResultFile;
use sandbox::github::MergeStyle;

use super::{killed::killed_before, stage::Stage};
use crate::images::Edition;

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
    stage.act("A first promotion replaces what production runs");
    stage.furnish_production().await?;
    let (commit, tested) = merged(stage, 0).await?;
    stage.promote(&commit).await?;
    stage.production_runs(&tested).await?;
    stage.cleanup().await?;
    for nth in 1.. {
        stage.act(&format!(
            "Another one is merged, and its promotion killed before its write {nth}"
        ));
        let (commit, tested) = merged(stage, nth).await?;
        let promotion = stage.prepared_promotion(&commit)?;
        let killed = killed_before(stage, promotion, nth, "promoted").await?;
        if killed {
            stage.promote_again(&commit).await?;
        }
        stage.production_runs(&tested).await?;
        stage.cleanup().await?;
        if !killed {
            ensure!(nth > 3, "a promotion of no more than {} writes", nth - 1);
            break;
        }
    }
    stage.show_page();
    stage.github_is_content()
}

/// A pull request that is previewed and merged; the commit M, and what was tested.
async fn merged(stage: &mut Stage, nth: usize) -> anyhow::Result<(String, ResultFile)> {
    let file = format!("docs/{nth}.md");
    let number = stage.open(&format!("feature/{nth}"), &[(&file, "Soon.\n")]);
    stage.ci_builds(Edition::First).await?;
    let tested = stage.deploy().await?;
    let style = STYLES[nth % STYLES.len()];
    let commit = stage.repository.merge(number, style);
    stage
        .progress
        .say(&format!("#{number} is merged by {style:?}"));
    Ok((commit, tested))
}
