//! What tells of previews that are gone.

use preview_core::deployments::subject_of;
use sandbox::Fault;

use crate::images::deployed;
use crate::killed::recorded;
use crate::sweep::{annotate, annotation, previewed, swept};
use crate::*;

/// A pull request that was previewed, tested and told of, and whose namespace somebody has deleted by hand.
async fn without_namespace(shop: &Shop, branch: &str) -> u64 {
    let number = shop
        .repository
        .open_pull_request(branch, &[(&format!("web/{branch}.html"), branch)]);
    deployed(shop, number).await;
    recorded(shop, number).await;
    shop.repository
        .comment_as_bot(number, &format!("{MARKER}\n**Status**: Ready"));
    let label = format!("image-digest/web:sha256:{number:012}");
    shop.repository.add_label(number, &label);
    number
}

/// What GitHub has of a pull request's preview, on one line.
fn told_of(shop: &Shop, number: u64) -> String {
    let subject = format!("pr-{number}").parse().unwrap();
    let repository = preview_core::RepositoryId(shop.repository.id());
    let deployments = shop.repository.deployments().into_iter();
    let ours =
        deployments.filter(|one| subject_of(&one.payload, repository).as_ref() == Some(&subject));
    let states: Vec<String> = ours.map(|deployment| deployment.state).collect();
    let comments = shop.repository.comments(number);
    let status = comments[0].1.lines().find(|line| line.contains("Status"));
    format!(
        "#{number}: {}, labels {}, {}",
        states.join(" and "),
        shop.repository.labels(number).len(),
        status.unwrap()
    )
}

fn all_told(shop: &Shop, numbers: &[u64]) -> String {
    let lines = numbers.iter().map(|number| told_of(shop, *number));
    lines.collect::<Vec<_>>().join("\n")
}

