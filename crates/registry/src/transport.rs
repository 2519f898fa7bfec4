//! Requests to a registry: addressed, authorised, bounded, repeated and logged.

use std::cell::Cell;
use std::time::Duration;

use backon::Retryable as _;
use bytes::{Bytes, BytesMut};
use oci_client::errors::{OciEnvelope, OciErrorCode};
use oci_client::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE,
    OCI_IMAGE_MEDIA_TYPE,
};
use oci_client::token_cache::RegistryToken;
use preview_core::names::ImageName;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use crate::error::{Error, Operation};
use crate::layout::Stretch;
use crate::retry;
use crate::token::{Challenge, Proof, Proofs, Scope};
use crate::upload::{streamed, time_for};
use crate::{Credentials, Settings};

/// The four kinds of manifest. Whoever does not ask for an index may be given one platform's manifest instead.
pub(crate) const MANIFEST_TYPES: [&str; 4] = [
    OCI_IMAGE_INDEX_MEDIA_TYPE,
    OCI_IMAGE_MEDIA_TYPE,
    IMAGE_MANIFEST_LIST_MEDIA_TYPE,
    IMAGE_MANIFEST_MEDIA_TYPE,
];

/// Registries take manifests of at most 4 MiB.
/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests>
const LARGEST_MANIFEST: usize = 4 << 20;

/// The longest that one request may take, so that a connection that hangs leaves time for another attempt.
const REQUEST_LIMIT: Duration = Duration::from_secs(15);

/// How many requests are under way at a time: an image with many layers on many platforms is no reason for a flood.
const PARALLEL: usize = 8;

/// One request.
#[derive(Debug)]
pub(crate) struct Ask {
    method: Method,
    /// What follows the repository in the path.
    path: String,
    /// Where to, where the registry has said it.
    at: Option<Url>,
    /// For a PUT.
    content: Option<Content>,
    /// The longest answer that is read.
    limit: usize,
    /// Whether whoever asks has to be one who may push.
    push: bool,
}

/// What a PUT puts.
#[derive(Debug)]
enum Content {
    Manifest(String, Bytes),
    Blob(Stretch),
}

impl Ask {
    fn get_manifest(path: String) -> Self {
        Self {
            method: Method::GET,
            path,
            at: None,
            content: None,
            limit: LARGEST_MANIFEST,
            push: false,
        }
    }

    pub(crate) fn put_manifest(tag: &str, media_type: String, bytes: Bytes) -> Self {
        Self {
            method: Method::PUT,
            path: format!("manifests/{tag}"),
            at: None,
            content: Some(Content::Manifest(media_type, bytes)),
            limit: LARGEST_MANIFEST,
            push: true,
        }
    }

    pub(crate) fn start_upload() -> Self {
        Self {
            method: Method::POST,
            path: "blobs/uploads/".to_owned(),
            at: None,
            content: None,
            limit: LARGEST_MANIFEST,
            push: true,
        }
    }

    pub(crate) fn finish_upload(at: Url, blob: Stretch) -> Self {
        Self {
            method: Method::PUT,
            at: Some(at),
            content: Some(Content::Blob(blob)),
            ..Self::start_upload()
        }
    }

    /// The same, of somebody who is about to push: a registry may hide from others what is not there yet.
    pub(crate) fn of_who_pushes(self) -> Self {
        Self { push: true, ..self }
    }

    pub(crate) fn get_blob(digest: &str, limit: usize) -> Self {
        Self {
            method: Method::GET,
            path: format!("blobs/{digest}"),
            at: None,
            content: None,
            limit,
            push: false,
        }
    }

    pub(crate) fn head_blob(digest: &str) -> Self {
        Self {
            method: Method::HEAD,
            ..Self::get_blob(digest, 0)
        }
    }
}

