//! Who waits for whom, and for how long: the merge queue, concurrency groups, timeouts, and the rest of a matrix.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use insta::assert_snapshot;

use super::{
    tests::{jobs, stage},
    *,
};
use crate::runner::{Workflow, read};

/// What would come to no end by itself.
const ENDLESS: &str = "while :; do :; done";

/// Jobs that take longer than they may, each in its own way.
const SLOW: &str = r"
name: Slow
on:
  pull_request:
permissions: {}
jobs:
  job:
    runs-on: ubuntu-24.04
    timeout-minutes: 2
    steps:
      - run: ENDLESS
  step:
    runs-on: ubuntu-24.04
    timeout-minutes: 1000
    steps:
      - id: slow
        run: ENDLESS
        timeout-minutes: 0.5
      - run: '[ $OUTCOME = failure ]'
        if: failure()
        env:
          OUTCOME: ${{ steps.slow.outcome }}
  forgiven:
    runs-on: ubuntu-24.04
    timeout-minutes: 1000
    steps:
      - name: Patience
        run: ENDLESS
        timeout-minutes: 0.5
        continue-on-error: true
  after:
    needs: job
    runs-on: ubuntu-24.04
    timeout-minutes: 1000
    steps:
      - run: 'true'
  cancelled:
    needs: job
    if: always() && needs.job.result == 'cancelled'
    runs-on: ubuntu-24.04
    timeout-minutes: 1000
    steps:
      - run: 'true'
";

/// A matrix of which one fails.
const MATRIX: &str = r#"
name: Matrix
on:
  pull_request:
permissions: {}
jobs:
  some:
    runs-on: ubuntu-24.04
    timeout-minutes: 1000
    strategy:
      fail-fast: FAIL_FAST
      matrix:
        place: [first, second]
    steps:
      - run: '[ "$PLACE" = first ] || LONG; false'
        env:
          PLACE: ${{ matrix.place }}
  after:
    needs: some
    if: always() && needs.some.result == 'failure'
    runs-on: ubuntu-24.04
    timeout-minutes: 1000
    steps:
      - run: 'true'
"#;

/// Jobs of one group; each says that it has begun, and ends when it may.
const LINE: &str = r#"
name: Line
run-name: ${{ inputs.name }}
on:
  workflow_dispatch:
    inputs:
      name:
        description: Whose turn it is
      folder:
        description: Where it says so
permissions: {}
jobs:
  stand:
    runs-on: ubuntu-24.04
    timeout-minutes: 1000
    concurrency:
      group: line
      CONCURRENCY
    steps:
      - run: |
          : >"$FOLDER/$NAME-has-begun"
          until [ -e "$FOLDER/go" ]; do :; done
        env:
          FOLDER: ${{ inputs.folder }}
          NAME: ${{ inputs.name }}
"#;

/// A workflow of its own, run by itself on a pull request.
fn alone(text: &str) -> BTreeMap<String, Workflow> {
    let file = "fixture.yml";
    BTreeMap::from([(file.to_owned(), read(file, text).unwrap())])
}

