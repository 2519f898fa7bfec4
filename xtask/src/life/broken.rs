//! Previews that cannot come up, and what `preview-deploy` says of them: what, where and why, long before its deadline.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use preview_core::health::{Failure, FailureClass};

use super::{ground::CRASH, stage::Stage};
use crate::images::Edition;

/// The deadline is five minutes. A crash is certain after some restarts, between which the kubelet waits longer each
/// time.
const LONG_BEFORE: Duration = Duration::from_secs(120);

/// The configuration names an image that is not there.
///
/// # Errors
/// When that is not told as it should be.
pub(crate) async fn an_image_is_missing(stage: &mut Stage) -> anyhow::Result<()> {
    told(stage, "an image is missing", async |stage| {
        stage.ci_builds(Edition::First).await?;
        stage.misspell_the_databases_tag();
        let (failure, took) = stage.deploy_in_vain().await?;
        names_its_pod(&failure, FailureClass::Image, took)?;
        ensure!(
            failure.message.contains("1-misspelt") && failure.message.contains("not found"),
            "the cause should be told: {failure}"
        );
        Ok(failure)
    })
    .await
}

/// The page ends whenever it is started.
///
/// # Errors
/// When that is not told as it should be.
pub(crate) async fn a_container_crashes(stage: &mut Stage) -> anyhow::Result<()> {
    told(stage, "a container crashes", async |stage| {
        let built = stage.ci_builds(Edition::First).await?;
        stage.publish_postgres().await?;
        stage.ci_builds_a_crashing_page(&built).await?;
        let (failure, took) = stage.deploy_in_vain().await?;
        names_its_pod(&failure, FailureClass::Crash, took)?;
        ensure!(
            failure.container.as_deref() == Some("web") && failure.log.iter().any(|l| l == CRASH),
            "the container and its last words should be told: {failure:?}"
        );
        Ok(failure)
    })
    .await
}

/// Opens a pull request, plays what goes wrong, and closes it; its page tells what went wrong, and nothing of the
/// preview is left.
async fn told(
    stage: &mut Stage,
    what: &str,
    wrong: impl AsyncFnOnce(&mut Stage) -> anyhow::Result<Failure>,
) -> anyhow::Result<()> {
    let played = async {
        stage.act(what);
        let number = stage.open_pull_request();
        let failure = wrong(stage).await?;
        stage.show_page();
        let page = stage.repository.page(number);
        let pod = failure.pod.as_deref().unwrap_or_default();
        ensure!(
            page.contains(pod),
            "the pull request's page does not name {pod}:\n{page}"
        );
        stage.close()?;
        stage.cleanup().await?;
        stage.nothing_is_left_of_the_preview().await?;
        stage.github_is_content()
    };
    let played = played.await.with_context(|| format!("where {what}"));
    let cleared = stage.clear().await.context("clear the stage");
    played.and(cleared)
}

fn names_its_pod(failure: &Failure, class: FailureClass, took: Duration) -> anyhow::Result<()> {
    ensure!(
        failure.class == class,
        "it should be told that {class}: {failure}"
    );
    ensure!(failure.pod.is_some(), "the pod should be named: {failure}");
    ensure!(took < LONG_BEFORE, "it took {took:?} to tell: {failure}");
    Ok(())
}
