//! Components that a pull request leaves as they were, and CI does not build.

use sandbox::github::MergeStyle;
use sandbox::registry::Image;
use serde_json::Value;

use crate::DEPLOY;
use crate::shop::{RECORD_KEY, Ran, Shop};

/// A shop whose configuration says what its components are built from.
async fn monorepo() -> Shop {
    let shop = Shop::open().await;
    let file = shop.path("preview.toml");
    let mut text = std::fs::read_to_string(&file).unwrap();
    for component in ["web", "api"] {
        let table = format!("[components.{component}]\n");
        let told = format!("{table}unchanged = [\"{component}/**\", \"shared/**\"]\n");
        text = text.replace(&table, &told);
    }
    std::fs::write(&file, text).unwrap();
    shop
}

async fn deploy(shop: &Shop, number: u64) -> Ran {
    let payload = shop.repository.workflow_run_payload(number);
    shop.on(DEPLOY, "workflow_run", &payload).await
}

/// #7, which touches `web`, was built whole, previewed and merged; gives the commit M.
async fn merged(shop: &Shop) -> String {
    let number = shop.open_pull_request();
    deploy(shop, number).await.exits(0);
    shop.repository.merge(number, MergeStyle::Squash)
}

/// #8, of which CI builds `api` alone.
fn builds_api(shop: &Shop, changes: &[(&str, &str)]) -> u64 {
    let number = shop.repository.open_pull_request("feature/prices", changes);
    build_api(shop, number);
    number
}

/// CI of a pull request that touches `api`: today's test merge.
fn build_api(shop: &Shop, number: u64) {
    let built_from = shop.repository.merge_commit_of(number).unwrap();
    let image = Image::of(&built_from).containing("cheaper");
    shop.publish("api", &shop.repository.head_of(number), &image);
}

/// The newest record.
fn record(shop: &Shop) -> Value {
    let deployments = shop.repository.deployments();
    let mut texts = deployments
        .iter()
        .filter_map(|deployment| deployment.payload["record"].as_str());
    serde_json::from_str(texts.next_back().unwrap()).unwrap()
}

/// The newest image of a component that CI pushed for a pull request.
fn digest(shop: &Shop, component: &str, number: u64) -> String {
    let tags = shop.world.registry.tags(&format!("acme/{component}"));
    tags[&shop.repository.head_of(number)].clone()
}

