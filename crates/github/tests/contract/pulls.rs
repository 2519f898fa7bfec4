//! Pull requests, commits, and the events that tell of them.

use crate::*;

#[tokio::test]
async fn the_three_commits_of_a_pull_request_are_told_apart_until_it_is_merged() {
    for style in [MergeStyle::Merge, MergeStyle::Squash, MergeStyle::Rebase] {
        let stage = Stage::new().await;
        let number = stage
            .repository
            .open_pull_request("feature/tea", &[("tea.md", "green")]);
        let open = stage.pull(number).await;
        let h = open.head.clone();
        let b = open.test_merge.clone().unwrap();
        assert_eq!(
            (&open.state, open.author.as_str()),
            (&PullState::Open, "alice")
        );
        assert!(!open.is_from_fork());

        let built = stage.github.commit(&b).await.unwrap().unwrap();
        assert_eq!(
            built.parents,
            [sha(stage.repository.head("main")), h.clone()]
        );
        assert!(
            stage
                .github
                .is_ancestor(&built.parents[0], "main")
                .await
                .unwrap()
        );
        assert!(!stage.github.is_ancestor(&h, "main").await.unwrap());

        let m = sha(stage.repository.merge(number, style));
        let merged = stage.pull(number).await;
        assert_eq!(
            (merged.state, merged.test_merge),
            (PullState::Merged { commit: m.clone() }, None)
        );
        assert_eq!(
            stage.github.commit(&m).await.unwrap().unwrap().tree,
            built.tree,
            "{style:?}"
        );
        let introduced = stage.github.pulls_of_commit(&m).await.unwrap();
        assert_eq!(
            introduced
                .iter()
                .map(|pull| pull.number)
                .collect::<Vec<_>>(),
            [pr(number)],
            "{style:?}"
        );
        assert!(h != b && b != m && h != m);
        stage.conforms();
    }
}

#[tokio::test]
async fn a_pull_request_says_whose_it_is_and_of_which_repository() {
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let by_alice = stage.pull(number).await;
    assert_eq!(
        by_alice.base_repository,
        stage.github.repository().await.unwrap()
    );
    stage.repository.set_author(number, "dependabot[bot]");
    let by_bot = stage.pull(number).await;
    assert_eq!(
        [
            (by_alice.author.as_str(), by_alice.is_by_bot),
            (by_bot.author.as_str(), by_bot.is_by_bot)
        ],
        [("alice", false), ("dependabot[bot]", true)]
    );
    stage.conforms();
}

#[tokio::test]
async fn what_does_not_exist_is_none() {
    let stage = Stage::new().await;
    assert_eq!(stage.github.pull(pr(999)).await.unwrap(), None);
    assert_eq!(
        stage.github.commit(&sha("f".repeat(40))).await.unwrap(),
        None
    );
    stage.conforms();
}

#[tokio::test]
async fn a_commit_of_the_base_is_one_also_when_the_base_has_moved_on() {
    let stage = Stage::new().await;
    let old = sha(stage.repository.head("main"));
    let new = sha(stage.repository.push_to_base(&[("b.md", "b")]));
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let head = stage.pull(number).await.head;
    for (commit, tip, is_in_its_past) in [
        (&old, "main", true),
        (&new, "main", true),
        (&head, "main", false),
        (&new, old.as_str(), false),
        (&new, "feature/tea", true),
    ] {
        assert_eq!(
            stage.github.is_ancestor(commit, tip).await.unwrap(),
            is_in_its_past,
            "{commit} {tip}"
        );
    }
    let gone = stage
        .github
        .is_ancestor(&old, "no-such-branch")
        .await
        .unwrap_err();
    assert!(matches!(gone.problem, Problem::NotFound { .. }), "{gone}");
    stage.conforms();
}

#[tokio::test]
async fn a_finished_ci_run_leads_to_its_pull_request_in_a_branch_and_in_a_fork() {
    let stage = Stage::new().await;
    let ours = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let theirs = stage.repository.open_pull_request_from_fork(
        "mallory",
        "feature/tea",
        &[("tea.md", "black")],
    );
    for number in [ours, theirs] {
        let payload = stage.repository.workflow_run_payload(number).to_string();
        let Ok(Event::WorkflowRun(run)) = Event::parse("workflow_run", "event.json", &payload)
        else {
            panic!()
        };
        assert_eq!(
            (run.action.as_str(), run.conclusion.as_deref()),
            ("completed", Some("success"))
        );
        assert_eq!(
            (run.event.as_str(), run.repository.id.0),
            ("pull_request", stage.repository.id())
        );
        let from = run.head_repository.unwrap();
        let branch = run.head_branch.unwrap();
        let found = stage
            .github
            .open_pulls_of_head(&from.owner, &branch, &run.head_sha, &from.slug)
            .await
            .unwrap();
        assert_eq!(
            found.iter().map(|pull| pull.number).collect::<Vec<_>>(),
            [pr(number)]
        );

        // The author pushes while CI runs: that run's head is nobody's head any more.
        stage.repository.push(number, &[("tea.md", "white")]);
        let found = stage
            .github
            .open_pulls_of_head(&from.owner, &branch, &run.head_sha, &from.slug)
            .await
            .unwrap();
        assert_eq!(found, []);
    }
    stage.repository.delete_fork("mallory");
    let payload = stage.repository.workflow_run_payload(theirs).to_string();
    let Ok(Event::WorkflowRun(run)) = Event::parse("workflow_run", "event.json", &payload) else {
        panic!()
    };
    assert_eq!(run.head_repository, None);
    assert_eq!(stage.pull(theirs).await.head_repository, None);
    stage.conforms();
}

#[tokio::test]
async fn closing_and_merging_are_told_by_their_events() {
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let head = stage.pull(number).await.head;
    let m = stage.repository.merge(number, MergeStyle::Squash);
    let closed = stage
        .repository
        .pull_request_closed_payload(number)
        .to_string();
    let Ok(Event::PullRequest(closed)) = Event::parse("pull_request", "event.json", &closed) else {
        panic!()
    };
    assert_eq!(
        (closed.action.as_str(), closed.number, closed.merged),
        ("closed", pr(number), true)
    );
    assert_eq!(closed.head_sha, head);
    let push = stage.repository.push_payload(&m).to_string();
    let Ok(Event::Push(push)) = Event::parse("push", "event.json", &push) else {
        panic!()
    };
    assert!(push.is_to_default_branch());
    assert_eq!(push.after, Some(sha(m)));
    stage.conforms();
}
