//! Workflows: starting one by hand, and cancelling a run that waits for approval.

use std::collections::BTreeMap;

use jiff::Timestamp;
use preview_core::approvals::WaitingRun;
use preview_core::deploy::Review;
use preview_core::names::{Fence, RepositoryId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::call::Call;
use crate::client::GitHub;
use crate::error::{Error, Problem};
use crate::people::UserWire;

/// GitHub's status of a run that a protection rule of an environment holds, such as its reviewers.
const WAITING: &str = "waiting";

/// What came of asking for the end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelling {
    /// It was cancelled, or is about to be.
    Done,
    /// It cannot be, or cannot be any more; why, in GitHub's words.
    Refused(String),
}

#[derive(Deserialize)]
struct RunsPage {
    workflow_runs: Vec<RunWire>,
}

impl IntoIterator for RunsPage {
    type Item = RunWire;
    type IntoIter = std::vec::IntoIter<RunWire>;

    fn into_iter(self) -> Self::IntoIter {
        self.workflow_runs.into_iter()
    }
}

#[derive(Deserialize)]
struct RunWire {
    id: u64,
    path: String,
    display_title: String,
    status: Option<String>,
    conclusion: Option<String>,
    head_branch: Option<String>,
    head_repository: Option<RepositoryWire>,
    created_at: Timestamp,
    /// When its newest attempt began.
    run_started_at: Option<Timestamp>,
    html_url: String,
}

#[derive(Deserialize)]
struct RepositoryWire {
    id: RepositoryId,
}

#[derive(Deserialize)]
struct ReviewWire {
    state: String,
    user: Option<UserWire>,
    environments: Vec<EnvironmentWire>,
}

#[derive(Deserialize)]
struct EnvironmentWire {
    name: String,
}

impl ReviewWire {
    fn review(self) -> Review {
        let environments = self.environments.into_iter();
        Review {
            login: self.user.map(|user| user.login),
            approves: self.state == "approved",
            environments: environments.map(|environment| environment.name).collect(),
        }
    }
}

impl RunWire {
    /// None where it does not wait.
    fn waiting(self) -> Option<WaitingRun> {
        (self.status.as_deref() == Some(WAITING)).then(|| WaitingRun {
            id: self.id,
            workflow: self.path,
            branch: self.head_branch,
            repository: self.head_repository.map(|repository| repository.id),
            title: self.display_title,
            since: self.run_started_at.unwrap_or(self.created_at),
            page: self.html_url,
        })
    }
}

