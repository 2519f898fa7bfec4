//! What people see of a promotion: the deployment, the tags, the comment on the pull request.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use preview_actions::{Failed, Outside as _};
use preview_core::comment::{Comment, MARKER, State, tells_of, tells_of_destruction};
use preview_core::config::Target;
use preview_core::deployments::{
    ENDED, ENVIRONMENT, FAILED_PROMOTION, PROGRESS, PROMOTION, RECORD, subject_of,
};
use preview_core::labels;
use preview_core::names::{ComponentName, PinnedImage, PrNumber, Subject};
use preview_core::promote::{Outcome, Promotion as Told, Refusal};
use preview_core::pulls::PullRequest;
use preview_github::{
    DeploymentFilter, DeploymentId, DeploymentRequest, DeploymentState, NewDeploymentStatus,
};
use preview_k8s::{HeldLease, TargetFacts};

use crate::evidence::Merged;
use crate::promotion::{Promotion, Proven, reasons};
use crate::rollout::TAKEN_OVER;
use crate::world::World;

/// Which deployments tell of what a target was brought to.
pub(crate) fn promotions_to(target: &Target) -> DeploymentFilter {
    DeploymentFilter {
        environment: Some(target.name.to_string()),
        task: Some(PROMOTION.to_owned()),
        reference: None,
    }
}

