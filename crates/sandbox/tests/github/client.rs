//! A client that speaks to the sandbox as `github-actions[bot]`.

use reqwest::{Method, Response};
use sandbox::github::{ACTIONS_TOKEN, GitHub, Repository};
use serde_json::{Value, json};

/// A GitHub with the repository `acme/shop`, and a client.
pub(crate) struct Desk {
    pub(crate) github: GitHub,
    pub(crate) shop: Repository,
    http: reqwest::Client,
}

impl Desk {
    pub(crate) async fn open() -> Self {
        // Another test of this process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let github = GitHub::start().await.unwrap();
        let shop = github.create_repository(
            "acme/shop",
            &[("README.md", "A shop"), ("web/index.html", "<h1>Shop</h1>")],
        );
        let http = reqwest::Client::builder()
            .user_agent("sandbox-tests")
            .build()
            .unwrap();
        Self { github, shop, http }
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        self.send_as(ACTIONS_TOKEN, method, path, body).await
    }

    pub(crate) async fn send_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Response {
        let url = format!("{}{path}", self.github.url());
        let mut request = self.http.request(method, url).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    /// Status and body of a request below `/repos/acme/shop`.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Option<Value>>,
    ) -> (u16, Value) {
        let path = format!("/repos/acme/shop{path}");
        let response = self.send(method, &path, body.into()).await;
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path, None).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(Method::POST, path, body).await
    }

    /// A file's bytes, as `Accept: application/vnd.github.raw+json` gives them.
    pub(crate) async fn raw(&self, path: &str) -> String {
        let url = format!("{}/repos/acme/shop{path}", self.github.url());
        let request = self.http.get(url).bearer_auth(ACTIONS_TOKEN);
        let request = request.header("accept", "application/vnd.github.raw+json");
        request.send().await.unwrap().text().await.unwrap()
    }

    /// Asserts that the judge found nothing wrong in the whole story.
    pub(crate) fn close(&self) {
        assert_eq!(self.github.violations(), Vec::<String>::new());
    }
}

/// What is interesting of an error's body.
pub(crate) fn brief(body: &Value) -> Value {
    json!({ "message": body["message"], "errors": body["errors"] })
}
