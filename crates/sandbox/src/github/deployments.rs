//! Deployments and their statuses.

use serde_json::{Value, json};

use super::call::{Answer, Call};
use super::commits::resolve;
use super::objects;
use super::state::{Deployment, DeploymentStatus, Repo, State};

const LONGEST_DESCRIPTION: usize = 140;

pub(super) fn route(state: &mut State, repo: u64, call: &Call) -> Option<Answer> {
    let id = call.number("deployment_id");
    match call.operation.as_str() {
        "GET /deployments" => Some(list(state, state.repos.get(&repo)?, call)),
        "POST /deployments" => Some(create(state, repo, call)),
        "GET /deployments/{deployment_id}" => Some(show(state, repo, id, 200)),
        "DELETE /deployments/{deployment_id}" => Some(delete(state.repos.get_mut(&repo)?, id)),
        "GET /deployments/{deployment_id}/statuses" => Some(statuses(state, repo, id, call)),
        "POST /deployments/{deployment_id}/statuses" => Some(add_status(state, repo, id, call)),
        _ => None,
    }
}

/// Newest first, filtered as asked.
fn list(state: &State, repo: &Repo, call: &Call) -> Answer {
    let is = |name: &str, value: &str| call.asked(name).is_none_or(|asked| asked == value);
    let found = repo.deployments.values().rev().filter(|deployment| {
        is("sha", &deployment.sha)
            && is("ref", &deployment.reference)
            && is("task", &deployment.task)
            && is("environment", &deployment.environment)
    });
    Answer::page(
        call,
        found.map(|deployment| shown(state, deployment)).collect(),
    )
}

fn shown(state: &State, deployment: &Deployment) -> Value {
    let updated = deployment
        .statuses
        .last()
        .map_or(deployment.created_at, |status| status.at);
    json!({
        "id": deployment.id, "node_id": deployment.node_id(), "ref": deployment.reference, "sha": deployment.sha,
        "task": deployment.task, "payload": deployment.payload,
        "environment": deployment.environment, "original_environment": deployment.environment,
        "description": deployment.description,
        "transient_environment": deployment.transient,
        "production_environment": deployment.production,
        "creator": objects::user(state, &deployment.creator),
        "created_at": deployment.created_at.to_string(), "updated_at": updated.to_string(),
    })
}

fn show(state: &State, repo: u64, id: u64, status: u16) -> Answer {
    let found = state
        .repos
        .get(&repo)
        .and_then(|repo| repo.deployments.get(&id));
    found.map_or_else(Answer::not_found, |deployment| {
        Answer::json(status, shown(state, deployment))
    })
}

fn create(state: &mut State, id: u64, call: &Call) -> Answer {
    let reference = call.text("ref").unwrap_or_default();
    let Some(repo) = state.repos.get(&id) else {
        return Answer::not_found();
    };
    let Some(sha) = resolve(state, repo, reference).map(|commit| commit.sha.clone()) else {
        return Answer::error(422, &format!("No ref found for: {reference}"));
    };
    if let Some(refused) = refused(state, repo, &sha, call) {
        return refused;
    }
    let (new, created_at) = (state.id(), state.now());
    let environment = call.text("environment").unwrap_or("production");
    let deployment = Deployment {
        id: new,
        reference: reference.to_owned(),
        sha,
        task: call.text("task").unwrap_or("deploy").to_owned(),
        payload: call
            .body
            .get("payload")
            .cloned()
            .unwrap_or_else(|| json!("")),
        environment: environment.to_owned(),
        description: call.text("description").map(str::to_owned),
        transient: call.flag("transient_environment").unwrap_or(false),
        production: call
            .flag("production_environment")
            .unwrap_or(environment == "production"),
        creator: call.login.clone(),
        created_at,
        statuses: Vec::new(),
    };
    if let Some(repo) = state.repos.get_mut(&id) {
        repo.deployments.insert(new, deployment);
        super::environments::mention(state, id, environment);
    }
    show(state, id, new, 201)
}

