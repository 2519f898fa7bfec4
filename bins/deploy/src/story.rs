//! What people see on GitHub: the comment, the deployment that shows the progress, the commit's status, the labels.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use preview_actions::{Failed, Outside as _};
use preview_core::comment::{Comment, Condition, Ended, MARKER, Note, Replicas, State};
use preview_core::deploy::Previewed;
use preview_core::deployments::{
    ENVIRONMENT, IMPORT, PROGRESS, RECORD, progress_payload, subject_of,
};
use preview_core::health::{FailureClass, Rollout};
use preview_core::labels::{self, image_labels};
use preview_core::manifests::Preview;
use preview_core::names::{CommitSha, ComponentName, PinnedImage, Subject};
use preview_core::objects::ObjectName;
use preview_core::outcome::EffectResult;
use preview_core::ownership::Claimant;
use preview_core::quota::Table;
use preview_core::slots::Waiting;
use preview_github::{
    ActiveDeployment, Change, CommitState, CommitStatus, Deployment, DeploymentFilter,
    DeploymentId, DeploymentRequest, DeploymentState, NewDeploymentStatus, NodeId,
};
use preview_k8s::Receipt;

use crate::world::World;

/// The context of the status on H.
const STATUS: &str = "preview";

/// What is said of deployments that told of an earlier head or run.
const NEWER: &str = "A newer run is there";

/// How the deploy goes, as it is told.
pub(crate) struct Story<'a> {
    pub(crate) world: &'a World<'a>,
    pub(crate) previewed: &'a Previewed,
    subject: Subject,
    url: Option<String>,
    /// Where the previous version answers, while it does.
    answers: Option<String>,
    pub(crate) comment: Comment,
    /// The comment that this run wrote last, as GitHub has it.
    told: Mutex<Option<String>>,
    /// Who needs how much of the quota, where it is not enough.
    table: Option<Table>,
    /// Which component a workload stands for; the database stands for itself.
    shown: BTreeMap<ObjectName, Option<ComponentName>>,
    progress: Option<DeploymentId>,
    /// The deployments that this run has made.
    pub(crate) own: Vec<NodeId>,
    /// Where the base branch was when what tells of earlier heads was read.
    pub(crate) base: Option<CommitSha>,
    /// What is being done.
    step: String,
    /// The deployment that carries the record.
    pub(crate) record: Option<DeploymentId>,
}

impl<'a> Story<'a> {
    pub(crate) fn new(world: &'a World<'a>, previewed: &'a Previewed) -> Self {
        Self {
            world,
            previewed,
            subject: previewed.subject(),
            url: None,
            answers: None,
            comment: Comment::of(
                State::Ready,
                previewed.head.clone(),
                Timestamp::now(),
                world.runner.environment().run_url(),
            ),
            told: Mutex::default(),
            table: None,
            shown: BTreeMap::new(),
            progress: None,
            own: Vec::new(),
            base: None,
            step: "looking whether it can be deployed".to_owned(),
            record: None,
        }
    }

    /// What there is to be, where nothing was done for it yet. Whether its Namespace is there already is not known.
    pub(crate) fn expects(&mut self, preview: &Preview<'_>) {
        self.url = Some(preview.url());
        self.comment.namespace = Some(preview.namespace_name().clone());
    }

    /// There is no Namespace of the preview, and until the work begins there will be none.
    pub(crate) fn lacks_namespace(&mut self) {
        self.comment.namespace = None;
    }

