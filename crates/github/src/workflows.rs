//! Workflows: starting one by hand.

use std::collections::BTreeMap;

use preview_core::names::Fence;
use serde::Deserialize;
use serde_json::json;

use crate::call::Call;
use crate::client::GitHub;
use crate::error::Error;

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
        let call = Call::get(
            self.path(format_args!("/actions/runs/{}", run.run)),
            format!("read the run {} of {}", run.run, self.slug),
            "actions: read",
        );
        let wire: Option<Wire> = self.transport.json_if_found(&call).await?;
        Ok(wire.map(|wire| {
            let is_of_before = wire
                .run_attempt
                .is_some_and(|attempt| attempt > run.attempt);
            is_of_before || wire.status.as_deref() == Some("completed")
        }))
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
