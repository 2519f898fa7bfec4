//! GitHub's OpenAPI description as schemas that can be asked: which operation is this, what does it declare.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::{Draft, Registry, Validator};
use serde_json::{Value, json};

use super::path::Template;

const URI: &str = "sandbox:///github.json";

/// Why a description could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error(
        "reading GitHub's OpenAPI description {path}: {source}; `cargo xtask openapi` fetches it"
    )]
    Read {
        /// The path that was tried.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is not JSON.
    #[error("parsing GitHub's OpenAPI description: {0}")]
    Json(#[from] serde_json::Error),
    /// The document is JSON, but no OpenAPI description that the judge understands.
    #[error("loading GitHub's OpenAPI description: {0}")]
    Shape(String),
}

/// Where in the description a schema stands: the keys from the root.
pub(super) type At = Vec<String>;

/// The description, prepared for validation.
pub(crate) struct Description {
    whole: Value,
    templates: Vec<Template>,
    registry: Registry<'static>,
    validators: Mutex<HashMap<At, Arc<Validator>>>,
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Description({})", self.version())
    }
}

impl Description {
    pub(super) fn parse(text: &str) -> Result<Self, LoadError> {
        let mut whole: Value = serde_json::from_str(text)?;
        widen(&mut whole);
        let paths = whole["paths"]
            .as_object()
            .ok_or_else(|| LoadError::Shape("there is no `paths` object".to_owned()))?;
        // The whole description has comparisons twice; of the two, `{base}...{head}` is the older form.
        let templates = paths
            .keys()
            .filter(|path| !path.contains("}...{"))
            .map(|path| Template::new(path))
            .collect();
        let registry = Registry::new()
            .draft(Draft::Draft4)
            .add(URI, whole.clone())
            .and_then(jsonschema::RegistryBuilder::prepare)
            .map_err(|error| LoadError::Shape(error.to_string()))?;
        Ok(Self {
            whole,
            templates,
            registry,
            validators: Mutex::default(),
        })
    }

    /// The version that the description gives itself.
    pub(super) fn version(&self) -> &str {
        self.whole["info"]["version"].as_str().unwrap_or("unknown")
    }

    /// The template that `path` fits best, with the parameters' values, percent-decoded once.
    pub(super) fn find(&self, path: &str) -> Option<(&str, Vec<(String, String)>)> {
        let (template, parameters) = self
            .templates
            .iter()
            .filter_map(|template| Some((template, template.fit(path)?)))
            .max_by_key(|(template, _)| template.literals())?;
        Some((template.path(), parameters))
    }

    /// The operation's own object.
    pub(super) fn operation(&self, method: &str, template: &str) -> Option<&Value> {
        self.whole["paths"][template].get(method.to_lowercase())
    }

    /// Follows one `$ref`, where there is one.
    pub(super) fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
            return value;
        };
        let pointer = reference.trim_start_matches('#');
        self.whole.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The schema at `at`, which is a path of keys from the root.
    pub(super) fn schema(&self, at: &At) -> &Value {
        let mut value = &self.whole;
        for key in at {
            value = self.resolve(&value[key.as_str()]);
        }
        value
    }

    /// Where the JSON schema of an answer with `status` stands; `None` when that status has no JSON body.
    pub(super) fn answer_schema(&self, method: &str, template: &str, status: u16) -> Option<At> {
        let status = status.to_string();
        let response = self.resolve(
            self.operation(method, template)?
                .get("responses")?
                .get(&status)?,
        );
        let kind = json_kind(response.get("content")?)?;
        let mut at = at(&[
            "paths",
            template,
            &method.to_lowercase(),
            "responses",
            &status,
        ]);
        at.extend(["content", kind, "schema"].map(str::to_owned));
        Some(at)
    }

    /// Where the JSON schema of a request's body stands.
    pub(super) fn request_schema(&self, method: &str, template: &str) -> Option<At> {
        let content = self
            .operation(method, template)?
            .get("requestBody")?
            .get("content")?;
        let mut at = at(&["paths", template, &method.to_lowercase(), "requestBody"]);
        at.extend(["content", json_kind(content)?, "schema"].map(str::to_owned));
        Some(at)
    }

    /// Where the schema of a webhook's payload stands, for example of `pull-request-closed`.
    pub(super) fn payload_schema(&self, webhook: &str) -> Option<At> {
        let content =
            self.whole["x-webhooks"].get(webhook)?["post"]["requestBody"].get("content")?;
        let mut at = at(&["x-webhooks", webhook, "post", "requestBody", "content"]);
        at.extend([json_kind(content)?, "schema"].map(str::to_owned));
        Some(at)
    }

    /// A compiled validator of the schema at `at`, compiled once.
    pub(super) fn validator(&self, at: &At) -> Result<Arc<Validator>, String> {
        let mut known = self
            .validators
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(validator) = known.get(at) {
            return Ok(Arc::clone(validator));
        }
        let schema = json!({ "$ref": self.pointer(at) });
        let validator = jsonschema::options()
            .with_draft(Draft::Draft4)
            .with_registry(&self.registry)
            .should_validate_formats(true)
            .build(&schema)
            .map_err(|error| error.to_string())?;
        let validator = Arc::new(validator);
        known.insert(at.clone(), Arc::clone(&validator));
        Ok(validator)
    }

    /// `at` as a `$ref`. References inside a pointer are followed here: a JSON pointer does not look through them.
    fn pointer(&self, at: &At) -> String {
        let mut pointer = String::new();
        let mut value = &self.whole;
        for key in at {
            value = &value[key.as_str()];
            pointer = format!("{pointer}/{}", escape(key));
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                pointer = reference.trim_start_matches('#').to_owned();
                value = self.resolve(value);
            }
        }
        format!("{URI}#{pointer}")
    }
}

fn at(keys: &[&str]) -> At {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

/// A key of a JSON pointer in a URI's fragment: braces must be percent-encoded there.
fn escape(key: &str) -> String {
    key.replace('~', "~0")
        .replace('/', "~1")
        .replace('{', "%7B")
        .replace('}', "%7D")
}

fn json_kind(content: &Value) -> Option<&'static str> {
    ["application/json", "application/scim+json"]
        .into_iter()
        .find(|kind| content.get(kind).is_some())
}

/// OpenAPI 3.0 says `nullable: true` where JSON Schema knows only a type more.
fn widen(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(widen),
        Value::Object(map) => {
            map.remove("example");
            map.remove("examples");
            map.values_mut().for_each(widen);
            if map.get("nullable") == Some(&Value::Bool(true)) {
                map.remove("nullable");
                let schema = value.take();
                *value = nullable(schema);
            }
        }
        _ => {}
    }
}

fn nullable(mut schema: Value) -> Value {
    if let Some(options) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        options.push(Value::Null);
    }
    let combined = ["oneOf", "anyOf", "allOf", "$ref"]
        .iter()
        .any(|key| schema.get(key).is_some());
    if combined {
        return json!({ "anyOf": [{ "type": "null" }, schema] });
    }
    if let Some(kind) = schema.get("type").cloned() {
        schema["type"] = json!([kind, "null"]);
    }
    schema
}
