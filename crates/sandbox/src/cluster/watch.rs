//! Watches: every change of what a client selects, from a version on.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::Instant;

use super::api::{Asked, Place, Shared, lock, selector};
use super::kinds::Resource;
use super::refusal::Refusal;
use super::selectors::Selector;
use super::store::Change;

/// How long a watch lasts that does not say.
const USUAL: Duration = Duration::from_secs(1800);

struct Watch {
    shared: Shared,
    changed: Receiver<u64>,
    resource: &'static Resource,
    namespace: Option<String>,
    selector: Selector,
    /// What has been told, or is in `waiting`.
    version: u64,
    end: Instant,
    bookmarks: bool,
    waiting: VecDeque<Value>,
    over: bool,
}

/// Begins a watch: with what there is, unless the client says from which version on.
pub(super) fn begin(
    shared: &Shared,
    asked: &Asked,
    place: &Place<'_>,
) -> Result<Response, Refusal> {
    asked.only(&[
        "watch",
        "labelSelector",
        "fieldSelector",
        "resourceVersion",
        "timeoutSeconds",
        "allowWatchBookmarks",
    ])?;
    let seconds = asked
        .parameter("timeoutSeconds")
        .and_then(|text| text.parse().ok());
    let mut watch = {
        let state = lock(shared);
        Watch {
            shared: Arc::clone(shared),
            changed: state.store.subscribe(),
            resource: place.resource,
            namespace: place.namespace.map(str::to_owned),
            selector: selector(asked)?,
            version: state.store.version(),
            end: Instant::now() + seconds.map_or(USUAL, Duration::from_secs),
            bookmarks: asked.parameter("allowWatchBookmarks") == Some("true"),
            waiting: VecDeque::new(),
            over: false,
        }
    };
    match asked.parameter("resourceVersion").unwrap_or_default() {
        "" | "0" => watch.tell_all(),
        version => {
            let version = version.parse().map_err(|_| {
                Refusal::bad_request(format!(
                    "Invalid value: {version:?}: invalid resource version"
                ))
            })?;
            watch.version = version;
        }
    }
    let lines = stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        let mut line = event.to_string();
        line.push('\n');
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(line)), watch))
    });
    let header = [(CONTENT_TYPE, "application/json")];
    Ok((header, Body::from_stream(lines)).into_response())
}

impl Watch {
    fn tell_all(&mut self) {
        let shared = Arc::clone(&self.shared);
        let state = lock(&shared);
        let objects = state
            .store
            .list(self.resource.kind, self.namespace.as_deref());
        let selected = objects.filter(|(_, object)| self.selector.selects(object));
        self.waiting = selected
            .map(|(_, object)| json!({ "type": "ADDED", "object": **object }))
            .collect();
        self.version = state.store.version();
    }

    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            self.changed.mark_unchanged();
            self.catch_up();
            if !self.waiting.is_empty() {
                continue;
            }
            tokio::select! {
                outcome = self.changed.changed() => self.over = outcome.is_err(),
                () = tokio::time::sleep_until(self.end) => {
                    self.over = true;
                    if self.bookmarks {
                        self.waiting.push_back(self.bookmark());
                    }
                }
            }
        }
    }

    fn bookmark(&self) -> Value {
        json!({
            "type": "BOOKMARK",
            "object": {
                "kind": self.resource.kind,
                "apiVersion": self.resource.api_version(),
                "metadata": { "resourceVersion": self.version.to_string() },
            },
        })
    }

    fn catch_up(&mut self) {
        let shared = Arc::clone(&self.shared);
        let state = lock(&shared);
        match state.store.since(self.version) {
            Ok(changes) => {
                let events: Vec<Value> = changes.filter_map(|change| self.event(change)).collect();
                self.waiting.extend(events);
                self.version = self.version.max(state.store.version());
            }
            Err(oldest) => {
                let status = Refusal::expired(self.version, oldest).status();
                self.waiting
                    .push_back(json!({ "type": "ERROR", "object": status }));
                self.over = true;
            }
        }
    }

    /// A change as this watch sees it: what begins to be selected is added, what is not selected any more deleted.
    fn event(&self, change: &Change) -> Option<Value> {
        let elsewhere = self
            .namespace
            .as_ref()
            .is_some_and(|n| *n != change.key.namespace);
        if change.key.kind != self.resource.kind || elsewhere {
            return None;
        }
        let selected = |object: &Option<Arc<Value>>| {
            let object = object
                .as_ref()
                .filter(|object| self.selector.selects(object));
            object.map(|object| Value::clone(object))
        };
        let (before, after) = (selected(&change.before), selected(&change.after));
        let (kind, object) = match (before, after) {
            (None, None) => return None,
            (None, Some(after)) => ("ADDED", after),
            (Some(_), Some(after)) => ("MODIFIED", after),
            (Some(mut before), None) => {
                before["metadata"]["resourceVersion"] = json!(change.version.to_string());
                ("DELETED", before)
            }
        };
        Some(json!({ "type": kind, "object": object }))
    }
}
