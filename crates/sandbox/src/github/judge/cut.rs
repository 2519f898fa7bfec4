//! Cuts GitHub's OpenAPI description down to what the sandbox answers and our programs ask.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// The operations that the cut-down copy describes, by path.
pub const OPERATIONS: &[(&str, &[&str])] = &[
    ("/rate_limit", &["get"]),
    ("/user", &["get"]),
    ("/users/{username}", &["get"]),
    (
        "/orgs/{org}/packages/{package_type}/{package_name}/versions",
        &["get"],
    ),
    (
        "/orgs/{org}/packages/{package_type}/{package_name}/versions/{package_version_id}",
        &["get", "delete"],
    ),
    (
        "/users/{username}/packages/{package_type}/{package_name}/versions",
        &["get"],
    ),
    (
        "/users/{username}/packages/{package_type}/{package_name}/versions/{package_version_id}",
        &["get", "delete"],
    ),
    ("/repos/{owner}/{repo}", &["get"]),
    ("/repos/{owner}/{repo}/actions/runs", &["get"]),
    ("/repos/{owner}/{repo}/actions/runs/{run_id}", &["get"]),
    (
        "/repos/{owner}/{repo}/actions/runs/{run_id}/approvals",
        &["get"],
    ),
    (
        "/repos/{owner}/{repo}/actions/runs/{run_id}/cancel",
        &["post"],
    ),
    (
        "/repos/{owner}/{repo}/actions/runs/{run_id}/pending_deployments",
        &["get", "post"],
    ),
    ("/repos/{owner}/{repo}/actions/workflows", &["get"]),
    (
        "/repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches",
        &["post"],
    ),
    (
        "/repos/{owner}/{repo}/attestations/{subject_digest}",
        &["get"],
    ),
    (
        "/repos/{owner}/{repo}/collaborators/{username}/permission",
        &["get"],
    ),
    ("/repos/{owner}/{repo}/commits/{commit_sha}/pulls", &["get"]),
    ("/repos/{owner}/{repo}/commits/{ref}", &["get"]),
    ("/repos/{owner}/{repo}/commits/{ref}/status", &["get"]),
    ("/repos/{owner}/{repo}/commits/{ref}/statuses", &["get"]),
    ("/repos/{owner}/{repo}/compare/{basehead}", &["get"]),
    ("/repos/{owner}/{repo}/contents/{path}", &["get"]),
    ("/repos/{owner}/{repo}/deployments", &["get", "post"]),
    (
        "/repos/{owner}/{repo}/deployments/{deployment_id}",
        &["get", "delete"],
    ),
    (
        "/repos/{owner}/{repo}/deployments/{deployment_id}/statuses",
        &["get", "post"],
    ),
    ("/repos/{owner}/{repo}/environments", &["get"]),
    (
        "/repos/{owner}/{repo}/environments/{environment_name}",
        &["get"],
    ),
    (
        "/repos/{owner}/{repo}/environments/{environment_name}/deployment-branch-policies",
        &["get"],
    ),
    ("/repos/{owner}/{repo}/git/blobs/{file_sha}", &["get"]),
    ("/repos/{owner}/{repo}/git/commits/{commit_sha}", &["get"]),
    ("/repos/{owner}/{repo}/git/matching-refs/{ref}", &["get"]),
    ("/repos/{owner}/{repo}/git/ref/{ref}", &["get"]),
    ("/repos/{owner}/{repo}/git/trees/{tree_sha}", &["get"]),
    ("/repos/{owner}/{repo}/issues", &["get"]),
    (
        "/repos/{owner}/{repo}/issues/comments/{comment_id}",
        &["get", "patch", "delete"],
    ),
    (
        "/repos/{owner}/{repo}/issues/comments/{comment_id}/reactions",
        &["get", "post"],
    ),
    (
        "/repos/{owner}/{repo}/issues/{issue_number}/comments",
        &["get", "post"],
    ),
    (
        "/repos/{owner}/{repo}/issues/{issue_number}/labels",
        &["get", "post"],
    ),
    (
        "/repos/{owner}/{repo}/issues/{issue_number}/labels/{name}",
        &["delete"],
    ),
    ("/repos/{owner}/{repo}/labels", &["get", "post"]),
    (
        "/repos/{owner}/{repo}/labels/{name}",
        &["get", "patch", "delete"],
    ),
    ("/repos/{owner}/{repo}/pulls", &["get"]),
    ("/repos/{owner}/{repo}/pulls/{pull_number}", &["get"]),
    (
        "/repos/{owner}/{repo}/pulls/{pull_number}/commits",
        &["get"],
    ),
    ("/repos/{owner}/{repo}/pulls/{pull_number}/files", &["get"]),
    ("/repos/{owner}/{repo}/statuses/{sha}", &["post"]),
];

