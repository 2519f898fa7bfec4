//! The workflow of `preview-cleanup`.
//!
//! observe → decide → act → report: the pull request or commit and its namespace, both read live; whether it may go
//! (`preview_core::cleanup`); the teardown, which ends with a receipt; and GitHub's side of the preview ([`github`]),
//! recomputed by every run, so that one that died is made good by the next. [`sweep`] does so with all that is left
//! behind, [`approvals`] that nobody gave included; [`list`] only shows what there is; [`release`] does with the cluster alone.

mod alerts;
mod approvals;
mod arguments;
mod github;
mod images;
mod leftovers;
mod lifetime;
mod list;
mod queue;
mod release;
mod retired;
mod sweep;
mod world;

pub use arguments::{Arguments, Command};

use std::time::{Duration, Instant};

use preview_actions::{Conclusion, Failed, Outside as _, Runner};
use preview_core::cleanup::{Evidence, Of, Refusal, RetainedVolumes, Verdict};
use preview_core::comment::Note;
use preview_core::lifecycle::Phase;
use preview_core::names::{CommitSha, Fence, PrNumber, RepositorySlug, Subject};
use preview_core::objects::NamespaceFacts;
use preview_core::ownership::Owner;
use preview_core::pulls::{PullRequest, PullState};
use preview_k8s::{Cluster, Receipt, TearDown};

use arguments::Asked;
use github::Reached;
use world::World;

/// Destroys the preview that is asked for.
///
/// # Errors
/// When a rule says no, something outside failed, or something keeps the preview.
pub async fn run(runner: Runner, arguments: Arguments) -> Result<Conclusion, Failed> {
    arguments.check()?;
    if let Some(Command::Release { namespace }) = &arguments.command {
        return release::run(&runner, &arguments, namespace).await;
    }
    let config = runner.configuration(&arguments.options)?;
    if let Some(Command::Sweep { dry_run, metrics }) = &arguments.command {
        runner.may_take(sweep::MOST);
        let world = World::connect(&runner, &config, &arguments).await?;
        return sweep::run(&world, *dry_run, metrics.as_deref()).await;
    }
    if arguments.command == Some(Command::List) {
        let world = World::connect(&runner, &config, &arguments).await?;
        return list::run(&world).await;
    }
    let asked = arguments::asked(&runner, &arguments)?;
    if asked == Asked::All {
        runner.may_take(sweep::MOST);
    }
    let world = World::connect(&runner, &config, &arguments).await?;

    let (mut is_forced, mut by_hand) = (arguments.force, arguments.pr.is_some());
    let subject = match asked {
        Asked::Of(subject) => subject,
        Asked::Dispatched { subject, force, by } => {
            world.may_ask(&by).await?;
            (is_forced, by_hand) = (force, true);
            subject
        }
        Asked::All => return sweep::run(&world, false, None).await,
        Asked::Nothing(why) => return Ok(Conclusion::done("nothing", why)),
        Asked::Merged(commit) => match world.merged_pull(&commit).await? {
            Some(number) => Subject::Pr(number),
            None => {
                let why = format!("no merged pull request brought {commit}");
                return Ok(Conclusion::done("nothing", why));
            }
        },
        Asked::Branch {
            branch,
            repository,
            head,
        } => match world.closed_pull(&branch, &repository, &head).await? {
            Some(number) => Subject::Pr(number),
            None => {
                let why = format!("no closed pull request has the branch {branch:?} at {head}");
                return Ok(Conclusion::done("nothing", why));
            }
        },
    };
    let mut cleanup = Cleanup::observe(&world, subject, is_forced).await?;
    if cleanup.is_open() {
        let login = runner.environment().actor().map(str::to_owned);
        cleanup = cleanup.with_note(Note::DestroyedBy { login });
    }
    let ended = cleanup.carried_out(by_hand).await;
    cleanup.alert(&ended).await;
    if ended.is_gone {
        world.start_next().await;
    }
    ended.told
}

