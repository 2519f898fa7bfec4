//! Stories of `preview-promote`, the built program against the sandbox.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attestation;
mod back;
mod enterprise;
mod errands;
mod evidence;
mod killed;
mod plan;
mod promotable;
#[path = "../../../../crates/alerts/tests/wire/receivers.rs"]
mod receivers;
#[path = "../../../deploy/tests/story/shop.rs"]
mod shop;
mod side_by_side;
mod targets;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use preview_core::deployments::{ENVIRONMENT, RECORD};
use preview_core::names::{ComponentName, RepositoryId};
use preview_core::record::{BuiltBy, Record, RecordKey, Recorded, VERSION};
use preview_github::{DeploymentRequest, GitHub, Settings};
use sandbox::Fault;
use sandbox::cluster::Behaviour;
use sandbox::github::{ACTIONS_TOKEN, MergeStyle};
use serde_json::{Value, json};

use shop::{RECORD_KEY, Ran, Shop};

/// The program that was built for these tests.
const PROMOTE: &str = env!("CARGO_BIN_EXE_preview-promote");

/// Production as it was promoted to before, with images of then.
fn production(shop: &Shop) {
    shop.world.cluster.create_namespace("shop").unwrap();
    let adopted = shop.repository.head("main");
    for component in ["web", "api"] {
        let labels = json!({ "app": component });
        let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": component, "namespace": "shop",
                "annotations": { "preview-environments/commit": adopted } },
            "spec": { "replicas": 2, "selector": { "matchLabels": labels }, "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": component, "image": before(component) }] } } } });
        shop.world.cluster.create("kubectl", deployment).unwrap();
    }
}

fn before(component: &str) -> String {
    format!("docker.io/acme/{component}@sha256:{}", "b".repeat(64))
}

/// The image of a component, as production's template names it.
fn runs(shop: &Shop, component: &str) -> String {
    let deployment = shop
        .world
        .cluster
        .object("Deployment", "shop", component)
        .unwrap();
    let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
    image.as_str().unwrap().to_owned()
}

/// What a preview of the pull request would have recorded.
fn record(shop: &Shop, number: u64) -> Record {
    let head = shop.repository.head_of(number);
    let built_from = shop.repository.merge_commit_of(number).unwrap();
    let components = ["web", "api"].map(|component| {
        let digest = shop.world.registry.tags(&format!("acme/{component}"))[&head].clone();
        let image = format!("{}/acme/{component}@{digest}", shop.world.registry.host());
        let recorded = Recorded {
            image: image.parse().unwrap(),
            built_from: built_from.parse().unwrap(),
            built_by: BuiltBy::Branch,
            unchanged_since: None,
        };
        (component.parse::<ComponentName>().unwrap(), recorded)
    });
    Record {
        version: VERSION,
        repository: RepositoryId(shop.repository.id()),
        slug: "acme/shop".parse().unwrap(),
        subject: format!("pr-{number}").parse().unwrap(),
        head: head.parse().unwrap(),
        tree: shop.repository.tree(&built_from).parse().unwrap(),
        base: Some(shop.repository.head("main").parse().unwrap()),
        components: BTreeMap::from(components),
        pods: BTreeMap::new(),
        run: "50.1".parse().unwrap(),
        approval: None,
        tested_at: "2025-12-19T14:32:00Z".parse().unwrap(),
    }
}

/// Keeps a record as a deployment, with whatever payload.
async fn keep(shop: &Shop, record: &Record, payload: Value) {
    // Another story may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let github = GitHub::connect(Settings::new(
        shop.world.github.url(),
        ACTIONS_TOKEN.to_owned().into(),
        record.slug.clone(),
        Instant::now() + Duration::from_secs(30),
    ))
    .unwrap();
    let request = DeploymentRequest {
        reference: record.head.clone(),
        environment: ENVIRONMENT.to_owned(),
        task: RECORD.to_owned(),
        description: "Tested".to_owned(),
        payload,
        production: false,
        transient: true,
    };
    github.create_deployment(&request).await.unwrap();
}

