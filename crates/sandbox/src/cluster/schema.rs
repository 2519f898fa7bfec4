//! Which fields there are, of which type, and how two writers' lists and maps are merged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::Value;

use super::fields;

/// One type of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// A value without parts that anybody names; its text is the name in `schema.txt`.
    Scalar(&'static str),
    /// Named fields.
    Struct { name: &'static str, atomic: bool },
    /// Any keys.
    Map { of: Box<Self>, atomic: bool },
    /// A list.
    List { of: Box<Self>, merge: Merge },
}

/// How a list is merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Merge {
    /// The last writer's list replaces the other.
    Atomic,
    /// Each value is an item of its own.
    Set,
    /// Each item is known by these fields.
    Keys(Vec<&'static str>),
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) of: Type,
    pub(super) required: bool,
    /// Of a custom kind only: what Kubernetes fills in for its own kinds it does not declare.
    default: Option<Value>,
}

#[derive(Debug)]
struct Struct {
    atomic: bool,
    fields: BTreeMap<&'static str, Field>,
}

static TYPES: LazyLock<BTreeMap<&'static str, Struct>> =
    LazyLock::new(|| read(include_str!("schema.txt")));

const SCALARS: [&str; 9] = [
    "string",
    "integer",
    "number",
    "boolean",
    "time",
    "bytes",
    "quantity",
    "int-or-string",
    "any",
];

fn read(text: &'static str) -> BTreeMap<&'static str, Struct> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let mut words = line.split(' ');
            let name = words.next()?;
            let fields = words.filter_map(|word| word.split_once('='));
            let fields = fields.map(|(field, of)| (field, read_field(of)));
            let declared = Struct {
                atomic: name.ends_with('!'),
                fields: fields.collect(),
            };
            Some((name.trim_end_matches('!'), declared))
        })
        .collect()
}

fn read_field(text: &'static str) -> Field {
    let (of, default) = match text.split_once('~') {
        Some((of, default)) => (of, serde_json::from_str(default).ok()),
        None => (text, None),
    };
    let (of, required) = match of.strip_suffix('*') {
        Some(of) => (of, true),
        None => (of, false),
    };
    Field {
        of: read_type(of),
        required,
        default,
    }
}

fn read_type(text: &'static str) -> Type {
    if let Some((keys, of)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let merge = match keys {
            "" => Merge::Atomic,
            "=" => Merge::Set,
            keys => Merge::Keys(keys.split('+').collect()),
        };
        let of = Box::new(read_type(of));
        return Type::List { of, merge };
    }
    let (text, atomic) = match text.strip_suffix('!') {
        Some(text) => (text, true),
        None => (text, false),
    };
    if let Some(of) = text.strip_prefix("{}") {
        let of = Box::new(read_type(of));
        return Type::Map { of, atomic };
    }
    if SCALARS.contains(&text) {
        return Type::Scalar(text);
    }
    Type::Struct { name: text, atomic }
}

/// The type of a whole object.
pub(super) fn of_kind(kind: &'static str) -> Type {
    Type::Struct {
        name: kind,
        atomic: false,
    }
}

impl Type {
    /// Whether the value is owned and replaced as one.
    pub(super) fn is_atomic(&self) -> bool {
        match self {
            Self::Scalar(_) => true,
            Self::Struct { name, atomic } => {
                *atomic || TYPES.get(name).is_none_or(|declared| declared.atomic)
            }
            Self::Map { atomic, .. } => *atomic,
            Self::List { merge, .. } => *merge == Merge::Atomic,
        }
    }

    /// The type of what an object of this type has under `key`.
    pub(super) fn field(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Struct { name, .. } => TYPES.get(name)?.fields.get(key).map(|field| &field.of),
            Self::Map { of, .. } => Some(of),
            Self::Scalar(_) | Self::List { .. } => None,
        }
    }

    fn fields(&self) -> impl Iterator<Item = (&'static str, &'static Field)> {
        let declared = match self {
            Self::Struct { name, .. } => TYPES.get(name),
            _ => None,
        };
        let fields = declared.into_iter().flat_map(|declared| &declared.fields);
        fields.map(|(name, field)| (*name, field))
    }
}

/// The first thing about `value` that its type does not know, in the API server's words.
pub(super) fn mistake(of: &Type, value: &Value) -> Option<String> {
    look(of, value, &mut String::new())
}

