//! What runs or is looked at around a rollout: a migration before it, pages and a command after it.

use std::time::{Duration, Instant};

use preview_actions::{Failed, Outside as _};
use preview_core::checks::Answer;
use preview_core::config::{TargetCommand, TargetPage};
use preview_core::health::{Failure, FailureClass, Rollout};
use preview_core::objects::ObjectName;
use preview_core::promote::{Command, Errand};
use preview_k8s::{Errand as Ran, HeldLease};
use preview_visitor::Visitor;

use crate::alerts::Occasion;
use crate::promotion::{Promotion, Proven};
use crate::rollout::{Undone, gave_way};

/// How long a command may take, whatever else the run has time for.
const LONGEST: Duration = Duration::from_secs(1800);
/// Between one question and the next.
const PAUSE: Duration = Duration::from_secs(1);
/// How long one answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the database was changed for what is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Migration {
    /// There was nothing to migrate.
    None,
    /// It ran: the schema is the newer one, and stays so.
    Ran,
}

impl Promotion<'_> {
    /// Migrates before any image is set; the reason where another run took the target over.
    ///
    /// # Errors
    /// When it fails: nothing of the target was changed but what the migration itself did.
    pub(crate) async fn migrated(
        &self,
        lease: &HeldLease,
        proven: &Proven,
    ) -> Result<Result<Migration, String>, Failed> {
        // On the way back there is none: a schema does not go back by the command that brings it forward.
        let command = match self.goes_back() {
            true => None,
            false => self.target.migrate.as_ref(),
        };
        let Some(command) = command else {
            return Ok(Ok(Migration::None));
        };
        self.runner.enters("migrating");
        match self.run(lease, proven, Errand::Migrate, command).await {
            Ok(()) => Ok(Ok(Migration::Ran)),
            Err(Undone::GaveWay(why)) => Ok(Err(why)),
            Err(Undone::Broken(failed)) => {
                let untouched = "no image was set".to_owned();
                let happened = vec![failed.to_string(), untouched];
                self.alert(Occasion::Failed, happened).await;
                self.note_failure(proven, &[]).await;
                Err(failed)
            }
        }
    }

    /// Looks at what runs: the page, then the command.
    pub(crate) async fn looked_at(&self, lease: &HeldLease, proven: &Proven) -> Result<(), Undone> {
        let verify = &self.target.verify;
        if let Some(page) = &verify.page {
            let answers = self.answers(page);
            self.runner.step("check", page.address(), answers).await?;
        }
        if let Some(command) = &verify.command {
            self.run(lease, proven, Errand::Verify, command).await?;
        }
        Ok(())
    }

    async fn run(
        &self,
        lease: &HeldLease,
        proven: &Proven,
        errand: Errand,
        command: &TargetCommand,
    ) -> Result<(), Undone> {
        let namespace = &self.target.namespace;
        let workload = &command.of.workload;
        let cluster = &self.world.cluster;
        let template = cluster.pod_template(namespace, workload).await.outside()?;
        let deadline = self.runner.deadline();
        let left = deadline.saturating_duration_since(Instant::now());
        let image = proven.images.get(&command.of.component).ok_or_else(|| {
            Failed::cluster(format!(
                "{errand}: the record has no image of {}",
                command.of.component
            ))
        })?;
        let wanted = Command {
            errand,
            component: &command.of.component,
            image,
            container: &command.of.container,
            command: &command.command,
            commit: self.commit(),
            run: self.runner.environment().fence().map_err(Failed::from)?,
            deadline: left.min(LONGEST),
        };
        let job = template.and_then(|template| wanted.job(&template));
        let job = job.ok_or_else(|| {
            Failed::cluster(format!(
                "{errand}: {workload} in {namespace}, like which it was to run, is gone or has no container {} any more; \
                 run this again",
                command.of.container
            ))
        })?;
        let console = self.runner.console();
        let tell = |object: &ObjectName, rollout: &Rollout| {
            if let Rollout::Waiting { .. } = rollout {
                console.line(&format!("  {object} runs"));
            }
        };
        let work = async {
            match cluster
                .run_errand(lease, &job, deadline, tell)
                .await
                .outside()?
            {
                Ran::Succeeded => Ok(None),
                Ran::Superseded { by } => Ok(Some(by)),
                Ran::Failed(failure) => Err(self.runner.broken(*failure, namespace)),
            }
        };
        let object = format!("{errand} as {}", job.object());
        match self.runner.step("run", object, work).await? {
            None => Ok(()),
            Some(by) => Err(gave_way(by)),
        }
    }

    /// Asks for the page until it answers as it should.
    async fn answers(&self, page: &TargetPage) -> Result<(), Failed> {
        let visitor = Visitor::new(page.connect_to.clone(), None).outside()?;
        let deadline = self.runner.deadline().min(Instant::now() + page.deadline);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = visitor
                .ask(&page.host, &page.path, PATIENCE.min(left))
                .await;
            if matches!(&answer, Answer::Page { status, .. } if *status == page.status) {
                return Ok(());
            }
            if Instant::now() + PAUSE >= deadline {
                return Err(self.unanswered(page, &answer));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn unanswered(&self, page: &TargetPage, last: &Answer) -> Failed {
        let message = format!(
            "after {}s {} should answer {} and {last}",
            page.deadline.as_secs(),
            page.address(),
            page.status
        );
        // Whose page it is nobody says: the first workload is as good as any to begin with.
        let first = &self.target.workloads[0].workload;
        let failure = Failure::new(FailureClass::Check, first, message);
        self.runner.broken(failure, &self.target.namespace)
    }
}
