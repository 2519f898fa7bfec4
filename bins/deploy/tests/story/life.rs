//! A preview's life, as far as deploying goes.

use std::time::Duration;

use sandbox::cluster::Behaviour;
use serde_json::Value;

use crate::DEPLOY;
use crate::shop::{Shop, soon};

/// The images that the pods of a component run.
fn images(shop: &Shop, component: &str) -> Vec<String> {
    let deployment = shop
        .world
        .cluster
        .object("Deployment", "preview-pr-7", component);
    let deployment = deployment.unwrap_or_default();
    let containers = deployment["spec"]["template"]["spec"]["containers"]
        .as_array()
        .cloned();
    let containers = containers.unwrap_or_default();
    containers
        .iter()
        .map(|c| c["image"].as_str().unwrap().to_owned())
        .collect()
}

fn password(shop: &Shop) -> Value {
    let secret = shop
        .world
        .cluster
        .object("Secret", "preview-pr-7", "app-secret")
        .unwrap();
    secret["data"]["DATABASE_PASSWORD"].clone()
}

fn annotation(shop: &Shop, namespace: &str, key: &str) -> String {
    let namespace = shop
        .world
        .cluster
        .object("Namespace", "", namespace)
        .unwrap();
    let value = &namespace["metadata"]["annotations"][format!("preview-environments/{key}")];
    value.as_str().unwrap_or_default().to_owned()
}

