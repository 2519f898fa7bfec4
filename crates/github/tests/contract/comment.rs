//! The one comment that is kept up to date.

use crate::*;

#[tokio::test]
async fn the_comment_is_one_among_hundreds_however_often_it_is_written() {
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    stage.repository.comment(number, "mallory", MARKER);
    for n in 0..220 {
        stage
            .repository
            .comment(number, "alice", &format!("thought {n}"));
    }
    assert_eq!(
        stage.github.comment(pr(number), MARKER).await.unwrap(),
        None
    );
    stage.lose_answer_of_post("/comments");
    let write = async |body: &str| {
        stage
            .github
            .upsert_comment(pr(number), MARKER, body)
            .await
            .unwrap()
    };
    assert_eq!(write("building").await.change, Change::Created);
    assert_eq!(write("building").await.change, Change::Unchanged);
    assert_eq!(write("ready").await.change, Change::Updated);
    assert_eq!(write(&"long ".repeat(20_000)).await.change, Change::Updated);
    assert_eq!(write("ready").await.change, Change::Updated);
    assert_eq!(stage.posts(), 1);
    let all = stage.repository.comments(number);
    assert_eq!(all.len(), 222);
    insta::assert_debug_snapshot!(all.last().unwrap(), @r#"
    (
        "github-actions[bot]",
        "<!-- preview -->\nready",
    )
    "#);
    let read = stage
        .github
        .comment(pr(number), MARKER)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read.body, "<!-- preview -->\nready");
    stage.conforms();
}

#[tokio::test]
async fn two_that_find_no_comment_at_the_same_time_leave_one() {
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    // It asks who it is, looks for the comment, and is held before it creates one.
    let gate = sandbox::Gate::closed_from(3);
    let slower = client_at(&stage.server.through(&gate).await.unwrap(), ACTIONS_TOKEN);
    let slow = async {
        let written = slower.upsert_comment(pr(number), MARKER, "slow").await;
        written.unwrap()
    };
    let fast = async {
        gate.holds().await;
        let github = &stage.github;
        let written = github.upsert_comment(pr(number), MARKER, "fast").await;
        gate.open();
        written.unwrap()
    };
    let (slow, fast) = tokio::join!(slow, fast);
    assert_eq!(
        (fast.change, slow.change),
        (Change::Created, Change::Updated)
    );
    let all = stage.repository.comments(number);
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(
        all[0].1.ends_with("slow"),
        "who wrote last is read: {all:?}"
    );
    stage.conforms();
}
