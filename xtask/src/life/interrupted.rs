//! A deploy after a cleanup that died at one of its requests, on the sandbox; and the play of [`super::every`] there.

use futures::{StreamExt as _, stream};
use insta::assert_snapshot;
use preview_core::outcome::Program;
use sandbox::Gate;

use super::ending::{Stop, previewed, stops};
use super::every::the_end_is_the_same;
use super::killed::killed;
use super::stage::Event;
use super::story::stage;

/// Worlds at the same time.
const WORLDS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_pull_request_is_the_same_wherever_its_runs_are_killed_or_frozen() {
    let (mut stage, _folder) = stage().await;
    the_end_is_the_same(&mut stage).await.unwrap();
}

/// Kills the cleanup of a closed pull request where it stops, opens that again, and deploys it; the gate of the cleanup, and
/// what there is then.
async fn opened_again_after(stop: Stop) -> (Gate, String) {
    let (mut stage, _folder) = stage().await;
    let (number, _) = previewed(&mut stage).await.unwrap();
    stage.close().unwrap();
    let cleanup = stage.prepared(Program::Cleanup, Event::PullRequest, &[]);
    let gate = stop.gate();
    let cleanup = stage.behind(cleanup.unwrap(), &gate).await.unwrap();
    killed(&stage, cleanup, &gate, "destroyed").await.unwrap();
    stage.repository.reopen(number);
    stage.ci_builds_a_page(number).await.unwrap();
    let ended = stage.deploy_at_once(&[number]).await.unwrap().remove(0).1;
    let mut lines = vec![format!("{}: {:?}", ended.result.verdict, ended.exit)];
    let preview = stage.preview().unwrap();
    let namespace = stage
        .object("v1", "Namespace", None, &preview)
        .await
        .unwrap();
    let terminates = !namespace["metadata"]["deletionTimestamp"].is_null();
    lines.push(format!("its Namespace terminates: {terminates}"));
    for (_, body) in stage.repository.comments(number) {
        let status = body.lines().find(|line| line.starts_with("**Status**: "));
        lines.push(status.unwrap().to_owned());
    }
    lines.push(format!("labels: {}", stage.repository.labels(number).len()));
    let deployments = stage.repository.deployments().into_iter();
    // A record of what was tested before is true still.
    let shown = deployments.filter(|one| {
        one.state != "inactive" && one.payload["kind"] == "preview-environments/progress"
    });
    lines.extend(shown.map(|one| format!("{}: {}", one.payload["kind"], one.state)));
    lines.extend(stage.github.violations());
    (gate, lines.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_of_the_reopened_pull_request_finishes_a_cleanup_that_died() {
    let (gate, undisturbed) = opened_again_after(Stop::Nowhere).await;
    assert_snapshot!(undisturbed, @r#"
    deployed: Some(0)
    its Namespace terminates: false
    **Status**: ✅ Ready
    labels: 1
    "preview-environments/progress": success
    "#);
    let stops = stops(&gate.came(), 0);
    assert!(stops.len() > 7, "{:#?}", gate.came());
    let found = stream::iter(stops).map(async |stop| {
        let (gate, left) = opened_again_after(stop).await;
        let place = gate.held().unwrap_or_default();
        (format!("killed {stop}, {place}"), left)
    });
    let found = found.buffered(WORLDS);
    let found = found.filter(|(_, left)| std::future::ready(*left != undisturbed));
    let found: Vec<String> = found
        .map(|(place, left)| format!("{place}:\n{left}"))
        .collect()
        .await;
    assert!(
        found.is_empty(),
        "{} found:\n{}",
        found.len(),
        found.join("\n\n")
    );
}
