//! What was previewed as a commit by itself: tested after it was merged, or in the merge queue before.

use sandbox::github::MergeStyle;
use sandbox::registry::Image;

use crate::shop::{RECORD_KEY, Shop};
use crate::*;

/// CI of a commit, and what a preview of it by itself would have recorded.
pub(crate) async fn tested(shop: &Shop, commit: &str) {
    let mut record = record(shop, 7);
    record.subject = format!("commit-{commit}").parse().unwrap();
    record.head = commit.parse().unwrap();
    record.tree = shop.repository.tree(commit).parse().unwrap();
    record.base = None;
    for component in ["web", "api"] {
        let image = Image::of(commit).containing(component);
        let image = shop.publish(component, commit, &image);
        let name: ComponentName = component.parse().unwrap();
        let recorded = record.components.get_mut(&name).unwrap();
        recorded.image = image.parse().unwrap();
        recorded.built_from = commit.parse().unwrap();
    }
    keep(shop, &record, signed(&record, RECORD_KEY)).await;
}

fn runs_what_was_built_of(shop: &Shop, commit: &str) {
    for component in ["web", "api"] {
        let digest = &shop.world.registry.tags(&format!("acme/{component}"))[commit];
        let runs = runs(shop, component);
        assert!(runs.ends_with(digest), "{runs} {digest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_commit_that_differs_from_what_was_tested_is_promoted_once_it_is_tested_itself() {
    let (shop, number) = built().await;
    let record = record(&shop, number);
    keep(&shop, &record, signed(&record, RECORD_KEY)).await;
    shop.repository.push_to_base(&[("api/main.rs", "dearer")]);
    let commit = shop.repository.merge(number, MergeStyle::Squash);
    let skewed = on_push(&shop, &commit).await.exits(1);
    let error = skewed.error();
    assert!(error.contains("preview-deploy --commit"), "{error}");

    tested(&shop, &commit).await;
    let ran = on_push(&shop, &commit).await.exits(0);
    assert!(ran.verdict().starts_with("promoted: "), "{ran:#?}");
    runs_what_was_built_of(&shop, &commit);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_tested_in_the_merge_queue_is_promoted_when_it_is_merged() {
    let (shop, number) = built().await;
    let commit = shop.repository.queue(number);
    tested(&shop, &commit).await;
    let early = shop.run(PROMOTE, &["--commit", &commit], &[]).await;
    let error = early.exits(1).error();
    assert!(error.contains("is not a commit of main"), "{error}");

    assert_eq!(shop.repository.merge_queued(number), commit);
    on_push(&shop, &commit).await.exits(0);
    runs_what_was_built_of(&shop, &commit);
    shop.close();
}