/// An answer, read completely.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn envelope(&self) -> Option<OciEnvelope> {
        serde_json::from_slice(&self.body).ok()
    }

    fn has_code(&self, code: &OciErrorCode) -> bool {
        self.envelope()
            .is_some_and(|e| e.errors.iter().any(|error| error.code == *code))
    }

    /// Whether a registry says that something is not there. A proxy's 404, which may well have no body at all, says
    /// only that the registry could not be asked.
    pub(crate) fn says_absent(&self) -> bool {
        let words = || self.envelope().is_some_and(|e| !e.errors.is_empty());
        self.status == StatusCode::NOT_FOUND && words()
    }

    /// Status and words, cut to a line.
    pub(crate) fn summary(&self) -> String {
        let text = self.envelope().map_or_else(
            || String::from_utf8_lossy(&self.body).into_owned(),
            |envelope| {
                let errors = envelope.errors.into_iter();
                let words = errors.map(|e| {
                    let code = serde_json::to_value(&e.code).unwrap_or_default();
                    format!("{}: {}", code.as_str().unwrap_or_default(), e.message)
                });
                words.collect::<Vec<_>>().join("; ")
            },
        );
        let line: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(300)
            .collect();
        format!("{} {}", self.status.as_u16(), line.trim())
            .trim_end()
            .to_owned()
    }
}

/// Why a request has no useful answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// We may not.
    Refused(String),
    /// Another time perhaps, after the pause that the registry asked for.
    Transient(String, Option<Duration>),
    /// Repeating would change nothing.
    Lasting(String),
}

/// The HTTP client with what it knows of registries.
#[derive(Debug)]
pub(crate) struct Transport {
    http: Client,
    settings: Settings,
    proofs: Proofs,
    lanes: Semaphore,
}

