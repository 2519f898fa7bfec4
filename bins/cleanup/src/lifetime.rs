//! Previews that nobody has deployed for a while are warned of their end, put to sleep, or destroyed
//! (`preview_core::lifetime`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use preview_actions::{Failed, Outside as _};
use preview_core::comment::{Comment, Note, State};
use preview_core::lifecycle::Phase;
use preview_core::lifetime::{Due, WARNING_MARKER, Warning};
use preview_core::names::{CommitSha, Fence, Subject};
use preview_core::objects::NamespaceFacts;
use preview_core::ownership::{Claim, Claimant, Owner, keys};
use preview_core::pulls::PullRequest;
use preview_core::slots::Next;
use preview_core::sweep::{Measure, Swept};
use preview_k8s::{Fenced, NamespaceChange};

use crate::Cleanup;
use crate::sweep::{Sweep, failure};

impl Sweep<'_> {
    /// Does what is due of previews that are wanted, and that nobody has deployed for a while.
    pub(crate) async fn aged(&self, previews: &[NamespaceFacts]) -> Vec<Swept> {
        let mut swept = Vec::new();
        for preview in previews {
            let Some(subject) = preview.subject() else {
                continue;
            };
            let pull = match &subject {
                // Of one that is not open another part of the sweep decides.
                Subject::Pr(number) => match self.open.get(number) {
                    Some(pull) => Some(pull),
                    None => continue,
                },
                Subject::Commit(_) => None,
            };
            let done = self.age(preview, &subject, pull).await;
            swept.extend(done.unwrap_or_else(|failed| Some(failure(preview, &failed))));
        }
        swept
    }

    async fn age(
        &self,
        preview: &NamespaceFacts,
        subject: &Subject,
        pull: Option<&PullRequest>,
    ) -> Result<Option<Swept>, Failed> {
        let settings = &self.world.config.lifetime;
        let is_kept = pull.is_some_and(|pull| pull.labels.contains(&settings.keep_label));
        let due = Due::of(preview, is_kept, settings, Timestamp::now());
        match (due, pull) {
            (Due::Nothing, _) => Ok(None),
            (Due::End, _) => self.end(preview, subject).await,
            _ if self.dry_run => Ok(None),
            (Due::Sleep, _) => self.lay_down(preview, subject, pull).await,
            (Due::Warning { ends }, Some(pull)) => self.warn(preview, pull, ends).await,
            (Due::Reprieve, Some(pull)) => self.reprieve(preview, pull).await,
            (Due::Warning { .. } | Due::Reprieve, None) => Ok(None),
        }
    }

    /// Destroys it although its pull request is open.
    async fn end(
        &self,
        preview: &NamespaceFacts,
        subject: &Subject,
    ) -> Result<Option<Swept>, Failed> {
        let active = preview.active_since();
        let why = format!("it was deployed last at {active}");
        if self.dry_run {
            return Ok(Some(Swept::new(preview, Measure::WouldGo, why)));
        }
        if let Err(stop) = self.counts() {
            return Ok(Some(Swept::new(preview, Measure::Left, stop)));
        }
        // Read again: whoever has deployed it since wants it.
        let now = self
            .world
            .cluster
            .namespace(&preview.name)
            .await
            .outside()?;
        let Some(now) = now.filter(|now| now.resource_version == preview.resource_version) else {
            return Ok(None);
        };
        let cleanup = Cleanup::of(self.world, subject.clone(), Some(now), true).await?;
        let cleanup = cleanup.by_sweep().with_note(Note::Expired { active });
        let conclusion = cleanup.carried_out(false).await.told?;
        let measure = match conclusion.verdict {
            "superseded" => Measure::Superseded,
            _ => Measure::Destroyed,
        };
        Ok(Some(Swept::new(preview, measure, why)))
    }

    /// Tells the pull request when its preview will be destroyed. It is told first: what nobody was told of never ends.
    async fn warn(
        &self,
        preview: &NamespaceFacts,
        pull: &PullRequest,
        ends: Timestamp,
    ) -> Result<Option<Swept>, Failed> {
        let ends = Timestamp::from_second(ends.as_second()).unwrap_or(ends);
        let warning = Warning::Ends {
            at: ends,
            active: preview.active_since(),
            keep_label: &self.world.config.lifetime.keep_label,
        };
        self.tell_apart(pull, &warning).await?;
        let told = (keys::EXPIRES.to_owned(), Some(ends.to_string()));
        let why = format!("it will be destroyed after {ends}");
        self.noted(preview, [told], Measure::Warned, why).await
    }

    async fn reprieve(
        &self,
        preview: &NamespaceFacts,
        pull: &PullRequest,
    ) -> Result<Option<Swept>, Failed> {
        let keep_label = &self.world.config.lifetime.keep_label;
        self.tell_apart(pull, &Warning::Kept { keep_label }).await?;
        let not_any_more = (keys::EXPIRES.to_owned(), None);
        let why = format!("its pull request has the label {keep_label}");
        self.noted(preview, [not_any_more], Measure::Kept, why)
            .await
    }

    async fn tell_apart(&self, pull: &PullRequest, warning: &Warning<'_>) -> Result<(), Failed> {
        let (github, number) = (&self.world.github, pull.number);
        let body = warning.to_string();
        let write = github.upsert_comment(number, WARNING_MARKER, &body);
        let object = format!("on #{number}: how long its preview stays");
        let step = self.world.runner.step("comment", object, write);
        step.await.outside().map(drop)
    }

    /// Writes on the Namespace as it was listed; nothing where it was changed since.
    async fn noted(
        &self,
        preview: &NamespaceFacts,
        annotations: impl IntoIterator<Item = (String, Option<String>)>,
        measure: Measure,
        why: String,
    ) -> Result<Option<Swept>, Failed> {
        let written = self.written(preview, annotations).await?;
        Ok(written.map(|_| Swept::new(preview, measure, why)))
    }

    async fn written(
        &self,
        read: &NamespaceFacts,
        annotations: impl IntoIterator<Item = (String, Option<String>)>,
    ) -> Result<Option<NamespaceFacts>, Failed> {
        let change = NamespaceChange {
            annotations: BTreeMap::from_iter(annotations),
            ..NamespaceChange::default()
        };
        let written = self.world.cluster.change_namespace(read, &change);
        written.await.outside()
    }

    /// Puts it to sleep, in the name of the run that deployed it and has ended: whoever deploys it meanwhile takes it over,
    /// and nothing more is written here. Only then its slot is free: what runs still takes room.
    async fn lay_down(
        &self,
        preview: &NamespaceFacts,
        subject: &Subject,
        pull: Option<&PullRequest>,
    ) -> Result<Option<Swept>, Failed> {
        let (Some(fence), Some(head)) = (preview.fence(), preview.head()) else {
            return Ok(None);
        };
        if self.world.github.run_has_ended(fence).await.outside()? == Some(false) {
            return Ok(None);
        }
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
        let begun = [
            (keys::ASLEEP_SINCE.to_owned(), Some(now.to_string())),
            (keys::SERVING.to_owned(), None),
        ];
        let Some(begun) = self.written(preview, begun).await? else {
            return Ok(None);
        };
        let claimant = self.claimant(subject, fence, head.clone());
        let (cluster, name) = (&self.world.cluster, &preview.name);
        let sleeps = cluster.put_to_sleep(&claimant, name);
        let object = format!("what runs in {name}");
        let sleeps = self.world.runner.step("put to sleep", object, sleeps);
        if sleeps.await.outside()? != Fenced::Done(()) {
            return Ok(None);
        }
        let asleep = [
            (keys::CLAIM.to_owned(), Some(Claim::Asleep.to_string())),
            (keys::PHASE.to_owned(), Some(Phase::Asleep.to_string())),
            (keys::HELD_SINCE.to_owned(), None),
        ];
        if self.written(&begun, asleep).await?.is_none() {
            return Ok(None);
        }
        self.tell_asleep(preview, subject, pull, head).await?;
        let why = format!("it was deployed last at {}", preview.active_since());
        Ok(Some(Swept::new(preview, Measure::Asleep, why)))
    }

    pub(crate) fn claimant(&self, subject: &Subject, fence: Fence, head: CommitSha) -> Claimant {
        Claimant {
            owner: Owner {
                repository: self.world.repository.id,
                subject: subject.clone(),
            },
            repository: self.world.repository.slug.clone(),
            head,
            fence,
        }
    }

    async fn tell_asleep(
        &self,
        preview: &NamespaceFacts,
        subject: &Subject,
        pull: Option<&PullRequest>,
        head: CommitSha,
    ) -> Result<(), Failed> {
        let world = self.world;
        world.retire_progress(subject, "The preview sleeps").await?;
        let Some(pull) = pull else {
            return Ok(());
        };
        let next = Next {
            subject: subject.clone(),
            head: head.clone(),
        };
        let (workflow, branch) = (
            &world.config.queue.workflow,
            &world.repository.default_branch,
        );
        let state = State::Asleep {
            active: preview.active_since(),
            commands: vec![
                next.command(&world.repository.slug, workflow, branch),
                format!("preview-deploy wake --pr {}", pull.number),
            ],
        };
        let run_url = world.runner.environment().run_url();
        let comment = Comment {
            namespace: Some(preview.name.clone()),
            ..Comment::of(state, head, Timestamp::now(), run_url)
        };
        let status = comment.state.status_line();
        let body = |_: Option<&str>| comment.render();
        let write = world.write_comment(pull.number, &status, body);
        write.await.map(drop)
    }
}