async fn sweep(shop: &Shop) -> Ran {
    shop.run(CLEANUP, &["sweep"], &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tells_of_a_closed_pull_request_without_a_namespace_is_put_away_once() {
    let shop = Shop::open().await;
    let open = without_namespace(&shop, "open").await;
    let closed = without_namespace(&shop, "closed").await;
    shop.repository.close(closed);
    let promoted_one = without_namespace(&shop, "promoted").await;
    let merged = shop.repository.merge(promoted_one, MergeStyle::Squash);
    promoted(&shop, &merged, json!({})).await;
    let all = [open, closed, promoted_one];
    let before = all_told(&shop, &all);

    let dry = shop.run(CLEANUP, &["sweep", "--dry-run"], &[]).await;
    insta::assert_snapshot!(swept(&dry.exits(0)), @r"
    preview-pr-8 would-retire: pull request #8 is closed, and no preview of it is there
    preview-pr-9 would-retire: pull request #9 is closed, and no preview of it is there
    ");
    assert_eq!(all_told(&shop, &all), before);

    let ran = sweep(&shop).await.exits(0);
    insta::assert_snapshot!(ran.verdict(), @"swept: 0 previews: 2 retired");
    insta::assert_snapshot!(swept(&ran), @r"
    preview-pr-8 retired: pull request #8 is closed, and no preview of it is there
    preview-pr-9 retired: pull request #9 is closed, and no preview of it is there
    ");
    insta::assert_snapshot!(all_told(&shop, &all), @r"
    #7: pending and pending, labels 1, **Status**: Ready
    #8: inactive and inactive, labels 0, **Status**: 🗑️ Destroyed
    #9: inactive and inactive, labels 0, **Status**: 🗑️ Destroyed
    ");

    let github = shop.world.github.traffic();
    let asked = github.exchanges().len();
    let again = sweep(&shop).await.exits(0);
    assert_eq!(again.verdict(), "swept: 0 previews, nothing to do");
    let asked = github.exchanges().split_off(asked).into_iter();
    let asked = asked.map(|one| format!("{} {}", one.method, one.target));
    insta::assert_snapshot!(asked.collect::<Vec<_>>().join("\n"), @r"
    GET /repos/acme/shop
    GET /repos/acme/shop/pulls?state=open&per_page=100
    GET /repos/acme/shop/actions/runs?status=waiting&per_page=100
    GET /repos/acme/shop/deployments?environment=preview&per_page=100
    POST /graphql
    GET /orgs/acme/packages/container/api/versions?per_page=100
    GET /users/acme/packages/container/api/versions?per_page=100
    GET /orgs/acme/packages/container/web/versions?per_page=100
    GET /users/acme/packages/container/web/versions?per_page=100
    ");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_merged_and_not_promoted_keeps_its_record_and_its_labels() {
    let shop = Shop::open().await;
    let number = without_namespace(&shop, "cart").await;
    let merged = shop.repository.merge(number, MergeStyle::Squash);
    let ran = sweep(&shop).await.exits(0);
    let again = sweep(&shop).await.exits(0);
    let told = [swept(&ran), told_of(&shop, number), again.verdict()].join("\n");
    insta::assert_snapshot!(told, @r"
    preview-pr-7 retired: pull request #7 is closed, and no preview of it is there
    #7: inactive and pending, labels 1, **Status**: 🗑️ Destroyed
    swept: 0 previews, nothing to do
    ");

    promoted(&shop, &merged, json!({})).await;
    let ran = sweep(&shop).await.exits(0);
    let told = [swept(&ran), told_of(&shop, number)].join("\n");
    insta::assert_snapshot!(told, @r"
    preview-pr-7 retired: pull request #7 is closed, and no preview of it is there
    #7: inactive and inactive, labels 0, **Status**: 🗑️ Destroyed
    ");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_a_commit_is_put_away_once_every_target_runs_it_or_a_later_one() {
    let shop = Shop::open().await;
    let commit = shop.repository.head("main");
    let request = DeploymentRequest {
        reference: commit.parse().unwrap(),
        environment: preview_core::deployments::ENVIRONMENT.to_owned(),
        task: preview_core::deployments::PROGRESS.to_owned(),
        description: "Preview".to_owned(),
        payload: preview_core::deployments::progress_payload(
            &format!("commit-{commit}").parse().unwrap(),
            "50.1".parse().unwrap(),
        ),
        production: false,
        transient: true,
    };
    let made = github(&shop).create_deployment(&request).await;
    made.unwrap();
    let first = sweep(&shop).await.exits(0);
    assert_eq!(first.verdict(), "swept: 0 previews, nothing to do");

    let later = shop.repository.push_to_base(&[("web/x.html", "x")]);
    promoted(&shop, &later, json!({})).await;
    let ran = sweep(&shop).await.exits(0);
    let told = swept(&ran).replace(&commit[..12], "[commit]");
    insta::assert_snapshot!(told.replace(&commit[..7], "[commit]"), @"preview-pr-c[commit] retired: every target runs [commit] or a later commit, and no preview of it is there");
    assert_eq!(shop.repository.deployments()[0].state, "inactive");
    shop.close();
}

fn teapot() -> Fault {
    Fault::Answer {
        status: 418,
        headers: Vec::new(),
        body: r#"{ "message": "I'm a teapot" }"#.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_put_away_keeps_neither_the_others_nor_the_rest_of_the_sweep() {
    let shop = Shop::open().await;
    let broken = without_namespace(&shop, "broken").await;
    let whole = without_namespace(&shop, "whole").await;
    let requeued = previewed(&shop, "requeued");
    let run = shop.repository.start_run(requeued, "preview-deploy.yml");
    shop.repository.finish_run(run, "cancelled");
    annotate(&shop, requeued, keys::CLAIM, "claiming");
    annotate(&shop, requeued, keys::FENCE, &format!("{run}.1"));
    for number in [broken, whole] {
        shop.repository.close(number);
    }
    let traffic = shop.world.github.traffic();
    traffic.plan("POST", "/graphql", 1, teapot());
    let ran = sweep(&shop).await.exits(3);
    insta::assert_snapshot!(ran.error(), @r#"error: cannot list which deployments in "preview" of acme/shop are active: GitHub refuses it (418: I'm a teapot); correct what it names and run this again"#);
    assert_eq!(annotation(&shop, requeued, keys::CLAIM), "queued");

    let path = format!("/issues/{broken}/comments");
    traffic.plan("GET", &path, 1, teapot());
    let ran = sweep(&shop).await.exits(3);
    insta::assert_snapshot!(swept(&ran), @r"
    preview-pr-8 retired: pull request #8 is closed, and no preview of it is there
    preview-pr-7 failed: cannot read the comments of pull request #7 of acme/shop: GitHub refuses it (418: I'm a teapot); correct what it names and run this again
    ");
    // Its labels are gone, and its deployments are what the next sweep finds it by.
    insta::assert_snapshot!(all_told(&shop, &[broken, whole]), @r"
    #7: pending and pending, labels 0, **Status**: Ready
    #8: inactive and inactive, labels 0, **Status**: 🗑️ Destroyed
    ");
    sweep(&shop).await.exits(0);
    insta::assert_snapshot!(told_of(&shop, broken), @"#7: inactive and inactive, labels 0, **Status**: 🗑️ Destroyed");
    shop.close();
}