impl Transport {
    pub(crate) fn new(settings: Settings) -> Result<Self, Error> {
        let http = Client::builder()
            .user_agent(concat!("preview-registry/", env!("CARGO_PKG_VERSION")))
            .timeout(REQUEST_LIMIT.min(settings.timeout / 3))
            .redirect(Policy::custom(redirect))
            .build()
            .map_err(|error| Error::Client(explain(error)))?;
        Ok(Self {
            http,
            settings,
            proofs: Proofs::default(),
            lanes: Semaphore::new(PARALLEL),
        })
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// Fetches `manifests/<reference>`; none when the registry says that it is not there.
    pub(crate) async fn get_manifest(
        &self,
        operation: &Operation,
        path: String,
    ) -> Result<Option<Reply>, Error> {
        self.find(operation, Ask::get_manifest(path)).await
    }

    /// As [`Self::send`], with the answer "not there" told apart.
    pub(crate) async fn find(
        &self,
        operation: &Operation,
        ask: Ask,
    ) -> Result<Option<Reply>, Error> {
        let reply = self.send(operation, ask).await?;
        if reply.status.is_success() {
            Ok(Some(reply))
        } else if reply.says_absent() {
            Ok(None)
        } else {
            Err(operation.unexpected(&reply.summary()))
        }
    }

    /// Sends until there is an answer of success or of 404, the registry refuses, or the operation's time is over.
    pub(crate) async fn send(&self, operation: &Operation, ask: Ask) -> Result<Reply, Error> {
        let attempt = || self.attempt(operation, &ask);
        self.repeated(operation, ask.push, attempt).await
    }

    /// Attempts until one succeeds, the registry refuses, or the operation's time is over.
    pub(crate) async fn repeated<T, F>(
        &self,
        operation: &Operation,
        push: bool,
        attempt: impl Fn() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let attempts = Cell::new(0);
        let attempt = || {
            attempts.set(attempts.get() + 1);
            attempt()
        };
        let outcome = attempt
            .retry(retry::pauses())
            .when(|failure| matches!(failure, Failure::Transient(..)))
            .adjust(|failure, ours| match failure {
                Failure::Transient(_, asked) => retry::pause(*asked, ours, operation.deadline),
                Failure::Refused(_) | Failure::Lasting(_) => None,
            })
            .await;
        outcome.map_err(|failure| {
            let known = self.credentials(&operation.name).is_some();
            match failure {
                Failure::Refused(reason) => operation.refused(reason, known, push),
                Failure::Transient(reason, None) => operation.unavailable(attempts.get(), reason),
                Failure::Transient(reason, Some(pause)) => operation.unavailable(
                    attempts.get(),
                    format!("{reason} (asks for a pause of {pause:.1?})"),
                ),
                Failure::Lasting(reason) => operation.unexpected(&reason),
            }
        })
    }

    pub(crate) async fn attempt(&self, operation: &Operation, ask: &Ask) -> Result<Reply, Failure> {
        let answer = timeout_at(operation.deadline, self.authorised(&operation.name, ask));
        let reply = answer.await.unwrap_or_else(|_| {
            Err(Failure::Transient("the request timed out".to_owned(), None))
        })?;
        self.judge(reply, &operation.name)
    }

    /// Sends with the proof in use, and once more with a fresh one when the registry does not take it.
    async fn authorised(&self, name: &ImageName, ask: &Ask) -> Result<Reply, Failure> {
        let scope = Scope {
            registry: name.registry().to_owned(),
            repository: name.repository().to_owned(),
            push: ask.push,
        };
        let proof = self.proofs.get(&scope).await;
        let reply = self.exchange(name, ask, proof.as_ref()).await?;
        if reply.status != StatusCode::UNAUTHORIZED {
            return Ok(reply);
        }
        let Some(challenge) = Challenge::read(&reply.headers) else {
            return Ok(reply);
        };
        self.proofs.drop(&scope).await;
        let proof = self.prove(name, &scope, challenge).await?;
        let reply = self.exchange(name, ask, Some(&proof)).await?;
        if reply.status != StatusCode::UNAUTHORIZED {
            self.proofs.put(&scope, proof).await;
        }
        Ok(reply)
    }

    async fn exchange(
        &self,
        name: &ImageName,
        ask: &Ask,
        proof: Option<&Proof>,
    ) -> Result<Reply, Failure> {
        let mut request = self.http.request(ask.method.clone(), self.url(name, ask)?);
        if ask.path.starts_with("manifests/") {
            request = request.header(ACCEPT, MANIFEST_TYPES.join(", "));
        }
        request = match &ask.content {
            Some(Content::Manifest(media_type, bytes)) => {
                request.header(CONTENT_TYPE, media_type).body(bytes.clone())
            }
            Some(Content::Blob(blob)) => request
                .header(CONTENT_TYPE, "application/octet-stream")
                .header(CONTENT_LENGTH, blob.size)
                .timeout(REQUEST_LIMIT + time_for(blob.size))
                .body(streamed(blob).await?),
            None => request,
        };
        request = match (proof, self.credentials(name)) {
            (Some(Proof::Bearer(token)), _) => request.bearer_auth(token.expose_secret()),
            (Some(Proof::Basic), Some(known)) => basic(request, known),
            (Some(Proof::Basic) | None, _) => request,
        };
        self.roundtrip(request, ask.limit).await
    }

    pub(crate) fn url(&self, name: &ImageName, ask: &Ask) -> Result<Url, Failure> {
        if let Some(at) = &ask.at {
            return Ok(at.clone());
        }
        let host = match name.registry() {
            // The name that people type is not the registry's address.
            "docker.io" => "registry-1.docker.io",
            host => host,
        };
        let scheme = self.scheme(name);
        let url = format!("{scheme}://{host}/v2/{}/{}", name.repository(), ask.path);
        Url::parse(&url).map_err(|error| Failure::Lasting(format!("no address ({error})")))
    }

    fn scheme(&self, name: &ImageName) -> &'static str {
        let plain = self.settings.plain_http.contains(name.registry());
        if plain { "http" } else { "https" }
    }

    fn credentials(&self, name: &ImageName) -> Option<&Credentials> {
        self.settings.credentials.get(name.registry())
    }

    async fn prove(
        &self,
        name: &ImageName,
        scope: &Scope,
        challenge: Challenge,
    ) -> Result<Proof, Failure> {
        match challenge {
            Challenge::Bearer { realm, service } => {
                let token = self.token(name, scope, &realm, service.as_deref()).await?;
                Ok(Proof::Bearer(token))
            }
            Challenge::Basic => Ok(Proof::Basic),
        }
    }

    async fn token(
        &self,
        name: &ImageName,
        scope: &Scope,
        realm: &str,
        service: Option<&str>,
    ) -> Result<SecretString, Failure> {
        let mut url = token_endpoint(realm, self.scheme(name))?;
        url.query_pairs_mut().append_pair("scope", &scope.text());
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        let request = self.http.get(url);
        let request = match self.credentials(name) {
            Some(known) => basic(request, known),
            None => request,
        };
        let reply = self.roundtrip(request, LARGEST_MANIFEST).await?;
        let reply = self.judge(reply, name)?;
        let token: RegistryToken = serde_json::from_slice(&reply.body).map_err(|_| {
            // Not the body: it may hold a token in an unknown form.
            let status = reply.status.as_u16();
            Failure::Lasting(format!("{status} without a token at its token endpoint"))
        })?;
        Ok(SecretString::from(token.token()))
    }

