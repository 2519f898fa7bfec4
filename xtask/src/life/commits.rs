//! A merge that no preview has shown: it is tested by itself, and promoted then.

use anyhow::ensure;

use super::stage::Stage;
use crate::images::Edition;

/// A pull request is merged without a preview. Promotion refuses what that left, until a preview of the commit itself was
/// ready.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) async fn a_merge_that_nobody_saw(stage: &mut Stage) -> anyhow::Result<()> {
    let played = acts(stage).await;
    stage.cleared_after(played).await
}

async fn acts(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act("Production runs the default branch, and a pull request is merged without a preview");
    stage.furnish_production().await?;
    stage.open_pull_request();
    stage.push_second_edition()?;
    let merged = stage.merge()?;
    let refused = stage.promote_refused(&merged).await?;
    let way_on = format!("preview-deploy --commit {merged}");
    ensure!(
        refused.contains(&way_on),
        "the refusal does not say {way_on:?}: {refused}"
    );

    stage.act("CI builds the commit, and preview-deploy makes a preview of it by itself");
    stage.ci_builds_the_commit(&merged, Edition::Second).await?;
    let tested = stage.deploy_commit(&merged).await?;
    stage.look_at_preview(&merged).await?;

    stage.act("preview-promote brings what was looked at to production");
    stage.promote(&merged).await?;
    stage.look_at_production(&merged).await?;
    stage.production_runs(&tested).await?;

    stage.act("preview-cleanup destroys the preview of the commit");
    stage.the_preview_can_be_seen().await?;
    stage.cleanup_commit(&merged).await?;
    stage.nothing_is_left_of_the_preview().await?;
    stage.github_is_content()
}
