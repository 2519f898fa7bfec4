//! The adapter against the sandbox's GitHub, whose every exchange is judged by GitHub's own OpenAPI description and
//! by the table of its limits. There is no other backend: GitHub cannot be run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use preview_core::names::{CommitSha, PrNumber};
use preview_core::pulls::{PullRequest, PullState};
use preview_github::event::Event;
use preview_github::{
    Change, CommitState, CommitStatus, DeploymentFilter, DeploymentId, DeploymentRequest,
    DeploymentState, GitHub, NewDeploymentStatus, Problem, Settings,
};
use sandbox::Fault;
use sandbox::github::{ACTIONS_TOKEN, MergeStyle, RateLimit, Repository, TokenKind};
use secrecy::SecretString;
use serde_json::json;

mod attestations;
mod comment;
mod deployments;
mod files;
mod history;
mod labels;
mod merges;
mod packages;
mod payloads;
mod people;
mod pulls;
mod settings;
mod workflows;

const MARKER: &str = "<!-- preview -->";

/// A repository on the sandbox's GitHub, and the adapter looking at it.
struct Stage {
    server: sandbox::github::GitHub,
    repository: Repository,
    github: GitHub,
}

impl Stage {
    async fn new() -> Self {
        let server = sandbox::github::GitHub::start().await.unwrap();
        let repository = server.create_repository("acme/shop", &[("README.md", "A shop")]);
        let github = client(&server, ACTIONS_TOKEN);
        Self {
            server,
            repository,
            github,
        }
    }

    async fn pull(&self, number: u64) -> PullRequest {
        self.github.pull(pr(number)).await.unwrap().unwrap()
    }

    /// The next POST to a path that contains `path` is carried out, and its answer is lost.
    fn lose_answer_of_post(&self, path: &str) {
        let lost = Fault::AnswerAfter {
            status: 502,
            body: "<html>Unicorn!</html>".into(),
        };
        self.server.traffic().plan("POST", path, 1, lost);
    }

    fn posts(&self) -> usize {
        self.server
            .traffic()
            .exchanges()
            .iter()
            .filter(|e| e.method == "POST" && e.target != "/graphql")
            .count()
    }

    fn conforms(&self) {
        assert_eq!(self.server.violations(), Vec::<String>::new());
    }
}

fn client(server: &sandbox::github::GitHub, token: &str) -> GitHub {
    client_at(&server.url(), token)
}

fn client_at(url: &str, token: &str) -> GitHub {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let deadline = Instant::now() + Duration::from_secs(30);
    let slug = "acme/shop".parse().unwrap();
    GitHub::connect(Settings {
        first_pause: Duration::from_millis(1),
        ..Settings::new(url, SecretString::from(token), slug, deadline)
    })
    .unwrap()
}

fn pr(number: u64) -> PrNumber {
    PrNumber::new(number).unwrap()
}

fn sha(text: impl AsRef<str>) -> CommitSha {
    text.as_ref().parse().unwrap()
}

#[tokio::test]
async fn the_repository_tells_its_id_and_default_branch() {
    let stage = Stage::new().await;
    let repository = stage.github.repository().await.unwrap();
    assert_eq!(repository.id.0, stage.repository.id());
    assert_eq!(
        (
            repository.slug.to_string().as_str(),
            repository.default_branch.as_str()
        ),
        ("acme/shop", "main")
    );
    stage.conforms();
}

#[tokio::test]
async fn a_commit_status_is_set_once_although_its_answer_was_lost() {
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let head = stage.pull(number).await.head;
    stage.lose_answer_of_post("/statuses/");
    let wanted = CommitStatus {
        context: "preview/promotable".into(),
        state: CommitState::Failure,
        description: format!("main moved {}", "on ".repeat(80)),
        target_url: Some("https://github.com/acme/shop/actions/runs/1".into()),
    };
    stage.github.set_status(&head, &wanted).await.unwrap();
    assert_eq!(stage.posts(), 1);
    let read = stage.github.statuses(&head).await.unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(
        (read[0].state, &read[0].target_url),
        (CommitState::Failure, &wanted.target_url)
    );
    assert_eq!(read[0].description.chars().count(), 140);
    stage.conforms();
}

#[tokio::test]
async fn a_token_that_may_only_read_is_told_what_it_needs() {
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    stage.server.add_token(
        "ghs_read_only",
        "github-actions[bot]",
        TokenKind::ReadOnlyInstallation,
    );
    let github = client(&stage.server, "ghs_read_only");
    let error = github
        .upsert_comment(pr(number), MARKER, "hello")
        .await
        .unwrap_err();
    insta::assert_snapshot!(error, @"cannot comment on pull request #7 of acme/shop: the token may not do this (403: Resource not accessible by integration); it needs pull-requests: write: grant it under `permissions:` of the workflow's job, or to the App whose token it is");
    stage.conforms();
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_where_there_is_time() {
    let stage = Stage::new().await;
    for limit in [
        RateLimit::Secondary { retry_after: 0 },
        RateLimit::SecondaryForbidden { retry_after: 0 },
    ] {
        stage.server.limit_next(2, limit);
        stage.github.branch_head("main").await.unwrap();
    }
    stage
        .server
        .limit_next(1, RateLimit::Primary { reset_in: 3_000 });
    let error = stage.github.branch_head("main").await.unwrap_err();
    assert!(
        matches!(error.problem, Problem::RateLimited { .. }),
        "{error}"
    );
    stage.conforms();
}
