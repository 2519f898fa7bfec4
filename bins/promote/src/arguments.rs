//! What `preview-promote` is told.

use clap::{Parser, Subcommand};
use preview_actions::{Failed, Options, Outside as _, Runner, UsageError};
use preview_core::names::{CommitSha, PrNumber, TargetName};
use preview_github::event::Event;

/// Brings the images that were tested in a preview to production, for a commit that was merged
///
/// Started by `push` to the default branch, on a schedule for its head, or by hand with --pr or --commit. Images go by
/// digest: the very ones that the preview ran.
///
/// Environment: GITHUB_TOKEN, GITHUB_REPOSITORY, GITHUB_RUN_ID and the rest of GITHUB_* as Actions sets them;
/// KUBECONFIG; PREVIEW_RECORD_KEY, with which preview-deploy signed the record; PREVIEW_REGISTRY_USER and
/// PREVIEW_REGISTRY_PASSWORD, which may push tags, and PREVIEW_REGISTRY_HOST where there are several registries;
/// PREVIEW_SLACK_WEBHOOK and PREVIEW_SMTP_URL, where alerts go.
///
/// Exit code: 0 promoted, superseded or nothing to do; 1 refused by a rule; 2 called or configured wrongly; 3 GitHub,
/// the registry or the cluster failed, or the rollout did and was rolled back.
#[derive(Clone, Debug, Parser)]
#[command(name = "preview-promote", version)]
pub struct Arguments {
    /// What to do; promote, unless told.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where things are.
    #[command(flatten)]
    pub options: Options,
    /// The pull request that was merged, in place of an event
    #[arg(long, value_name = "NUMBER", global = true)]
    pub pr: Option<PrNumber>,
    /// The commit of the default branch, in place of an event
    #[arg(long, value_name = "COMMIT", conflicts_with = "pr", global = true)]
    pub commit: Option<CommitSha>,
    /// Only this target; all of them, in the order of the configuration, unless told
    #[arg(long, value_name = "NAME", global = true)]
    pub target: Option<TargetName>,
    /// Replace what runs there although no promotion brought it there: once for each target
    #[arg(long, global = true)]
    pub adopt: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Show the chain of evidence link by link and what would be promoted, and stop: writes nothing
    Plan,
    /// Bring a target back to what was promoted to it before, and freeze it until `resume`
    Rollback {
        /// The commit of an earlier promotion, as `history` names it; the one before what runs, unless told
        #[arg(long, value_name = "COMMIT")]
        to: Option<CommitSha>,
        /// Why, for those who read the comment and meet the frozen target
        #[arg(long, value_name = "TEXT", default_value = "rolled back by hand")]
        reason: String,
    },
    /// Let promotions to a target go on that a rollback, or somebody, has frozen
    Resume,
    /// Show what was promoted, newest first; `history` of the result has it as JSON
    History {
        /// How many of each target
        #[arg(long, value_name = "NUMBER", default_value_t = 20)]
        limit: usize,
    },
}

impl Arguments {
    /// Refuses to overlook what was named beside a command that is about something else.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        let names_a_commit = self.pr.is_some() || self.commit.is_some() || self.adopt;
        match &self.command {
            Some(Command::Rollback { .. } | Command::Resume | Command::History { .. })
                if names_a_commit =>
            {
                Err(UsageError(
                    "rollback, resume and history take no --pr, --commit and --adopt; leave them out"
                        .to_owned(),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Whether it is only to be said what would be done.
    pub(crate) fn only_plans(&self) -> bool {
        self.command == Some(Command::Plan)
    }
}

/// Which commit is to be promoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// This one.
    Commit(CommitSha),
    /// What the merge of this pull request left.
    Pull(PrNumber),
    /// The newest that may be of those that were pushed.
    Pushed {
        /// The last of them.
        newest: CommitSha,
        /// The end of the branch before them; none where it is new.
        before: Option<CommitSha>,
    },
    /// The head of the default branch.
    Head,
}

impl Asked {
    /// Whether somebody named what to promote, and nothing has moved since.
    pub(crate) fn is_by_hand(&self) -> bool {
        matches!(self, Self::Commit(_) | Self::Pull(_))
    }
}

/// What is asked for, by hand or by the event; the reason where an event asks for nothing.
pub(crate) fn asked(
    runner: &Runner,
    arguments: &Arguments,
) -> Result<Result<Asked, String>, Failed> {
    let commit = arguments.commit.clone().map(Asked::Commit);
    if let Some(by_hand) = arguments.pr.map(Asked::Pull).or(commit) {
        return Ok(Ok(by_hand));
    }
    let event = runner.environment().event("give --pr or --commit")?;
    let path = event.path.display().to_string();
    match Event::parse(&event.name, &path, &event.payload).misused()? {
        Event::Push(push) if push.is_to_default_branch() => {
            let (reference, before) = (push.reference, push.before);
            let newest = push.after.ok_or_else(|| format!("{reference} was deleted"));
            Ok(newest.map(|newest| Asked::Pushed { newest, before }))
        }
        Event::Push(push) => Ok(Err(format!(
            "{} is not the default branch, {}",
            push.reference, push.repository.default_branch
        ))),
        Event::Schedule => Ok(Ok(Asked::Head)),
        Event::WorkflowRun(_)
        | Event::PullRequest(_)
        | Event::IssueComment(_)
        | Event::Dispatch(_)
        | Event::MergeGroup(_) => Err(UsageError(format!(
            "the event {:?} does not say what was merged; start this on push to the default branch or on a schedule, or \
             give --pr or --commit",
            event.name
        ))
        .into()),
    }
}
