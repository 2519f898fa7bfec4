//! What a push means for the pull requests that are still open.

use sandbox::Fault;
use sandbox::github::MergeStyle;

use crate::shop::RECORD_KEY;
use crate::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_push_says_of_the_other_pull_requests_whether_they_may_be_merged_as_they_are() {
    let (shop, number) = built().await;
    let other = shop
        .repository
        .open_pull_request("feature/tea", &[("web/tea.html", "green")]);
    shop.build(other);
    let untested = shop
        .repository
        .open_pull_request("feature/milk", &[("web/milk.html", "white")]);
    for number in [number, other] {
        let record = record(&shop, number);
        keep(&shop, &record, signed(&record, RECORD_KEY)).await;
    }
    let commit = shop.repository.merge(number, MergeStyle::Squash);
    let ran = on_push(&shop, &commit).await.exits(0);
    assert!(ran.verdict().starts_with("promoted: "), "{ran:#?}");
    let statuses = |number| {
        let head = shop.repository.head_of(number);
        let statuses = shop.repository.statuses(&head).into_iter();
        let told = statuses.map(|status| {
            let description = status.description.unwrap_or_default();
            format!("{} {}: {description}", status.context, status.state)
        });
        told.collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(statuses(other), @"preview/promotable failure: main has moved on, so a merge is not what the preview shows; update the branch");
    assert_eq!(statuses(untested), "");

    // Whoever changes nothing takes nothing away from what was tested.
    let third = shop
        .repository
        .open_pull_request("feature/sugar", &[("web/sugar.html", "sweet")]);
    shop.build(third);
    let record = record(&shop, third);
    keep(&shop, &record, signed(&record, RECORD_KEY)).await;
    let unchanged = shop.repository.push_to_base(&[]);
    pushed_long_ago(&shop, &unchanged);
    on_push(&shop, &unchanged).await;
    insta::assert_snapshot!(statuses(third), @"preview/promotable success: Merged now, it is what the preview shows");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_looked_at_keeps_no_other_from_it() {
    let (shop, number) = built().await;
    let others: Vec<u64> = ["tea", "milk"]
        .into_iter()
        .map(|branch| {
            let file = format!("web/{branch}.html");
            let other = shop
                .repository
                .open_pull_request(branch, &[(&file, branch)]);
            shop.build(other);
            other
        })
        .collect();
    for number in others.iter().chain([&number]) {
        let record = record(&shop, *number);
        keep(&shop, &record, signed(&record, RECORD_KEY)).await;
    }
    let commit = shop.repository.merge(number, MergeStyle::Squash);
    let gone = Fault::Answer {
        status: 403,
        headers: Vec::new(),
        body: r#"{ "message": "Forbidden" }"#.to_owned(),
    };
    let head = shop.repository.head_of(others[1]);
    let statuses = format!("/statuses/{head}");
    shop.world.github.traffic().plan("POST", &statuses, 1, gone);
    let ran = on_push(&shop, &commit).await.exits(0);
    let warning = format!(
        "the status preview/promotable of #{} was not set",
        others[1]
    );
    let told = format!("{}{}", ran.stdout, ran.stderr);
    assert!(told.contains(&warning), "{told}");
    let head = shop.repository.head_of(others[0]);
    assert_eq!(shop.repository.statuses(&head).len(), 1);
    shop.close();
}
