//! Facts: whether somebody has approved what is to be deployed, and which images they were shown.

use jiff::Timestamp;
use preview_actions::{Failed, Outside as _};
use preview_core::comment::Note;
use preview_core::deploy::{
    Accepted, ApprovalFacts, Gate, ImageRefusal, Kept, Need, Previewed, Reviewed, ShownImages,
    StartedBy, needs_approval,
};
use preview_core::doctor::Environment;
use preview_core::names::PrNumber;
use preview_core::ownership::Owner;
use preview_github::event::Account;

use crate::observe::refused;
use crate::story::Story;
use crate::world::World;
use crate::{Arguments, Command, owner_of};

/// What the event tells of who started the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    /// Who did, where it was started by hand or by a program, and not by CI.
    pub(crate) by: Option<Account>,
    /// The comment with the command for which a program did.
    pub(crate) comment: Option<u64>,
}

/// What lets a deploy go on.
#[derive(Debug, Default)]
pub(crate) struct Permission {
    /// Whose approval, and of what; none where nobody has to approve.
    pub(crate) kept: Option<Kept>,
    /// The images that were shown before it; none where none were.
    pub(crate) shown: Option<ShownImages>,
    /// What there is to say of tags that name others by now.
    moved: Vec<Note>,
}

impl Permission {
    /// Says in the story whose approval it is, and what is odd about it.
    pub(crate) fn told(&self, story: &mut Story<'_>) {
        self.moved.iter().for_each(|note| story.note(note.clone()));
        if let Some(Kept { approved, head, .. }) = &self.kept {
            let (approved, head) = (approved.clone(), head.clone());
            let result = Some(approved.clone());
            story.world.runner.know(|known| known.approved = result);
            story.note(Note::Approved { head, approved });
        }
    }
}

/// What may run, or who has to build it first.
pub(crate) enum Permitted {
    /// These images, with the approval that lets them.
    Runs(Box<Permission>, Accepted),
    /// Nothing yet: the pull request's own runs may push no image, so it is built once somebody has approved the commit. No more
    /// than a plan comes to that.
    Unbuilt,
}

/// Why images are not accepted.
pub(crate) enum NotAccepted {
    Refused(Vec<ImageRefusal>),
    Failed(Failed),
}

impl From<Failed> for NotAccepted {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

impl From<Vec<ImageRefusal>> for NotAccepted {
    fn from(refusals: Vec<ImageRefusal>) -> Self {
        Self::Refused(refusals)
    }
}

impl From<NotAccepted> for Failed {
    fn from(not: NotAccepted) -> Self {
        match not {
            NotAccepted::Refused(refusals) => refused(refusals),
            NotAccepted::Failed(failed) => failed,
        }
    }
}

/// What was read live of the protection of environments, and of what started the run.
struct Observed {
    environments: Vec<Environment>,
    settings: String,
    started_by: StartedBy,
}

impl World<'_> {
    /// The pull request's number, where somebody has to approve its head.
    pub(crate) fn needs_approval(&self, previewed: &Previewed) -> Option<PrNumber> {
        match needs_approval(self.config.approval, previewed) {
            Need::Required => previewed.number(),
            Need::NotRequired => None,
        }
    }

    /// Whether the head may run, and the images that it runs as. A plan is for whoever is to say so.
    ///
    /// # Errors
    /// When nobody has approved it, a rule says no to its images, or GitHub, the registry or the cluster cannot tell.
    pub(crate) async fn permitted(
        &self,
        arguments: &Arguments,
        previewed: &Previewed,
        start: &Start,
    ) -> Result<Permitted, Failed> {
        let is_plan = matches!(arguments.command, Some(Command::Plan | Command::Ask));
        let mut permission = match is_plan {
            true => Permission::default(),
            false => self.permission(arguments, previewed, start).await?,
        };
        let (accepted, moved) = match self.accepted(previewed, &permission).await {
            Err(NotAccepted::Refused(refusals))
                if is_plan && refusals.iter().all(ImageRefusal::is_yet_to_be_built) =>
            {
                return Ok(Permitted::Unbuilt);
            }
            accepted => accepted?,
        };
        permission.moved = moved;
        if let Some(kept) = &mut permission.kept {
            kept.images = accepted.pinned();
        }
        Ok(Permitted::Runs(Box::new(permission), accepted))
    }

    async fn permission(
        &self,
        arguments: &Arguments,
        previewed: &Previewed,
        start: &Start,
    ) -> Result<Permission, Failed> {
        let shown = arguments.images.clone();
        let Some(number) = self.needs_approval(previewed) else {
            return Ok(Permission {
                shown,
                ..Permission::default()
            });
        };
        let observed = self.observed(start).await?;
        let run = self.runner.environment().fence()?;
        let reviews = self.github.reviews(run.run).await.outside()?;
        let kept = self.kept(&owner_of(previewed)).await?;
        let reviewed = Reviewed {
            reviews: &reviews,
            before: arguments.approvals_before,
            attempt: run.attempt,
            is_shown: shown.is_some(),
            kept: kept.as_ref(),
        };
        let facts = observed.facts(self, previewed, number);
        let kept = facts.decide(reviewed).map_err(Failed::refused)?;
        let shown = match kept.images.is_empty() {
            true => shown,
            false => Some(ShownImages(kept.images.clone())),
        };
        Ok(Permission {
            kept: Some(kept),
            shown,
            ..Permission::default()
        })
    }

    /// Who may approve the head, or has done so by what started this run.
    ///
    /// # Errors
    /// When nobody could, or GitHub cannot tell.
    pub(crate) async fn gate(
        &self,
        previewed: &Previewed,
        number: PrNumber,
        start: &Start,
    ) -> Result<Gate, Failed> {
        let observed = self.observed(start).await?;
        let facts = observed.facts(self, previewed, number);
        facts.gate().map_err(Failed::refused)
    }

    async fn observed(&self, start: &Start) -> Result<Observed, Failed> {
        Ok(Observed {
            environments: self.github.environments().await.outside()?,
            settings: self.runner.environment().environments_page(&self.slug),
            started_by: self.started_by(start).await?,
        })
    }

    async fn started_by(&self, start: &Start) -> Result<StartedBy, Failed> {
        let Some(by) = &start.by else {
            return Ok(StartedBy::Ci);
        };
        // With a person's token our programs start workflows as that person.
        let is_program = by.is_bot || self.github.login().await.outside()? == by.login;
        Ok(match start.comment {
            // That they may write was looked at before anything else.
            _ if !is_program => StartedBy::Writer(by.login.clone()),
            None => StartedBy::Turn,
            Some(comment) => {
                let said = self.github.said(comment).await.outside()?;
                said.map_or(StartedBy::Ci, StartedBy::Command)
            }
        })
    }

    /// The approval that the Namespace keeps.
    async fn kept(&self, owner: &Owner) -> Result<Option<Kept>, Failed> {
        let template = &self.config.namespace;
        let name = template.render(&self.slug, &owner.subject).misused()?;
        let found = self.cluster.namespace(&name).await.outside()?;
        let ours = found.filter(|found| owner.check(found).is_ok() && !found.terminating);
        Ok(ours.and_then(|found| found.approval()))
    }
}

impl Observed {
    fn facts<'a>(
        &'a self,
        world: &'a World<'_>,
        previewed: &'a Previewed,
        number: PrNumber,
    ) -> ApprovalFacts<'a> {
        ApprovalFacts {
            repository: &world.slug,
            settings: &self.settings,
            number,
            head: &previewed.head,
            environments: &self.environments,
            started_by: &self.started_by,
            now: Timestamp::now(),
        }
    }
}
