//! The API: which request means what.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/>

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Query, Request, State as Extract};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};

use super::kinds::Resource;
use super::refusal::Refusal;
use super::selectors::Selector;
use super::state::State;
use super::store::Key;
use super::{access, clients, discovery, pods, proxy, watch};

/// The API server's own limit.
const LARGEST_BODY: usize = 3 * 1024 * 1024;

/// The version that this cluster says it is: of the one that it was compared with.
const VERSION: [&str; 2] = ["1", "36"];

pub(super) type Shared = Arc<Mutex<State>>;

/// A request, read completely.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) query: Vec<(String, String)>,
}

impl Asked {
    /// The first value of a query parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut named = self.query.iter().filter(|(key, _)| key == name);
        named.next().map(|(_, value)| value.as_str())
    }

    pub(super) fn content_type(&self) -> &str {
        let header = self
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        header
            .and_then(|header| header.split(';').next())
            .unwrap_or_default()
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(&self.body).map_err(|error| {
            if self.content_type().ends_with("yaml") {
                // JSON is YAML, and all that is read of it here.
                return self.not_modelled();
            }
            Refusal::bad_request(format!("the body is no JSON: {error}"))
        })
    }

    pub(super) fn not_modelled(&self) -> Refusal {
        let query: Vec<String> = self
            .query
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let query = query.join("&");
        let body = String::from_utf8_lossy(&self.body);
        Refusal::not_modelled(&format!(
            "{} {}?{query} ({}) {body}",
            self.method,
            self.path,
            self.content_type()
        ))
    }

    /// Refuses loudly what a client asks for besides.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        match self
            .query
            .iter()
            .all(|(key, _)| known.contains(&key.as_str()))
        {
            true => Ok(()),
            false => Err(self.not_modelled()),
        }
    }
}

/// What a path speaks of.
pub(super) struct Place<'a> {
    pub(super) resource: &'static Resource,
    /// None for all namespaces, and for what is in none.
    pub(super) namespace: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    /// A subresource with all that follows it.
    pub(super) rest: Option<&'a str>,
}

impl Place<'_> {
    pub(super) fn key(&self, name: &str) -> Key {
        Key::new(self.resource.kind, self.namespace.unwrap_or_default(), name)
    }
}

fn place(path: &str) -> Option<Place<'_>> {
    let (group, rest) = if let Some(rest) = path.strip_prefix("/api/v1/") {
        ("", rest)
    } else {
        let (group, rest) = path.strip_prefix("/apis/")?.split_once('/')?;
        (group, rest.strip_prefix("v1/")?)
    };
    let mut namespace = None;
    let mut rest = rest;
    if let Some(within) = rest.strip_prefix("namespaces/")
        && let Some((name, inner)) = within.split_once('/')
        && !matches!(inner, "status" | "finalize")
    {
        namespace = Some(name);
        rest = inner;
    }
    let mut steps = rest.splitn(3, '/');
    let resource = Resource::named(group, steps.next()?)?;
    let fits = resource.namespaced || namespace.is_none();
    fits.then_some(Place {
        resource,
        namespace,
        name: steps.next().filter(|name| !name.is_empty()),
        rest: steps.next(),
    })
}

pub(super) fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers any request.
pub(super) async fn serve(Extract(shared): Extract<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return Refusal::not_modelled("a body that breaks off or is beyond 3 MiB").into_response();
    };
    let query = Query::try_from_uri(&parts.uri).map_or_else(|_| Vec::new(), |Query(query)| query);
    let asked = Asked {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        body,
        query,
    };
    answer(&shared, &asked).unwrap_or_else(IntoResponse::into_response)
}

fn answer(shared: &Shared, asked: &Asked) -> Result<Response, Refusal> {
    let reads = asked.method == Method::GET;
    match asked.path.as_str() {
        "/readyz" | "/livez" | "/healthz" if reads => return Ok("ok".into_response()),
        "/version" if reads => return Ok(Json(version()).into_response()),
        _ => {}
    }
    authenticate(shared, asked)?;
    if let Some(found) = discovery::answer(shared, asked)? {
        return Ok(found);
    }
    if let Some(review) = access::answer(shared, asked)? {
        return Ok(review);
    }
    let place = place(&asked.path).ok_or_else(|| asked.not_modelled())?;
    if !lock(shared).serves(place.resource) {
        return Ok(discovery::nothing_here());
    }
    access::authorize(shared, asked, &place)?;
    match (place.name, place.rest) {
        (Some(name), Some(rest)) => part(shared, asked, &place, name, rest),
        (Some(name), None) => one(shared, asked, &place, name),
        (None, _) => collection(shared, asked, &place),
    }
}

