//! How a repository is set up: environments and what protects them, workflows and whether they run.

use preview_core::doctor::{BranchRule, Environment, Workflow};
use sandbox::github;

use crate::*;

#[tokio::test]
async fn environments_are_told_with_what_protects_them() {
    let stage = Stage::new().await;
    assert_eq!(stage.github.environments().await.unwrap(), []);
    let made = [
        github::Environment::new("preview-approval").reviewers(&["anna"]),
        github::Environment::new("preview").branches(&["main"]),
        github::Environment::new("production").protected_branches(),
    ];
    for environment in made {
        stage.repository.set_environment(environment);
    }
    let environment = |name: &str, reviewers: &[&str], branches| Environment {
        name: name.to_owned(),
        has_reviewers: !reviewers.is_empty(),
        reviewers: reviewers.iter().map(|name| (*name).to_owned()).collect(),
        branches,
    };
    assert_eq!(
        stage.github.environments().await.unwrap(),
        [
            environment("preview-approval", &["anna"], BranchRule::All),
            environment("preview", &[], BranchRule::Named),
            environment("production", &[], BranchRule::Protected),
        ]
    );
    stage.conforms();
}

#[tokio::test]
async fn all_workflows_are_listed_over_all_pages_with_their_state() {
    let stage = Stage::new().await;
    for number in 1..=100 {
        stage.repository.add_workflow(&format!("w{number}.yml"));
    }
    stage.repository.disable_workflow("w100.yml");
    let found = stage.github.workflows().await.unwrap();
    assert_eq!(found.len(), 101, "with ci.yml");
    let workflow = |file: &str, state: &str| Workflow {
        path: format!(".github/workflows/{file}"),
        state: state.to_owned(),
    };
    assert_eq!(found[0], workflow("ci.yml", "active"));
    assert_eq!(found[100], workflow("w100.yml", "disabled_inactivity"));
    stage.conforms();
}
