//! A POST that makes something new is repeated only after looking whether the first one was carried out.

use crate::*;

#[tokio::test]
async fn a_deployment_whose_answer_was_lost_is_found_again_and_not_made_twice() {
    let server = MockServer::start().await;
    let at = "/repos/acme/shop/deployments";
    serve(&server, "POST", at, says(502, "bad gateway")).await;
    // GitHub keeps a payload that was sent as text as a text.
    let landed = json!([
        deployment_json(8, json!({ "pr": 8 })),
        deployment_json(7, json!(request().payload.to_string())),
    ]);
    serve(&server, "GET", at, ok(landed)).await;
    let deployment = client(&server).create_deployment(&request()).await.unwrap();
    assert_eq!(deployment.id.0, 7);
    assert_eq!(asked(&server, "POST", "/deployments").await, 1);
}

#[tokio::test]
async fn a_comment_whose_answer_was_cut_off_is_found_again_and_not_made_twice() {
    let server = MockServer::start().await;
    serve_viewer(&server).await;
    let at = "/repos/acme/shop/issues/7/comments";
    let ours = json!([comment_json(
        9,
        "github-actions[bot]",
        "Bot",
        "<!-- preview -->\nhello"
    )]);
    serve_in_turn(&server, "GET", at, vec![ok(json!([])), ok(ours)]).await;
    serve(
        &server,
        "POST",
        at,
        ResponseTemplate::new(201).set_body_raw(r#"{"id": 9, "#, "application/json"),
    )
    .await;
    let outcome = client(&server)
        .upsert_comment(pr(7), MARKER, "hello")
        .await
        .unwrap();
    assert_eq!((outcome.comment.id, outcome.change), (9, Change::Created));
    assert_eq!(asked(&server, "POST", "/comments").await, 1);
}

#[tokio::test]
async fn a_post_that_did_not_land_is_repeated_after_looking() {
    let server = MockServer::start().await;
    let status = CommitStatus {
        context: "preview/promotable".into(),
        state: CommitState::Success,
        description: "ä".repeat(200),
        target_url: None,
    };
    let stored = json!({
        "context": "preview/promotable", "state": "success", "description": "as sent", "target_url": null,
    });
    let at = format!("/repos/acme/shop/statuses/{}", sha('a'));
    serve_in_turn(
        &server,
        "POST",
        &at,
        vec![
            says(503, "unicorn"),
            ResponseTemplate::new(201).set_body_json(stored),
        ],
    )
    .await;
    serve(
        &server,
        "GET",
        &format!("/repos/acme/shop/commits/{}/statuses", sha('a')),
        ok(json!([])),
    )
    .await;
    client(&server)
        .set_status(&sha('a'), &status)
        .await
        .unwrap();

    let requests = server.received_requests().await.unwrap();
    let order: Vec<&str> = requests
        .iter()
        .map(|request| request.method.as_str())
        .collect();
    assert_eq!(order, ["POST", "GET", "POST"]);
    let sent: Value = requests[0].body_json().unwrap();
    assert_eq!(sent["description"].as_str().unwrap().chars().count(), 140);
}

#[tokio::test]
async fn a_post_that_a_rate_limit_refused_is_sent_again_without_looking() {
    let server = MockServer::start().await;
    let created = ResponseTemplate::new(201).set_body_json(deployment_json(7, json!({ "pr": 7 })));
    let later =
        says(403, "You have exceeded a secondary rate limit.").insert_header("retry-after", "0");
    serve_in_turn(
        &server,
        "POST",
        "/repos/acme/shop/deployments",
        vec![later, created],
    )
    .await;
    let deployment = client(&server).create_deployment(&request()).await.unwrap();
    assert_eq!(deployment.id.0, 7);
    assert_eq!(
        sent(&server).await,
        "POST /repos/acme/shop/deployments\nPOST /repos/acme/shop/deployments"
    );
}

#[tokio::test]
async fn a_post_is_not_repeated_while_nobody_can_say_whether_the_first_one_landed() {
    let server = MockServer::start().await;
    let at = "/repos/acme/shop/deployments";
    serve(&server, "POST", at, says(502, "bad gateway")).await;
    serve(&server, "GET", at, says(502, "bad gateway")).await;
    let error = client(&server)
        .create_deployment(&request())
        .await
        .unwrap_err();
    insta::assert_snapshot!(error, @r#"cannot create a deployment of aaaaaaa in "preview" of acme/shop: GitHub answered 502: bad gateway; see https://www.githubstatus.com and run this again"#);
    assert_eq!(asked(&server, "POST", "/deployments").await, 1);
    assert_eq!(asked(&server, "GET", "/deployments").await, 6);
}
