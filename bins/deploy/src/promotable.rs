//! Whether merging the pull request now would leave what was tested, as a status of its head.

use preview_actions::{Failed, Outside as _};
use preview_core::names::CommitSha;
use preview_core::promote::{CONTEXT, Promotable, promotable};
use preview_core::pulls::PullRequest;

use crate::Deploy;
use crate::story::Story;

impl Deploy<'_> {
    /// Says it on H. Every push to the base branch says it again, so a warning is enough where it cannot be said now. Gives
    /// the pull request as it was read for that.
    pub(crate) async fn tell_whether_promotable(&self, story: &Story<'_>) -> Option<PullRequest> {
        let told = self.told_whether_promotable(story.base.as_ref()).await;
        told.unwrap_or_else(|error| {
            let warning = format!("the status {CONTEXT} was not set: {error}");
            self.runner.console().warning(&warning);
            None
        })
    }

    async fn told_whether_promotable(
        &self,
        base: Option<&CommitSha>,
    ) -> Result<Option<PullRequest>, Failed> {
        let head = &self.previewed.head;
        let Some(number) = self.previewed.number() else {
            return Ok(None);
        };
        let merging = self.world.github.merging_onto(number, base).await;
        let Some(merging) = merging.outside()? else {
            return Ok(None);
        };
        if merging.pull.head != *head {
            // The run for the new head says it of that.
            return Ok(Some(merging.pull));
        }
        let is_believed = self.world.key.is_some() || self.world.config.promote.unsigned_records;
        let images = self.accepted.images.values();
        let built_by = images.map(|accepted| accepted.built_by);
        let promotable = match is_believed {
            true => promotable(&self.accepted.tree, built_by, &merging),
            false => Promotable::Unsigned,
        };
        let line = format!("  {CONTEXT}: {promotable}");
        self.runner.console().line(&line);
        let run_url = self.runner.environment().run_url();
        let set = self.world.github.set_promotable(head, &promotable, run_url);
        set.await.outside()?;
        Ok(Some(merging.pull))
    }
}
