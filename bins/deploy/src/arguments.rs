//! What `preview-deploy` is told.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use preview_actions::{Failed, Options, Outside as _, Runner, UsageError};
use preview_core::deploy::{CiRun, Request, ShownImages};
use preview_core::names::{CommitSha, PrNumber, Subject};
use preview_github::event::{Account, Dispatch, Event};

use crate::approval::Start;
use crate::import::ToImport;

/// Makes or updates the preview of a pull request, or of a commit
///
/// Started by `workflow_run` it finds the pull request by the CI run's head; by `workflow_dispatch` it takes the inputs `pr`
/// and `sha`, or `commit`, and `reset_database`; by `merge_group` it is of the group's head; by hand it takes --pr and --sha,
/// or --commit.
///
/// Environment: GITHUB_TOKEN, GITHUB_REPOSITORY, GITHUB_RUN_ID and the rest of GITHUB_* as Actions sets them;
/// KUBECONFIG; PREVIEW_RECORD_KEY signs the record (without it the record is unsigned); PREVIEW_REGISTRY_USER and
/// PREVIEW_REGISTRY_PASSWORD for a registry that is not public, PREVIEW_REGISTRY_HOST where there are several.
/// PREVIEW_PULL_USER and PREVIEW_PULL_PASSWORD (PREVIEW_PULL_HOST) are what the cluster's nodes pull such images with: a
/// credential that outlives the job.
///
/// Exit code: 0 deployed, queued, superseded or nothing to do; 1 refused by a rule; 2 called or configured wrongly;
/// 3 GitHub, the registry, the cluster or what was deployed failed.
#[derive(Clone, Debug, Parser)]
#[command(name = "preview-deploy", version)]
pub struct Arguments {
    /// What to do; deploy, unless told.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where things are.
    #[command(flatten)]
    pub options: Options,
    /// The pull request, in place of an event
    #[arg(long, value_name = "NUMBER", global = true)]
    pub pr: Option<PrNumber>,
    /// The head of the pull request that was looked at; a newer head is not deployed in its place
    #[arg(long, value_name = "COMMIT", requires = "pr", global = true)]
    pub sha: Option<CommitSha>,
    /// A commit of the default branch, or the head of a group in its merge queue, to be previewed by itself
    #[arg(long, value_name = "COMMIT", conflicts_with = "pr", global = true)]
    pub commit: Option<CommitSha>,
    /// Make the database afresh: what was typed into it is lost, and it is migrated and filled again
    #[arg(long)]
    pub reset_database: bool,
    /// The images that somebody was shown before the approval, as JSON: the output `images` of `ask`. Exactly these are deployed
    #[arg(long, value_name = "JSON")]
    pub images: Option<ShownImages>,
    /// How often the run had been approved before that: the output `approvals` of `ask`, without which an approval of an
    /// earlier attempt of the run does not count
    #[arg(long, value_name = "COUNT")]
    pub approvals_before: Option<usize>,
    /// Manifests that the workflow rendered, in place of the built-in ones and of a kustomization; - for standard input
    #[arg(long, value_name = "FILE", global = true)]
    pub manifests: Option<PathBuf>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Say what would be deployed, object by object, and stop: writes nothing, and needs no cluster
    Plan,
    /// Say what would be deployed, as `plan` does, and where somebody has to approve it, ask for that on the pull request
    Ask,
    /// Wake the preview that sleeps, of --pr or --commit: what was deployed last runs again, with its database as it was
    Wake,
    /// Answer a comment that says `/preview deploy` or another command, of somebody who may write to the repository: on the event
    /// issue_comment
    Answer,
    /// Bring the images of a pull request whose own runs may push none, as those of a fork, to the registry, from OCI layouts that
    /// were built elsewhere
    Import(ToImport),
    /// Look whether everything is there that a deploy needs, and how to mend what is not; exit code 1 where something is missing
    Doctor,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Requested {
    /// This.
    Deploy(Request),
    /// Whatever was deployed of it last.
    Wake(Subject),
    /// Nothing, for this reason.
    Nothing(String),
}

/// What is asked for, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) what: Requested,
    /// Whether the database is to be made afresh.
    pub(crate) reset_database: bool,
    /// Who started the workflow, where it was started by hand.
    pub(crate) by: Option<Account>,
    /// The comment with the command for which a program started it.
    pub(crate) comment: Option<u64>,
}

