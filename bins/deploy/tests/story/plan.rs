//! What a plan says, with a cluster and without; and that it changes nothing.

use std::fs;

use sandbox::Fault;
use serde_json::{Value, json};

use crate::DEPLOY;
use crate::shop::{Ran, Shop};

async fn run(shop: &Shop, number: u64, more: &[&str], variables: &[(&str, String)]) -> Ran {
    let (head, pr) = (shop.repository.head_of(number), number.to_string());
    let arguments = [more, &["--pr", &pr, "--sha", &head]].concat();
    shop.run(DEPLOY, &arguments, variables).await
}

/// The lines of objects and remarks.
fn told(ran: &Ran) -> String {
    let marks = [
        "created",
        "changed",
        "unchanged",
        "recreated",
        "deleted",
        "applied",
        "note:",
    ];
    let lines = ran.stdout.lines();
    let lines = lines.filter(|line| marks.iter().any(|mark| line.starts_with(mark)));
    lines.collect::<Vec<_>>().join("\n")
}

/// Everything in the preview's namespace, and the Namespace, with their versions.
fn everything(shop: &Shop) -> Vec<Value> {
    let cluster = &shop.world.cluster;
    let namespace = cluster.object("Namespace", "", "preview-pr-7");
    let contents = cluster.contents("preview-pr-7").into_iter();
    let objects = contents.filter_map(|object| {
        let (kind, name) = object.split_once('/')?;
        cluster.object(kind, "preview-pr-7", name)
    });
    objects.chain(namespace).collect()
}

/// The requests that could have changed something.
fn writes(shop: &Shop) -> Vec<String> {
    let github = shop.world.github.traffic().exchanges();
    let cluster = shop.world.cluster.traffic().exchanges();
    let all = github.into_iter().chain(cluster);
    let writes =
        all.filter(|exchange| exchange.method != "GET" && !exchange.target.contains("dryRun=All"));
    writes
        .map(|exchange| format!("{} {}", exchange.method, exchange.target))
        .collect()
}

