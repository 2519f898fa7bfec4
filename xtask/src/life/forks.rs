//! Pull requests of a fork, whose own runs may push no image.

use anyhow::ensure;

use super::stage::Stage;
use crate::images::Edition;

/// What a workflow of the default branch has built of one reaches production; what its author's own workflow has built is
/// previewed, and goes no further.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) async fn from_push_to_production(stage: &mut Stage) -> anyhow::Result<()> {
    let played = acts(stage).await;
    stage.cleared_after(played).await
}

async fn acts(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act("Production runs the default branch, and somebody opens a pull request from a fork");
    stage.furnish_production().await?;
    stage.open_pull_request_from_fork("feature/who-wrote-it")?;
    stage.the_forks_ci_pushes_nothing()?;
    let unbuilt = stage.plan_of_fork().await?;
    ensure!(unbuilt.contains("may push no image"), "{unbuilt}");
    let refused = stage.deploy_refused().await?;
    ensure!(refused.contains("preview-deploy import"), "{refused}");

    stage
        .act("Once it is approved its test merge is built without any right, and imported as data");
    let built = stage.builds_layouts(Edition::Second).await?;
    stage.import("trusted").await?;
    stage.is_tagged(&built).await?;
    let tested = stage.deploy().await?;
    stage.look_at_preview(&built.test_merge).await?;
    stage.the_record_says_built_by("trusted")?;
    stage.show_page();

    stage.act("It is merged, promoted, and cleaned up");
    let merged = stage.merge()?;
    let commits = [&built.head, &built.test_merge, &merged];
    ensure!(
        commits[0] != commits[1] && commits[1] != commits[2] && commits[0] != commits[2],
        "H, B and M are three commits: {commits:?}"
    );
    stage.promote(&merged).await?;
    stage.look_at_production(&built.test_merge).await?;
    stage.production_runs(&tested).await?;
    stage.the_preview_can_be_seen().await?;
    stage.cleanup().await?;
    stage.nothing_is_left_of_the_preview().await?;
    stage.no_import_is_active()?;
    stage.show_page();

    stage.act("Another one brings what its author's own workflow has built");
    stage.configure("[pull_requests]\nforks = \"import\"\n");
    stage.open_pull_request_from_fork("feature/built-by-me")?;
    stage.the_forks_ci_pushes_nothing()?;
    let own = stage.builds_layouts(Edition::Second).await?;
    stage.import("contributor").await?;
    stage.deploy().await?;
    stage.look_at_preview(&own.test_merge).await?;
    stage.the_record_says_built_by("contributor")?;
    let merged = stage.merge()?;
    let refused = stage.promote_refused(&merged).await?;
    ensure!(
        refused.contains("built by a contributor's own workflow"),
        "{refused}"
    );
    stage.production_runs(&tested).await?;
    stage.cleanup().await?;
    stage.github_is_content()
}
