//! Judges requests and answers by GitHub's OpenAPI description and by a table of GitHub's limits.
//!
//! The description is npm's `@octokit/openapi`, cut down by `cargo xtask openapi` to the operations in
//! [`OPERATIONS`]. By itself it is a weak judge: it forbids no unknown keys and knows few limits, so keys and query
//! parameters that it does not declare are refused here, and the limits stand in a table. Where GitHub departs from
//! its own description, a written exception says so.

mod cut;
mod description;
mod exceptions;
mod limits;
mod path;
mod shape;

use std::path::Path;
use std::sync::Arc;

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

pub use cut::{OPERATIONS, WEBHOOKS, cut_down, write_down};
pub use description::LoadError;
pub(super) use path::query_pairs;

use description::{At, Description};

const CUT_DOWN: &str = include_str!("../../../openapi/github.json");

/// The environment variable that names the whole description's file, for `cargo xtask test --real`.
pub const WHOLE_DESCRIPTION: &str = "PREVIEW_TEST_OPENAPI";

/// A request that has been found in the description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The path's template, such as `/repos/{owner}/{repo}`.
    pub(super) template: String,
    /// The parameters in the path, percent-decoded once.
    pub(super) parameters: Vec<(String, String)>,
}

/// Says what is wrong with requests, answers and webhook payloads.
#[derive(Clone, Debug)]
pub struct Judge {
    description: Arc<Description>,
}

impl Judge {
    /// Judges by the cut-down description that is part of this crate.
    ///
    /// # Errors
    /// When the copy in the repository is broken.
    pub fn cut_down() -> Result<Self, LoadError> {
        Self::parse(CUT_DOWN)
    }

    /// Judges by the description in a file, which may be the whole one.
    ///
    /// # Errors
    /// When the file cannot be read or is no OpenAPI description.
    pub fn from_file(path: &Path) -> Result<Self, LoadError> {
        let text = std::fs::read_to_string(path).map_err(|source| LoadError::Read {
            path: path.display().to_string(),
            source,
        })?;
        Self::parse(&text)
    }

