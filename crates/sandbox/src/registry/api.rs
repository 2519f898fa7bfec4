//! The distribution API: which request means what.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#endpoints>

use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Query, Request, State as Extract};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::json;

use super::auth::{self, Access};
use super::refusal::Refusal;
use super::state::{State, tell_of_pushes};
use super::{blobs, manifests};

/// No test image comes near it.
const LARGEST_BODY: usize = 1 << 30;

/// The state with the address under which clients know it.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) host: String,
    pub(super) state: Arc<Mutex<State>>,
}

/// A request, read completely.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    query: Vec<(String, String)>,
}

impl Asked {
    /// The first value of a query parameter.
    pub(super) fn parameter(&self, name: &'static str) -> Option<&str> {
        self.parameters(name).next()
    }

    /// All values of a query parameter.
    pub(super) fn parameters(&self, name: &'static str) -> impl Iterator<Item = &str> {
        let named = self.query.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }

    /// A header's text.
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// What a path speaks of.
enum Route<'a> {
    Base,
    Token,
    Manifest(&'a str, &'a str),
    /// A new upload, or the one with this id.
    Upload(&'a str, Option<&'a str>),
    Blob(&'a str, &'a str),
    Tags(&'a str),
    Referrers,
    Unknown,
}

fn route(path: &str) -> Route<'_> {
    match path {
        "/v2" | "/v2/" => return Route::Base,
        "/token" => return Route::Token,
        _ => {}
    }
    let Some(path) = path.strip_prefix("/v2/") else {
        return Route::Unknown;
    };
    // A name has slashes of its own: the last keyword counts.
    if let Some(name) = path.strip_suffix("/tags/list") {
        Route::Tags(name)
    } else if let Some((name, id)) = path.rsplit_once("/blobs/uploads/") {
        Route::Upload(name, Some(id).filter(|id| !id.is_empty()))
    } else if let Some(name) = path.strip_suffix("/blobs/uploads") {
        Route::Upload(name, None)
    } else if let Some((name, digest)) = path.rsplit_once("/blobs/") {
        Route::Blob(name, digest)
    } else if let Some((name, reference)) = path.rsplit_once("/manifests/") {
        Route::Manifest(name, reference)
    } else if path.contains("/referrers/") {
        Route::Referrers
    } else {
        Route::Unknown
    }
}

/// Answers any request.
pub(super) async fn serve(Extract(shared): Extract<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return Refusal::not_modelled("a body that breaks off or is beyond 1 GiB").into_response();
    };
    let query = Query::try_from_uri(&parts.uri).map_or_else(|_| Vec::new(), |Query(query)| query);
    let asked = Asked {
        method: parts.method,
        headers: parts.headers,
        body,
        query,
    };
    let mut response = {
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        answer(&mut state, &shared.host, parts.uri.path(), &asked)
            .unwrap_or_else(IntoResponse::into_response)
    };
    tell_of_pushes(&shared.state);
    response.headers_mut().insert(
        HeaderName::from_static("docker-distribution-api-version"),
        HeaderValue::from_static("registry/2.0"),
    );
    response
}

fn answer(state: &mut State, host: &str, path: &str, asked: &Asked) -> Result<Response, Refusal> {
    let reads = matches!(asked.method, Method::GET | Method::HEAD);
    let access = if reads { Access::Pull } else { Access::Push };
    let enter = |name: &str| {
        valid_name(name)?;
        auth::authorize(state, host, &asked.headers, name, access)
    };
    match route(path) {
        Route::Base if reads => {
            auth::known(state, host, &asked.headers)?;
            Ok(Json(json!({})).into_response())
        }
        Route::Token if asked.method == Method::GET => auth::token(state, host, asked),
        Route::Manifest(name, reference) => {
            enter(name)?;
            manifests::answer(state, asked, name, reference)
        }
        Route::Upload(name, id) => {
            enter(name)?;
            blobs::upload(state, asked, name, id)
        }
        Route::Blob(name, digest) => {
            enter(name)?;
            blobs::answer(state, asked, name, digest)
        }
        Route::Tags(name) if reads => {
            enter(name)?;
            manifests::tags(state, asked, name)
        }
        Route::Referrers => Err(Refusal::no_such_page()),
        Route::Base | Route::Token | Route::Tags(_) | Route::Unknown => {
            Err(Refusal::not_modelled(&format!("{} {path}", asked.method)))
        }
    }
}

/// Lower case only. <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>
fn valid_name(name: &str) -> Result<(), Refusal> {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let valid = |part: &str| {
        part.starts_with(alphanumeric)
            && part.ends_with(alphanumeric)
            && part
                .chars()
                .all(|c| alphanumeric(c) || matches!(c, '.' | '_' | '-'))
    };
    if name.split('/').all(valid) {
        Ok(())
    } else {
        Err(Refusal::name_invalid(name))
    }
}

/// A response of headers only.
pub(super) fn bare<const N: usize>(status: StatusCode, headers: [(&str, &str); N]) -> Response {
    with_headers(status, headers, Bytes::new())
}

/// A response with headers and a body.
pub(super) fn with_headers<const N: usize>(
    status: StatusCode,
    headers: [(&str, &str); N],
    body: Bytes,
) -> Response {
    let mut response = (status, body).into_response();
    for (name, value) in headers {
        let name = HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