    /// The preview is ours, and the work begins.
    pub(crate) async fn begins(
        &mut self,
        preview: &Preview<'_>,
        claimant: &Claimant,
    ) -> Result<(), Failed> {
        self.comment.namespace = Some(preview.namespace_name().clone());
        for workload in preview.shown_workloads() {
            self.shown
                .insert(workload.object, workload.component.clone());
            match workload.component {
                None => self.comment.database = Some(Condition::Starting),
                Some(component) => self.comment.components.push((
                    component,
                    Replicas {
                        condition: Condition::Starting,
                        ready: 0,
                        desired: workload.replicas,
                    },
                )),
            }
        }
        let request = DeploymentRequest {
            reference: self.previewed.head.clone(),
            environment: ENVIRONMENT.to_owned(),
            task: PROGRESS.to_owned(),
            description: format!(
                "Preview of {} at {}",
                self.subject,
                self.previewed.head.short()
            ),
            payload: progress_payload(&self.subject, claimant.fence),
            production: false,
            transient: true,
        };
        let create = self.world.github.create_deployment(&request);
        let runner = self.world.runner;
        let deployment = runner
            .step("create", "deployment", create)
            .await
            .outside()?;
        self.progress = Some(deployment.id);
        self.own.push(deployment.node);
        self.progresses(DeploymentState::InProgress, "Deploying")
            .await?;
        self.marks(CommitState::Pending, "Deploying").await?;
        self.deploys("claiming a slot").await
    }

    /// Whether this run has the preview, or had it.
    pub(crate) fn has_begun(&self) -> bool {
        self.progress.is_some()
    }

    /// Keeps what else there is to know: every comment from now on says it.
    pub(crate) fn note(&mut self, note: Note) {
        if !self.comment.notes.contains(&note) {
            let said = note.to_string();
            self.world.runner.know(|result| result.notes.push(said));
            self.comment.notes.push(note);
        }
    }

    /// What was deployed before, from `commit`, answers still, and this is how it is.
    pub(crate) fn still_serves(
        &mut self,
        commit: CommitSha,
        components: Vec<(ComponentName, Replicas)>,
    ) {
        self.comment.components = components;
        let commit = Some(commit);
        self.answers_by(Note::PreviousServes { commit });
    }

    /// Keeps who needs how much of the quota, for the comment that refuses.
    pub(crate) fn shows(&mut self, table: Table) {
        self.table = Some(table);
    }

    /// The comment says what is being done.
    pub(crate) async fn deploys(&mut self, step: &str) -> Result<(), Failed> {
        self.comes_to(step);
        let step = step.to_owned();
        self.tell(State::Deploying { step }, None).await
    }

    /// What is being done from now on, for whoever reads where it failed.
    pub(crate) fn comes_to(&mut self, step: &str) {
        step.clone_into(&mut self.step);
    }

    /// Of what was deployed before something answers still, and this says what.
    pub(crate) fn answers_by(&mut self, note: Note) {
        self.answers.clone_from(&self.url);
        self.note(note);
    }

    /// Keeps how the workloads were last seen.
    pub(crate) fn saw(&mut self, verdicts: &[(ObjectName, Rollout)]) {
        for (object, rollout) in verdicts {
            match self.shown.get(object) {
                Some(Some(of_object)) => {
                    let mut components = self.comment.components.iter_mut();
                    let shown = components.find(|(component, _)| component == of_object);
                    if let Some((_, replicas)) = shown {
                        *replicas = Replicas::of(rollout, replicas.desired);
                    }
                }
                Some(None) => {
                    self.comment.database = Some(match rollout {
                        Rollout::Waiting { .. } => Condition::Starting,
                        Rollout::Complete { .. } => Condition::Ready,
                        Rollout::Failed(_) => Condition::Failed,
                    });
                }
                None => {}
            }
        }
    }

    /// It answers. What told of earlier heads is put away.
    pub(crate) async fn ready(
        &mut self,
        images: &BTreeMap<ComponentName, PinnedImage>,
    ) -> Result<(), Failed> {
        self.replaces_what_was_told(images).await?;
        self.progresses(DeploymentState::Success, "Ready").await?;
        self.marks(CommitState::Success, "Ready").await?;
        self.tell(State::Ready, self.url.clone()).await
    }

    /// It waits for a slot.
    pub(crate) async fn queued(&self, waiting: Waiting) -> Result<(), Failed> {
        self.progresses(DeploymentState::Queued, "Waits for a slot")
            .await?;
        self.marks(CommitState::Pending, "Waits for a slot").await?;
        let waits = Comment {
            state: State::Queued(waiting),
            updated: Timestamp::now(),
            database: None,
            components: Vec::new(),
            notes: Vec::new(),
            ..self.comment.clone()
        };
        self.write(&waits).await
    }

