//! Deployments and commit statuses.

use crate::*;

fn progress(head: &CommitSha, pr: u64) -> DeploymentRequest {
    DeploymentRequest {
        reference: head.clone(),
        environment: "preview".into(),
        task: "preview".into(),
        description: format!("Preview of #{pr}"),
        payload: json!({ "pr": pr }),
        production: false,
        transient: true,
    }
}

fn status(state: DeploymentState) -> NewDeploymentStatus {
    NewDeploymentStatus {
        state,
        description: "as it goes".into(),
        log_url: Some("https://github.com/acme/shop/actions/runs/1".into()),
        environment_url: Some("https://7.pr.example.com".into()),
    }
}

#[tokio::test]
async fn a_deployment_goes_its_way_once_and_is_retired() {
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let head = stage.pull(number).await.head;
    stage.lose_answer_of_post("/deployments");
    let created = stage
        .github
        .create_deployment(&progress(&head, number))
        .await
        .unwrap();
    assert_eq!(
        (&created.reference, &created.payload),
        (&head, &json!({ "pr": number }))
    );
    assert_eq!(created.creator.as_deref(), Some("github-actions[bot]"));

    stage
        .github
        .set_deployment_status(created.id, &status(DeploymentState::InProgress))
        .await
        .unwrap();
    stage.lose_answer_of_post("/statuses");
    stage
        .github
        .set_deployment_status(created.id, &status(DeploymentState::Success))
        .await
        .unwrap();
    let statuses = stage.github.deployment_statuses(created.id).await.unwrap();
    let newest = statuses.iter().max_by_key(|status| status.id).unwrap();
    assert_eq!(statuses.len(), 2);
    assert_eq!(
        newest.environment_url.as_deref(),
        Some("https://7.pr.example.com")
    );

    assert_eq!(
        stage
            .github
            .retire_deployments(&[created.id], "closed")
            .await
            .unwrap(),
        [created.id]
    );
    assert_eq!(
        stage
            .github
            .retire_deployments(&[created.id], "closed")
            .await
            .unwrap(),
        []
    );
    let seen = stage.repository.deployments();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].states, ["in_progress", "success", "inactive"]);
    stage.conforms();
}

#[tokio::test]
async fn deployments_are_listed_whole_and_by_what_is_asked_for() {
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let head = stage.pull(number).await.head;
    for run in 0..130 {
        stage
            .github
            .create_deployment(&progress(&head, run))
            .await
            .unwrap();
    }
    let base = sha(stage.repository.head("main"));
    let record = DeploymentRequest {
        task: "preview-record".into(),
        ..progress(&base, 1)
    };
    let record = stage.github.create_deployment(&record).await.unwrap();

    let all = stage
        .github
        .deployments(&DeploymentFilter::default())
        .await
        .unwrap();
    assert_eq!(all.len(), 131);
    let listed = async |filter: DeploymentFilter| -> Vec<DeploymentId> {
        stage
            .github
            .deployments(&filter)
            .await
            .unwrap()
            .iter()
            .map(|deployment| deployment.id)
            .collect()
    };
    let of_task = DeploymentFilter {
        task: Some("preview-record".into()),
        ..DeploymentFilter::default()
    };
    let of_commit = DeploymentFilter {
        reference: Some(base),
        ..DeploymentFilter::default()
    };
    let elsewhere = DeploymentFilter {
        environment: Some("production".into()),
        ..DeploymentFilter::default()
    };
    assert_eq!(listed(of_task).await, [record.id]);
    assert_eq!(listed(of_commit).await, [record.id]);
    assert_eq!(listed(elsewhere).await, []);
    stage.conforms();
}

