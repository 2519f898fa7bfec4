//! Server-side apply, and the ownership that other writes leave.
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/>

use serde_json::Value;

use super::fields::{self, Fields, Step};
use super::kinds::Resource;
use super::managers::{self, Manager};
use super::refusal::Refusal;
use super::schema;

/// Fields of the metadata that nobody owns.
const OWNERLESS: [&str; 10] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// The fields of `object` that somebody may own: neither its identity nor its status.
fn ownable(resource: &Resource, object: &Value) -> Fields {
    let mut fields = fields::of(&schema::of_kind(resource.kind), object);
    fields.retain(|path| is_ownable(path));
    fields
}

fn is_ownable(path: &[Step]) -> bool {
    match path {
        [Step::Field(top)] => {
            !matches!(top.as_str(), "apiVersion" | "kind" | "metadata" | "status")
        }
        [Step::Field(top), Step::Field(second), ..] => {
            top != "status" && !(top == "metadata" && OWNERLESS.contains(&second.as_str()))
        }
        _ => true,
    }
}

/// What `manager` applies, without what is not for a client to apply.
pub(super) fn intention(applied: &Value) -> Value {
    let mut intention = applied.clone();
    if let Some(object) = intention.as_object_mut() {
        object.remove("status");
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|key, _| !OWNERLESS.contains(&key.as_str()));
        }
    }
    intention
}

/// `applied` by `manager` over `live`, with the fields that only `manager` set and does not any more removed, and
/// everybody's ownership brought up to date.
pub(super) fn merge(
    resource: &Resource,
    live: &Value,
    applied: &Value,
    manager: &str,
    force: bool,
) -> Result<Value, Refusal> {
    let of = schema::of_kind(resource.kind);
    let applied = intention(applied);
    let wanted = ownable(resource, &applied);
    let mut merged = fields::merge(&of, live, &applied);
    let mut all = managers::of(live);
    let us = Manager::new(manager, "Apply", None, wanted.clone());

    let changed = |path: &Vec<Step>| fields::get(live, path) != fields::get(&merged, path);
    let mut conflicts = Vec::new();
    for other in all.iter_mut().filter(|other| !other.is_same(&us)) {
        let lost: Fields = other.fields.intersection(&wanted).cloned().collect();
        let lost: Fields = lost
            .into_iter()
            .filter(|path| is_leaf(path) && changed(path))
            .collect();
        conflicts.extend(
            lost.iter()
                .map(|path| (described(other), fields::display(path))),
        );
        other.fields.retain(|path| !lost.contains(path));
    }
    if !conflicts.is_empty() && !force {
        return Err(Refusal::owned_by_others(&conflicts));
    }

    let before = all.iter().find(|known| known.is_same(&us));
    let before = before.map(|known| known.fields.clone()).unwrap_or_default();
    let others = all.iter().filter(|other| !other.is_same(&us));
    let others: Fields = others.flat_map(|other| other.fields.clone()).collect();
    // An item goes before its parts: without its key it would not be found.
    for path in before.iter().filter(|path| !wanted.contains(*path)) {
        if !others.iter().any(|other| other.starts_with(path)) {
            fields::remove(&mut merged, whole(path, &wanted, &others));
        }
    }

    managers::settle(&mut all, us);
    managers::write(resource, &mut merged, &all);
    Ok(merged)
}

/// What goes with a field of the spec: the largest part around it of which nobody wants anything. What the server filled
/// in there, such as the `scheme` of a probe that is of another kind now, does not keep it.
fn whole<'a>(path: &'a [Step], wanted: &Fields, others: &Fields) -> &'a [Step] {
    let of_spec = matches!(path.first(), Some(Step::Field(top)) if top == "spec");
    let is_unwanted = |part: &[Step]| {
        let mut all = wanted.iter().chain(others);
        !all.any(|field| field.starts_with(part))
    };
    let parts = (2..path.len()).map(|length| &path[..length]);
    let mut parts = parts.filter(|part| of_spec && is_unwanted(part));
    parts.next().unwrap_or(path)
}

/// An item of a list is shared by all who name it; only what is in it can be disputed.
fn is_leaf(path: &[Step]) -> bool {
    !matches!(path.last(), Some(Step::Key(_) | Step::Value(_)))
}

fn described(manager: &Manager) -> String {
    match manager.operation {
        "Apply" => format!("{:?}", manager.name),
        _ => format!("{:?} using v1", manager.name),
    }
}

/// `next` with the fields in which it differs from `live` given to `manager`, as any write but an apply does.
pub(super) fn take_over(
    resource: &Resource,
    live: Option<&Value>,
    mut next: Value,
    manager: &str,
) -> Value {
    let is_there = |path: &Vec<Step>| fields::get(&next, path).is_some();
    let fields = ownable(resource, &next);
    let differs = |path: &Vec<Step>| {
        live.is_none_or(|live| {
            let (before, after) = (fields::get(live, path), fields::get(&next, path));
            before.is_none() || (is_leaf(path) && before != after)
        })
    };
    let changed: Fields = fields.into_iter().filter(differs).collect();
    let mut all = live.map(managers::of).unwrap_or_default();
    let mut us = Manager::new(manager, "Update", None, changed.clone());
    for other in &mut all {
        let same = other.is_same(&us);
        other
            .fields
            .retain(|path| is_there(path) && (same || !changed.contains(path)));
    }
    if let Some(known) = all.iter().find(|known| known.is_same(&us)) {
        us.fields.extend(known.fields.iter().cloned());
    }
    managers::settle(&mut all, us);
    managers::write(resource, &mut next, &all);
    next
}
