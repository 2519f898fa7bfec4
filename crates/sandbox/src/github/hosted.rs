//! What GitHub Actions itself does to the state, for a runner that executes workflow files.

use std::collections::BTreeMap;

use serde_json::Value;

use super::environments::{find, mention};
use super::repository::{Repository, repo};
use super::state::{Branches, Dispatch, Run};
use super::{objects, runs};

/// What a job that names an environment has to do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    /// Whoever of these approves lets it in; it need not wait where there are none.
    pub reviewers: Vec<String>,
    /// Whether it may come from the branch that was asked about.
    pub admits_branch: bool,
}

/// The commit that a run is about, where it is, and who caused it.
#[derive(Clone, Copy, Debug)]
pub struct Cause<'a> {
    /// The event's name.
    pub event: &'a str,
    /// The head's branch.
    pub branch: &'a str,
    /// The head.
    pub sha: &'a str,
    /// Login of whoever did it.
    pub actor: &'a str,
}

impl Repository {
    /// Starts a run of a workflow file on a branch of this repository; returns its id.
    pub fn begin_run(&self, workflow: &str, cause: Cause<'_>) -> u64 {
        self.add_workflow(workflow);
        let mut state = self.lock();
        let head = (cause.branch, cause.sha);
        runs::new_run(
            &mut state,
            self.id,
            workflow,
            cause.event,
            head,
            cause.actor,
        )
    }

    /// Gives a run the title that its `run-name` makes, and says that it is under way.
    pub fn run_is_under_way(&self, id: u64, title: Option<&str>) {
        self.of_run(id, |run| {
            "in_progress".clone_into(&mut run.status);
            if let Some(title) = title {
                title.clone_into(&mut run.title);
            }
        });
    }

    /// Lets a run wait until somebody approves what one of its jobs would do in `environment`.
    pub fn hold_run(&self, id: u64, environment: &str) {
        self.of_run(id, |run| {
            "waiting".clone_into(&mut run.status);
            run.waiting_for.push(environment.to_owned());
        });
    }

    /// What a run still waits for.
    #[must_use]
    pub fn awaited_by(&self, id: u64) -> Vec<String> {
        self.of_run(id, |run| run.waiting_for.clone())
    }

    /// How an environment is protected against a job of a run on `branch`. One that nobody made is made, unprotected.
    #[must_use]
    pub fn protection(&self, environment: &str, branch: &str) -> Protection {
        let mut state = self.lock();
        mention(&mut state, self.id, environment);
        let repo = repo(&mut state, self.id);
        let Some(found) = find(repo, environment) else {
            panic!("{} has no environment {environment}", repo.slug());
        };
        Protection {
            reviewers: found.reviewers.clone(),
            admits_branch: match &found.branches {
                Branches::All => true,
                Branches::Protected => branch == repo.default_branch,
                Branches::Named(names) => names.iter().any(|name| name == branch),
            },
        }
    }

    /// Somebody starts a workflow by hand; returns the run's id.
    pub fn dispatch(&self, workflow: &str, inputs: Value, login: &str) -> u64 {
        let (branch, sha) = self.default_branch();
        let cause = Cause {
            event: "workflow_dispatch",
            branch: &branch,
            sha: &sha,
            actor: login,
        };
        let run = self.begin_run(workflow, cause);
        repo(&mut self.lock(), self.id).dispatches.push(Dispatch {
            workflow: workflow.to_owned(),
            reference: branch,
            inputs,
            login: login.to_owned(),
        });
        run
    }

    /// The runs that were dispatched and wait for a runner, oldest first, each with what was asked.
    #[must_use]
    pub fn dispatched(&self) -> Vec<(u64, Dispatch)> {
        let mut state = self.lock();
        let repo = repo(&mut state, self.id);
        let of_event = |run: &&Run| run.event == "workflow_dispatch";
        let runs = repo.runs.values().filter(of_event);
        // Each dispatch made one run, in this order.
        let pairs = runs.zip(&repo.dispatches);
        let queued = pairs.filter(|(run, _)| run.status == "queued");
        queued
            .map(|(run, dispatch)| (run.id, dispatch.clone()))
            .collect()
    }

    /// The default branch and its head.
    #[must_use]
    pub fn default_branch(&self) -> (String, String) {
        let mut state = self.lock();
        let repo = repo(&mut state, self.id);
        (repo.default_branch.clone(), repo.default_head().to_owned())
    }

    /// The files of a commit, whole, by path.
    #[must_use]
    pub fn files(&self, sha: &str) -> BTreeMap<String, String> {
        let state = self.lock();
        let files = state.git.files(sha).into_iter();
        let text = |sha: &String| {
            let bytes = state.git.blobs.get(sha).cloned();
            String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
        };
        files.map(|(path, sha)| (path, text(&sha))).collect()
    }

    /// A pull request as the payloads of `pull_request` have it, with the repository. No such payload but that of `closed`
    /// is judged: the copy of GitHub's description has no other.
    #[must_use]
    pub fn pull_request_payload(&self, number: u64, action: &str) -> Value {
        let mut payload = self.pull_request_closed_payload(number);
        payload["action"] = action.into();
        let state = self.lock();
        if let Some(pull) = state
            .repos
            .get(&self.id)
            .and_then(|repo| repo.pulls.get(&number))
        {
            payload["sender"] = objects::user(&state, &pull.author);
        }
        payload
    }

    fn of_run<T>(&self, id: u64, change: impl FnOnce(&mut Run) -> T) -> T {
        let mut state = self.lock();
        let now = state.now();
        let repo = repo(&mut state, self.id);
        let Some(run) = repo.runs.get_mut(&id) else {
            panic!("{} has no run {id}", repo.slug());
        };
        run.updated_at = now;
        change(run)
    }
}
