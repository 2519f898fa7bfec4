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
async fn it_is_looked_for_once_and_again_where_somebody_has_deleted_it() {
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let write = async |body: &str| {
        let written = stage.github.upsert_comment(pr(number), MARKER, body).await;
        written.unwrap()
    };
    write("building").await;
    let first = write("rolling out").await;
    assert_eq!(first.change, Change::Updated);
    stage.repository.delete_comment(first.comment.id);
    assert_eq!(write("ready").await.change, Change::Created);
    assert_eq!(stage.repository.comments(number).len(), 1);

    // What it says already as far as this client knows is not believed without a look.
    let second = write("done").await;
    stage
        .repository
        .edit_comment(second.comment.id, "<!-- preview -->\nfailed");
    assert_eq!(write("done").await.change, Change::Updated);

    let asked = stage.server.traffic().exchanges().into_iter();
    let asked = asked.map(|one| match one.target.contains("/issues/comments/") {
        true => format!("{} the comment: {}", one.method, one.status),
        false => format!("{} {}: {}", one.method, one.target, one.status),
    });
    insta::assert_snapshot!(asked.collect::<Vec<_>>().join("\n"), @r"
    POST /graphql: 200
    GET /repos/acme/shop/issues/7/comments?per_page=100: 200
    POST /repos/acme/shop/issues/7/comments: 201
    GET /repos/acme/shop/issues/7/comments?per_page=100: 200
    PATCH the comment: 200
    PATCH the comment: 404
    GET /repos/acme/shop/issues/7/comments?per_page=100: 200
    POST /repos/acme/shop/issues/7/comments: 201
    GET /repos/acme/shop/issues/7/comments?per_page=100: 200
    PATCH the comment: 200
    GET /repos/acme/shop/issues/7/comments?per_page=100: 200
    PATCH the comment: 200
    ");
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
