//! What clients write.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::api::{Asked, Place};
use super::controllers::garbage::orphan;
use super::kinds::Resource;
use super::managers::{self, Manager};
use super::refusal::Refusal;
use super::state::State;
use super::{apply, fields, schema};

const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";

/// The manager of writes that do not name theirs.
const UNNAMED: &str = "unknown";

fn manager(asked: &Asked) -> &str {
    asked.parameter("fieldManager").unwrap_or(UNNAMED)
}

fn answer(status: StatusCode, object: &Value) -> Response {
    (status, Json(object)).into_response()
}

/// The body, which has to be of the kind that the path names.
fn body(asked: &Asked, place: &Place<'_>) -> Result<Value, Refusal> {
    let body = asked.json()?;
    let (kind, version) = (place.resource.kind, place.resource.api_version());
    let differs = |key: &str, wanted: &str| body.get(key).is_some_and(|value| value != wanted);
    if differs("kind", kind) || differs("apiVersion", &version) {
        let (group, version) = match body["apiVersion"].as_str().unwrap_or_default() {
            version if version.contains('/') => version.split_once('/').unwrap_or_default(),
            version => ("", version),
        };
        let kind = body["kind"].as_str().unwrap_or_default();
        let message = format!("invalid object type: {group}/{version}, Kind={kind}");
        return Err(Refusal::bad_request(message));
    }
    let namespace = body["metadata"]["namespace"].as_str();
    if let (Some(named), Some(namespace)) = (place.namespace, namespace)
        && named != namespace
    {
        return Err(Refusal::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(body)
}

/// Strict decoding of what is not applied: the first field that the kind does not have.
fn strictly(place: &Place<'_>, asked: &Asked, body: &Value) -> Result<(), Refusal> {
    let strict = asked.parameter("fieldValidation") == Some("Strict");
    match schema::mistake(&schema::of_kind(place.resource.kind), body) {
        Some(mistake) if strict || !mistake.ends_with("not declared in schema") => {
            let field = mistake
                .split(':')
                .next()
                .unwrap_or_default()
                .trim_start_matches('.');
            let (kind, version) = (place.resource.kind, place.resource.api_version());
            Err(Refusal::bad_request(format!(
                "{kind} in version {:?} cannot be handled as a {kind}: strict decoding error: unknown field {field:?}",
                version.rsplit('/').next().unwrap_or_default()
            )))
        }
        _ => Ok(()),
    }
}

pub(super) fn create(
    state: &mut State,
    asked: &Asked,
    place: &Place<'_>,
) -> Result<Response, Refusal> {
    asked.only(&["fieldManager", "fieldValidation"])?;
    let body = body(asked, place)?;
    strictly(place, asked, &body)?;
    let body = apply::take_over(place.resource, None, body, manager(asked));
    let namespace = place.namespace.unwrap_or_default();
    let made = state.create(place.resource, namespace, body)?;
    Ok(answer(StatusCode::CREATED, &made))
}

pub(super) fn update(
    state: &mut State,
    asked: &Asked,
    place: &Place<'_>,
    name: &str,
) -> Result<Response, Refusal> {
    asked.only(&["fieldManager", "fieldValidation"])?;
    let mut next = body(asked, place)?;
    strictly(place, asked, &next)?;
    named(&next, name)?;
    let key = place.key(name);
    let live = state.store.get(&key).cloned();
    let live = live.ok_or_else(|| Refusal::not_found(place.resource, name))?;
    next["metadata"]["managedFields"] = live["metadata"]["managedFields"].clone();
    let next = apply::take_over(place.resource, Some(&live), next, manager(asked));
    let written = state.replace(place.resource, &key, next)?;
    Ok(answer(StatusCode::OK, &written))
}

fn named(object: &Value, name: &str) -> Result<(), Refusal> {
    let own = object["metadata"]["name"].as_str().unwrap_or_default();
    if own == name {
        return Ok(());
    }
    Err(Refusal::bad_request(format!(
        "the name of the object ({own}) does not match the name on the URL ({name})"
    )))
}

pub(super) fn patch(
    state: &mut State,
    asked: &Asked,
    place: &Place<'_>,
    name: &str,
) -> Result<Response, Refusal> {
    match asked.content_type() {
        APPLY => match asked.parameter("dryRun") {
            Some("All") => rehearsed(state, asked, place, name),
            Some(_) => Err(asked.not_modelled()),
            None => applied(state, asked, place, name),
        },
        MERGE => merge(state, asked, place, name),
        _ => Err(asked.not_modelled()),
    }
}

fn applied(
    state: &mut State,
    asked: &Asked,
    place: &Place<'_>,
    name: &str,
) -> Result<Response, Refusal> {
    let (status, object) = server_side_apply(state, asked, place, name)?;
    Ok(answer(status, &object))
}

/// A dry run: all of an apply, admission included, of which nothing is kept. The version is that of what is there; what
/// would be created has none.
/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>
fn rehearsed(
    state: &mut State,
    asked: &Asked,
    place: &Place<'_>,
    name: &str,
) -> Result<Response, Refusal> {
    let live = state.store.get(&place.key(name)).cloned();
    let checkpoint = state.store.checkpoint();
    let outcome = server_side_apply(state, asked, place, name);
    state.store.restore(checkpoint);
    let (status, object) = outcome?;
    let mut object = Value::clone(&object);
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
        let version = live.map(|live| live["metadata"]["resourceVersion"].clone());
        metadata.extend(version.map(|version| ("resourceVersion".to_owned(), version)));
    }
    Ok(answer(status, &object))
}

fn server_side_apply(
    state: &mut State,
    asked: &Asked,
    place: &Place<'_>,
    name: &str,
) -> Result<(StatusCode, Arc<Value>), Refusal> {
    asked.only(&["dryRun", "fieldManager", "fieldValidation", "force"])?;
    let resource = place.resource;
    let applied = asked.json()?;
    let Some(manager) = asked.parameter("fieldManager") else {
        return Err(Refusal::no_manager());
    };
    if let Some(mistake) = schema::mistake(&schema::of_kind(resource.kind), &applied) {
        let namespace = applied["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default();
        return Err(Refusal::untyped(
            resource,
            &format!("{namespace}/{name}"),
            &mistake,
        ));
    }
    if applied["metadata"].get("managedFields").is_some() {
        return Err(Refusal::bad_request("metadata.managedFields must be nil"));
    }
    let applied = body(asked, place)?;
    let force = asked.parameter("force") == Some("true");
    let key = place.key(name);
    let condition = |key: &str| {
        applied["metadata"][key]
            .as_str()
            .filter(|text| !text.is_empty())
    };
    let Some(live) = state.store.get(&key).cloned() else {
        if let Some(uid) = condition("uid") {
            return Err(Refusal::no_object_of_uid(resource, name, uid));
        }
        let mut made = apply::merge(
            resource,
            &json!({ "metadata": {} }),
            &applied,
            manager,
            force,
        )?;
        made["metadata"]["name"] = json!(name);
        named(&applied, name)?;
        let namespace = place.namespace.unwrap_or_default();
        let made = state.create(resource, namespace, made)?;
        return Ok((StatusCode::CREATED, made));
    };
    let mut next = apply::merge(resource, &live, &applied, manager, force)?;
    named(&applied, name)?;
    for key in ["uid", "resourceVersion"] {
        if let Some(value) = condition(key) {
            next["metadata"][key] = json!(value);
        }
    }
    let written = state.replace(resource, &key, next)?;
    Ok((StatusCode::OK, written))
}

/// <https://www.rfc-editor.org/rfc/rfc7386>
fn merged(target: &Value, patch: &Value) -> Value {
    let Some(changes) = patch.as_object() else {
        return patch.clone();
    };
    let mut merged = target.as_object().cloned().unwrap_or_default();
    for (key, change) in changes {
        if change.is_null() {
            merged.remove(key);
        } else {
            let inner = merged.get(key).cloned().unwrap_or_default();
            merged.insert(key.clone(), self::merged(&inner, change));
        }
    }
    Value::Object(merged)
}

fn merge(
    state: &mut State,
    asked: &Asked,
    place: &Place<'_>,
    name: &str,
) -> Result<Response, Refusal> {
    asked.only(&["fieldManager"])?;
    let patch = asked.json()?;
    let key = place.key(name);
    let live = state.store.get(&key).cloned();
    let live = live.ok_or_else(|| Refusal::not_found(place.resource, name))?;
    let next = merged(&live, &patch);
    let next = apply::take_over(place.resource, Some(&live), next, manager(asked));
    let written = state.replace(place.resource, &key, next)?;
    Ok(answer(StatusCode::OK, &written))
}

pub(super) fn patch_status(
    state: &mut State,
    asked: &Asked,
    place: &Place<'_>,
    name: &str,
) -> Result<Response, Refusal> {
    asked.only(&["fieldManager"])?;
    if asked.content_type() != MERGE {
        return Err(asked.not_modelled());
    }
    let patch = asked.json()?;
    let key = place.key(name);
    let live = state.store.get(&key).cloned();
    let live = live.ok_or_else(|| Refusal::not_found(place.resource, name))?;
    let status = merged(&live["status"], &patch["status"]);
    let owned = fields::of(
        &schema::of_kind(place.resource.kind),
        &json!({ "status": patch["status"] }),
    );
    let us = Manager::new(manager(asked), "Update", Some("status"), owned);
    state.edit(&key, |object| {
        object["status"] = status;
        let mut all = managers::of(object);
        managers::settle(&mut all, us);
        managers::write(place.resource, object, &all);
    });
    let written = state.store.get(&key);
    let written = written.ok_or_else(|| Refusal::not_found(place.resource, name))?;
    Ok(answer(StatusCode::OK, written))
}

/// Options of a deletion, from the body and the query.
struct Deletion {
    uid: Option<String>,
    version: Option<String>,
    orphans: bool,
}

fn deletion(asked: &Asked, resource: &Resource) -> Result<Deletion, Refusal> {
    asked.only(&["propagationPolicy", "gracePeriodSeconds"])?;
    let options = if asked.body.is_empty() {
        json!({})
    } else {
        asked.json()?
    };
    const KNOWN: [&str; 5] = [
        "apiVersion",
        "kind",
        "preconditions",
        "propagationPolicy",
        "gracePeriodSeconds",
    ];
    let known = |options: &Value| {
        let keys = options.as_object().into_iter().flat_map(|o| o.keys());
        keys.into_iter().all(|key| KNOWN.contains(&key.as_str()))
    };
    if !known(&options) {
        return Err(asked.not_modelled());
    }
    let policy = options["propagationPolicy"].as_str();
    // Jobs of batch/v1 leave their pods behind unless told otherwise.
    let usual = if resource.kind == "Job" {
        "Orphan"
    } else {
        "Background"
    };
    let orphans = match policy
        .or(asked.parameter("propagationPolicy"))
        .unwrap_or(usual)
    {
        "Background" => false,
        "Orphan" => true,
        _ => return Err(asked.not_modelled()),
    };
    let text = |key: &str| options["preconditions"][key].as_str().map(str::to_owned);
    Ok(Deletion {
        uid: text("uid"),
        version: text("resourceVersion"),
        orphans,
    })
}

pub(super) fn delete(
    state: &mut State,
    asked: &Asked,
    place: &Place<'_>,
    name: &str,
) -> Result<Response, Refusal> {
    let resource = place.resource;
    let wanted = deletion(asked, resource)?;
    let key = place.key(name);
    let live = state.store.get(&key).cloned();
    let live = live.ok_or_else(|| Refusal::not_found(resource, name))?;
    let uid = live["metadata"]["uid"].as_str().unwrap_or_default();
    let version = live["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default();
    if let Some(asked) = wanted.uid.filter(|asked| asked != uid) {
        let why = format!(
            "the UID in the precondition ({asked}) does not match the UID in record ({uid}). The object might have \
             been deleted and then recreated"
        );
        return Err(Refusal::precondition(resource, name, &why));
    }
    if let Some(asked) = wanted.version.filter(|asked| asked != version) {
        let why = format!(
            "the ResourceVersion in the precondition ({asked}) does not match the ResourceVersion in record \
             ({version}). The object might have been modified"
        );
        return Err(Refusal::precondition(resource, name, &why));
    }
    if wanted.orphans {
        orphan(state, uid);
    }
    match state.remove(&key) {
        Some((object, false)) => Ok(answer(StatusCode::OK, &object)),
        _ => {
            let mut details = json!({ "name": name, "kind": resource.plural, "uid": uid });
            if !resource.group.is_empty() {
                details["group"] = json!(resource.group);
            }
            let status = json!({
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "details": details,
            });
            Ok(answer(StatusCode::OK, &status))
        }
    }
}
