//! When another run takes the preview over: it tells how it goes on, and what this run told last must not hide that.
//!
//! The cluster refuses an older run whatever it writes; GitHub cannot. So a run looks once more after it has told
//! something for the last time, and sets right what it may have written over.
use jiff::Timestamp;
use preview_actions::{Conclusion, Failed, Outside as _};
use preview_core::comment::{Comment, Condition, MARKER, Replicas, State};
use preview_core::lifecycle::Phase;
use preview_core::objects::NamespaceFacts;
use preview_core::ownership::keys;
use preview_core::pulls::PullRequest;
use preview_core::slots::Waiting;
use preview_github::{CommitState, DeploymentState};

use crate::Deploy;
use crate::stop::Stop;
use crate::story::Story;

/// How often what was set right is looked at again, while the newer run goes on at the same time.
const LOOKS: u32 = 5;

impl Deploy<'_> {
    /// Says that it waits for a slot.
    pub(crate) async fn waits(
        &self,
        story: &Story<'_>,
        waiting: Waiting,
    ) -> Result<Conclusion, Stop> {
        let reason = format!("all {} slots are taken", waiting.capacity);
        story.queued(waiting).await?;
        self.last_look(None).await?;
        Ok(Conclusion::done("queued", reason))
    }

    /// Looks once more after all was told: the pull request may have been closed meanwhile, or another run may have the
    /// preview. A head that was pushed meanwhile changes nothing: this one was deployed, and that one's run comes. `read` is
    /// the pull request where it was read after all that people see was told.
    pub(crate) async fn last_look(&self, read: Option<&PullRequest>) -> Result<(), Stop> {
        let wanted = match read {
            Some(pull) => self.is_wanted_by(pull),
            None => self.still_wanted().await,
        };
        match wanted {
            Ok(()) | Err(Stop::Superseded(_)) => {}
            Err(stop) => return Err(stop),
        }
        let name = self.preview.namespace_name();
        let read = self.world.cluster.namespace(name).await.outside()?;
        match read.filter(|now| !now.terminating) {
            Some(now) if self.claimant.still_owns(&now) => Ok(()),
            Some(now) => Err(Stop::superseded_by(now.fence())),
            None => Err(self.gone().await),
        }
    }

    /// The Namespace, where another run has it.
    pub(crate) async fn taken_over(&self) -> Result<Option<NamespaceFacts>, Failed> {
        let name = self.preview.namespace_name();
        let read = self.world.cluster.namespace(name).await.outside()?;
        Ok(read.filter(|now| {
            let is_ours = self.claimant.owner.check(now).is_ok();
            is_ours && !now.terminating && now.fence() != Some(self.claimant.fence)
        }))
    }

    /// What ended the run: whoever has taken the preview over, or has closed the pull request, is likely why it failed.
    pub(crate) async fn why(&self, story: &Story<'_>, failed: Failed) -> Stop {
        if !story.has_begun() {
            return Stop::Failed(failed);
        }
        match self.taken_over().await {
            Ok(Some(newer)) => Stop::superseded_by(newer.fence()),
            // What failed first is what is told, unless it failed because all was taken down.
            Ok(None) | Err(_) => match self.still_wanted().await {
                Err(Stop::NotWanted) => Stop::NotWanted,
                _ => Stop::Failed(failed),
            },
        }
    }

    /// Leaves the preview to the run that has it.
    pub(crate) async fn gives_way(&self, story: &Story<'_>, why: &str) {
        // A run that never had it has told nothing.
        if story.has_begun() {
            let told = async {
                story.retires(why).await?;
                self.hands_over(story).await
            };
            story.warn(told.await);
        }
    }

    /// Sets right what this run told over what the newer one has told, and looks again while that one goes on.
    async fn hands_over(&self, story: &Story<'_>) -> Result<(), Failed> {
        let mut before = None;
        for _ in 0..LOOKS {
            let Some(newer) = self.taken_over().await? else {
                break;
            };
            let now = (newer.fence(), is_ready(&newer));
            if before.replace(now) == Some(now) {
                break;
            }
            story.tells_for(&newer).await?;
        }
        Ok(())
    }
}

impl Story<'_> {
    /// Tells what the newer run has told, where this one has told something over it.
    async fn tells_for(&self, newer: &NamespaceFacts) -> Result<(), Failed> {
        if is_ready(newer) {
            self.labels(&newer.images()).await?;
            if newer.head().as_ref() == Some(&self.previewed.head) {
                self.marks(CommitState::Success, "Ready").await?;
            }
        }
        let Some(number) = self.previewed.number() else {
            return Ok(());
        };
        let github = &self.world.github;
        let said = github.comment(number, MARKER).await.outside()?;
        if said.is_some_and(|said| Some(said.body) == self.told()) {
            self.write(&self.of_newer(newer)).await?;
        }
        Ok(())
    }

    /// The newer run's comment, as far as the Namespace tells it.
    fn of_newer(&self, newer: &NamespaceFacts) -> Comment {
        let environment = self.world.runner.environment();
        let by = newer.fence();
        let components = self.comment.components.iter();
        let all_ready = components.map(|(component, replicas)| {
            let replicas = Replicas {
                condition: Condition::Ready,
                ready: replicas.desired,
                ..*replicas
            };
            (component.clone(), replicas)
        });
        let comment = Comment {
            updated: Timestamp::now(),
            commit: newer.head().unwrap_or_else(|| self.previewed.head.clone()),
            namespace: Some(newer.name.clone()),
            run_url: by.and_then(|by| environment.run_url_of(by)),
            notes: Vec::new(),
            ..self.comment.clone()
        };
        if is_ready(newer) {
            return Comment {
                state: State::Ready,
                url: newer.annotations.get(keys::URL).cloned(),
                database: self.comment.database.map(|_| Condition::Ready),
                components: all_ready.collect(),
                ..comment
            };
        }
        Comment {
            state: State::Deploying {
                step: "a newer run".to_owned(),
            },
            url: None,
            database: None,
            components: Vec::new(),
            ..comment
        }
    }

    /// Puts away what showed this run's progress, and its record if it has one.
    async fn retires(&self, why: &str) -> Result<(), Failed> {
        self.progresses(DeploymentState::Inactive, why).await?;
        let github = &self.world.github;
        let record: Vec<_> = self.record.into_iter().collect();
        github.retire_deployments(&record, why).await.outside()?;
        Ok(())
    }
}

fn is_ready(namespace: &NamespaceFacts) -> bool {
    let phase = namespace.annotations.get(keys::PHASE);
    phase.is_some_and(|phase| phase == Phase::Ready.as_str())
}
