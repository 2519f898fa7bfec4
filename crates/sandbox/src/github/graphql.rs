//! GraphQL answers two questions, in these words and no others: who am I, and how do the deployments of an environment go.

use serde_json::{Value, json};

use super::call::Answer;
use super::permissions;
use super::state::{Deployment, State, Token};

const VIEWER: &str = "query { viewer { login } }";
const DEPLOYMENTS: &str =
    "query($owner: String!, $name: String!, $environment: String!, $after: String) {
  repository(owner: $owner, name: $name) {
    deployments(environments: [$environment], first: 100, after: $after) {
      pageInfo { hasNextPage endCursor }
      nodes { id latestStatus { state } }
    }
  }
}";

/// The most nodes that GitHub gives at a time.
const PAGE: usize = 100;

/// The answer; none to any other question.
pub(super) fn answer(state: &State, token: &Token, body: Option<&Value>) -> Option<Answer> {
    let body = body?;
    let asked = words(body["query"].as_str()?);
    if asked == words(VIEWER) {
        let viewer = json!({ "data": { "viewer": { "login": token.login } } });
        return Some(Answer::ok(viewer));
    }
    (asked == words(DEPLOYMENTS)).then(|| {
        let seen = permissions::sees_deployments(token);
        Answer::ok(match seen {
            true => deployments(state, &body["variables"]),
            false => forbidden(),
        })
    })
}

/// GraphQL refuses within an answer of 200.
fn forbidden() -> Value {
    let message = "Resource not accessible by integration";
    let error =
        json!({ "type": "FORBIDDEN", "path": ["repository", "deployments"], "message": message });
    json!({ "data": { "repository": null }, "errors": [error] })
}

fn words(query: &str) -> String {
    query.split_whitespace().collect()
}

/// Oldest first, as GitHub orders what it is not asked to order otherwise.
fn deployments(state: &State, variables: &Value) -> Value {
    let text = |name: &str| variables[name].as_str().unwrap_or_default();
    let slug = format!("{}/{}", text("owner"), text("name"));
    let mut repos = state.repos.values();
    let Some(repo) = repos.find(|repo| repo.slug().eq_ignore_ascii_case(&slug)) else {
        let message = format!("Could not resolve to a Repository with the name '{slug}'.");
        let error = json!({ "type": "NOT_FOUND", "path": ["repository"], "message": message });
        return json!({ "data": { "repository": null }, "errors": [error] });
    };
    let of_environment = repo.deployments.values();
    let of_environment =
        of_environment.filter(|deployment| deployment.environment == text("environment"));
    let after = of_environment.skip_while(|deployment| {
        let after = text("after").parse();
        after.is_ok_and(|after: u64| deployment.id <= after)
    });
    let found: Vec<&Deployment> = after.take(PAGE + 1).collect();
    let page = &found[..found.len().min(PAGE)];
    let nodes: Vec<Value> = page.iter().map(|deployment| node(deployment)).collect();
    let end = page.last().map(|deployment| deployment.id.to_string());
    let page_info = json!({ "hasNextPage": found.len() > PAGE, "endCursor": end });
    json!({ "data": { "repository": { "deployments": { "pageInfo": page_info, "nodes": nodes } } } })
}

fn node(deployment: &Deployment) -> Value {
    let newest = deployment.statuses.last();
    let newest = newest.map(|status| json!({ "state": status.state.to_uppercase() }));
    json!({ "id": deployment.node_id(), "latestStatus": newest })
}
