//! What runs in production, whoever put it there.

use crate::*;

/// A workload of `kind` that runs the component `web` in its container `web`.
fn workload(shop: &Shop, kind: &str, manager: &str, adopted: bool) {
    let labels = json!({ "app": "web" });
    let pod = json!({ "metadata": { "labels": labels }, "spec": {
        "restartPolicy": if kind == "CronJob" { "OnFailure" } else { "Always" },
        "initContainers": [{ "name": "prepare", "image": before("web") }],
        "containers": [{ "name": "web", "image": before("web") }, { "name": "proxy", "image": "envoy:1" }],
    } });
    let spec = match kind {
        "CronJob" => {
            json!({ "schedule": "0 4 * * *", "jobTemplate": { "spec": { "template": pod } } })
        }
        "StatefulSet" => {
            json!({ "serviceName": "web", "selector": { "matchLabels": labels }, "template": pod })
        }
        _ => json!({ "selector": { "matchLabels": labels }, "template": pod }),
    };
    let version = if kind == "CronJob" {
        "batch/v1"
    } else {
        "apps/v1"
    };
    let mut object = json!({ "apiVersion": version, "kind": kind,
        "metadata": { "name": "web", "namespace": "shop" }, "spec": spec });
    if adopted {
        object["metadata"]["annotations"] =
            json!({ "preview-environments/commit": shop.repository.head("main") });
    }
    shop.world.cluster.create(manager, object).unwrap();
}

/// `preview.toml` whose one target runs `web` in these workloads and containers.
fn aim(shop: &Shop, workloads: &[(&str, &str)]) {
    let entries = workloads.iter().map(|(workload, container)| {
        format!("{{ component = \"web\", workload = \"{workload}\", container = \"{container}\" }}")
    });
    let entries = entries.collect::<Vec<_>>().join(", ");
    target(shop, &format!("workloads = [{entries}]"));
}

/// Tested in a preview and merged, with production yet to be made.
async fn merged_only() -> (Shop, u64, String) {
    let shop = Shop::open().await;
    shop.world.cluster.create_namespace("shop").unwrap();
    let number = shop.open_pull_request();
    let record = record(&shop, number);
    keep(&shop, &record, signed(&record, RECORD_KEY)).await;
    let commit = shop.repository.merge(number, MergeStyle::Rebase);
    (shop, number, commit)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_workload_is_promoted_to_container_by_container() {
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "CronJob"] {
        let (shop, number, commit) = merged_only().await;
        workload(&shop, kind, "kubectl", true);
        let name = format!("{kind}/web");
        aim(&shop, &[(&name, "web"), (&name, "prepare")]);
        on_push(&shop, &commit).await.exits(0);
        let object = shop.world.cluster.object(kind, "shop", "web").unwrap();
        let spec = match kind {
            "CronJob" => &object["spec"]["jobTemplate"]["spec"]["template"]["spec"],
            _ => &object["spec"]["template"]["spec"],
        };
        let web = record(&shop, number).components[&"web".parse().unwrap()]
            .image
            .to_string();
        assert_eq!(spec["initContainers"][0]["image"], web, "{kind}");
        assert_eq!(spec["containers"][0]["image"], web, "{kind}");
        assert_eq!(spec["containers"][1]["image"], "envoy:1", "{kind}");
        shop.close();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_promotion_brought_there_is_replaced_only_where_somebody_says_so() {
    let (shop, number, commit) = merged_only().await;
    workload(&shop, "Deployment", "helm", false);
    aim(&shop, &[("Deployment/web", "web")]);
    let ran = on_push(&shop, &commit).await.exits(1);
    assert_eq!(ran.output("broken-links"), "Deployment/web: nothing lost");
    insta::assert_snapshot!(plain(&shop, number, &commit, &ran.error()), @"error: Deployment/web: nothing lost: Deployment/web in shop runs docker.io/acme/web@sha256:[hex], which no promotion brought there, so that nothing says whether [M] is newer; where it may be replaced, promote by hand once: `preview-promote --commit [M] --adopt`");
    let adopt = ["--commit", &commit, "--adopt"];
    shop.run(PROMOTE, &adopt, &[]).await.exits(0);
    let deployment = shop
        .world
        .cluster
        .object("Deployment", "shop", "web")
        .unwrap();
    let annotations = &deployment["metadata"]["annotations"];
    assert_eq!(annotations["preview-environments/commit"], commit);
    // From now on it goes by itself.
    let (_, next) = merged_another(&shop, "tea").await;
    on_push(&shop, &next).await.exits(0);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn staging_comes_before_production_and_keeps_from_it_what_does_not_run_there() {
    let (shop, number, commit) = merged().await;
    let toml = std::fs::read_to_string(shop.path("preview.toml")).unwrap();
    let staging = "[[promote.targets]]\nname = \"staging\"\nnamespace = \"shop-staging\"\n\n[[promote.targets]]";
    std::fs::write(
        shop.path("preview.toml"),
        toml.replace("[[promote.targets]]", staging),
    )
    .unwrap();
    shop.world.cluster.create_namespace("shop-staging").unwrap();
    let ran = on_push(&shop, &commit).await.exits(1);
    assert_eq!(
        ran.output("broken-links"),
        "Deployment/web: there, Deployment/api: there"
    );
    assert!(
        ran.stderr.contains("shop-staging has no Deployment/web"),
        "{ran:#?}"
    );
    assert_eq!(runs(&shop, "web"), before("web"));

    for component in ["web", "api"] {
        let mut object = shop
            .world
            .cluster
            .object("Deployment", "shop", component)
            .unwrap();
        object["metadata"] = json!({ "name": component, "namespace": "shop-staging",
            "annotations": object["metadata"]["annotations"] });
        object.as_object_mut().unwrap().remove("status");
        shop.world.cluster.create("kubectl", object).unwrap();
    }
    let ran = on_push(&shop, &commit).await.exits(0);
    assert_eq!(
        ran.verdict(),
        format!(
            "promoted: staging runs {0}; production runs {0}",
            &commit[..7]
        )
    );
    let mut environments: Vec<String> = shop
        .repository
        .deployments()
        .into_iter()
        .map(|it| it.environment)
        .filter(|it| it != "preview")
        .collect();
    environments.sort();
    assert_eq!(environments, ["production", "staging"]);
    assert!(shop.comment(number).contains("🚀 Promoted — production"));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_no_pull_request_is_believed_to_be_none_once_it_is_a_minute_old() {
    let shop = Shop::open().await;
    production(&shop);
    let commit = shop.repository.push_to_base(&[("web/x.html", "x")]);
    // GitHub takes a while to know which pull request a commit came from.
    assert!(
        shop.repository
            .backdate_commit(&commit, Duration::from_secs(58))
    );
    let ran = on_push(&shop, &commit).await.exits(1);
    assert!(ran.took() < Duration::from_secs(30), "{:?}", ran.took());
    assert!(
        ran.error().contains("it belongs to no merged pull request"),
        "{ran:#?}"
    );
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_github_learns_of_late_is_waited_for() {
    let (shop, _, commit) = merged().await;
    shop.repository.lag_commit_pulls(2);
    on_push(&shop, &commit).await.exits(0);
    shop.close();
}
