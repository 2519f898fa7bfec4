//! What somebody is asked to approve: the plan, told on the pull request, before a job waits for its reviewers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use preview_actions::{Conclusion, Failed, Outside as _, Runner};
use preview_core::approvals::{Answer, Approval, RunName, WaitingRun, expires, outdated};
use preview_core::comment::{Asks, Comment, MARKER, State, with_asks};
use preview_core::deploy::{Gate, Instead, Meanwhile, Need, Previewed, Review, meanwhile};
use preview_core::lifecycle::Phase;
use preview_core::names::{ComponentName, PinnedImage, PrNumber};
use preview_core::pulls::PullRequest;
use preview_github::{Cancelling, CommitState};

use crate::Deploy;
use crate::approval::Start;
use crate::story::Story;
use crate::world::World;

impl Deploy<'_> {
    /// Says what a deploy would do; and where somebody has to approve it first, says so on the pull request, and cancels runs
    /// that wait for the approval of an earlier head.
    ///
    /// # Errors
    /// When a rule says no, nobody could approve, or something outside failed; the pull request was told before.
    pub(crate) async fn asked(
        &self,
        mut story: Story<'_>,
        start: &Start,
    ) -> Result<Conclusion, Failed> {
        let planned = match self.planned(&mut story).await {
            Ok(planned) => planned,
            Err(failed) => {
                story.failed(&failed).await;
                return Err(failed);
            }
        };
        let asking = Asking {
            world: self.world,
            runner: self.runner,
            previewed: self.previewed,
            images: self.accepted.pinned(),
        };
        asking.asked(&story, planned, start).await
    }
}

/// What somebody is asked for.
pub(crate) struct Asking<'a> {
    pub(crate) world: &'a World<'a>,
    pub(crate) runner: &'a Runner,
    pub(crate) previewed: &'a Previewed,
    /// As which images it would run; none where it is built only once somebody has approved it.
    pub(crate) images: BTreeMap<ComponentName, PinnedImage>,
}

impl Asking<'_> {
    /// Asks, where somebody has to be asked, for what is `planned`.
    ///
    /// # Errors
    /// When nobody could approve it, or something outside failed; the pull request was told before.
    pub(crate) async fn asked(
        &self,
        story: &Story<'_>,
        planned: Conclusion,
        start: &Start,
    ) -> Result<Conclusion, Failed> {
        let asked = self.asked_as_planned(story, planned, start).await;
        if let Err(failed) = &asked {
            story.failed(failed).await;
        }
        asked
    }

    async fn asked_as_planned(
        &self,
        story: &Story<'_>,
        planned: Conclusion,
        start: &Start,
    ) -> Result<Conclusion, Failed> {
        let Some(number) = self.world.needs_approval(self.previewed) else {
            self.needs(Need::NotRequired);
            return Ok(planned);
        };
        let gate = self.world.gate(self.previewed, number, start).await?;
        let pull = self.world.pull_again(number).await?;
        match meanwhile(&pull, &self.previewed.head) {
            Meanwhile::Same => {}
            Meanwhile::Closed => return Ok(Conclusion::done("nothing", self.previewed.ended())),
            Meanwhile::Moved(now) => {
                let asked = self.previewed.head.clone();
                let moved = Instead::Superseded { number, asked, now };
                return Ok(Conclusion::done("superseded", moved));
            }
        }
        self.cancel_outdated(&pull).await;
        match gate {
            Gate::Open(approved) => {
                self.needs(Need::NotRequired);
                self.runner.know(|result| result.approved = approved);
                Ok(planned)
            }
            Gate::Reviewers(reviewers) => {
                let who = reviewers.join(", ");
                self.wait_for(story, number, reviewers).await?;
                let what = self.previewed.at_head();
                let reason = format!("{what} waits for the approval of {who}");
                // A workflow has to know what it has to build.
                let verdict = match self.images.is_empty() {
                    true => planned.verdict,
                    false => "asked",
                };
                Ok(Conclusion::done(verdict, reason))
            }
        }
    }

    fn needs(&self, need: Need) {
        self.runner.know(|result| result.approval = Some(need));
    }

    /// Tells the pull request for whom it waits.
    async fn wait_for(
        &self,
        story: &Story<'_>,
        number: PrNumber,
        reviewers: Vec<String>,
    ) -> Result<(), Failed> {
        let run = self.runner.environment().fence()?;
        let before = match run.attempt {
            1 => 0,
            _ => Review::count(&self.world.github.reviews(run.run).await.outside()?),
        };
        self.runner
            .know(|result| result.approvals_before = Some(before));
        self.needs(Need::Required);
        self.runner.enters(Phase::AwaitingApproval.as_str());
        let page = self.runner.environment().run_url();
        let now = Timestamp::now();
        let asks = Asks {
            head: self.previewed.head.clone(),
            images: self.images.clone(),
            reviewers,
            page: page.clone(),
            until: expires(now),
        };
        let state = State::AwaitingApproval(asks.clone());
        let object = format!("on #{number}: {}", state.status_line());
        let alone = Comment::of(state, self.previewed.head.clone(), now, page);
        let body = |said: Option<&str>| {
            let beside = said.and_then(|said| with_asks(said, &asks));
            beside.unwrap_or_else(|| alone.render())
        };
        let github = &self.world.github;
        let write = github.upsert_comment_with(number, MARKER, body);
        self.runner.step("comment", object, write).await.outside()?;
        story
            .marks(CommitState::Pending, "Waits for approval")
            .await
    }

    /// Cancels the runs that wait for the approval of an earlier head. Where that fails it is a warning: a sweep comes back to
    /// it, and what they would deploy is superseded.
    async fn cancel_outdated(&self, pull: &PullRequest) {
        let waiting = match self.world.github.waiting_runs().await {
            Ok(waiting) => waiting,
            Err(error) => {
                let warning = format!(
                    "which runs wait for the approval of an earlier head is not known: {error}"
                );
                return self.runner.remark(&warning);
            }
        };
        let workflow = &self.world.config.queue.workflow;
        for (run, name, why) in outdated(&waiting, workflow, pull, Timestamp::now()) {
            let Some((answer, reason)) = self.cancel(run, &name).await else {
                continue;
            };
            if let Some(reason) = &reason {
                let warning = format!("the run {} still waits for {name}: {reason}", run.id);
                self.runner.remark(&warning);
            }
            let reason = reason.unwrap_or_else(|| why.to_string());
            self.runner.know(|result| {
                result.approvals.push(Approval {
                    run: run.id,
                    name,
                    answer,
                    reason,
                });
            });
        }
    }

    /// What came of cancelling a run, and why where it was not; none where it does not wait any more.
    async fn cancel(&self, run: &WaitingRun, name: &RunName) -> Option<(Answer, Option<String>)> {
        let cancel = self.world.github.cancel_waiting(run);
        let object = format!("run {}, {name}", run.id);
        match self.runner.step("cancel", object, cancel).await {
            Ok(Some(Cancelling::Done)) => Some((Answer::Cancelled, None)),
            Ok(Some(Cancelling::Refused(message))) => {
                let reason = format!("GitHub does not cancel it: {message}");
                Some((Answer::Kept, Some(reason)))
            }
            Ok(None) => None,
            Err(error) => Some((Answer::Failed, Some(error.to_string()))),
        }
    }
}