fn signed(record: &Record, key: &str) -> Value {
    record.payload(Some(&RecordKey::new(key).unwrap()))
}

fn believe_unsigned_records(shop: &Shop) {
    let file = shop.path("preview.toml");
    let toml = std::fs::read_to_string(&file).unwrap();
    let believing = "[promote]\nunsigned_records = true\n\n[[promote.targets]]";
    std::fs::write(file, toml.replace("[[promote.targets]]", believing)).unwrap();
}

/// A shop in production and a pull request that CI built.
async fn built() -> (Shop, u64) {
    let shop = Shop::open().await;
    production(&shop);
    let number = shop.open_pull_request();
    (shop, number)
}

/// The same, tested in a preview and merged; the commit M.
async fn merged() -> (Shop, u64, String) {
    let (shop, number) = built().await;
    let record = record(&shop, number);
    keep(&shop, &record, signed(&record, RECORD_KEY)).await;
    let commit = shop.repository.merge(number, MergeStyle::Squash);
    (shop, number, commit)
}

/// Makes a commit so old that GitHub has had its time to know which pull request it came from.
fn pushed_long_ago(shop: &Shop, commit: &str) {
    let a_while = Duration::from_secs(3_600);
    assert!(shop.repository.backdate_commit(commit, a_while));
}

async fn on_push(shop: &Shop, commit: &str) -> Ran {
    let payload = shop.repository.push_payload(commit);
    shop.on(PROMOTE, "push", &payload).await
}

/// Adds to the one target of `preview.toml`.
fn target(shop: &Shop, more: &str) {
    let file = shop.path("preview.toml");
    let toml = std::fs::read_to_string(&file).unwrap();
    std::fs::write(file, format!("{toml}{more}\n")).unwrap();
}

/// Another pull request, tested in a preview and merged; the commit it left.
async fn merged_another(shop: &Shop, branch: &str) -> (u64, String) {
    let file = format!("web/{branch}.html");
    let number = shop
        .repository
        .open_pull_request(branch, &[(&file, branch)]);
    shop.build(number);
    let record = record(shop, number);
    keep(shop, &record, signed(&record, RECORD_KEY)).await;
    (number, shop.repository.merge(number, MergeStyle::Squash))
}

