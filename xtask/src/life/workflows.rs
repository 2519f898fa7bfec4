//! A pull request's life as an adopter's repository has it: the example's workflow files are executed, from the push that builds
//! an image to the sweep.

mod permissions;
#[cfg(test)]
mod tests;

use anyhow::{Context as _, bail, ensure};
use sandbox::github::MergeStyle;
use serde_json::json;

use super::{
    Stage,
    stage::workflows::{GATE, REVIEWER},
};
use crate::runner::{Ended, Event, Service};

pub(crate) use permissions::each_is_needed;

/// Plays it.
///
/// # Errors
/// When a workflow ends differently than it should.
pub(crate) async fn from_push_to_production(stage: &mut Stage) -> anyhow::Result<()> {
    let played = async {
        let workflows = stage.workflows()?;
        let service = stage.adopt_previews(workflows).await?;
        acts(stage, &service).await
    };
    let played = played.await;
    stage.cleared_after(played).await
}

/// The acts, whatever the workflows are.
///
/// # Errors
/// As [`from_push_to_production`].
pub(crate) async fn acts(stage: &mut Stage, service: &Service) -> anyhow::Result<()> {
    stage.act("Production runs the default branch, and the workflows are there");
    stage.commit_the_configuration()?;
    stage.furnish_production().await?;
    stage.hide_the_images().await?;

    stage.act(
        "A pull request is opened: build.yml builds it, and preview-deploy.yml waits for somebody",
    );
    let number = stage.open_pull_request();
    stage.push_second_edition()?;
    let action = "opened";
    service.happens(&Event::PullRequest { number, action })?;
    service.settle().await?;
    let test_merge = stage.repository.merge_commit_of(number);
    let test_merge = test_merge.context("the pull request conflicts with its base")?;
    let run = one_waits(service)?;

    stage.act("Somebody approves, and the preview is there");
    stage.repository.approve(run, GATE, REVIEWER);
    service.settle().await?;
    ended_well(service, "preview-deploy.yml", "deploy")?;
    let seen = stage.look_at_preview(&test_merge).await?;
    stage.show_page();

    stage.act("Somebody asks how it is");
    commented(stage, service, number, "/preview status").await?;
    let (second, forgotten) = another_is_left(stage, service).await?;

    stage.act("A third waits for somebody");
    let waiting = opened(stage, service, "feature/colours").await?;
    commented(stage, service, waiting, "/preview deploy").await?;

    stage.act("The pull request is merged: it is not promoted over what nobody has promoted, and the preview goes");
    stage.the_preview_can_be_seen().await?;
    let sha = stage.merge()?;
    closed(service, number)?;
    service.happens(&Event::Push { sha })?;
    service.settle().await?;
    ended_well(service, "preview-cleanup.yml", "cleanup")?;
    stage.nothing_is_left_of_the_preview().await?;

    stage.act("Somebody lets promotion replace it, once");
    service.dispatch("promote.yml", json!({ "adopt": "true" }), "alice");
    service.settle().await?;
    ended_well(service, "promote.yml", "promote")?;
    stage.look_at_production(&seen.commit).await?;

    stage.act("The second is closed without a word; an hour passes, and what was left goes");
    stage.repository.close(second);
    for cron in ["17 * * * *", "47 * * * *"] {
        let cron = cron.to_owned();
        service.happens(&Event::Schedule { cron })?;
    }
    service.settle().await?;
    ended_well(service, "preview-cleanup.yml", "sweep")?;
    ended_well(service, "promote.yml", "promote")?;
    is_cancelled(stage, forgotten)?;

    stage.act("The third is closed, and its images go");
    stage.repository.close(waiting);
    closed(service, waiting)?;
    service.settle().await?;
    ended_well(service, "preview-cleanup.yml", "cleanup")?;
    stage.show_page();
    stage.github_is_content()
}

/// A second pull request has a preview, too, and a newer head that nobody approves; gives its number, and the run that waits.
async fn another_is_left(stage: &Stage, service: &Service) -> anyhow::Result<(u64, u64)> {
    stage.act("A second pull request has a preview, and a head that nobody approves");
    let number = opened(stage, service, "feature/sounds").await?;
    let run = one_waits(service)?;
    stage.repository.approve(run, GATE, REVIEWER);
    service.settle().await?;
    ended_well(service, "preview-deploy.yml", "deploy")?;
    stage
        .repository
        .push(number, &[("sounds.md", "None yet.\n")]);
    let action = "synchronize";
    service.happens(&Event::PullRequest { number, action })?;
    service.settle().await?;
    Ok((number, one_waits(service)?))
}

