//! The life of a pull request, from its opening to the last trace of its preview.

use std::collections::BTreeMap;

use anyhow::ensure;
use preview_core::outcome::ResultFile;

use super::stage::{Built, Stage};
use crate::images::Edition;

/// Plays it. Whatever is not as it should be is an error that names the act, and the stage is cleared either way.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) async fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let played = acts(stage).await;
    stage.cleared_after(played).await
}

async fn acts(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act("Production runs the default branch, since long before");
    stage.furnish_production().await?;
    let base = stage.repository.head("main");
    stage.look_at_production(&base).await?;

    stage.act("A pull request is opened, and CI builds its test merge");
    stage.open_pull_request();
    let first = stage.ci_builds(Edition::First).await?;
    stage.show_page();

    stage.act("preview-deploy ask shows what would run, and waits for somebody's approval");
    deploys(&stage.ask().await?, &first)?;
    stage.show_page();

    stage.act("It is approved, and preview-deploy makes the preview");
    deploys(&stage.approved().await?, &first)?;
    stage.look_at_preview(&first.test_merge).await?;
    let made = stage.identity().await?;
    stage.show_page();

    stage.act("A second commit is pushed, and CI builds it");
    stage.push_second_edition()?;
    let second = stage.ci_builds(Edition::Second).await?;
    stage.show_page();

    stage.act("The new head needs an approval of its own");
    deploys(&stage.ask().await?, &second)?;
    stage.show_page();

    stage.act("It is approved, and preview-deploy updates the preview in place");
    let tested = stage.approved().await?;
    deploys(&tested, &second)?;
    let seen = stage.look_at_preview(&second.test_merge).await?;
    let updated = stage.identity().await?;
    ensure!(
        updated == made,
        "the preview should be the same one: {made:?}, and it is {updated:?}"
    );
    stage.show_page();

    stage.act("The pull request is merged");
    let merged = stage.merge()?;
    let commits = [&second.head, &second.test_merge, &merged];
    ensure!(
        commits[0] != commits[1] && commits[1] != commits[2] && commits[0] != commits[2],
        "H, B and M are three commits: {commits:?}"
    );
    stage.show_page();

    stage.act("preview-promote brings what was looked at to production");
    stage.promote(&merged).await?;
    stage.look_at_production(&seen.commit).await?;
    stage.production_runs(&tested).await?;
    stage.show_page();

    stage.act("preview-cleanup destroys the preview");
    stage.the_preview_can_be_seen().await?;
    stage.cleanup().await?;
    stage.nothing_is_left_of_the_preview().await?;
    stage.show_page();
    stage.github_is_content()
}

/// Checks that what CI built is what was deployed.
fn deploys(result: &ResultFile, built: &Built) -> anyhow::Result<()> {
    let images = result.images.iter();
    let digests: BTreeMap<String, String> = images
        .map(|(component, image)| (component.to_string(), image.digest.to_string()))
        .collect();
    ensure!(
        digests == built.digests,
        "CI built {:?}, and {digests:?} was deployed",
        built.digests
    );
    Ok(())
}
