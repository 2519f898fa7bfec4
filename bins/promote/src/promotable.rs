//! The default branch has moved on: whether merging the open pull requests now would leave what their previews have
//! shown.

use futures::{StreamExt as _, TryStreamExt as _};
use preview_actions::{Failed, Outside as _};
use preview_core::promote::CONTEXT;
use preview_core::pulls::PullRequest;

use crate::world::World;

/// Pull requests that are looked at side by side.
const PARALLEL: usize = 4;

impl World<'_> {
    /// Says of every open pull request that was tested whether it may be merged as it is. What is promoted does not depend
    /// on it, so that it could not be said is a warning.
    pub(crate) async fn reassess_open_pulls(&self) {
        let branch = &self.repository.default_branch;
        let reassessed = async {
            let open = self.github.open_pulls_into(branch).await.outside()?;
            let all = futures::stream::iter(open).map(|pull| self.reassess(pull));
            all.buffer_unordered(PARALLEL).try_collect::<()>().await
        };
        if let Err::<(), Failed>(error) = reassessed.await {
            let warning = format!(
                "{branch} has moved on, and the status {CONTEXT} of open pull requests was not set: {error}"
            );
            self.runner.console().warning(&warning);
        }
    }

    async fn reassess(&self, open: PullRequest) -> Result<(), Failed> {
        let run_url = self.runner.environment().run_url();
        let told = self.github.reassess(&open, self.trust(), run_url);
        if let Some(promotable) = told.await.outside()? {
            let line = format!("{CONTEXT} of #{}: {promotable}", open.number);
            self.runner.console().line(&line);
        }
        Ok(())
    }
}
