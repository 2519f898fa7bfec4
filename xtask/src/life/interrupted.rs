//! Programs that are frozen or killed at one of their requests while another one runs, on the sandbox: the cleanup and the
//! promotion of the same merge side by side, and a deploy after a cleanup that died.
//!
//! In a world of its own for each request. All are taken where `PREVIEW_TEST_EVERY_READ` is set, and the writes alone else.

use std::env;
use std::pin::pin;

use futures::{StreamExt as _, stream};
use insta::assert_snapshot;
use preview_core::outcome::Program;
use sandbox::Gate;
use tempfile::TempDir;

use super::Stage;
use super::killed::until_held;
use super::stage::{Event, Prepared};
use super::story::stage;

/// Worlds at the same time.
const WORLDS: usize = 4;

/// A preview of the page alone, which production is, too. Gives the pull request's number.
async fn previewed() -> (Stage, TempDir, u64) {
    let (mut stage, folder) = stage().await;
    stage.furnish_a_page().await.unwrap();
    let number = stage.open_pull_requests(1).await.unwrap()[0];
    let ended = stage.deploy_at_once(&[number]).await.unwrap().remove(0).1;
    ended.with(0, "deployed").unwrap();
    (stage, folder, number)
}

/// What a merge of it starts: its cleanup, and its promotion.
struct Merge {
    stage: Stage,
    /// Must live as long.
    _folder: TempDir,
    number: u64,
    cleanup: Option<Prepared>,
    promotion: Option<Prepared>,
}

impl Merge {
    async fn new() -> Self {
        let (mut stage, folder, number) = previewed().await;
        let commit = stage.merge().unwrap();
        let cleanup = stage.prepared(Program::Cleanup, Event::PullRequest, &[]);
        let promotion = stage.prepared(Program::Promote, Event::Push(commit), &["--adopt"]);
        Self {
            cleanup: Some(cleanup.unwrap()),
            promotion: Some(promotion.unwrap()),
            stage,
            _folder: folder,
            number,
        }
    }

    fn take(&mut self, program: Program) -> Prepared {
        let run = match program {
            Program::Cleanup => &mut self.cleanup,
            _ => &mut self.promotion,
        };
        run.take().unwrap()
    }

    /// Runs `program`, frozen at its request `nth` until the other one has come to its request `to`, and then whole before
    /// that goes on; the requests of `program`.
    async fn runs(&mut self, program: Program, nth: usize, to: usize) -> Vec<String> {
        let (gate, gate_of_other) = (Gate::closed_from(nth), Gate::closed_from(to));
        let (first, second) = (self.take(program), self.take(other(program)));
        let stage = &self.stage;
        let first = stage.behind(first, &gate).await.unwrap();
        let second = stage.behind(second, &gate_of_other).await.unwrap();
        let mut first = pin!(stage.started(first));
        let mut second = pin!(stage.started(second));
        let early = until_held(first.as_mut(), &gate).await;
        let early_of_other = until_held(second.as_mut(), &gate_of_other).await;
        gate.open();
        let ended = match early {
            Some(ended) => ended,
            None => first.await,
        };
        gate_of_other.open();
        let ended_of_other = match early_of_other {
            Some(ended) => ended,
            None => second.await,
        };
        for ended in [ended, ended_of_other] {
            let ended = ended.unwrap();
            let verdict = match ended.program {
                Program::Cleanup => "destroyed",
                _ => "promoted",
            };
            ended.with(0, verdict).unwrap();
        }
        gate.came()
    }

    /// What there is once both have ended, and what the next cleanup leaves on GitHub.
    async fn left(&mut self) -> String {
        let (stage, number) = (&mut self.stage, self.number);
        let mut lines = Vec::new();
        for (_, body) in stage.repository.comments(number) {
            let told = body.lines().filter(|line| {
                line.starts_with("**Status**: ") || line.starts_with("**Preview**: ")
            });
            lines.extend(told.map(str::to_owned));
            let merged = body
                .lines()
                .filter(|line| line.starts_with("**Merged as**: "));
            lines.push(format!("it tells the commit: {}", merged.count() == 1));
        }
        let gone = stage.nothing_is_left_of_the_preview().await;
        lines.push(format!("the preview is gone: {}", gone.is_ok()));
        let head = stage.repository.head_of(number);
        let packages = stage.github.packages();
        let image = packages
            .iter()
            .find(|one| one.tags.contains(&head))
            .unwrap();
        let production = stage.page_of_production().await.unwrap();
        let runs = production.ends_with(&format!("@{}", image.digest));
        lines.push(format!("production runs its image: {runs}"));
        let next = stage.run(Program::Cleanup, Event::PullRequest).await;
        next.unwrap().with(0, "nothing").unwrap();
        lines.push(format!("labels: {:?}", stage.repository.labels(number)));
        lines.push(format!(
            "defined: {:?}",
            stage.repository.label_definitions()
        ));
        let deployments = stage.repository.deployments().into_iter();
        lines.extend(deployments.map(|one| format!("{}: {}", one.payload["kind"], one.state)));
        lines.extend(stage.github.violations());
        lines.join("\n")
    }
}

