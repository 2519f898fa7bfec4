//! A promotion of the same merge that is refused while the cleanup runs: nothing but the comment tells of it.

use preview_core::comment::{Comment, State};

use crate::*;

/// A merged pull request with its preview.
async fn merged() -> (Shop, u64) {
    let shop = Shop::open().await;
    let number = opened(&shop);
    preview(&shop, number).await;
    shop.repository.merge(number, MergeStyle::Squash);
    (shop, number)
}

/// Cleans up, with a gate on the way to GitHub: what of the cluster ends first is not the same each time.
async fn clean_up_through(shop: &Shop, number: u64, gate: &Gate) -> Ran {
    let github = shop.world.github.through(gate).await.unwrap();
    let arguments = ["--pr", &number.to_string()];
    shop.run(CLEANUP, &arguments, &[("GITHUB_API_URL", github)])
        .await
}

/// What a refused promotion tells, which has not heard that the preview is gone.
fn refusal(shop: &Shop, number: u64) -> String {
    let state = State::NotPromoted {
        target: "production".to_owned(),
        reasons: vec!["it was never tested".to_owned()],
    };
    let head = shop.repository.head_of(number).parse().unwrap();
    Comment::of(state, head, jiff::Timestamp::UNIX_EPOCH, None).render()
}

/// The numbers of the cleanup's requests that read the comment.
fn reads_of_comment(came: &[String]) -> Vec<usize> {
    let reads = came.iter().zip(1..);
    let reads = reads.filter(|(request, _)| {
        request.starts_with("GET ") && request.contains("/issues/") && request.contains("/comments")
    });
    reads.map(|(_, nth)| nth).collect()
}

/// What the comment says where the promotion is refused while the cleanup is held at its request `nth`.
async fn refused_at(nth: usize) -> String {
    let (shop, number) = merged().await;
    let gate = Gate::closed_from(nth);
    let cleanup = clean_up_through(&shop, number, &gate);
    let refused = async {
        gate.holds().await;
        let body = refusal(&shop, number);
        let number = preview_core::PrNumber::new(number).unwrap();
        let told = github(&shop).upsert_comment(number, MARKER, &body).await;
        told.unwrap();
        gate.open();
    };
    let (ran, ()) = tokio::join!(cleanup, refused);
    ran.exits(0);
    let comment = shop.comment(number);
    let told = comment
        .lines()
        .filter(|line| line.contains("**Status**") || line.contains("**Preview**"));
    let told = told.collect::<Vec<_>>().join("\n");
    shop.close();
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_promotion_stays_told_whenever_the_cleanup_reads_the_comment() {
    let (shop, number) = merged().await;
    let gate = Gate::closed_from(usize::MAX);
    clean_up_through(&shop, number, &gate).await.exits(0);
    shop.close();
    let reads = reads_of_comment(&gate.came());
    assert_eq!(reads.len(), 3, "{:#?}", gate.came());
    for nth in reads {
        let told = refused_at(nth).await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(told, @r"
            **Status**: ⛔ Not promoted — production
            **Preview**: 🗑️ Destroyed
            ");
        }
    }
}
