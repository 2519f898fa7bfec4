//! Starting a workflow, and cancelling its runs that wait for approval.

use std::collections::BTreeMap;

use preview_core::approvals::WaitingRun;
use preview_core::deploy::Review;
use preview_github::Cancelling;

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

const NAME: &str = "preview of #7 at aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

impl Stage {
    /// A run that waits for approval; its id.
    fn waits(&self) -> u64 {
        self.repository
            .wait_for_approval("preview-deploy.yml", "preview-approval", NAME)
    }

    /// What the list, and the run's own page, say of the runs that wait.
    async fn waiting(&self, run: u64) -> (Vec<WaitingRun>, Option<WaitingRun>) {
        let all = self.github.waiting_runs().await.unwrap();
        (all, self.github.waiting_run(run).await.unwrap())
    }
}

#[tokio::test]
async fn runs_that_wait_for_approval_are_listed_with_their_names() {
    let stage = Stage::new().await;
    let pull = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    stage.repository.start_run(pull, "preview-deploy.yml");
    let run = stage.waits();
    stage
        .repository
        .backdate_run(run, Duration::from_secs(8 * 24 * 3600));
    let (all, one) = stage.waiting(run).await;
    assert_eq!((all.len(), Some(&all[0])), (1, one.as_ref()));
    let WaitingRun {
        id,
        workflow,
        branch,
        repository,
        title,
        since,
        page,
    } = &all[0];
    assert_eq!((*id, title.as_str()), (run, NAME));
    assert_eq!(workflow, ".github/workflows/preview-deploy.yml");
    assert_eq!(branch.as_deref(), Some("main"));
    assert_eq!(repository.map(|id| id.0), Some(stage.repository.id()));
    assert_eq!(
        page,
        &format!("https://github.com/acme/shop/actions/runs/{run}")
    );
    let hours = jiff::Timestamp::now().duration_since(*since).as_hours();
    assert!((191..=193).contains(&hours), "{hours}");

    stage.repository.approve(run, "preview-approval", "carol");
    assert_eq!(stage.waiting(run).await, (vec![], None));
    assert_eq!(stage.github.waiting_run(4711).await.unwrap(), None);
    stage.conforms();
}

#[tokio::test]
async fn a_run_is_cancelled_once_although_the_answer_was_lost() {
    let stage = Stage::new().await;
    let run = stage.waits();
    stage.lose_answer_of_post("/cancel");
    let cancelled = stage.github.cancel_run(run).await.unwrap();
    assert_eq!(cancelled, Cancelling::Done);
    let (status, conclusion) = stage.repository.run_state(run);
    assert_eq!(
        (status.as_str(), conclusion.as_deref()),
        ("completed", Some("cancelled"))
    );
    stage.conforms();
}

#[tokio::test]
async fn a_run_that_has_ended_is_not_cancelled() {
    let stage = Stage::new().await;
    let run = stage.waits();
    stage.repository.finish_run(run, "success");
    let told = stage.github.cancel_run(run).await.unwrap();
    let gone = stage.github.cancel_run(4711).await.unwrap();
    insta::assert_snapshot!(format!("{told:?}\n{gone:?}"), @r#"
    Refused("Cannot cancel a workflow run that is completed.")
    Refused("it is not there any more")
    "#);
    stage.conforms();
}

#[tokio::test]
async fn only_what_waits_as_it_was_read_is_cancelled() {
    let stage = Stage::new().await;
    let (run, approved) = (stage.waits(), stage.waits());
    let waiting = stage.github.waiting_runs().await.unwrap();
    stage
        .repository
        .approve(approved, "preview-approval", "carol");
    for read in &waiting {
        let cancelled = stage.github.cancel_waiting(read).await.unwrap();
        assert_eq!(cancelled, (read.id == run).then_some(Cancelling::Done));
    }
    let states = [run, approved].map(|run| stage.repository.run_state(run).0);
    assert_eq!(states, ["completed", "in_progress"]);
    stage.conforms();
}

#[tokio::test]
async fn what_reviewers_decided_about_a_run_is_told_with_the_environment() {
    let stage = Stage::new().await;
    let run = stage.waits();
    assert_eq!(stage.github.reviews(run).await.unwrap(), []);
    stage.repository.reject(run, "preview-approval", "dora");
    stage.repository.rerun(run);
    stage.repository.approve(run, "preview-approval", "carol");
    let review = |login: &str, approves| Review {
        login: Some(login.to_owned()),
        approves,
        environments: vec!["preview-approval".to_owned()],
    };
    let all = stage.github.reviews(run).await.unwrap();
    assert_eq!(all, [review("dora", false), review("carol", true)]);
    assert_eq!(stage.github.reviews(4711).await.unwrap(), []);
    stage.conforms();
}
