//! Commit statuses.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::call::{Answer, Call};
use super::commits::{no_commit, resolve};
use super::objects;
use super::state::{CommitStatus, Repo, State};

const LONGEST_DESCRIPTION: usize = 140;
const MOST_PER_CONTEXT: usize = 1_000;

pub(super) fn route(state: &mut State, repo: u64, call: &Call) -> Option<Answer> {
    match call.operation.as_str() {
        "POST /statuses/{sha}" => Some(create(state, repo, call)),
        "GET /commits/{ref}/status" => Some(combined(state, state.repos.get(&repo)?, call)),
        "GET /commits/{ref}/statuses" => Some(list(state, state.repos.get(&repo)?, call)),
        _ => None,
    }
}

fn shown(state: &State, status: &CommitStatus) -> Value {
    let mut value = brief(status);
    value["creator"] = objects::user(state, &status.creator);
    value
}

fn brief(status: &CommitStatus) -> Value {
    json!({
        "id": status.id, "state": status.state, "context": status.context,
        "description": status.description, "target_url": status.target_url,
        "created_at": status.at.to_string(), "updated_at": status.at.to_string(),
    })
}

/// The newest status of every context of a commit, by context.
pub(super) fn latest<'a>(repo: &'a Repo, sha: &str) -> Vec<&'a CommitStatus> {
    let of_commit = repo.statuses.iter().filter(|status| status.sha == sha);
    let newest: BTreeMap<&str, &CommitStatus> = of_commit
        .map(|status| (status.context.as_str(), status))
        .collect();
    newest.into_values().collect()
}

fn create(state: &mut State, repo: u64, call: &Call) -> Answer {
    let sha = call.parameter("sha").to_owned();
    if !state.git.commits.contains_key(&sha) {
        return no_commit(&sha);
    }
    let description = call.text("description").map(str::to_owned);
    if description
        .as_ref()
        .is_some_and(|text| text.chars().count() > LONGEST_DESCRIPTION)
    {
        return Answer::too_long("Status", "description", LONGEST_DESCRIPTION);
    }
    let status = CommitStatus {
        id: state.id(),
        sha,
        context: call.text("context").unwrap_or("default").to_owned(),
        state: call.text("state").unwrap_or_default().to_owned(),
        description,
        target_url: call
            .text("target_url")
            .filter(|url| !url.is_empty())
            .map(str::to_owned),
        creator: call.login.clone(),
        at: state.now(),
    };
    let Some(repo) = state.repos.get_mut(&repo) else {
        return Answer::not_found();
    };
    let same = |other: &&CommitStatus| other.sha == status.sha && other.context == status.context;
    if repo.statuses.iter().filter(same).count() >= MOST_PER_CONTEXT {
        let message = "This SHA and context has reached the maximum number of statuses.";
        return Answer::invalid(
            json!({ "resource": "Status", "code": "custom", "field": "context", "message": message }),
        );
    }
    repo.statuses.push(status.clone());
    Answer::created(shown(state, &status))
}

/// Newest first, every one ever made.
fn list(state: &State, repo: &Repo, call: &Call) -> Answer {
    let name = call.parameter("ref");
    let Some(commit) = resolve(state, repo, name) else {
        return no_commit(name);
    };
    let found = repo
        .statuses
        .iter()
        .rev()
        .filter(|status| status.sha == commit.sha);
    Answer::page(call, found.map(|status| shown(state, status)).collect())
}

fn combined(state: &State, repo: &Repo, call: &Call) -> Answer {
    let name = call.parameter("ref");
    let Some(commit) = resolve(state, repo, name) else {
        return no_commit(name);
    };
    let latest = latest(repo, &commit.sha);
    let any = |states: &[&str]| {
        latest
            .iter()
            .any(|status| states.contains(&status.state.as_str()))
    };
    let all = match () {
        () if any(&["error", "failure"]) => "failure",
        () if latest.is_empty() || any(&["pending"]) => "pending",
        () => "success",
    };
    let total = latest.len();
    let mut answer = Answer::page(call, latest.into_iter().map(brief).collect());
    if let super::call::Body::Json(statuses) = &mut answer.body {
        *statuses = json!({
            "state": all, "sha": commit.sha, "total_count": total, "statuses": statuses.take(),
            "repository": objects::brief_repository(state, repo),
        });
    }
    answer
}
