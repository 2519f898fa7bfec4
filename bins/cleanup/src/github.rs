//! GitHub's side of a preview: what told of it is put away.

use jiff::Timestamp;
use preview_actions::{Failed, Outside as _};
use preview_core::cleanup::GitHubSide;
use preview_core::comment::{Comment, MARKER, Note, State, tells_of_destruction, with_destruction};
use preview_core::config::Target;
use preview_core::deployments::{
    ENDED, ENVIRONMENT, IMPORT, PROGRESS, PROMOTION, RECORD, subject_of,
};
use preview_core::labels;
use preview_core::names::{CommitSha, PrNumber, Subject};
use preview_core::promote::Promotion;
use preview_core::pulls::{PullRequest, PullState};
use preview_github::{Deployment, DeploymentFilter};
use preview_k8s::Receipt;

use crate::Cleanup;
use crate::images::Whose;
use crate::world::World;

/// What the comment says beside something else, for the log.
const GONE: &str = "the preview is destroyed";

/// How far a commit of the default branch has come, by the deployments that promotion made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// Every target runs it, or one that came after it.
    Everywhere,
    /// Some target does not.
    NotYet,
    /// There is no target.
    Nowhere,
}

impl World<'_> {
    /// How far `commit` has come. For eyes, and for what can be made again: a deployment proves nothing.
    pub(crate) async fn reached(&self, commit: &CommitSha) -> Result<Reached, Failed> {
        let promoted = self.promoted.get_or_try_init(|| self.newest_promotions());
        for newest in promoted.await? {
            let Some(newest) = newest else {
                return Ok(Reached::NotYet);
            };
            let runs = newest.reference.as_str();
            if !self.github.is_ancestor(commit, runs).await.outside()? {
                return Ok(Reached::NotYet);
            }
        }
        Ok(match self.config.promote.targets.is_empty() {
            true => Reached::Nowhere,
            false => Reached::Everywhere,
        })
    }

    /// The newest promotion to each target that came to its end.
    async fn newest_promotions(&self) -> Result<Vec<Option<Deployment>>, Failed> {
        let mut newest = Vec::new();
        for target in &self.config.promote.targets {
            let promotions = promotions_to(target);
            newest.push(self.github.newest_success(&promotions).await.outside()?);
        }
        Ok(newest)
    }
}

impl World<'_> {
    /// The deployments that show the progress of previews, or keep their records: as they were when this run asked first.
    pub(crate) async fn preview_deployments(&self) -> Result<&[Deployment], Failed> {
        let asked = self.deployments.get_or_try_init(|| async {
            let of_previews = DeploymentFilter {
                environment: Some(ENVIRONMENT.to_owned()),
                ..DeploymentFilter::default()
            };
            self.github.deployments(&of_previews).await.outside()
        });
        Ok(asked.await?)
    }
}

impl World<'_> {
    /// Sets those deployments of a preview inactive whose task `goes`.
    async fn retire(
        &self,
        subject: &Subject,
        goes: impl Fn(&str) -> bool,
        why: &str,
    ) -> Result<(), Failed> {
        let repository = self.repository.id;
        let all = self.preview_deployments().await?.iter();
        let ours = all
            .filter(|deployment| goes(&deployment.task))
            .filter(|deployment| {
                subject_of(&deployment.payload, repository).as_ref() == Some(subject)
            });
        for deployment in ours {
            if self.was_active(deployment).await? {
                let retire = self.github.retire_deployment(deployment.id, why);
                retire.await.outside()?;
            }
        }
        Ok(())
    }

    /// Whether a deployment of a preview was not inactive when this run asked first: one question for each hundred, where the
    /// statuses of each would be another.
    async fn was_active(&self, deployment: &Deployment) -> Result<bool, Failed> {
        let ask = || async { self.github.active_deployments(ENVIRONMENT).await.outside() };
        let active = self.active.get_or_try_init(ask).await?;
        Ok(active.contains(&deployment.node))
    }

    /// Sets what shows the progress of a preview inactive: nothing answers any more.
    pub(crate) async fn retire_progress(&self, subject: &Subject, why: &str) -> Result<(), Failed> {
        self.retire(subject, |task| task == PROGRESS, why).await
    }
}

/// Which deployments tell of promotions to `target`.
pub(crate) fn promotions_to(target: &Target) -> DeploymentFilter {
    DeploymentFilter {
        reference: None,
        environment: Some(target.name.to_string()),
        task: Some(PROMOTION.to_owned()),
    }
}

