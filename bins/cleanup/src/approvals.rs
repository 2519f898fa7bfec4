//! Runs that wait for an approval which comes too late, or not at all.
//!
//! One after the other, the oldest first: several may be of one pull request, which has one comment.

use std::collections::BTreeMap;

use jiff::Timestamp;
use preview_actions::{Failed, Outside as _};
use preview_core::approvals::{Answer, Approval, Cancelled, Reason, RunName, Verdict, WaitingRun};
use preview_core::comment::{Comment, State, with_cancelled};
use preview_core::names::PrNumber;
use preview_core::outcome::EffectResult;
use preview_core::pulls::PullRequest;
use preview_github::Cancelling;

use crate::world::World;

/// Why a run is kept whose pull request GitHub does not know.
const UNKNOWN: &str =
    "GitHub knows no pull request that it could be of, which does not prove that it is closed";

/// Cancels what waits too long, or for what is not wanted any more; a dry run only says what it would cancel.
///
/// # Errors
/// When the runs that wait cannot be listed.
pub(crate) async fn run(
    world: &World<'_>,
    open: &BTreeMap<PrNumber, PullRequest>,
    dry_run: bool,
) -> Result<Vec<Approval>, Failed> {
    let workflow = &world.config.queue.workflow;
    let mut waiting = world.github.waiting_runs().await.outside()?;
    waiting.retain(|run| run.is_of(workflow, &world.repository));
    waiting.sort_by_key(|run| (run.since, run.id));
    let mut all = Vec::new();
    for run in &waiting {
        let name = match run.title.parse::<RunName>() {
            Ok(name) => name,
            Err(error) => {
                let warning = format!(
                    "the run {} of {workflow} waits for approval, and nobody can tell of what: {error}; give the workflow \
                     the run-name that docs/sweep.md has",
                    run.id
                );
                world.runner.console().warning(&warning);
                continue;
            }
        };
        // What the list calls open, at this very head, need not be asked for by itself.
        if run.decide(&name, open.values(), Timestamp::now()) == Verdict::Leave {
            continue;
        }
        let answered = world.answer(run, &name, dry_run).await;
        let (answer, reason) = match answered {
            Ok(Some(answered)) => answered,
            Ok(None) => continue,
            Err(failed) => (Answer::Failed, failed.to_string()),
        };
        all.push(Approval {
            run: run.id,
            name,
            answer,
            reason,
        });
    }
    Ok(all)
}

impl World<'_> {
    /// Decides on what is read now, and does it; none where it goes on waiting, or does not wait any more.
    async fn answer(
        &self,
        run: &WaitingRun,
        name: &RunName,
        dry_run: bool,
    ) -> Result<Option<(Answer, String)>, Failed> {
        let pulls = self.pulls_of(name).await?;
        let (pull, why) = match run.decide(name, &pulls, Timestamp::now()) {
            Verdict::Leave => return Ok(None),
            Verdict::Unknown => return Ok(Some((Answer::Kept, UNKNOWN.to_owned()))),
            Verdict::Cancel { pull, why } => (pull, why),
        };
        if dry_run {
            return Ok(Some((Answer::WouldGo, why.to_string())));
        }
        // Somebody may have approved it since: then it deploys, and looks at the head itself.
        let cancel = self.github.cancel_waiting(run);
        let object = format!("run {}, {name}", run.id);
        let came_of_it = |cancelled: &Option<_>| match cancelled {
            Some(_) => EffectResult::Done,
            None => EffectResult::Unchanged,
        };
        let step = self.runner.step_with("cancel", object, cancel, came_of_it);
        let Some(cancelled) = step.await.outside()? else {
            return Ok(None);
        };
        if let Cancelling::Refused(message) = cancelled {
            let reason = format!("GitHub does not cancel it: {message}");
            return Ok(Some((Answer::Kept, reason)));
        }
        let reason = why.to_string();
        let told = match pull {
            Some(pull) => self.tell_cancelled(pull, run, name, why).await,
            None => Ok(()),
        };
        Ok(Some(match told {
            Ok(()) => (Answer::Cancelled, reason),
            // No later sweep finds it.
            Err(failed) => {
                let reason = format!(
                    "it is cancelled, for {reason}; its pull request was not told: {failed}"
                );
                (Answer::Failed, reason)
            }
        }))
    }

    async fn pulls_of(&self, name: &RunName) -> Result<Vec<PullRequest>, Failed> {
        match name {
            RunName::Pull { number, .. } => {
                let pull = self.github.pull(*number).await.outside()?;
                Ok(pull.into_iter().collect())
            }
            RunName::Branch {
                repository, branch, ..
            } => {
                let pulls = self.github.pulls_of_branch(branch, repository);
                pulls.await.outside()
            }
            RunName::Commit(_) => Ok(Vec::new()),
        }
    }

    /// Says so on the pull request, in the one comment: beside what it tells, or in place of nothing.
    async fn tell_cancelled(
        &self,
        pull: &PullRequest,
        run: &WaitingRun,
        name: &RunName,
        why: Reason,
    ) -> Result<(), Failed> {
        let cancelled = Cancelled {
            head: name.head().clone(),
            why,
            page: run.page.clone(),
        };
        let state = State::NotApproved(cancelled.clone());
        let run_url = self.runner.environment().run_url();
        let alone = Comment::of(state, pull.head.clone(), Timestamp::now(), run_url);
        let body = |said: Option<&str>| {
            let beside = said.and_then(|said| with_cancelled(said, &cancelled));
            beside.unwrap_or_else(|| alone.render())
        };
        let write = self.write_comment(pull.number, "an approval is not waited for", body);
        write.await.map(drop)
    }
}
