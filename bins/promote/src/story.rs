//! What people see of a promotion: the deployment, the tags, the comment on the pull request.

use jiff::Timestamp;
use preview_actions::{Failed, Outside as _};
use preview_core::comment::{Comment, MARKER, State, tells_of, tells_of_destruction};
use preview_core::deployments::{
    ENDED, ENVIRONMENT, PROGRESS, PROMOTION, RECORD, promotion_payload, subject_of,
};
use preview_core::labels;
use preview_core::names::{PrNumber, Subject};
use preview_core::pulls::PullRequest;
use preview_github::{
    DeploymentFilter, DeploymentId, DeploymentRequest, DeploymentState, NewDeploymentStatus,
};

use crate::evidence::Merged;
use crate::world::World;
use crate::{Promotion, Proven};

impl Promotion<'_> {
    /// Tells that the target runs what was merged. The deployment's success comes last: by it the next run sees that all was
    /// told.
    pub(crate) async fn announce(&self, proven: &Proven) -> Result<(), Failed> {
        self.runner.enters("announcing");
        self.move_tags(proven).await?;
        let state = State::Promoted {
            target: self.target.name.to_string(),
            commit: self.commit().clone(),
            images: proven.images.clone(),
        };
        self.tell(&state).await?;
        self.deploys(proven, &state).await
    }

    /// Whether a deployment tells already that the target runs M.
    pub(crate) async fn is_announced(&self) -> Result<bool, Failed> {
        let of_target = DeploymentFilter {
            reference: Some(self.commit().clone()),
            environment: Some(self.target.name.to_string()),
            task: Some(PROMOTION.to_owned()),
        };
        self.world.github.has_succeeded(&of_target).await.outside()
    }

    async fn deploys(&self, proven: &Proven, told: &State) -> Result<(), Failed> {
        let run = self.runner.environment().fence()?;
        let subject = &proven.record.subject;
        let request = DeploymentRequest {
            reference: self.commit().clone(),
            environment: self.target.name.to_string(),
            task: PROMOTION.to_owned(),
            description: format!("{subject} as {}", self.commit().short()),
            payload: promotion_payload(self.commit(), subject, &proven.images, run),
            production: true,
            transient: false,
        };
        let github = &self.world.github;
        let object = format!("deployment in {}", self.target.name);
        let create = github.create_deployment(&request);
        let step = self.runner.step("create", object, create).await;
        let deployment = step.outside()?;
        self.tell_again(told).await?;
        let succeeds = async {
            let runs = NewDeploymentStatus {
                state: DeploymentState::Success,
                description: "It runs, by digest".to_owned(),
                log_url: self.runner.environment().run_url(),
                environment_url: None,
            };
            github.set_deployment_status(deployment.id, &runs).await?;
            let of_target = DeploymentFilter {
                environment: Some(self.target.name.to_string()),
                task: Some(PROMOTION.to_owned()),
                reference: None,
            };
            let all = github.deployments(&of_target).await?;
            let others = all.iter().map(|other| other.id);
            let others: Vec<DeploymentId> = others.filter(|id| *id != deployment.id).collect();
            let why = format!("{} runs now", self.commit().short());
            github.retire_deployments(&others, &why).await
        };
        succeeds.await.outside().map(drop)
    }

    /// Points `latest` and the default branch's name to the very images that run.
    async fn move_tags(&self, proven: &Proven) -> Result<(), Failed> {
        let branch = tag_of(&self.world.repository.default_branch);
        for image in proven.images.values() {
            for tag in ["latest", branch.as_str()] {
                let put = self.world.registry.tag(image, tag);
                let object = format!("{}:{tag}", image.name);
                self.runner.step("tag", object, put).await.outside()?;
            }
        }
        Ok(())
    }

    /// Tells on the pull request why it was not promoted. That this cannot be told must not hide why.
    pub(crate) async fn tell_failed(&self, failed: &Failed) {
        let reasons = match failed {
            Failed::Refused(reasons) => reasons.clone(),
            other => vec![other.to_string()],
        };
        let target = self.target.name.to_string();
        let state = State::NotPromoted { target, reasons };
        if let Err(error) = self.tell(&state).await {
            let warning = format!("the pull request was not told: {error}");
            self.runner.console().warning(&warning);
        }
    }

    /// Tells it on the pull request, beside what a cleanup of the same merge tells.
    async fn tell(&self, state: &State) -> Result<(), Failed> {
        for pull in &self.merged.pulls {
            let is_gone = self.tells_of_destruction(pull.number).await?;
            self.write_comment(pull, state, is_gone).await?;
            // One that told of it after we looked, and before we wrote, had put its progress away before.
            if !is_gone && self.world.preview_has_ended(pull).await? {
                self.write_comment(pull, state, true).await?;
            }
        }
        Ok(())
    }

    /// Tells it once more where a cleanup that had looked before wrote after us. One that writes after this sees our
    /// deployment.
    async fn tell_again(&self, state: &State) -> Result<(), Failed> {
        for pull in &self.merged.pulls {
            let said = self.world.github.comment(pull.number, MARKER).await;
            let said = said.outside()?;
            if !said.is_some_and(|said| tells_of(&said.body, state)) {
                self.tell(state).await?;
            }
        }
        Ok(())
    }

    async fn write_comment(
        &self,
        pull: &PullRequest,
        state: &State,
        preview_gone: bool,
    ) -> Result<(), Failed> {
        let number = pull.number;
        let comment = Comment {
            state: state.clone(),
            url: None,
            updated: Timestamp::now(),
            commit: pull.head.clone(),
            namespace: Some(self.target.namespace.clone()),
            database: None,
            components: Vec::new(),
            notes: Vec::new(),
            run_url: self.runner.environment().run_url(),
            preview_gone,
        };
        let body = comment.render();
        let write = self.world.github.upsert_comment(number, MARKER, &body);
        let object = format!("on #{number}: {}", comment.state.status_line());
        let step = self.runner.step("comment", object, write).await;
        step.outside().map(drop)
    }

    /// Whether a cleanup was faster, and told that the preview is gone.
    async fn tells_of_destruction(&self, number: PrNumber) -> Result<bool, Failed> {
        let said = self.world.github.comment(number, MARKER).await.outside()?;
        Ok(said.is_some_and(|said| tells_of_destruction(&said.body)))
    }
}