/// Whose preview is to go, and what was found of it.
struct Cleanup<'a> {
    world: &'a World<'a>,
    owner: Owner,
    /// The pull request, where it is one that GitHub knows.
    pull: Option<PullRequest>,
    namespace: Option<NamespaceFacts>,
    promoted: bool,
    force: bool,
    /// Whether a sweep does it, which looks at the images of all once.
    by_sweep: bool,
    /// Why it is destroyed although its pull request is open.
    note: Option<Note>,
}

/// How a cleanup ended.
struct Ended {
    /// What the teardown left; none where it did not come to its end.
    receipt: Option<Receipt>,
    /// Whether the preview holds no slot any more. Where it was gone before, whoever took it down may have died before it
    /// started those whose turn it was.
    is_gone: bool,
    told: Result<Conclusion, Failed>,
}

impl From<Result<Conclusion, Failed>> for Ended {
    fn from(told: Result<Conclusion, Failed>) -> Self {
        Self {
            receipt: None,
            is_gone: false,
            told,
        }
    }
}

impl<'a> Cleanup<'a> {
    async fn observe(world: &'a World<'a>, subject: Subject, force: bool) -> Result<Self, Failed> {
        let slug = &world.repository.slug;
        let name = world.config.namespace.render(slug, &subject).misused()?;
        world.runner.know(|result| {
            result.subject = Some(subject.clone());
            result.namespace = Some(name.clone());
        });
        // In this order: what is torn down is the Namespace as it was read, and whoever opens the pull request again and
        // deploys it after that has another fence.
        let namespace = world.cluster.namespace(&name).await.outside()?;
        Self::of(world, subject, namespace, force).await
    }

    /// Of a Namespace that was read before.
    async fn of(
        world: &'a World<'a>,
        subject: Subject,
        namespace: Option<NamespaceFacts>,
        force: bool,
    ) -> Result<Self, Failed> {
        let owner = Owner {
            repository: world.repository.id,
            subject,
        };
        let pull = match owner.subject {
            Subject::Pr(number) => world.github.pull(number).await.outside()?,
            Subject::Commit(_) => None,
        };
        let promoted = match (&owner.subject, pull.as_ref().map(|pull| &pull.state)) {
            (Subject::Commit(commit), _) | (_, Some(PullState::Merged { commit })) => {
                world.reached(commit).await? != Reached::NotYet
            }
            _ => false,
        };
        Ok(Self {
            world,
            owner,
            pull,
            namespace,
            promoted,
            force,
            by_sweep: false,
            note: None,
        })
    }

    fn with_note(self, note: Note) -> Self {
        Self {
            note: Some(note),
            ..self
        }
    }

    fn by_sweep(self) -> Self {
        Self {
            by_sweep: true,
            ..self
        }
    }

    /// Whatever its pull request is.
    fn although_wanted(self) -> Self {
        Self {
            force: true,
            ..self
        }
    }

    fn is_open(&self) -> bool {
        let state = self.pull.as_ref().map(|pull| &pull.state);
        state == Some(&PullState::Open)
    }

    fn verdict(&self) -> Verdict {
        let evidence = Evidence {
            repository: &self.world.repository.slug,
            owner: &self.owner,
            of: match self.owner.subject {
                Subject::Pr(number) => Of::Pull {
                    number,
                    pull: self.pull.as_ref(),
                },
                Subject::Commit(_) => Of::Commit,
            },
            namespace: self.namespace.as_ref(),
            promoted: self.promoted,
            force: self.force,
        };
        evidence.decide()
    }

    async fn carried_out(&self, by_hand: bool) -> Ended {
        let github = match self.verdict() {
            // The event said closed, and it was opened again since.
            Verdict::Refused(open @ Refusal::StillOpen { .. }) if !by_hand => {
                return Ok(Conclusion::done("nothing", open)).into();
            }
            Verdict::Refused(refusal) => return Err(Failed::refused(refusal)).into(),
            Verdict::Destroy { github } | Verdict::AlreadyGone { github } => github,
        };
        let receipt = match &self.namespace {
            None => None,
            Some(read) => match self.tear_down(read).await {
                Ok(TearDown::Done(receipt)) => Some(receipt),
                Ok(TearDown::Superseded { by }) => return Ok(superseded(by)).into(),
                Err(failed) => return Err(failed).into(),
            },
        };
        let put_away = self.put_away(github, receipt.as_ref()).await;
        let (subject, within) = (&self.owner.subject, self.world.within);
        Ended {
            is_gone: receipt.as_ref().is_none_or(Receipt::finished),
            told: put_away.and_then(|()| conclusion(subject, receipt.as_ref(), within)),
            receipt,
        }
    }

