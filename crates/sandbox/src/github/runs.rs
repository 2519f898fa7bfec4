//! Workflow runs: lists, cancelling, waiting for approval, and being dispatched.

use serde_json::{Value, json};

use super::call::{Answer, Call};
use super::environments::{find, reviewers};
use super::objects;
use super::state::{Approval, Dispatch, Kind, Repo, Run, State};

pub(super) fn route(state: &mut State, repo: u64, call: &Call) -> Option<Answer> {
    let id = call.number("run_id");
    match call.operation.as_str() {
        "GET /actions/runs" => Some(list(state, state.repos.get(&repo)?, call)),
        "GET /actions/runs/{run_id}" => Some(with(state, repo, id, |repo, run| {
            Answer::ok(shown(state, repo, run))
        })),
        "POST /actions/runs/{run_id}/cancel" => Some(cancel(state, repo, id)),
        "GET /actions/runs/{run_id}/approvals" => Some(with(state, repo, id, |repo, run| {
            approvals(state, repo, run)
        })),
        "GET /actions/runs/{run_id}/pending_deployments" => {
            Some(with(state, repo, id, |repo, run| {
                pending(state, repo, run, call)
            }))
        }
        "POST /actions/runs/{run_id}/pending_deployments" => Some(review(state, repo, id, call)),
        "GET /actions/workflows" => {
            let repo = state.repos.get(&repo)?;
            let all = repo.workflows.iter().enumerate();
            let all = all.map(|(i, file)| shown_workflow(state, repo, i, file));
            Some(Answer::counted_page(call, "workflows", all.collect()))
        }
        "POST /actions/workflows/{workflow_id}/dispatches" => Some(dispatch(state, repo, call)),
        _ => None,
    }
}

fn with(state: &State, repo: u64, id: u64, answer: impl Fn(&Repo, &Run) -> Answer) -> Answer {
    let found = state
        .repos
        .get(&repo)
        .and_then(|repo| Some((repo, repo.runs.get(&id)?)));
    found.map_or_else(Answer::not_found, |(repo, run)| answer(repo, run))
}

/// Newest first. `status` asks for a status or a conclusion.
fn list(state: &State, repo: &Repo, call: &Call) -> Answer {
    let is = |name: &str, value: &str| call.asked(name).is_none_or(|asked| asked == value);
    let found = repo.runs.values().rev().filter(|run| {
        let conclusion = run.conclusion.as_deref().unwrap_or_default();
        (is("status", &run.status) || is("status", conclusion))
            && is("event", &run.event)
            && is("branch", &run.head_branch)
            && is("head_sha", &run.head_sha)
            && is("actor", &run.actor)
    });
    let runs = found.map(|run| shown(state, repo, run)).collect();
    Answer::counted_page(call, "workflow_runs", runs)
}

/// The open pull requests of this repository whose head matches; empty for a fork's run.
pub(super) fn pull_requests(repo: &Repo, run: &Run) -> Vec<Value> {
    if run.head_repo != Some(repo.id) {
        return vec![];
    }
    let brief = json!({ "id": repo.id, "name": repo.name });
    let matching = repo.pulls.values().filter(|pull| {
        pull.open && pull.head_repo == Some(repo.id) && pull.head_branch == run.head_branch
    });
    matching
        .map(|pull| {
            json!({
                "id": pull.id, "number": pull.number,
                "head": { "ref": pull.head_branch, "sha": pull.head_sha, "repo": brief },
                "base": { "ref": pull.base, "sha": pull.base_sha, "repo": brief },
            })
        })
        .collect()
}

/// A run as the API and, with few changes, the webhooks show it.
pub(super) fn shown(state: &State, repo: &Repo, run: &Run) -> Value {
    let head = run.head_repo.and_then(|id| state.repos.get(&id));
    json!({
        "id": run.id, "name": run.workflow.trim_end_matches(".yml"),
        "path": format!(".github/workflows/{}", run.workflow),
        "display_title": run.title, "event": run.event,
        "status": run.status, "conclusion": run.conclusion,
        "run_attempt": run.attempt, "run_number": run.id % 1_000, "workflow_id": workflow_id(repo, run),
        "head_branch": run.head_branch, "head_sha": run.head_sha,
        "pull_requests": pull_requests(repo, run),
        "actor": objects::user(state, &run.actor),
        "triggering_actor": objects::user(state, &run.actor),
        "repository": objects::brief_repository(state, repo),
        "head_repository": head.map_or(Value::Null, |head| objects::brief_repository(state, head)),
        "head_commit": head_commit(state, run),
        "html_url": format!("{}/actions/runs/{}", state.page_of(repo), run.id),
        "created_at": run.created_at.to_string(), "updated_at": run.updated_at.to_string(),
        "run_started_at": run.created_at.to_string(),
    })
}

