//! GraphQL answers three questions, in these words and no others: who am I, how do the deployments of an environment go, and
//! what stands on a pull request beside that.

use serde_json::{Value, json};

use super::call::Answer;
use super::permissions;
use super::state::{Deployment, Repo, State, Token};

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

const STANDING: &str = "query($owner: String!, $name: String!, $number: Int!, $environment: String!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      createdAt
      baseRef { target { oid } }
      labels(first: 100) {
        nodes { name description issues { totalCount } pullRequests { totalCount } }
      }
    }
    deployments(environments: [$environment], first: 100, after: $after, orderBy: {field: CREATED_AT, direction: DESC}) {
      pageInfo { hasNextPage endCursor }
      nodes { id createdAt commitOid task payload latestStatus { state } }
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
    let variables = &body["variables"];
    if asked == words(DEPLOYMENTS) {
        let seen = permissions::sees_deployments(token);
        return Some(Answer::ok(match seen {
            true => of_repository(state, variables, |repo| Ok(deployments(repo, variables))),
            false => forbidden("deployments"),
        }));
    }
    (asked == words(STANDING)).then(|| {
        let seen = permissions::sees_what_stands(token);
        Answer::ok(match seen {
            true => of_repository(state, variables, |repo| standing(repo, variables)),
            false => forbidden("pullRequest"),
        })
    })
}

/// GraphQL refuses within an answer of 200.
fn forbidden(what: &str) -> Value {
    let message = "Resource not accessible by integration";
    let error = json!({ "type": "FORBIDDEN", "path": ["repository", what], "message": message });
    json!({ "data": { "repository": null }, "errors": [error] })
}

fn words(query: &str) -> String {
    query.split_whitespace().collect()
}

/// What is there of the repository that is asked for, or GitHub's error.
fn of_repository(
    state: &State,
    variables: &Value,
    fields: impl Fn(&Repo) -> Result<Value, Value>,
) -> Value {
    let text = |name: &str| variables[name].as_str().unwrap_or_default();
    let slug = format!("{}/{}", text("owner"), text("name"));
    let mut repos = state.repos.values();
    let Some(repo) = repos.find(|repo| repo.slug().eq_ignore_ascii_case(&slug)) else {
        let message = format!("Could not resolve to a Repository with the name '{slug}'.");
        let error = json!({ "type": "NOT_FOUND", "path": ["repository"], "message": message });
        return json!({ "data": { "repository": null }, "errors": [error] });
    };
    match fields(repo) {
        Ok(fields) => json!({ "data": { "repository": fields } }),
        Err(error) => json!({ "data": { "repository": null }, "errors": [error] }),
    }
}

/// Oldest first, as GitHub orders what it is not asked to order otherwise.
fn deployments(repo: &Repo, variables: &Value) -> Value {
    let all = of_environment(repo, variables);
    let page = page(all.into_iter(), variables, node);
    json!({ "deployments": page })
}

fn of_environment<'a>(repo: &'a Repo, variables: &Value) -> Vec<&'a Deployment> {
    let environment = variables["environment"].as_str().unwrap_or_default();
    let all = repo.deployments.values();
    all.filter(|deployment| deployment.environment == environment)
        .collect()
}

/// What comes after the cursor, which is the id of a deployment.
fn page<'a>(
    all: impl Iterator<Item = &'a Deployment>,
    variables: &Value,
    node: impl Fn(&Deployment) -> Value,
) -> Value {
    let after: Option<u64> = variables["after"].as_str().and_then(|id| id.parse().ok());
    let mut all = all.peekable();
    if let Some(after) = after {
        while all.next_if(|deployment| deployment.id != after).is_some() {}
        all.next();
    }
    let found: Vec<&Deployment> = all.take(PAGE + 1).collect();
    let page = &found[..found.len().min(PAGE)];
    let nodes: Vec<Value> = page.iter().map(|deployment| node(deployment)).collect();
    let end = page.last().map(|deployment| deployment.id.to_string());
    let page_info = json!({ "hasNextPage": found.len() > PAGE, "endCursor": end });
    json!({ "pageInfo": page_info, "nodes": nodes })
}

fn node(deployment: &Deployment) -> Value {
    let newest = deployment.statuses.last();
    let newest = newest.map(|status| json!({ "state": status.state.to_uppercase() }));
    json!({ "id": deployment.node_id(), "latestStatus": newest })
}

/// The labels of a pull request, and the deployments, newest first.
fn standing(repo: &Repo, variables: &Value) -> Result<Value, Value> {
    let number = variables["number"].as_u64().unwrap_or_default();
    let Some(pull) = repo.pulls.get(&number) else {
        let message = format!("Could not resolve to a PullRequest with the number of {number}.");
        return Err(
            json!({ "type": "NOT_FOUND", "path": ["repository", "pullRequest"], "message": message }),
        );
    };
    let labels = pull.labels.iter().map(|name| {
        let defined = repo.labels.iter().find(|label| label.name == *name);
        let carriers = repo.pulls.values();
        let carriers = carriers.filter(|pull| pull.labels.contains(name)).count();
        json!({ "name": name, "description": defined.and_then(|label| label.description.as_ref()),
            "issues": { "totalCount": 0 }, "pullRequests": { "totalCount": carriers } })
    });
    let labels: Vec<Value> = labels.collect();
    let all = of_environment(repo, variables).into_iter().rev();
    let deployments = page(all, variables, |deployment| {
        let mut node = node(deployment);
        node["createdAt"] = json!(deployment.created_at);
        node["commitOid"] = json!(deployment.sha);
        node["task"] = json!(deployment.task);
        node["payload"] = json!(deployment.payload.to_string());
        node
    });
    let base = repo.branches.get(&pull.base);
    let base = base.map(|sha| json!({ "target": { "oid": sha } }));
    let pull =
        json!({ "createdAt": pull.created_at, "baseRef": base, "labels": { "nodes": labels } });
    Ok(json!({ "pullRequest": pull, "deployments": deployments }))
}
