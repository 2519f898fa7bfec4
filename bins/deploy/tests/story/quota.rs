//! A preview and its quota.

use std::fs;

use crate::DEPLOY;
use crate::shop::{Ran, Shop};

/// A page with a sidecar, as a workflow renders it.
const WITH_A_SIDECAR: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      initContainers:
      - { name: proxy, image: "REGISTRY/acme/proxy:1", restartPolicy: Always, resources: { limits: { cpu: 2 }, requests: { cpu: 10m } } }
      containers:
      - { name: web, image: REGISTRY/acme/web }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: api }
spec:
  selector: { matchLabels: { app: api } }
  template:
    metadata: { labels: { app: api } }
    spec: { containers: [{ name: api, image: REGISTRY/acme/api }] }
"#;

/// So many millicores of limits in all; the shop needs 2000 when everything is up.
fn allow(shop: &Shop, millicores: u32) {
    shop.configure(&format!(
        "quota = {{ limits = {{ cpu = \"{millicores}m\" }} }}"
    ));
}

async fn deploy(shop: &Shop, number: u64, more: &[&str]) -> Ran {
    let (head, pr) = (shop.repository.head_of(number), number.to_string());
    let arguments = [&["--pr", &pr, "--sha", &head], more].concat();
    shop.run(DEPLOY, &arguments, &[]).await
}

fn notes(shop: &Shop, number: u64) -> String {
    let comment = shop.comment(number);
    let notes = comment
        .lines()
        .filter(|line| line.starts_with("- The quota"));
    notes.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_fit_is_refused_before_anything_is_applied() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    allow(&shop, 1999);
    let plan = deploy(&shop, number, &["plan"]).await.exits(1);
    insta::assert_snapshot!(plan.stdout, @r"
                          limits.cpu
    StatefulSet/database        500m
    Deployment/web × 2             1
    Deployment/api              500m
    together                       2
    allowed                    1999m
    ");
    assert_eq!(shop.repository.comments(number), []);

    let ran = deploy(&shop, number, &[]).await.exits(1);
    assert_eq!(plan.stderr, ran.stderr);
    insta::assert_snapshot!(ran.error(), @"error: the preview does not fit its quota: when everything is up it needs limits.cpu 2, and 1999m is allowed; give its objects less, or raise [quota] in preview.toml");
    insta::assert_snapshot!(shop.comment(number), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ⛔ Refused
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    - the preview does not fit its quota: when everything is up it needs limits.cpu 2, and 1999m is allowed; give its objects less, or raise \[quota\] in preview.toml

    | | limits.cpu |
    |---|---:|
    | `StatefulSet/database` | 500m |
    | `Deployment/web` × 2 | 1 |
    | `Deployment/api` | 500m |
    | **Together** | **2** |
    | **Allowed** | **1999m** |

    [The run and its log](https://github.com/acme/shop/actions/runs/101/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Nothing is deployed

    </details>
    ");
    assert!(
        ran.summary.contains("| **Together** | **2** |"),
        "{}",
        ran.summary
    );
    let namespace = shop.world.cluster.object("Namespace", "", "preview-pr-7");
    assert_eq!(namespace, None, "nothing is done for it");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sidecar_too_much_is_refused_and_everything_else_of_it_would_fit() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let text = WITH_A_SIDECAR.replace("REGISTRY", &shop.world.registry.host());
    let file = shop.path("rendered.yaml");
    fs::write(&file, &text).unwrap();
    let file = file.to_str().unwrap().to_owned();
    let ran = deploy(&shop, number, &["--manifests", &file])
        .await
        .exits(1);
    insta::assert_snapshot!(ran.error(), @"error: the preview does not fit its quota: when everything is up it needs limits.cpu 6, and 4 is allowed; give its objects less, or raise [quota] in preview.toml");
    let lighter = text.replace("cpu: 2", "cpu: 500m");
    fs::write(&file, lighter).unwrap();
    deploy(&shop, number, &["plan", "--manifests", &file])
        .await
        .exits(0);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_at_ninety_percent_of_the_quota_succeeds() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    // Neither a pod more nor a migration has room beside what runs.
    allow(&shop, 2222);
    deploy(&shop, number, &[]).await.exits(0);
    insta::assert_snapshot!(notes(&shop, number), @"- The quota has no room for one more pod, so an update stops each pod before its successor starts; meanwhile fewer of them answer, or none.");
    let ran = deploy(&shop, number, &[]).await.exits(0);
    let changes = ran.steps();
    let applied = changes.lines().filter(|line| line.contains(" apply "));
    let applied: Vec<&str> = applied.collect();
    assert!(
        applied.iter().all(|line| line.starts_with('=')) && !applied.is_empty(),
        "the same again changes nothing: {changes}"
    );
    assert!(!changes.contains("stop "), "{changes}");

    shop.repository
        .push(number, &[("web/cart.html", "another cart")]);
    shop.build(number);
    let ran = deploy(&shop, number, &[]).await.exits(0);
    assert!(
        ran.steps()
            .contains("✓ stop Deployment/api, Deployment/web"),
        "{}",
        ran.steps()
    );
    insta::assert_snapshot!(notes(&shop, number), @r"
    - The quota has no room for two versions side by side, so the previous one was stopped first.
    - The quota has no room for one more pod, so an update stops each pod before its successor starts; meanwhile fewer of them answer, or none.
    ");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_room_for_a_migration_alone_what_runs_serves_meanwhile() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    allow(&shop, 2500);
    deploy(&shop, number, &[]).await.exits(0);
    shop.repository
        .push(number, &[("web/cart.html", "another cart")]);
    shop.build(number);
    let ran = deploy(&shop, number, &[]).await.exits(0);
    assert!(!ran.steps().contains("stop "), "{}", ran.steps());
    let strategy = |name| {
        let deployment = shop
            .world
            .cluster
            .object("Deployment", "preview-pr-7", name);
        deployment.unwrap()["spec"]["strategy"]["rollingUpdate"].to_string()
    };
    for name in ["web", "api"] {
        assert_eq!(strategy(name), r#"{"maxSurge":0,"maxUnavailable":1}"#);
    }
    shop.close();
}
