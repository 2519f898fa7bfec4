//! A preview's database: what is typed into it stays until its migrations are rewritten or somebody asks for a fresh one,
//! and a migration that fails leaves the previous version serving.

use std::time::{Duration, Instant};

use anyhow::ensure;
use preview_core::health::FailureClass;

use super::kube::until;
use super::stage::{Built, Identity, Stage, short};
use crate::images::Edition;

/// Until Kubernetes has deleted the volume of a claim that is gone.
const VOLUME_GONE: Duration = Duration::from_secs(60);

/// Rows that the example fills a fresh database with.
const SEEDED: usize = 3;

/// Plays it.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) async fn rows_stay_until_they_cannot(stage: &mut Stage) -> anyhow::Result<()> {
    let played = acts(stage).await;
    stage.cleared_after(played).await
}

async fn acts(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act("A fresh database is filled from the repository's SQL");
    stage.fill_the_database_from("api/seed.sql");
    stage.publish_postgres().await?;
    let number = stage.open_pull_request();
    let first = stage.ci_builds(Edition::First).await?;
    stage.deploy().await?;
    rows(stage, &first, SEEDED).await?;
    let made = stage.identity().await?;

    stage.act("Somebody types a row, and deploys once more: it stays, and nothing is filled twice");
    stage
        .type_into_the_database("insert into notes (text) values ('typed')")
        .await?;
    stage.deploy().await?;
    rows(stage, &first, SEEDED + 1).await?;

    stage.act("A migration fails: the previous version serves on");
    stage.push_second_edition()?;
    let second = stage.ci_builds(Edition::Second).await?;
    stage.let_the_migration_fail(&second).await?;
    let (failure, _) = stage.deploy_in_vain().await?;
    ensure!(
        failure.class == FailureClass::Migration,
        "it should be told that the migration failed: {failure}"
    );
    tells(stage, number, "**URL**: ")?;
    let serves = format!(
        "The previous version, {}, still serves.",
        short(&first.head)
    );
    tells(stage, number, &serves)?;
    if stage.ground.world().is_none() {
        // In the sandbox the page is of the image alone.
        rows(stage, &first, SEEDED + 1).await?;
    }

    stage.act("What was in its way is gone: the same commit is deployed, and the rows are there");
    stage.let_the_migration_pass(&second).await?;
    stage.deploy().await?;
    rows(stage, &second, SEEDED + 1).await?;
    let updated = stage.identity().await?;
    ensure!(
        updated == made,
        "the database should be the same one: {made:?}, {updated:?}"
    );

    stage.act("A rebase rewrites a migration that was applied: the database is made afresh");
    let file = stage.rewrite_the_last_migration()?;
    let third = stage.ci_builds(Edition::Second).await?;
    stage.deploy().await?;
    rows(stage, &third, SEEDED).await?;
    let rebuilt = identity(stage).await?;
    ensure!(
        rebuilt.volume != made.volume,
        "it is the same volume: {made:?}"
    );
    ensure!(
        rebuilt.password == made.password,
        "the password should be the same"
    );
    tells(
        stage,
        number,
        &format!("`{file}` was applied with other content"),
    )?;
    stage.show_page();

    stage.act("Somebody asks for a fresh database, of the very same images");
    stage
        .type_into_the_database("insert into notes (text) values ('typed again')")
        .await?;
    stage.deploy_with_a_fresh_database().await?;
    rows(stage, &third, SEEDED).await?;
    let reset = identity(stage).await?;
    ensure!(
        reset.volume != rebuilt.volume,
        "it is the same volume: {rebuilt:?}"
    );
    tells(stage, number, "`--reset-database` asked for it")?;

    stage.act("The configuration names another image of the server, wrongly at first");
    let right = stage.name_a_database_image_that_is_missing();
    let (failure, _) = stage.deploy_in_vain().await?;
    ensure!(
        failure.class == FailureClass::Image,
        "it should be told that the image is missing: {failure}"
    );
    stage.name_the_database_image(right);
    stage.deploy().await?;
    rows(stage, &third, SEEDED).await?;

    stage.close()?;
    stage.cleanup().await?;
    stage.nothing_is_left_of_the_preview().await?;
    stage.github_is_content()
}

/// Looks at the page, which shows so many rows where there is a database to have any.
pub(super) async fn rows(stage: &Stage, built: &Built, wanted: usize) -> anyhow::Result<()> {
    let sight = stage.look_at_preview(&built.test_merge).await?;
    let real = stage.ground.world().is_none();
    ensure!(
        !real || sight.rows == wanted,
        "the page should show {wanted} rows: {sight}"
    );
    Ok(())
}

/// The preview's identity once the volume of the database before is gone too.
pub(super) async fn identity(stage: &Stage) -> anyhow::Result<Identity> {
    until(Instant::now() + VOLUME_GONE, async || {
        let identity = stage.identity().await;
        Ok(identity.map_err(|error| format!("{error:#}")))
    })
    .await
}

pub(super) fn tells(stage: &Stage, number: u64, text: &str) -> anyhow::Result<()> {
    let page = stage.repository.page(number);
    ensure!(
        page.contains(text),
        "the pull request should tell {text:?}:\n{page}"
    );
    Ok(())
}
