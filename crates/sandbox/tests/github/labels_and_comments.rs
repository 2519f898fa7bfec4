//! Labels with their limits, and comments over many pages.

use reqwest::Method;
use serde_json::json;

use crate::client::{Desk, brief};

#[tokio::test]
async fn a_label_of_sixty_characters_is_refused_and_recorded() {
    let desk = Desk::open().await;
    let pr = desk
        .shop
        .open_pull_request("feature/cart", &[("cart", "1")]);
    let long = "x".repeat(60);

    let (status, body) = desk.post("/labels", json!({ "name": long })).await;
    assert_eq!(status, 422);
    insta::assert_snapshot!(brief(&body), @r#"{"errors":[{"code":"custom","field":"name","message":"name is too long (maximum is 50 characters)","resource":"Label"}],"message":"Validation Failed"}"#);
    let path = format!("/issues/{pr}/labels");
    let (status, body) = desk.post(&path, json!({ "labels": [long] })).await;
    assert_eq!(status, 422);
    insta::assert_snapshot!(brief(&body), @r#"{"errors":[{"code":"invalid","field":"name","resource":"Label","value":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}],"message":"Validation Failed"}"#);
    insta::assert_snapshot!(desk.github.take_violations().join("\n"), @r#"
    POST /repos/acme/shop/labels: /name: 60 characters, GitHub takes at most 50 (https://github.com/github/docs/issues/32156)
    POST /repos/acme/shop/issues/7/labels: /labels/0: 60 characters, GitHub takes at most 50 (https://github.com/github/docs/issues/32156)
    "#);
}

#[tokio::test]
async fn adding_an_unknown_label_makes_it_in_grey() {
    let desk = Desk::open().await;
    let pr = desk
        .shop
        .open_pull_request("feature/cart", &[("cart", "1")]);
    let path = format!("/issues/{pr}/labels");
    let (status, _) = desk
        .post(&path, json!({ "labels": ["image-digest/web:sha256:0123"] }))
        .await;
    assert_eq!(status, 200);
    let made = desk.get("/labels/image-digest%2Fweb%3Asha256%3A0123").await;
    assert_eq!(
        (&made["color"], &made["description"]),
        (&json!("ededed"), &json!(null))
    );

    let described = json!({ "description": "sha256:0123456789", "color": "0E8A16" });
    let name = "/labels/image-digest%2Fweb:sha256:0123";
    let (status, edited) = desk.ask(Method::PATCH, name, described).await;
    assert_eq!((status, &edited["color"]), (200, &json!("0e8a16")));
    let carried = desk.get(&path).await;
    assert_eq!(carried[0]["description"], json!("sha256:0123456789"));
    assert_eq!(
        desk.get("/pulls").await[0]["labels"][0]["color"],
        json!("0e8a16")
    );

    let off = format!("{path}/image-digest%2Fweb:sha256:0123");
    assert_eq!(desk.ask(Method::DELETE, &off, None).await, (200, json!([])));
    assert_eq!(desk.ask(Method::DELETE, &off, None).await.0, 404);
    assert_eq!(
        desk.get("/labels").await.as_array().unwrap().len(),
        1,
        "unused, but still there"
    );
    assert_eq!(desk.ask(Method::DELETE, name, None).await.0, 204);
    assert_eq!(desk.get("/labels").await, json!([]));
    desk.close();
}

#[tokio::test]
async fn a_label_exists_once_whatever_its_case() {
    let desk = Desk::open().await;
    assert_eq!(
        desk.post("/labels", json!({ "name": "Preview" })).await.0,
        201
    );
    let (status, body) = desk.post("/labels", json!({ "name": "preview" })).await;
    assert_eq!(status, 422);
    insta::assert_snapshot!(brief(&body), @r#"{"errors":[{"code":"already_exists","field":"name","resource":"Label"}],"message":"Validation Failed"}"#);
    desk.close();
}

#[tokio::test]
async fn comments_are_found_on_every_page() {
    let desk = Desk::open().await;
    let pr = desk
        .shop
        .open_pull_request("feature/cart", &[("cart", "1")]);
    for i in 0..120 {
        desk.shop.comment(pr, "bob", &format!("comment {i}"));
    }
    let path = format!("/issues/{pr}/comments");
    let (status, ours) = desk
        .post(&path, json!({ "body": "<!-- preview --> ready" }))
        .await;
    assert_eq!(
        (status, &ours["user"]["login"]),
        (201, &json!("github-actions[bot]"))
    );

    let first = desk
        .send(
            Method::GET,
            &format!("/repos/acme/shop{path}?per_page=100"),
            None,
        )
        .await;
    let link = first.headers()["link"]
        .to_str()
        .unwrap()
        .replace(&desk.github.url(), "");
    insta::assert_snapshot!(link, @r#"</repos/acme/shop/issues/7/comments?per_page=100&page=2>; rel="next", </repos/acme/shop/issues/7/comments?per_page=100&page=2>; rel="last""#);
    let second = desk.get(&format!("{path}?per_page=100&page=2")).await;
    assert_eq!(
        second.as_array().unwrap().last().unwrap()["body"],
        ours["body"]
    );

    let one = format!("/issues/comments/{}", ours["id"]);
    let (status, edited) = desk
        .ask(Method::PATCH, &one, json!({ "body": "gone" }))
        .await;
    assert_eq!((status, &edited["body"]), (200, &json!("gone")));
    assert_eq!(desk.ask(Method::DELETE, &one, None).await.0, 204);
    assert_eq!(desk.ask(Method::GET, &one, None).await.0, 404);
    desk.close();
}

#[tokio::test]
async fn a_comment_has_65536_characters_at_most() {
    let desk = Desk::open().await;
    let pr = desk
        .shop
        .open_pull_request("feature/cart", &[("cart", "1")]);
    let path = format!("/issues/{pr}/comments");
    assert_eq!(
        desk.post(&path, json!({ "body": "é".repeat(65_536) }))
            .await
            .0,
        201
    );
    let (status, body) = desk
        .post(&path, json!({ "body": "x".repeat(65_537) }))
        .await;
    assert_eq!(status, 422);
    insta::assert_snapshot!(brief(&body), @r#"{"errors":[{"code":"unprocessable","field":"data","message":"Body is too long (maximum is 65536 characters)","resource":"IssueComment"}],"message":"Validation Failed"}"#);
    assert_eq!(desk.github.take_violations().len(), 1);
}

#[tokio::test]
async fn a_reaction_is_made_once() {
    let desk = Desk::open().await;
    let pr = desk
        .shop
        .open_pull_request("feature/cart", &[("cart", "1")]);
    let comment = desk.shop.comment(pr, "bob", "/preview");
    let path = format!("/issues/comments/{comment}/reactions");
    assert_eq!(desk.post(&path, json!({ "content": "eyes" })).await.0, 201);
    assert_eq!(desk.post(&path, json!({ "content": "eyes" })).await.0, 200);
    assert_eq!(desk.get(&path).await.as_array().unwrap().len(), 1);
    desk.close();
}
