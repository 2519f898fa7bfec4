//! The example's workflows on the sandbox.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use sandbox::World;
use tempfile::TempDir;

use super::{
    super::{Ground, Progress, story},
    *,
};
use crate::runner::read;

/// What somebody who may push a branch puts into a workflow there.
const HOSTILE: &str = r#"
name: Hostile
on:
  pull_request:
permissions: {}
jobs:
  outside:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    steps:
      - run: '[ -z "$KEY" ]'
        env:
          KEY: ${{ secrets.KUBECONFIG }}
  inside:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    environment:
      name: preview
      deployment: false
    steps:
      - run: 'true'
"#;

/// A stage whose images are the sandbox's.
pub(super) async fn stage() -> (Stage, TempDir) {
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
pub(super) fn jobs(service: &Service) -> String {
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
    build.yml (pull_request) image: success
    build.yml (pull_request) image: success
    build.yml (pull_request) image: success
    build.yml (pull_request) image: success
    build.yml (pull_request) image: success
    build.yml (pull_request) image: success
    build.yml (pull_request) image: success
    build.yml (pull_request) image: success
    build.yml (push) image: success
    build.yml (push) image: success
    preview-cleanup.yml (push) cleanup: success
    preview-cleanup.yml (push) sweep: skipped
    preview-cleanup.yml (schedule) cleanup: skipped
    preview-cleanup.yml (schedule) sweep: success
    preview-cleanup.yml (workflow_run) cleanup: success
    preview-cleanup.yml (workflow_run) cleanup: success
    preview-cleanup.yml (workflow_run) sweep: skipped
    preview-cleanup.yml (workflow_run) sweep: skipped
    preview-closed.yml (pull_request) closed: success
    preview-closed.yml (pull_request) closed: success
    preview-commands.yml (issue_comment) answer: success
    preview-commands.yml (issue_comment) answer: success
    preview-deploy.yml (workflow_dispatch) build: skipped
    preview-deploy.yml (workflow_dispatch) deploy: skipped
    preview-deploy.yml (workflow_dispatch) gate: cancelled
    preview-deploy.yml (workflow_dispatch) import: skipped
    preview-deploy.yml (workflow_dispatch) plan: success
    preview-deploy.yml (workflow_run) build: skipped
    preview-deploy.yml (workflow_run) build: skipped
    preview-deploy.yml (workflow_run) build: skipped
    preview-deploy.yml (workflow_run) build: skipped
    preview-deploy.yml (workflow_run) build: skipped
    preview-deploy.yml (workflow_run) deploy: skipped
    preview-deploy.yml (workflow_run) deploy: skipped
    preview-deploy.yml (workflow_run) deploy: skipped
    preview-deploy.yml (workflow_run) deploy: success
    preview-deploy.yml (workflow_run) deploy: success
    preview-deploy.yml (workflow_run) gate: cancelled
    preview-deploy.yml (workflow_run) gate: cancelled
    preview-deploy.yml (workflow_run) gate: skipped
    preview-deploy.yml (workflow_run) gate: success
    preview-deploy.yml (workflow_run) gate: success
    preview-deploy.yml (workflow_run) import: skipped
    preview-deploy.yml (workflow_run) import: skipped
    preview-deploy.yml (workflow_run) import: skipped
    preview-deploy.yml (workflow_run) import: skipped
    preview-deploy.yml (workflow_run) import: skipped
    preview-deploy.yml (workflow_run) plan: skipped
    preview-deploy.yml (workflow_run) plan: success
    preview-deploy.yml (workflow_run) plan: success
    preview-deploy.yml (workflow_run) plan: success
    preview-deploy.yml (workflow_run) plan: success
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
    preview-deploy.yml (workflow_run) build: skipped
    preview-deploy.yml (workflow_run) deploy: skipped
    preview-deploy.yml (workflow_run) gate: skipped
    preview-deploy.yml (workflow_run) import: skipped
    preview-deploy.yml (workflow_run) plan: skipped
    promote.yml (push) promote-tested: skipped
    promote.yml (push) promote: failure
    promote.yml (push) test: skipped
    promote.yml (workflow_dispatch) promote-tested: success
    promote.yml (workflow_dispatch) promote: success
    promote.yml (workflow_dispatch) test: success
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forks_pull_request_goes_from_push_to_production() {
    let (mut stage, _folder) = stage().await;
    let workflows = stage.workflows().unwrap();
    let service = stage.adopt_previews(workflows).await.unwrap();
    acts_of_fork(&mut stage, &service).await.unwrap();
    assert_snapshot!(jobs(&service), @r"
    build.yml (pull_request) image: success
    build.yml (pull_request) image: success
    preview-deploy.yml (workflow_run) build: success
    preview-deploy.yml (workflow_run) build: success
    preview-deploy.yml (workflow_run) deploy: success
    preview-deploy.yml (workflow_run) gate: success
    preview-deploy.yml (workflow_run) import: success
    preview-deploy.yml (workflow_run) plan: success
    promote.yml (workflow_dispatch) promote-tested: skipped
    promote.yml (workflow_dispatch) promote: success
    promote.yml (workflow_dispatch) test: skipped
    ");
    stage.clear().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_from_another_branch_enters_no_protected_environment_and_knows_no_secret() {
    let (stage, _folder) = stage().await;
    let workflows = BTreeMap::from([(
        "hostile.yml".to_owned(),
        read("hostile.yml", HOSTILE).unwrap(),
    )]);
    let service = stage.adopt_previews(workflows).await.unwrap();
    let number = stage
        .repository
        .open_pull_request("feature/steal", &[("a", "b")]);
    let action = "opened";
    service
        .happens(&Event::PullRequest { number, action })
        .unwrap();
    service.settle().await.unwrap();
    assert_snapshot!(format!("{}{}", jobs(&service), told(&service)), @r#"
    hostile.yml (pull_request) inside: failure
    hostile.yml (pull_request) outside: success
    hostile.yml inside (pull_request): failure error: Branch "7/merge" is not allowed to deploy to preview due to environment protection rules.
    hostile.yml outside (pull_request): success
    "#);
}

/// What the runner says of the example's workflows when one has a mistake in it.
async fn mistaken(file: &str, right: &str, wrong: &str) -> String {
    let (stage, _folder) = stage().await;
    let changed = stage.workflows_with(|name, text| match name == file {
        true => {
            assert!(text.contains(right), "{file} has no {right:?}");
            text.replacen(right, wrong, 1)
        }
        false => text,
    });
    let found = match changed {
        Err(error) => error,
        Ok(workflows) => match stage.adopt_previews(workflows).await {
            Err(error) => error,
            Ok(_) => panic!("nobody finds {wrong:?}"),
        },
    };
    let said = format!("{found:#}");
    said.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_misspelt_is_found() {
    let mistakes = [
        (
            "preview-deploy.yml",
            "    permissions:\n",
            "    permissons:\n",
        ),
        ("preview-deploy.yml", "packages: read", "package: read"),
        ("preview-deploy.yml", "needs: plan\n", "needs: pln\n"),
        (
            "preview-deploy.yml",
            "steps.plan.outputs.verdict",
            "steps.pln.outputs.verdict",
        ),
        (
            "preview-deploy.yml",
            "steps.plan.outputs.verdict",
            "steps.plan.outputs.verdct",
        ),
        (
            "preview-deploy.yml",
            "needs.plan.outputs.verdict",
            "needs.plan.outputs.verdct",
        ),
        (
            "preview-deploy.yml",
            "secrets.KUBECONFIG",
            "secrets.KUBE_CONFIG",
        ),
        ("preview-deploy.yml", "kubeconfig: ", "kube-config: "),
        ("preview-cleanup.yml", "inputs.pr\n", "inputs.pull\n"),
        ("build.yml", "env.PUSH", "env.PSH"),
        ("build.yml", "matrix.component", "matrix.componet"),
        ("build.yml", "actions/checkout@", "actions/chekout@"),
        ("preview-commands.yml", "startsWith(", "startWith("),
        ("promote.yml", "queue: max", "queue: most"),
        (
            "preview-closed.yml",
            "github.event.pull_request",
            "github.evnt.pull_request",
        ),
    ];
    let mut said = Vec::new();
    for (file, right, wrong) in mistakes {
        let found = mistaken(file, right, wrong).await;
        said.push(format!("{}  →  {found}", wrong.trim()));
    }
    assert_snapshot!(said.join("\n"), @r#"
    permissons:  →  read preview-deploy.yml: error: line 49 column 5: unknown field `permissons`, expected one of name, if, needs, runs-on, timeout-minutes, permissions, environment, concurrency, outputs, strategy, env, steps
    package: read  →  read preview-deploy.yml: error: line 50 column 7: there is no permission "package"
    needs: pln  →  preview-deploy.yml: job gate of Preview: it needs "pln", and there is no such job
    steps.pln.outputs.verdict  →  preview-deploy.yml: job plan of Preview: there is no `steps.pln.outputs.verdict`
    steps.plan.outputs.verdct  →  preview-deploy.yml: job plan of Preview: there is no `steps.plan.outputs.verdct`
    needs.plan.outputs.verdct  →  preview-deploy.yml: job build of Preview: there is no `needs.plan.outputs.verdct`
    secrets.KUBE_CONFIG  →  preview-deploy.yml: job deploy of Preview: step 2: there is no `secrets.KUBE_CONFIG`
    kube-config:  →  preview-deploy.yml: job deploy of Preview: step 2: the action deploy has no input "kube-config"
    inputs.pull  →  preview-cleanup.yml: job cleanup of Preview cleanup: there is no `inputs.pull`
    env.PSH  →  build.yml: job image of Build: step 3: there is no `env.PSH`
    matrix.componet  →  build.yml: job image of Build: there is no `matrix.componet`
    actions/chekout@  →  build.yml: job image of Build: step 1: nothing stands in for actions/chekout
    startWith(  →  preview-commands.yml: job answer of Preview commands: read `github.event.issue.pull_request && startWith(github.event.comment.body, '/preview')`: Invalid function call: Unknown function: startWith
    queue: most  →  read promote.yml: error: line 38 column 14: unknown variant `most`, expected one of max, single
    github.evnt.pull_request  →  preview-closed.yml: there is no `github.evnt.pull_request.number`
    "#);
}
