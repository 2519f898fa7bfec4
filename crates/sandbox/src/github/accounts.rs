//! Repositories themselves, users, permissions, rate limits and packages.

use serde_json::{Value, json};

use super::call::{Answer, Call};
use super::objects;
use super::state::{Kind, PackageVersion, Permission, State, Token};

/// Above so many downloads a public version cannot be deleted.
const MOST_DOWNLOADS: u64 = 5_000;

pub(super) fn route_in_repo(state: &mut State, repo: u64, call: &Call) -> Option<Answer> {
    match call.operation.as_str() {
        "GET " => Some(Answer::ok(objects::repository(
            state,
            state.repos.get(&repo)?,
        ))),
        "GET /collaborators/{username}/permission" => Some(permission(state, repo, call)),
        _ => None,
    }
}

pub(super) fn route(state: &mut State, call: &Call, token: &Token) -> Option<Answer> {
    // Whether GitHub says 403 or 404 to them is not known.
    if call.operation.contains("/packages/") && !call.kind.reaches_packages() {
        return Some(Answer::forbidden(call.kind));
    }
    match call.operation.as_str() {
        "GET /rate_limit" => Some(rate_limit(token)),
        "GET /user" if !call.kind.is_of_person() => Some(Answer::forbidden(call.kind)),
        "GET /user" => Some(user(state, &call.login)),
        "GET /users/{username}" => Some(user(state, call.parameter("username"))),
        "GET /orgs/{org}/packages/{package_type}/{package_name}/versions" => {
            Some(versions(state, call, "org", Kind::Organization))
        }
        "GET /users/{username}/packages/{package_type}/{package_name}/versions" => {
            Some(versions(state, call, "username", Kind::User))
        }
        "GET /orgs/{org}/packages/{package_type}/{package_name}/versions/{package_version_id}" => {
            Some(version(state, call, "org", Kind::Organization))
        }
        "GET /users/{username}/packages/{package_type}/{package_name}/versions/{package_version_id}" => {
            Some(version(state, call, "username", Kind::User))
        }
        "DELETE /orgs/{org}/packages/{package_type}/{package_name}/versions/{package_version_id}" => {
            Some(delete_version(state, call, "org", Kind::Organization))
        }
        "DELETE /users/{username}/packages/{package_type}/{package_name}/versions/{package_version_id}" => {
            Some(delete_version(state, call, "username", Kind::User))
        }
        _ => None,
    }
}

fn user(state: &State, login: &str) -> Answer {
    match objects::user(state, login) {
        Value::Null => Answer::not_found(),
        mut user => {
            user["user_view_type"] = json!("public");
            Answer::ok(user)
        }
    }
}

fn permission(state: &State, repo: u64, call: &Call) -> Answer {
    let login = call.parameter("username");
    let (Some(repo), true) = (state.repos.get(&repo), state.users.contains_key(login)) else {
        return Answer::not_found();
    };
    // Everybody may read a public repository.
    let everybody = Some(Permission::Read).filter(|_| !repo.private);
    let (permission, role) = match repo.permission(login).or(everybody) {
        Some(Permission::Admin) => ("admin", "admin"),
        Some(Permission::Maintain) => ("write", "maintain"),
        Some(Permission::Write) => ("write", "write"),
        Some(Permission::Triage) => ("read", "triage"),
        Some(Permission::Read) => ("read", "read"),
        None => ("none", "none"),
    };
    let mut user = objects::user(state, login);
    user["role_name"] = json!(role);
    Answer::ok(json!({ "permission": permission, "role_name": role, "user": user }))
}

fn rate_limit(token: &Token) -> Answer {
    let quota = token.quota();
    let reset = token.reset;
    let core = json!({
        "limit": quota, "remaining": token.remaining, "used": quota - token.remaining, "reset": reset,
    });
    let search = json!({ "limit": 30, "remaining": 30, "used": 0, "reset": reset });
    Answer::ok(json!({ "resources": { "core": core, "search": search }, "rate": core }))
}

/// The indices of a package's versions, newest first; `None` when its owner is of the other kind.
fn of_package(state: &State, call: &Call, owner: &str, kind: Kind) -> Option<Vec<usize>> {
    let login = call.parameter(owner);
    let known = state
        .users
        .iter()
        .any(|(l, u)| l.eq_ignore_ascii_case(login) && u.kind == kind);
    if !known || call.parameter("package_type") != "container" {
        return None;
    }
    let name = call.parameter("package_name");
    let matching = |(_, v): &(usize, &PackageVersion)| {
        v.owner.eq_ignore_ascii_case(login) && v.package == name
    };
    let found = state.packages.iter().enumerate().rev().filter(matching);
    Some(found.map(|(i, _)| i).collect())
}

fn shown(version: &PackageVersion) -> Value {
    let at = version.created_at.to_string();
    json!({
        "id": version.id, "name": version.digest, "created_at": at, "updated_at": at,
        "metadata": { "package_type": "container", "container": { "tags": version.tags } },
    })
}

fn versions(state: &State, call: &Call, owner: &str, kind: Kind) -> Answer {
    match of_package(state, call, owner, kind) {
        Some(found) if !found.is_empty() => Answer::page(
            call,
            found
                .into_iter()
                .map(|i| shown(&state.packages[i]))
                .collect(),
        ),
        _ => Answer::error(404, "Package not found."),
    }
}

fn find(state: &State, call: &Call, owner: &str, kind: Kind) -> Option<usize> {
    let id = call.number("package_version_id");
    let mut found = of_package(state, call, owner, kind)?.into_iter();
    found.find(|i| state.packages[*i].id == id)
}

fn version(state: &State, call: &Call, owner: &str, kind: Kind) -> Answer {
    find(state, call, owner, kind)
        .map_or_else(Answer::not_found, |i| Answer::ok(shown(&state.packages[i])))
}

/// Needs admin on the package. What goes is the manifest with all its tags.
fn delete_version(state: &mut State, call: &Call, owner: &str, kind: Kind) -> Answer {
    let Some(i) = find(state, call, owner, kind) else {
        return Answer::not_found();
    };
    if !state.package_admins.contains(&call.login) {
        return Answer::error(403, "You need admin access to the package.");
    }
    if state.packages[i].downloads > MOST_DOWNLOADS {
        return Answer::error(
            400,
            "Publicly visible package versions with more than 5000 downloads cannot be deleted. Contact GitHub support for further assistance.",
        );
    }
    let gone = state.packages.remove(i);
    if let Some(hook) = &state.on_package_deleted {
        hook(&gone);
    }
    Answer::nothing()
}