/// The defaults merge the default branch into the ref and wait for all its statuses.
fn refused(state: &State, repo: &Repo, sha: &str, call: &Call) -> Option<Answer> {
    let behind = !state.git.contains(sha, repo.default_head());
    if call.flag("auto_merge").unwrap_or(true) && behind {
        let message = format!(
            "Auto-merged {} into {} on deployment.",
            repo.default_branch,
            call.text("ref").unwrap_or_default()
        );
        return Some(Answer::json(202, json!({ "message": message })));
    }
    let required = call.body.get("required_contexts").and_then(Value::as_array);
    let latest = super::statuses::latest(repo, sha);
    let missing = match required {
        None => latest.iter().any(|status| status.state != "success"),
        Some(contexts) => contexts.iter().any(|context| {
            !latest
                .iter()
                .any(|s| context == s.context.as_str() && s.state == "success")
        }),
    };
    if missing {
        let reference = call.text("ref").unwrap_or_default();
        let message = format!("Conflict: Commit status checks failed for {reference}.");
        return Some(Answer::error(409, &message));
    }
    let description = call.text("description").unwrap_or_default();
    (description.chars().count() > LONGEST_DESCRIPTION)
        .then(|| Answer::too_long("Deployment", "description", LONGEST_DESCRIPTION))
}

/// Only an inactive deployment can be deleted, unless it is the repository's only one.
fn delete(repo: &mut Repo, id: u64) -> Answer {
    let only = repo.deployments.len() == 1;
    match repo.deployments.get(&id) {
        None => Answer::not_found(),
        Some(deployment) if !only && deployment.state() != "inactive" => Answer::error(
            422,
            "We cannot delete an active deployment unless it is the only deployment in a given environment.",
        ),
        Some(_) => {
            repo.deployments.remove(&id);
            Answer::nothing()
        }
    }
}

fn shown_status(state: &State, deployment: &Deployment, status: &DeploymentStatus) -> Value {
    json!({
        "id": status.id, "state": status.state, "description": status.description,
        "environment": deployment.environment, "environment_url": status.environment_url,
        "log_url": status.log_url, "target_url": status.log_url,
        "creator": objects::user(state, &status.creator),
        "created_at": status.at.to_string(), "updated_at": status.at.to_string(),
    })
}

/// Newest first.
fn statuses(state: &State, repo: u64, id: u64, call: &Call) -> Answer {
    let found = state
        .repos
        .get(&repo)
        .and_then(|repo| repo.deployments.get(&id));
    found.map_or_else(Answer::not_found, |deployment| {
        let newest_first = deployment.statuses.iter().rev();
        Answer::page(
            call,
            newest_first
                .map(|s| shown_status(state, deployment, s))
                .collect(),
        )
    })
}

fn add_status(state: &mut State, repo: u64, id: u64, call: &Call) -> Answer {
    let description = call.text("description").unwrap_or_default();
    if description.chars().count() > LONGEST_DESCRIPTION {
        return Answer::too_long("DeploymentStatus", "description", LONGEST_DESCRIPTION);
    }
    let text = |key: &str| call.text(key).unwrap_or_default().to_owned();
    let status = DeploymentStatus {
        id: state.id(),
        state: text("state"),
        description: description.to_owned(),
        log_url: call
            .text("log_url")
            .or(call.text("target_url"))
            .unwrap_or_default()
            .to_owned(),
        environment_url: text("environment_url"),
        creator: call.login.clone(),
        at: state.now(),
    };
    let deployments = state.repos.get_mut(&repo).map(|repo| &mut repo.deployments);
    let Some(deployment) = deployments.and_then(|deployments| deployments.get_mut(&id)) else {
        return Answer::not_found();
    };
    if let Some(environment) = call.text("environment") {
        environment.clone_into(&mut deployment.environment);
    }
    deployment.statuses.push(status.clone());
    let deployment = deployment.clone();
    if status.state == "success" && call.flag("auto_inactive").unwrap_or(true) {
        retire_earlier(state, repo, &deployment, &status);
    }
    Answer::created(shown_status(state, &deployment, &status))
}

/// `auto_inactive`: earlier successes of the same environment become inactive, save transient and production ones.
fn retire_earlier(state: &mut State, repo: u64, newest: &Deployment, status: &DeploymentStatus) {
    let id = state.id();
    let deployments = state
        .repos
        .get_mut(&repo)
        .map(|repo| repo.deployments.values_mut());
    let earlier = deployments.into_iter().flatten().filter(|deployment| {
        deployment.id < newest.id
            && deployment.environment == newest.environment
            && deployment.state() == "success"
            && !deployment.transient
            && !deployment.production
    });
    for deployment in earlier {
        deployment.statuses.push(DeploymentStatus {
            id,
            state: "inactive".to_owned(),
            description: String::new(),
            ..status.clone()
        });
    }
}
