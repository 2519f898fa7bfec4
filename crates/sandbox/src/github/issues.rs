//! The repository's issues as a list. Only pull requests are modelled, which GitHub lists among the issues.

use serde_json::{Value, json};

use super::call::{Answer, Call};
use super::objects;
use super::state::{Pull, Repo, State};

pub(super) fn route(state: &mut State, repo: u64, call: &Call) -> Option<Answer> {
    // What a filter that is not modelled would hide, nobody shall see by luck.
    let modelled = ["state", "labels", "per_page", "page"];
    let known = call
        .query
        .iter()
        .all(|(key, _)| modelled.contains(&key.as_str()));
    match call.operation.as_str() {
        "GET /issues" if known => Some(list(state, state.repos.get(&repo)?, call)),
        _ => None,
    }
}

/// Newest first; those that carry all of the labels asked for.
fn list(state: &State, repo: &Repo, call: &Call) -> Answer {
    let wanted = call.asked("state").unwrap_or("open");
    let labels: Vec<String> = call
        .asked("labels")
        .into_iter()
        .flat_map(|names| names.split(','))
        .map(str::to_lowercase)
        .collect();
    let carries =
        |pull: &Pull, name: &String| pull.labels.iter().any(|l| l.to_lowercase() == *name);
    let found = repo
        .pulls
        .values()
        .rev()
        .filter(|pull| wanted == "all" || (wanted == "open") == pull.open)
        .filter(|pull| labels.iter().all(|name| carries(pull, name)));
    Answer::page(call, found.map(|pull| issue(state, repo, pull)).collect())
}

pub(super) fn issue(state: &State, repo: &Repo, pull: &Pull) -> Value {
    let link = format!("{}/pull/{}", state.page_of(repo), pull.number);
    let mut issue = objects::listed_pull(state, repo, pull);
    if let Some(map) = issue.as_object_mut() {
        map.retain(|key, _| {
            !["head", "base", "merge_commit_sha", "merged_at"].contains(&key.as_str())
        });
    }
    let comments = repo
        .comments
        .values()
        .filter(|comment| comment.issue == pull.number);
    issue["comments"] = json!(comments.count());
    issue["pull_request"] = json!({
        "html_url": link, "merged_at": pull.merged.as_ref().map(|merged| merged.at.to_string()),
    });
    issue
}
