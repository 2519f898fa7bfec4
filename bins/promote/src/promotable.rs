//! The default branch has moved on: whether merging the open pull requests now would leave what their previews have
//! shown.

use futures::StreamExt as _;
use preview_core::promote::CONTEXT;
use preview_core::pulls::PullRequest;

use crate::world::World;

/// Pull requests that are looked at side by side.
const PARALLEL: usize = 4;

impl World<'_> {
    /// Says of every open pull request that was tested whether it may be merged as it is. What is promoted does not depend
    /// on it, so that it could not be said is a warning, and keeps it from no other.
    pub(crate) async fn reassess_open_pulls(&self) {
        let branch = &self.repository.default_branch;
        let open = match self.github.open_pulls_into(branch).await {
            Ok(open) => open,
            Err(error) => {
                let warning = format!(
                    "{branch} has moved on, and the status {CONTEXT} of open pull requests was not set: {error}"
                );
                return self.runner.console().warning(&warning);
            }
        };
        let all = futures::stream::iter(open).map(|pull| self.reassess(pull));
        all.buffer_unordered(PARALLEL).collect::<()>().await;
    }

    async fn reassess(&self, open: PullRequest) {
        let run_url = self.runner.environment().run_url();
        let (console, number) = (self.runner.console(), open.number);
        let told = self.github.reassess(&open, self.trust(), run_url);
        match told.await {
            Ok(Some(promotable)) => console.line(&format!("{CONTEXT} of #{number}: {promotable}")),
            Ok(None) => {}
            Err(error) => {
                let branch = &self.repository.default_branch;
                let warning = format!(
                    "{branch} has moved on, and the status {CONTEXT} of #{number} was not set: {error}"
                );
                console.warning(&warning);
            }
        }
    }
}
