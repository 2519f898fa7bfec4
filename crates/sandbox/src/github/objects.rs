//! How the state's things look as GitHub's JSON. Only what is modelled: the judge fills in the rest.

use serde_json::{Value, json};

use super::git::Commit;
use super::state::{Kind, Label, Permission, Pull, Repo, State};

pub(super) fn user(state: &State, login: &str) -> Value {
    let Some(user) = state.users.get(login) else {
        return Value::Null;
    };
    let kind = match user.kind {
        Kind::User => "User",
        Kind::Organization => "Organization",
        Kind::Bot => "Bot",
    };
    let page = login.trim_end_matches("[bot]");
    json!({
        "login": login, "id": user.id, "type": kind, "site_admin": false,
        "html_url": format!("{}/{page}", state.addresses.pages),
    })
}

/// The App that a bot belongs to; null of a person.
pub(super) fn app(state: &State, login: &str) -> Value {
    let bot = state.users.get(login).filter(|user| user.kind == Kind::Bot);
    let slug = login.trim_end_matches("[bot]");
    bot.map_or(Value::Null, |bot| {
        json!({ "id": bot.id, "slug": slug, "name": slug, "html_url": format!("{}/apps/{slug}", state.addresses.pages) })
    })
}

/// A repository as every schema has it.
pub(super) fn brief_repository(state: &State, repo: &Repo) -> Value {
    json!({
        "id": repo.id, "name": repo.name, "full_name": repo.slug(),
        "owner": user(state, &repo.owner),
        "private": repo.private, "fork": repo.fork_of.is_some(),
        "html_url": format!("{}", state.page_of(repo)),
        "description": null,
    })
}

pub(super) fn repository(state: &State, repo: &Repo) -> Value {
    let mut value = brief_repository(state, repo);
    value["default_branch"] = json!(repo.default_branch);
    value["visibility"] = json!(if repo.private { "private" } else { "public" });
    value["created_at"] = json!(repo.created_at.to_string());
    value
}

pub(super) fn label(label: &Label) -> Value {
    json!({
        "id": label.id, "name": label.name, "color": label.color,
        "description": label.description, "default": false,
    })
}

/// The labels of an issue, in the order they were added.
pub(super) fn labels_of(repo: &Repo, pull: &Pull) -> Vec<Value> {
    let known = |name: &String| repo.labels.iter().find(|label| label.name == *name);
    pull.labels.iter().filter_map(known).map(label).collect()
}

/// A pull request as lists show it.
pub(super) fn listed_pull(state: &State, repo: &Repo, pull: &Pull) -> Value {
    let link = format!("{}/pull/{}", state.page_of(repo), pull.number);
    let head = pull.head_repo.and_then(|id| state.repos.get(&id));
    let shown_merge = if pull.lag > 0 {
        &pull.stale_merge_commit_sha
    } else {
        &pull.merge_commit_sha
    };
    json!({
        "id": pull.id, "number": pull.number, "title": pull.title, "body": pull.body,
        "state": if pull.open { "open" } else { "closed" },
        "draft": pull.draft, "locked": false, "html_url": link,
        "user": user(state, &pull.author),
        "author_association": association(repo, &pull.author),
        "labels": labels_of(repo, pull),
        "head": {
            "label": format!("{}:{}", pull.head_owner, pull.head_branch),
            "ref": pull.head_branch, "sha": pull.head_sha,
            "repo": head.map_or(Value::Null, |head| repository(state, head)),
            "user": user(state, &pull.head_owner),
        },
        "base": {
            "label": format!("{}:{}", repo.owner, pull.base),
            "ref": pull.base, "sha": pull.base_sha,
            "repo": repository(state, repo), "user": user(state, &repo.owner),
        },
        "merge_commit_sha": shown_merge,
        "created_at": pull.created_at.to_string(), "updated_at": pull.updated_at.to_string(),
        "closed_at": pull.closed_at.map(|at| at.to_string()),
        "merged_at": pull.merged.as_ref().map(|merged| merged.at.to_string()),
    })
}

/// A pull request asked for by itself.
pub(super) fn pull(state: &State, repo: &Repo, pull: &Pull) -> Value {
    let mut value = listed_pull(state, repo, pull);
    let base = state
        .git
        .merge_base(&pull.base_sha, &pull.head_sha)
        .unwrap_or_default();
    let changed = super::git::differing(&state.git.files(&base), &state.git.files(&pull.head_sha));
    let mergeable = pull.mergeable.filter(|_| pull.lag == 0 && pull.open);
    let how = match mergeable {
        Some(true) => "clean",
        Some(false) => "dirty",
        None => "unknown",
    };
    value["merged"] = json!(pull.merged.is_some());
    value["merged_by"] = pull
        .merged
        .as_ref()
        .map_or(Value::Null, |merged| user(state, &merged.by));
    value["mergeable"] = json!(mergeable);
    value["mergeable_state"] = json!(how);
    value["changed_files"] = json!(changed.len());
    value["commits"] = json!(state.git.between(&pull.base_sha, &pull.head_sha).len());
    let comments = repo
        .comments
        .values()
        .filter(|comment| comment.issue == pull.number);
    value["comments"] = json!(comments.count());
    value
}

/// What GitHub calls a person in relation to a repository.
pub(super) fn association(repo: &Repo, login: &str) -> &'static str {
    if login.eq_ignore_ascii_case(&repo.owner) {
        return "OWNER";
    }
    let merged = repo
        .pulls
        .values()
        .any(|pull| pull.author == login && pull.merged.is_some());
    match repo.permission(login) {
        Some(Permission::Read) | None if merged => "CONTRIBUTOR",
        None => "NONE",
        Some(_) => "COLLABORATOR",
    }
}

/// A commit as `commits/{ref}` tells it.
pub(super) fn commit(state: &State, repo: &Repo, commit: &Commit) -> Value {
    let parents: Vec<Value> = commit
        .parents
        .iter()
        .map(|sha| json!({ "sha": sha }))
        .collect();
    let person = person(commit);
    json!({
        "sha": commit.sha,
        "html_url": format!("{}/commit/{}", state.page_of(repo), commit.sha),
        "commit": {
            "message": commit.message, "tree": { "sha": commit.tree() },
            "author": person, "committer": person,
        },
        "author": user(state, &commit.author), "committer": user(state, &commit.author),
        "parents": parents,
    })
}

pub(super) fn person(commit: &Commit) -> Value {
    json!({
        "name": commit.author, "date": commit.at.to_string(),
        "email": format!("{}@users.noreply.github.com", commit.author.replace(['[', ']'], "")),
    })
}
