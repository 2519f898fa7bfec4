//! GitHub's side of a preview: what told of it is put away.

use jiff::Timestamp;
use preview_actions::{Failed, Outside as _};
use preview_core::cleanup::GitHubSide;
use preview_core::comment::{Comment, MARKER, State, tells_of_destruction, with_destruction};
use preview_core::deployments::{ENVIRONMENT, PROGRESS, PROMOTION, RECORD, subject_of};
use preview_core::labels;
use preview_core::names::{CommitSha, PrNumber};
use preview_core::pulls::PullRequest;
use preview_github::{Deployment, DeploymentFilter, DeploymentId};
use preview_k8s::Receipt;

use crate::Cleanup;
use crate::world::World;

impl World<'_> {
    /// Whether every target runs `commit`, by the deployments that promotion made. For eyes only: what hangs on it are
    /// labels and the state of deployments, which prove nothing.
    pub(crate) async fn is_promoted(&self, commit: &CommitSha) -> Result<bool, Failed> {
        for target in &self.config.promote.targets {
            let of_target = DeploymentFilter {
                reference: Some(commit.clone()),
                environment: Some(target.name.to_string()),
                task: Some(PROMOTION.to_owned()),
            };
            if !self.github.has_succeeded(&of_target).await.outside()? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl World<'_> {
    /// Whether every target runs `commit`, or one that came after it.
    pub(crate) async fn has_reached_every_target(
        &self,
        commit: &CommitSha,
    ) -> Result<bool, Failed> {
        for target in &self.config.promote.targets {
            let of_target = DeploymentFilter {
                reference: None,
                environment: Some(target.name.to_string()),
                task: Some(PROMOTION.to_owned()),
            };
            let newest = self.github.newest_success(&of_target).await.outside()?;
            let Some(newest) = newest else {
                return Ok(false);
            };
            let runs = newest.reference.as_str();
            if !self.github.is_ancestor(commit, runs).await.outside()? {
                return Ok(false);
            }
        }
        // Where there is nowhere to promote to, nothing is proof.
        Ok(!self.config.promote.targets.is_empty())
    }
}

impl Cleanup<'_> {
    /// Puts away what told of the preview, and tells what became of it.
    pub(crate) async fn put_away(
        &self,
        side: GitHubSide,
        receipt: Option<&Receipt>,
    ) -> Result<(), Failed> {
        let runner = self.world.runner;
        let github = &self.world.github;
        let subject = &self.owner.subject;
        let retire = self.retire(side);
        runner
            .step("retire", format!("deployments of {subject}"), retire)
            .await?;
        // On a commit there are neither labels nor a comment.
        let Some(pull) = &self.pull else {
            return Ok(());
        };
        if side.remove_labels {
            let remove = github.set_image_labels(pull.number, &[], labels::PREFIX);
            runner
                .step("remove", format!("labels of {subject}"), remove)
                .await
                .outside()?;
        }
        self.tell(pull, receipt).await
    }

    async fn retire(&self, side: GitHubSide) -> Result<(), Failed> {
        let github = &self.world.github;
        let of_previews = DeploymentFilter {
            environment: Some(ENVIRONMENT.to_owned()),
            ..DeploymentFilter::default()
        };
        let all = github.deployments(&of_previews).await.outside()?;
        let repository = self.world.repository.id;
        let goes = |deployment: &Deployment| match deployment.task.as_str() {
            PROGRESS => side.retire_progress,
            RECORD => side.retire_records,
            _ => false,
        };
        let ours: Vec<DeploymentId> = all
            .iter()
            .filter(|deployment| goes(deployment))
            .filter(|deployment| {
                subject_of(&deployment.payload, repository).as_ref() == Some(&self.owner.subject)
            })
            .map(|deployment| deployment.id)
            .collect();
        github
            .retire_deployments(&ours, "The preview has ended")
            .await
            .outside()?;
        Ok(())
    }

    /// Says on the pull request that the preview is gone, or what keeps it. One that never had a preview is left alone,
    /// and what the comment tells of a promotion stays.
    async fn tell(&self, pull: &PullRequest, receipt: Option<&Receipt>) -> Result<(), Failed> {
        let github = &self.world.github;
        let is_gone = receipt.is_none_or(Receipt::finished);
        let said = github.comment(pull.number, MARKER).await.outside()?;
        // Nothing was destroyed now: there never was a preview, or an earlier run has told of its end.
        let told = said
            .as_ref()
            .is_none_or(|said| tells_of_destruction(&said.body));
        if receipt.is_none() && told {
            return Ok(());
        }
        if let Some(body) = said.and_then(|said| with_destruction(&said.body))
            && is_gone
        {
            return self
                .world
                .write_comment(pull.number, "the preview is destroyed", &body)
                .await;
        }
        let items = receipt
            .map(|receipt| receipt.items.clone())
            .unwrap_or_default();
        let namespace = self
            .namespace
            .as_ref()
            .map(|namespace| namespace.name.clone());
        let comment = Comment {
            state: if is_gone {
                State::Destroyed { receipt: items }
            } else {
                State::NotDestroyed { receipt: items }
            },
            url: None,
            updated: Timestamp::now(),
            commit: pull.head.clone(),
            namespace: namespace.filter(|_| !is_gone),
            database: None,
            components: Vec::new(),
            notes: Vec::new(),
            run_url: self.world.runner.environment().run_url(),
            preview_gone: false,
        };
        let (status, body) = (comment.state.status_line(), comment.render());
        self.world.write_comment(pull.number, &status, &body).await
    }
}

impl World<'_> {
    /// Makes the one comment on the pull request say `body`; `what` says what that is.
    pub(crate) async fn write_comment(
        &self,
        number: PrNumber,
        what: &str,
        body: &str,
    ) -> Result<(), Failed> {
        let object = format!("on #{number}: {what}");
        let write = self.github.upsert_comment(number, MARKER, body);
        let step = self.runner.step("comment", object, write);
        step.await.outside().map(drop)
    }
}
