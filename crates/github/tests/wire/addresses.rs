//! Where requests go.

use crate::*;

#[tokio::test]
async fn an_enterprise_servers_paths_start_where_its_api_does() {
    let server = MockServer::start().await;
    serve(
        &server,
        "POST",
        "/api/graphql",
        ok(json!({ "data": null, "errors": [{ "message": "no viewer" }] })),
    )
    .await;
    serve(
        &server,
        "GET",
        "/api/v3/repos/acme/shop/pulls/7",
        says(404, "Not Found"),
    )
    .await;
    let github = GitHub::connect(settings(&format!("{}/api/v3/", server.uri()))).unwrap();
    assert_eq!(github.pull(pr(7)).await.unwrap(), None);
    let error = github.comment(pr(7), MARKER).await.unwrap_err();
    insta::assert_snapshot!(error, @r#"cannot ask GitHub whose token this is: GitHub refuses it (200: GraphQL says [{"message":"no viewer"}]); correct what it names and run this again"#);
}

#[tokio::test]
async fn a_renamed_repository_is_read_and_a_write_to_it_says_what_happened() {
    let server = MockServer::start().await;
    let moved = |status| {
        let there = format!(
            "{}/repositories/42{}",
            server.uri(),
            if status == 307 { "/deployments" } else { "" }
        );
        ResponseTemplate::new(status).insert_header("location", there)
    };
    serve(&server, "GET", "/repos/acme/shop", moved(301)).await;
    serve(
        &server,
        "GET",
        "/repositories/42",
        ok(json!({ "id": 42, "full_name": "acme/store", "default_branch": "main" })),
    )
    .await;
    serve(&server, "POST", "/repos/acme/shop/deployments", moved(307)).await;
    let github = client(&server);
    assert_eq!(
        github.repository().await.unwrap().slug.to_string(),
        "acme/store"
    );
    let told = github
        .create_deployment(&request())
        .await
        .unwrap_err()
        .to_string()
        .replace(&server.uri(), "https://HOST");
    insta::assert_snapshot!(told, @r#"cannot create a deployment of aaaaaaa in "preview" of acme/shop: GitHub refuses it (307: what was asked for is now at https://HOST/repositories/42/deployments, as after a rename of the repository); correct what it names and run this again"#);
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_once() {
    let mut told = Vec::new();
    for (url, token) in [
        ("api.github.com", TOKEN),
        ("ftp://api.github.com", TOKEN),
        ("https://api.github.com", ""),
        ("https://api.github.com", "ghs_secret\nwith a line"),
    ] {
        let settings = Settings {
            token: SecretString::from(token),
            ..settings(url)
        };
        told.push(GitHub::connect(settings).unwrap_err().to_string());
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    cannot connect to GitHub: "api.github.com" is not the address of GitHub's API; set GITHUB_API_URL to one such as https://api.github.com
    cannot connect to GitHub: "ftp://api.github.com" is not the address of GitHub's API; set GITHUB_API_URL to one such as https://api.github.com
    cannot connect to GitHub: the token is empty or holds a blank or control character; check how GITHUB_TOKEN is set
    cannot connect to GitHub: the token is empty or holds a blank or control character; check how GITHUB_TOKEN is set
    "#);
}

#[test]
fn operations_may_run_on_any_thread() {
    fn is_send<T: Send>(_: impl FnOnce(&'static GitHub) -> T) {}
    is_send(|github| github.repository());
    is_send(|github| {
        github.deployments(
            const {
                &DeploymentFilter {
                    reference: None,
                    environment: None,
                    task: None,
                }
            },
        )
    });
    is_send(|github| github.upsert_comment(pr(7), MARKER, "hello"));
}