fn authenticate(shared: &Shared, asked: &Asked) -> Result<(), Refusal> {
    let header = asked
        .headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = header.and_then(|header| header.strip_prefix("Bearer "));
    match token == Some(lock(shared).token.as_str()) {
        true => Ok(()),
        false => Err(Refusal::unauthorized()),
    }
}

fn version() -> Value {
    let [major, minor] = VERSION;
    json!({
        "major": major,
        "minor": minor,
        "gitVersion": format!("v{major}.{minor}.0-sandbox"),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "linux/amd64",
    })
}

fn collection(shared: &Shared, asked: &Asked, place: &Place<'_>) -> Result<Response, Refusal> {
    match asked.method {
        Method::GET if matches!(asked.parameter("watch"), Some("true" | "1")) => {
            watch::begin(shared, asked, place)
        }
        Method::GET => list(shared, asked, place),
        Method::POST => clients::create(&mut lock(shared), asked, place),
        _ => Err(asked.not_modelled()),
    }
}

fn one(shared: &Shared, asked: &Asked, place: &Place<'_>, name: &str) -> Result<Response, Refusal> {
    if place.resource.namespaced && place.namespace.is_none() {
        return Err(asked.not_modelled());
    }
    let state = &mut lock(shared);
    match asked.method {
        Method::GET => {
            asked.only(&[])?;
            let found = state.store.get(&place.key(name));
            let found = found.ok_or_else(|| Refusal::not_found(place.resource, name))?;
            Ok(Json(&**found).into_response())
        }
        Method::PUT => clients::update(state, asked, place, name),
        Method::PATCH => clients::patch(state, asked, place, name),
        Method::DELETE => clients::delete(state, asked, place, name),
        _ => Err(asked.not_modelled()),
    }
}

fn part(
    shared: &Shared,
    asked: &Asked,
    place: &Place<'_>,
    name: &str,
    rest: &str,
) -> Result<Response, Refusal> {
    let (part, below) = rest.split_once('/').unwrap_or((rest, ""));
    let state = &mut lock(shared);
    match (place.resource.kind, part, &asked.method) {
        ("Pod", "log", &Method::GET) => pods::log(state, asked, place, name),
        ("Service", "proxy", &Method::GET) => proxy::visit(state, asked, place, name, below),
        (_, "status", &Method::PATCH) => clients::patch_status(state, asked, place, name),
        _ => Err(asked.not_modelled()),
    }
}

/// What a list or a watch selects.
pub(super) fn selector(asked: &Asked) -> Result<Selector, Refusal> {
    Selector::read(
        asked.parameter("labelSelector"),
        asked.parameter("fieldSelector"),
    )
}

fn list(shared: &Shared, asked: &Asked, place: &Place<'_>) -> Result<Response, Refusal> {
    // A newer answer than asked for is what these parameters ask for at least.
    asked.only(&[
        "labelSelector",
        "fieldSelector",
        "limit",
        "resourceVersion",
        "resourceVersionMatch",
        "timeoutSeconds",
    ])?;
    let selector = selector(asked)?;
    let state = lock(shared);
    let objects = state.store.list(place.resource.kind, place.namespace);
    let items: Vec<Value> = objects
        .filter(|(_, object)| selector.selects(object))
        .map(|(_, object)| {
            let mut item = Value::clone(object);
            if let Some(item) = item.as_object_mut() {
                // A list tells them once.
                item.remove("kind");
                item.remove("apiVersion");
            }
            item
        })
        .collect();
    let limit: Option<usize> = asked
        .parameter("limit")
        .and_then(|limit| limit.parse().ok());
    if limit.is_some_and(|limit| limit > 0 && items.len() > limit) {
        return Err(Refusal::not_modelled(&format!(
            "a list of more than {limit:?} items in pages"
        )));
    }
    let list = json!({
        "kind": format!("{}List", place.resource.kind),
        "apiVersion": place.resource.api_version(),
        "metadata": { "resourceVersion": state.store.version().to_string() },
        "items": items,
    });
    Ok((StatusCode::OK, Json(list)).into_response())
}
