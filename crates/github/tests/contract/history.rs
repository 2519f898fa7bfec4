//! What two trees and two histories have in common, and which records are kept of a commit.

use std::collections::BTreeMap;

use preview_core::import::{self, Import};
use preview_core::names::{RepositoryId, TreeSha};
use preview_core::record::{BuiltBy, RecordKey, RecordRefused, Trust};

use crate::*;

impl Stage {
    async fn tree(&self, commit: &CommitSha) -> TreeSha {
        self.github.commit(commit).await.unwrap().unwrap().tree
    }
}

#[tokio::test]
async fn two_trees_differ_where_a_file_came_went_or_changed() {
    let stage = Stage::new().await;
    let old = sha(stage.repository.push_to_base(&[
        ("web/a.html", "a"),
        ("web/b.html", "b"),
        ("api/gone.rs", "x"),
    ]));
    let new = sha(stage.repository.push_to_base(&[
        ("web/b.html", "B"),
        ("api/gone.rs", ""),
        ("api/new.rs", "x"),
    ]));
    let (old, new) = (stage.tree(&old).await, stage.tree(&new).await);
    let differing = stage.github.differing_paths(&old, &new).await.unwrap();
    assert_eq!(
        differing.unwrap(),
        ["api/gone.rs", "api/new.rs", "web/b.html"]
    );
    let same = stage.github.differing_paths(&old, &old).await.unwrap();
    assert_eq!(same, Some(Vec::new()));
    stage.conforms();
}

#[tokio::test]
async fn the_last_commit_in_common_is_where_a_branch_left() {
    let stage = Stage::new().await;
    let left = sha(stage.repository.push_to_base(&[("a.md", "a")]));
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    stage.repository.push_to_base(&[("b.md", "b")]);
    let head = stage.pull(number).await.head;
    let common = stage.github.merge_base("main", &head).await.unwrap();
    assert_eq!(common, Some(left));
    let gone = stage.github.merge_base("no-such-branch", &head).await;
    let problem = gone.unwrap_err().problem;
    assert!(matches!(problem, Problem::NotFound { .. }), "{problem}");
    stage.conforms();
}

#[tokio::test]
async fn a_record_that_cannot_be_believed_is_listed_with_the_reason_and_other_deployments_are_not()
{
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let head = stage.pull(number).await.head;
    let unsigned = json!({ "kind": "preview-environments/record", "version": 1, "record": "{}" });
    for (task, payload) in [
        ("preview-record", unsigned),
        ("preview-record", json!({ "kind": "somebody else's" })),
        ("preview", json!({})),
    ] {
        let request = DeploymentRequest {
            reference: head.clone(),
            environment: "preview".to_owned(),
            task: task.to_owned(),
            description: String::new(),
            payload,
            production: false,
            transient: true,
        };
        stage.github.create_deployment(&request).await.unwrap();
    }
    let trust = Trust {
        key: None,
        unsigned: false,
    };
    let ours = RepositoryId(stage.repository.id());
    let records = stage.github.records(&head, trust, ours).await.unwrap();
    assert_eq!(records, [Err(RecordRefused::Unsigned)]);
    let elsewhere = sha(stage.repository.head("main"));
    let none = stage.github.records(&elsewhere, trust, ours).await.unwrap();
    assert_eq!(none, []);
    stage.conforms();
}

#[tokio::test]
async fn what_was_imported_for_a_head_is_listed_where_our_key_has_signed_it() {
    let stage = Stage::new().await;
    let number = stage.repository.open_pull_request_from_fork(
        "mallory",
        "feature/tea",
        &[("tea.md", "green")],
    );
    let pull = stage.pull(number).await;
    let import = Import {
        version: import::VERSION,
        repository: RepositoryId(stage.repository.id()),
        pull: pull.number,
        head: pull.head.clone(),
        images: BTreeMap::new(),
        built_by: BuiltBy::Trusted,
        run: "12.1".parse().unwrap(),
        imported_at: "2026-11-28T14:32:00Z".parse().unwrap(),
    };
    let keys = ["our key ", "another "].map(|key| RecordKey::new(&key.repeat(8)).unwrap());
    for payload in [
        import.payload(&keys[0]),
        import.payload(&keys[1]),
        json!({ "kind": import::KIND }),
    ] {
        let request = DeploymentRequest {
            reference: pull.head.clone(),
            environment: "preview".to_owned(),
            task: "preview-import".to_owned(),
            description: String::new(),
            payload,
            production: false,
            transient: true,
        };
        stage.github.create_deployment(&request).await.unwrap();
    }
    let ours = import.repository;
    let imports = stage.github.imports(&pull.head, &keys[0], ours).await;
    assert_eq!(imports.unwrap(), [import]);
    let elsewhere = sha(stage.repository.head("main"));
    let none = stage.github.imports(&elsewhere, &keys[0], ours).await;
    assert_eq!(none.unwrap(), []);
    stage.conforms();
}

#[tokio::test]
async fn the_heads_of_the_branches_below_a_name_are_listed() {
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let below = async |prefix: &str| stage.github.heads_below(prefix).await.unwrap();
    assert_eq!(below("gh-readonly-queue/main/").await, []);
    let group = sha(stage.repository.queue(number));
    assert_eq!(
        below("gh-readonly-queue/main/").await,
        std::slice::from_ref(&group)
    );
    // The name begins the same, and is another branch's queue.
    assert_eq!(below("gh-readonly-queue/mai/").await, []);

    assert_eq!(sha(stage.repository.merge_queued(number)), group);
    assert_eq!(below("gh-readonly-queue/main/").await, []);
    let merged = PullState::Merged {
        commit: group.clone(),
    };
    assert_eq!(stage.pull(number).await.state, merged);
    assert!(stage.github.is_ancestor(&group, "main").await.unwrap());
    stage.conforms();
}
