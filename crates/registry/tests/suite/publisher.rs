//! What CI does with a registry, over the wire: push an image, and remove pieces of it.

use http_auth::parser::ChallengeParser;
use reqwest::header::{CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use sandbox::registry::{Artifact, Document, Image, Kind};

use super::Backend;

/// The account that pushes to one repository of the backend.
pub(crate) struct Publisher {
    http: Client,
    base: String,
    token: String,
}

impl Publisher {
    pub(crate) async fn of(backend: &Backend, repository: &str) -> Self {
        let http = Client::new();
        let token = token(&http, backend, repository).await;
        let base = format!("http://{}/v2/{repository}", backend.host);
        Self { http, base, token }
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}/{path}", self.base)
        };
        self.http.request(method, url).bearer_auth(&self.token)
    }

    /// Pushes every piece, then the top once more under `tag`.
    pub(crate) async fn push(&self, tag: &str, image: &Image) -> Artifact {
        let artifact = image.build();
        for document in &artifact.documents {
            match document.kind {
                Kind::Layer | Kind::Config => self.push_blob(document).await,
                Kind::Manifest | Kind::Index => self.put(&document.digest, document).await,
            }
        }
        self.put(tag, artifact.documents.last().unwrap()).await;
        artifact
    }

    async fn push_blob(&self, blob: &Document) {
        let started = done(self.ask(Method::POST, "blobs/uploads/"), 202).await;
        let location = started.headers()[LOCATION].to_str().unwrap().to_owned();
        let location = if location.starts_with('/') {
            let origin = self.base.split("/v2/").next().unwrap();
            format!("{origin}{location}")
        } else {
            location
        };
        let separator = if location.contains('?') { '&' } else { '?' };
        let end = format!("{location}{separator}digest={}", blob.digest);
        let put = self.ask(Method::PUT, &end).body(blob.bytes.clone());
        done(put.header(CONTENT_TYPE, "application/octet-stream"), 201).await;
    }

    async fn put(&self, reference: &str, manifest: &Document) {
        let put = self.ask(Method::PUT, &format!("manifests/{reference}"));
        let put = put.header(CONTENT_TYPE, manifest.media_type);
        done(put.body(manifest.bytes.clone()), 201).await;
    }

    pub(crate) async fn remove_manifest(&self, digest: &str) {
        done(
            self.ask(Method::DELETE, &format!("manifests/{digest}")),
            202,
        )
        .await;
    }

    pub(crate) async fn remove_blob(&self, digest: &str) {
        done(self.ask(Method::DELETE, &format!("blobs/{digest}")), 202).await;
    }
}

async fn token(http: &Client, backend: &Backend, repository: &str) -> String {
    let base = format!("http://{}/v2/", backend.host);
    let refused = done(http.get(base), 401).await;
    let challenge = refused.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    let challenge = ChallengeParser::new(challenge).next().unwrap().unwrap();
    let parameter = |name: &str| {
        let (_, value) = challenge
            .params
            .iter()
            .find(|(key, _)| *key == name)
            .unwrap();
        value.to_unescaped()
    };
    let mut url = reqwest::Url::parse(&parameter("realm")).unwrap();
    url.query_pairs_mut()
        .append_pair("service", &parameter("service"))
        .append_pair(
            "scope",
            &format!("repository:{repository}:pull,push,delete"),
        );
    let ask = http
        .get(url)
        .basic_auth(&backend.user, Some(&backend.password));
    let answer: serde_json::Value =
        serde_json::from_str(&done(ask, 200).await.text().await.unwrap()).unwrap();
    answer["token"].as_str().unwrap().to_owned()
}

async fn done(request: RequestBuilder, expected: u16) -> Response {
    let response = request.send().await.unwrap();
    let status = response.status();
    if status == StatusCode::from_u16(expected).unwrap() {
        return response;
    }
    let url = response.url().clone();
    let words = response.text().await.unwrap_or_default();
    panic!("{url}: {status} instead of {expected}: {words}");
}