/// The webhooks that the cut-down copy describes.
pub const WEBHOOKS: &[&str] = &[
    "issue-comment-created",
    "merge-group-checks-requested",
    "pull-request-closed",
    "push",
    "workflow-dispatch",
    "workflow-run-completed",
];

/// Prose and ornament: dropped wherever they are not themselves the name of a property.
const DROPPED: &[&str] = &[
    "default",
    "deprecated",
    "description",
    "discriminator",
    "example",
    "examples",
    "externalDocs",
    "headers",
    "links",
    "operationId",
    "summary",
    "tags",
    "title",
];

/// Keys whose value maps names of other people's choosing to objects.
const NAME_MAPS: &[&str] = &[
    "content",
    "parameters",
    "paths",
    "patternProperties",
    "properties",
    "responses",
    "schemas",
    "x-webhooks",
];

/// The part of a whole description that [`OPERATIONS`] and [`WEBHOOKS`] need, without prose.
///
/// # Errors
/// When the whole description lacks one of them.
pub fn cut_down(whole: &Value) -> Result<Value, String> {
    let mut paths = Map::new();
    for (path, methods) in OPERATIONS {
        let mut kept = Map::new();
        for method in *methods {
            let operation = whole["paths"][*path]
                .get(*method)
                .ok_or_else(|| format!("{method} {path} is not described"))?;
            kept.insert((*method).to_owned(), operation.clone());
        }
        paths.insert((*path).to_owned(), Value::Object(kept));
    }
    let mut webhooks = Map::new();
    for name in WEBHOOKS {
        let webhook = whole["x-webhooks"]
            .get(*name)
            .ok_or_else(|| format!("webhook {name} is not described"))?;
        webhooks.insert((*name).to_owned(), webhook.clone());
    }
    let mut cut = json!({
        "openapi": whole["openapi"],
        "info": { "version": whole["info"]["version"] },
        "paths": strip_map(&Value::Object(paths)),
        "x-webhooks": strip_map(&Value::Object(webhooks)),
    });
    cut["components"] = components(whole, &cut)?;
    Ok(cut)
}

/// Every component that `cut` refers to, directly or through another.
fn components(whole: &Value, cut: &Value) -> Result<Value, String> {
    let mut kept: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    let mut wanted = BTreeSet::new();
    references(cut, &mut wanted);
    while let Some(reference) = wanted.pop_first() {
        let pointer = reference.trim_start_matches('#');
        let [kind, name] = pointer
            .strip_prefix("/components/")
            .and_then(|rest| rest.split_once('/'))
            .map(|(kind, name)| [kind.to_owned(), name.to_owned()])
            .ok_or_else(|| format!("{reference} is no component"))?;
        if kept
            .get(&kind)
            .is_some_and(|names| names.contains_key(&name))
        {
            continue;
        }
        let component = whole
            .pointer(pointer)
            .ok_or_else(|| format!("{reference} is not described"))?;
        let component = strip(component);
        references(&component, &mut wanted);
        kept.entry(kind).or_default().insert(name, component);
    }
    serde_json::to_value(kept).map_err(|error| error.to_string())
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(map) => {
            if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                found.insert(reference.to_owned());
            }
            map.values().for_each(|value| references(value, found));
        }
        _ => {}
    }
}

fn strip(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(strip).collect(),
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| !DROPPED.contains(&key.as_str()) && !key.starts_with("x-"))
            .map(|(key, value)| {
                let names = NAME_MAPS.contains(&key.as_str()) && value.is_object();
                (
                    key.clone(),
                    if names {
                        strip_map(value)
                    } else {
                        strip(value)
                    },
                )
            })
            .collect(),
        _ => value.clone(),
    }
}

fn strip_map(value: &Value) -> Value {
    let map = value.as_object().into_iter().flatten();
    map.map(|(name, value)| (name.clone(), strip(value)))
        .collect()
}

/// The copy as text: one line per path, webhook and component, so that a new version shows as a readable difference.
#[must_use]
pub fn write_down(cut: &Value) -> String {
    let mut text = String::from("{\n");
    for key in ["openapi", "info", "x-cut-from"] {
        let _ = writeln!(text, "\"{key}\": {},", cut[key]);
    }
    for key in ["paths", "x-webhooks"] {
        let _ = writeln!(text, "\"{key}\": {},", lines(&cut[key]));
    }
    let kinds = cut["components"].as_object().into_iter().flatten();
    let kinds: Vec<String> = kinds
        .map(|(kind, names)| format!("\"{kind}\": {}", lines(names)))
        .collect();
    let _ = write!(text, "\"components\": {{\n{}\n}}\n}}\n", kinds.join(",\n"));
    text
}

fn lines(map: &Value) -> String {
    let entries: Vec<String> = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{}: {value}", Value::from(name.as_str())))
        .collect();
    format!("{{\n{}\n}}", entries.join(",\n"))
}
