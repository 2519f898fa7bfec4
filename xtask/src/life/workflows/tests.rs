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
    assert_snapshot!(jobs(&service), @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_nobody_saw_is_tested_and_promoted() {
    let (mut stage, _folder) = stage().await;
    let workflows = stage.workflows().unwrap();
    let service = stage.adopt_previews(workflows).await.unwrap();
    acts_of_skew(&mut stage, &service).await.unwrap();
    assert_snapshot!(jobs(&service), @"");
}
