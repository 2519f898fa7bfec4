//! A pull request's life as an adopter's repository has it: the example's workflow files are executed, from the push that builds
//! an image to the sweep.

mod permissions;
#[cfg(test)]
mod queues;
#[cfg(test)]
mod tests;

use anyhow::{Context as _, bail, ensure};
use sandbox::github::MergeStyle;
use serde_json::json;

use super::{
    Stage,
    database::tells,
    stage::workflows::{GATE, REVIEWER},
};
use crate::runner::{Ended, Event, Service};

pub(crate) use permissions::each_is_needed;

/// Plays it.
///
/// # Errors
/// When a workflow ends differently than it should.
pub(crate) async fn from_push_to_production(stage: &mut Stage) -> anyhow::Result<()> {
    played(stage, acts).await
}

/// Plays the life of a fork's pull request.
///
/// # Errors
/// When a workflow ends differently than it should.
pub(crate) async fn from_fork_to_production(stage: &mut Stage) -> anyhow::Result<()> {
    played(stage, acts_of_fork).await
}

/// Plays a merge that nobody has seen.
///
/// # Errors
/// When a workflow ends differently than it should.
pub(crate) async fn from_merge_to_production(stage: &mut Stage) -> anyhow::Result<()> {
    played(stage, acts_of_skew).await
}

/// Plays these acts with the example's workflows, and clears the stage.
async fn played(
    stage: &mut Stage,
    acts: impl AsyncFnOnce(&mut Stage, &Service) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
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
    furnished(stage).await?;
    let opened = until_all_are_open(stage, service).await?;
    merged(stage, service, &opened).await?;
    what_is_left_goes(stage, service, &opened).await?;
    stage.show_page();
    stage.github_is_content()
}

/// The pull requests of the life.
struct Opened {
    first: u64,
    /// What the first one's preview shows.
    commit: String,
    /// Has a preview, too.
    second: u64,
    /// Waits for somebody.
    third: u64,
}

async fn furnished(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act("Production runs the default branch, and the workflows are there");
    stage.commit_the_configuration()?;
    stage.furnish_production().await?;
    stage.hide_the_images().await
}

async fn until_all_are_open(stage: &mut Stage, service: &Service) -> anyhow::Result<Opened> {
    stage.act(
        "A pull request is opened: build.yml builds it, and preview-deploy.yml waits for somebody",
    );
    let first = stage.open_pull_request();
    stage.push_second_edition()?;
    let (number, action) = (first, "opened");
    service.happens(&Event::PullRequest { number, action })?;
    service.settle().await?;
    let test_merge = stage.repository.merge_commit_of(first);
    let test_merge = test_merge.context("the pull request conflicts with its base")?;
    let run = one_waits(service)?;

    stage.act("Somebody approves, and the preview is there");
    stage.repository.approve(run, GATE, REVIEWER);
    service.settle().await?;
    ended_well(service, "preview-deploy.yml", "deploy")?;
    let seen = stage.look_at_preview(&test_merge).await?;
    stage.show_page();

    stage.act("Somebody asks how it is");
    commented(stage, service, first, "/preview status").await?;

    stage.act("A second pull request has a preview");
    let second = opened(stage, service, "feature/sounds").await?;
    let run = one_waits(service)?;
    stage.repository.approve(run, GATE, REVIEWER);
    service.settle().await?;
    ended_well(service, "preview-deploy.yml", "deploy")?;

    stage.act("A third waits for somebody");
    let third = opened(stage, service, "feature/colours").await?;
    commented(stage, service, third, "/preview deploy").await?;
    let commit = seen.commit;
    Ok(Opened {
        first,
        commit,
        second,
        third,
    })
}