    /// Tells that the preview is gone, unless somebody has deployed it again meanwhile, and so tells of that.
    async fn tell_unless_back(
        &self,
        gone: &NamespaceFacts,
        receipt: &Receipt,
    ) -> Result<(), Failed> {
        let back = self.world.cluster.namespace(&gone.name).await.outside()?;
        match self.verdict() {
            Verdict::Destroy { github } | Verdict::AlreadyGone { github } if back.is_none() => {
                self.put_away(github, Some(receipt)).await
            }
            _ => Ok(()),
        }
    }

    async fn tear_down(&self, read: &NamespaceFacts) -> Result<TearDown, Failed> {
        let runner = self.world.runner;
        runner.enters(Phase::Destroying.as_str());
        tear_down(
            runner,
            &self.world.cluster,
            &self.owner,
            read,
            self.world.config.cleanup.retained_volumes,
            self.world.within,
        )
        .await
    }
}

/// Takes the preview down within a time, and shows and keeps its receipt: what is still there then is on it.
async fn tear_down(
    runner: &Runner,
    cluster: &Cluster,
    owner: &Owner,
    read: &NamespaceFacts,
    retained: RetainedVolumes,
    within: Duration,
) -> Result<TearDown, Failed> {
    runner.needs(within);
    let work = cluster.tear_down(owner, read, retained, Instant::now() + within);
    let object = format!("Namespace/{}", read.name);
    let torn_down = runner.step("tear down", object, work).await.outside()?;
    if let TearDown::Done(receipt) = &torn_down {
        runner.know(|result| result.receipt.extend(receipt.items.iter().cloned()));
        for line in receipt.to_string().lines() {
            runner.console().line(&format!("  {line}"));
        }
    }
    Ok(torn_down)
}

fn superseded(by: Option<Fence>) -> Conclusion {
    let by = by.map_or_else(|| "another run".to_owned(), |by| format!("run {by}"));
    let why = format!("{by} took the preview over after this one looked");
    Conclusion::done("superseded", why)
}

fn conclusion(
    subject: &Subject,
    receipt: Option<&Receipt>,
    within: Duration,
) -> Result<Conclusion, Failed> {
    let whose = match subject {
        Subject::Pr(number) => format!("pull request #{number}"),
        Subject::Commit(commit) => format!("commit {}", commit.short()),
    };
    let Some(receipt) = receipt else {
        let why = format!("{whose} has no preview");
        return Ok(Conclusion::done("nothing", why));
    };
    if !receipt.finished() {
        let left = receipt.to_string().lines().collect::<Vec<_>>().join(", ");
        return Err(Failed::cluster(format!(
            "destroy the preview of {whose}: it is not gone after {} s: {left}; clear what blocks it, \
             and run this again",
            within.as_secs()
        )));
    }
    let why = format!("the preview of {whose} is gone");
    Ok(Conclusion::done("destroyed", why))
}

impl World<'_> {
    /// The pull request that brought `commit` to the default branch, as far as GitHub knows by now: a sweep finds what it
    /// did not.
    async fn merged_pull(&self, commit: &CommitSha) -> Result<Option<PrNumber>, Failed> {
        let pulls = self.github.pulls_of_commit(commit).await.outside()?;
        let own = pulls
            .iter()
            .find(|pull| pull.base_repository.id == self.repository.id);
        Ok(own.map(|pull| pull.number))
    }

    /// The newest closed pull request from this branch at this head.
    async fn closed_pull(
        &self,
        branch: &str,
        repository: &RepositorySlug,
        head: &CommitSha,
    ) -> Result<Option<PrNumber>, Failed> {
        let pulls = self
            .github
            .pulls_of_branch(branch, repository)
            .await
            .outside()?;
        let closed = pulls
            .iter()
            .find(|pull| pull.head == *head && pull.state != PullState::Open);
        Ok(closed.map(|pull| pull.number))
    }
}
