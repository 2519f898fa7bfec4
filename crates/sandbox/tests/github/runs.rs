//! Runs that wait for approval, are cancelled, or are dispatched; tokens, permissions and rate limits; packages.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use sandbox::github::{ACTIONS_TOKEN, Environment, Level, Permission, RateLimit, TokenKind};
use serde_json::json;

use crate::client::Desk;

#[tokio::test]
async fn a_run_waits_for_a_reviewer() {
    let desk = Desk::open().await;
    desk.shop
        .set_environment(Environment::new("preview-approval").reviewers(&["carol"]));
    let run = desk
        .shop
        .wait_for_approval("preview.yml", "preview-approval", "Preview of #7");
    let waiting = desk.get("/actions/runs?status=waiting").await;
    assert_eq!(
        waiting["workflow_runs"][0]["display_title"],
        json!("Preview of #7")
    );
    let pending = desk
        .get(&format!("/actions/runs/{run}/pending_deployments"))
        .await;
    assert_eq!(
        pending[0]["reviewers"][0]["reviewer"]["login"],
        json!("carol")
    );

    let environment = &pending[0]["environment"]["id"];
    let verdict = json!({ "environment_ids": [environment], "state": "approved", "comment": "ok" });
    let path = format!("/actions/runs/{run}/pending_deployments");
    assert_eq!(
        desk.post(&path, verdict.clone()).await.0,
        403,
        "a workflow cannot approve"
    );
    desk.github.add_token("carols", "carol", TokenKind::Person);
    let path = format!("/repos/acme/shop{path}");
    let approved = desk
        .send_as("carols", Method::POST, &path, Some(verdict))
        .await;
    assert_eq!(approved.status(), 200);
    let approvals = desk.get(&format!("/actions/runs/{run}/approvals")).await;
    assert_eq!(approvals[0]["user"]["login"], json!("carol"));
    assert_eq!(desk.shop.run_state(run).0, "in_progress");
    desk.close();
}

#[tokio::test]
async fn a_run_is_cancelled_once() {
    let desk = Desk::open().await;
    let run = desk
        .shop
        .wait_for_approval("preview.yml", "preview-approval", "Preview of #7");
    desk.shop
        .backdate_run(run, Duration::from_secs(8 * 24 * 3600));
    let path = format!("/actions/runs/{run}/cancel");
    assert_eq!(desk.ask(Method::POST, &path, None).await, (202, json!({})));
    assert_eq!(desk.ask(Method::POST, &path, None).await.0, 409);
    let seen = desk.get(&format!("/actions/runs/{run}")).await;
    assert_eq!(seen["conclusion"], json!("cancelled"));
    desk.close();
}

#[tokio::test]
async fn a_workflow_is_dispatched() {
    let desk = Desk::open().await;
    desk.shop
        .add_dispatched_workflow("preview-deploy.yml", &["pr", "sha"]);
    let path = "/actions/workflows/preview-deploy.yml/dispatches";
    let body = json!({ "ref": "main", "inputs": { "pr": "7" } });
    assert_eq!(desk.post(path, body).await.0, 204);
    assert_eq!(desk.shop.dispatches()[0].inputs, json!({ "pr": "7" }));
    let details = json!({ "ref": "main", "return_run_details": true });
    let (status, told) = desk.post(path, details).await;
    assert_eq!(status, 200);
    let run = desk
        .get(&format!("/actions/runs/{}", told["workflow_run_id"]))
        .await;
    assert_eq!(run["event"], json!("workflow_dispatch"));
    let absent = "/actions/workflows/absent.yml/dispatches";
    assert_eq!(desk.post(absent, json!({ "ref": "main" })).await.0, 404);
    assert_eq!(desk.post(path, json!({ "ref": "absent" })).await.0, 422);
    let undeclared = json!({ "ref": "main", "inputs": { "commit": "abc" } });
    let (status, told) = desk.post(path, undeclared).await;
    assert_eq!(status, 422);
    assert_eq!(
        told["message"],
        json!("Unexpected inputs provided: [\"commit\"]")
    );
    let without_trigger = "/actions/workflows/ci.yml/dispatches";
    assert_eq!(
        desk.post(without_trigger, json!({ "ref": "main" })).await.0,
        422
    );
    assert_eq!(desk.shop.dispatches().len(), 2);
    desk.close();
}

