//! Starting a workflow.

use std::collections::BTreeMap;

use crate::*;

fn inputs(names: &[(&str, &str)]) -> BTreeMap<String, String> {
    let names = names.iter();
    names
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn a_workflow_is_started_with_its_inputs_on_the_default_branch() {
    let stage = Stage::new().await;
    stage
        .repository
        .add_dispatched_workflow("deploy.yml", &["pr", "sha"]);
    let given = inputs(&[("pr", "7"), ("sha", "abc")]);
    stage
        .github
        .dispatch_workflow("deploy.yml", "main", &given)
        .await
        .unwrap();
    let dispatches = stage.repository.dispatches();
    assert_eq!(dispatches.len(), 1);
    assert_eq!(dispatches[0].reference, "main");
    assert_eq!(dispatches[0].inputs, json!({ "pr": "7", "sha": "abc" }));
    stage.conforms();
}

#[tokio::test]
async fn what_cannot_be_started_is_told_in_githubs_words() {
    let stage = Stage::new().await;
    stage
        .repository
        .add_dispatched_workflow("deploy.yml", &["pr"]);
    let mut told = Vec::new();
    for (file, branch, given) in [
        ("absent.yml", "main", inputs(&[])),
        ("ci.yml", "main", inputs(&[])),
        ("deploy.yml", "gone", inputs(&[])),
        ("deploy.yml", "main", inputs(&[("commit", "abc")])),
    ] {
        let started = stage.github.dispatch_workflow(file, branch, &given).await;
        told.push(started.unwrap_err().to_string());
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    cannot start the workflow absent.yml of acme/shop on main: GitHub does not find it (404: Not Found); check that it exists and that the token may see it
    cannot start the workflow ci.yml of acme/shop on main: GitHub refuses it (422: Workflow does not have 'workflow_dispatch' trigger); correct what it names and run this again
    cannot start the workflow deploy.yml of acme/shop on gone: GitHub refuses it (422: No ref found for: gone); correct what it names and run this again
    cannot start the workflow deploy.yml of acme/shop on main: GitHub refuses it (422: Unexpected inputs provided: ["commit"]); correct what it names and run this again
    "#);
    assert_eq!(stage.repository.dispatches(), []);
    stage.conforms();
}

#[tokio::test]
async fn a_start_whose_answer_was_lost_is_not_repeated() {
    let stage = Stage::new().await;
    stage.repository.add_dispatched_workflow("deploy.yml", &[]);
    stage.lose_answer_of_post("/dispatches");
    let started = stage
        .github
        .dispatch_workflow("deploy.yml", "main", &inputs(&[]))
        .await;
    assert!(started.is_err());
    assert_eq!((stage.posts(), stage.repository.dispatches().len()), (1, 1));
    stage.conforms();
}
