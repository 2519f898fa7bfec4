//! A preview's database that begins as a copy of production's: the rows are there under the preview's own password, and
//! a copy that the server cannot use is told. The play is the CSI driver, which copies production's volume.

use anyhow::{Context as _, ensure};
use preview_core::health::FailureClass;

use super::database::identity;
use super::stage::{Built, Stage};
use crate::images::Edition;

/// Rows in production: those that the example fills it with, and one that somebody typed.
const ROWS: usize = 4;

/// Plays it.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) async fn a_copy_of_production(stage: &mut Stage) -> anyhow::Result<()> {
    let played = acts(stage).await;
    stage.cleared_after(played).await
}

async fn acts(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act("Production runs, and a snapshot is taken of its database's volume");
    stage.furnish_production().await?;
    stage
        .type_into_production("insert into notes (text) values ('only in production')")
        .await?;
    stage.take_the_golden_snapshot().await?;
    stage.begin_databases_as_the_golden_snapshot();

    stage.act("The copy is of another major version than the server: that is told");
    let number = stage.open_pull_request();
    let built = stage.ci_builds(Edition::First).await?;
    stage.restore_a_copy_of_version("9").await?;
    let (failure, _) = stage.deploy_in_vain().await?;
    let last = failure.log.last().map(String::as_str).unwrap_or_default();
    ensure!(
        failure.class == FailureClass::Database
            && failure.container.as_deref() == Some("restored")
            && last.contains("data of PostgreSQL 9,"),
        "it should be told which version the copy is of: {failure}: {last:?}"
    );
    stage.show_page();

    stage.act("The next copy is of the right one: production's rows are there, and the password is the preview's own");
    stage.restore_a_copy().await?;
    stage.deploy_with_a_fresh_database().await?;
    rows(stage, &built).await?;
    let made = identity(stage).await?;

    stage.act(
        "The golden snapshot is gone, and the preview is deployed once more: its database is kept",
    );
    stage.lose_the_golden_snapshot().await?;
    stage.deploy().await?;
    rows(stage, &built).await?;
    let kept = stage.identity().await?;
    ensure!(
        kept == made,
        "the database should be the same one: {made:?}, {kept:?}"
    );

    stage.act("The pull request is closed: what restored the volume goes with the preview, and production serves on");
    stage.close()?;
    let cleaned = stage.cleanup().await?;
    let told = serde_json::to_string(&cleaned.receipt).context("read the receipt")?;
    ensure!(
        told.contains("VolumeSnapshotContent"),
        "the receipt for #{number} should tell of it: {told}"
    );
    stage.nothing_is_left_of_the_preview().await?;
    stage.nothing_restores_a_volume().await?;
    let base = stage.repository.head("main");
    stage.look_at_production(&base).await?;
    stage.github_is_content()
}

/// Looks at the page, which shows production's rows where there is a database to have any.
async fn rows(stage: &Stage, built: &Built) -> anyhow::Result<()> {
    let sight = stage.look_at_preview(&built.test_merge).await?;
    let real = stage.ground.world().is_none();
    ensure!(
        !real || sight.rows == ROWS,
        "the page should show {ROWS} rows: {sight}"
    );
    Ok(())
}
