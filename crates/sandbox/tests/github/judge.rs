//! The judge by itself.

use std::path::Path;

use reqwest::Method;
use sandbox::github::{Judge, cut_down, write_down};
use serde_json::{Value, json};

use crate::client::Desk;

const LABELS: &str = "/repos/acme/shop/labels";

fn pairs(query: &[(&str, &str)]) -> Vec<(String, String)> {
    query
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn a_sixty_character_label_and_a_misspelt_key_are_caught() {
    let judge = Judge::cut_down().unwrap();
    let fine = json!({ "name": "preview", "description": "has one", "color": "0e8a16" });
    assert_eq!(
        judge.request("POST", LABELS, &[], Some(&fine)),
        Vec::<String>::new()
    );

    let long = json!({ "name": "x".repeat(60) });
    insta::assert_debug_snapshot!(judge.request("POST", LABELS, &[], Some(&long)), @r#"
    [
        "POST /repos/acme/shop/labels: /name: 60 characters, GitHub takes at most 50 (https://github.com/github/docs/issues/32156)",
    ]
    "#);
    let misspelt = json!({ "name": "preview", "desciption": "has one" });
    insta::assert_debug_snapshot!(judge.request("POST", LABELS, &[], Some(&misspelt)), @r#"
    [
        "POST /repos/acme/shop/labels: /desciption is not declared",
    ]
    "#);
}

#[test]
fn what_else_a_request_can_get_wrong() {
    let judge = Judge::cut_down().unwrap();
    let mut wrong = judge.request(
        "GET",
        "/repos/acme/shop/pulls",
        &pairs(&[("stat", "open")]),
        None,
    );
    let state = pairs(&[("state", "merged"), ("per_page", "250")]);
    wrong.extend(judge.request("GET", "/repos/acme/shop/pulls", &state, None));
    wrong.extend(judge.request("GET", "/repos/acme/shop/pulls/seven", &[], None));
    wrong.extend(judge.request("GET", "/repos/acme/shop/labels/a%252Fb", &[], None));
    wrong.extend(judge.request("POST", LABELS, &[], None));
    wrong.extend(judge.request("POST", LABELS, &[], Some(&json!({ "name": 7 }))));
    wrong.extend(judge.request("PUT", LABELS, &[], None));
    let nested = json!({ "labels": [{ "name": "a", "colour": "red" }] });
    wrong.extend(judge.request("POST", "/repos/a/b/issues/7/labels", &[], Some(&nested)));
    let status = json!({ "state": "sucess" });
    wrong.extend(judge.request(
        "POST",
        "/repos/a/b/deployments/7/statuses",
        &[],
        Some(&status),
    ));
    insta::assert_snapshot!(wrong.join("\n"), @r#"
    GET /repos/acme/shop/pulls: query parameter stat is not declared
    GET /repos/acme/shop/pulls: query parameter state: `merged` is not one of ["open","closed","all"]
    GET /repos/acme/shop/pulls: query parameter per_page: 250, GitHub takes at most 100 (https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api)
    GET /repos/acme/shop/pulls/seven: path parameter pull_number: `seven` is not an integer
    GET /repos/acme/shop/labels/a%252Fb: path parameter name: `a%2Fb` was percent-encoded twice
    POST /repos/acme/shop/labels: a body is required
    POST /repos/acme/shop/labels: /name: 7 is not of type "string"
    PUT /repos/acme/shop/labels: no such operation is described
    POST /repos/a/b/issues/7/labels: /labels/0/colour is not declared
    POST /repos/a/b/deployments/7/statuses: /state: "sucess" is not one of "error", "failure" or 5 other candidates
    "#);
}

#[test]
fn what_an_answer_can_get_wrong() {
    let judge = Judge::cut_down().unwrap();
    let label = json!({
        "id": 1, "node_id": "x", "url": "https://example.com/", "name": "a",
        "description": null, "color": "ededed", "default": false,
    });
    let answer = |status, body: &Value| judge.answer("GET", LABELS, status, Some(body));
    assert_eq!(answer(200, &json!([label])), Vec::<String>::new());
    let mut odd = label.clone();
    odd["color"] = json!(7);
    odd["colour"] = json!("ededed");
    let mut wrong = answer(200, &json!([odd]));
    wrong.extend(answer(201, &json!([])));
    wrong.extend(answer(200, &json!({ "labels": [] })));
    wrong.extend(
        judge
            .payload("push", &json!({ "ref": "refs/heads/main" }))
            .into_iter()
            .take(2),
    );
    insta::assert_snapshot!(wrong.join("\n"), @r#"
    GET /repos/acme/shop/labels answered 200: /0/color: 7 is not of type "string"
    GET /repos/acme/shop/labels answered 200: /0/colour is not declared
    GET /repos/acme/shop/labels answered 201: this status is not declared
    GET /repos/acme/shop/labels answered 200: {"labels":[]} is not of type "array"
    GET /repos/acme/shop/labels answered 200: /labels is not declared
    push: "before" is a required property
    push: "after" is a required property
    "#);
}

#[tokio::test]
async fn what_is_misspelt_or_not_modelled_is_answered_loudly_and_kept() {
    let desk = Desk::open().await;
    let (status, body) = desk
        .post("/labels", json!({ "name": "a", "colour": "red" }))
        .await;
    assert_eq!(status, 599);
    insta::assert_snapshot!(body["message"].as_str().unwrap(), @"the sandbox's judge refuses: POST /repos/acme/shop/labels: /colour is not declared");
    let (status, body) = desk.post("/forks", json!({ "name": "mine" })).await;
    assert_eq!(status, 501);
    insta::assert_snapshot!(body["message"].as_str().unwrap(), @r#"the sandbox's GitHub does not model this request: POST /repos/acme/shop/forks {"name":"mine"}"#);
    let (status, _) = desk.ask(Method::GET, "/stargazers", None).await;
    assert_eq!(status, 501);
    assert_eq!(desk.github.take_violations().len(), 3);
}

#[test]
fn the_copy_in_the_repository_holds_exactly_what_is_listed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/github.json");
    let text = std::fs::read_to_string(path).unwrap();
    let copy: Value = serde_json::from_str(&text).unwrap();
    let mut again = cut_down(&copy).unwrap();
    again["x-cut-from"] = copy["x-cut-from"].clone();
    assert_eq!(write_down(&again), text, "run `cargo xtask openapi`");
}

#[test]
fn every_exception_says_why() {
    insta::assert_snapshot!(Judge::exceptions().join("\n"), @r#"
    every operation and payload: status 301, because every operation redirects from a repository's former name
    every operation and payload: status 307, because every operation redirects from a repository's former name
    every operation and payload: status 401, because every operation answers 401 to a missing or unknown token
    every operation and payload: status 403, because rate limits and missing rights can meet every operation
    every operation and payload: status 404, because what a token cannot see does not exist for it, whatever the operation
    every operation and payload: status 429, because secondary rate limits can meet every operation
    every operation and payload: status 422, because validation of a body or a SHA fails in operations that declare only their success, such as PATCH of a label
    /versions/{package_version_id}: status 400, because a public version with more than 5,000 downloads cannot be deleted
    every operation and payload: null at /head/repo, because a deleted fork leaves its pull requests and runs without a head repository
    every operation and payload: null at /head_repository, because a deleted fork leaves its pull requests and runs without a head repository
    every operation and payload: null at /labels/*/description, because a label without description has null, which the schema of the full pull request allows and the short one does not
    every operation and payload: the key /status, because every error's body repeats its status as text; only some of the schemas know
    every operation and payload: an empty URI at target_url, because a deployment status without URL has the empty text
    every operation and payload: an empty URI at environment_url, because a deployment status without URL has the empty text
    every operation and payload: an empty URI at log_url, because a deployment status without URL has the empty text
    GET /users/{username}/packages/{package_type}/{package_name}/versions: query parameter page, because pages like the same list of an organisation; the description forgot the parameters
    GET /users/{username}/packages/{package_type}/{package_name}/versions: query parameter per_page, because pages like the same list of an organisation; the description forgot the parameters
    "#);
}

#[test]
fn a_description_that_is_absent_or_broken_is_named() {
    let absent = Judge::from_file(Path::new("/absent/openapi.json")).unwrap_err();
    insta::assert_snapshot!(absent, @"reading GitHub's OpenAPI description /absent/openapi.json: No such file or directory (os error 2); `cargo xtask openapi` fetches it");
}
