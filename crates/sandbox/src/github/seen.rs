//! What tests look at, without going through HTTP; and what people and workflows do with runs.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;

use super::repository::{Repository, pull, repo};
use super::state::{Dispatch, Run, State};
use super::{runs, statuses};

/// A deployment as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenDeployment {
    /// GitHub's id.
    pub id: u64,
    /// The environment's name.
    pub environment: String,
    /// The commit.
    pub sha: String,
    /// The newest status, `pending` before the first.
    pub state: String,
    /// All states it went through, oldest first.
    pub states: Vec<String>,
    /// The payload.
    pub payload: Value,
    /// URL of the newest status.
    pub environment_url: String,
}

/// A label's definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenLabel {
    /// The name.
    pub name: String,
    /// Six hexadecimal digits.
    pub color: String,
    /// The description, where there is one.
    pub description: Option<String>,
}

/// The newest commit status of a context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenStatus {
    /// The context, such as `preview/promotable`.
    pub context: String,
    /// `error`, `failure`, `pending` or `success`.
    pub state: String,
    /// The description, where there is one.
    pub description: Option<String>,
}

impl Repository {
    /// Author and body of the comments on a pull request, oldest first.
    #[must_use]
    pub fn comments(&self, number: u64) -> Vec<(String, String)> {
        let mut state = self.lock();
        let comments = repo(&mut state, self.id).comments.values();
        comments
            .filter(|comment| comment.issue == number)
            .map(|comment| (comment.author.clone(), comment.body.clone()))
            .collect()
    }

    /// The reactions to a comment, as login and content, oldest first.
    #[must_use]
    pub fn reactions(&self, comment: u64) -> Vec<(String, String)> {
        let mut state = self.lock();
        let comment = repo(&mut state, self.id).comments.get(&comment);
        let reactions = comment.map(|comment| comment.reactions.as_slice());
        reactions
            .unwrap_or_default()
            .iter()
            .map(|reaction| (reaction.author.clone(), reaction.content.clone()))
            .collect()
    }

    /// Names of the labels on a pull request.
    #[must_use]
    pub fn labels(&self, number: u64) -> Vec<String> {
        pull(&mut self.lock(), self.id, number).labels.clone()
    }

    /// The repository's labels.
    #[must_use]
    pub fn label_definitions(&self) -> Vec<SeenLabel> {
        let mut state = self.lock();
        let labels = repo(&mut state, self.id).labels.iter();
        labels
            .map(|label| SeenLabel {
                name: label.name.clone(),
                color: label.color.clone(),
                description: label.description.clone(),
            })
            .collect()
    }

    /// The deployments, oldest first.
    #[must_use]
    pub fn deployments(&self) -> Vec<SeenDeployment> {
        let mut state = self.lock();
        let deployments = repo(&mut state, self.id).deployments.values();
        deployments
            .map(|deployment| SeenDeployment {
                id: deployment.id,
                environment: deployment.environment.clone(),
                sha: deployment.sha.clone(),
                state: deployment.state().to_owned(),
                states: deployment
                    .statuses
                    .iter()
                    .map(|status| status.state.clone())
                    .collect(),
                payload: deployment.payload.clone(),
                environment_url: deployment
                    .statuses
                    .last()
                    .map(|status| status.environment_url.clone())
                    .unwrap_or_default(),
            })
            .collect()
    }

    /// The newest status of each context of a commit, by context.
    #[must_use]
    pub fn statuses(&self, sha: &str) -> Vec<SeenStatus> {
        let mut state = self.lock();
        let latest = statuses::latest(repo(&mut state, self.id), sha);
        latest
            .into_iter()
            .map(|status| SeenStatus {
                context: status.context.clone(),
                state: status.state.clone(),
                description: status.description.clone(),
            })
            .collect()
    }

    /// Where people are led by the statuses of commits and the logs of deployments, oldest first.
    #[must_use]
    pub fn links(&self) -> Vec<String> {
        let mut state = self.lock();
        let repo = repo(&mut state, self.id);
        let of_commits = repo.statuses.iter();
        let of_commits = of_commits.filter_map(|status| status.target_url.clone());
        let of_deployments = repo.deployments.values();
        let of_deployments = of_deployments.flat_map(|deployment| &deployment.statuses);
        let of_deployments = of_deployments.map(|status| status.log_url.clone());
        let all = of_commits.chain(of_deployments);
        all.filter(|link| !link.is_empty()).collect()
    }

    /// The dispatches that were asked for, oldest first.
    #[must_use]
    pub fn dispatches(&self) -> Vec<Dispatch> {
        repo(&mut self.lock(), self.id).dispatches.clone()
    }

    /// Adds a workflow file, so that it can be run. `ci.yml` is there already.
    pub fn add_workflow(&self, file: &str) {
        add_workflow(&mut self.lock(), self.id, file);
    }

