//! The way to the API.

use std::time::Duration;

use anyhow::Context;
use axum::{
    body::{Body, Bytes},
    http::{Request, Uri, header},
};
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value};
use service::setting;
use tokio::net::TcpStream;

/// Shorter than the time-out of a probe that asks for this.
const PATIENCE: Duration = Duration::from_secs(4);
const MOST_BYTES: usize = 1 << 20;

/// The API's notes, whatever columns they have.
pub(crate) async fn notes() -> anyhow::Result<Vec<Map<String, Value>>> {
    let url = setting("API_URL", "http://api:8080");
    let what = || format!("ask the API at {url}");
    let answer = tokio::time::timeout(PATIENCE, get(&url, "/notes"))
        .await
        .with_context(what)?
        .with_context(what)?;
    serde_json::from_slice(&answer).with_context(|| format!("read the answer of {url}"))
}

async fn get(url: &str, path: &str) -> anyhow::Result<Bytes> {
    let uri: Uri = url.parse().context("API_URL is no URL")?;
    anyhow::ensure!(uri.scheme_str() == Some("http"), "only http is spoken here");
    let authority = uri.authority().context("API_URL names no host")?;
    let address = (authority.host(), authority.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path)
        .header(header::HOST, authority.as_str())
        .body(Body::empty())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    anyhow::ensure!(status.is_success(), "it answered {status}");
    let body = Limited::new(answer.into_body(), MOST_BYTES).collect();
    match body.await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => Err(anyhow::anyhow!(error)),
    }
}
