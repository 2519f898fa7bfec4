//! A preview is kept apart from others, and has of the outside what it needs: a certificate and images.

use std::mem;

use anyhow::ensure;
use preview_core::sweep::{Measure, count};

use super::{certificate::WILDCARD, kube::Place, repository::EXAMPLE, stage::Stage};
use crate::images::Edition;

/// What a refused run must not write to, by API, kind and name.
const UNTOUCHED: [(&str, &str, &str); 5] = [
    ("v1", "ConfigMap", "app-config"),
    ("v1", "Secret", "app-secret"),
    ("v1", "Service", "web"),
    ("v1", "ServiceAccount", "preview"),
    ("v1", "LimitRange", "preview"),
];

/// The certificate is missing, for other hosts, there, and renewed; images are pulled with a credential; and another
/// repository has a pull request of the same number.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) async fn a_preview_is_kept_apart(stage: &mut Stage) -> anyhow::Result<()> {
    let played = acts(stage).await;
    stage.cleared_after(played).await
}

async fn acts(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act("The certificate is missing, then for other hosts");
    stage.open_pull_request();
    let built = stage.ci_builds(Edition::First).await?;
    stage.publish_postgres().await?;
    stage.take_certificate_away().await?;
    is_refused(stage, "is not there").await?;
    stage.put_certificate("*.example.com").await?;
    is_refused(stage, "is for *.example.com, and not for").await?;
    stage.put_certificate(WILDCARD).await?;

    stage.act("Images are pulled with the preview's own credential");
    for component in ["web", "api"] {
        stage.ground.hide(component);
    }
    stage.pull_login = stage.ground.login();
    stage.deploy().await?;
    stage.look_at_preview(&built.test_merge).await?;
    all_pods_pull_with_it(stage).await?;
    stage.the_preview_has_the_certificate().await?;

    stage.act("The certificate is renewed");
    stage.put_certificate(WILDCARD).await?;
    stage.deploy().await?;
    stage.the_preview_has_the_certificate().await?;

    stage.act("Another repository has a pull request of the same number");
    another_repository_is_refused(stage).await?;

    stage.act("Nobody cleans up: a sweep does, and not before the pull request is closed");
    let nothing = stage.sweep().await?;
    ensure!(nothing.swept.is_empty(), "{:?}", nothing.swept);
    stage.close()?;
    let swept = stage.sweep().await?.swept;
    ensure!(count(&swept, Measure::Destroyed) == 1, "{swept:?}");
    stage.nothing_is_left_of_the_preview().await?;
    stage.github_is_content()
}

/// Checks that the preview is refused with these words, and that nothing was made.
async fn is_refused(stage: &mut Stage, said: &str) -> anyhow::Result<()> {
    let reason = stage.deploy_refused().await?;
    ensure!(reason.contains(said), "it should say {said:?}: {reason}");
    let page = stage.repository.page(stage.number()?);
    let told = page.contains("**Status**: ⛔ Refused") && page.contains("the certificate in");
    ensure!(told, "the page should say why it is refused: {page}");
    let place = Place {
        api: "v1",
        kind: "Namespace",
        namespace: None,
    };
    let made = stage.ground.kube.get(place, &stage.preview()?).await?;
    ensure!(
        made.is_none(),
        "a refused preview has a namespace: {made:?}"
    );
    Ok(())
}

/// Checks that every pod has the credential: the components' from their template, the others' from their account.
async fn all_pods_pull_with_it(stage: &Stage) -> anyhow::Result<()> {
    let namespace = stage.preview()?;
    let pods = stage.list("v1", "Pod", Some(&namespace)).await?;
    ensure!(!pods.is_empty(), "{namespace} has no pods");
    for pod in pods {
        let (name, secrets) = (&pod["metadata"]["name"], &pod["spec"]["imagePullSecrets"]);
        ensure!(
            secrets[0]["name"] == "image-pull",
            "the pod {name} is pulled with {secrets}"
        );
    }
    Ok(())
}

async fn another_repository_is_refused(stage: &mut Stage) -> anyhow::Result<()> {
    let before = versions(stage).await?;
    let other = stage.github.create_repository("acme/other", EXAMPLE);
    let first = mem::replace(&mut stage.repository, other);
    let number = stage.number()?;
    ensure!(
        stage.open_pull_request() == number,
        "the second repository's pull request has another number"
    );
    stage.ci_builds(Edition::First).await?;
    let reason = stage.deploy_refused().await?;
    let said = format!("namespace {} is not ours", stage.preview()?);
    ensure!(reason.contains(&said), "it should say {said:?}: {reason}");
    stage.repository = first;
    let after = versions(stage).await?;
    ensure!(before == after, "it was written to: {before:?}, {after:?}");
    Ok(())
}

/// The versions of what no controller writes to.
async fn versions(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let namespace = stage.preview()?;
    let version = |object: &serde_json::Value| object["metadata"]["resourceVersion"].to_string();
    let whole = stage.object("v1", "Namespace", None, &namespace).await?;
    let mut versions = vec![version(&whole)];
    for (api, kind, name) in UNTOUCHED {
        let object = stage.object(api, kind, Some(&namespace), name).await?;
        versions.push(version(&object));
    }
    Ok(versions)
}
