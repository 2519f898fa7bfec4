//! Order and filters of lists.

use serde_json::{Value, json};

use crate::client::Desk;

fn numbers(list: &Value) -> Vec<u64> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|pull| pull["number"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn pull_requests_newest_first_unless_asked_otherwise() {
    let desk = Desk::open().await;
    let a = desk.shop.open_pull_request("a", &[("a", "1")]);
    let b = desk.shop.open_pull_request("b", &[("b", "1")]);
    desk.shop.push_to("release", &[("notes", "1")]);
    let c = desk
        .shop
        .open_pull_request_onto("release", "c", &[("c", "1")]);
    assert_eq!(numbers(&desk.get("/pulls").await), [c, b, a]);
    assert_eq!(numbers(&desk.get("/pulls?direction=asc").await), [a, b, c]);
    assert_eq!(numbers(&desk.get("/pulls?base=release").await), [c]);
    assert_eq!(
        numbers(&desk.get("/pulls?state=all&per_page=2&page=2").await),
        [a]
    );
    assert_eq!(numbers(&desk.get("/pulls?head=acme:b").await), [b]);
    desk.close();
}

#[tokio::test]
async fn runs_by_status_event_and_commit() {
    let desk = Desk::open().await;
    let pr = desk.shop.open_pull_request("a", &[("a", "1")]);
    let run = desk.shop.complete_ci(pr);
    let sha = desk.shop.head_of(pr);
    for query in [
        "status=success",
        "status=completed",
        "event=pull_request",
        &format!("head_sha={sha}"),
    ] {
        let found = desk.get(&format!("/actions/runs?{query}")).await;
        assert_eq!(found["workflow_runs"][0]["id"], json!(run), "{query}");
    }
    let found = desk.get("/actions/runs?status=waiting").await;
    assert_eq!(
        (&found["total_count"], &found["workflow_runs"]),
        (&json!(0), &json!([]))
    );
    desk.close();
}

#[tokio::test]
async fn issues_by_label_tell_whether_a_label_is_still_in_use() {
    let desk = Desk::open().await;
    let a = desk.shop.open_pull_request("a", &[("a", "1")]);
    let b = desk.shop.open_pull_request("b", &[("b", "1")]);
    for number in [a, b] {
        desk.shop.add_label(number, "preview/web:1");
    }
    desk.shop.close(a);
    let all = desk
        .get("/issues?state=all&labels=preview%2Fweb%3A1&per_page=1")
        .await;
    assert_eq!(numbers(&all), [b]);
    assert!(
        all[0]["pull_request"].is_object(),
        "a pull request is an issue"
    );
    let open = desk.get("/issues?labels=preview%2Fweb%3A1").await;
    assert_eq!(numbers(&open), [b]);
    assert_eq!(desk.get("/issues?state=all&labels=unused").await, json!([]));
    desk.close();
}

#[tokio::test]
async fn a_comparison_is_paged_when_asked() {
    let desk = Desk::open().await;
    let pr = desk.shop.open_pull_request("a", &[("a", "1")]);
    desk.shop.push(pr, &[("a", "2")]);
    let compared = desk.get("/compare/main...a?per_page=1").await;
    assert_eq!(compared["commits"].as_array().unwrap().len(), 1);
    assert_eq!(compared["total_commits"], json!(2));
    desk.close();
}

#[tokio::test]
async fn a_renamed_repository_is_found_under_its_former_name() {
    let desk = Desk::open().await;
    let a = desk.shop.open_pull_request("a", &[("a", "1")]);
    desk.shop.open_pull_request("b", &[("b", "1")]);
    desk.shop.rename("store");
    let repository = desk.get("").await;
    assert_eq!(repository["full_name"], json!("acme/store"));
    assert_eq!(repository["id"], json!(desk.shop.id()));
    let second = desk.get("/pulls?per_page=1&page=2").await;
    assert_eq!(numbers(&second), [a]);
    desk.close();
}