    /// Judges by the file that [`WHOLE_DESCRIPTION`] names, else by the cut-down copy.
    ///
    /// # Errors
    /// When that description cannot be loaded.
    #[expect(
        clippy::disallowed_methods,
        reason = "it is set for all the tests of a run, not by what is tested"
    )]
    pub fn from_environment() -> Result<Self, LoadError> {
        match std::env::var_os(WHOLE_DESCRIPTION) {
            Some(path) => Self::from_file(Path::new(&path)),
            None => Self::cut_down(),
        }
    }

    fn parse(text: &str) -> Result<Self, LoadError> {
        Ok(Self {
            description: Arc::new(Description::parse(text)?),
        })
    }

    /// The version of the description, as it says itself.
    #[must_use]
    pub fn version(&self) -> &str {
        self.description.version()
    }

    /// The written allow-list: what is let pass against the description, and why.
    #[must_use]
    pub fn exceptions() -> Vec<String> {
        exceptions::listed()
    }

    pub(super) fn find(&self, method: &str, path: &str) -> Option<Found> {
        let (template, parameters) = self.description.find(path)?;
        self.description.operation(method, template)?;
        Some(Found {
            template: template.to_owned(),
            parameters,
        })
    }

    /// What is wrong with a request; empty when nothing is. `path` is as sent, percent-encoded; `query` is decoded.
    #[must_use]
    pub fn request(
        &self,
        method: &str,
        path: &str,
        query: &[(String, String)],
        body: Option<&Value>,
    ) -> Vec<String> {
        let mut wrong = self.misshapen(method, path, query, body);
        wrong.extend(self.beyond_limits(method, path, query, body));
        wrong
    }

    /// What of a request the description does not allow.
    pub(super) fn misshapen(
        &self,
        method: &str,
        path: &str,
        query: &[(String, String)],
        body: Option<&Value>,
    ) -> Vec<String> {
        let Some(found) = self.find(method, path) else {
            return vec![format!("{method} {path}: no such operation is described")];
        };
        let mut wrong = self.parameters(method, &found, query);
        wrong.extend(self.request_body(method, &found.template, body));
        prefixed(&format!("{method} {path}"), wrong)
    }

    /// What of a request goes beyond GitHub's limits.
    pub(super) fn beyond_limits(
        &self,
        method: &str,
        path: &str,
        query: &[(String, String)],
        body: Option<&Value>,
    ) -> Vec<String> {
        let Some(found) = self.find(method, path) else {
            return vec![];
        };
        let operation = format!("{method} {}", found.template);
        let beyond = limits::exceeded(&operation, &found.parameters, query, body);
        prefixed(&format!("{method} {path}"), beyond)
    }

    fn parameters(&self, method: &str, found: &Found, query: &[(String, String)]) -> Vec<String> {
        let operation = format!("{method} {}", found.template);
        let declared = self.declared(method, &found.template);
        let mut wrong = Vec::new();
        for (name, value) in &found.parameters {
            if path::has_escape(value) {
                wrong.push(format!(
                    "path parameter {name}: `{value}` was percent-encoded twice"
                ));
            }
            let schema = declared.iter().find(|p| p.0 == "path" && p.1 == *name);
            wrong.extend(schema.and_then(|p| misfit("path", name, value, p.2)));
        }
        for (name, value) in query {
            match declared.iter().find(|p| p.0 == "query" && p.1 == *name) {
                Some(parameter) => wrong.extend(misfit("query", name, value, parameter.2)),
                None if exceptions::allows_query(&operation, name) => {}
                None => wrong.push(format!("query parameter {name} is not declared")),
            }
        }
        wrong
    }

    /// Place, name and schema of an operation's parameters.
    fn declared(&self, method: &str, template: &str) -> Vec<(&str, &str, &Value)> {
        let parameters = self
            .description
            .operation(method, template)
            .and_then(|operation| operation.get("parameters")?.as_array());
        parameters
            .into_iter()
            .flatten()
            .map(|parameter| self.description.resolve(parameter))
            .filter_map(|p| {
                let schema = self.description.resolve(&p["schema"]);
                Some((p["in"].as_str()?, p["name"].as_str()?, schema))
            })
            .collect()
    }

    fn request_body(&self, method: &str, template: &str, body: Option<&Value>) -> Vec<String> {
        let declared = self.description.operation(method, template);
        let declared = declared.and_then(|operation| operation.get("requestBody"));
        let at = self.description.request_schema(method, template);
        match (body, at) {
            (None, _) if declared.is_some_and(|body| body["required"] == true) => {
                vec!["a body is required".to_owned()]
            }
            (None, _) => vec![],
            (Some(_), None) => vec!["a body is not declared".to_owned()],
            (Some(body), Some(at)) => self.conforms(None, &at, body),
        }
    }

    /// What is wrong with an answer to a request; empty when nothing is.
    #[must_use]
    pub fn answer(
        &self,
        method: &str,
        path: &str,
        status: u16,
        body: Option<&Value>,
    ) -> Vec<String> {
        let Some(found) = self.find(method, path) else {
            return vec![format!("{method} {path}: no such operation is described")];
        };
        let operation = format!("{method} {}", found.template);
        let at = self
            .description
            .answer_schema(method, &found.template, status);
        let wrong = match (at, body) {
            (Some(at), Some(body)) => self.conforms(Some(&operation), &at, body),
            (Some(_), None) => vec!["the declared body is missing".to_owned()],
            (None, _) if self.declares(method, &found.template, status) => vec![],
            (None, _) if exceptions::allows_status(&operation, status) => vec![],
            (None, _) => vec!["this status is not declared".to_owned()],
        };
        prefixed(&format!("{method} {path} answered {status}"), wrong)
    }

    fn declares(&self, method: &str, template: &str, status: u16) -> bool {
        self.description
            .operation(method, template)
            .is_some_and(|operation| operation["responses"].get(status.to_string()).is_some())
    }

    /// What is wrong with the payload of a webhook, such as `pull-request-closed` or `push`.
    #[must_use]
    pub fn payload(&self, webhook: &str, payload: &Value) -> Vec<String> {
        let Some(at) = self.description.payload_schema(webhook) else {
            return vec![format!("webhook {webhook} is not described")];
        };
        prefixed(webhook, self.conforms(Some(webhook), &at, payload))
    }

    /// Adds to a partial answer the required fields that the state does not model.
    pub(super) fn complete(&self, method: &str, template: &str, status: u16, body: &mut Value) {
        if let Some(at) = self.description.answer_schema(method, template, status) {
            shape::fill(&self.description, self.description.schema(&at), body);
        }
    }

    /// Adds to a partial payload the required fields that the state does not model.
    pub(super) fn complete_payload(&self, webhook: &str, payload: &mut Value) {
        if let Some(at) = self.description.payload_schema(webhook) {
            shape::fill(&self.description, self.description.schema(&at), payload);
        }
    }

    /// `from` is what GitHub sends it for; exceptions are for what GitHub sends, never for what our programs send.
    fn conforms(&self, from: Option<&str>, at: &At, value: &Value) -> Vec<String> {
        let validator = match self.description.validator(at) {
            Ok(validator) => validator,
            Err(error) => return vec![format!("the schema does not compile: {error}")],
        };
        let mut wrong: Vec<String> = validator
            .iter_errors(value)
            .filter(|error| !from.is_some_and(|from| excused(from, error)))
            .map(|error| format!("{}: {}", error.instance_path(), brief(&error)))
            .collect();
        let schema = self.description.schema(at);
        let mut undeclared = shape::undeclared(&self.description, schema, value);
        undeclared.retain(|key| !from.is_some_and(|from| exceptions::allows_key(from, key)));
        wrong.extend(
            undeclared
                .iter()
                .map(|key| format!("{key} is not declared")),
        );
        wrong
    }
}

/// Whether a written exception lets this error pass.
fn excused(operation: &str, error: &ValidationError<'_>) -> bool {
    let at = error.instance_path().to_string();
    match error.kind() {
        ValidationErrorKind::Format { format } => {
            format == "uri"
                && error.instance().as_str() == Some("")
                && exceptions::allows_empty_uri(operation, &at)
        }
        _ => error.instance().is_null() && exceptions::allows_null(operation, &at),
    }
}

/// The error's text; a long instance in it is cut.
fn brief(error: &ValidationError<'_>) -> String {
    let text = error.to_string();
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}

fn prefixed(prefix: &str, wrong: Vec<String>) -> Vec<String> {
    wrong
        .into_iter()
        .map(|wrong| format!("{prefix}: {}", wrong.trim_start_matches(": ")))
        .collect()
}

/// Why a parameter's text does not fit its schema, of which only type and enumeration are looked at.
fn misfit(place: &str, name: &str, value: &str, schema: &Value) -> Option<String> {
    let integer = schema["type"] == "integer" && value.parse::<i64>().is_err();
    let boolean = schema["type"] == "boolean" && !["true", "false"].contains(&value);
    let options = schema.get("enum").and_then(Value::as_array);
    let other = options.is_some_and(|options| !options.iter().any(|option| option == value));
    let expected = match (integer, boolean, other) {
        (true, _, _) => "an integer".to_owned(),
        (_, true, _) => "true or false".to_owned(),
        (_, _, true) => format!("one of {}", schema["enum"]),
        _ => return None,
    };
    Some(format!(
        "{place} parameter {name}: `{value}` is not {expected}"
    ))
}