/// Waits until it is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How the jobs of a fixture have ended on a pull request.
async fn on_a_pull_request(workflow: &str) -> String {
    let (stage, _folder) = stage().await;
    let minute = Duration::from_millis(100);
    let service = stage.adopt_previews_at(minute, alone(workflow)).await;
    let service = service.unwrap();
    let files = &[("a", "b")];
    let number = stage.repository.open_pull_request("feature/slow", files);
    let action = "opened";
    service
        .happens(&Event::PullRequest { number, action })
        .unwrap();
    service.settle().await.unwrap();
    let lines = service.ended().into_iter().map(|it| {
        let remarks = it.remarks.join("; ");
        format!("{}: {} {remarks}", it.job, it.conclusion)
            .trim_end()
            .to_owned()
    });
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_longer_than_it_may_is_ended() {
    let told = on_a_pull_request(&SLOW.replace("ENDLESS", ENDLESS)).await;
    assert_snapshot!(told, @r"
    after: skipped
    cancelled: success
    forgiven: success error: The action 'Patience' has timed out after 0.5 minutes.
    job: cancelled error: The job has exceeded the maximum execution time of 2 minutes.
    step: failure error: The action 'Run while :; do :; done' has timed out after 0.5 minutes.
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_a_matrix_that_fails_ends_the_others_unless_told_otherwise() {
    let fast = MATRIX.replace("FAIL_FAST", "true").replace("LONG", ENDLESS);
    assert_snapshot!(on_a_pull_request(&fast).await, @r"
    after: success
    some: cancelled
    some: failure
    ");
    let not = MATRIX.replace("FAIL_FAST", "false").replace("LONG", "true");
    assert_snapshot!(on_a_pull_request(&not).await, @r"
    after: success
    some: failure
    some: failure
    ");
    let usual = fast.replace("      fail-fast: true\n", "");
    assert_eq!(
        on_a_pull_request(&usual).await,
        on_a_pull_request(&fast).await
    );
}

/// Three get in line while the first is in, and all are let go; how each ended, in that order.
async fn three_come_while_one_runs(concurrency: &str) -> String {
    let (stage, folder) = stage().await;
    let workflow = alone(&LINE.replace("CONCURRENCY", concurrency));
    let service = stage.adopt_previews(workflow).await.unwrap();
    let place = folder.path().join("line");
    std::fs::create_dir(&place).unwrap();
    let dispatch = |name: &str| {
        let inputs = json!({ "name": name, "folder": place.to_str().unwrap() });
        service.dispatch("fixture.yml", inputs, "alice");
    };
    let begun = |name: &str| Path::new(&place.join(format!("{name}-has-begun"))).exists();
    let names = ["first", "second", "third", "fourth"];
    let cancels = concurrency.contains("true");
    // As long as it runs nothing settles.
    dispatch(names[0]);
    let come = async {
        for (nth, name) in names.iter().enumerate() {
            if nth > 0 {
                dispatch(name);
            }
            // Without a long line the one that waits goes, and who comes has its place.
            let has_come = || match (nth, cancels) {
                (0, _) | (_, true) => begun(name),
                (nth, false) if concurrency.contains("max") => service.in_line() == nth,
                (nth, false) => service.in_line() == 1 && service.ended().len() == nth - 1,
            };
            until(name, has_come).await;
        }
        std::fs::write(place.join("go"), "").unwrap();
    };
    let (settled, ()) = tokio::join!(service.settle(), come);
    settled.unwrap();
    let title = |run: u64| {
        let repository = &stage.repository;
        let payload = repository.workflow_run_payload_of(run);
        payload["workflow_run"]["display_title"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let ended = service.ended().into_iter();
    let lines = ended.map(|it| format!("{}: {}", title(it.run), it.conclusion));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn three_that_come_while_one_runs_wait_go_or_end_it_as_the_group_says() {
    let told = three_come_while_one_runs("queue: max").await;
    assert_snapshot!(told, @r"
    first: success
    second: success
    third: success
    fourth: success
    ");
    let told = three_come_while_one_runs("cancel-in-progress: false").await;
    assert_snapshot!(told, @r"
    second: cancelled
    third: cancelled
    first: success
    fourth: success
    ");
    let told = three_come_while_one_runs("cancel-in-progress: true").await;
    assert_snapshot!(told, @r"
    first: cancelled
    second: cancelled
    third: cancelled
    fourth: success
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_line_that_ends_whoever_is_in_is_no_workflow() {
    let (stage, _folder) = stage().await;
    let both = "cancel-in-progress: true\n      queue: max";
    let workflow = alone(&LINE.replace("CONCURRENCY", both));
    let service = stage.adopt_previews(workflow).await.unwrap();
    service.dispatch(
        "fixture.yml",
        json!({ "name": "a", "folder": "b" }),
        "alice",
    );
    let refused = service.settle().await.unwrap_err();
    assert_snapshot!(format!("{refused:#}"), @"fixture.yml, job stand: GitHub refuses `queue: max` beside `cancel-in-progress: true`");
}

/// A pull request that goes through the merge queue: its group is built, previewed by itself, merged, and promoted.
async fn acts_of_merge_queue(stage: &mut Stage, service: &Service) -> anyhow::Result<()> {
    furnished(stage).await?;
    stage.act("The merge queue makes a group of a pull request: build.yml builds it, and it has a preview of its own");
    let number = stage.open_pull_request();
    stage.push_second_edition()?;
    let head = stage.repository.queue(number);
    let group = Event::MergeGroup { head: head.clone() };
    service.happens(&group)?;
    service.settle().await?;
    ended_well(service, "build.yml", "image")?;
    ended_well(service, "preview-deploy.yml", "deploy")?;

    stage.act("The queue merges it, and what was tested is promoted");
    let sha = stage.repository.merge_queued(number);
    ensure!(
        sha == head,
        "the queue leaves {sha}, and the group was {head}"
    );
    service.happens(&Event::Push { sha })?;
    service.settle().await?;
    service.dispatch("promote.yml", json!({ "adopt": "true" }), "alice");
    service.settle().await?;
    ended_well(service, "promote.yml", "promote")?;
    stage.look_at_production(&head).await?;
    stage.github_is_content()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_the_merge_queue_is_built_previewed_merged_and_promoted() {
    let (mut stage, _folder) = stage().await;
    let workflows = stage.workflows().unwrap();
    let service = stage.adopt_previews(workflows).await.unwrap();
    acts_of_merge_queue(&mut stage, &service).await.unwrap();
    assert_snapshot!(jobs(&service), @r"
    build.yml (merge_group) image: success
    build.yml (merge_group) image: success
    build.yml (push) image: success
    build.yml (push) image: success
    preview-cleanup.yml (push) cleanup: success
    preview-cleanup.yml (push) sweep: skipped
    preview-deploy.yml (workflow_run) build: skipped
    preview-deploy.yml (workflow_run) build: skipped
    preview-deploy.yml (workflow_run) deploy: skipped
    preview-deploy.yml (workflow_run) deploy: success
    preview-deploy.yml (workflow_run) gate: skipped
    preview-deploy.yml (workflow_run) gate: skipped
    preview-deploy.yml (workflow_run) import: skipped
    preview-deploy.yml (workflow_run) import: skipped
    preview-deploy.yml (workflow_run) plan: skipped
    preview-deploy.yml (workflow_run) plan: success
    promote.yml (push) promote-tested: skipped
    promote.yml (push) promote: failure
    promote.yml (push) test: skipped
    promote.yml (workflow_dispatch) promote-tested: skipped
    promote.yml (workflow_dispatch) promote: success
    promote.yml (workflow_dispatch) test: skipped
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn four_deploys_of_a_pull_request_at_once_all_have_their_turn() {
    let (mut stage, _folder) = stage().await;
    let workflows = stage.workflows().unwrap();
    let service = stage.adopt_previews(workflows).await.unwrap();
    furnished(&mut stage).await.unwrap();
    let number = stage.open_pull_request();
    stage.push_second_edition().unwrap();
    let action = "opened";
    service
        .happens(&Event::PullRequest { number, action })
        .unwrap();
    service.settle().await.unwrap();
    let head = stage.repository.head_of(number);
    for _ in 0..3 {
        let inputs = json!({ "pr": number.to_string(), "sha": head });
        service.dispatch("preview-deploy.yml", inputs, "alice");
    }
    service.settle().await.unwrap();
    let waiting = service.waiting_for(GATE);
    assert_eq!(waiting.len(), 4);
    for run in &waiting {
        stage.repository.approve(*run, GATE, REVIEWER);
    }
    service.settle().await.unwrap();
    let ended = service.ended();
    let deploys = ended
        .iter()
        .filter(|it| it.file == "preview-deploy.yml" && it.job == "deploy");
    let conclusions: Vec<&str> = deploys.map(|it| it.conclusion).collect();
    assert_eq!(conclusions, ["success"; 4], "{}", told(&service));
    stage.github_is_content().unwrap();
}
