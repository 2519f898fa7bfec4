//! What still tells of previews that are gone: somebody deleted the namespace by hand, or the pull request was promoted
//! after its preview had ended, and nothing was heard of it since.
//!
//! Which deployments are not inactive yet is asked of all of them at once. Who has such a one, and neither a Namespace nor an
//! open pull request, is looked at by itself.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use preview_actions::{Failed, Outside as _};
use preview_core::cleanup::{GitHubSide, Verdict};
use preview_core::deployments::{ENVIRONMENT, IMPORT, PROGRESS, RECORD, subject_of};
use preview_core::names::{NamespaceName, Subject};
use preview_core::objects::NamespaceFacts;
use preview_core::sweep::{Measure, Swept};
use preview_github::Deployment;

use crate::Cleanup;
use crate::github::Reached;
use crate::sweep::{PARALLEL, Sweep, unable};

/// What tells of a preview.
#[derive(Clone, Copy, Default)]
struct Told {
    progress: bool,
    record: bool,
}

impl Told {
    fn note(&mut self, task: &str) {
        self.progress |= task == PROGRESS;
        self.record |= [RECORD, IMPORT].contains(&task);
    }

    /// Whether any of it goes.
    const fn goes(self, side: GitHubSide) -> bool {
        (self.progress && side.retire_progress) || (self.record && side.retire_records)
    }
}

impl Sweep<'_> {
    /// Puts away what tells of previews that are gone. It destroys none, so the limit is not about it.
    ///
    /// # Errors
    /// When GitHub does not say which deployments are inactive.
    pub(crate) async fn retired(&self, previews: &[NamespaceFacts]) -> Result<Vec<Swept>, Failed> {
        if !self.is_listed {
            return Ok(Vec::new());
        }
        let told = self.told_of(previews).await?;
        let looks = told.into_iter().map(|(subject, told)| async move {
            let (config, slug) = (self.world.config, &self.world.repository.slug);
            let namespace = config.namespace.render(slug, &subject).misused()?;
            let swept = |measure, reason| Swept {
                namespace: namespace.clone(),
                subject: Some(subject.clone()),
                measure,
                reason,
            };
            Ok(match self.retire(&namespace, &subject, told).await {
                Ok(retired) => retired.map(|(measure, why)| swept(measure, why)),
                Err(failed) => Some(swept(unable(&failed), failed.to_string())),
            })
        });
        let swept = futures::stream::iter(looks).buffered(PARALLEL);
        let swept: Vec<Result<Option<Swept>, Failed>> = swept.collect().await;
        swept.into_iter().filter_map(Result::transpose).collect()
    }

    /// Of whom something tells, of those who have no Namespace and are not open.
    async fn told_of(
        &self,
        previews: &[NamespaceFacts],
    ) -> Result<BTreeMap<Subject, Told>, Failed> {
        let (github, repository) = (&self.world.github, self.world.repository.id);
        let previewed = previews.iter().filter_map(NamespaceFacts::subject);
        let previewed: BTreeSet<Subject> = previewed.collect();
        let is_open = |subject: &Subject| {
            let number = subject.pr();
            number.is_some_and(|number| self.open.contains_key(&number))
        };
        let all = self.world.preview_deployments().await?.iter();
        let of_gone = all.filter_map(|deployment| {
            let subject = subject_of(&deployment.payload, repository)?;
            let is_gone = !previewed.contains(&subject) && !is_open(&subject);
            is_gone.then_some((subject, deployment))
        });
        let of_gone: Vec<(Subject, &Deployment)> = of_gone.collect();
        if of_gone.is_empty() {
            return Ok(BTreeMap::new());
        }
        let active = github.active_deployments(ENVIRONMENT).await.outside()?;
        let mut told = BTreeMap::<Subject, Told>::new();
        for (subject, deployment) in of_gone {
            if active.contains(&deployment.node) {
                told.entry(subject).or_default().note(&deployment.task);
            }
        }
        Ok(told)
    }

    /// Decides on what is read now, and does it; none where nothing is to be done.
    async fn retire(
        &self,
        namespace: &NamespaceName,
        subject: &Subject,
        told: Told,
    ) -> Result<Option<(Measure, String)>, Failed> {
        let world = self.world;
        // Before the pull request: whoever opens that again, and deploys it, makes one.
        let is_there = world.cluster.namespace(namespace).await.outside()?;
        if is_there.is_some() {
            return Ok(None);
        }
        if let Subject::Commit(commit) = subject
            && world.reached(commit).await? != Reached::Everywhere
        {
            return Ok(None);
        }
        let cleanup = Cleanup::of(world, subject.clone(), None, false).await?;
        // A payload proves nothing: what GitHub does not know may never have been there.
        let Verdict::AlreadyGone { github } = cleanup.verdict() else {
            return Ok(None);
        };
        if !told.goes(github) {
            return Ok(None);
        }
        let over = match subject {
            Subject::Pr(number) => format!("pull request #{number} is closed"),
            Subject::Commit(commit) => {
                format!("every target runs {} or a later commit", commit.short())
            }
        };
        let why = format!("{over}, and no preview of it is there");
        if self.dry_run {
            return Ok(Some((Measure::WouldRetire, why)));
        }
        cleanup.by_sweep().put_away(github, None).await?;
        Ok(Some((Measure::Retired, why)))
    }
}