fn remarks(shop: &Shop, number: u64) -> String {
    let comment = shop.comment(number);
    let remarks = comment.lines().filter(|line| line.contains("as it was"));
    remarks.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_touched_runs_the_image_that_was_tested_with_its_own_b() {
    let shop = monorepo().await;
    let m = merged(&shop).await;
    let number = builds_api(&shop, &[("api/main.rs", "cheaper")]);
    let head = shop.repository.head_of(number);
    let plan = ["plan", "--pr", "8", "--sha", &head];
    let planned = shop.run(DEPLOY, &plan, &[]).await.exits(0);
    let told = planned.stdout.replace(&m[..7], "[M]");
    let unchanged = "web: not built again, as tested with #7, which became [M]";
    assert!(
        told.contains(unchanged) && !told.contains("api: not built"),
        "{told}"
    );

    deploy(&shop, number).await.exits(0);
    insta::assert_snapshot!(shop.comment(number).replace(&m[..7], "[M]"), @"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ✅ Ready
    **URL**: https://8.pr.example.com
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    - Web is as it was and was not built again: its image is the one that was tested with #7, which became [M].

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-8`
    - Database: Ready
    - Web: Ready (2/2 replicas)
    - API: Ready (1/1 replicas)

    </details>
    ");
    let record = record(&shop);
    let (web, api) = (&record["components"]["web"], &record["components"]["api"]);
    let image = web["image"].as_str().unwrap();
    assert!(image.ends_with(&digest(&shop, "web", 7)), "{record}");
    let merge_of = |number| shop.repository.merge_commit_of(number).unwrap();
    let tested = &shop.repository.deployments()[1].payload;
    assert_eq!(tested["kind"], "preview-environments/record");
    assert_eq!(
        (
            web["unchanged_since"].as_str(),
            api["unchanged_since"].as_str()
        ),
        (Some(m.as_str()), None)
    );
    assert_eq!(api["built_from"], merge_of(8));
    let of_seven: Value = serde_json::from_str(tested["record"].as_str().unwrap()).unwrap();
    assert_eq!(
        web["built_from"],
        of_seven["components"]["web"]["built_from"]
    );
    assert_eq!(record["tree"], shop.repository.tree(&merge_of(8)));
    assert_eq!(record["base"], m);

    let web = shop
        .world
        .cluster
        .object("Deployment", "preview-pr-8", "web")
        .unwrap();
    let runs = &web["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(runs, image);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_builds_nothing_shows_githubs_test_merge_and_so_may_the_next_one() {
    let shop = monorepo().await;
    merged(&shop).await;
    for (number, branch) in [(8, "docs/how"), (9, "docs/why")] {
        // Pushed past all pull requests, so never tested itself.
        shop.repository.push_to_base(&[("NEWS.md", branch)]);
        let opened = shop
            .repository
            .open_pull_request(branch, &[(branch, "to know")]);
        assert_eq!(opened, number);
        deploy(&shop, number).await.exits(0);
        let record = record(&shop);
        let shown = shop.repository.merge_commit_of(number).unwrap();
        assert_eq!(record["tree"], shop.repository.tree(&shown));
        for component in ["web", "api"] {
            let image = record["components"][component]["image"].as_str().unwrap();
            assert!(image.ends_with(&digest(&shop, component, 7)), "{record}");
        }
        shop.repository.merge(number, MergeStyle::Rebase);
    }
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ci_built_is_taken_whatever_was_tested_before() {
    let shop = monorepo().await;
    merged(&shop).await;
    let number = shop
        .repository
        .open_pull_request("feature/prices", &[("api/main.rs", "cheaper")]);
    shop.build(number);
    deploy(&shop, number).await.exits(0);
    assert_eq!(remarks(&shop, number), "");
    let image = record(&shop)["components"]["web"]["image"].clone();
    let image = image.as_str().unwrap();
    assert!(image.ends_with(&digest(&shop, "web", number)), "{image}");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_from_what_was_tested_must_have_been_built() {
    let shop = monorepo().await;
    let m = merged(&shop).await;
    let number = builds_api(&shop, &[("shared/money.rs", "rounded")]);
    deploy(&shop, number).await.exits(1);
    let plain = |text: String| {
        let text = text.replace(&m[..7], "[M]");
        text.replace(&shop.repository.merge_commit_of(8).unwrap(), "[B]")
    };
    insta::assert_snapshot!(plain(shop.comment(number)), @r#"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ⛔ Refused
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    - component web has no image: registry.test/acme/web has none of the tags [head] (the head), [B] (its test merge), and it has to be built, for "shared/money.rs" is not as it was in [M]; let CI push it under the tag of the head

    [The run and its log](https://github.com/acme/shop/actions/runs/101/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Nothing is deployed

    </details>
    "#);
    assert!(
        shop.world
            .cluster
            .object("Namespace", "", "preview-pr-8")
            .is_none()
    );

    // The pull request leaves it alone, and its base does not: nobody ever tested what that pushed.
    shop.repository.close(number);
    shop.repository
        .push_to_base(&[("web/cart.html", "sold out")]);
    let number = builds_api(&shop, &[("api/main.rs", "cheaper")]);
    let error = plain(deploy(&shop, number).await.exits(1).error());
    assert!(
        error.contains("it has to be built, for \"web/cart.html\" is not as it was in [M]"),
        "{error}"
    );
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_record_that_proves_something_is_taken() {
    let shop = monorepo().await;
    // Nobody merged #7: its image proves what its branch built, not what the base has.
    let seven = shop.open_pull_request();
    deploy(&shop, seven).await.exits(0);
    let number = builds_api(&shop, &[("api/main.rs", "cheaper")]);
    let error = deploy(&shop, number).await.exits(1).error();
    assert!(error.contains("for no preview tested its base"), "{error}");

    shop.repository.merge(seven, MergeStyle::Merge);
    build_api(&shop, number);
    let payload = shop.repository.workflow_run_payload(number);
    std::fs::write(shop.path("event.json"), payload.to_string()).unwrap();
    let event = |key: &str| {
        let file = shop.path("event.json").to_str().unwrap().to_owned();
        [
            ("GITHUB_EVENT_NAME", "workflow_run".to_owned()),
            ("GITHUB_EVENT_PATH", file),
            ("PREVIEW_RECORD_KEY", key.to_owned()),
        ]
    };
    let other = format!("another {RECORD_KEY}");
    let known = shop
        .run(DEPLOY, &["plan"], &event(RECORD_KEY))
        .await
        .exits(0);
    assert!(
        known.stdout.contains("web: not built again"),
        "{}",
        known.stdout
    );
    for (key, why) in [
        (other.as_str(), "signature is not ours"),
        ("", "without the key"),
    ] {
        let error = shop.run(DEPLOY, &[], &event(key)).await.exits(1).error();
        assert!(error.contains(why), "{error}");
    }
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_the_registry_lost_must_be_built_again() {
    let shop = monorepo().await;
    merged(&shop).await;
    assert!(
        shop.world
            .registry
            .remove_manifest("acme/web", &digest(&shop, "web", 7))
    );
    let number = builds_api(&shop, &[("api/main.rs", "cheaper")]);
    let error = deploy(&shop, number).await.exits(1).error();
    assert!(
        error.contains("it has to be built, for the registry lacks"),
        "{error}"
    );
    shop.close();
}
