//! The example's workflows on the sandbox.

use insta::assert_snapshot;
use sandbox::World;
use tempfile::TempDir;

use super::{
    super::{Ground, Progress, story},
    *,
};

/// A stage whose images are the sandbox's.
async fn stage() -> (Stage, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start().await.unwrap();
    let github = world.github.clone();
    let ground = Ground::sandbox(world, folder.path()).unwrap();
    let (programs, progress) = (story::programs(), Progress::unseen());
    let set = Stage::set(
        "workflows",
        github,
        ground,
        programs,
        progress,
        folder.path(),
    );
    (set.await.unwrap(), folder)
}

/// How all jobs have ended, by their workflows.
fn jobs(service: &Service) -> String {
    let mut lines: Vec<String> = service
        .ended()
        .iter()
        .map(|it| format!("{} ({}) {}: {}", it.file, it.event, it.job, it.conclusion))
        .collect();
    lines.sort();
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_goes_from_push_to_production() {
    let (mut stage, _folder) = stage().await;
    let workflows = stage.workflows().unwrap();
    let service = stage.adopt_previews(workflows).await.unwrap();
    let played = acts(&mut stage, &service).await;
    played.unwrap();
    assert_snapshot!(jobs(&service), @r"
    build.yml (pull_request) image: success
    build.yml (pull_request) image: success
    build.yml (push) image: success
    build.yml (push) image: success
    preview-cleanup.yml (push) cleanup: success
    preview-cleanup.yml (push) sweep: skipped
    preview-cleanup.yml (schedule) cleanup: skipped
    preview-cleanup.yml (schedule) sweep: success
    preview-cleanup.yml (workflow_run) cleanup: success
    preview-cleanup.yml (workflow_run) sweep: skipped
    preview-closed.yml (pull_request) closed: success
    preview-commands.yml (issue_comment) answer: success
    preview-deploy.yml (workflow_run) deploy: skipped
    preview-deploy.yml (workflow_run) deploy: success
    preview-deploy.yml (workflow_run) gate: skipped
    preview-deploy.yml (workflow_run) gate: success
    preview-deploy.yml (workflow_run) plan: skipped
    preview-deploy.yml (workflow_run) plan: success
    promote.yml (push) promote-tested: skipped
    promote.yml (push) promote: failure
    promote.yml (push) test: skipped
    promote.yml (schedule) promote-tested: skipped
    promote.yml (schedule) promote: success
    promote.yml (schedule) test: skipped
    promote.yml (workflow_dispatch) promote-tested: skipped
    promote.yml (workflow_dispatch) promote: success
    promote.yml (workflow_dispatch) test: skipped
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_nobody_saw_is_tested_and_promoted() {
    let (mut stage, _folder) = stage().await;
    let workflows = stage.workflows().unwrap();
    let service = stage.adopt_previews(workflows).await.unwrap();
    acts_of_skew(&mut stage, &service).await.unwrap();
    assert_snapshot!(jobs(&service), @r"
    build.yml (push) image: success
    build.yml (push) image: success
    preview-cleanup.yml (push) cleanup: success
    preview-cleanup.yml (push) sweep: skipped
    preview-deploy.yml (workflow_run) deploy: skipped
    preview-deploy.yml (workflow_run) gate: skipped
    preview-deploy.yml (workflow_run) plan: skipped
    promote.yml (push) promote-tested: skipped
    promote.yml (push) promote: failure
    promote.yml (push) test: skipped
    promote.yml (workflow_dispatch) promote-tested: success
    promote.yml (workflow_dispatch) promote: success
    promote.yml (workflow_dispatch) test: success
    ");
}