fn head_commit(state: &State, run: &Run) -> Value {
    state
        .git
        .commits
        .get(&run.head_sha)
        .map_or(Value::Null, |commit| {
            let person = objects::person(commit);
            let person = json!({ "name": person["name"], "email": person["email"] });
            json!({
                "id": commit.sha, "tree_id": commit.tree(), "message": commit.message,
                "timestamp": commit.at.to_string(), "author": person, "committer": person,
            })
        })
}

fn shown_workflow(state: &State, repo: &Repo, place: usize, file: &String) -> Value {
    let name = file.trim_end_matches(".yml");
    let page = format!("{}/actions/workflows/{file}", state.page_of(repo));
    let at = repo.created_at.to_string();
    json!({
        "id": place + 1, "node_id": "unmodelled", "name": name, "path": format!(".github/workflows/{file}"),
        "state": if repo.inactive.contains(file) { "disabled_inactivity" } else { "active" },
        "created_at": at, "updated_at": at,
        "url": format!("{}/repos/{}/actions/workflows/{}", state.addresses.api, repo.slug(), place + 1),
        "html_url": page, "badge_url": format!("{page}/badge.svg"),
    })
}

fn workflow_id(repo: &Repo, run: &Run) -> usize {
    repo.workflows
        .iter()
        .position(|name| *name == run.workflow)
        .map_or(0, |i| i + 1)
}

fn cancel(state: &mut State, repo: u64, id: u64) -> Answer {
    let now = state.now();
    let run = state
        .repos
        .get_mut(&repo)
        .and_then(|repo| repo.runs.get_mut(&id));
    match run {
        None => Answer::not_found(),
        Some(run) if run.status == "completed" => {
            Answer::error(409, "Cannot cancel a workflow run that is completed.")
        }
        Some(run) => {
            run.status = "completed".to_owned();
            run.conclusion = Some("cancelled".to_owned());
            run.waiting_for.clear();
            run.updated_at = now;
            Answer::json(202, json!({}))
        }
    }
}

fn environment(repo: &Repo, name: &str) -> Value {
    find(repo, name).map_or(
        Value::Null,
        |environment| json!({ "id": environment.id, "name": environment.name }),
    )
}

fn approvals(state: &State, repo: &Repo, run: &Run) -> Answer {
    let shown = run.approvals.iter().map(|approval| {
        json!({
            "state": approval.state, "comment": approval.comment,
            "user": objects::user(state, &approval.login),
            "environments": [environment(repo, &approval.environment)],
        })
    });
    Answer::ok(Value::Array(shown.collect()))
}

fn pending(state: &State, repo: &Repo, run: &Run, call: &Call) -> Answer {
    let waiting = run.waiting_for.iter().filter_map(|name| {
        let found = find(repo, name)?;
        Some(json!({
            "environment": { "id": found.id, "name": found.name },
            "wait_timer": 0, "wait_timer_started_at": null,
            "current_user_can_approve": found.reviewers.contains(&call.login),
            "reviewers": reviewers(state, found),
        }))
    });
    Answer::ok(Value::Array(waiting.collect()))
}

/// Only a reviewer can decide; a workflow's own token never can.
fn review(state: &mut State, repo: u64, id: u64, call: &Call) -> Answer {
    if !call.kind.is_of_person() {
        return Answer::forbidden(call.kind);
    }
    let wanted = call.body["environment_ids"].clone();
    let names: Vec<String> = state
        .repos
        .get(&repo)
        .into_iter()
        .flat_map(|repo| &repo.environments)
        .filter(|e| {
            wanted
                .as_array()
                .is_some_and(|ids| ids.iter().any(|id| *id == e.id))
        })
        .filter(|e| e.reviewers.contains(&call.login))
        .map(|e| e.name.clone())
        .collect();
    if names.is_empty() {
        return Answer::error(
            422,
            "There are no pending deployment requests to approve or reject",
        );
    }
    for name in names {
        let comment = call.text("comment").unwrap_or_default();
        let verdict = call.text("state").unwrap_or_default();
        decide(state, repo, id, &name, verdict, &call.login, comment);
    }
    Answer::ok(json!([]))
}

