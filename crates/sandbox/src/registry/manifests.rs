//! Manifests and tags.

use axum::Json;
use axum::http::header::{ACCEPT, CONTENT_TYPE, LINK};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::api::{Asked, bare, with_headers};
use super::image::{MANIFEST_TYPES, digest_of};
use super::refusal::Refusal;
use super::state::{Manifest, Pushed, Repository, State};

/// `/v2/<name>/manifests/<tag or digest>`
pub(super) fn answer(
    state: &mut State,
    asked: &Asked,
    name: &str,
    reference: &str,
) -> Result<Response, Refusal> {
    match asked.method {
        Method::GET | Method::HEAD => get(state.repositories.get(name), asked, reference),
        Method::PUT => put(state, asked, name, reference),
        Method::DELETE if !state.deletes => Err(Refusal::unsupported()),
        Method::DELETE => delete(state.repositories.get_mut(name), reference),
        _ => Err(Refusal::not_modelled(&format!(
            "{} of a manifest",
            asked.method
        ))),
    }
}

fn get(
    repository: Option<&Repository>,
    asked: &Asked,
    reference: &str,
) -> Result<Response, Refusal> {
    let found = repository.and_then(|r| r.digest_of(reference).map(|digest| (r, digest)));
    let (repository, digest) =
        found.ok_or_else(|| Refusal::manifest_unknown("manifest unknown"))?;
    let manifest = &repository.manifests[&digest];
    if !accepts(asked, &manifest.media_type) {
        // As docker-registry: what the client cannot read does not exist for it.
        return Err(Refusal::manifest_unknown(&format!(
            "{} found, but the accept header does not support it",
            manifest.media_type
        )));
    }
    Ok(with_headers(
        StatusCode::OK,
        [
            ("content-type", &manifest.media_type),
            ("docker-content-digest", &digest),
            ("etag", &format!("\"{digest}\"")),
        ],
        manifest.bytes.clone(),
    ))
}

fn accepts(asked: &Asked, media_type: &str) -> bool {
    let lines = asked.headers.get_all(ACCEPT).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|accepted| accepted.split(';').next().map(str::trim) == Some(media_type))
}

fn put(state: &mut State, asked: &Asked, name: &str, reference: &str) -> Result<Response, Refusal> {
    let media_type = asked
        .header(CONTENT_TYPE)
        .filter(|given| MANIFEST_TYPES.contains(given))
        .ok_or_else(|| Refusal::manifest_invalid("content type is not a manifest's"))?;
    let digest = digest_of(&asked.body);
    let by_digest = reference.contains(':');
    if by_digest && reference != digest {
        return Err(Refusal::digest_invalid(reference));
    }
    if !by_digest && !is_tag(reference) {
        return Err(Refusal::tag_invalid(reference));
    }
    let repository = state.repository(name);
    complete(repository, &asked.body, media_type)?;
    let manifest = Manifest {
        media_type: media_type.to_owned(),
        bytes: asked.body.clone(),
    };
    repository.manifests.insert(digest.clone(), manifest);
    if !by_digest {
        repository.tags.insert(reference.to_owned(), digest.clone());
    }
    state.pushed.push(Pushed {
        name: name.to_owned(),
        digest: digest.clone(),
        tag: (!by_digest).then(|| reference.to_owned()),
    });
    let location = format!("/v2/{name}/manifests/{digest}");
    let headers = [
        ("location", location.as_str()),
        ("docker-content-digest", &digest),
    ];
    Ok(bare(StatusCode::CREATED, headers))
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

/// What a manifest refers to must be there first.
fn complete(repository: &Repository, bytes: &[u8], media_type: &str) -> Result<(), Refusal> {
    let manifest: Value = serde_json::from_slice(bytes)
        .map_err(|error| Refusal::manifest_invalid(&error.to_string()))?;
    let own_type = manifest["mediaType"].as_str();
    if own_type.is_some_and(|own| own != media_type) {
        return Err(Refusal::manifest_invalid(
            "mediaType differs from the content type",
        ));
    }
    let list = |key: &str| manifest[key].as_array().cloned().unwrap_or_default();
    let digest = |entry: &Value| entry["digest"].as_str().unwrap_or_default().to_owned();
    let children = list("manifests");
    let mut blobs = list("layers");
    blobs.extend(manifest.get("config").cloned());
    if manifest.get("manifests").is_none() && blobs.is_empty() {
        return Err(Refusal::manifest_invalid("neither manifests nor config"));
    }
    let absent_child = children
        .iter()
        .map(digest)
        .find(|child| !repository.manifests.contains_key(child));
    let absent_blob = blobs
        .iter()
        .map(digest)
        .find(|blob| !repository.blobs.contains_key(blob));
    absent_child.or(absent_blob).map_or(Ok(()), |absent| {
        Err(Refusal::manifest_blob_unknown(&absent))
    })
}

fn delete(repository: Option<&mut Repository>, reference: &str) -> Result<Response, Refusal> {
    if !reference.contains(':') {
        return Err(Refusal::not_modelled("the deletion of a tag"));
    }
    if repository.is_some_and(|r| r.remove_manifest(reference)) {
        Ok(bare(StatusCode::ACCEPTED, []))
    } else {
        Err(Refusal::manifest_unknown("unknown manifest"))
    }
}

/// `/v2/<name>/tags/list?n=…&last=…`, in the order of their letters.
pub(super) fn tags(state: &State, asked: &Asked, name: &str) -> Result<Response, Refusal> {
    let repository = state.repositories.get(name);
    let repository = repository.ok_or_else(|| Refusal::name_unknown(name))?;
    let limit = match asked.parameter("n").map(str::parse::<usize>) {
        None => usize::MAX,
        Some(Ok(limit)) => limit,
        Some(Err(_)) => return Err(Refusal::not_modelled("a page size that is no number")),
    };
    let last = asked.parameter("last").unwrap_or_default();
    let mut after = repository.tags.keys().filter(|tag| tag.as_str() > last);
    let page: Vec<&String> = after.by_ref().take(limit).collect();
    let mut response = Json(json!({ "name": name, "tags": page })).into_response();
    if let (Some(_), Some(end)) = (after.next(), page.last()) {
        let link = format!("</v2/{name}/tags/list?last={end}&n={limit}>; rel=\"next\"");
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().insert(LINK, link);
        }
    }
    Ok(response)
}
