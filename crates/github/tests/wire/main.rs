//! What goes over the wire, and what is made of answers that GitHub, or something on the way to it, may give.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use preview_core::labels::ImageLabel;
use preview_core::names::{CommitSha, PrNumber};
use preview_core::pulls::PullState;
use preview_github::{
    Change, CommitState, CommitStatus, DeploymentFilter, DeploymentRequest, GitHub, Problem,
    Settings,
};
use secrecy::SecretString;
use serde_json::{Value, json};
use wiremock::matchers::{method, path, query_param};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

mod addresses;
mod answers;
mod files;
mod labels;
mod lists;
mod posts;

const TOKEN: &str = "ghs_verySecretTokenOfTheRun";
const MARKER: &str = "<!-- preview -->";

fn settings(api_url: &str) -> Settings {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let slug = "acme/shop".parse().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    Settings {
        first_pause: Duration::from_millis(1),
        request_timeout: Duration::from_secs(5),
        ..Settings::new(api_url, SecretString::from(TOKEN), slug, deadline)
    }
}

fn client(server: &MockServer) -> GitHub {
    GitHub::connect(settings(&server.uri())).unwrap()
}

fn pr(number: u64) -> PrNumber {
    PrNumber::new(number).unwrap()
}

fn sha(digit: char) -> CommitSha {
    digit.to_string().repeat(40).parse().unwrap()
}

/// Answers all requests of `verb` to `at` with `answer`.
async fn serve(server: &MockServer, verb: &str, at: &str, answer: ResponseTemplate) {
    Mock::given(method(verb))
        .and(path(at))
        .respond_with(answer)
        .mount(server)
        .await;
}

/// Answers the first request of `verb` to `at` with the first answer, and so on; the last one stays.
async fn serve_in_turn(server: &MockServer, verb: &str, at: &str, answers: Vec<ResponseTemplate>) {
    let turn = AtomicUsize::new(0);
    let in_turn = move |_: &Request| {
        let nth = turn.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        answers[nth].clone()
    };
    Mock::given(method(verb))
        .and(path(at))
        .respond_with(in_turn)
        .mount(server)
        .await;
}

fn ok(body: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

fn says(status: u16, message: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({ "message": message }))
}

/// How often `verb` was asked of a path that ends with `end`.
async fn asked(server: &MockServer, verb: &str, end: &str) -> usize {
    let requests = server.received_requests().await.unwrap();
    requests
        .iter()
        .filter(|r| r.method.as_str() == verb && r.url.path().ends_with(end))
        .count()
}

fn pull_json(number: u64, head: char, repository: Value) -> Value {
    json!({
        "number": number, "state": "open", "merged_at": null, "merge_commit_sha": "b".repeat(40), "title": "More tea",
        "user": { "login": "maria", "type": "User" }, "labels": [{ "name": "size/S" }],
        "head": { "ref": "feature/tea", "sha": head.to_string().repeat(40), "repo": repository },
        "base": { "ref": "main", "repo": { "id": 42, "full_name": "acme/shop", "default_branch": "main" } },
    })
}

fn deployment_json(id: u64, payload: Value) -> Value {
    json!({
        "id": id, "node_id": format!("DE_{id}"), "sha": "a".repeat(40), "environment": "preview", "task": "preview", "description": "PR 7",
        "payload": payload, "creator": { "login": "github-actions[bot]" }, "created_at": "2026-11-24T08:00:00Z",
    })
}

fn request() -> DeploymentRequest {
    DeploymentRequest {
        reference: sha('a'),
        environment: "preview".into(),
        task: "preview".into(),
        description: "PR 7".into(),
        payload: json!({ "pr": 7, "run": "99.1" }),
        production: false,
        transient: true,
    }
}

fn comment_json(id: u64, login: &str, kind: &str, body: &str) -> Value {
    json!({
        "id": id, "html_url": format!("https://github.com/acme/shop/pull/7#issuecomment-{id}"), "body": body,
        "user": { "login": login, "type": kind },
    })
}

async fn serve_viewer(server: &MockServer) {
    let viewer = ok(json!({ "data": { "viewer": { "login": "github-actions[bot]" } } }));
    serve(server, "POST", "/graphql", viewer).await;
}

/// All requests, path and query as they were sent.
async fn sent(server: &MockServer) -> String {
    let requests = server.received_requests().await.unwrap();
    let line = |r: &Request| {
        let query = r
            .url
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        format!("{} {}{query}", r.method, r.url.path())
    };
    requests.iter().map(line).collect::<Vec<_>>().join("\n")
}