impl Promotion<'_> {
    /// Tells that the target runs what was merged. The deployment's success comes last: by it the next run sees that all was
    /// told. The reason where another run has taken the target over meanwhile: what that one tells must not be hidden.
    pub(crate) async fn announce(
        &self,
        lease: &HeldLease,
        proven: &Proven,
        before: &[TargetFacts],
    ) -> Result<Option<String>, Failed> {
        self.runner.enters("announcing");
        if self.is_lost(lease).await? {
            return Ok(Some(TAKEN_OVER.to_owned()));
        }
        self.move_tags(&proven.images).await?;
        self.follow().await?;
        let state = State::Promoted {
            target: self.target.name.to_string(),
            commit: self.commit().clone(),
            images: proven.images.clone(),
        };
        let state = (!self.goes_back()).then_some(state);
        if let Some(state) = &state {
            self.tell(state).await?;
        }
        self.deploys(lease, proven, before, state.as_ref()).await
    }

    async fn is_lost(&self, lease: &HeldLease) -> Result<bool, Failed> {
        Ok(!self.world.cluster.holds(lease).await.outside()?)
    }

    /// The registry takes a tag from whoever comes last. Where that was us and another run has set the target since, the
    /// tags go where its images went.
    async fn follow(&self) -> Result<(), Failed> {
        let Some(first) = self.target.workloads.first() else {
            return Ok(());
        };
        let Some(facts) = self.read(&first.workload).await? else {
            return Ok(());
        };
        if facts.commit().as_ref() == Some(self.commit()) {
            return Ok(());
        }
        let images = facts.images().unwrap_or_default().into_iter();
        let images = images.filter_map(|(component, image)| Some((component.parse().ok()?, image)));
        self.move_tags(&images.collect()).await
    }

    /// Whether the newest deployment of the target tells already that it runs M.
    pub(crate) async fn is_announced(&self) -> Result<bool, Failed> {
        let of_target = promotions_to(self.target);
        let newest = self.world.github.newest_success(&of_target).await;
        Ok(newest
            .outside()?
            .is_some_and(|newest| newest.reference == *self.commit()))
    }

    /// What is told of the promotion to whoever reads the target's history.
    fn told(
        &self,
        proven: &Proven,
        before: &[TargetFacts],
        outcome: Outcome,
    ) -> Result<Told, Failed> {
        let environment = self.runner.environment();
        let containers = before.iter().flat_map(|facts| {
            let workload = &facts.workload;
            let containers = facts.containers.iter();
            containers.map(move |it| {
                (
                    format!("{workload}, container {}", it.name),
                    it.image.clone(),
                )
            })
        });
        Ok(Told {
            commit: self.commit().clone(),
            subject: Some(proven.record.subject.clone()),
            images: proven.images.clone(),
            before: containers.collect(),
            run: Some(environment.fence()?),
            by: environment.actor().map(ToOwned::to_owned),
            outcome,
        })
    }

    fn request(&self, task: &str, told: &Told) -> DeploymentRequest {
        let subject = told.subject.as_ref();
        let subject = subject.map(ToString::to_string).unwrap_or_default();
        DeploymentRequest {
            reference: self.commit().clone(),
            environment: self.target.name.to_string(),
            task: task.to_owned(),
            description: format!("{subject} as {}", self.commit().short()),
            payload: told.payload(),
            production: true,
            transient: false,
        }
    }

    async fn deploys(
        &self,
        lease: &HeldLease,
        proven: &Proven,
        before: &[TargetFacts],
        state: Option<&State>,
    ) -> Result<Option<String>, Failed> {
        let outcome = match self.goes_back() {
            true => Outcome::RolledBack,
            false => Outcome::Promoted,
        };
        let request = self.request(PROMOTION, &self.told(proven, before, outcome)?);
        let github = &self.world.github;
        let object = format!("deployment in {}", self.target.name);
        let create = github.create_deployment(&request);
        let step = self.runner.step("create", object, create).await;
        let deployment = step.outside()?;
        if let Some(state) = state {
            self.tell_again(state).await?;
        }
        if !self.is_lost(lease).await? {
            let runs = self.status(DeploymentState::Success, "It runs, by digest");
            let set = github.set_deployment_status(deployment.id, &runs).await;
            set.outside()?;
        }
        let (retired, why, taken_over) = match self.is_lost(lease).await? {
            true => (
                vec![deployment.id],
                "Another run has the target",
                Some(TAKEN_OVER.to_owned()),
            ),
            false => {
                let all = github.deployments(&promotions_to(self.target)).await;
                let others = all.outside()?.into_iter().map(|other| other.id);
                let others = others.filter(|id| *id != deployment.id).collect();
                (others, "Another commit runs now", None)
            }
        };
        let retire = github.retire_deployments(&retired, why).await;
        retire.outside()?;
        Ok(taken_over)
    }

    fn status(&self, state: DeploymentState, description: &str) -> NewDeploymentStatus {
        NewDeploymentStatus {
            state,
            description: description.to_owned(),
            log_url: self.runner.environment().run_url(),
            environment_url: None,
        }
    }

    /// Keeps for the history that the promotion failed. That this cannot be told must not hide why.
    pub(crate) async fn note_failure(&self, proven: &Proven, before: &[TargetFacts]) {
        let noted = async {
            let told = self.told(proven, before, Outcome::Failed)?;
            let request = self.request(FAILED_PROMOTION, &told);
            let github = &self.world.github;
            let failed = self.status(DeploymentState::Failure, "It does not run");
            let work = async {
                let deployment = github.create_deployment(&request).await?;
                github.set_deployment_status(deployment.id, &failed).await
            };
            let object = format!("failed deployment in {}", self.target.name);
            self.runner.step("create", object, work).await.outside()
        };
        if let Err(error) = noted.await {
            let warning = format!("that the promotion failed is not in the history: {error}");
            self.runner.console().warning(&warning);
        }
    }

    /// Labels show what was tested, to people. Where somebody has made them show something else, they are set right, and
    /// that is told; whether that works decides nothing.
    pub(crate) async fn repair_labels(&self, proven: &Proven) {
        let recorded = proven.record.components.iter();
        let images = recorded.map(|(component, it)| (component.clone(), it.image.clone()));
        let wanted = labels::image_labels(&images.collect());
        let of_record = |pull: &&PullRequest| proven.record.subject == Subject::Pr(pull.number);
        let Some(pull) = self.merged.pulls.iter().find(of_record) else {
            return;
        };
        let ours = |label: &&String| label.starts_with(labels::PREFIX);
        let shown: BTreeSet<&String> = pull.labels.iter().filter(ours).collect();
        let right: BTreeSet<&String> = wanted.iter().map(|label| &label.name).collect();
        // Those of a pull request that was promoted before are gone.
        if shown.is_empty() || shown == right {
            return;
        }
        let wrong: Vec<String> = shown.difference(&right).map(ToString::to_string).collect();
        let told = format!(
            "the labels of #{} did not show what was tested ({}); the record decides, and they are set right",
            pull.number,
            wrong.join(", ")
        );
        self.runner.remark(&told);
        let github = &self.world.github;
        let repair = github.set_image_labels(pull.number, &wanted, labels::PREFIX);
        let object = format!("labels of #{}", pull.number);
        if let Err(error) = self.runner.step("repair", object, repair).await {
            self.runner.console().warning(&error.to_string());
        }
    }

    /// Points `latest` and the default branch's name to the very images that run.
    async fn move_tags(&self, images: &BTreeMap<ComponentName, PinnedImage>) -> Result<(), Failed> {
        let branch = tag_of(&self.world.repository.default_branch);
        for image in images.values() {
            for tag in ["latest", branch.as_str()] {
                let put = self.world.registry.tag(image, tag);
                let object = format!("{}:{tag}", image.name);
                self.runner.step("tag", object, put).await.outside()?;
            }
        }
        Ok(())
    }

    /// Tells on the pull request which rules keep it from the target.
    pub(crate) async fn tell_refused(&self, refusals: &[Refusal]) {
        self.tell_not_promoted(reasons(refusals)).await;
    }

    /// Tells on the pull request why it was not promoted.
    pub(crate) async fn tell_failed(&self, failed: &Failed) {
        let reasons = match failed {
            Failed::Refused(reasons) => reasons.clone(),
            other => vec![other.to_string()],
        };
        self.tell_not_promoted(reasons).await;
    }

    /// That this cannot be told must not hide why.
    async fn tell_not_promoted(&self, reasons: Vec<String>) {
        let target = self.target.name.to_string();
        let state = State::NotPromoted { target, reasons };
        if let Err(error) = self.tell(&state).await {
            let warning = format!("the pull request was not told: {error}");
            self.runner.console().warning(&warning);
        }
    }

    /// Tells it on the pull request, beside what a cleanup of the same merge tells.
    pub(crate) async fn tell(&self, state: &State) -> Result<(), Failed> {
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
        let run_url = self.runner.environment().run_url();
        let comment = Comment {
            namespace: Some(self.target.namespace.clone()),
            preview_gone,
            ..Comment::of(state.clone(), pull.head.clone(), Timestamp::now(), run_url)
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
