//! Error answers, as the API server's `Status` objects.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::kinds::Resource;

/// An answer that is an error.
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) code: u16,
    reason: &'static str,
    pub(super) message: String,
    details: Map<String, Value>,
}

impl Refusal {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: Map::new(),
        }
    }

    fn about(mut self, name: &str, group: &str, kind: &str) -> Self {
        self.details.insert("name".into(), name.into());
        if !group.is_empty() {
            self.details.insert("group".into(), group.into());
        }
        self.details.insert("kind".into(), kind.into());
        self
    }

    fn because(mut self, causes: impl IntoIterator<Item = Value>) -> Self {
        let causes: Vec<Value> = causes.into_iter().collect();
        self.details.insert("causes".into(), causes.into());
        self
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.qualified_plural());
        Self::new(404, "NotFound", message).about(name, resource.group, resource.plural)
    }

    pub(super) fn exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", resource.qualified_plural());
        Self::new(409, "AlreadyExists", message).about(name, resource.group, resource.plural)
    }

    pub(super) fn modified(resource: &Resource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version \
                   and try again";
        Self::cannot_fulfil(&resource.qualified_plural(), name, why).about(
            name,
            resource.group,
            resource.plural,
        )
    }

    pub(super) fn no_object_of_uid(resource: &Resource, name: &str, uid: &str) -> Self {
        let why = format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        );
        Self::cannot_fulfil(&resource.qualified_plural(), name, &why).about(
            name,
            resource.group,
            resource.plural,
        )
    }

    /// A precondition of a deletion does not hold; here the API server names the kind, not the plural.
    pub(super) fn precondition(resource: &Resource, name: &str, why: &str) -> Self {
        Self::cannot_fulfil(&resource.qualified_kind(), name, why).about(
            name,
            resource.group,
            resource.kind,
        )
    }

    fn cannot_fulfil(what: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {what} {name:?}: {why}");
        Self::new(409, "Conflict", message)
    }

    /// Fields that other managers own: the manager as it is told, and the field.
    pub(super) fn owned_by_others(conflicts: &[(String, String)]) -> Self {
        let count = conflicts.len();
        let plural = if count == 1 { "" } else { "s" };
        let told: Vec<String> = conflicts
            .iter()
            .map(|(manager, field)| format!("conflict with {manager}: {field}"))
            .collect();
        let message = format!(
            "Apply failed with {count} conflict{plural}: {}",
            told.join("\n")
        );
        let causes = conflicts.iter().map(|(manager, field)| {
            json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with {manager}"),
                "field": field,
            })
        });
        Self::new(409, "Conflict", message).because(causes)
    }

    /// What an object may not be: `(field, what is wrong)`, where the latter begins with the kind of mistake.
    pub(super) fn invalid(resource: &Resource, name: &str, mistakes: &[(String, String)]) -> Self {
        let told: Vec<String> = mistakes
            .iter()
            .map(|(field, what)| format!("{field}: {what}"))
            .collect();
        let told = match told.as_slice() {
            [one] => one.clone(),
            all => format!("[{}]", all.join(", ")),
        };
        let message = format!("{} {name:?} is invalid: {told}", resource.qualified_kind());
        let causes = mistakes.iter().map(|(field, what)| {
            let reason = match what.split(':').next() {
                Some("Required value") => "FieldValueRequired",
                Some("Forbidden") => "FieldValueForbidden",
                Some("Not found") => "FieldValueNotFound",
                Some("Unsupported value") => "FieldValueNotSupported",
                _ => "FieldValueInvalid",
            };
            json!({ "reason": reason, "message": what, "field": field })
        });
        Self::new(422, "Invalid", message)
            .about(name, resource.group, resource.kind)
            .because(causes)
    }

    /// An apply by nobody.
    pub(super) fn no_manager() -> Self {
        let what = "Required value: is required for apply patch";
        let message = format!("PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: {what}");
        let cause =
            json!({ "reason": "FieldValueRequired", "message": what, "field": "fieldManager" });
        let mut refusal = Self::new(422, "Invalid", message).because([cause]);
        refusal.details.insert("group".into(), "meta.k8s.io".into());
        refusal.details.insert("kind".into(), "PatchOptions".into());
        refusal
    }

    pub(super) fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let named = match name {
            "" => resource.qualified_plural(),
            name => format!("{} {name:?}", resource.qualified_plural()),
        };
        let message = format!("{named} is forbidden: {why}");
        Self::new(403, "Forbidden", message).about(name, resource.group, resource.plural)
    }

    pub(super) fn namespace_terminating(resource: &Resource, name: &str, namespace: &str) -> Self {
        let why = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        let cause = json!({
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        });
        Self::forbidden(resource, name, &why).because([cause])
    }

    /// An applied object that does not fit its schema: the API server answers 500 without a reason.
    pub(super) fn untyped(resource: &Resource, place: &str, mistake: &str) -> Self {
        let message = format!(
            "failed to create typed patch object ({place}; {}/v1, Kind={}): {mistake}",
            resource.group, resource.kind
        );
        Self::new(500, "", message)
    }

    pub(super) fn expired(asked: u64, oldest: u64) -> Self {
        let message = format!("too old resource version: {asked} ({oldest})");
        Self::new(410, "Expired", message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// Loud: a client uses what this model does not have.
    pub(super) fn not_modelled(what: &str) -> Self {
        let message = format!("the sandbox's cluster does not model {what}");
        Self::new(501, "NotImplemented", message)
    }

    /// The `Status` object.
    pub(super) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if !self.details.is_empty() {
            status["details"] = Value::Object(self.details.clone());
        }
        status
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (code, Json(self.status())).into_response()
    }
}