fn forget(shop: &Shop) {
    shop.world.github.traffic().forget();
    shop.world.cluster.traffic().forget();
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_deploy_everything_would_be_created() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let ran = run(&shop, number, &["plan"], &[]).await.exits(0);
    insta::assert_snapshot!(told(&ran), @r"
    note: Namespace/preview-pr-7 does not exist yet, so everything would be created; the cluster can only be asked about each object once it does
    created    ResourceQuota/preview
    created    LimitRange/preview
    created    NetworkPolicy/allow-dns
    created    NetworkPolicy/allow-ingress-controller
    created    NetworkPolicy/allow-internet
    created    NetworkPolicy/allow-same-namespace
    created    NetworkPolicy/deny-all
    created    ServiceAccount/default
    created    ServiceAccount/preview
    created    ConfigMap/app-config
    created    Secret/app-secret
    created    Service/api
    created    Service/database
    created    Service/web
    created    StatefulSet/database
    created    Deployment/api
    created    Deployment/web
    created    Job/api-migrate-…
    created    Job/api-seed-…
    created    Ingress/web
    ");
    assert_eq!(writes(&shop), Vec::<String>::new());
    assert!(everything(&shop).is_empty());
    let first = json!({ "object": "ConfigMap/app-config", "change": "created" });
    let plan = ran.result["plan"].as_array().unwrap();
    assert!(plan.contains(&first), "{plan:#?}");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_told_field_by_field_and_nothing_is_written() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    run(&shop, number, &[], &[]).await.exits(0);
    let ran = run(&shop, number, &["plan"], &[]).await.exits(0);
    assert!(
        told(&ran).lines().all(|line| line.starts_with("unchanged")),
        "{}",
        told(&ran)
    );

    shop.repository
        .push(number, &[("web/cart.html", "another cart")]);
    shop.build(number);
    let left = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "left-over",
            "namespace": "preview-pr-7",
            "labels": shop.world.cluster.object("ConfigMap", "preview-pr-7", "app-config").unwrap()["metadata"]["labels"],
        },
    });
    shop.world.cluster.create("an older run", left).unwrap();
    let before = everything(&shop);
    forget(&shop);
    let ran = run(&shop, number, &["plan"], &[]).await.exits(0);
    insta::assert_snapshot!(shop.without_hashes(&told(&ran)), @r"
    unchanged  ResourceQuota/preview
    unchanged  LimitRange/preview
    unchanged  NetworkPolicy/allow-dns
    unchanged  NetworkPolicy/allow-ingress-controller
    unchanged  NetworkPolicy/allow-internet
    unchanged  NetworkPolicy/allow-same-namespace
    unchanged  NetworkPolicy/deny-all
    unchanged  ServiceAccount/default
    unchanged  ServiceAccount/preview
    changed    ConfigMap/app-config: data.COMMIT
    unchanged  Secret/app-secret
    unchanged  Service/api
    unchanged  Service/database
    unchanged  Service/web
    unchanged  StatefulSet/database
    changed    Deployment/api: spec.template.metadata.annotations[preview-environments/configuration], spec.template.spec.containers[api].image
    changed    Deployment/web: spec.template.metadata.annotations[preview-environments/configuration], spec.template.spec.containers[web].image
    created    Job/api-migrate-[x]
    unchanged  Ingress/web
    deleted    ConfigMap/left-over
    deleted    Job/api-migrate-[x]
    ");
    let table = ran.summary.split("### Plan").nth(1).unwrap_or_default();
    assert!(
        table.contains("| deleted | `ConfigMap/left-over` |  |"),
        "{}",
        ran.summary
    );
    assert_eq!(writes(&shop), Vec::<String>::new());
    assert_eq!(everything(&shop), before);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_would_not_be_kept_is_told() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    run(&shop, number, &[], &[]).await.exits(0);
    let before = everything(&shop);
    let ran = run(&shop, number, &["--reset-database", "plan"], &[])
        .await
        .exits(0);
    let told = told(&ran);
    let other = told.lines().filter(|line| !line.starts_with("unchanged"));
    let other = other.collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(shop.without_hashes(&other), @r"
    note: the database would be made afresh, and what is in it be gone: `--reset-database` asked for it
    recreated  PersistentVolumeClaim/data-database-0
    recreated  StatefulSet/database
    created    Job/api-migrate-…
    created    Job/api-seed-…
    deleted    Job/api-migrate-[x]
    deleted    Job/api-seed-[x]
    ");
    assert_eq!(everything(&shop), before);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_cluster_would_refuse_is_refused_by_the_plan() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let file = shop.path("rendered.yaml");
    let rendered = |app: &str| {
        let host = shop.world.registry.host();
        let deployment = |name: &str| {
            json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": { "name": name },
                "spec": {
                    "selector": { "matchLabels": { "app": format!("{app}-{name}") } },
                    "template": {
                        "metadata": { "labels": { "app": format!("{app}-{name}") } },
                        "spec": { "containers": [
                            { "name": name, "image": format!("{host}/acme/{name}") },
                        ] },
                    },
                },
            })
        };
        let documents = ["web", "api"].map(|name| deployment(name).to_string());
        fs::write(&file, documents.join("\n---\n")).unwrap();
    };
    let manifests = ["--manifests", file.to_str().unwrap()];
    rendered("shop");
    run(&shop, number, &manifests, &[]).await.exits(0);
    rendered("store");
    let plan = [&["plan"], manifests.as_slice()].concat();
    let ran = run(&shop, number, &plan, &[]).await.exits(1);
    insta::assert_snapshot!(ran.stderr, @r#"
    error: dry-run Deployment/web in preview-pr-7: the cluster refuses it (422): Deployment.apps "web" is invalid: spec.selector: Invalid value: {"matchLabels":{"app":"store-web"}}: field is immutable; correct the manifest
    error: dry-run Deployment/api in preview-pr-7: the cluster refuses it (422): Deployment.apps "api" is invalid: spec.selector: Invalid value: {"matchLabels":{"app":"store-api"}}: field is immutable; correct the manifest
    "#);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_cluster_what_is_known_stands() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let missing = shop.path("none").display().to_string();
    let nowhere = [("KUBECONFIG", missing)];
    let ran = run(&shop, number, &["plan"], &nowhere).await.exits(0);
    insta::assert_snapshot!(told(&ran), @r"
    note: what this changes on the cluster is not known: connect to the cluster: @JOB@/none: No such file or directory (os error 2); set KUBECONFIG to a file that names a cluster and an account
    applied    ResourceQuota/preview
    applied    LimitRange/preview
    applied    NetworkPolicy/allow-dns
    applied    NetworkPolicy/allow-ingress-controller
    applied    NetworkPolicy/allow-internet
    applied    NetworkPolicy/allow-same-namespace
    applied    NetworkPolicy/deny-all
    applied    ServiceAccount/default
    applied    ServiceAccount/preview
    applied    ConfigMap/app-config
    applied    Secret/app-secret
    applied    Service/api
    applied    Service/database
    applied    Service/web
    applied    StatefulSet/database
    applied    Deployment/api
    applied    Deployment/web
    applied    Job/api-migrate-…
    applied    Job/api-seed-…
    applied    Ingress/web
    ");
    run(&shop, number, &[], &nowhere).await.exits(2);

    let status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": "Forbidden",
        "code": 403,
        "message": "namespaces \"preview-pr-7\" is forbidden: User \"reader\" cannot get resource \"namespaces\"",
    });
    let forbidden = Fault::Answer {
        status: 403,
        headers: Vec::new(),
        body: status.to_string(),
    };
    let traffic = shop.world.cluster.traffic();
    traffic.plan("GET", "/namespaces/preview-pr-7", 1, forbidden);
    let ran = run(&shop, number, &["plan"], &[]).await.exits(0);
    insta::assert_snapshot!(ran.result["notes"][0].as_str().unwrap(), @r#"what this changes on the cluster is not known: read Namespace/preview-pr-7: the cluster forbids it: namespaces "preview-pr-7" is forbidden: User "reader" cannot get resource "namespaces"; grant the account of KUBECONFIG this right, or use another account"#);
    assert!(told(&ran).contains("applied    Deployment/web"));
    shop.close();
}