/// Environment and states of every deployment, oldest first.
fn deployments(shop: &Shop) -> String {
    let all = shop.repository.deployments().into_iter().map(|deployment| {
        let kind = deployment.payload["kind"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        format!(
            "{} {kind}: {}",
            deployment.environment,
            deployment.states.join(", ")
        )
    });
    all.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_gets_a_preview() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let payload = shop.repository.workflow_run_payload(number);
    let ran = shop.on(DEPLOY, "workflow_run", &payload).await.exits(0);
    insta::assert_snapshot!(shop.comment(number), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ✅ Ready
    **URL**: https://7.pr.example.com
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-7`
    - Database: Ready
    - Web: Ready (2/2 replicas)
    - API: Ready (1/1 replicas)

    </details>
    ");
    insta::assert_snapshot!(shop.without_hashes(&ran.steps()), @r"
    ✓ create Namespace/preview-pr-7
    ✓ create deployment
    ✓ comment on #7: ⏳ Deploying — claiming a slot
    ✓ claiming slot of preview-pr-7
    ✓ held slot of preview-pr-7
    ✓ apply ResourceQuota/preview, LimitRange/preview, ConfigMap/app-config, NetworkPolicy/deny-all, NetworkPolicy/allow-same-namespace, NetworkPolicy/allow-dns, NetworkPolicy/allow-ingress-controller, NetworkPolicy/allow-internet, ServiceAccount/preview, ServiceAccount/default, Secret/app-secret
    ✓ apply StatefulSet/database, Service/database
    ✓ await StatefulSet/database
    ✓ apply ConfigMap/database-state
    ✓ comment on #7: ⏳ Deploying — migrating the database
    ✓ apply Job/api-migrate-[x]
    ✓ await Job/api-migrate-[x]
    ✓ apply ConfigMap/database-state
    ✓ apply Job/api-seed-[x]
    ✓ await Job/api-seed-[x]
    ✓ apply ConfigMap/database-state
    ✓ comment on #7: ⏳ Deploying — rolling out
    ✓ apply Deployment/web, Service/web, Deployment/api, Service/api
    ✓ await Deployment/web, Deployment/api
    ✓ apply Ingress/web
    = prune preview-pr-7
    ✓ record test of pr-7
    ✓ label #7
    ✓ comment on #7: ✅ Ready
    ");
    insta::assert_snapshot!(shop.contents("preview-pr-7"), @r"
    ConfigMap/app-config
    ConfigMap/database-state
    LimitRange/preview
    PersistentVolumeClaim/data-database-0
    ResourceQuota/preview
    Secret/app-secret
    Service/api
    Service/database
    Service/web
    ServiceAccount/preview
    Deployment/api
    Deployment/web
    StatefulSet/database
    Job/api-migrate-[x]
    Job/api-seed-[x]
    Ingress/web
    NetworkPolicy/allow-dns
    NetworkPolicy/allow-ingress-controller
    NetworkPolicy/allow-internet
    NetworkPolicy/allow-same-namespace
    NetworkPolicy/deny-all
    ");
    insta::assert_snapshot!(deployments(&shop), @r"
    preview preview-environments/progress: in_progress, success
    preview preview-environments/record: success
    ");
    assert_eq!(annotation(&shop, "preview-pr-7", "claim"), "held");
    assert_eq!(annotation(&shop, "preview-pr-7", "phase"), "ready");
    let by = annotation(&shop, "preview-pr-7", "fence");
    assert!(!by.is_empty());
    assert_eq!(annotation(&shop, "preview-pr-7", "completed"), by);
    let statuses = shop.repository.statuses(&shop.repository.head_of(number));
    assert_eq!(
        (statuses[0].context.as_str(), statuses[0].state.as_str()),
        ("preview", "success")
    );
    assert_eq!(shop.repository.labels(number).len(), 2);
    assert_eq!(ran.output("url"), "https://7.pr.example.com");
    assert_eq!(ran.output("namespace"), "preview-pr-7");
    assert!(
        images(&shop, "web")[0].ends_with(&ran.output("digest-web")),
        "{ran:#?}"
    );
    assert!(
        ran.summary
            .starts_with("## ✅ preview-deploy pr-7: deployed\n"),
        "{}",
        ran.summary
    );
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_commit_updates_in_place_and_keeps_the_database() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let payload = shop.repository.workflow_run_payload(number);
    shop.on(DEPLOY, "workflow_run", &payload).await.exits(0);
    let (before, password_before) = (images(&shop, "web"), password(&shop));
    let uid = shop
        .world
        .cluster
        .object("Namespace", "", "preview-pr-7")
        .unwrap()["metadata"]["uid"]
        .clone();

    shop.repository
        .push(number, &[("web/cart.html", "a better cart")]);
    shop.build(number);
    let payload = shop.repository.workflow_run_payload(number);
    let ran = shop.on(DEPLOY, "workflow_run", &payload).await.exits(0);
    assert_ne!(images(&shop, "web"), before);
    assert_eq!(password(&shop), password_before);
    let now = shop
        .world
        .cluster
        .object("Namespace", "", "preview-pr-7")
        .unwrap();
    assert_eq!(now["metadata"]["uid"], uid);
    assert!(shop.comment(number).contains("**Commit**: [head]"));
    assert_eq!(shop.repository.labels(number).len(), 2);
    insta::assert_snapshot!(deployments(&shop), @r"
    preview preview-environments/progress: in_progress, success, inactive
    preview preview-environments/record: success, inactive
    preview preview-environments/progress: in_progress, success
    preview preview-environments/record: success
    ");

    // Once more: nothing is different.
    let again = shop.on(DEPLOY, "workflow_run", &payload).await.exits(0);
    let applied = |ran: &crate::shop::Ran| {
        ran.steps()
            .lines()
            .filter(|l| l.contains(" apply "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert!(
        applied(&again).iter().all(|line| line.starts_with('=')),
        "{again:#?}"
    );
    assert!(
        applied(&ran).iter().any(|line| line.starts_with('✓')),
        "{ran:#?}"
    );
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_is_closed_meanwhile_leaves_nothing() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    shop.world.cluster.behave("acme/web", Behaviour::NeverReady);
    let payload = shop.repository.workflow_run_payload(number);
    let deploy = shop.on(DEPLOY, "workflow_run", &payload);
    let close = async {
        soon("web is applied", || !images(&shop, "web").is_empty()).await;
        shop.repository.close(number);
        shop.world
            .cluster
            .behave("acme/web", Behaviour::Fine { log: vec![] });
    };
    let (ran, ()) = tokio::join!(deploy, close);
    insta::assert_snapshot!(ran.exits(0).verdict(), @"destroyed: pull request #7 was closed while it was deployed, so what was made is destroyed again");
    assert!(
        shop.world
            .cluster
            .object("Namespace", "", "preview-pr-7")
            .is_none()
    );
    assert_eq!(
        shop.world.cluster.names("PersistentVolume", ""),
        Vec::<String>::new()
    );
    assert!(
        shop.comment(number).contains("🗑️ Destroyed"),
        "{}",
        shop.comment(number)
    );
    insta::assert_snapshot!(deployments(&shop), @"preview preview-environments/progress: in_progress, inactive");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_moves_meanwhile_is_left_to_its_own_run() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let old = shop.repository.workflow_run_payload(number);
    shop.world.cluster.behave("acme/web", Behaviour::NeverReady);
    let deploy = shop.on(DEPLOY, "workflow_run", &old);
    let push = async {
        soon("web is applied", || !images(&shop, "web").is_empty()).await;
        shop.repository
            .push(number, &[("web/cart.html", "a better cart")]);
        shop.world
            .cluster
            .behave("acme/web", Behaviour::Fine { log: vec![] });
    };
    let (ran, ()) = tokio::join!(deploy, push);
    let ran = ran.exits(0);
    assert!(
        ran.verdict()
            .starts_with("superseded: pull request #7 has moved from"),
        "{ran:#?}"
    );
    let tested = |shop: &Shop| deployments(shop).contains("preview-environments/record");
    assert!(!tested(&shop), "{}", deployments(&shop));

    // And one that moved before.
    let late = shop.on(DEPLOY, "workflow_run", &old).await.exits(0);
    assert!(late.verdict().starts_with("superseded: "), "{late:#?}");
    assert_eq!(late.steps(), "");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_run_that_wakes_up_late_says_nothing() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let payload = shop.repository.workflow_run_payload(number);
    shop.on(DEPLOY, "workflow_run", &payload).await.exits(0);
    let said = shop.comment(number);
    let number_text = number.to_string();
    let head = shop.repository.head_of(number);
    let arguments = ["--pr", &number_text, "--sha", &head];
    let late = shop
        .run(DEPLOY, &arguments, &[("GITHUB_RUN_ID", "7".into())])
        .await
        .exits(0);
    insta::assert_snapshot!(late.verdict(), @"superseded: run 100.1 has taken the preview over");
    assert_eq!(shop.comment(number), said);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_crashes_is_told_with_its_pod_and_its_last_words() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let log = vec!["no config".to_owned(), "::error::giving up".to_owned()];
    shop.world
        .cluster
        .behave("acme/web", Behaviour::Crash { exit_code: 3, log });
    let payload = shop.repository.workflow_run_payload(number);
    let ran = shop.on(DEPLOY, "workflow_run", &payload).await.exits(3);
    insta::assert_snapshot!(shop.without_hashes(&ran.error()), @"error: Deployment/web: container crashes (pod web-[x]-[x], container web): ended with exit code 3 (Error); look at `kubectl -n preview-pr-7 logs web-[x]-[x] -c web --previous`");
    insta::assert_snapshot!(shop.without_hashes(&shop.comment(number)), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ❌ Failed — rolling out after [time]
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    **What failed**: container crashes — `Deployment/web`, pod `web-[x]-[x]`, container `web`
    **Message**: ended with exit code 3 (Error)
    **Who acts**: the author of this pull request
    **Next**: `kubectl -n preview-pr-7 logs web-[x]-[x] -c web --previous`

    The last lines it printed:

    ```text
    no config
    ::error::giving up
    ```

    [The run and its log](https://github.com/acme/shop/actions/runs/100/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-7`
    - Database: Ready
    - Web: Failed (0/2 replicas)
    - API: Ready (1/1 replicas)

    </details>
    ");
    insta::assert_snapshot!(deployments(&shop), @"preview preview-environments/progress: in_progress, failure");
    assert_eq!(ran.result["failure"]["class"], "crash");
    assert!(ran.took() < Duration::from_secs(60), "{ran:#?}");

    // In a job nothing that a container prints is a command.
    let job = [("GITHUB_ACTIONS", "true".to_owned())];
    let head = shop.repository.head_of(number);
    let ran = shop
        .run(DEPLOY, &["--pr", "7", "--sha", &head], &job)
        .await
        .exits(3);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let stop = lines
        .iter()
        .position(|line| line.starts_with("::stop-commands::"))
        .unwrap();
    let token = lines[stop].strip_prefix("::stop-commands::").unwrap();
    let end = lines
        .iter()
        .position(|line| *line == format!("::{token}::"))
        .unwrap();
    assert!(
        lines[stop..end]
            .iter()
            .any(|line| line.contains("giving up")),
        "{ran:#?}"
    );
    let commands = lines.iter().filter(|line| line.starts_with("::error"));
    assert_eq!(commands.count(), 1, "{ran:#?}");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_the_node_cannot_pull_is_told_with_its_pod() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let host = shop.world.registry.host();
    let toml = std::fs::read_to_string(shop.path("preview.toml")).unwrap();
    let toml = toml.replace(
        "[database]",
        &format!("[database]\nimage = \"{host}/acme/postgres:none\""),
    );
    std::fs::write(shop.path("preview.toml"), toml).unwrap();
    let payload = shop.repository.workflow_run_payload(number);
    let ran = shop.on(DEPLOY, "workflow_run", &payload).await.exits(3);
    // The kubelet's words depend on how often it has tried.
    let error = ran.error();
    for part in [
        "error: StatefulSet/database: image cannot be pulled (pod database-0, container database): ",
        "registry.test/acme/postgres:none: not found; look at `kubectl -n preview-pr-7 describe pod database-0`",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert!(ran.took() < Duration::from_secs(60), "{ran:#?}");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_cancelled_leaves_its_result_and_the_next_goes_on() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let payload = shop.repository.workflow_run_payload(number);
    shop.world.cluster.behave("acme/web", Behaviour::NeverReady);
    let deploy = shop.on(DEPLOY, "workflow_run", &payload);
    let cancel = async {
        soon("web is applied", || !images(&shop, "web").is_empty()).await;
        shop.cancel();
    };
    let (ran, ()) = tokio::join!(deploy, cancel);
    let ran = ran.exits(3);
    insta::assert_snapshot!(ran.error(), @"error: the run was told to stop; run it again, and it goes on where this one stopped");
    assert!(
        ran.result["effects"].as_array().unwrap().len() > 5,
        "{ran:#?}"
    );

    shop.world
        .cluster
        .behave("acme/web", Behaviour::Fine { log: vec![] });
    shop.on(DEPLOY, "workflow_run", &payload).await.exits(0);
    assert!(
        shop.comment(number).contains("✅ Ready"),
        "{}",
        shop.comment(number)
    );
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_fails_is_the_authors_to_mend() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let log = vec!["relation \"notes\" exists already".to_owned()];
    shop.world
        .cluster
        .behave("acme/api", Behaviour::Crash { exit_code: 1, log });
    let payload = shop.repository.workflow_run_payload(number);
    let ran = shop.on(DEPLOY, "workflow_run", &payload).await.exits(3);
    assert_eq!(ran.result["failure"]["class"], "migration");
    assert!(
        shop.comment(number)
            .contains("**Who acts**: the author of this pull request")
    );

    // The next commit mends it, and the Job that failed is in nobody's way.
    shop.world
        .cluster
        .behave("acme/api", Behaviour::Fine { log: vec![] });
    shop.repository
        .push(number, &[("api/main.rs", "better prices")]);
    shop.build(number);
    let payload = shop.repository.workflow_run_payload(number);
    shop.on(DEPLOY, "workflow_run", &payload).await.exits(0);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_would_be_and_writes_nothing() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let head = shop.repository.head_of(number);
    let ran = shop
        .run(DEPLOY, &["plan", "--pr", "7", "--sha", &head], &[])
        .await
        .exits(0);
    assert!(
        ran.verdict()
            .starts_with("planned: would deploy pull request #7 at "),
        "{ran:#?}"
    );
    assert_eq!(shop.repository.comments(number), []);
    assert_eq!(shop.repository.deployments(), []);
    assert!(
        shop.world
            .cluster
            .object("Namespace", "", "preview-pr-7")
            .is_none()
    );
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_the_record_is_unsigned_and_that_is_said() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let head = shop.repository.head_of(number);
    let no_key = [("PREVIEW_RECORD_KEY", String::new())];
    let ran = shop
        .run(DEPLOY, &["--pr", "7", "--sha", &head], &no_key)
        .await
        .exits(0);
    assert!(
        ran.stdout
            .contains("warning: PREVIEW_RECORD_KEY is not set"),
        "{ran:#?}"
    );
    let deployments = shop.repository.deployments();
    let record = deployments
        .iter()
        .find(|d| d.payload["kind"] == "preview-environments/record")
        .unwrap();
    assert!(record.payload.get("signature").is_none());
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_of_somebody_else_is_refused_by_name() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    shop.world.cluster.create_namespace("preview-pr-7").unwrap();
    let payload = shop.repository.workflow_run_payload(number);
    let ran = shop.on(DEPLOY, "workflow_run", &payload).await.exits(1);
    insta::assert_snapshot!(ran.error(), @r#"error: namespace preview-pr-7 is not ours: its label app.kubernetes.io/managed-by is missing, not "preview-environments"; rename that namespace, or choose another `namespace` template in preview.toml"#);
    assert_eq!(shop.contents("preview-pr-7"), "");
    shop.close();
}