impl GitHub {
    /// Whether this attempt of a run has ended; none where GitHub does not know the run, which proves nothing.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn run_has_ended(&self, run: Fence) -> Result<Option<bool>, Error> {
        #[derive(Deserialize)]
        struct Wire {
            status: Option<String>,
            run_attempt: Option<u32>,
        }
        let wire: Option<Wire> = self.run(run.run).await?;
        Ok(wire.map(|wire| {
            let is_of_before = wire
                .run_attempt
                .is_some_and(|attempt| attempt > run.attempt);
            is_of_before || wire.status.as_deref() == Some("completed")
        }))
    }

    /// Whether this very attempt of a run has succeeded, as far as GitHub tells: nothing is known of one that was run again
    /// since, nor of a run that GitHub does not know.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn run_has_succeeded(&self, run: Fence) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Wire {
            conclusion: Option<String>,
            run_attempt: Option<u32>,
        }
        let wire: Option<Wire> = self.run(run.run).await?;
        Ok(wire.is_some_and(|wire| {
            wire.run_attempt == Some(run.attempt) && wire.conclusion.as_deref() == Some("success")
        }))
    }

    /// All runs that wait for approval, newest first, whatever workflow they are of.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn waiting_runs(&self) -> Result<Vec<WaitingRun>, Error> {
        let call = Call::get(
            self.path(format_args!("/actions/runs?status={WAITING}")),
            format!("list the runs of {} that wait for approval", self.slug),
            "actions: read",
        );
        let wires = self.transport.pages_of::<RunsPage>(&call).await?;
        Ok(wires.into_iter().filter_map(RunWire::waiting).collect())
    }

    /// The run `id` where it waits for approval; none where it does not, or GitHub does not know it.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn waiting_run(&self, id: u64) -> Result<Option<WaitingRun>, Error> {
        let run: Option<RunWire> = self.run(id).await?;
        Ok(run.and_then(RunWire::waiting))
    }

    async fn run<T: DeserializeOwned>(&self, id: u64) -> Result<Option<T>, Error> {
        let call = Call::get(
            self.path(format_args!("/actions/runs/{id}")),
            format!("read the run {id} of {}", self.slug),
            "actions: read",
        );
        self.transport.json_if_found(&call).await
    }

    /// Cancels a run that waits for approval as it was read; none where it does not wait any more, or waits anew: then
    /// somebody has approved it, or run it again.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn cancel_waiting(&self, run: &WaitingRun) -> Result<Option<Cancelling>, Error> {
        let waits = self.waiting_run(run.id).await?;
        if waits.is_none_or(|waits| waits.since != run.since) {
            return Ok(None);
        }
        self.cancel_run(run.id).await.map(Some)
    }

    /// What reviewers decided about the run `id`, at all of its attempts; nothing of a run that GitHub does not know. GitHub
    /// does not tell when, nor at which attempt.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn reviews(&self, id: u64) -> Result<Vec<Review>, Error> {
        let call = Call::get(
            self.path(format_args!("/actions/runs/{id}/approvals")),
            format!("read who approved the run {id} of {}", self.slug),
            "actions: read",
        );
        let wires: Option<Vec<ReviewWire>> = self.transport.json_if_found(&call).await?;
        Ok(wires
            .into_iter()
            .flatten()
            .map(ReviewWire::review)
            .collect())
    }

    /// Cancels the run `id`. It takes GitHub some seconds to do so.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn cancel_run(&self, id: u64) -> Result<Cancelling, Error> {
        let call = Call::post(
            self.path(format_args!("/actions/runs/{id}/cancel")),
            format!("cancel the run {id} of {}", self.slug),
            "actions: write",
        );
        let message = match self.transport.done(&call).await {
            Ok(true) => return Ok(Cancelling::Done),
            Ok(false) => return Ok(Cancelling::Refused("it is not there any more".to_owned())),
            Err(Error {
                problem:
                    Problem::Refused {
                        status: 409,
                        message,
                    },
                ..
            }) => message,
            Err(error) => return Err(error),
        };
        // It was repeated after an answer that was lost, or somebody else was quicker.
        let run: Option<RunWire> = self.run(id).await?;
        let is_cancelled = run.is_some_and(|run| run.conclusion.as_deref() == Some("cancelled"));
        Ok(match is_cancelled {
            true => Cancelling::Done,
            false => Cancelling::Refused(message),
        })
    }

    /// Starts the workflow `file` of `.github/workflows` on `branch` with `inputs`, by its trigger `workflow_dispatch`: the
    /// one event besides `repository_dispatch` that starts a workflow although `GITHUB_TOKEN` caused it.
    /// <https://docs.github.com/en/actions/concepts/security/github_token>
    ///
    /// # Errors
    /// As all operations: see [`Error`]. 404 where there is no such workflow, 422 where the branch is not there, or the
    /// workflow has no such trigger or input. Where the answer was lost, it may have been started all the same.
    pub async fn dispatch_workflow(
        &self,
        file: &str,
        branch: &str,
        inputs: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let call = Call::post(
            self.path(format_args!("/actions/workflows/{file}/dispatches")),
            format!("start the workflow {file} of {} on {branch}", self.slug),
            "actions: write",
        )
        .with(&json!({ "ref": branch, "inputs": inputs }))?;
        self.transport.sent(&call).await
    }
}
