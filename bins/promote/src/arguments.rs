//! What `preview-promote` is told.

use clap::Parser;
use preview_actions::{Failed, Options, Outside as _, Runner, UsageError};
use preview_core::names::{CommitSha, TargetName};
use preview_github::event::Event;

/// Brings the images that were tested in a preview to production, for a commit that was merged
///
/// Started by `push` to the default branch, or by hand with --commit. Images go by digest: the very ones that the
/// preview ran.
///
/// Environment: GITHUB_TOKEN, GITHUB_REPOSITORY, GITHUB_RUN_ID and the rest of GITHUB_* as Actions sets them;
/// KUBECONFIG; PREVIEW_RECORD_KEY, with which preview-deploy signed the record; PREVIEW_REGISTRY_USER and
/// PREVIEW_REGISTRY_PASSWORD, which may push tags, and PREVIEW_REGISTRY_HOST where there are several registries.
///
/// Exit code: 0 promoted, superseded or nothing to do; 1 refused by a rule; 2 called or configured wrongly; 3 GitHub,
/// the registry or the cluster failed, or the rollout did and was rolled back.
#[derive(Clone, Debug, Parser)]
#[command(name = "preview-promote", version)]
pub struct Arguments {
    /// Where things are.
    #[command(flatten)]
    pub options: Options,
    /// The commit of the default branch, in place of an event
    #[arg(long, value_name = "COMMIT")]
    pub commit: Option<CommitSha>,
    /// Only this target; all of them, in the order of the configuration, unless told
    #[arg(long, value_name = "NAME")]
    pub target: Option<TargetName>,
}

/// The commit M that is asked for; the reason where an event asks for none.
pub(crate) fn asked(
    runner: &Runner,
    arguments: &Arguments,
) -> Result<Result<CommitSha, String>, Failed> {
    if let Some(commit) = &arguments.commit {
        return Ok(Ok(commit.clone()));
    }
    let event = runner.environment().event("give --commit")?;
    let path = event.path.display().to_string();
    match Event::parse(&event.name, &path, &event.payload).misused()? {
        Event::Push(push) if push.is_to_default_branch() => {
            let reference = push.reference;
            Ok(push.after.ok_or_else(|| format!("{reference} was deleted")))
        }
        Event::Push(push) => Ok(Err(format!(
            "{} is not the default branch, {}",
            push.reference, push.repository.default_branch
        ))),
        Event::WorkflowRun(_) | Event::PullRequest(_) | Event::Schedule => Err(UsageError(format!(
            "the event {:?} does not say what was merged; start this on push to the default branch, or give --commit",
            event.name
        ))
        .into()),
    }
}
