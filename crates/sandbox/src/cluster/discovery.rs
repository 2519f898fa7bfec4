//! Discovery: which groups, versions and resources there are. It lists what is modelled, as far as it is installed.
//! <https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api>

use std::collections::BTreeSet;

use axum::Json;
use axum::http::header::ACCEPT;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::api::{Asked, Shared, lock};
use super::kinds::Resource;
use super::refusal::Refusal;

/// Answers what is asked of the API itself; none where it is asked about an object.
pub(super) fn answer(shared: &Shared, asked: &Asked) -> Result<Option<Response>, Refusal> {
    let steps: Vec<_> = asked.path.trim_matches('/').split('/').collect();
    let found = match steps.as_slice() {
        ["api"] => Some(json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        })),
        ["api", "v1"] => resources(shared, ""),
        ["apis"] => Some(groups(shared)),
        ["apis", name] => served(shared, name).then(|| group(name, true)),
        ["apis", name, version] if version.starts_with('v') => match *version {
            "v1" => resources(shared, name),
            _ => None,
        },
        _ => return Ok(None),
    };
    let accepted = asked.headers.get(ACCEPT).map(|value| value.as_bytes());
    let aggregated =
        accepted.is_some_and(|accepted| accepted.windows(3).any(|part| part == b"as="));
    if asked.method != Method::GET || aggregated {
        return Err(asked.not_modelled());
    }
    Ok(Some(found.map_or_else(nothing_here, |found| {
        Json(found).into_response()
    })))
}

/// What the API server says of a path that it does not have: no `Status`.
pub(super) fn nothing_here() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

fn of_group(shared: &Shared, group: &str) -> Vec<&'static Resource> {
    let state = lock(shared);
    let all = Resource::all().iter();
    all.filter(|resource| resource.group == group && state.serves(resource))
        .collect()
}

fn served(shared: &Shared, group: &str) -> bool {
    !group.is_empty() && !of_group(shared, group).is_empty()
}

fn groups(shared: &Shared) -> Value {
    let all = Resource::all().iter().map(|resource| resource.group);
    let all: BTreeSet<_> = all.filter(|group| served(shared, group)).collect();
    let all: Vec<_> = all.into_iter().map(|name| group(name, false)).collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": all })
}

fn group(name: &str, alone: bool) -> Value {
    let version = json!({ "groupVersion": format!("{name}/v1"), "version": "v1" });
    let mut group = json!({ "name": name, "versions": [version], "preferredVersion": version });
    if alone {
        group["kind"] = json!("APIGroup");
        group["apiVersion"] = json!("v1");
    }
    group
}

fn resources(shared: &Shared, group: &str) -> Option<Value> {
    let all = of_group(shared, group);
    let api_version = all.first()?.api_version();
    let all: Vec<_> = all
        .into_iter()
        .map(|resource| {
            json!({
                "name": resource.plural,
                "singularName": resource.kind.to_lowercase(),
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
            })
        })
        .collect();
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version,
        "resources": all,
    }))
}