    /// One request on the wire, logged.
    async fn roundtrip(&self, request: RequestBuilder, limit: usize) -> Result<Reply, Failure> {
        // Never closed, so there is always a lane in the end.
        let _lane = self.lanes.acquire().await;
        let request = request.build().map_err(transient)?;
        let (method, url) = (request.method().clone(), request.url().clone());
        let begun = Instant::now();
        let outcome = match self.http.execute(request).await {
            Ok(response) => read(response, limit).await,
            Err(error) => Err(transient(error)),
        };
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        // Without its query: that of a redirect may be signed.
        let (host, path) = (url.authority(), url.path());
        match &outcome {
            Ok(reply) => {
                let status = reply.status.as_u16();
                debug!(target: "request", "{method} {host}{path} {status} in {ms} ms");
            }
            Err(failure) => {
                debug!(target: "request", "{method} {host}{path}: {failure:?} ({ms} ms)");
            }
        }
        outcome
    }

    fn judge(&self, reply: Reply, name: &ImageName) -> Result<Reply, Failure> {
        let status = reply.status;
        if status.is_success() || status == StatusCode::NOT_FOUND {
            return Ok(reply);
        }
        let words = self.redacted(reply.summary(), name);
        let limited = reply.has_code(&OciErrorCode::Toomanyrequests);
        if limited || retry::is_transient(status) {
            let pause = retry::asked_pause(&reply.headers, &words);
            return Err(Failure::Transient(words, pause));
        }
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Failure::Refused(words)),
            _ => Err(Failure::Lasting(words)),
        }
    }

    /// A server's words may repeat what we sent.
    fn redacted(&self, words: String, name: &ImageName) -> String {
        let password = self.credentials(name).map(|c| c.password.expose_secret());
        match password {
            Some(password) if !password.is_empty() => words.replace(password, "***"),
            _ => words,
        }
    }
}

fn basic(request: RequestBuilder, known: &Credentials) -> RequestBuilder {
    request.basic_auth(&known.user, Some(known.password.expose_secret()))
}

/// Where to send the credential: wherever the registry says, but never with less protection than the registry has.
fn token_endpoint(realm: &str, registry_scheme: &str) -> Result<Url, Failure> {
    let url = Url::parse(realm)
        .map_err(|_| Failure::Lasting(format!("401 and names no token endpoint: {realm:?}")))?;
    if url.scheme() == "https" || (url.scheme() == "http" && registry_scheme == "http") {
        return Ok(url);
    }
    let reason =
        format!("it names a token endpoint without TLS, {realm:?}; nothing was sent there");
    Err(Failure::Refused(reason))
}

async fn read(mut response: Response, limit: usize) -> Result<Reply, Failure> {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(transient)? {
        if body.len() + chunk.len() > limit {
            let reason = format!("{} with more than {limit} bytes", status.as_u16());
            return Err(Failure::Lasting(reason));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply {
        status,
        headers,
        body: body.freeze(),
    })
}

/// Everything on the way to an answer may go better another time.
fn transient(error: reqwest::Error) -> Failure {
    Failure::Transient(explain(error), None)
}

/// The error with its causes, without its address: that of a redirect may be signed.
fn explain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Blobs are often served from elsewhere, but never without TLS when the registry has it.
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let secure = attempt.previous().iter().all(|url| url.scheme() == "https");
    if secure && attempt.url().scheme() != "https" {
        attempt.error("redirected to an address without TLS")
    } else if attempt.previous().len() > 5 {
        attempt.error("redirected too often")
    } else {
        attempt.follow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_goes_to_a_token_endpoint_without_tls_only_where_the_registry_has_none() {
        let goes = |realm: &str, scheme: &str| token_endpoint(realm, scheme).is_ok();
        assert!(goes("https://auth.example/token", "https"));
        assert!(goes("https://auth.example/token", "http"));
        assert!(goes("http://127.0.0.1:5001/token", "http"));
        assert!(!goes("http://auth.example/token", "https"));
        assert!(!goes("ftp://auth.example/token", "http"));
        assert!(!goes("/token", "https"));
    }
}
