//! A client with the cluster's token.

use std::time::Duration;

use reqwest::{Method, Response};
use sandbox::cluster::Cluster;
use serde_json::{Value, json};

/// Longer than anything takes here, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A cluster with the namespace `shop`, and a client.
pub(crate) struct Desk {
    pub(crate) cluster: Cluster,
    http: reqwest::Client,
}

impl Desk {
    pub(crate) async fn open() -> Self {
        Self::at(Cluster::start().await.unwrap())
    }

    pub(crate) fn at(cluster: Cluster) -> Self {
        // Another test of this process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        cluster.create_namespace("shop").unwrap();
        let http = reqwest::Client::new();
        Self { cluster, http }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Value,
    ) -> Response {
        let url = format!("{}{path}", self.cluster.url());
        let request = self
            .http
            .request(method, url)
            .bearer_auth(self.cluster.token());
        let request = match body {
            Value::Null => request,
            body => request
                .header("content-type", content_type)
                .body(body.to_string()),
        };
        request.send().await.unwrap()
    }

    async fn ask(&self, method: Method, path: &str, kind: &str, body: Value) -> (u16, Value) {
        let response = self.send(method, path, kind, body).await;
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(Method::GET, path, "", Value::Null).await
    }

    /// Server-side apply by `manager`, without force.
    pub(crate) async fn apply_as(&self, manager: &str, path: &str, body: Value) -> (u16, Value) {
        let path = format!("{path}?fieldManager={manager}&fieldValidation=Strict");
        self.ask(Method::PATCH, &path, "application/apply-patch+yaml", body)
            .await
    }

    /// Server-side apply by us, with force.
    pub(crate) async fn apply(&self, path: &str, body: Value) -> (u16, Value) {
        let path = format!("{path}?fieldManager=us&force=true&fieldValidation=Strict");
        self.ask(Method::PATCH, &path, "application/apply-patch+yaml", body)
            .await
    }

    /// Applies the object in `shop`, which has to succeed.
    pub(crate) async fn has(&self, object: Value) -> Value {
        let path = path_of(&object);
        let (status, answer) = self.apply(&path, object).await;
        assert!(matches!(status, 200 | 201), "{path}: {answer}");
        answer
    }

    pub(crate) async fn merge(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(Method::PATCH, path, "application/merge-patch+json", body)
            .await
    }

    pub(crate) async fn delete(&self, path: &str, options: Value) -> (u16, Value) {
        self.ask(Method::DELETE, path, "application/json", options)
            .await
    }

    /// Waits until `seen` says what it is waited for, told again after each change of the cluster.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        mut seen: impl FnMut(&Cluster) -> Option<T>,
    ) -> T {
        let wait = async {
            let mut response = self.watch("/api/v1/pods?watch=true").await;
            loop {
                if let Some(found) = seen(&self.cluster) {
                    return found;
                }
                // What is waited for may be none of a pod: a change that no pod sees is seen a moment later.
                let _ = tokio::time::timeout(Duration::from_millis(20), response.chunk()).await;
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(found) => found,
            Err(_) => panic!("not seen: {what}; there is {:?}", self.cluster.pods("shop")),
        }
    }

    pub(crate) async fn watch(&self, path: &str) -> Response {
        self.send(Method::GET, path, "", Value::Null).await
    }
}

/// Where an object is, in `shop` unless it says otherwise.
pub(crate) fn path_of(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let base = if version.contains('/') {
        format!("/apis/{version}")
    } else {
        format!("/api/{version}")
    };
    let plural = match kind.as_str() {
        "Ingress" => "ingresses".to_owned(),
        "NetworkPolicy" => "networkpolicies".to_owned(),
        kind => format!("{}s", kind.to_lowercase()),
    };
    let name = text(&object["metadata"]["name"]);
    format!("{base}/namespaces/shop/{plural}/{name}")
}

/// What is interesting of an error's body.
pub(crate) fn brief(body: &Value) -> Value {
    json!({
        "code": body["code"],
        "reason": body["reason"],
        "message": body["message"],
        "causes": body["details"]["causes"],
    })
}

/// A Deployment of one container.
pub(crate) fn deployment(name: &str, image: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": name, "image": image }] },
            },
        },
    })
}
