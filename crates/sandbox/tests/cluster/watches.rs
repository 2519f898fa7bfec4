//! Watches tell every change, once.

use reqwest::Response;
use serde_json::{Value, json};

use crate::client::Desk;

const CONFIGS: &str = "/api/v1/namespaces/shop/configmaps";

fn config(name: &str, label: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": name, "labels": { "app": label } },
    })
}

/// The events that a watch tells from here on.
struct Events {
    response: Response,
    text: String,
}

impl Events {
    fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        Self {
            response,
            text: String::new(),
        }
    }

    /// The next event; none at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let event = serde_json::from_str(line).unwrap();
                self.text = rest.to_owned();
                return Some(event);
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn brief(&mut self) -> String {
        match self.next().await {
            Some(event) => format!(
                "{} {}",
                event["type"].as_str().unwrap(),
                event["object"]["metadata"]["name"].as_str().unwrap_or("-")
            ),
            None => "end".to_owned(),
        }
    }
}

#[tokio::test]
async fn a_watch_goes_on_where_a_list_ended() {
    let desk = Desk::open().await;
    desk.has(config("a", "web")).await;
    let (_, list) = desk
        .get(&format!("{CONFIGS}?labelSelector=app%3Dweb&limit=500"))
        .await;
    assert_eq!(list["kind"], "ConfigMapList");
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    desk.has(config("b", "api")).await;
    desk.has(config("c", "web")).await;
    let path = format!(
        "{CONFIGS}?watch=true&labelSelector=app%3Dweb&resourceVersion={version}&allowWatchBookmarks=true&timeoutSeconds=2"
    );
    let mut events = Events::of(desk.watch(&path).await);
    assert_eq!(events.brief().await, "ADDED c");
    // What begins, or ceases, to be selected is told as added, or deleted.
    desk.has(config("b", "web")).await;
    assert_eq!(events.brief().await, "ADDED b");
    desk.has(config("c", "api")).await;
    assert_eq!(events.brief().await, "DELETED c");
    desk.delete(&format!("{CONFIGS}/a"), Value::Null).await;
    let deleted = events.next().await.unwrap();
    assert_eq!(deleted["type"], "DELETED");
    let number = |version: &Value| version.as_str().unwrap().parse::<u64>().unwrap();
    assert!(number(&deleted["object"]["metadata"]["resourceVersion"]) > version.parse().unwrap());
    let bookmark = events.next().await.unwrap();
    assert_eq!(
        (&bookmark["type"], &bookmark["object"]["kind"]),
        (&json!("BOOKMARK"), &json!("ConfigMap"))
    );
    assert_eq!(events.brief().await, "end");
}

#[tokio::test]
async fn a_watch_without_a_version_begins_with_what_there_is() {
    let desk = Desk::open().await;
    desk.has(config("a", "web")).await;
    let mut events = Events::of(desk.watch(&format!("{CONFIGS}?watch=true")).await);
    assert_eq!(events.brief().await, "ADDED a");
    assert_eq!(events.brief().await, "ADDED kube-root-ca.crt");
    desk.has(config("a", "api")).await;
    assert_eq!(events.brief().await, "MODIFIED a");
}

#[tokio::test]
async fn what_was_compacted_cannot_be_watched() {
    let desk = Desk::open().await;
    desk.has(config("a", "web")).await;
    desk.cluster.compact();
    let mut events = Events::of(
        desk.watch(&format!("{CONFIGS}?watch=true&resourceVersion=2"))
            .await,
    );
    let event = events.next().await.unwrap();
    assert_eq!(event["type"], "ERROR");
    assert_eq!(
        (&event["object"]["code"], &event["object"]["reason"]),
        (&json!(410), &json!("Expired"))
    );
    assert_eq!(events.brief().await, "end");
}