    /// It is gone again.
    pub(crate) async fn destroyed(&self, receipt: &Receipt) -> Result<(), Failed> {
        let why = &self.previewed.ended();
        self.progresses(DeploymentState::Inactive, why).await?;
        self.marks(CommitState::Failure, why).await?;
        let state = if receipt.finished() {
            State::Destroyed {
                receipt: receipt.items.clone(),
            }
        } else {
            State::NotDestroyed {
                receipt: receipt.items.clone(),
            }
        };
        let gone = Comment {
            state,
            updated: Timestamp::now(),
            namespace: self
                .comment
                .namespace
                .clone()
                .filter(|_| !receipt.finished()),
            database: None,
            components: Vec::new(),
            notes: Vec::new(),
            ..self.comment.clone()
        };
        self.write(&gone).await
    }

    /// It failed. That this cannot be told either must not hide why.
    pub(crate) async fn failed(&self, failed: &Failed) {
        let (state, in_short) = match failed {
            Failed::Broken(failure, _) => {
                let in_short = format!("{}: {}", failure.workload, failure.class);
                let (failure, ended) = ((**failure).clone(), self.ended());
                (State::Failed { failure, ended }, in_short)
            }
            Failed::Refused(reasons) => {
                let (reasons, table) = (reasons.clone(), self.table.clone());
                (State::Refused { reasons, table }, "Refused".to_owned())
            }
            Failed::Misused(error) => self.outside(FailureClass::Configuration, error),
            Failed::Outside(class, error) => self.outside(*class, error),
        };
        let told = async {
            self.progresses(DeploymentState::Failure, &in_short).await?;
            self.marks(CommitState::Failure, &in_short).await?;
            self.tell(state, self.answers.clone()).await
        };
        self.warn(told.await);
    }

    /// What the comment and, in short, the commit's status say of a failure that is not the preview's own.
    fn outside(&self, class: FailureClass, error: &str) -> (State, String) {
        let (error, ended) = (error.to_owned(), self.ended());
        let in_short = format!("Failed: {error}");
        let state = State::OutsideFailed {
            class,
            error,
            ended,
        };
        (state, in_short)
    }

    fn ended(&self) -> Ended {
        Ended {
            step: self.step.clone(),
            after: self.world.runner.elapsed(),
            access: self.world.config.access_hint.clone(),
        }
    }

    pub(crate) fn warn(&self, told: Result<(), Failed>) {
        if let Err(error) = told {
            let warning = format!("{} was not told: {error}", self.previewed);
            self.world.runner.console().warning(&warning);
        }
    }

    async fn tell(&self, state: State, url: Option<String>) -> Result<(), Failed> {
        let comment = Comment {
            state,
            url,
            updated: Timestamp::now(),
            ..self.comment.clone()
        };
        self.write(&comment).await
    }

