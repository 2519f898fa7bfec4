//! One request, before it is sent.

use http::Method;
use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Problem};

/// A request to the API.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query below the API's base, encoded.
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    /// What it does to which object, for errors: `read pull request #12 of acme/shop`.
    pub(crate) operation: String,
    /// The permission it needs, for the error where GitHub does not name it.
    pub(crate) needs: &'static str,
}

impl Call {
    fn new(
        method: Method,
        path: impl Into<String>,
        operation: impl Into<String>,
        needs: &'static str,
    ) -> Self {
        Self {
            method,
            path: path.into(),
            body: None,
            operation: operation.into(),
            needs,
        }
    }

    pub(crate) fn get(
        path: impl Into<String>,
        operation: impl Into<String>,
        needs: &'static str,
    ) -> Self {
        Self::new(Method::GET, path, operation, needs)
    }

    pub(crate) fn post(
        path: impl Into<String>,
        operation: impl Into<String>,
        needs: &'static str,
    ) -> Self {
        Self::new(Method::POST, path, operation, needs)
    }

    pub(crate) fn patch(
        path: impl Into<String>,
        operation: impl Into<String>,
        needs: &'static str,
    ) -> Self {
        Self::new(Method::PATCH, path, operation, needs)
    }

    pub(crate) fn delete(
        path: impl Into<String>,
        operation: impl Into<String>,
        needs: &'static str,
    ) -> Self {
        Self::new(Method::DELETE, path, operation, needs)
    }

    /// The same with a JSON body.
    pub(crate) fn with(mut self, body: &impl Serialize) -> Result<Self, Error> {
        let value = serde_json::to_value(body)
            .map_err(|why| self.invalid(format!("it cannot be written as JSON: {why}")))?;
        self.body = Some(value);
        Ok(self)
    }

    pub(crate) fn fails(&self, problem: Problem) -> Error {
        Error::new(self.operation.clone(), problem)
    }

    pub(crate) fn invalid(&self, why: impl Into<String>) -> Error {
        self.fails(Problem::Invalid(why.into()))
    }
}
