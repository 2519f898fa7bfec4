//! What JSON Schema leaves open: keys that a schema does not declare, and the fields that our state does not model.

use serde_json::{Map, Value, json};

use super::description::Description;

/// Pointers to all keys of `value` that no alternative of `schema` declares.
pub(super) fn undeclared(description: &Description, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(description, &[schema], value, "", &mut found);
    found
}

fn collect(
    description: &Description,
    schemas: &[&Value],
    value: &Value,
    at: &str,
    found: &mut Vec<String>,
) {
    let mut flat = Vec::new();
    for schema in schemas {
        flatten(description, schema, &mut flat);
    }
    match value {
        Value::Array(items) => {
            let inner: Vec<&Value> = flat.iter().filter_map(|s| s.get("items")).collect();
            for (i, item) in items.iter().enumerate() {
                collect(description, &inner, item, &format!("{at}/{i}"), found);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                let at = format!("{at}/{key}");
                let inner: Vec<&Value> = flat
                    .iter()
                    .filter_map(|s| s.get("properties")?.get(key))
                    .collect();
                if !inner.is_empty() {
                    collect(description, &inner, value, &at, found);
                } else if !flat.iter().any(|s| is_open(s)) {
                    found.push(at);
                }
            }
        }
        _ => {}
    }
}

/// A schema that takes any key: it says so, or it says nothing about keys at all.
fn is_open(schema: &Value) -> bool {
    match schema.get("additionalProperties") {
        Some(Value::Bool(open)) => *open,
        Some(_) => true,
        None => schema.get("properties").is_none() && accepts_objects(schema),
    }
}

fn accepts_objects(schema: &Value) -> bool {
    match schema.get("type") {
        None => schema.as_object().is_some_and(Map::is_empty),
        Some(Value::Array(kinds)) => kinds.contains(&json!("object")),
        Some(kind) => kind == "object",
    }
}

/// All alternatives and parts of `schema`, references followed.
fn flatten<'a>(description: &'a Description, schema: &'a Value, flat: &mut Vec<&'a Value>) {
    let schema = description.resolve(schema);
    let parts = ["allOf", "anyOf", "oneOf"]
        .iter()
        .filter_map(|key| schema.get(key)?.as_array())
        .flatten();
    let mut combined = false;
    for part in parts {
        combined = true;
        flatten(description, part, flat);
    }
    if !combined || schema.get("properties").is_some() {
        flat.push(schema);
    }
}

/// Adds every required field that `value` lacks, with the emptiest value that its schema allows.
///
/// The state models what our programs read. The rest of GitHub's answers (node ids, counts, some seventy URLs of a
/// repository) is filled in so that the answer has the described shape; a text among it says `unmodelled`, so a
/// client that comes to depend on one is seen.
pub(super) fn fill(description: &Description, schema: &Value, value: &mut Value) {
    let schema = description.resolve(schema);
    for part in schema
        .get("allOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        fill(description, part, value);
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(part) = alternative(description, schema.get(key), value) {
            fill(description, part, value);
        }
    }
    match value {
        Value::Array(items) => {
            if let Some(inner) = schema.get("items") {
                items
                    .iter_mut()
                    .for_each(|item| fill(description, inner, item));
            }
        }
        Value::Object(map) => fill_object(description, schema, map),
        _ => {}
    }
}

/// The alternative that a partly filled value belongs to: the first one that declares all its keys.
fn alternative<'a>(
    description: &Description,
    alternatives: Option<&'a Value>,
    value: &Value,
) -> Option<&'a Value> {
    let alternatives = alternatives?.as_array()?;
    let fits = |schema: &&Value| match value {
        Value::Object(_) => {
            accepts(description.resolve(schema), "object")
                && undeclared(description, schema, value).is_empty()
        }
        Value::Array(_) => accepts(description.resolve(schema), "array"),
        _ => false,
    };
    alternatives.iter().find(fits)
}

fn accepts(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        None => true,
        Some(Value::Array(kinds)) => kinds.contains(&json!(kind)),
        Some(given) => given == kind,
    }
}

fn fill_object(description: &Description, schema: &Value, map: &mut Map<String, Value>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    let required = schema.get("required").and_then(Value::as_array);
    for key in required.into_iter().flatten().filter_map(Value::as_str) {
        if !map.contains_key(key) {
            let empty = properties
                .get(key)
                .map_or(Value::Null, |s| emptiest(description, s));
            map.insert(key.to_owned(), empty);
        }
    }
    for (key, value) in map.iter_mut() {
        if let Some(schema) = properties.get(key) {
            fill(description, schema, value);
        }
    }
}

fn emptiest(description: &Description, schema: &Value) -> Value {
    let schema = description.resolve(schema);
    if let Some(option) = schema.get("enum").and_then(Value::as_array) {
        let null = option.contains(&Value::Null);
        return if null { Value::Null } else { option[0].clone() };
    }
    let kinds = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.clone(),
        Some(kind) => vec![kind.clone()],
        None => vec![],
    };
    if kinds.contains(&json!("null")) {
        return Value::Null;
    }
    match kinds.first().and_then(Value::as_str) {
        Some("string") => emptiest_text(schema),
        Some("integer" | "number") => json!(0),
        Some("boolean") => json!(false),
        Some("array") => json!([]),
        Some("object") => {
            let mut value = json!({});
            fill(description, schema, &mut value);
            value
        }
        _ => emptiest_alternative(description, schema),
    }
}

fn emptiest_alternative(description: &Description, schema: &Value) -> Value {
    ["anyOf", "oneOf", "allOf"]
        .iter()
        .find_map(|key| schema.get(key)?.as_array()?.first())
        .map_or(Value::Null, |first| emptiest(description, first))
}

fn emptiest_text(schema: &Value) -> Value {
    match schema.get("format").and_then(Value::as_str) {
        Some("uri" | "uri-template") => json!("https://unmodelled.invalid/"),
        Some("date-time") => json!("1970-01-01T00:00:00Z"),
        Some("email") => json!("unmodelled@example.invalid"),
        _ => json!("unmodelled"),
    }
}