/// Opens a pull request that changes nothing of the example, and lets its image be built.
async fn opened(stage: &Stage, service: &Service, branch: &str) -> anyhow::Result<u64> {
    let file = format!("{branch}.md");
    let changes = &[(file.as_str(), "To be written.\n")];
    let number = stage.repository.open_pull_request(branch, changes);
    let action = "opened";
    service.happens(&Event::PullRequest { number, action })?;
    service.settle().await?;
    Ok(number)
}

/// Somebody who may says something on a pull request.
async fn commented(
    stage: &Stage,
    service: &Service,
    number: u64,
    text: &str,
) -> anyhow::Result<()> {
    let author = "alice".to_owned();
    let id = stage.repository.comment(number, &author, text);
    service.happens(&Event::Comment { id, author })?;
    service.settle().await?;
    ended_well(service, "preview-commands.yml", "answer")
}

/// GitHub tells that a pull request was closed.
fn closed(service: &Service, number: u64) -> anyhow::Result<()> {
    let action = "closed";
    service.happens(&Event::PullRequest { number, action })
}

/// The one run that waits for approval.
fn one_waits(service: &Service) -> anyhow::Result<u64> {
    let waiting = service.waiting_for(GATE);
    match waiting.as_slice() {
        [run] => Ok(*run),
        _ => bail!("these runs wait for approval: {waiting:?}{}", told(service)),
    }
}

fn is_cancelled(stage: &Stage, run: u64) -> anyhow::Result<()> {
    let (status, conclusion) = stage.repository.run_state(run);
    ensure!(
        conclusion.as_deref() == Some("cancelled"),
        "run {run} should be cancelled; it is {status}, {conclusion:?}"
    );
    Ok(())
}

/// A merge that nobody has seen: promote.yml tests it, and promotes it then.
///
/// # Errors
/// When a workflow ends differently than it should.
pub(crate) async fn acts_of_skew(stage: &mut Stage, service: &Service) -> anyhow::Result<()> {
    stage.act("Production runs the default branch, and the workflows are there");
    stage.commit_the_configuration()?;
    stage.furnish_production().await?;
    stage.hide_the_images().await?;

    stage.act("A pull request is merged without a preview, and nothing may replace what runs");
    let number = stage.open_pull_request();
    stage.push_second_edition()?;
    let sha = stage.repository.merge(number, MergeStyle::Squash);
    service.happens(&Event::Push { sha: sha.clone() })?;
    service.settle().await?;

    stage.act("Somebody lets promotion replace it, once: promote.yml tests what was merged by itself, and promotes that");
    service.dispatch("promote.yml", json!({ "adopt": "true" }), "alice");
    service.settle().await?;
    ended_well(service, "promote.yml", "test")?;
    ended_well(service, "promote.yml", "promote-tested")?;
    stage.look_at_production(&sha).await?;
    stage.github_is_content()
}

/// Checks that the last of a workflow's jobs of this name succeeded.
fn ended_well(service: &Service, file: &str, job: &str) -> anyhow::Result<()> {
    let ended = service.ended();
    let last = ended
        .iter()
        .rev()
        .find(|it| it.file == file && it.job == job);
    let last = last.with_context(|| format!("{file} has run no {job}{}", told(service)))?;
    ensure!(
        last.conclusion == "success",
        "{file}: {job} ended with {}{}",
        last.conclusion,
        log(last)
    );
    Ok(())
}

/// How all jobs have ended.
fn told(service: &Service) -> String {
    let ended = service.ended();
    let lines = ended.iter().map(|it| {
        let remarks = it.remarks.join("; ");
        format!(
            "\n{} {} ({}): {} {remarks}",
            it.file, it.job, it.event, it.conclusion
        )
    });
    lines.collect()
}

fn log(ended: &Ended) -> String {
    format!("\n{}\n{}", ended.remarks.join("\n"), ended.log.join("\n"))
}
