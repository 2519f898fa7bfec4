//! Sets of fields: what an object consists of, and how `managedFields` writes that down.
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy>

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::schema::{Merge, Type};

/// One step into an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// The value of a field or of a map's key.
    Field(String),
    /// The item of a list that has these key fields, as JSON.
    Key(String),
    /// The item of a set, as JSON.
    Value(String),
}

pub(super) type Path = Vec<Step>;
pub(super) type Fields = BTreeSet<Path>;

/// All fields of `value`: leaves, and items of lists.
pub(super) fn of(kind: &Type, value: &Value) -> Fields {
    let mut fields = Fields::new();
    collect(kind, value, &mut Vec::new(), &mut fields);
    fields
}

fn collect(of: &Type, value: &Value, path: &mut Path, fields: &mut Fields) {
    if of.is_atomic() {
        fields.insert(path.clone());
        return;
    }
    match (of, value) {
        (Type::Struct { .. } | Type::Map { .. }, Value::Object(entries)) if !entries.is_empty() => {
            for (key, value) in entries {
                path.push(Step::Field(key.clone()));
                match of.field(key) {
                    Some(of) => collect(of, value, path, fields),
                    None => {
                        fields.insert(path.clone());
                    }
                }
                path.pop();
            }
        }
        (Type::List { of, merge }, Value::Array(items)) if !items.is_empty() => {
            for item in items {
                path.push(step(merge, item));
                fields.insert(path.clone());
                if matches!(merge, Merge::Keys(_)) {
                    collect(of, item, path, fields);
                }
                path.pop();
            }
        }
        _ => {
            fields.insert(path.clone());
        }
    }
}

/// How the item of a list is known.
pub(super) fn step(merge: &Merge, item: &Value) -> Step {
    match merge {
        Merge::Atomic | Merge::Set => Step::Value(item.to_string()),
        Merge::Keys(keys) => {
            let keys = keys.iter().filter_map(|key| {
                let value = item.get(*key).cloned().or_else(|| default_of(key))?;
                Some(((*key).to_owned(), value))
            });
            Step::Key(Value::Object(keys.collect()).to_string())
        }
    }
}

/// The only key field with a default in the schema.
fn default_of(key: &str) -> Option<Value> {
    (key == "protocol").then(|| json!("TCP"))
}

fn is(item: &Value, step: &Step) -> bool {
    match step {
        Step::Field(_) => false,
        Step::Value(text) => serde_json::from_str::<Value>(text).is_ok_and(|value| value == *item),
        Step::Key(text) => {
            let keys: BTreeMap<String, Value> = serde_json::from_str(text).unwrap_or_default();
            keys.iter().all(|(key, value)| {
                item.get(key).cloned().or_else(|| default_of(key)).as_ref() == Some(value)
            })
        }
    }
}

/// What is at `path`.
pub(super) fn get<'a>(value: &'a Value, path: &[Step]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Field(name) => value.get(name),
        other => value.as_array()?.iter().find(|item| is(item, other)),
    })
}

/// Removes what is at `path`, and what is empty because of that.
pub(super) fn remove(value: &mut Value, path: &[Step]) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    match first {
        Step::Field(name) => {
            let Some(fields) = value.as_object_mut() else {
                return;
            };
            if rest.is_empty() {
                fields.remove(name);
            } else if let Some(inner) = fields.get_mut(name) {
                remove(inner, rest);
                if is_empty(inner) {
                    fields.remove(name);
                }
            }
        }
        other => {
            let Some(items) = value.as_array_mut() else {
                return;
            };
            let Some(at) = items.iter().position(|item| is(item, other)) else {
                return;
            };
            if rest.is_empty() {
                items.remove(at);
            } else if let Some(item) = items.get_mut(at) {
                remove(item, rest);
            }
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// `fieldsV1`.
pub(super) fn encode(fields: &Fields) -> Value {
    let mut tree = Map::new();
    for path in fields {
        let mut node = &mut tree;
        for step in path {
            let name = match step {
                Step::Field(name) => format!("f:{name}"),
                Step::Key(keys) => format!("k:{keys}"),
                Step::Value(value) => format!("v:{value}"),
            };
            let inner = node.entry(name).or_insert_with(|| json!({}));
            let Value::Object(inner) = inner else {
                return json!({});
            };
            node = inner;
        }
        // A mark that the path itself is meant; taken away below where there is nothing else.
        node.insert(".".to_owned(), json!({}));
    }
    without_lone_marks(&mut tree);
    Value::Object(tree)
}

fn without_lone_marks(node: &mut Map<String, Value>) {
    if node.len() == 1 {
        node.remove(".");
    }
    for inner in node.values_mut() {
        if let Value::Object(inner) = inner {
            without_lone_marks(inner);
        }
    }
}

/// What `fieldsV1` says.
pub(super) fn decode(tree: &Value) -> Fields {
    let mut fields = Fields::new();
    walk(tree, &mut Vec::new(), &mut fields);
    fields
}

fn walk(node: &Value, path: &mut Path, fields: &mut Fields) {
    let Some(entries) = node.as_object() else {
        return;
    };
    if entries.is_empty() {
        fields.insert(path.clone());
    }
    for (name, inner) in entries {
        let step = match name.split_once(':') {
            None => {
                fields.insert(path.clone());
                continue;
            }
            Some(("f", name)) => Step::Field(name.to_owned()),
            Some(("k", keys)) => Step::Key(keys.to_owned()),
            Some((_, value)) => Step::Value(value.to_owned()),
        };
        path.push(step);
        walk(inner, path, fields);
        path.pop();
    }
}

/// A path as error messages name it: `.spec.containers[name="web"].image`.
pub(super) fn display(path: &[Step]) -> String {
    path.iter()
        .map(|step| match step {
            Step::Field(name) => format!(".{name}"),
            Step::Value(value) => format!("[={value}]"),
            Step::Key(keys) => {
                let keys: BTreeMap<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let keys = keys.iter().map(|(key, value)| format!("{key}={value}"));
                format!("[{}]", keys.collect::<Vec<_>>().join(","))
            }
        })
        .collect()
}

/// `applied` over `live`: what is only in `live` stays.
pub(super) fn merge(of: &Type, live: &Value, applied: &Value) -> Value {
    if of.is_atomic() {
        return applied.clone();
    }
    match (of, live, applied) {
        (Type::Struct { .. } | Type::Map { .. }, Value::Object(live), Value::Object(applied)) => {
            let mut merged = live.clone();
            for (key, value) in applied {
                let value = match (of.field(key), live.get(key)) {
                    (Some(of), Some(live)) => merge(of, live, value),
                    _ => value.clone(),
                };
                merged.insert(key.clone(), value);
            }
            Value::Object(merged)
        }
        (Type::List { of, merge: by }, Value::Array(live), Value::Array(applied)) => {
            let mut merged = live.clone();
            for item in applied {
                let step = step(by, item);
                match merged.iter_mut().find(|known| is(known, &step)) {
                    Some(known) => *known = merge(of, known, item),
                    None => merged.push(item.clone()),
                }
            }
            Value::Array(merged)
        }
        _ => applied.clone(),
    }
}
