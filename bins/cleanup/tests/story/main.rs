//! Stories of `preview-cleanup`, the built program against the sandbox.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alerts;
mod approvals;
mod certificates;
mod dispatched;
mod enterprise;
mod metrics;
#[path = "../../../deploy/tests/story/shop.rs"]
mod shop;

mod forks;
mod images;
mod killed;
mod leftovers;
mod lifetime;
mod limits;
mod refused;
mod requests;
mod retired;
mod sweep;
mod volumes;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use preview_core::comment::MARKER;
use preview_core::deployments::PROMOTION;
use preview_core::ownership::{Owner, keys};
use preview_github::{DeploymentRequest, DeploymentState, GitHub, NewDeploymentStatus, Settings};
use sandbox::Gate;
use sandbox::github::MergeStyle;
use serde_json::{Value, json};

use shop::{Ran, Shop};

/// The program that was built for these tests.
const CLEANUP: &str = env!("CARGO_BIN_EXE_preview-cleanup");

/// A preview of a pull request as a deploy leaves it: the Namespace with our finalizer, a workload, a volume, the
/// comment and a label.
async fn preview(shop: &Shop, number: u64) {
    namespace(shop, number, shop.repository.id());
    let name = format!("preview-pr-{number}");
    let container = json!({ "name": "web", "image": "docker.io/library/nginx:1",
        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "cpu": "10m", "memory": "16Mi" } } });
    let labels = json!({ "app": "web" });
    let claim = json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": "data-database-0", "namespace": name },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } });
    let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web", "namespace": name, "labels": owner(shop, number).labels() },
        "spec": { "replicas": 1, "selector": { "matchLabels": labels }, "template": {
            "metadata": { "labels": labels },
            "spec": { "containers": [container], "volumes": [
                { "name": "data", "persistentVolumeClaim": { "claimName": "data-database-0" } } ] } } } });
    for object in [claim, deployment] {
        shop.world.cluster.create("preview-deploy", object).unwrap();
    }
    shop::soon("the volume is bound", || {
        !shop.world.cluster.names("PersistentVolume", "").is_empty()
    })
    .await;
    shop.repository
        .comment_as_bot(number, &format!("{MARKER}\nReady"));
    shop.repository
        .add_label(number, "image-digest/web:sha256:0123456789ab");
}

fn owner(shop: &Shop, number: u64) -> Owner {
    Owner {
        repository: preview_core::RepositoryId(shop.repository.id()),
        subject: format!("pr-{number}").parse().unwrap(),
    }
}

fn namespace(shop: &Shop, number: u64, repository: u64) {
    let owner = Owner {
        repository: preview_core::RepositoryId(repository),
        ..owner(shop, number)
    };
    let head = shop.repository.head_of(number);
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": format!("preview-pr-{number}"),
        "labels": owner.labels(),
        "annotations": { keys::HEAD: head, keys::FENCE: "50.1", keys::CLAIM: "held" },
        "finalizers": [keys::FINALIZER],
    } });
    shop.world
        .cluster
        .create("preview-deploy", namespace)
        .unwrap();
}

/// What a promotion of `commit` leaves on GitHub.
async fn promoted(shop: &Shop, commit: &str, payload: Value) {
    let request = DeploymentRequest {
        reference: commit.parse().unwrap(),
        environment: "production".to_owned(),
        task: PROMOTION.to_owned(),
        description: "Promoted".to_owned(),
        payload,
        production: true,
        transient: false,
    };
    let github = github(shop);
    let deployment = github.create_deployment(&request).await.unwrap();
    let runs = NewDeploymentStatus {
        state: DeploymentState::Success,
        description: "It runs".to_owned(),
        log_url: None,
        environment_url: None,
    };
    let set = github.set_deployment_status(deployment.id, &runs).await;
    set.unwrap();
}

/// GitHub, as programs of earlier runs saw it.
fn github(shop: &Shop) -> GitHub {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = Settings::new(
        shop.world.github.url(),
        sandbox::github::ACTIONS_TOKEN.to_owned().into(),
        "acme/shop".parse().unwrap(),
        Instant::now() + Duration::from_secs(30),
    );
    GitHub::connect(settings).unwrap()
}

