//! Payloads of webhooks, judged by `x-webhooks`.

use sandbox::github::MergeStyle;
use serde_json::json;

use crate::client::Desk;

#[tokio::test]
async fn workflow_run_of_a_branch_of_the_repository() {
    let desk = Desk::open().await;
    let pr = desk
        .shop
        .open_pull_request("feature/cart", &[("cart", "1")]);
    let payload = desk.shop.workflow_run_payload(pr);
    let run = &payload["workflow_run"];
    assert_eq!(run["event"], json!("pull_request"));
    assert_eq!(run["conclusion"], json!("success"));
    assert_eq!(run["head_sha"], json!(desk.shop.head_of(pr)));
    assert_eq!(run["pull_requests"][0]["number"], json!(pr));
    assert_eq!(payload["repository"]["full_name"], json!("acme/shop"));
    desk.close();
}

#[tokio::test]
async fn workflow_run_of_a_fork_names_no_pull_request() {
    let desk = Desk::open().await;
    let pr = desk
        .shop
        .open_pull_request_from_fork("mallory", "fix", &[("cart", "1")]);
    let payload = desk.shop.workflow_run_payload(pr);
    let run = &payload["workflow_run"];
    assert_eq!(run["pull_requests"], json!([]));
    assert_eq!(run["head_repository"]["full_name"], json!("mallory/shop"));
    assert_eq!(run["head_branch"], json!("fix"));

    desk.shop.delete_fork("mallory");
    let payload = desk.shop.workflow_run_payload(pr);
    assert_eq!(payload["workflow_run"]["head_repository"], json!(null));
    desk.close();
}

#[tokio::test]
async fn pull_request_closed_and_the_push_that_follows() {
    let desk = Desk::open().await;
    let before = desk.shop.head("main");
    let pr = desk
        .shop
        .open_pull_request("feature/cart", &[("cart", "1")]);
    desk.shop.close(pr);
    let payload = desk.shop.pull_request_closed_payload(pr);
    assert_eq!(payload["pull_request"]["merged"], json!(false));
    desk.shop.reopen(pr);
    let m = desk.shop.merge(pr, MergeStyle::Merge);
    let payload = desk.shop.pull_request_closed_payload(pr);
    assert_eq!(payload["pull_request"]["merge_commit_sha"], json!(m));
    let payload = desk.shop.push_payload(&m);
    assert_eq!(
        (&payload["before"], &payload["after"]),
        (&json!(before), &json!(m))
    );
    assert_eq!(payload["ref"], json!("refs/heads/main"));
    assert_eq!(payload["commits"].as_array().unwrap().len(), 2);
    assert_eq!(payload["head_commit"]["added"], json!(["cart"]));
    desk.close();
}
