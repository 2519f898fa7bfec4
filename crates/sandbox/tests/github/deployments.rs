//! Deployments, commit statuses, environments, and the page that shows them.

use reqwest::Method;
use sandbox::github::Environment;
use serde_json::{Value, json};

use crate::client::{Desk, brief};

fn preview(sha: &str) -> Value {
    json!({
        "ref": sha, "auto_merge": false, "required_contexts": [], "environment": "preview",
        "transient_environment": true, "payload": { "pr": 7 },
    })
}

async fn deploy(desk: &Desk, body: Value) -> u64 {
    let (status, made) = desk.post("/deployments", body).await;
    assert_eq!(status, 201, "{made}");
    made["id"].as_u64().unwrap()
}

async fn set(desk: &Desk, id: u64, state: &str) {
    let path = format!("/deployments/{id}/statuses");
    let body = json!({ "state": state, "environment_url": "https://7.pr.example.com" });
    let (status, made) = desk.post(&path, body).await;
    assert_eq!(status, 201, "{made}");
}

#[tokio::test]
async fn transient_deployments_stay_active_until_they_are_ended() {
    let desk = Desk::open().await;
    let pr = desk
        .shop
        .open_pull_request("feature/cart", &[("cart", "1")]);
    let sha = desk.shop.head_of(pr);
    let first = deploy(&desk, preview(&sha)).await;
    set(&desk, first, "success").await;
    let second = deploy(&desk, preview(&sha)).await;
    set(&desk, second, "success").await;
    let states = |desk: &Desk| -> Vec<String> {
        desk.shop
            .deployments()
            .into_iter()
            .map(|d| d.state)
            .collect()
    };
    assert_eq!(
        states(&desk),
        ["success", "success"],
        "auto_inactive skips transient ones"
    );

    let path = format!("/deployments/{first}");
    let (status, body) = desk.ask(Method::DELETE, &path, None).await;
    assert_eq!(status, 422);
    insta::assert_snapshot!(brief(&body), @r#"{"errors":null,"message":"We cannot delete an active deployment unless it is the only deployment in a given environment."}"#);
    set(&desk, first, "inactive").await;
    assert_eq!(desk.ask(Method::DELETE, &path, None).await.0, 204);
    let listed = desk
        .get(&format!("/deployments?environment=preview&sha={sha}"))
        .await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["payload"], json!({ "pr": 7 }));
    let statuses = desk.get(&format!("/deployments/{second}/statuses")).await;
    assert_eq!(
        statuses[0]["environment_url"],
        json!("https://7.pr.example.com")
    );
    desk.close();
}

#[tokio::test]
async fn an_earlier_success_of_a_lasting_environment_becomes_inactive() {
    let desk = Desk::open().await;
    let sha = desk.shop.head("main");
    let body = json!({
        "ref": sha, "auto_merge": false, "required_contexts": [], "environment": "staging",
    });
    let first = deploy(&desk, body.clone()).await;
    set(&desk, first, "success").await;
    let second = deploy(&desk, body).await;
    set(&desk, second, "success").await;
    assert_eq!(desk.shop.deployments()[0].states, ["success", "inactive"]);
    let named = desk.get("/environments/staging").await;
    assert_eq!(
        named["protection_rules"],
        json!([]),
        "naming it created it, unprotected"
    );
    desk.close();
}

#[tokio::test]
async fn the_defaults_of_a_deployment_merge_and_wait() {
    let desk = Desk::open().await;
    let pr = desk
        .shop
        .open_pull_request("feature/cart", &[("cart", "1")]);
    let sha = desk.shop.head_of(pr);
    desk.shop.push_to_base(&[("price", "1")]);
    let (status, body) = desk
        .post("/deployments", json!({ "ref": "feature/cart" }))
        .await;
    assert_eq!(
        (status, brief(&body)["message"].as_str()),
        (
            202,
            Some("Auto-merged main into feature/cart on deployment.")
        )
    );
    let pending = json!({ "state": "pending", "context": "ci" });
    assert_eq!(desk.post(&format!("/statuses/{sha}"), pending).await.0, 201);
    let waiting = json!({ "ref": sha, "auto_merge": false });
    assert_eq!(desk.post("/deployments", waiting).await.0, 409);
    assert_eq!(desk.shop.deployments().len(), 0);
    desk.close();
}