/// Records a reviewer's decision; the run goes on when nothing else holds it, or fails when it was rejected.
pub(super) fn decide(
    state: &mut State,
    repo: u64,
    id: u64,
    environment: &str,
    verdict: &str,
    login: &str,
    comment: &str,
) {
    let now = state.now();
    state.user(login, Kind::User);
    let Some(run) = state
        .repos
        .get_mut(&repo)
        .and_then(|repo| repo.runs.get_mut(&id))
    else {
        return;
    };
    run.approvals.push(Approval {
        environment: environment.to_owned(),
        state: verdict.to_owned(),
        login: login.to_owned(),
        comment: comment.to_owned(),
    });
    run.updated_at = now;
    run.waiting_for
        .retain(|name| !name.eq_ignore_ascii_case(environment));
    if verdict == "rejected" {
        run.status = "completed".to_owned();
        run.conclusion = Some("failure".to_owned());
    } else if run.waiting_for.is_empty() {
        run.status = "in_progress".to_owned();
    }
}

fn dispatch(state: &mut State, id: u64, call: &Call) -> Answer {
    let reference = call.text("ref").unwrap_or_default().to_owned();
    let asked = call.parameter("workflow_id");
    let Some(repo) = state.repos.get(&id) else {
        return Answer::not_found();
    };
    let by_number = asked
        .parse::<usize>()
        .ok()
        .and_then(|n| repo.workflows.get(n.checked_sub(1)?));
    let Some(workflow) = by_number
        .or_else(|| repo.workflows.iter().find(|w| *w == asked))
        .cloned()
    else {
        return Answer::not_found();
    };
    let branch = reference.trim_start_matches("refs/heads/").to_owned();
    let Some(sha) = repo.branches.get(&branch).cloned() else {
        return Answer::error(422, &format!("No ref found for: {reference}"));
    };
    if let Some(refusal) = undeclared(repo, &workflow, &call.body["inputs"]) {
        return Answer::error(422, &refusal);
    }
    let run = new_run(
        state,
        id,
        &workflow,
        "workflow_dispatch",
        (&branch, &sha),
        &call.login,
    );
    let Some(repo) = state.repos.get_mut(&id) else {
        return Answer::not_found();
    };
    repo.dispatches.push(Dispatch {
        workflow,
        reference,
        inputs: call
            .body
            .get("inputs")
            .cloned()
            .unwrap_or_else(|| json!({})),
        login: call.login.clone(),
    });
    if call.flag("return_run_details") != Some(true) {
        return Answer::nothing();
    }
    Answer::ok(json!({
        "workflow_run_id": run,
        "run_url": format!("{}/actions/runs/{run}", call.url),
        "html_url": format!("{}/{}/actions/runs/{run}", state.addresses.pages, repo.slug()),
    }))
}

/// What is wrong with a dispatch of a workflow with these inputs, in GitHub's words.
fn undeclared(repo: &Repo, workflow: &str, inputs: &Value) -> Option<String> {
    let Some(declared) = repo.dispatch_inputs.get(workflow) else {
        return Some("Workflow does not have 'workflow_dispatch' trigger".to_owned());
    };
    let given = inputs
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name);
    let unexpected: Vec<&String> = given.filter(|name| !declared.contains(name)).collect();
    let told = || format!("Unexpected inputs provided: {}", json!(unexpected));
    (!unexpected.is_empty()).then(told)
}

/// Adds a queued run of a branch of the repository itself; returns its id.
pub(super) fn new_run(
    state: &mut State,
    repo: u64,
    workflow: &str,
    event: &str,
    (branch, sha): (&str, &str),
    actor: &str,
) -> u64 {
    let (id, now) = (state.id(), state.now());
    let message = state
        .git
        .commits
        .get(sha)
        .map(|commit| commit.message.clone());
    let run = Run {
        id,
        workflow: workflow.to_owned(),
        event: event.to_owned(),
        status: "queued".to_owned(),
        conclusion: None,
        attempt: 1,
        head_branch: branch.to_owned(),
        head_sha: sha.to_owned(),
        head_repo: Some(repo),
        title: message.unwrap_or_default(),
        actor: actor.to_owned(),
        created_at: now,
        updated_at: now,
        waiting_for: Vec::new(),
        approvals: Vec::new(),
    };
    if let Some(repo) = state.repos.get_mut(&repo) {
        repo.runs.insert(id, run);
    }
    id
}