#[tokio::test]
async fn those_that_are_not_inactive_are_told_from_the_others_in_a_request_for_each_hundred() {
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let head = stage.pull(number).await.head;
    let github = &stage.github;
    let mut made = Vec::new();
    for run in 0..101 {
        let created = github.create_deployment(&progress(&head, run)).await;
        made.push(created.unwrap());
    }
    let elsewhere = DeploymentRequest {
        environment: "production".into(),
        ..progress(&head, number)
    };
    github.create_deployment(&elsewhere).await.unwrap();
    let success = status(DeploymentState::Success);
    for deployment in [&made[0], &made[1]] {
        let set = github.set_deployment_status(deployment.id, &success).await;
        set.unwrap();
    }
    let over = [made[1].id, made[2].id, made[100].id];
    github.retire_deployments(&over, "over").await.unwrap();

    let active = github.active_deployments("preview").await.unwrap();
    let expected = made.iter().filter(|one| !over.contains(&one.id));
    assert_eq!(active, expected.map(|one| one.node.clone()).collect());
    let asked = stage.server.traffic().exchanges().into_iter();
    assert_eq!(asked.filter(|one| one.target == "/graphql").count(), 2);
    stage.conforms();
}

#[tokio::test]
async fn what_stands_on_a_pull_request_is_read_as_far_back_as_it_was_opened() {
    let stage = Stage::new().await;
    let open = |branch| {
        stage
            .repository
            .open_pull_request(branch, &[(&format!("{branch}.md"), "tea")])
    };
    let older = open("green");
    let head = stage.pull(older).await.head;
    let create = async |run| {
        let created = stage.github.create_deployment(&progress(&head, run)).await;
        created.unwrap()
    };
    for run in 0..210 {
        create(run).await;
    }
    stage.server.advance(Duration::from_secs(7_200));
    let number = open("black");
    stage.repository.add_label(number, "bug");
    let (ended, active) = (create(300).await, create(301).await);
    let github = &stage.github;
    github.retire_deployment(ended.id, "over").await.unwrap();

    let traffic = stage.server.traffic();
    traffic.forget();
    let standing = github.standing(pr(number), "preview").await.unwrap();
    assert_eq!(standing.labels[0].name, "bug");
    assert_eq!(standing.base, Some(sha(stage.repository.head("main"))));
    let found: Vec<_> = standing.active.iter().map(|one| &one.node).collect();
    assert_eq!(found, [&active.node]);
    assert_eq!(standing.active[0].payload, active.payload);
    let in_preview = DeploymentFilter {
        environment: Some("preview".into()),
        ..DeploymentFilter::default()
    };
    let listed = github
        .deployments_since(&in_preview, standing.opened)
        .await
        .unwrap();
    let listed: Vec<DeploymentId> = listed.into_iter().map(|one| one.id).collect();
    assert_eq!(listed, [active.id, ended.id]);
    assert_eq!(traffic.exchanges().len(), 2);

    // And all of them where they matter: in three pages each.
    let standing = github.standing(pr(older), "preview").await.unwrap();
    assert_eq!(standing.active.len(), 211);
    let listed = github.deployments_since(&in_preview, standing.opened);
    assert_eq!(listed.await.unwrap().len(), 212);
    assert_eq!(traffic.exchanges().len(), 2 + 6);
    stage.conforms();
}

#[tokio::test]
async fn a_deployment_that_was_a_success_has_been_one_even_when_it_is_over() {
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let head = stage.pull(number).await.head;
    let github = &stage.github;
    let request = progress(&head, number);
    let created = github.create_deployment(&request).await.unwrap();
    let in_environment = |name: &str| DeploymentFilter {
        environment: Some(name.into()),
        ..DeploymentFilter::default()
    };
    let has_succeeded =
        async |name: &str| github.has_succeeded(&in_environment(name)).await.unwrap();
    let set = async |state| {
        let status = status(state);
        let set = github.set_deployment_status(created.id, &status);
        set.await.unwrap();
    };

    set(DeploymentState::InProgress).await;
    assert!(!has_succeeded("preview").await);
    set(DeploymentState::Success).await;
    github
        .retire_deployments(&[created.id], "over")
        .await
        .unwrap();
    assert!(has_succeeded("preview").await);
    assert!(!has_succeeded("production").await);
    stage.conforms();
}
