//! GitHub's rate limits: a cleanup and a sweep wait for them while there is time, and say when they end where there is not.

use sandbox::Fault;
use sandbox::github::RateLimit;

use crate::shop::timeless;
use crate::sweep::{orphans, swept};
use crate::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_cleanup_waits_for_a_limit_while_there_is_time_and_tells_of_it_where_there_is_not() {
    let shop = Shop::open().await;
    let number = opened(&shop);
    preview(&shop, number).await;
    shop.repository.close(number);
    let github = &shop.world.github;
    github.limit_next(1_000, RateLimit::Primary { reset_in: 7_200 });
    let ran = on_closed(&shop, number).await.exits(3);
    insta::assert_snapshot!(timeless(&ran.error()), @"error: cannot read the repository acme/shop: GitHub's rate limit is used up (API rate limit exceeded for installation.); it resets at [time]: run this again after that");
    assert!(is_there(&shop, number));

    github.limit_next(2, RateLimit::Secondary { retry_after: 1 });
    let ran = on_closed(&shop, number).await.exits(0);
    assert!(ran.took() >= Duration::from_secs(2), "{ran:#?}");
    assert!(!is_there(&shop, number));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_waits_for_a_limit_while_there_is_time() {
    let shop = Shop::open().await;
    orphans(&shop, 2);
    let github = &shop.world.github;
    github.limit_next(2, RateLimit::SecondaryForbidden { retry_after: 1 });
    let ran = shop.run(CLEANUP, &["sweep"], &[]).await.exits(0);
    insta::assert_snapshot!(swept(&ran), @r"
    preview-pr-7 destroyed: the preview of pull request #7 is gone
    preview-pr-8 destroyed: the preview of pull request #8 is gone
    ");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_comes_to_a_limit_tells_of_what_it_could_not_look_at_and_the_rest_goes() {
    let shop = Shop::open().await;
    let all = orphans(&shop, 2);
    let limited = Fault::Answer {
        status: 429,
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("retry-after", "7200".to_owned()),
        ],
        body: json!({ "message": "You have exceeded a secondary rate limit." }).to_string(),
    };
    let path = format!("/pulls/{}", all[0]);
    shop.world.github.traffic().plan("GET", &path, 1, limited);
    let ran = shop.run(CLEANUP, &["sweep"], &[]).await.exits(3);
    insta::assert_snapshot!(timeless(&swept(&ran)), @r"
    preview-pr-8 destroyed: the preview of pull request #8 is gone
    preview-pr-7 failed: cannot read pull request #7 of acme/shop: GitHub's rate limit is used up (You have exceeded a secondary rate limit.); it resets at [time]: run this again after that
    ");
    insta::assert_snapshot!(timeless(&ran.error()), @"error: 2 previews: 1 destroyed, 1 failed; look at what failed, and run the sweep again: it goes on where this one stopped");
    assert!(is_there(&shop, all[0]) && !is_there(&shop, all[1]));
    shop.close();
}
