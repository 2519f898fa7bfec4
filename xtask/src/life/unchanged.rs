//! A pull request that leaves a component as it was: CI builds what it touches, and nobody builds the rest again.

use anyhow::ensure;

use super::stage::{Stage, deployed, short};
use crate::images::Edition;

/// One pull request is previewed whole and merged. Another touches the page alone: its preview, its record and
/// production run the API's image of the first.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) async fn the_page_alone_is_built(stage: &mut Stage) -> anyhow::Result<()> {
    let played = acts(stage).await;
    stage.cleared_after(played).await
}

async fn acts(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act("Production runs the default branch, and a pull request is previewed and merged");
    stage.furnish_production().await?;
    stage.open_pull_request();
    let whole = stage.ci_builds(Edition::First).await?;
    stage.deploy().await?;
    let merged = stage.merge()?;
    stage.cleanup().await?;

    stage.act("Another one touches the page alone, and CI builds the page alone");
    let number = stage.open_another_headline()?;
    let page = stage.ci_builds_the_page(Edition::Second).await?;
    let tested = stage.deploy().await?;
    for (component, built) in [("web", &page), ("api", &whole)] {
        let (wanted, found) = (&built.digests[component], deployed(&tested, component)?);
        ensure!(
            found == wanted,
            "{component} should be {wanted}, and it is {found}"
        );
    }
    let seen = stage.look_at_preview(&page.test_merge).await?;
    stage.show_page();
    let told = format!("with #7, which became {}", short(&merged));
    let shown = stage.repository.page(number);
    ensure!(
        shown.contains(&told),
        "the page does not say {told:?}:\n{shown}"
    );
    stage.the_record_keeps_both(&page, &whole, &merged)?;

    stage.act("It is merged, and production runs both as they were looked at");
    let merged = stage.merge()?;
    stage.promote(&merged).await?;
    stage.look_at_production(&seen.commit).await?;
    stage.production_runs(&tested).await?;
    stage.show_page();
    stage.cleanup().await?;
    stage.nothing_is_left_of_the_preview().await?;
    stage.github_is_content()
}