#[tokio::test]
async fn statuses_are_combined_by_context() {
    let desk = Desk::open().await;
    let sha = desk.shop.head("main");
    for (context, state) in [("a", "failure"), ("b", "success"), ("a", "success")] {
        let body = json!({ "state": state, "context": context, "description": "so" });
        assert_eq!(desk.post(&format!("/statuses/{sha}"), body).await.0, 201);
    }
    let combined = desk.get("/commits/main/status").await;
    assert_eq!(
        (&combined["state"], &combined["total_count"]),
        (&json!("success"), &json!(2))
    );
    let all = desk.get(&format!("/commits/{sha}/statuses")).await;
    assert_eq!(all.as_array().unwrap().len(), 3);
    let long = json!({ "state": "success", "context": "c", "description": "x".repeat(141) });
    let (status, body) = desk.post(&format!("/statuses/{sha}"), long).await;
    assert_eq!(status, 422);
    insta::assert_snapshot!(brief(&body), @r#"{"errors":[{"code":"custom","field":"description","message":"description is too long (maximum is 140 characters)","resource":"Status"}],"message":"Validation Failed"}"#);
    assert_eq!(desk.github.take_violations().len(), 1);
}

#[tokio::test]
async fn an_environments_protection_can_be_read() {
    let desk = Desk::open().await;
    desk.shop
        .set_environment(Environment::new("preview-approval").reviewers(&["carol"]));
    desk.shop
        .set_environment(Environment::new("production").branches(&["main"]));
    let approval = desk.get("/environments/Preview-Approval").await;
    let rule = &approval["protection_rules"][0];
    assert_eq!(rule["type"], json!("required_reviewers"));
    assert_eq!(rule["reviewers"][0]["reviewer"]["login"], json!("carol"));
    assert_eq!(approval["deployment_branch_policy"], json!(null));
    let policies = desk
        .get("/environments/production/deployment-branch-policies")
        .await;
    assert_eq!(policies["branch_policies"][0]["name"], json!("main"));
    assert_eq!(desk.get("/environments").await["total_count"], json!(2));
    assert_eq!(
        desk.ask(Method::GET, "/environments/absent", None).await.0,
        404
    );
    desk.close();
}

#[tokio::test]
async fn the_page_of_a_pull_request() {
    let desk = Desk::open().await;
    let pr = desk
        .shop
        .open_pull_request("feature/add-a-cart", &[("cart", "1")]);
    let sha = desk.shop.head_of(pr);
    let id = deploy(&desk, preview(&sha)).await;
    set(&desk, id, "success").await;
    desk.shop.add_label(pr, "preview");
    let label = json!({ "name": "image-digest/web:sha256:0123", "description": "sha256:01234567" });
    desk.post("/labels", label).await;
    desk.shop.add_label(pr, "image-digest/web:sha256:0123");
    let status = json!({ "state": "success", "context": "preview", "description": "Ready" });
    desk.post(&format!("/statuses/{sha}"), status).await;
    desk.shop.comment(pr, "bob", "Nice!");
    desk.post(
        &format!("/issues/{pr}/comments"),
        json!({ "body": "## 🚀 Preview Environment" }),
    )
    .await;
    insta::assert_snapshot!(desk.shop.page(pr), @r#"
    acme/shop #7 Add a cart [open]
    alice wants to merge acme:feature/add-a-cart into main
    label preview
    label image-digest/web:sha256:0123 (sha256:01234567)
    ✓ preview — Ready
    deployment to preview — success https://7.pr.example.com

    ── bob ──
    Nice!

    ── github-actions[bot] ──
    ## 🚀 Preview Environment
    "#);
    desk.close();
}
