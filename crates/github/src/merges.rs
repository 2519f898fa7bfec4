//! What GitHub says of merging a pull request.

use std::time::Duration;

use preview_core::names::{CommitSha, PrNumber, Subject};
use preview_core::promote::{CONTEXT, Merging, Promotable, TestMerge, promotable};
use preview_core::pulls::{PullRequest, PullState};
use preview_core::record::Trust;

use crate::client::GitHub;
use crate::error::Error;
use crate::statuses::{CommitState, CommitStatus};

/// GitHub merges in the background once somebody has asked, and says that it is to be asked again. It takes seconds.
/// <https://docs.github.com/en/rest/guides/using-the-rest-api-to-interact-with-your-git-database#checking-mergeability-of-pull-requests>
const LAG: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

impl GitHub {
    /// Has GitHub merge the pull request `number` with its base branch as both are now, and waits for some seconds for what
    /// comes of it. None where there is no such pull request, or its base branch is gone.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn merging(&self, number: PrNumber) -> Result<Option<Merging>, Error> {
        self.merging_onto(number, None).await
    }

    /// As [`Self::merging`], where the base branch was at `base` moments ago. That is believed as long as GitHub's merge is
    /// onto it, and read otherwise.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn merging_onto(
        &self,
        number: PrNumber,
        base: Option<&CommitSha>,
    ) -> Result<Option<Merging>, Error> {
        let mut base = base.cloned();
        for pause in LAG {
            let was_read = base.is_none();
            let merging = self.merging_now(number, base.take()).await?;
            if merging.as_ref().is_none_or(Merging::is_known) {
                return Ok(merging);
            }
            if was_read {
                tokio::time::sleep(pause).await;
            }
        }
        self.merging_now(number, None).await
    }

    async fn merging_now(
        &self,
        number: PrNumber,
        base: Option<CommitSha>,
    ) -> Result<Option<Merging>, Error> {
        let Some(pull) = self.pull(number).await? else {
            return Ok(None);
        };
        let base = match base {
            Some(base) => Some(base),
            None => self.branch_head(&pull.base_ref).await?,
        };
        let Some(base) = base else {
            return Ok(None);
        };
        let tried = match (pull.mergeable, &pull.test_merge) {
            (Some(true), Some(merge)) => {
                let commit = self.commit(merge).await?;
                commit.map_or(TestMerge::Unknown, TestMerge::Made)
            }
            (Some(false), _) => TestMerge::Conflicts,
            _ => TestMerge::Unknown,
        };
        Ok(Some(Merging { pull, base, tried }))
    }

    /// Whether merging the open pull request now would leave what was tested, by the newest believed record of its head;
    /// none where there is none of it, or the pull request has changed since it was listed.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    async fn promotable(
        &self,
        open: &PullRequest,
        trust: Trust<'_>,
    ) -> Result<Option<Promotable>, Error> {
        let repository = open.base_repository.id;
        let records = self.records(&open.head, trust, repository).await?;
        let subject = Subject::Pr(open.number);
        let mut believed = records.into_iter().flatten();
        let Some(tested) = believed.find(|record| record.subject == subject) else {
            return Ok(None);
        };
        let merging = self.merging(open.number).await?;
        let same = merging.filter(|merging| {
            merging.pull.head == open.head && merging.pull.state == PullState::Open
        });
        let components = tested.components.values();
        let built_by = components.map(|recorded| recorded.built_by);
        Ok(same.map(|merging| promotable(&tested.tree, built_by, &merging)))
    }

    /// Finds out by [`Self::promotable`], and says on the head, whether merging the open pull request now would leave what
    /// was tested. `run_url` is where that was found out.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn reassess(
        &self,
        open: &PullRequest,
        trust: Trust<'_>,
        run_url: Option<String>,
    ) -> Result<Option<Promotable>, Error> {
        let promotable = self.promotable(open, trust).await?;
        if let Some(promotable) = &promotable {
            self.set_promotable(&open.head, promotable, run_url).await?;
        }
        Ok(promotable)
    }

    /// Says on `head` whether merging it now would leave what was tested, as the status [`CONTEXT`]. `run_url` is where
    /// that was found out.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn set_promotable(
        &self,
        head: &CommitSha,
        promotable: &Promotable,
        run_url: Option<String>,
    ) -> Result<(), Error> {
        let status = CommitStatus {
            context: CONTEXT.to_owned(),
            state: match promotable.is_so() {
                Some(true) => CommitState::Success,
                Some(false) => CommitState::Failure,
                None => CommitState::Pending,
            },
            description: promotable.to_string(),
            target_url: run_url,
        };
        self.set_status(head, &status).await
    }
}
