//! Lists are complete or an error.

use crate::*;

#[tokio::test]
async fn states_that_graphql_gives_with_an_error_or_in_a_circle_are_no_list() {
    let server = MockServer::start().await;
    let page = |errors: Value| {
        ok(
            json!({ "errors": errors, "data": { "repository": { "deployments": {
                "pageInfo": { "hasNextPage": true, "endCursor": "c1" },
                "nodes": [{ "id": "DE_1", "latestStatus": null }],
            } } } }),
        )
    };
    let answers = vec![
        page(json!([{ "message": "Something went wrong" }])),
        ok(
            json!({ "data": { "repository": null }, "errors": [{ "message": "Could not resolve to a Repository" }] }),
        ),
        page(Value::Null),
    ];
    serve_in_turn(&server, "POST", "/graphql", answers).await;
    let github = client(&server);
    let mut told = Vec::new();
    for _ in 0..3 {
        let error = github.active_deployments("preview").await.unwrap_err();
        told.push(error.to_string());
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    cannot list which deployments in "preview" of acme/shop are active: GitHub refuses it (200: GraphQL says [{"message":"Something went wrong"}]); correct what it names and run this again
    cannot list which deployments in "preview" of acme/shop are active: GitHub refuses it (200: GraphQL says [{"message":"Could not resolve to a Repository"}]); correct what it names and run this again
    cannot list which deployments in "preview" of acme/shop are active: the answer is not what GitHub's API gives (its pages have no next one, and are said to go on); check GITHUB_API_URL and any proxy on the way, and run this again
    "#);
}

#[tokio::test]
async fn our_comment_is_found_among_three_hundred_and_never_taken_for_a_copy_of_it() {
    let server = MockServer::start().await;
    serve_viewer(&server).await;
    for page in 1..=3_u64 {
        let comments: Vec<Value> = (0..100)
            .map(|n| match (page, n) {
                (1, 5) => comment_json(5, "mallory", "User", MARKER),
                (3, 98) => comment_json(398, "github-actions[bot]", "Bot", "<!-- preview -->\nold"),
                _ => comment_json(page * 1000 + n, "maria", "User", "nice"),
            })
            .collect();
        let next = format!(
            "<{0}/repositories/42/issues/7/comments?per_page=100&page={1}>; rel=\"next\", <{0}/x>; rel=\"last\"",
            server.uri(),
            page + 1
        );
        let answer = ok(json!(comments));
        let answer = if page < 3 {
            answer.insert_header("link", next)
        } else {
            answer
        };
        let mock = Mock::given(method("GET"));
        let mock = match page {
            1 => mock
                .and(path("/repos/acme/shop/issues/7/comments"))
                .and(query_param("per_page", "100")),
            _ => mock
                .and(path("/repositories/42/issues/7/comments"))
                .and(query_param("page", page.to_string())),
        };
        mock.respond_with(answer).mount(&server).await;
    }
    let changed = ok(comment_json(
        398,
        "github-actions[bot]",
        "Bot",
        "<!-- preview -->\nnew",
    ));
    serve(
        &server,
        "PATCH",
        "/repos/acme/shop/issues/comments/398",
        changed,
    )
    .await;
    let github = client(&server);

    let unchanged = github.upsert_comment(pr(7), MARKER, "old").await.unwrap();
    assert_eq!(
        (unchanged.comment.id, unchanged.change),
        (398, Change::Unchanged)
    );
    let updated = github.upsert_comment(pr(7), MARKER, "new").await.unwrap();
    assert_eq!((updated.comment.id, updated.change), (398, Change::Updated));
    assert_eq!(
        asked(&server, "POST", "/graphql").await,
        1,
        "who we are is asked once"
    );
}

#[tokio::test]
async fn a_list_that_leads_elsewhere_or_in_a_circle_is_an_error_and_not_a_short_list() {
    let server = MockServer::start().await;
    let at = "/repos/acme/shop/deployments";
    let elsewhere = "<https://evil.example/repos/acme/shop/deployments?page=2>; rel=\"next\"";
    let circle = format!("<{}{at}?per_page=100>; rel=\"next\"", server.uri());
    let page = |link: &str| ok(json!([deployment_json(1, json!({}))])).insert_header("link", link);
    serve_in_turn(&server, "GET", at, vec![page(elsewhere), page(&circle)]).await;
    let github = client(&server);

    let error = github
        .deployments(&DeploymentFilter::default())
        .await
        .unwrap_err();
    insta::assert_snapshot!(error, @r#"cannot list the deployments of acme/shop: the answer is not what GitHub's API gives (its next page is said to be at "https://evil.example/repos/acme/shop/deployments?page=2"); check GITHUB_API_URL and any proxy on the way, and run this again"#);
    let error = github
        .deployments(&DeploymentFilter::default())
        .await
        .unwrap_err();
    insta::assert_snapshot!(error, @"cannot list the deployments of acme/shop: the answer is not what GitHub's API gives (its pages go in a circle at /repos/acme/shop/deployments?per_page=100); check GITHUB_API_URL and any proxy on the way, and run this again");
}

#[tokio::test]
async fn a_server_may_name_itself_otherwise_than_we_do_but_no_page_outside_its_api() {
    let server = MockServer::start().await;
    let at = "/api/v3/repos/acme/shop/deployments";
    let origin = server.uri().replace("127.0.0.1", "localhost");
    let ours = origin.replace("localhost", "LocalHost");
    let link = |address: &str| {
        let link = format!("<{address}?page=2>; rel=\"next\"");
        ok(json!([deployment_json(1, json!({}))])).insert_header("link", link)
    };
    let last = ok(json!([deployment_json(2, json!({}))]));
    let answers = vec![
        link(&format!("{origin}{at}")),
        last,
        link(&format!("{origin}/acme/shop/deployments")),
        link("http://localhost:1/api/v3/repos/acme/shop/deployments"),
    ];
    serve_in_turn(&server, "GET", at, answers).await;
    let github = GitHub::connect(settings(&format!("{ours}/api/v3"))).unwrap();

    let filter = DeploymentFilter::default();
    assert_eq!(github.deployments(&filter).await.unwrap().len(), 2);
    let mut told = Vec::new();
    for _ in 0..2 {
        let error = github.deployments(&filter).await.unwrap_err();
        told.push(error.to_string().replace(&origin, "http://HOST"));
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    cannot list the deployments of acme/shop: the answer is not what GitHub's API gives (its next page is said to be at "http://HOST/acme/shop/deployments?page=2"); check GITHUB_API_URL and any proxy on the way, and run this again
    cannot list the deployments of acme/shop: the answer is not what GitHub's API gives (its next page is said to be at "http://localhost:1/api/v3/repos/acme/shop/deployments?page=2"); check GITHUB_API_URL and any proxy on the way, and run this again
    "#);
}
