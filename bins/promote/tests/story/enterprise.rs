//! Promoting on a GitHub Enterprise Server.

use crate::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_is_planned_carried_out_and_told_by_links_to_the_server_that_it_is_on() {
    let shop = Shop::open_on_enterprise_server().await;
    production(&shop);
    let number = shop.open_pull_request();
    let record = record(&shop, number);
    keep(&shop, &record, signed(&record, RECORD_KEY)).await;
    let commit = shop.repository.merge(number, MergeStyle::Squash);
    let plan = ["plan", "--commit", &commit];
    let ran = shop.run(PROMOTE, &plan, &[]).await.exits(0);
    assert_eq!(ran.output("verdict"), "planned");
    assert!(!ran.stdout.contains("github.com"), "{ran:#?}");

    let ran = on_push(&shop, &commit).await.exits(0);
    assert!(ran.verdict().starts_with("promoted: "), "{ran:#?}");
    assert!(!ran.summary.contains("github.com"), "{ran:#?}");
    insta::assert_snapshot!(shop.links(number).join("\n"), @r"
    https://git.acme.test/acme/shop/actions/runs/101/attempts/1
    https://git.acme.test/acme/shop/actions/runs/101/attempts/1
    ");
    shop.close();
}
