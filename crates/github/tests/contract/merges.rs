//! What GitHub says of merging a pull request.

use preview_core::promote::{Promotable, TestMerge, promotable};

use crate::*;

#[tokio::test]
async fn a_pull_request_is_merged_with_its_base_as_both_are() {
    let stage = Stage::new().await;
    let base = sha(stage.repository.push_to_base(&[("a.md", "a")]));
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    // It is asked again until GitHub knows.
    stage.repository.lag_mergeability(number, 1);
    let merging = stage.github.merging(pr(number)).await.unwrap().unwrap();
    let merge = merging.made().unwrap().clone();
    assert_eq!(merge.parents, [base, merging.pull.head.clone()]);
    assert_eq!(promotable(&merge.tree, [], &merging), Promotable::Yes);

    stage.repository.push_to_base(&[("b.md", "b")]);
    let moved = stage.github.merging(pr(number)).await.unwrap().unwrap();
    assert_ne!(moved.base, merging.base);
    let base_ref = "main".to_owned();
    assert_eq!(
        promotable(&merge.tree, [], &moved),
        Promotable::Moved { base_ref }
    );

    // Where the branch is said to be where it is no more, it is read.
    let onto = async |base| {
        let merging = stage.github.merging_onto(pr(number), base);
        merging.await.unwrap().unwrap()
    };
    assert_eq!(onto(Some(&merging.base)).await, moved);
    assert_eq!(onto(Some(&moved.base)).await, moved);

    stage.repository.push_to_base(&[("tea.md", "black")]);
    let conflicting = stage.github.merging(pr(number)).await.unwrap().unwrap();
    assert_eq!(conflicting.tried, TestMerge::Conflicts);
    assert_eq!(stage.github.merging(pr(999)).await.unwrap(), None);
    stage.conforms();
}

#[tokio::test]
async fn a_merge_is_read_with_its_files_and_where_it_left_the_branch_by_one_request() {
    let stage = Stage::new().await;
    let base = sha(stage.repository.push_to_base(&[("a.md", "a")]));
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let merge = sha(stage.repository.merge_commit_of(number).unwrap());
    let brought = async |sha| stage.github.brought("main", sha).await.unwrap();
    let told = brought(&merge).await.unwrap();
    assert_eq!(told.merge_base, base);
    assert_eq!(
        told.commit.parents,
        [base.clone(), stage.pull(number).await.head]
    );
    let files = stage.github.changed_files(pr(number)).await.unwrap();
    assert_eq!(told.files, Some(files));
    // What was read so is known.
    let traffic = stage.server.traffic();
    traffic.forget();
    assert_eq!(
        stage.github.commit(&merge).await.unwrap(),
        Some(told.commit.clone())
    );
    assert_eq!(traffic.exchanges(), []);

    stage.repository.push_to_base(&[("b.md", "b")]);
    assert_eq!(
        brought(&merge).await,
        Some(told),
        "whatever came to the branch since"
    );
    assert_eq!(brought(&base).await, None, "the branch has it");
    assert_eq!(brought(&sha("f".repeat(40))).await, None);
    stage.conforms();
}

#[tokio::test]
async fn a_branch_is_at_a_commit_and_one_that_is_not_there_at_none() {
    let stage = Stage::new().await;
    let pushed = sha(stage.repository.push_to_base(&[("a.md", "a")]));
    stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let head_of = async |branch: &str| stage.github.branch_head(branch).await.unwrap();
    assert_eq!(head_of("main").await, Some(pushed));
    assert!(head_of("feature/tea").await.is_some());
    assert_eq!(head_of("feature").await, None);
    assert_eq!(head_of("mai").await, None);
    stage.conforms();
}

#[tokio::test]
async fn open_pull_requests_are_listed_by_the_branch_they_go_into() {
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let closed = stage
        .repository
        .open_pull_request("feature/milk", &[("milk.md", "white")]);
    stage.repository.close(closed);
    let open = stage.github.open_pulls_into("main").await.unwrap();
    let numbers: Vec<PrNumber> = open.iter().map(|pull| pull.number).collect();
    assert_eq!(numbers, [pr(number)]);
    assert_eq!(
        stage.github.open_pulls_into("release").await.unwrap(),
        Vec::new()
    );
    stage.conforms();
}
