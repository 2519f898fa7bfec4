//! The plays on the sandbox, as plain tests.

use std::sync::OnceLock;

use insta::assert_snapshot;
use sandbox::World;

use super::{
    Ground, Like, Programs, Progress, Stage, broken, commits, database, forks, front, golden,
    halfway, isolation, killed, links, overlay, play, promotion, routes, sleep, stage::short,
    unchanged,
};

/// Built once for all tests of this process.
pub(super) fn programs() -> Programs {
    static BUILT: OnceLock<Programs> = OnceLock::new();
    BUILT
        .get_or_init(|| Programs::build(Like::Tests).unwrap())
        .clone()
}

/// A stage in a world of its own, and the folder that must live as long.
pub(super) async fn stage() -> (Stage, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start().await.unwrap();
    let github = world.github.clone();
    let ground = Ground::sandbox(world, folder.path()).unwrap();
    let (programs, progress) = (programs(), Progress::unseen());
    let set = Stage::set("life", github, ground, programs, progress, folder.path());
    (set.await.unwrap(), folder)
}

/// The pull request's page without what differs from run to run.
fn page(stage: &Stage) -> String {
    let repository = &stage.repository;
    let mut page = repository
        .page(7)
        .replace(&stage.ground.registry, "REGISTRY");
    let merged = repository.merge_commit_of(7).unwrap();
    for (sha, name) in [(repository.head_of(7), "{H}"), (merged, "{M}")] {
        page = page.replace(short(&sha), name);
    }
    let lines = page
        .lines()
        .map(|line| match line.split_once("Last Updated**: ") {
            Some((before, _)) => format!("{before}Last Updated**: {{time}}"),
            None => without_digest(&without_run(line)),
        });
    lines.collect::<Vec<_>>().join("\n")
}

fn without_run(line: &str) -> String {
    let Some((before, after)) = line.split_once("/actions/runs/") else {
        return line.to_owned();
    };
    let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}/actions/runs/{{run}}{after}")
}

fn without_digest(line: &str) -> String {
    let Some((before, after)) = line.split_once("sha256:") else {
        return line.to_owned();
    };
    let after = after.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    format!("{before}{{digest}}{}", without_digest(after))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_requests_life() {
    let (mut stage, _folder) = stage().await;
    play(&mut stage).await.unwrap();
    assert_snapshot!(page(&stage), @"
    acme/shop #7 Who wrote it [merged]
    alice wants to merge acme:feature/who-wrote-it into main
    ✓ preview — Ready
    ✓ preview/promotable — Merged now, it is what the preview shows
    deployment to preview — destroyed
    deployment to preview — destroyed
    deployment to production — success

    ── github-actions[bot] ──
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: 🚀 Promoted — production
    **Preview**: 🗑️ Destroyed
    **Last Updated**: {time}
    **Commit**: {H}

    ---

    **Merged as**: {M}

    - API: `REGISTRY/acme/shop-api@{digest}`
    - Web: `REGISTRY/acme/shop-web@{digest}`

    [The run and its log](https://github.com/acme/shop/actions/runs/{run}/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `life-production`

    </details>
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_missing_is_told_long_before_the_deadline() {
    let (mut stage, _folder) = stage().await;
    broken::an_image_is_missing(&mut stage).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forks_pull_request_goes_from_push_to_production() {
    let (mut stage, _folder) = stage().await;
    forks::from_push_to_production(&mut stage).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_preview_sleeps_and_is_woken() {
    let (mut stage, _folder) = stage().await;
    sleep::an_idle_preview(&mut stage).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn production_never_stops_answering() {
    let (mut stage, _folder) = stage().await;
    promotion::production_never_stops_answering(&mut stage)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_between_a_preview_and_production_is_refused_and_told() {
    let (mut stage, _folder) = stage().await;
    links::are_refused_where_they_are_broken(&mut stage)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_goes_although_its_cleanup_dies() {
    let (mut stage, _folder) = stage().await;
    killed::a_preview_goes_although_its_cleanup_dies(&mut stage)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn production_gets_there_although_its_promotion_dies() {
    let (mut stage, _folder) = stage().await;
    halfway::production_gets_there_although_its_promotion_dies(&mut stage)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_kept_apart() {
    let (mut stage, _folder) = stage().await;
    isolation::a_preview_is_kept_apart(&mut stage)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_crashes_is_told_long_before_the_deadline() {
    let (mut stage, _folder) = stage().await;
    broken::a_container_crashes(&mut stage).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_goes_wrong_is_told_with_its_class() {
    let (mut stage, _folder) = stage().await;
    broken::everything_goes_wrong(&mut stage).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_pull_request_leaves_as_it_was_is_not_built_again() {
    let (mut stage, _folder) = stage().await;
    unchanged::the_page_alone_is_built(&mut stage)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_nobody_saw_is_previewed_by_itself() {
    let (mut stage, _folder) = stage().await;
    commits::a_merge_that_nobody_saw(&mut stage).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_front_door_is_open() {
    let (mut stage, _folder) = stage().await;
    front::is_open(&mut stage).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_lead_to_the_preview() {
    let (mut stage, _folder) = stage().await;
    routes::lead_to_the_preview(&mut stage).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_of_the_repositorys_own_manifests() {
    let (mut stage, _folder) = stage().await;
    overlay::manifests_of_the_repository(&mut stage)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_that_nearly_fills_its_quota() {
    let (mut stage, _folder) = stage().await;
    super::quota::nearly_full(&mut stage).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn eleven_pull_requests_and_ten_slots() {
    let (mut stage, _folder) = stage().await;
    super::queue::eleven_and_ten_slots(&mut stage)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_stay_until_their_migrations_are_rewritten() {
    let (mut stage, _folder) = stage().await;
    database::rows_stay_until_they_cannot(&mut stage)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_begins_as_a_copy_of_production() {
    let (mut stage, _folder) = stage().await;
    golden::a_copy_of_production(&mut stage).await.unwrap();
}