fn other(program: Program) -> Program {
    match program {
        Program::Cleanup => Program::Promote,
        _ => Program::Cleanup,
    }
}

/// The requests to stop at, counted from 1: every write, and a read where everything is taken.
fn chosen(came: &[String]) -> Vec<usize> {
    let every_read = env::var_os("PREVIEW_TEST_EVERY_READ").is_some();
    let is_chosen = |request: &str| every_read || !request.starts_with("GET ");
    numbers(came, is_chosen)
}

fn numbers(came: &[String], is_chosen: impl Fn(&str) -> bool) -> Vec<usize> {
    let numbered = came.iter().zip(1..);
    let chosen = numbered.filter(|(request, _)| is_chosen(request));
    chosen.map(|(_, nth)| nth).collect()
}

/// Where the comment is written that was read before.
fn is_comment(request: &str) -> bool {
    request.starts_with("PATCH ") && request.contains("/issues/comments/")
}

fn is_told(request: &str) -> bool {
    !request.starts_with("GET ") && request.contains(" /repos/")
}

/// Plays each of these orders; what is then not as `undisturbed`.
async fn played(orders: Vec<(Program, usize, usize)>, undisturbed: &str) -> Vec<String> {
    let found = stream::iter(orders).map(|(program, nth, to)| async move {
        let mut merge = Merge::new().await;
        let came = merge.runs(program, nth, to).await;
        let place = came.get(nth - 1).map_or("none", String::as_str).to_owned();
        let left = merge.left().await;
        let order = format!("{program} frozen at {nth}, {place}, until the other is at {to}");
        (left != undisturbed).then(|| format!("{order}:\n{left}"))
    });
    let found = found.buffered(WORLDS);
    found.filter_map(std::future::ready).collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn cleanup_and_promotion_of_a_merge_end_the_same_in_every_order() {
    let mut merge = Merge::new().await;
    let whole = usize::MAX;
    let of_cleanup = merge.runs(Program::Cleanup, whole, whole).await;
    let undisturbed = merge.left().await;
    assert_snapshot!(undisturbed, @r#"
    **Status**: 🚀 Promoted — production
    **Preview**: 🗑️ Destroyed
    it tells the commit: true
    the preview is gone: true
    production runs its image: true
    labels: []
    defined: []
    "preview-environments/progress": inactive
    "preview-environments/record": inactive
    "preview-environments/promotion": success
    "#);
    let mut merge = Merge::new().await;
    let of_promotion = merge.runs(Program::Promote, whole, whole).await;
    assert_eq!(merge.left().await, undisturbed);
    assert!(chosen(&of_cleanup).len() > 5, "{of_cleanup:#?}");
    assert!(chosen(&of_promotion).len() > 8, "{of_promotion:#?}");

    let mut orders = Vec::new();
    let both = [
        (Program::Cleanup, &of_cleanup, &of_promotion),
        (Program::Promote, &of_promotion, &of_cleanup),
    ];
    for (program, of_program, of_other) in both {
        orders.extend(
            chosen(of_program)
                .into_iter()
                .map(|nth| (program, nth, whole)),
        );
        // The comment is what both write: there, the other one stops wherever it tells something, too.
        for nth in numbers(of_program, is_comment) {
            let told = numbers(of_other, is_told).into_iter();
            orders.extend(told.map(|to| (program, nth, to)));
        }
    }
    let found = played(orders, &undisturbed).await;
    assert!(
        found.is_empty(),
        "{} found:\n{}",
        found.len(),
        found.join("\n\n")
    );
}

/// Kills the cleanup of a closed pull request after its request `nth`, opens that again, and deploys it; the requests of
/// the cleanup, and what there is then.
async fn opened_again_after(nth: usize) -> (Vec<String>, String) {
    let (mut stage, _folder, number) = previewed().await;
    stage.close().unwrap();
    let cleanup = stage.prepared(Program::Cleanup, Event::PullRequest, &[]);
    let gate = Gate::closed_from(nth.saturating_add(1));
    let cleanup = stage.behind(cleanup.unwrap(), &gate).await.unwrap();
    // What is dropped here is killed.
    if let Some(ended) = until_held(pin!(stage.started(cleanup)), &gate).await {
        ended.unwrap().with(0, "destroyed").unwrap();
    }
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
    (gate.came(), lines.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_of_the_reopened_pull_request_finishes_a_cleanup_that_died() {
    let (came, undisturbed) = opened_again_after(usize::MAX).await;
    assert_snapshot!(undisturbed, @r#"
    deployed: Some(0)
    its Namespace terminates: false
    **Status**: ✅ Ready
    labels: 1
    "preview-environments/progress": success
    "#);
    let chosen = chosen(&came);
    assert!(chosen.len() > 8, "{came:#?}");
    let found = stream::iter(chosen).map(|nth| async move {
        let (came, left) = opened_again_after(nth).await;
        let place = came.get(nth - 1).map_or("none", String::as_str).to_owned();
        (format!("killed after {nth}, {place}"), left)
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
