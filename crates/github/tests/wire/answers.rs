//! What is made of answers, good and bad.

use crate::*;

#[tokio::test]
async fn a_pull_request_is_found_by_owner_branch_head_and_repository_exactly() {
    let server = MockServer::start().await;
    let ours = json!({ "full_name": "acme/shop" });
    let listed = json!([
        pull_json(1, 'a', json!(null)),
        pull_json(2, 'c', ours.clone()),
        pull_json(3, 'a', json!({ "full_name": "acme/shop-fork" })),
        pull_json(4, 'a', ours),
    ]);
    Mock::given(method("GET"))
        .and(path("/repos/acme/shop/pulls"))
        .and(query_param("state", "open"))
        .and(query_param("head", "acme:feature/tea+100%"))
        .respond_with(ok(listed))
        .mount(&server)
        .await;
    let found = client(&server)
        .open_pulls_of_head(
            "acme",
            "feature/tea+100%",
            &sha('a'),
            &"acme/shop".parse().unwrap(),
        )
        .await
        .unwrap();
    insta::assert_debug_snapshot!(found, @r#"
    [
        PullRequest {
            number: PrNumber(
                4,
            ),
            state: Open,
            title: "More tea",
            author: "maria",
            is_by_bot: false,
            draft: false,
            labels: [
                "size/S",
            ],
            head: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,
            head_ref: "feature/tea",
            head_repository: Some(
                acme/shop,
            ),
            base_repository: Repository {
                id: RepositoryId(
                    42,
                ),
                slug: acme/shop,
                default_branch: "main",
            },
            base_ref: "main",
            test_merge: Some(
                bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb,
            ),
            mergeable: None,
        },
    ]
    "#);
}

#[tokio::test]
async fn what_a_merge_left_is_read_and_none_is_only_what_github_says_does_not_exist() {
    let server = MockServer::start().await;
    let mut merged = pull_json(5, 'a', json!(null));
    merged["state"] = json!("closed");
    merged["merged_at"] = json!("2026-11-24T08:00:00Z");
    serve(&server, "GET", "/repos/acme/shop/pulls/5", ok(merged)).await;
    serve(
        &server,
        "GET",
        "/repos/acme/shop/pulls/6",
        says(404, "Not Found"),
    )
    .await;
    let github = client(&server);
    let pull = github.pull(pr(5)).await.unwrap().unwrap();
    assert_eq!(
        (pull.state, pull.test_merge),
        (PullState::Merged { commit: sha('b') }, None)
    );
    assert_eq!(github.pull(pr(6)).await.unwrap(), None);

    let page =
        ResponseTemplate::new(404).set_body_raw("<title>Page not found</title>", "text/html");
    let proxy = ResponseTemplate::new(404);
    serve(&server, "GET", "/repos/acme/shop/pulls/7", page).await;
    serve(&server, "GET", "/repos/acme/shop/pulls/8", proxy).await;
    for number in [7, 8] {
        let error = github.pull(pr(number)).await.unwrap_err();
        let is_told = matches!(error.problem, Problem::Unreadable { passing: false, .. });
        assert!(is_told, "{error}");
    }
}

#[tokio::test]
async fn a_commit_belongs_to_a_branch_that_is_ahead_of_it() {
    for (status, belongs) in [
        ("ahead", true),
        ("identical", true),
        ("behind", false),
        ("diverged", false),
    ] {
        let server = MockServer::start().await;
        let at = format!("/repos/acme/shop/compare/{}...release%2F1", sha('a'));
        serve(&server, "GET", &at, ok(json!({ "status": status }))).await;
        assert_eq!(
            client(&server)
                .is_ancestor(&sha('a'), "release/1")
                .await
                .unwrap(),
            belongs,
            "{status}"
        );
    }
}

#[tokio::test]
async fn html_cut_off_json_and_another_shape_are_errors_that_say_so_and_never_nothing() {
    let html = ResponseTemplate::new(200)
        .set_body_raw("<!DOCTYPE html>\n<title>Sign in</title>", "text/html");
    let cut_off = ResponseTemplate::new(200).set_body_raw(r#"[{"id": 1, "sh"#, "application/json");
    let empty = ResponseTemplate::new(200);
    let other = ok(json!({ "message": "hello" }));
    let mut told = Vec::new();
    for (answer, tries) in [(html, 6), (cut_off, 6), (empty, 6), (other, 1)] {
        let server = MockServer::start().await;
        serve(&server, "GET", "/repos/acme/shop/deployments", answer).await;
        let error = client(&server)
            .deployments(&DeploymentFilter::default())
            .await
            .unwrap_err();
        assert_eq!(
            asked(&server, "GET", "/deployments").await,
            tries,
            "{error}"
        );
        told.push(error.problem.to_string());
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    the answer is not what GitHub's API gives (an HTML page: <!DOCTYPE html> <title>Sign in</title>); check GITHUB_API_URL and any proxy on the way, and run this again
    the answer is not what GitHub's API gives (JSON that ends after 14 bytes); check GITHUB_API_URL and any proxy on the way, and run this again
    the answer is not what GitHub's API gives (JSON that ends after 0 bytes); check GITHUB_API_URL and any proxy on the way, and run this again
    the answer is not what GitHub's API gives (another shape: invalid type: map, expected a sequence at line 1 column 0); check GITHUB_API_URL and any proxy on the way, and run this again
    ");
}

#[tokio::test]
async fn a_moment_of_trouble_passes_unnoticed() {
    let server = MockServer::start().await;
    let at = "/repos/acme/shop";
    let good = ok(json!({ "id": 42, "full_name": "Acme/Shop", "default_branch": "main" }));
    let busy = says(429, "slow down").insert_header("retry-after", "0");
    serve_in_turn(
        &server,
        "GET",
        at,
        vec![says(502, "bad gateway"), busy, good],
    )
    .await;
    let repository = client(&server).repository().await.unwrap();
    assert_eq!(
        (repository.id.0, repository.slug.to_string().as_str()),
        (42, "Acme/Shop")
    );
}

#[tokio::test]
async fn a_missing_permission_is_named_and_a_rate_limit_is_no_missing_permission() {
    let forbidden = says(403, "Resource not accessible by integration");
    let named = forbidden
        .clone()
        .insert_header("x-accepted-github-permissions", "deployments=write");
    let primary = says(403, "API rate limit exceeded for installation ID 1.")
        .insert_header("x-ratelimit-remaining", "0")
        .insert_header("x-ratelimit-reset", "4102444799");
    let bad_token = says(401, "Bad credentials");
    let mut told = Vec::new();
    for answer in [forbidden, named, primary, bad_token] {
        let server = MockServer::start().await;
        serve(&server, "POST", "/repos/acme/shop/deployments", answer).await;
        told.push(
            client(&server)
                .create_deployment(&request())
                .await
                .unwrap_err()
                .to_string(),
        );
        assert_eq!(asked(&server, "POST", "/deployments").await, 1);
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    cannot create a deployment of aaaaaaa in "preview" of acme/shop: the token may not do this (403: Resource not accessible by integration); it needs deployments: write: grant it under `permissions:` of the workflow's job, or to the App whose token it is
    cannot create a deployment of aaaaaaa in "preview" of acme/shop: the token may not do this (403: Resource not accessible by integration); it needs deployments=write: grant it under `permissions:` of the workflow's job, or to the App whose token it is
    cannot create a deployment of aaaaaaa in "preview" of acme/shop: GitHub's rate limit is used up (API rate limit exceeded for installation ID 1.); it resets at 2100-01-01T00:00:00Z: run this again after that
    cannot create a deployment of aaaaaaa in "preview" of acme/shop: GitHub does not accept the token (401: Bad credentials); check that GITHUB_TOKEN is set and has not expired
    "#);
}

#[tokio::test]
async fn a_rate_limit_without_a_time_is_waited_for_a_minute_and_the_deadline_comes_first() {
    let secondary = says(403, "You have exceeded a secondary rate limit.")
        .insert_header("x-ratelimit-remaining", "4000")
        .insert_header("x-ratelimit-reset", "4102444800");
    let asked_to = says(429, "too many").insert_header("retry-after", "120");
    for (answer, seconds) in [(secondary, 60), (asked_to, 120)] {
        let server = MockServer::start().await;
        serve(&server, "GET", "/repos/acme/shop", answer).await;
        let error = client(&server).repository().await.unwrap_err();
        let Problem::RateLimited { until, .. } = error.problem else {
            panic!("{error}")
        };
        let wait = until.duration_since(jiff::Timestamp::now()).as_secs();
        assert!((seconds - 10..=seconds).contains(&wait), "{wait}");
        assert_eq!(asked(&server, "GET", "/shop").await, 1);
    }
}

#[tokio::test]
async fn silence_ends_with_the_deadline() {
    let server = MockServer::start().await;
    let late = ok(json!({})).set_delay(Duration::from_secs(30));
    serve(&server, "GET", "/repos/acme/shop", late).await;
    let started = Instant::now();
    let deadline = started + Duration::from_millis(200);
    let error = GitHub::connect(Settings {
        deadline,
        ..settings(&server.uri())
    })
    .unwrap()
    .repository()
    .await
    .unwrap_err();
    assert!(
        matches!(error.problem, Problem::Unavailable { .. }),
        "{error}"
    );
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be_so() {
    let free_port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = GitHub::connect(settings(&format!("http://{free_port}")))
        .unwrap()
        .repository()
        .await
        .unwrap_err();
    let told = error.to_string();
    assert!(
        told.starts_with("cannot read the repository acme/shop: no answer from GitHub: "),
        "{told}"
    );
    assert!(told.contains("Connection refused"), "{told}");
}