#[tokio::test]
async fn who_may_do_what() {
    let desk = Desk::open().await;
    desk.shop.set_permission("carol", Permission::Maintain);
    desk.github.add_user("mallory");
    let carol = desk.get("/collaborators/carol/permission").await;
    assert_eq!(
        (&carol["permission"], &carol["role_name"]),
        (&json!("write"), &json!("maintain"))
    );
    let mallory = desk.get("/collaborators/mallory/permission").await;
    assert_eq!(
        mallory["permission"],
        json!("read"),
        "the repository is public"
    );
    desk.shop.set_private();
    let mallory = desk.get("/collaborators/mallory/permission").await;
    assert_eq!(mallory["permission"], json!("none"));

    desk.github.add_token(
        "forks",
        "github-actions[bot]",
        TokenKind::ReadOnlyInstallation,
    );
    let label = Some(json!({ "name": "mine" }));
    let refused = desk
        .send_as("forks", Method::POST, "/repos/acme/shop/labels", label)
        .await;
    assert_eq!(refused.status(), 403);
    assert_eq!(desk.send(Method::GET, "/user", None).await.status(), 403);
    let viewer = json!({ "query": "query { viewer { login } }" });
    let viewer = desk.send(Method::POST, "/graphql", Some(viewer)).await;
    let viewer: serde_json::Value = viewer.json().await.unwrap();
    assert_eq!(
        viewer["data"]["viewer"]["login"],
        json!("github-actions[bot]")
    );
    desk.github.add_token("carols", "carol", TokenKind::Person);
    assert_eq!(
        desk.send_as("carols", Method::GET, "/user", None)
            .await
            .status(),
        200
    );
    assert_eq!(
        desk.send_as("forged", Method::GET, "/user", None)
            .await
            .status(),
        401
    );
    assert_eq!(
        desk.send(Method::GET, "/repos/acme/absent", None)
            .await
            .status(),
        404
    );
    desk.close();
}

#[tokio::test]
async fn rate_limits_are_told_in_headers() {
    let desk = Desk::open().await;
    let path = "/repos/acme/shop";
    let seen = desk.send(Method::GET, path, None).await;
    assert_eq!(seen.headers()["x-ratelimit-remaining"], "999");

    desk.github
        .limit_next(1, RateLimit::SecondaryForbidden { retry_after: 2 });
    let limited = desk.send(Method::GET, path, None).await;
    assert_eq!(
        (limited.status().as_u16(), &limited.headers()["retry-after"]),
        (403, &"2".parse().unwrap())
    );
    assert_eq!(desk.send(Method::GET, path, None).await.status(), 200);

    desk.github.set_remaining(ACTIONS_TOKEN, 0);
    let spent = desk.send(Method::GET, path, None).await;
    assert_eq!(spent.status(), 403);
    assert_eq!(spent.headers()["x-ratelimit-remaining"], "0");
    assert!(spent.headers().contains_key("x-ratelimit-reset"));
    desk.github.advance(Duration::from_secs(3_601));
    let again = desk.send(Method::GET, path, None).await;
    assert_eq!(again.headers()["x-ratelimit-remaining"], "999");
    desk.close();
}

