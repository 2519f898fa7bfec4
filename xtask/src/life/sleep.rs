//! A preview that nobody deploys: it sleeps, and is woken with its rows as they were.

use std::time::Instant;

use anyhow::ensure;
use preview_core::ownership::Claim;
use preview_core::sweep::{Measure, count};

use super::database::{rows, tells};
use super::kube::until;
use super::stage::{PATIENCE, Stage};
use crate::images::Edition;

/// Rows that the example fills a fresh database with.
const SEEDED: usize = 3;

/// Plays it.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) async fn an_idle_preview(stage: &mut Stage) -> anyhow::Result<()> {
    let played = acts(stage).await;
    stage.cleared_after(played).await
}

async fn acts(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act("A preview is deployed, and somebody types a row");
    stage.configure("[lifetime]\nasleep_after = \"12h\"\n");
    stage.fill_the_database_from("api/seed.sql");
    stage.publish_postgres().await?;
    let number = stage.open_pull_request();
    let built = stage.ci_builds(Edition::First).await?;
    stage.deploy().await?;
    stage
        .type_into_the_database("insert into notes (text) values ('typed')")
        .await?;
    rows(stage, &built, SEEDED + 1).await?;
    let made = stage.identity().await?;
    let nothing = stage.sweep().await?;
    ensure!(nothing.swept.is_empty(), "{nothing:?}");

    stage.act("Nobody pushes until the next day: it sleeps, and its slot is free");
    stage.a_day_goes_by().await?;
    let swept = stage.sweep().await?.swept;
    ensure!(count(&swept, Measure::Asleep) == 1, "{swept:?}");
    nothing_runs(stage).await?;
    ensure!(
        stage.claim().await? == Some(Claim::Asleep),
        "it should have given its slot back"
    );
    tells(stage, number, "**Status**: 😴 Asleep")?;
    tells(stage, number, &format!("preview-deploy wake --pr {number}"))?;
    stage.show_page();

    stage.act("Somebody wakes it: the database is the one of before");
    stage.wake().await?;
    rows(stage, &built, SEEDED + 1).await?;
    let woken = stage.identity().await?;
    ensure!(woken == made, "it is another one: {made:?}, {woken:?}");
    tells(stage, number, "**Status**: ✅ Ready")?;

    stage.act("It sleeps again, and is destroyed in its sleep once its pull request is closed");
    stage.a_day_goes_by().await?;
    stage.sweep().await?;
    nothing_runs(stage).await?;
    stage.close()?;
    stage.cleanup().await?;
    stage.nothing_is_left_of_the_preview().await?;
    stage.images_are_gone(&built).await?;
    stage.github_is_content()
}

/// Waits until no pod of the preview runs.
async fn nothing_runs(stage: &Stage) -> anyhow::Result<()> {
    until(Instant::now() + PATIENCE, async || {
        let running = stage.running_pods().await?;
        Ok(match running.is_empty() {
            true => Ok(()),
            false => Err(format!("pods of the preview run: {running:?}")),
        })
    })
    .await
}