async fn merged(stage: &mut Stage, service: &Service, opened: &Opened) -> anyhow::Result<()> {
    stage.act("The pull request is merged: it is not promoted over what nobody has promoted, and the preview goes");
    stage.the_preview_can_be_seen().await?;
    let sha = stage.merge()?;
    closed(service, opened.first)?;
    service.happens(&Event::Push { sha })?;
    service.settle().await?;
    ended_well(service, "preview-cleanup.yml", "cleanup")?;
    stage.nothing_is_left_of_the_preview().await?;

    stage.act("Somebody lets promotion replace it, once");
    service.dispatch("promote.yml", json!({ "adopt": "true" }), "alice");
    service.settle().await?;
    ended_well(service, "promote.yml", "promote")?;
    stage.look_at_production(&opened.commit).await.map(drop)
}

async fn what_is_left_goes(
    stage: &mut Stage,
    service: &Service,
    opened: &Opened,
) -> anyhow::Result<()> {
    stage.act("The second gets a head that nobody approves, and is closed without a word; an hour later what was left goes");
    let asked = service.waiting_for(GATE);
    stage
        .repository
        .push(opened.second, &[("sounds.md", "None yet.\n")]);
    let (number, action) = (opened.second, "synchronize");
    service.happens(&Event::PullRequest { number, action })?;
    service.settle().await?;
    let mut waiting_now = service.waiting_for(GATE).into_iter();
    let forgotten = waiting_now.find(|run| !asked.contains(run));
    let forgotten = forgotten.context("the new head waits for nobody")?;
    stage.repository.close(opened.second);
    for cron in ["17 * * * *", "47 * * * *"] {
        let cron = cron.to_owned();
        service.happens(&Event::Schedule { cron })?;
    }
    service.settle().await?;
    ended_well(service, "preview-cleanup.yml", "sweep")?;
    ended_well(service, "promote.yml", "promote")?;
    is_cancelled(stage, forgotten)?;

    stage.act("The third gets another head, and nobody is asked for the earlier one any more");
    let asked = service.waiting_for(GATE);
    ensure!(!asked.is_empty(), "nobody is asked{}", told(service));
    stage
        .repository
        .push(opened.third, &[("colours.md", "Red.\n")]);
    let (number, action) = (opened.third, "synchronize");
    service.happens(&Event::PullRequest { number, action })?;
    service.settle().await?;
    for run in asked {
        is_cancelled(stage, run)?;
    }

    stage.act("The third is closed, and its images go");
    stage.repository.close(opened.third);
    closed(service, opened.third)?;
    service.settle().await?;
    ended_well(service, "preview-cleanup.yml", "cleanup")
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
    furnished(stage).await?;
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

/// A fork's pull request, whose own runs may push nothing: the commit is approved, built, imported, deployed, and promoted.
///
/// # Errors
/// When a workflow ends differently than it should.
pub(crate) async fn acts_of_fork(stage: &mut Stage, service: &Service) -> anyhow::Result<()> {
    furnished(stage).await?;
    stage.act("Somebody opens a pull request from a fork, and is waited for");
    stage.open_pull_request_from_fork("fix")?;
    let (number, action) = (stage.number()?, "opened");
    service.happens(&Event::PullRequest { number, action })?;
    service.settle().await?;
    tells(stage, number, "what is approved is the commit")?;
    let run = one_waits(service)?;
    let test_merge = stage.repository.merge_commit_of(number);
    let test_merge = test_merge.context("the pull request conflicts with its base")?;

    stage.act("Its commit is approved, built without any right, imported as data, and deployed");
    stage.repository.approve(run, GATE, REVIEWER);
    service.settle().await?;
    ended_well(service, "preview-deploy.yml", "import")?;
    ended_well(service, "preview-deploy.yml", "deploy")?;
    stage.look_at_preview(&test_merge).await?;

    stage.act("It is merged, and promoted");
    stage.merge()?;
    service.dispatch("promote.yml", json!({ "adopt": "true" }), "alice");
    service.settle().await?;
    ended_well(service, "promote.yml", "promote")?;
    stage.look_at_production(&test_merge).await?;
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