impl Cleanup<'_> {
    /// Puts away what told of the preview, and tells what became of it. The deployments come after the rest: by them a sweep
    /// finds what a run that died in between has left.
    pub(crate) async fn put_away(
        &self,
        side: GitHubSide,
        receipt: Option<&Receipt>,
    ) -> Result<(), Failed> {
        let runner = self.world.runner;
        let github = &self.world.github;
        let subject = &self.owner.subject;
        let left = match side.retire_records && !self.by_sweep {
            true => self.world.clean_images(&Whose::Of(subject)).await,
            false => Vec::new(),
        };
        // On a commit there are neither labels nor a comment.
        if let Some(pull) = &self.pull {
            if side.remove_labels {
                let remove = github.set_image_labels(pull.number, &[], labels::PREFIX);
                runner
                    .step("remove", format!("labels of {subject}"), remove)
                    .await
                    .outside()?;
            }
            self.tell(pull, receipt, left).await?;
        }
        let retire = self.retire(side);
        runner
            .step("retire", format!("deployments of {subject}"), retire)
            .await?;
        match &self.pull {
            Some(pull) if receipt.is_none_or(Receipt::finished) => self.tell_beside(pull).await,
            _ => Ok(()),
        }
    }

    async fn retire(&self, side: GitHubSide) -> Result<(), Failed> {
        let goes = |task: &str| match task {
            PROGRESS => side.retire_progress,
            RECORD | IMPORT => side.retire_records,
            _ => false,
        };
        self.world.retire(&self.owner.subject, goes, ENDED).await
    }

    /// Says on the pull request that the preview is gone, or what keeps it. One that never had a preview is left alone,
    /// and what the comment tells of a promotion stays.
    async fn tell(
        &self,
        pull: &PullRequest,
        receipt: Option<&Receipt>,
        left: Vec<String>,
    ) -> Result<(), Failed> {
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
        let items = receipt
            .map(|receipt| receipt.items.clone())
            .unwrap_or_default();
        let namespace = self
            .namespace
            .as_ref()
            .map(|namespace| namespace.name.clone());
        let state = match is_gone {
            true => State::Destroyed { receipt: items },
            false => State::NotDestroyed { receipt: items },
        };
        let run_url = self.world.runner.environment().run_url();
        let left = (!left.is_empty()).then_some(Note::ImagesLeft(left));
        let comment = Comment {
            namespace: namespace.filter(|_| !is_gone),
            notes: self.note.iter().cloned().chain(left).collect(),
            ..Comment::of(state, pull.head.clone(), Timestamp::now(), run_url)
        };
        if !is_gone {
            let status = comment.state.status_line();
            let body = |_: Option<&str>| comment.render();
            let write = self.world.write_comment(pull.number, &status, body);
            return write.await.map(drop);
        }
        let tells = said.is_some_and(|said| with_destruction(&said.body).is_some());
        match self.tell_gone(pull, &comment, tells).await? {
            true => Ok(()),
            false => self.tell_of_promotion(comment, pull).await,
        }
    }

    /// Tells that the preview is gone: beside what the comment tells of a promotion right before it is written, or as
    /// `alone`. Whether that was beside; `tells` says whether it told of a promotion before, for the log.
    async fn tell_gone(
        &self,
        pull: &PullRequest,
        alone: &Comment,
        tells: bool,
    ) -> Result<bool, Failed> {
        let status = match tells {
            true => GONE.to_owned(),
            false => alone.state.status_line(),
        };
        let body = |said: Option<&str>| {
            let beside = said.and_then(with_destruction);
            beside.unwrap_or_else(|| alone.render())
        };
        let written = self.world.write_comment(pull.number, &status, body).await?;
        Ok(with_destruction(&written).is_some())
    }

    /// Tells it beside what a promotion tells that looked before this run told it, and wrote after it. One that writes after
    /// this sees that the progress is put away.
    async fn tell_beside(&self, pull: &PullRequest) -> Result<(), Failed> {
        if !matches!(pull.state, PullState::Merged { .. }) {
            return Ok(());
        }
        let said = self.world.github.comment(pull.number, MARKER).await;
        let Some(said) = said.outside()? else {
            return Ok(());
        };
        let Some(beside) = with_destruction(&said.body).filter(|beside| *beside != said.body)
        else {
            return Ok(());
        };
        let body = |said: Option<&str>| {
            let now = said.and_then(with_destruction);
            now.unwrap_or_else(|| beside.clone())
        };
        let write = self.world.write_comment(pull.number, GONE, body);
        write.await.map(drop)
    }

    /// Tells of a promotion again that was told after this looked at the comment, and before it wrote. One that is told
    /// after this looks at the comment when its deployment is there.
    async fn tell_of_promotion(&self, told: Comment, pull: &PullRequest) -> Result<(), Failed> {
        let PullState::Merged { commit } = &pull.state else {
            return Ok(());
        };
        for target in self.world.config.promote.targets.iter().rev() {
            let of_commit = DeploymentFilter {
                reference: Some(commit.clone()),
                ..promotions_to(target)
            };
            let promotions = self.world.github.deployments(&of_commit).await;
            let promotions = promotions.outside()?.into_iter();
            let mut of_promotions = promotions.filter_map(|one| Promotion::read(&one.payload));
            let Some(Promotion { images, .. }) = of_promotions.next() else {
                continue;
            };
            let comment = Comment {
                state: State::Promoted {
                    target: target.name.to_string(),
                    commit: commit.clone(),
                    images,
                },
                namespace: Some(target.namespace.clone()),
                preview_gone: true,
                ..told
            };
            let status = comment.state.status_line();
            let body = |said: Option<&str>| {
                let newer = said.and_then(with_destruction);
                newer.unwrap_or_else(|| comment.render())
            };
            let write = self.world.write_comment(pull.number, &status, body);
            return write.await.map(drop);
        }
        Ok(())
    }
}

impl World<'_> {
    /// Makes the one comment on the pull request say what `body` makes of what it says now; gives that. `what` says what it
    /// is, for the log.
    pub(crate) async fn write_comment(
        &self,
        number: PrNumber,
        what: &str,
        body: impl Fn(Option<&str>) -> String + Send,
    ) -> Result<String, Failed> {
        let object = format!("on #{number}: {what}");
        let write = self.github.upsert_comment_with(number, MARKER, body);
        let step = self.runner.step("comment", object, write);
        step.await.outside().map(|written| written.comment.body)
    }
}
