//! Blobs and their uploads.

use axum::http::header::{CONTENT_RANGE, RANGE};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;

use super::api::{Asked, bare, with_headers};
use super::image::digest_of;
use super::refusal::Refusal;
use super::state::{State, Upload, secret};

/// `/v2/<name>/blobs/<digest>`
pub(super) fn answer(
    state: &mut State,
    asked: &Asked,
    name: &str,
    digest: &str,
) -> Result<Response, Refusal> {
    let deletes = state.deletes;
    let repository = state.repositories.get_mut(name);
    let repository = repository.ok_or_else(|| Refusal::blob_unknown(digest))?;
    match asked.method {
        Method::GET | Method::HEAD if asked.headers.contains_key(RANGE) => {
            Err(Refusal::not_modelled("a part of a blob"))
        }
        Method::GET | Method::HEAD => {
            let blob = repository.blobs.get(digest);
            let blob = blob.ok_or_else(|| Refusal::blob_unknown(digest))?;
            let headers = [
                ("content-type", "application/octet-stream"),
                ("docker-content-digest", digest),
            ];
            Ok(with_headers(StatusCode::OK, headers, blob.clone()))
        }
        Method::DELETE if !deletes => Err(Refusal::unsupported()),
        Method::DELETE => match repository.blobs.remove(digest) {
            Some(_) => Ok(bare(StatusCode::ACCEPTED, [])),
            None => Err(Refusal::blob_unknown(digest)),
        },
        _ => Err(Refusal::not_modelled(&format!(
            "{} of a blob",
            asked.method
        ))),
    }
}

/// `/v2/<name>/blobs/uploads/[<id>]`
pub(super) fn upload(
    state: &mut State,
    asked: &Asked,
    name: &str,
    id: Option<&str>,
) -> Result<Response, Refusal> {
    match (&asked.method, id) {
        (&Method::POST, None) => start(state, asked, name),
        (&Method::PATCH, Some(id)) => {
            append(state, asked, name, id)?;
            Ok(under_way(state, name, id))
        }
        (&Method::PUT, Some(id)) => {
            append(state, asked, name, id)?;
            finish(state, asked, name, id)
        }
        _ => Err(Refusal::not_modelled(&format!(
            "{} of an upload",
            asked.method
        ))),
    }
}

fn start(state: &mut State, asked: &Asked, name: &str) -> Result<Response, Refusal> {
    // A `digest` here would ask for an upload in one request; docker-registry starts one in two all the same.
    if let Some(digest) = asked.parameter("mount")
        && let Some(blob) = mountable(state, asked, digest)
    {
        return store(state, name, digest, blob);
    }
    let id = secret();
    let upload = Upload {
        repository: name.to_owned(),
        bytes: Vec::new(),
    };
    state.uploads.insert(id.clone(), upload);
    Ok(under_way(state, name, &id))
}

/// The blob of another repository; where it cannot be mounted, an upload starts instead.
fn mountable(state: &State, asked: &Asked, digest: &str) -> Option<Bytes> {
    let from = state.repositories.get(asked.parameter("from")?)?;
    from.blobs.get(digest).cloned()
}

fn own<'a>(state: &'a mut State, name: &str, id: &str) -> Result<&'a mut Upload, Refusal> {
    let upload = state.uploads.get_mut(id);
    upload
        .filter(|upload| upload.repository == name)
        .ok_or_else(Refusal::upload_unknown)
}

fn append(state: &mut State, asked: &Asked, name: &str, id: &str) -> Result<(), Refusal> {
    let upload = own(state, name, id)?;
    let start = asked
        .header(CONTENT_RANGE)
        .and_then(|range| range.split('-').next())
        .map(str::parse::<usize>);
    match start {
        None => {}
        Some(Ok(start)) if start == upload.bytes.len() => {}
        Some(_) => return Err(Refusal::upload_out_of_order()),
    }
    upload.bytes.extend_from_slice(&asked.body);
    Ok(())
}

fn under_way(state: &State, name: &str, id: &str) -> Response {
    let received = state.uploads.get(id).map_or(0, |upload| upload.bytes.len());
    let location = format!("/v2/{name}/blobs/uploads/{id}");
    let range = format!("0-{}", received.saturating_sub(1));
    bare(
        StatusCode::ACCEPTED,
        [
            ("location", location.as_str()),
            ("range", &range),
            ("docker-upload-uuid", id),
        ],
    )
}

fn finish(state: &mut State, asked: &Asked, name: &str, id: &str) -> Result<Response, Refusal> {
    let digest = asked
        .parameter("digest")
        .ok_or_else(|| Refusal::digest_invalid(""))?;
    let upload = state.uploads.remove(id);
    let bytes = upload.ok_or_else(Refusal::upload_unknown)?.bytes;
    store(state, name, digest, Bytes::from(bytes))
}

fn store(state: &mut State, name: &str, digest: &str, bytes: Bytes) -> Result<Response, Refusal> {
    if digest_of(&bytes) != digest {
        return Err(Refusal::digest_invalid(digest));
    }
    let repository = state.repository(name);
    repository.blobs.insert(digest.to_owned(), bytes);
    let location = format!("/v2/{name}/blobs/{digest}");
    let headers = [
        ("location", location.as_str()),
        ("docker-content-digest", digest),
    ];
    Ok(bare(StatusCode::CREATED, headers))
}