/// `text` without commits and digests.
fn plain(shop: &Shop, number: u64, commit: &str, text: &str) -> String {
    let head = shop.repository.head_of(number);
    let text = text.replace(commit, "[M]").replace(&commit[..7], "[M]");
    let text = text.replace(&head, "[head]").replace(&head[..7], "[head]");
    shop.without_hashes(&text)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_tested_goes_to_production_by_digest() {
    let (shop, number, commit) = merged().await;
    shop.repository
        .add_label(number, "image-digest/web:sha256:0123456789ab");
    let tested = record(&shop, number);
    let ran = on_push(&shop, &commit).await.exits(0);
    assert_eq!(
        ran.verdict(),
        format!("promoted: production runs {}", &commit[..7])
    );
    for (component, recorded) in &tested.components {
        assert_eq!(runs(&shop, component.as_str()), recorded.image.to_string());
        let tags = shop.world.registry.tags(&format!("acme/{component}"));
        for tag in ["latest", "main"] {
            assert_eq!(tags[tag], recorded.image.digest.as_str());
        }
    }
    insta::assert_snapshot!(plain(&shop, number, &commit, &shop.comment(number)), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: 🚀 Promoted — production
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    **Merged as**: [M]

    - API: `registry.test/acme/api@sha256:[hex]`
    - Web: `registry.test/acme/web@sha256:[hex]`

    [The run and its log](https://github.com/acme/shop/actions/runs/100/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `shop`

    </details>
    ");
    insta::assert_snapshot!(plain(&shop, number, &commit, &ran.steps()), @r"
    ✓ take Lease of production
    ✓ repair labels of #7
    ✓ set images Deployment/api
    ✓ set images Deployment/web
    ✓ await Deployment/api, Deployment/web
    ✓ tag registry.test/acme/api:latest
    ✓ tag registry.test/acme/api:main
    ✓ tag registry.test/acme/web:latest
    ✓ tag registry.test/acme/web:main
    ✓ comment on #7: 🚀 Promoted — production
    ✓ create deployment in production
    ✓ retire record and labels of #7
    ");
    for component in ["api", "web"] {
        let verified = format!("  Deployment/{component}, container {component}: verified");
        assert!(ran.stdout.contains(&verified), "{ran:#?}");
    }
    let deployments = shop.repository.deployments();
    let production = deployments
        .iter()
        .find(|d| d.environment == "production")
        .unwrap();
    assert_eq!(
        (production.sha.as_str(), production.state.as_str()),
        (commit.as_str(), "success")
    );
    assert_eq!(
        production.payload["images"]["web"],
        tested.components[&"web".parse().unwrap()].image.to_string()
    );
    let of_record = deployments
        .iter()
        .find(|d| d.environment == "preview")
        .unwrap();
    assert_eq!(of_record.state, "inactive");
    assert_eq!(shop.repository.labels(number), Vec::<String>::new());
    assert!(ran.summary.contains("### Evidence"), "{}", ran.summary);

    // Once more: there is nothing to do.
    let again = on_push(&shop, &commit).await.exits(0);
    assert!(
        again.verdict().starts_with("nothing: production runs "),
        "{again:#?}"
    );
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_record_is_refused() {
    let (shop, number) = built().await;
    let record = record(&shop, number);
    keep(
        &shop,
        &record,
        signed(
            &record,
            "another key than the one of the protected environments",
        ),
    )
    .await;
    let commit = shop.repository.merge(number, MergeStyle::Merge);
    let ran = on_push(&shop, &commit).await.exits(1);
    insta::assert_snapshot!(ran.error(), @"error: tested: a record cannot be believed: the record's signature is not ours: it was changed, forged, or signed with another PREVIEW_RECORD_KEY; deploy the preview again, and if the key is the same, find out who wrote that deployment");
    assert_eq!(runs(&shop, "web"), before("web"));
    insta::assert_snapshot!(plain(&shop, number, &commit, &shop.comment(number)), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ⛔ Not promoted — production
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    - tested: a record cannot be believed: the record's signature is not ours: it was changed, forged, or signed with another PREVIEW\_RECORD\_KEY; deploy the preview again, and if the key is the same, find out who wrote that deployment

    [The run and its log](https://github.com/acme/shop/actions/runs/100/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `shop`

    </details>
    ");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_record_counts_only_where_the_configuration_says_so() {
    let (shop, number) = built().await;
    let record = record(&shop, number);
    keep(&shop, &record, record.payload(None)).await;
    let commit = shop.repository.merge(number, MergeStyle::Rebase);
    let ran = on_push(&shop, &commit).await.exits(1);
    insta::assert_snapshot!(ran.error(), @"error: tested: a record cannot be believed: the record is unsigned, so anybody may have written it; give preview-deploy the secret PREVIEW_RECORD_KEY and deploy the preview again, or set `promote.unsigned_records = true` in preview.toml");
    believe_unsigned_records(&shop);
    on_push(&shop, &commit).await.exits(0);
    assert_ne!(runs(&shop, "web"), before("web"));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_with_a_digest_that_is_no_digest_is_refused() {
    let (shop, number) = built().await;
    let record = record(&shop, number);
    let mut text = json!(record).to_string();
    text = text.replace("sha256:", "sha512:");
    let payload =
        json!({ "kind": "preview-environments/record", "version": VERSION, "record": text });
    keep(&shop, &record, payload).await;
    believe_unsigned_records(&shop);
    let commit = shop.repository.merge(number, MergeStyle::Squash);
    let ran = on_push(&shop, &commit).await.exits(1);
    insta::assert_snapshot!(plain(&shop, number, &commit, &ran.error()), @r#"error: tested: a record cannot be believed: the record cannot be read: "sha512:[hex]" is not a digest of the form sha256:<64 lower-case hex digits>; deploy the preview again to record it anew"#);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_fails_is_set_back() {
    let (shop, number, commit) = merged().await;
    let host = shop.world.registry.host();
    let log = vec!["no such table".to_owned()];
    shop.world.cluster.behave(
        &format!("{host}/acme/api"),
        Behaviour::Crash { exit_code: 2, log },
    );
    let ran = on_push(&shop, &commit).await.exits(3);
    insta::assert_snapshot!(plain(&shop, number, &commit, &ran.error()), @"error: Deployment/api: container crashes (pod api-[x]-[x], container api): ended with exit code 2 (Error); what ran before is set back, and runs; look at `kubectl -n shop logs api-[x]-[x] -c api --previous`");
    for component in ["web", "api"] {
        assert_eq!(runs(&shop, component), before(component));
    }
    let deployments = shop.repository.deployments();
    let in_production = deployments.iter().filter(|d| d.environment == "production");
    let in_production: Vec<_> = in_production
        .map(|d| (d.payload["outcome"].as_str().unwrap(), d.state.as_str()))
        .collect();
    assert_eq!(in_production, [("failed", "failure")]);
    assert!(
        shop.comment(number)
            .contains("⛔ Not promoted — production"),
        "{}",
        shop.comment(number)
    );

    // Mended, it goes.
    shop.world
        .cluster
        .behave(&format!("{host}/acme/api"), Behaviour::Fine { log: vec![] });
    on_push(&shop, &commit).await.exits(0);
    assert_ne!(runs(&shop, "api"), before("api"));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_died_after_the_rollout_is_made_good_by_the_next() {
    let (shop, number, commit) = merged().await;
    // The images are set and run, and then GitHub takes no deployment.
    let refusal = Fault::Answer {
        status: 422,
        headers: vec![("content-type", "application/json".to_owned())],
        body: r#"{"message":"Validation Failed"}"#.to_owned(),
    };
    shop.world
        .github
        .traffic()
        .plan("POST", "/deployments", 1, refusal);
    on_push(&shop, &commit).await.exits(3);
    assert_ne!(runs(&shop, "web"), before("web"));
    let told = |shop: &Shop| {
        let deployments = shop.repository.deployments();
        deployments
            .iter()
            .any(|d| d.environment == "production" && d.state == "success")
    };
    assert!(!told(&shop));

    let next = on_push(&shop, &commit).await.exits(0);
    assert!(
        next.verdict().starts_with("promoted: production runs "),
        "{next:#?}"
    );
    assert!(told(&shop));
    assert!(
        shop.comment(number).contains("🚀 Promoted"),
        "{}",
        shop.comment(number)
    );
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_commit_does_not_replace_a_newer_one() {
    let (shop, _, first) = merged().await;
    on_push(&shop, &first).await.exits(0);
    let second = shop
        .repository
        .open_pull_request("feature/search", &[("web/search.html", "search")]);
    shop.build(second);
    let record = record(&shop, second);
    keep(&shop, &record, signed(&record, RECORD_KEY)).await;
    let newer = shop.repository.merge(second, MergeStyle::Squash);
    on_push(&shop, &newer).await.exits(0);
    let running = runs(&shop, "web");
    let late = on_push(&shop, &first).await.exits(0);
    assert!(
        late.verdict().contains("the newer promotion stands"),
        "{late:#?}"
    );
    assert_eq!(runs(&shop, "web"), running);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_told_with_what_to_do() {
    let (shop, number, commit) = merged().await;
    let push = shop.repository.push_payload(&commit);
    let mut malformed = push.clone();
    malformed["after"] = "HEAD".into();
    let mut branch = push.clone();
    branch["ref"] = "refs/heads/feature/cart".into();

    let mut told = Vec::new();
    let mut tell = |what: &str, ran: Ran| {
        let errors = if ran.exit == 0 {
            ran.verdict()
        } else {
            ran.stderr
        };
        told.push(format!("{what}: exit {}\n{errors}", ran.exit));
    };
    tell("a bad payload", shop.on(PROMOTE, "push", &malformed).await);
    tell("another branch", shop.on(PROMOTE, "push", &branch).await);
    let closed = shop.repository.pull_request_closed_payload(number);
    tell(
        "another event",
        shop.on(PROMOTE, "pull_request", &closed).await,
    );
    let unknown = "0".repeat(40);
    tell(
        "no such commit",
        shop.run(PROMOTE, &["--commit", &unknown], &[]).await,
    );
    let elsewhere = ["--commit", &commit, "--target", "staging"];
    tell("no such target", shop.run(PROMOTE, &elsewhere, &[]).await);
    let no_key = [("PREVIEW_RECORD_KEY", String::new())];
    tell(
        "no key",
        shop.run(PROMOTE, &["--commit", &commit], &no_key).await,
    );
    insta::assert_snapshot!(told.join("\n"), @r#"
    a bad payload: exit 2
    error: cannot read the payload of the event "push" in @JOB@/event.json: the field after: "HEAD" is not a commit SHA of 40 lower-case hex digits; give it the file at GITHUB_EVENT_PATH as GitHub wrote it

    another branch: exit 0
    nothing: refs/heads/feature/cart is not the default branch, main
    another event: exit 2
    error: the event "pull_request" does not say what was merged; start this on push to the default branch or on a schedule, or give --pr or --commit

    no such commit: exit 1
    error: acme/shop has no commit 0000000000000000000000000000000000000000; promote a commit of main

    no such target: exit 2
    error: there is no target staging; preview.toml names production

    no key: exit 1
    error: tested: a record cannot be believed: the record is signed and cannot be checked without the key; give this job's environment the secret PREVIEW_RECORD_KEY that preview-deploy has
    "#);
    assert_eq!(runs(&shop, "web"), before("web"));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_was_not_built_again_is_promoted_by_the_record_that_names_it() {
    let (shop, seven) = built().await;
    let older = record(&shop, seven);
    keep(&shop, &older, signed(&older, RECORD_KEY)).await;
    let commit = shop.repository.merge(seven, MergeStyle::Squash);
    on_push(&shop, &commit).await.exits(0);
    let web = runs(&shop, "web");

    // CI of #8 builds `api` alone; its preview ran `web` as #7 left it.
    let files = [("api/main.rs", "cheaper")];
    let number = shop.repository.open_pull_request("feature/prices", &files);
    shop.build(number);
    let mut tested = record(&shop, number);
    let component: ComponentName = "web".parse().unwrap();
    let unchanged = Recorded {
        unchanged_since: Some(commit.parse().unwrap()),
        ..older.components[&component].clone()
    };
    tested.components.insert(component.clone(), unchanged);
    let merged = shop.repository.merge(number, MergeStyle::Squash);

    // That record with another B is no record of that image: it says itself what it was built from.
    let mut wrong = tested.clone();
    if let Some(recorded) = wrong.components.get_mut(&component) {
        recorded.built_from = tested.components[&"api".parse().unwrap()]
            .built_from
            .clone();
    }
    keep(&shop, &wrong, signed(&wrong, RECORD_KEY)).await;
    let error = on_push(&shop, &merged).await.exits(1).error();
    assert!(error.contains("says it was built from"), "{error}");
    assert_eq!(runs(&shop, "web"), web);

    tested.tested_at = "2025-12-19T15:00:00Z".parse().unwrap();
    keep(&shop, &tested, signed(&tested, RECORD_KEY)).await;
    let ran = on_push(&shop, &merged).await.exits(0);
    let since = format!("as it was in {}", &commit[..7]);
    assert!(ran.summary.contains(&since), "{}", ran.summary);
    assert_eq!(runs(&shop, "web"), web, "web is as it was");
    let api = &tested.components[&"api".parse().unwrap()].image;
    assert_eq!(runs(&shop, "api"), api.to_string());
    shop.close();
}