impl World<'_> {
    /// Whether a cleanup has put away what showed the progress of the pull request's preview.
    async fn preview_has_ended(&self, pull: &PullRequest) -> Result<bool, Failed> {
        let subject = Subject::Pr(pull.number);
        let progress = DeploymentFilter {
            environment: Some(ENVIRONMENT.to_owned()),
            task: Some(PROGRESS.to_owned()),
            reference: Some(pull.head.clone()),
        };
        let all = self.github.deployments(&progress).await.outside()?;
        let repository = self.repository.id;
        let mut of_pull = all.iter().filter(|deployment| {
            subject_of(&deployment.payload, repository).as_ref() == Some(&subject)
        });
        let Some(newest) = of_pull.next() else {
            return Ok(false);
        };
        let statuses = self.github.deployment_statuses(newest.id).await;
        let statuses = statuses.outside()?;
        let newest = statuses.iter().max_by_key(|status| status.id);
        Ok(newest.is_some_and(|status| status.description == ENDED))
    }

    /// What was merged runs on every target: its record and its labels have done their work.
    pub(crate) async fn put_away(&self, merged: &Merged) -> Result<(), Failed> {
        for pull in &merged.pulls {
            let put_away = self.put_away_pull(pull);
            let object = format!("record and labels of #{}", pull.number);
            self.runner.step("retire", object, put_away).await?;
        }
        Ok(())
    }

    async fn put_away_pull(&self, pull: &PullRequest) -> Result<(), Failed> {
        let subject = Subject::Pr(pull.number);
        let records = DeploymentFilter {
            environment: Some(ENVIRONMENT.to_owned()),
            task: Some(RECORD.to_owned()),
            reference: Some(pull.head.clone()),
        };
        let all = self.github.deployments(&records).await.outside()?;
        let repository = self.repository.id;
        let of_pull = all.iter().filter(|deployment| {
            subject_of(&deployment.payload, repository).as_ref() == Some(&subject)
        });
        let ids: Vec<DeploymentId> = of_pull.map(|deployment| deployment.id).collect();
        let retire = self.github.retire_deployments(&ids, "It was promoted");
        retire.await.outside()?;
        let remove = self
            .github
            .set_image_labels(pull.number, &[], labels::PREFIX);
        remove.await.outside()?;
        Ok(())
    }
}

/// The branch's name as a tag: what a tag cannot hold is a dash, as docker/metadata-action has it.
fn tag_of(branch: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let tag: String = branch
        .chars()
        .map(|c| if word(c) { c } else { '-' })
        .take(128)
        .collect();
    tag.trim_start_matches(['.', '-']).to_owned()
}