    /// Adds a workflow file with the trigger `workflow_dispatch` and these inputs. No other can be dispatched.
    pub fn add_dispatched_workflow(&self, file: &str, inputs: &[&str]) {
        let mut state = self.lock();
        add_workflow(&mut state, self.id, file);
        let inputs = inputs.iter().map(|name| (*name).to_owned()).collect();
        let declared = &mut repo(&mut state, self.id).dispatch_inputs;
        declared.insert(file.to_owned(), inputs);
    }

    /// GitHub switches a workflow off, as it does with scheduled ones after 60 days without activity.
    pub fn disable_workflow(&self, file: &str) {
        repo(&mut self.lock(), self.id)
            .inactive
            .push(file.to_owned());
    }

    /// A successful `pull_request` run of `ci.yml` for the pull request's head; returns the run's id.
    pub fn complete_ci(&self, number: u64) -> u64 {
        let run = self.start_run(number, "ci.yml");
        self.finish_run(run, "success");
        run
    }

    /// A running `pull_request` run of a workflow for the pull request's head; returns the run's id.
    pub fn start_run(&self, number: u64, workflow: &str) -> u64 {
        let mut state = self.lock();
        add_workflow(&mut state, self.id, workflow);
        let found = pull(&mut state, self.id, number).clone();
        let head = (found.head_branch.as_str(), found.head_sha.as_str());
        let id = runs::new_run(
            &mut state,
            self.id,
            workflow,
            "pull_request",
            head,
            &found.author,
        );
        let run = run(&mut state, self.id, id);
        run.head_repo = found.head_repo;
        run.title = found.title;
        run.status = "in_progress".to_owned();
        id
    }

    /// A `workflow_run` run on the default branch that waits for approval in `environment`, with `title` as its
    /// `run-name`; returns the run's id.
    pub fn wait_for_approval(&self, workflow: &str, environment: &str, title: &str) -> u64 {
        let mut state = self.lock();
        add_workflow(&mut state, self.id, workflow);
        super::environments::mention(&mut state, self.id, environment);
        let sha = repo(&mut state, self.id).default_head().to_owned();
        let head = ("main", sha.as_str());
        let id = runs::new_run(&mut state, self.id, workflow, "workflow_run", head, "alice");
        let run = run(&mut state, self.id, id);
        run.status = "waiting".to_owned();
        title.clone_into(&mut run.title);
        run.waiting_for = vec![environment.to_owned()];
        id
    }

    /// Approves what a run waits for.
    pub fn approve(&self, run: u64, environment: &str, login: &str) {
        runs::decide(
            &mut self.lock(),
            self.id,
            run,
            environment,
            "approved",
            login,
            "",
        );
    }

    /// Rejects what a run waits for: it fails.
    pub fn reject(&self, run: u64, environment: &str, login: &str) {
        runs::decide(
            &mut self.lock(),
            self.id,
            run,
            environment,
            "rejected",
            login,
            "",
        );
    }

    /// Ends a run with a conclusion such as `success` or `failure`.
    pub fn finish_run(&self, id: u64, conclusion: &str) {
        let mut state = self.lock();
        let now = state.now();
        let run = run(&mut state, self.id, id);
        run.status = "completed".to_owned();
        run.conclusion = Some(conclusion.to_owned());
        run.updated_at = now;
    }

    /// Runs it again: the next attempt of the same run, for the same head.
    pub fn rerun(&self, id: u64) {
        let mut state = self.lock();
        let run = run(&mut state, self.id, id);
        run.attempt += 1;
        run.status = "in_progress".to_owned();
        run.conclusion = None;
    }

    /// Makes a run older than it is.
    pub fn backdate_run(&self, id: u64, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        let mut state = self.lock();
        let run = run(&mut state, self.id, id);
        run.created_at -= by;
        run.updated_at -= by;
    }

    /// Makes a commit older than it is, and says whether it was there.
    pub fn backdate_commit(&self, sha: &str, by: Duration) -> bool {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        let mut state = self.lock();
        let commit = state.git.commits.get_mut(sha);
        commit.map(|commit| commit.at -= by).is_some()
    }

    /// A run's status and, when it has ended, its conclusion.
    #[must_use]
    pub fn run_state(&self, id: u64) -> (String, Option<String>) {
        let mut state = self.lock();
        let run = run(&mut state, self.id, id);
        (run.status.clone(), run.conclusion.clone())
    }
}

fn add_workflow(state: &mut State, id: u64, file: &str) {
    let workflows = &mut repo(state, id).workflows;
    if !workflows.iter().any(|known| known == file) {
        workflows.push(file.to_owned());
    }
}

#[track_caller]
fn run(state: &mut State, repository: u64, id: u64) -> &mut Run {
    match repo(state, repository).runs.get_mut(&id) {
        Some(run) => run,
        None => panic!("there is no run {id}"),
    }
}