    /// The comment that this run wrote last, as GitHub has it.
    pub(crate) fn told(&self) -> Option<String> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.clone()
    }

    /// Writes the comment. On a commit there is none: its status, the job summary and `result.json` say the same.
    pub(crate) async fn write(&self, comment: &Comment) -> Result<(), Failed> {
        let Some(number) = self.previewed.number() else {
            return Ok(());
        };
        let body = comment.render();
        let write = self.world.github.upsert_comment(number, MARKER, &body);
        let object = format!("on #{number}: {}", comment.state.status_line());
        let came_of_it = |written: &preview_github::CommentOutcome| match written.change {
            Change::Unchanged => EffectResult::Unchanged,
            Change::Created | Change::Updated => EffectResult::Done,
        };
        let runner = self.world.runner;
        let written = runner
            .step_with("comment", object, write, came_of_it)
            .await
            .outside()?;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        *told = Some(written.comment.body);
        Ok(())
    }

    pub(crate) async fn progresses(
        &self,
        state: DeploymentState,
        description: &str,
    ) -> Result<(), Failed> {
        let Some(id) = self.progress else {
            return Ok(());
        };
        let status = NewDeploymentStatus {
            state,
            description: description.to_owned(),
            log_url: self.world.runner.environment().run_url(),
            environment_url: self
                .url
                .clone()
                .filter(|_| state == DeploymentState::Success),
        };
        let set = self.world.github.set_deployment_status(id, &status);
        set.await.outside()?;
        Ok(())
    }

    pub(crate) async fn marks(&self, state: CommitState, description: &str) -> Result<(), Failed> {
        let status = CommitStatus {
            context: STATUS.to_owned(),
            state,
            description: description.to_owned(),
            target_url: match state {
                CommitState::Success => self.url.clone(),
                _ => self.world.runner.environment().run_url(),
            },
        };
        let set = self.world.github.set_status(&self.previewed.head, &status);
        set.await.outside()
    }

    /// Shows the digests as labels of the pull request; a commit has none.
    pub(crate) async fn labels(
        &self,
        images: &BTreeMap<ComponentName, PinnedImage>,
    ) -> Result<(), Failed> {
        let Some(number) = self.previewed.number() else {
            return Ok(());
        };
        let wanted = image_labels(images);
        let github = &self.world.github;
        let set = github.set_image_labels(number, &wanted, labels::PREFIX);
        let runner = self.world.runner;
        runner
            .step("label", format!("#{number}"), set)
            .await
            .outside()?;
        Ok(())
    }

    /// Shows the digests, and sets inactive what told of this preview's earlier heads and runs.
    async fn replaces_what_was_told(
        &mut self,
        images: &BTreeMap<ComponentName, PinnedImage>,
    ) -> Result<(), Failed> {
        let world = self.world;
        let github = &world.github;
        let Some(number) = self.previewed.number() else {
            let others = self.others(None).await?.into_iter();
            let others: Vec<DeploymentId> = others.map(|other| other.id).collect();
            let retire = github.retire_deployments(&others, NEWER);
            return retire.await.outside().map(drop);
        };
        let standing = github.standing(number, ENVIRONMENT).await.outside()?;
        self.base.clone_from(&standing.base);
        let wanted = image_labels(images);
        let set = github.replace_image_labels(number, &standing.labels, &wanted, labels::PREFIX);
        let step = world.runner.step("label", format!("#{number}"), set);
        step.await.outside()?;
        // A first deploy finds nothing, and need not look closer.
        if !standing
            .active
            .iter()
            .any(|active| self.may_be_other(active))
        {
            return Ok(());
        }
        let is_active = |other: &Deployment| {
            let mut active = standing.active.iter();
            active.any(|active| active.node == other.node)
        };
        let others = self.others(Some(standing.opened)).await?.into_iter();
        for other in others.filter(is_active) {
            github.retire_deployment(other.id, NEWER).await.outside()?;
        }
        Ok(())
    }

    /// Whether a deployment may tell of an earlier head or run of this preview: one of which cannot be read whose it is may.
    fn may_be_other(&self, active: &ActiveDeployment) -> bool {
        let repository = self.previewed.repository.id;
        !self.own.contains(&active.node)
            && self.is_replaced(&active.task, &active.reference)
            && subject_of(&active.payload, repository).is_none_or(|of| of == self.subject)
    }

    /// What was tested at this head stays.
    fn is_replaced(&self, task: &str, reference: &CommitSha) -> bool {
        ![RECORD, IMPORT].contains(&task) || *reference != self.previewed.head
    }

    /// The deployments that tell of this preview's earlier heads and runs.
    async fn others(&self, since: Option<Timestamp>) -> Result<Vec<Deployment>, Failed> {
        let github = &self.world.github;
        let all = DeploymentFilter {
            environment: Some(ENVIRONMENT.to_owned()),
            ..DeploymentFilter::default()
        };
        let all = match since {
            Some(since) => github.deployments_since(&all, since).await,
            None => github.deployments(&all).await,
        };
        let repository = self.previewed.repository.id;
        let mut others = all.outside()?;
        others.retain(|one| {
            // Those that were made later are of a run that has taken the preview over.
            Some(one.id) < self.progress
                && self.is_replaced(&one.task, &one.reference)
                && subject_of(&one.payload, repository).as_ref() == Some(&self.subject)
        });
        Ok(others)
    }
}