fn look(of: &Type, value: &Value, path: &mut String) -> Option<String> {
    let at = |path: &str, expected: &str| {
        Some(format!(
            "{path}: expected {expected}, got &value.valueUnstructured{{Value:{value}}}"
        ))
    };
    match (of, value) {
        (_, Value::Null) => None,
        (Type::Scalar("integer" | "number"), _) if !value.is_number() => Some(format!(
            "{path}: expected numeric (int or float), got {}",
            go_type(value)
        )),
        (Type::Scalar(name), _) => scalar_mistake(name, value).and_then(|what| at(path, what)),
        (Type::Struct { .. } | Type::Map { .. }, Value::Object(fields)) => {
            fields.iter().find_map(|(key, value)| {
                let length = path.len();
                path.push('.');
                path.push_str(key);
                let found = match of.field(key) {
                    Some(of) => look(of, value, path),
                    None => Some(format!("{path}: field not declared in schema")),
                };
                path.truncate(length);
                found
            })
        }
        (Type::List { of, merge }, Value::Array(items)) => {
            if let Some(twice) = duplicate(merge, items) {
                return Some(format!("{path}: duplicate entries for key {twice}"));
            }
            items.iter().enumerate().find_map(|(n, value)| {
                let length = path.len();
                path.push_str(&format!("[{n}]"));
                let found = look(of, value, path);
                path.truncate(length);
                found
            })
        }
        (Type::List { .. }, _) => at(path, "list"),
        (Type::Struct { .. } | Type::Map { .. }, _) => at(path, "map"),
    }
}

/// The key of the first item of a list that is there twice.
fn duplicate(merge: &Merge, items: &[Value]) -> Option<String> {
    let mut seen = BTreeSet::new();
    let mut steps = items.iter().map(|item| fields::step(merge, item));
    let twice = steps.find(|step| *merge != Merge::Atomic && !seen.insert(step.clone()))?;
    Some(fields::display(&[twice]))
}

/// What the API server, which is written in Go, calls the type of a value.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn scalar_mistake(name: &str, value: &Value) -> Option<&'static str> {
    let (fits, expected) = match name {
        "string" | "time" | "bytes" => (value.is_string(), "string"),
        "boolean" => (value.is_boolean(), "boolean"),
        "quantity" | "int-or-string" => (value.is_string() || value.is_number(), "string"),
        _ => (true, ""),
    };
    (!fits).then_some(expected)
}

/// Fills in the defaults that a custom kind declares; each below one that was there or was filled in.
/// <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting>
pub(super) fn fill(of: &Type, value: &mut Value) {
    match (of, value) {
        (Type::Struct { .. }, Value::Object(fields)) => {
            for (name, field) in of.fields() {
                if let Some(default) = &field.default
                    && fields.get(name).is_none_or(Value::is_null)
                {
                    fields.insert(name.to_owned(), default.clone());
                }
                if let Some(value) = fields.get_mut(name) {
                    fill(&field.of, value);
                }
            }
        }
        (Type::Map { of, .. }, Value::Object(entries)) => {
            entries.values_mut().for_each(|value| fill(of, value));
        }
        (Type::List { of, .. }, Value::Array(items)) => {
            items.iter_mut().for_each(|value| fill(of, value));
        }
        _ => {}
    }
}

/// The paths of required fields that are not there.
pub(super) fn missing(of: &Type, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    demand(of, value, "", &mut found);
    found
}

fn demand(of: &Type, value: &Value, path: &str, found: &mut Vec<String>) {
    match (of, value) {
        (Type::Struct { .. }, Value::Object(fields)) => {
            for (name, field) in of.fields() {
                let path = join(path, name);
                match fields.get(name) {
                    None | Some(Value::Null) if field.required => found.push(path),
                    None | Some(Value::Null) => {}
                    Some(value) => demand(&field.of, value, &path, found),
                }
            }
        }
        (Type::Map { of, .. }, Value::Object(entries)) => {
            for (key, value) in entries {
                demand(of, value, &join(path, key), found);
            }
        }
        (Type::List { of, .. }, Value::Array(items)) => {
            for (n, value) in items.iter().enumerate() {
                demand(of, value, &format!("{path}[{n}]"), found);
            }
        }
        _ => {}
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