#[tokio::test]
async fn a_package_version_goes_with_all_its_tags() {
    let desk = Desk::open().await;
    desk.github.add_organization("initech");
    desk.github
        .package_pushed("initech", "shop/web", "sha256:aa", &["abc", "latest"]);
    desk.github
        .package_pushed("initech", "shop/web", "sha256:bb", &["latest"]);
    let gone = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&gone);
    desk.github.on_package_deleted(move |version| {
        seen.lock()
            .unwrap()
            .push((version.digest.clone(), version.tags.clone()));
    });
    let path = "/orgs/initech/packages/container/shop%2Fweb/versions";
    let listed: serde_json::Value = desk
        .send(Method::GET, path, None)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(listed[0]["name"], json!("sha256:bb"));
    assert_eq!(
        listed[1]["metadata"]["container"]["tags"],
        json!(["abc"]),
        "the tag moved"
    );
    let one = format!("{path}/{}", listed[1]["id"]);
    desk.github.set_downloads("sha256:aa", 5_001);
    assert_eq!(desk.send(Method::DELETE, &one, None).await.status(), 400);
    desk.github.set_downloads("sha256:aa", 5_000);
    assert_eq!(desk.send(Method::DELETE, &one, None).await.status(), 204);
    assert_eq!(
        *gone.lock().unwrap(),
        [("sha256:aa".to_owned(), vec!["abc".to_owned()])]
    );
    let other = format!("{path}/{}", listed[0]["id"]);
    desk.github.revoke_package_admin("github-actions[bot]");
    assert_eq!(desk.send(Method::DELETE, &other, None).await.status(), 403);
    let of_user = "/users/initech/packages/container/shop%2Fweb/versions";
    assert_eq!(
        desk.send(Method::GET, of_user, None).await.status(),
        404,
        "it is an organisation"
    );
    desk.close();
}

#[tokio::test]
async fn a_jobs_token_does_what_its_permissions_say_and_no_more() {
    let desk = Desk::open().await;
    desk.shop.set_private();
    let pr = desk
        .shop
        .open_pull_request("feature/cart", &[("cart", "1")]);
    let reads = desk.github.token_with(&[("contents", Level::Read)]);
    let talks = desk.github.token_with(&[("pull-requests", Level::Write)]);
    let nothing = desk.github.token_with(&[]);
    let pull = format!("/pulls/{pr}");
    let comments = format!("/issues/{pr}/comments");
    let body = json!({ "body": "hello" });
    let mut seen = Vec::new();
    for (who, token) in [("reads", reads), ("talks", talks), ("nothing", nothing)] {
        for (method, path, body) in [
            (Method::GET, "", None),
            (Method::GET, "/contents/README.md", None),
            (Method::GET, pull.as_str(), None),
            (Method::POST, comments.as_str(), Some(body.clone())),
            (Method::GET, "/deployments", None),
        ] {
            let whole = format!("/repos/acme/shop{path}");
            let answer = desk.send_as(&token, method.clone(), &whole, body).await;
            let status = answer.status().as_u16();
            seen.push(format!("{who}: {method} {path} {status}"));
        }
    }
    insta::assert_snapshot!(seen.join("\n"), @r"
    reads: GET  200
    reads: GET /contents/README.md 200
    reads: GET /pulls/7 403
    reads: POST /issues/7/comments 403
    reads: GET /deployments 403
    talks: GET  200
    talks: GET /contents/README.md 403
    talks: GET /pulls/7 200
    talks: POST /issues/7/comments 201
    talks: GET /deployments 403
    nothing: GET  200
    nothing: GET /contents/README.md 403
    nothing: GET /pulls/7 403
    nothing: POST /issues/7/comments 403
    nothing: GET /deployments 403
    ");
    desk.close();
}

#[tokio::test]
async fn what_is_public_is_there_for_every_token_to_read() {
    let desk = Desk::open().await;
    let token = desk.github.token_with(&[]);
    let read = "/repos/acme/shop/contents/README.md";
    let read = desk.send_as(&token, Method::GET, read, None).await;
    assert_eq!(read.status(), 200);
    let labels = "/repos/acme/shop/labels";
    let label = json!({ "name": "bug", "color": "ff0000" });
    let refused = desk
        .send_as(&token, Method::POST, labels, Some(label))
        .await;
    assert_eq!(refused.status(), 403);
    let refused: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(
        refused["message"],
        json!("Resource not accessible by integration")
    );
    desk.close();
}
