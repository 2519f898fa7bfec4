//! The way back by hand, and on again.

use preview_actions::{Conclusion, Failed, Outside as _};
use preview_core::comment::State;
use preview_core::config::Target;
use preview_core::names::CommitSha;
use preview_core::promote::{Intent, Promotion as Told};
use preview_github::DeploymentState;
use preview_k8s::LeaseFacts;

use crate::alerts::Occasion;
use crate::promotion::{Ended, Promotion, reasons};
use crate::story::promotions_to;
use crate::world::World;

impl World<'_> {
    /// Brings the target back to the commit `to`, or to what was promoted to it before what runs, and freezes it: the next
    /// merge would bring back what was just taken off.
    ///
    /// # Errors
    /// When that was not tested, or its images are gone, or something outside failed.
    pub(crate) async fn roll_back(
        &self,
        target: &Target,
        to: Option<&CommitSha>,
        reason: &str,
    ) -> Result<Conclusion, Failed> {
        let running = self.running(target).await?;
        let to = match to {
            Some(to) => to.clone(),
            None => self.earlier(target, &running).await?,
        };
        self.runner.know(|result| result.commit = Some(to.clone()));
        let merged = self.merged(&to).await?;
        let back = Promotion {
            runner: self.runner,
            world: self,
            merged: &merged,
            target,
            intent: Intent::RollBack,
            only_plans: false,
            is_newest: true,
        };
        let freeze = self.freeze(reason, &running, &to)?;
        match back.gone_back(&freeze).await? {
            Ended::Promoted(what) => {
                let off = self.merged(&running).await?;
                let off = Promotion {
                    merged: &off,
                    ..back
                };
                if running != to {
                    let state = State::RolledBack {
                        target: target.name.to_string(),
                        commit: running,
                        to,
                        reason: freeze.clone(),
                        resume: format!("preview-promote resume --target {}", target.name),
                    };
                    off.tell(&state).await?;
                }
                back.alert(Occasion::RolledBack, vec![freeze]).await;
                Ok(Conclusion::done("rolled-back", what))
            }
            Ended::Refused(refusals) => Err(Failed::Refused(reasons(&refusals))),
            ended => Ok(Conclusion::done(ended.verdict(), ended)),
        }
    }

    /// What is told of the freeze to whoever meets it.
    fn freeze(&self, reason: &str, from: &CommitSha, to: &CommitSha) -> Result<String, Failed> {
        let environment = self.runner.environment();
        let by = environment.actor().unwrap_or("somebody");
        Ok(format!(
            "{reason} (from {} to {} by {by}, run {})",
            from.short(),
            to.short(),
            environment.fence()?
        ))
    }

    /// The commit that the target runs by our annotation.
    async fn running(&self, target: &Target) -> Result<CommitSha, Failed> {
        for workload in &target.workloads {
            let read = self.cluster.target(&target.namespace, &workload.workload);
            let read = read.await.outside()?;
            if let Some(commit) = read.and_then(|facts| facts.commit()) {
                return Ok(commit);
            }
        }
        Err(Failed::refused(format!(
            "no promotion has brought anything to {}, so there is nothing to go back from; where somebody set its images \
             by hand: `kubectl -n {} rollout undo`",
            target.name, target.namespace
        )))
    }

    /// What was promoted to the target before what runs; where an earlier way back was not told to its end, where that one
    /// went.
    async fn earlier(&self, target: &Target, running: &CommitSha) -> Result<CommitSha, Failed> {
        let succeeded = self.succeeded(target).await?;
        let lease = self.cluster.lease(&target.namespace, target.name.as_str());
        if let Some(LeaseFacts {
            frozen: Some(_),
            commit: Some(commit),
            ..
        }) = lease.await.outside()?
            && succeeded.first() != Some(&commit)
        {
            return Ok(commit);
        }
        for commit in succeeded {
            let older = commit != *running
                && self
                    .github
                    .is_ancestor(&commit, running.as_str())
                    .await
                    .outside()?;
            if older {
                return Ok(commit);
            }
        }
        Err(Failed::refused(format!(
            "nothing was promoted to {} before {}; name a tested commit of {} with --to",
            target.name,
            running.short(),
            self.repository.default_branch
        )))
    }

    /// The commits that were promoted to the target, newest first.
    async fn succeeded(&self, target: &Target) -> Result<Vec<CommitSha>, Failed> {
        let mut commits = Vec::new();
        let all = self.github.deployments(&promotions_to(target)).await;
        for deployment in all.outside()? {
            let Some(told) = Told::read(&deployment.payload) else {
                continue;
            };
            let statuses = self.github.deployment_statuses(deployment.id).await;
            let mut statuses = statuses.outside()?.into_iter();
            if statuses.any(|status| status.state == DeploymentState::Success) {
                commits.push(told.commit);
            }
        }
        Ok(commits)
    }

    /// Lets promotions to the target go on.
    ///
    /// # Errors
    /// When something outside failed.
    pub(crate) async fn resume(&self, target: &Target) -> Result<Conclusion, Failed> {
        let (namespace, name) = (&target.namespace, target.name.as_str());
        let unfreeze = self.cluster.unfreeze(namespace, name);
        let step = self
            .runner
            .step("unfreeze", format!("Lease of {name}"), unfreeze);
        Ok(match step.await.outside()? {
            Some(reason) => Conclusion::done(
                "resumed",
                format!("{name} may be promoted to again; it was frozen: {reason}"),
            ),
            None => Conclusion::done("nothing", format!("{name} is not frozen")),
        })
    }
}

impl Promotion<'_> {
    /// Whether it leads to an older commit.
    pub(crate) fn goes_back(&self) -> bool {
        self.intent == Intent::RollBack
    }

    /// Decides first whether there is a way back: a target is not frozen for nothing.
    async fn gone_back(&self, freeze: &str) -> Result<Ended, Failed> {
        match self.may_be().await? {
            Some(refused) => Ok(refused),
            None => self.under_lease(Some(freeze)).await,
        }
    }
}