impl Requested {
    /// The commit, where it is known already.
    pub(crate) fn head(&self) -> Option<&CommitSha> {
        match self {
            Self::Deploy(request) => Some(request.head()),
            Self::Wake(_) | Self::Nothing(_) => None,
        }
    }
}

impl Asked {
    /// What is known of who started it.
    pub(crate) fn start(&self) -> Start {
        Start {
            by: self.by.clone(),
            comment: self.comment,
        }
    }

    fn of_event(what: Requested) -> Self {
        Self {
            what,
            reset_database: false,
            by: None,
            comment: None,
        }
    }
}

/// What is asked for: by hand, or by the event.
pub(crate) fn requested(runner: &Runner, arguments: &Arguments) -> Result<Asked, Failed> {
    let wakes = arguments.command == Some(Command::Wake);
    let by_hand = match (arguments.pr, arguments.sha.clone(), &arguments.commit) {
        (Some(number), None, _) if wakes => Some(Requested::Wake(Subject::Pr(number))),
        (None, None, Some(commit)) if wakes => {
            Some(Requested::Wake(Subject::Commit(commit.clone())))
        }
        _ if wakes => {
            let usage = "wake takes either --pr <NUMBER> or --commit <COMMIT>, and no --sha";
            return Err(UsageError(usage.to_owned()).into());
        }
        (Some(number), Some(head), _) => Some(Requested::Deploy(Request::Pull { number, head })),
        (Some(number), None, _) => {
            let usage = format!(
                "--pr {number} says nothing of which head was looked at; give --sha <COMMIT>, too"
            );
            return Err(UsageError(usage).into());
        }
        (None, _, Some(commit)) => Some(Requested::Deploy(Request::Commit(commit.clone()))),
        (None, _, None) => None,
    };
    match by_hand {
        Some(what) => Ok(Asked {
            what,
            reset_database: arguments.reset_database,
            by: None,
            comment: None,
        }),
        None => {
            let asked = by_event(runner)?;
            let reset_database = asked.reset_database || arguments.reset_database;
            Ok(Asked {
                reset_database,
                ..asked
            })
        }
    }
}

fn by_event(runner: &Runner) -> Result<Asked, Failed> {
    let event = runner
        .environment()
        .event("give --pr and --sha, or --commit")?;
    let path = event.path.display().to_string();
    match Event::parse(&event.name, &path, &event.payload).misused()? {
        Event::WorkflowRun(run) => Ok(Asked::of_event(Requested::Deploy(Request::of_run(CiRun {
            event: run.event,
            conclusion: run.conclusion,
            head: run.head_sha,
            branch: run.head_branch,
            repository: run.head_repository.map(|repository| repository.slug),
        })))),
        Event::MergeGroup(group) if group.action == "checks_requested" => Ok(Asked::of_event(
            Requested::Deploy(Request::Commit(group.head_sha)),
        )),
        Event::MergeGroup(group) => {
            let why = format!("the group of the merge queue was {}", group.action);
            Ok(Asked::of_event(Requested::Nothing(why)))
        }
        Event::Dispatch(dispatch) => Ok(Asked {
            what: Requested::Deploy(dispatched(&dispatch)?),
            reset_database: dispatch.input("reset_database").misused()?.unwrap_or(false),
            comment: dispatch.input("comment").misused()?,
            by: Some(dispatch.sender),
        }),
        Event::PullRequest(_) | Event::Push(_) | Event::IssueComment(_) | Event::Schedule => Err(UsageError(format!(
            "the event {:?} says nothing of images; start this on workflow_run of CI, or give --pr and --sha, or --commit",
            event.name
        ))
        .into()),
    }
}

/// What the inputs of the workflow name.
fn dispatched(dispatch: &Dispatch) -> Result<Request, Failed> {
    let number = dispatch.input("pr").misused()?;
    let head = dispatch.input("sha").misused()?;
    let commit = dispatch.input("commit").misused()?;
    match (number, head, commit) {
        (Some(number), Some(head), None) => Ok(Request::Pull { number, head }),
        (None, None, Some(commit)) => Ok(Request::Commit(commit)),
        _ => Err(UsageError(
            "the workflow takes the inputs pr and sha, for a pull request at the head that was looked at, or commit alone; start \
             it again with these"
                .to_owned(),
        )
        .into()),
    }
}
