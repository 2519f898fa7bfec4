//! What `preview-cleanup` is told.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use preview_actions::{Failed, Options, Outside as _, Runner, UsageError};
use preview_core::names::{CommitSha, NamespaceName, PrNumber, RepositorySlug, Subject};
use preview_github::event::{Account, Dispatch, Event};

/// Destroys the preview of a pull request that was closed, or of a commit, and proves that it is gone
///
/// Started by `pull_request: closed`, by `workflow_run` of a workflow that runs on it, or by a push to the default branch,
/// which cleans up after the pull request that was merged; on a schedule it sweeps; by `workflow_dispatch` it takes the inputs
/// `pr` and `force`, or `commit`; by hand it takes --pr or --commit.
/// Whether the pull request is closed is read live.
///
/// Environment: GITHUB_TOKEN, GITHUB_REPOSITORY and the rest of GITHUB_* as Actions sets them; KUBECONFIG;
/// PREVIEW_SLACK_WEBHOOK and PREVIEW_SMTP_URL, where alerts go.
///
/// Exit code: 0 destroyed, or there was nothing; 1 refused by a rule; 2 called or configured wrongly; 3 GitHub or the
/// cluster failed, or something keeps the preview.
#[derive(Clone, Debug, Parser)]
#[command(name = "preview-cleanup", version)]
pub struct Arguments {
    /// What to do; clean up after one pull request or commit, unless told.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where things are.
    #[command(flatten)]
    pub options: Options,
    /// The pull request, in place of an event
    #[arg(long, value_name = "NUMBER")]
    pub pr: Option<PrNumber>,
    /// The commit that was previewed by itself, in place of an event
    #[arg(long, value_name = "COMMIT", conflicts_with = "pr")]
    pub commit: Option<CommitSha>,
    /// Destroy the preview although its pull request is open
    #[arg(long, requires = "pr")]
    pub force: bool,
    /// How long taking one preview down may take; what is still there then is told, and the next run goes on with it
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 300,
        value_parser = clap::value_parser!(u64).range(1..=1800),
        global = true
    )]
    pub within: u64,
}

impl Arguments {
    /// How long taking one preview down may take.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(self.within)
    }

    /// Refuses to overlook what was named beside a command that is about something else.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        match (&self.command, &self.pr, &self.commit) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Err(UsageError(
                "sweep, list and release take no --pr, --commit and --force; leave them out"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Clean up after everything that is left behind: previews of pull requests that are closed and of commits that are
    /// promoted, deletions that are not finished, hands that runs left up, approvals that nobody gives; renew copies of the
    /// certificate; start whose turn it is
    Sweep {
        /// Say which previews, and which runs that wait for approval, would go, and stop
        #[arg(long)]
        dry_run: bool,
        /// Where to write what there is and what was done as metrics, for the textfile collector of Prometheus' node exporter
        #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
        metrics: Option<PathBuf>,
    },
    /// Show all previews of the repository; `previews` of the result has them as JSON
    List,
    /// Take the preview in a namespace down with nothing but access to the cluster; says what is left on GitHub
    Release {
        /// The namespace
        namespace: NamespaceName,
    },
}

/// Whose preview is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// This pull request's or commit's.
    Of(Subject),
    /// That of the pull requests from this branch which had this head when a workflow ran for them.
    Branch {
        /// The branch, written by its author.
        branch: String,
        /// Where it lies.
        repository: RepositorySlug,
        /// The head of the run.
        head: CommitSha,
    },
    /// That of the pull request that brought this commit to the default branch.
    Merged(CommitSha),
    /// This one's, as somebody has started the workflow.
    Dispatched {
        /// Whose preview it is.
        subject: Subject,
        /// Whether it goes although its pull request is open.
        force: bool,
        /// Who started it.
        by: Account,
    },
    /// Whatever was left behind.
    All,
    /// Nobody's: the event says so.
    Nothing(String),
}

/// What is asked for: by hand, or by the event.
pub(crate) fn asked(runner: &Runner, arguments: &Arguments) -> Result<Asked, Failed> {
    let commit = arguments.commit.clone().map(Subject::Commit);
    if let Some(subject) = arguments.pr.map(Subject::Pr).or(commit) {
        return Ok(Asked::Of(subject));
    }
    let event = runner.environment().event("give --pr or --commit")?;
    let path = event.path.display().to_string();
    match Event::parse(&event.name, &path, &event.payload).misused()? {
        Event::PullRequest(change) if change.action == "closed" => {
            Ok(Asked::Of(Subject::Pr(change.number)))
        }
        Event::PullRequest(change) => Ok(Asked::Nothing(format!(
            "pull request #{} was {}, not closed",
            change.number, change.action
        ))),
        Event::WorkflowRun(run) => Ok(match (run.head_branch, run.head_repository) {
            (Some(branch), Some(repository)) => Asked::Branch {
                branch,
                repository: repository.slug,
                head: run.head_sha,
            },
            _ => Asked::Nothing("the workflow run names no branch that is still there".to_owned()),
        }),
        Event::Push(push) if push.is_to_default_branch() => Ok(match push.after {
            Some(commit) => Asked::Merged(commit),
            None => Asked::Nothing(format!("{} was deleted", push.reference)),
        }),
        Event::Push(push) => Ok(Asked::Nothing(format!(
            "{} is not the default branch, {}",
            push.reference, push.repository.default_branch
        ))),
        Event::Dispatch(dispatch) => dispatched(dispatch),
        Event::IssueComment(_) | Event::MergeGroup(_) => Ok(Asked::Nothing(format!(
            "the event {:?} ends no preview",
            event.name
        ))),
        Event::Schedule => Ok(Asked::All),
    }
}

/// What the inputs of the workflow name.
fn dispatched(dispatch: Dispatch) -> Result<Asked, Failed> {
    let number = dispatch.input("pr").misused()?;
    let commit = dispatch.input("commit").misused()?;
    let force = dispatch.input("force").misused()?;
    let subject = match (number, commit) {
        (Some(number), None) => Subject::Pr(number),
        (None, Some(commit)) => Subject::Commit(commit),
        _ => {
            let usage = "the workflow takes the input pr, and force for one that is open, or the input commit; start it again \
                         with one of these";
            return Err(UsageError(usage.to_owned()).into());
        }
    };
    Ok(Asked::Dispatched {
        subject,
        force: force.unwrap_or(false),
        by: dispatch.sender,
    })
}
