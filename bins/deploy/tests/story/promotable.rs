//! Whether a merge would leave what the preview shows, as a status of the head.

use crate::DEPLOY;
use crate::shop::{Ran, Shop};

async fn deploy(shop: &Shop, number: u64) -> Ran {
    let head = shop.repository.head_of(number);
    let arguments = ["--pr", &number.to_string(), "--sha", &head];
    shop.run(DEPLOY, &arguments, &[]).await
}

/// State and description of the status.
fn promotable(shop: &Shop, number: u64) -> Option<String> {
    let head = shop.repository.head_of(number);
    let mut statuses = shop.repository.statuses(&head).into_iter();
    let status = statuses.find(|status| status.context == "preview/promotable")?;
    Some(format!(
        "{}: {}",
        status.state,
        status.description.unwrap_or_default()
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_of_what_a_merge_would_leave_is_promotable() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let ran = deploy(&shop, number).await.exits(0);
    assert!(!ran.stderr.contains("warning"), "{ran:#?}");
    insta::assert_snapshot!(promotable(&shop, number).unwrap(), @"success: Merged now, it is what the preview shows");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_from_before_the_base_moved_on_is_not() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    shop.repository.push_to_base(&[("api/main.rs", "dearer")]);
    deploy(&shop, number).await.exits(0);
    insta::assert_snapshot!(promotable(&shop, number).unwrap(), @"failure: main has moved on, so a merge is not what the preview shows; update the branch");

    shop.build(number);
    deploy(&shop, number).await.exits(0);
    insta::assert_snapshot!(promotable(&shop, number).unwrap(), @"success: Merged now, it is what the preview shows");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_with_conflicts_is_not() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    shop.repository
        .push_to_base(&[("web/cart.html", "another cart")]);
    deploy(&shop, number).await.exits(0);
    insta::assert_snapshot!(promotable(&shop, number).unwrap(), @"failure: It has conflicts with main; resolve them");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_record_nobody_would_believe_is_not() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let head = shop.repository.head_of(number);
    let arguments = ["--pr", &number.to_string(), "--sha", &head];
    let unsigned = [("PREVIEW_RECORD_KEY", String::new())];
    shop.run(DEPLOY, &arguments, &unsigned).await.exits(0);
    insta::assert_snapshot!(promotable(&shop, number).unwrap(), @"failure: The record of its preview is unsigned; set PREVIEW_RECORD_KEY");
    shop.close();
}
