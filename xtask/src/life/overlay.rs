//! A preview of the manifests that the repository has anyway.

use anyhow::ensure;

use super::stage::Stage;
use crate::images::Edition;

/// What the overlay has besides at first, and not any more later.
const MORE: &str = "---
apiVersion: v1
kind: ConfigMap
metadata: { name: more, namespace: \"${NAMESPACE}\" }
data: { number: \"${PR_NUMBER}\", script: \"for f in ${FILES}; do true; done\" }
---
apiVersion: v1
kind: Service
metadata: { name: more }
spec: { selector: { app.kubernetes.io/name: web }, ports: [{ name: http, port: 80, targetPort: http }] }
---
apiVersion: batch/v1
kind: CronJob
metadata: { name: more }
spec:
  schedule: \"0 3 * * *\"
  suspend: true
  jobTemplate: { spec: { template: { spec: { restartPolicy: Never, containers: [{ name: api, image: ghcr.io/acme/shop-api }] } } } }
";

/// The same, as the cluster names it.
const MORE_OBJECTS: [(&str, &str, &str); 3] = [
    ("v1", "ConfigMap", "more"),
    ("v1", "Service", "more"),
    ("batch/v1", "CronJob", "more"),
];

/// What leads out of a preview.
const OUT: &str = "---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: everything }
---
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: reader }
spec: { template: { spec: { volumes: [{ name: node, hostPath: { path: / } }] } } }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: settings, namespace: kube-system }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: www }
spec: { rules: [{ host: www.example.com }] }
";

/// What is said of it.
const REFUSALS: [&str; 4] = [
    "ClusterRole/everything: kind",
    "DaemonSet/reader: spec.template.spec.volumes[node].hostPath",
    "ConfigMap/settings: metadata.namespace",
    "Ingress/www: spec.rules[0].host",
];

/// A pull request is previewed from the example's overlay, updated, and meets an overlay that leads out.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) async fn manifests_of_the_repository(stage: &mut Stage) -> anyhow::Result<()> {
    let played = acts(stage).await;
    stage.cleared_after(played).await
}

async fn acts(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act("A pull request is previewed from the repository's own overlay");
    stage.the_overlay_is_as_it_is_kept().await?;
    stage.publish_postgres().await?;
    let number = stage.open_pull_request();
    let first = stage.ci_builds(Edition::First).await?;
    stage.uses_the_overlay_with(MORE);
    let deployed = stage.deploy().await?;
    stage.look_at_preview(&first.test_merge).await?;
    stage.is_pinned(&deployed, "web").await?;
    stage.the_preview_has(&MORE_OBJECTS, true).await?;
    let made = stage.identity().await?;
    says(stage, number, &["`${FILES}` in ConfigMap/more"])?;
    stage.show_page();

    stage.act("It changes a manifest, and the base branch's overlay has become smaller");
    stage.push_second_edition_with_a_manifest()?;
    let second = stage.ci_builds(Edition::Second).await?;
    stage.uses_the_overlay_with("");
    let deployed = stage.deploy().await?;
    stage.look_at_preview(&second.test_merge).await?;
    stage.is_pinned(&deployed, "api").await?;
    stage.the_preview_has(&MORE_OBJECTS, false).await?;
    ensure!(
        stage.identity().await? == made,
        "the preview should be the same one"
    );
    says(
        stage,
        number,
        &["changes in `deploy/base/web.yaml` is not in it"],
    )?;
    stage.show_page();

    stage.act(
        "An overlay that leads out of its preview is refused by name, and what runs is left alone",
    );
    stage.uses_the_overlay_with(OUT);
    let refused = stage.deploy_is_refused().await?.refusals;
    let told = |what: &&str| refused.iter().any(|refusal| refusal.contains(*what));
    ensure!(
        refused.len() == REFUSALS.len() && REFUSALS.iter().all(told),
        "each of {REFUSALS:?} should be refused: {refused:#?}"
    );
    says(
        stage,
        number,
        &["ClusterRole/everything", "hostPath", "kube-system"],
    )?;
    stage.look_at_preview(&second.test_merge).await?;
    stage.show_page();
    stage.close()?;
    stage.cleanup().await?;
    stage.nothing_is_left_of_the_preview().await?;
    stage.github_is_content()
}

fn says(stage: &Stage, number: u64, words: &[&str]) -> anyhow::Result<()> {
    let page = stage.repository.page(number);
    for word in words {
        ensure!(
            page.contains(word),
            "the page does not say {word:?}:\n{page}"
        );
    }
    Ok(())
}
