//! GitHub environments: who must approve, and from which branches they may be used.

use serde_json::{Value, json};

use super::call::{Answer, Call};
use super::objects;
use super::state::{Branches, Environment, Repo, State};

pub(super) fn route(state: &mut State, repo: u64, call: &Call) -> Option<Answer> {
    let state = &*state;
    let repo = state.repos.get(&repo)?;
    match call.operation.as_str() {
        "GET /environments" => {
            let all = repo.environments.iter().map(|e| shown(state, repo, e));
            Some(Answer::counted_page(call, "environments", all.collect()))
        }
        "GET /environments/{environment_name}" => {
            let found = find(repo, call.parameter("environment_name"));
            Some(found.map_or_else(Answer::not_found, |e| Answer::ok(shown(state, repo, e))))
        }
        "GET /environments/{environment_name}/deployment-branch-policies" => {
            let found = find(repo, call.parameter("environment_name"));
            Some(found.map_or_else(Answer::not_found, |e| policies(e, call)))
        }
        _ => None,
    }
}

/// Names are compared without case.
pub(super) fn find<'a>(repo: &'a Repo, name: &str) -> Option<&'a Environment> {
    repo.environments
        .iter()
        .find(|e| e.name.eq_ignore_ascii_case(name))
}

/// Naming an environment that does not exist creates it, unprotected.
pub(super) fn mention(state: &mut State, repo: u64, name: &str) {
    let id = state.id();
    if let Some(repo) = state
        .repos
        .get_mut(&repo)
        .filter(|repo| find(repo, name).is_none())
    {
        repo.environments.push(Environment {
            id,
            ..Environment::new(name)
        });
    }
}

/// The people who may approve, as the API lists them.
pub(super) fn reviewers(state: &State, environment: &Environment) -> Vec<Value> {
    let person =
        |login: &String| json!({ "type": "User", "reviewer": objects::user(state, login) });
    environment.reviewers.iter().map(person).collect()
}

fn shown(state: &State, repo: &Repo, environment: &Environment) -> Value {
    let mut rules = Vec::new();
    if !environment.reviewers.is_empty() {
        rules.push(json!({
            "id": environment.id * 10 + 1, "node_id": "unmodelled", "type": "required_reviewers",
            "prevent_self_review": false, "reviewers": reviewers(state, environment),
        }));
    }
    if environment.branches != Branches::All {
        rules.push(json!({
            "id": environment.id * 10 + 2, "node_id": "unmodelled", "type": "branch_policy",
        }));
    }
    let policy = match &environment.branches {
        Branches::All => Value::Null,
        Branches::Protected => {
            json!({ "protected_branches": true, "custom_branch_policies": false })
        }
        Branches::Named(_) => {
            json!({ "protected_branches": false, "custom_branch_policies": true })
        }
    };
    json!({
        "id": environment.id, "name": environment.name,
        "html_url": format!("{}/settings/environments/{}", state.page_of(repo), environment.id),
        "protection_rules": rules, "deployment_branch_policy": policy,
    })
}

fn policies(environment: &Environment, call: &Call) -> Answer {
    let names: &[String] = match &environment.branches {
        Branches::Named(names) => names,
        Branches::All | Branches::Protected => &[],
    };
    let policy = |(i, name): (usize, &String)| json!({ "id": environment.id * 100 + i as u64, "name": name, "type": "branch" });
    let all = names.iter().enumerate().map(policy).collect();
    Answer::counted_page(call, "branch_policies", all)
}