fn is_there(shop: &Shop, number: u64) -> bool {
    let name = format!("preview-pr-{number}");
    shop.world.cluster.object("Namespace", "", &name).is_some()
}

async fn on_closed(shop: &Shop, number: u64) -> Ran {
    let payload = shop.repository.pull_request_closed_payload(number);
    shop.on(CLEANUP, "pull_request", &payload).await
}

fn opened(shop: &Shop) -> u64 {
    shop.repository
        .open_pull_request("feature/cart", &[("web/cart.html", "a cart")])
}

/// The comment without uids, and without what the watch may have come too late to see: pods and volumes end within
/// milliseconds here.
fn told(shop: &Shop, number: u64) -> String {
    let text = shop.without_uids(&shop.comment(number));
    let lines = text.lines().map(|line| match line {
        line if line.starts_with("- ✅ `pods` gone: ") => "- ✅ `pods` gone",
        line if line.starts_with("- ✅ `PersistentVolume") && !line.contains("Claim/") => {
            "- ✅ volumes gone"
        }
        line => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pull_request_leaves_nothing_and_has_a_receipt() {
    let shop = Shop::open().await;
    let number = opened(&shop);
    preview(&shop, number).await;
    shop.repository.close(number);
    let ran = on_closed(&shop, number).await.exits(0);
    assert_eq!(
        ran.verdict(),
        "destroyed: the preview of pull request #7 is gone"
    );
    assert!(!is_there(&shop, number));
    assert_eq!(
        shop.world.cluster.names("PersistentVolume", ""),
        Vec::<String>::new()
    );
    assert_eq!(shop.repository.labels(number), Vec::<String>::new());
    insta::assert_snapshot!(told(&shop, number), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: 🗑️ Destroyed
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    - ✅ `Namespace/preview-pr-7` gone: no Namespace has uid [uid]
    - ✅ `pods` gone
    - ✅ `PersistentVolumeClaim/data-database-0` gone: no claim has uid [uid]
    - ✅ volumes gone

    [The run and its log](https://github.com/acme/shop/actions/runs/100/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Nothing is deployed

    </details>
    ");
    insta::assert_snapshot!(ran.steps(), @r"
    ✓ tear down Namespace/preview-pr-7
    ✓ remove labels of pr-7
    ✓ comment on #7: 🗑️ Destroyed
    ✓ retire deployments of pr-7
    ");
    assert!(
        ran.result["receipt"].as_array().unwrap().len() >= 4,
        "{ran:#?}"
    );

    // Once more: there is nothing, and what was said stays.
    let said = shop.comment(number);
    let again = on_closed(&shop, number).await.exits(0);
    assert_eq!(again.verdict(), "nothing: pull request #7 has no preview");
    assert_eq!(shop.comment(number), said);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_pull_request_keeps_its_labels_until_it_is_promoted() {
    let shop = Shop::open().await;
    let number = opened(&shop);
    preview(&shop, number).await;
    shop.repository.merge(number, MergeStyle::Squash);
    on_closed(&shop, number).await.exits(0);
    assert!(!is_there(&shop, number));
    assert_eq!(shop.repository.labels(number).len(), 1);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_pull_request_keeps_its_preview_unless_it_is_forced() {
    let shop = Shop::open().await;
    let number = opened(&shop);
    preview(&shop, number).await;
    let refused = shop.run(CLEANUP, &["--pr", "7"], &[]).await.exits(1);
    insta::assert_snapshot!(refused.error(), @"error: pull request #7 is open, so its preview stays; close it, or ask for its destruction with --force");
    assert!(is_there(&shop, number));
    let forced = shop
        .run(CLEANUP, &["--pr", "7", "--force"], &[])
        .await
        .exits(0);
    assert!(!is_there(&shop, number), "{forced:#?}");
    // What was tested stays tested.
    assert_eq!(shop.repository.labels(number).len(), 1);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_was_opened_again_keeps_its_preview() {
    let shop = Shop::open().await;
    let number = opened(&shop);
    preview(&shop, number).await;
    shop.repository.close(number);
    let payload = shop.repository.pull_request_closed_payload(number);
    shop.repository.reopen(number);
    let ran = shop.on(CLEANUP, "pull_request", &payload).await.exits(0);
    assert!(
        ran.verdict()
            .starts_with("nothing: pull request #7 is open"),
        "{ran:#?}"
    );
    assert!(is_there(&shop, number));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_never_had_a_preview_gets_no_comment() {
    let shop = Shop::open().await;
    let number = opened(&shop);
    shop.repository.close(number);
    on_closed(&shop, number).await.exits(0);
    assert_eq!(shop.repository.comments(number), []);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_run_of_a_workflow_on_the_closed_pull_request_will_do() {
    let shop = Shop::open().await;
    let number = opened(&shop);
    preview(&shop, number).await;
    let payload = shop.repository.workflow_run_payload(number);
    let early = shop.on(CLEANUP, "workflow_run", &payload).await.exits(0);
    assert!(
        early
            .verdict()
            .starts_with("nothing: no closed pull request"),
        "{early:#?}"
    );
    shop.repository.close(number);
    shop.on(CLEANUP, "workflow_run", &payload).await.exits(0);
    assert!(!is_there(&shop, number));
    shop.close();
}

/// Cleans up, frozen at the request `nth`; meanwhile the pull request is opened again, and a run deploys it. Whether the
/// preview that this makes is still there at the end; none where the cleanup has fewer requests.
async fn opened_again_at(nth: usize) -> Option<Result<(), String>> {
    let shop = Shop::open().await;
    let number = opened(&shop);
    namespace(&shop, number, shop.repository.id());
    shop.repository.close(number);
    let gate = Gate::closed_from(nth);
    let github = shop.world.github.through(&gate).await.unwrap();
    let cluster = shop.world.cluster.through(&gate).await.unwrap();
    let kubeconfig = shop.path("kubeconfig-with-a-gate");
    std::fs::write(&kubeconfig, shop.world.cluster.kubeconfig_at(&cluster)).unwrap();
    let ways = [
        ("GITHUB_API_URL", github),
        ("KUBECONFIG", kubeconfig.to_str().unwrap().to_owned()),
    ];
    let arguments = ["--pr", &number.to_string()];
    let cleanup = shop.run(CLEANUP, &arguments, &ways);
    tokio::pin!(cleanup);
    tokio::select! {
        _ = &mut cleanup => return None,
        () = gate.holds() => {}
    }
    shop.repository.reopen(number);
    let name = format!("preview-pr-{number}");
    let is_deployed = match shop.world.cluster.object("Namespace", "", &name) {
        // A deploy finishes this teardown, and makes the preview afresh.
        Some(there) if !there["metadata"]["deletionTimestamp"].is_null() => false,
        Some(_) => {
            let take = |namespace: &mut Value| {
                namespace["metadata"]["annotations"][keys::FENCE] = json!("60.1");
            };
            let taken = shop
                .world
                .cluster
                .edit("preview-deploy", ("Namespace", "", &name), take);
            taken.is_ok()
        }
        None => {
            namespace(&shop, number, shop.repository.id());
            true
        }
    };
    gate.open();
    let ran = cleanup.await;
    let told = format!(
        "request {nth}, {}: {ran:#?}",
        gate.held().unwrap_or_default()
    );
    shop.close();
    Some(match is_deployed && !is_there(&shop, number) {
        true => Err(told),
        false => Ok(()),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_that_was_deployed_again_meanwhile_stays_whenever_the_cleanup_goes_on() {
    let mut requests = 0;
    while let Some(stays) = opened_again_at(requests + 1).await {
        assert_eq!(stays, Ok(()));
        requests += 1;
    }
    assert!(
        requests > 10,
        "a cleanup of {requests} requests is no whole one"
    );
}

/// The Namespace of a pull request that waits for a slot, as a deploy leaves it.
fn waiting(shop: &Shop, branch: &str) -> u64 {
    let number = shop
        .repository
        .open_pull_request(branch, &[("web/x.html", branch)]);
    namespace(shop, number, shop.repository.id());
    let head = shop.repository.head_of(number);
    let queued = |namespace: &mut Value| {
        namespace["metadata"]["annotations"][keys::CLAIM] = json!("queued");
        namespace["metadata"]["annotations"][keys::APPROVED] = json!(head);
    };
    let name = format!("preview-pr-{number}");
    let edited = shop
        .world
        .cluster
        .edit("preview-deploy", ("Namespace", "", &name), queued);
    edited.unwrap();
    number
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_turn_it_is_is_started_when_a_slot_is_free() {
    let shop = Shop::open().await;
    shop.configure("capacity = 1");
    shop.repository
        .add_dispatched_workflow("preview-deploy.yml", &["pr", "sha"]);
    let number = opened(&shop);
    preview(&shop, number).await;
    let first = waiting(&shop, "search");
    shop.repository.close(number);
    let ran = on_closed(&shop, number).await.exits(0);
    insta::assert_snapshot!(ran.steps(), @r"
    ✓ tear down Namespace/preview-pr-7
    ✓ remove labels of pr-7
    ✓ comment on #7: 🗑️ Destroyed
    ✓ retire deployments of pr-7
    ✓ start preview-deploy.yml for pr-8
    ");
    let dispatches = shop.repository.dispatches();
    assert_eq!(dispatches.len(), 1);
    assert_eq!(dispatches[0].reference, "main");
    let head = shop.repository.head_of(first);
    assert_eq!(
        dispatches[0].inputs,
        json!({ "pr": first.to_string(), "sha": head })
    );
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_next_cannot_be_started_its_command_is_told_and_the_preview_is_gone_all_the_same()
{
    let shop = Shop::open().await;
    shop.configure("capacity = 1");
    let number = opened(&shop);
    preview(&shop, number).await;
    let next = waiting(&shop, "search");
    shop.repository.close(number);
    let ran = on_closed(&shop, number).await.exits(0);
    assert_eq!(
        ran.verdict(),
        "destroyed: the preview of pull request #7 is gone"
    );
    let head = shop.repository.head_of(next);
    let warnings = ran
        .stdout
        .lines()
        .filter(|line| line.starts_with("warning: "));
    let warnings: Vec<String> = warnings.map(|line| line.replace(&head, "[head]")).collect();
    insta::assert_snapshot!(warnings.join("\n"), @"warning: a slot is free and it is the turn of pr-8, whose deploy was not started: cannot start the workflow preview-deploy.yml of acme/shop on main: GitHub does not find it (404: Not Found); check that it exists and that the token may see it; type `gh workflow run preview-deploy.yml --repo acme/shop --ref main -f pr=8 -f sha=[head]`");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_told_with_what_to_do() {
    let shop = Shop::open().await;
    let number = opened(&shop);
    shop.repository.close(number);
    let closed = shop.repository.pull_request_closed_payload(number);
    let mut malformed = closed.clone();
    malformed["number"] = "seven".into();
    let push = shop
        .repository
        .push_payload(&shop.repository.push_to_base(&[("README.md", "x")]));

    let mut told = Vec::new();
    let mut tell =
        |what: &str, ran: Ran| told.push(format!("{what}: exit {}\n{}", ran.exit, ran.stderr));
    tell(
        "a bad payload",
        shop.on(CLEANUP, "pull_request", &malformed).await,
    );
    tell("an issue", shop.on(CLEANUP, "issues", &push).await);
    tell("no event", shop.run(CLEANUP, &[], &[]).await);
    tell(
        "no such pull request",
        shop.run(CLEANUP, &["--pr", "999"], &[]).await,
    );
    namespace(&shop, number, 4711);
    tell(
        "somebody else's",
        shop.on(CLEANUP, "pull_request", &closed).await,
    );
    insta::assert_snapshot!(told.join("\n"), @r#"
    a bad payload: exit 2
    error: cannot read the payload of the event "pull_request" in @JOB@/event.json: the field number is no whole number; give it the file at GITHUB_EVENT_PATH as GitHub wrote it

    an issue: exit 2
    error: cannot read the payload of the event "issues" in @JOB@/event.json: this program reads workflow_run, workflow_dispatch, pull_request, issue_comment, merge_group, push and schedule only; start it on one of these, or name the pull request or commit on the command line

    no event: exit 2
    error: GITHUB_EVENT_NAME is not set; start this by an event in GitHub Actions, or give --pr or --commit

    no such pull request: exit 1
    error: acme/shop has no pull request #999 as far as this token can see, which does not prove that it was closed, so its preview stays; look at the number, and whether the token may read pull requests

    somebody else's: exit 1
    error: namespace preview-pr-7 is not ours: its label preview-environments/repository-id is "4711", not "700001003"; rename that namespace, or choose another `namespace` template in preview.toml
    "#);
    assert!(is_there(&shop, number));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_preview_of_a_commit_goes_when_somebody_says_so() {
    let shop = Shop::open().await;
    let commit = shop.repository.head("main");
    let name = format!("preview-pr-c{}", &commit[..12]);
    let owner = Owner {
        repository: preview_core::RepositoryId(shop.repository.id()),
        subject: format!("commit-{commit}").parse().unwrap(),
    };
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": name, "labels": owner.labels(), "finalizers": [keys::FINALIZER],
        "annotations": { keys::HEAD: commit, keys::FENCE: "50.1", keys::CLAIM: "held" },
    } });
    shop.world
        .cluster
        .create("preview-deploy", namespace)
        .unwrap();
    let by_hand = ["--commit", &commit];
    let ran = shop.run(CLEANUP, &by_hand, &[]).await.exits(0);
    let again = shop.run(CLEANUP, &by_hand, &[]).await.exits(0);
    let told = [ran.verdict(), again.verdict()].join("\n");
    insta::assert_snapshot!(told.replace(&commit[..7], "[commit]"), @r"
    destroyed: the preview of commit [commit] is gone
    nothing: commit [commit] has no preview
    ");
    assert!(shop.world.cluster.object("Namespace", "", &name).is_none());
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_cleans_up_after_the_pull_request_that_it_merged() {
    let shop = Shop::open().await;
    let number = opened(&shop);
    preview(&shop, number).await;
    let elsewhere = shop.repository.push_to("side", &[("web/x.html", "x")]);
    let mut elsewhere = shop.repository.push_payload(&elsewhere);
    elsewhere["ref"] = json!("refs/heads/side");
    let direct = shop.repository.push_to_base(&[("web/y.html", "y")]);
    let direct = shop.repository.push_payload(&direct);
    let mut told = Vec::new();
    for push in [elsewhere, direct] {
        let ran = shop.on(CLEANUP, "push", &push).await.exits(0);
        let after = push["after"].as_str().unwrap();
        told.push(ran.verdict().replace(after, "[commit]"));
    }
    assert!(is_there(&shop, number));
    let merged = shop.repository.merge(number, MergeStyle::Squash);
    let push = shop.repository.push_payload(&merged);
    let ran = shop.on(CLEANUP, "push", &push).await.exits(0);
    told.push(ran.verdict());
    insta::assert_snapshot!(told.join("\n"), @r"
    nothing: refs/heads/side is not the default branch, main
    nothing: no merged pull request brought [commit]
    destroyed: the preview of pull request #7 is gone
    ");
    assert!(!is_there(&shop, number));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_schedule_it_sweeps() {
    let shop = Shop::open().await;
    let number = opened(&shop);
    preview(&shop, number).await;
    shop.repository.close(number);
    let payload = json!({ "schedule": "17 * * * *" });
    let ran = shop.on(CLEANUP, "schedule", &payload).await.exits(0);
    assert_eq!(ran.verdict(), "swept: 1 preview: 1 destroyed");
    assert!(!is_there(&shop, number));
    shop.close();
}
