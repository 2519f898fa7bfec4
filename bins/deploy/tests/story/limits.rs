//! GitHub's rate limits, and answers that are lost: what a deploy waits for, what it tells, and that it writes nothing twice.

use std::time::Duration;

use sandbox::Fault;
use sandbox::github::RateLimit;

use crate::DEPLOY;
use crate::shop::{Shop, timeless};

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_ends_within_the_deadline_is_waited_for() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let payload = shop.repository.workflow_run_payload(number);
    shop.world
        .github
        .limit_next(2, RateLimit::SecondaryForbidden { retry_after: 1 });
    let ran = shop.on(DEPLOY, "workflow_run", &payload).await.exits(0);
    assert!(ran.took() >= Duration::from_secs(2), "{ran:#?}");
    assert!(shop.comment(number).contains("✅ Ready"));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_ends_after_the_deadline_is_told_with_its_end() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let payload = shop.repository.workflow_run_payload(number);
    let mut told = Vec::new();
    for limit in [
        RateLimit::Primary { reset_in: 3_600 },
        RateLimit::Secondary { retry_after: 3_600 },
    ] {
        shop.world.github.limit_next(1_000, limit);
        let ran = shop.on(DEPLOY, "workflow_run", &payload).await.exits(3);
        assert!(ran.took() < Duration::from_secs(60), "{ran:#?}");
        assert_eq!(ran.result["class"], "github");
        told.push(timeless(&ran.error()));
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    error: cannot find the pull requests of "feature/cart" of acme/shop: GitHub's rate limit is used up (API rate limit exceeded for installation.); it resets at [time]: run this again after that
    error: cannot find the pull requests of "feature/cart" of acme/shop: GitHub's rate limit is used up (You have exceeded a secondary rate limit. Please wait a few minutes before you try again.); it resets at [time]: run this again after that
    "#);

    // The limit is over: the same run, started again, goes on.
    shop.world
        .github
        .limit_next(0, RateLimit::Primary { reset_in: 0 });
    shop.on(DEPLOY, "workflow_run", &payload).await.exits(0);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_in_the_midst_of_a_deploy_is_told_where_it_can_be() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let payload = shop.repository.workflow_run_payload(number);
    let reset = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let limited = Fault::Answer {
        status: 403,
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("x-ratelimit-remaining", "0".to_owned()),
            ("x-ratelimit-reset", reset.as_second().to_string()),
        ],
        body: r#"{ "message": "API rate limit exceeded" }"#.to_owned(),
    };
    // Once; then there are requests again.
    shop.world
        .github
        .traffic()
        .plan("POST", "/deployments", 1, limited);
    let ran = shop.on(DEPLOY, "workflow_run", &payload).await.exits(3);
    let head = shop.repository.head_of(number);
    insta::assert_snapshot!(timeless(&ran.error()).replace(&head[..7], "[head]"), @r#"error: cannot create a deployment of [head] in "preview" of acme/shop: GitHub's rate limit is used up (API rate limit exceeded); it resets at [time]: run this again after that"#);
    insta::assert_snapshot!(timeless(&shop.comment(number)), @r#"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ❌ Failed — looking whether it can be deployed after [time]
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    **What failed**: GitHub failed — cannot create a deployment of [head] in "preview" of acme/shop: GitHub's rate limit is used up (API rate limit exceeded); it resets at [time]: run this again after that
    **Who acts**: whoever operates the previews

    [The run and its log](https://github.com/acme/shop/actions/runs/100/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-7`
    - Database: Starting
    - Web: Starting (0/2 replicas)
    - API: Starting (0/1 replicas)

    </details>
    "#);
    shop.on(DEPLOY, "workflow_run", &payload).await.exits(0);
    assert!(shop.comment(number).contains("✅ Ready"));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_carried_out_although_its_answer_was_lost_is_not_done_twice() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let traffic = shop.world.github.traffic();
    let paths = ["/issues/7/comments", "/deployments", "/statuses/"];
    for path in paths {
        traffic.plan("POST", path, 1, Fault::BreakAfter);
    }
    let payload = shop.repository.workflow_run_payload(number);
    shop.on(DEPLOY, "workflow_run", &payload).await.exits(0);
    assert_eq!(shop.repository.comments(number).len(), 1);
    let head = shop.repository.head_of(number);
    let statuses = shop.repository.statuses(&head);
    let told = statuses.iter().rev().map(|status| {
        let description = status.description.clone().unwrap_or_default();
        format!("{} {}: {description}", status.context, status.state)
    });
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"), @r"
    preview/promotable success: Merged now, it is what the preview shows
    preview success: Ready
    ");
    let made = shop.repository.deployments().into_iter();
    let made = made.map(|deployment| deployment.states.join(", "));
    insta::assert_snapshot!(made.collect::<Vec<_>>().join("\n"), @r"
    in_progress, success
    success
    ");
    shop.close();
}
