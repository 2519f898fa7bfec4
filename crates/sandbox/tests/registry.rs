//! The registry as a client sees it on the wire. That it is like a real one is shown by the contract suite of
//! `preview-registry`, which runs on both.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use reqwest::{Client, Method, Proxy, RequestBuilder, Response};
use sandbox::github::Level;
use sandbox::registry::{Image, Kind, Registry};
use sandbox::{Gate, Way};
use serde_json::Value;

const COMMIT: &str = "1111111111111111111111111111111111111111";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const UPLOADS: &str = "/v2/acme/web/blobs/uploads/";

struct Stage {
    registry: Registry,
    http: Client,
}

impl Stage {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            registry: Registry::start().await.unwrap(),
            http: Client::new(),
        }
    }

    fn ask(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}{path}", self.registry.url());
        self.http.request(method, url)
    }

    async fn token(&self, scope: &str, password: Option<&str>) -> Response {
        let query = format!("/token?service={}&scope={scope}", self.registry.host());
        let ask = self.ask("GET", &query);
        let ask = match password {
            Some(password) => ask.basic_auth(self.registry.account().user, Some(password)),
            None => ask,
        };
        ask.send().await.unwrap()
    }

    /// A request of somebody who may push to `acme/web`.
    async fn pusher(&self, method: &str, path: &str) -> RequestBuilder {
        let password = self.registry.account().password;
        let scope = "repository:acme/web:pull,push";
        let token = token(self.token(scope, Some(&password)).await).await;
        self.ask(method, path).bearer_auth(token)
    }

    async fn upload(&self) -> String {
        let started = self.pusher("POST", UPLOADS).await.send().await.unwrap();
        started.headers()["location"].to_str().unwrap().to_owned()
    }

    async fn send(&self, method: &str, path: &str, range: &str, bytes: &[u8]) -> Response {
        let ask = self.pusher(method, path).await;
        let ask = ask.header("content-range", range).body(bytes.to_vec());
        ask.send().await.unwrap()
    }

    async fn outcome(&self, method: &str, path: &str) -> String {
        told(self.pusher(method, path).await.send().await.unwrap()).await
    }
}

async fn token(response: Response) -> String {
    let body: Value = response.json().await.unwrap();
    body["token"].as_str().unwrap().to_owned()
}

/// Status and error, such as `404 MANIFEST_UNKNOWN: manifest unknown`.
async fn told(response: Response) -> String {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap_or_default();
    let error = &body["errors"][0];
    match (error["code"].as_str(), error["message"].as_str()) {
        (Some(code), Some(message)) => format!("{status} {code}: {message}"),
        _ => status.to_string(),
    }
}

#[tokio::test]
async fn the_bearer_flow_is_ghcrs() {
    let stage = Stage::new().await;
    stage
        .registry
        .publish("acme/web", "main", &Image::of(COMMIT));
    let refused = stage.ask("GET", "/v2/").send().await.unwrap();
    assert_eq!(refused.status(), 401);
    let host = stage.registry.host();
    assert_eq!(
        refused.headers()["www-authenticate"].to_str().unwrap(),
        format!(r#"Bearer realm="http://{host}/token",service="{host}""#)
    );

    let anybody = stage.token("repository:acme/web:pull,push", None).await;
    let anybody = token(anybody).await;
    let mut seen = Vec::new();
    for (method, path) in [
        ("GET", "/v2/"),
        ("GET", "/v2/acme/web/manifests/main"),
        ("POST", UPLOADS),
        ("GET", "/v2/acme/api/manifests/main"),
    ] {
        let ask = stage.ask(method, path).bearer_auth(&anybody);
        let answer = ask.header("accept", INDEX).send().await.unwrap();
        seen.push(format!("{method} {path}: {}", told(answer).await));
    }
    let wrong = stage.token("repository:acme/web:pull", Some("guess")).await;
    seen.push(format!("wrong password: {}", told(wrong).await));
    insta::assert_snapshot!(seen.join("\n"), @r"
    GET /v2/: 200
    GET /v2/acme/web/manifests/main: 200
    POST /v2/acme/web/blobs/uploads/: 401 UNAUTHORIZED: authentication required
    GET /v2/acme/api/manifests/main: 401 UNAUTHORIZED: authentication required
    wrong password: 403 DENIED: requested access to the resource is denied
    ");
}

#[tokio::test]
async fn a_blob_comes_in_chunks_and_is_known_by_its_hash() {
    let stage = Stage::new().await;
    let image = Image::of(COMMIT).build();
    let config = image.documents.iter().find(|d| d.kind == Kind::Config);
    let config = config.unwrap();
    let (head, tail) = config.bytes.split_at(10);
    let upload = stage.upload().await;
    let chunk = stage.send("PATCH", &upload, "0-9", head).await;
    assert_eq!(chunk.headers()["range"], "0-9");
    assert_eq!(told(chunk).await, "202");
    let again = stage.send("PATCH", &upload, "0-9", head).await;
    assert_eq!(
        told(again).await,
        "416 BLOB_UPLOAD_INVALID: chunk out of order"
    );
    let end = format!("{upload}?digest={}", config.digest);
    let range = format!("10-{}", config.bytes.len() - 1);
    assert_eq!(
        told(stage.send("PUT", &end, &range, tail).await).await,
        "201"
    );
    assert!(stage.registry.holds("acme/web", &config.digest));

    let end = format!("{}?digest={}", stage.upload().await, config.digest);
    assert_eq!(
        told(stage.send("PUT", &end, "0-2", b"lie").await).await,
        "400 DIGEST_INVALID: provided digest did not match uploaded content"
    );
}

#[tokio::test]
async fn a_manifest_needs_what_it_refers_to() {
    let stage = Stage::new().await;
    let image = Image::of(COMMIT).build();
    for (kind, media_type) in [(Kind::Manifest, MANIFEST), (Kind::Index, INDEX)] {
        let document = image.documents.iter().find(|d| d.kind == kind).unwrap();
        let put = stage.pusher("PUT", "/v2/acme/web/manifests/main").await;
        let put = put.header("content-type", media_type);
        let answer = put.body(document.bytes.clone()).send().await.unwrap();
        assert_eq!(
            told(answer).await,
            "400 MANIFEST_BLOB_UNKNOWN: blob unknown to registry"
        );
    }
    assert!(stage.registry.tags("acme/web").is_empty());
}

#[tokio::test]
async fn blobs_are_mounted_from_other_repositories() {
    let stage = Stage::new().await;
    stage
        .registry
        .publish("acme/base", "main", &Image::of(COMMIT));
    let layer = Image::of(COMMIT).build().digests(Kind::Layer)[0].to_owned();
    let from = |name: &str| format!("{UPLOADS}?mount={layer}&from={name}");
    assert_eq!(stage.outcome("POST", &from("acme/nothing")).await, "202");
    assert_eq!(stage.outcome("POST", &from("acme/base")).await, "201");
    assert!(stage.registry.holds("acme/web", &layer));
}

#[tokio::test]
async fn refusals_are_the_specifications() {
    let stage = Stage::new().await;
    stage
        .registry
        .publish("acme/web", "main", &Image::of(COMMIT));
    let mut seen = Vec::new();
    for (method, path) in [
        ("GET", "/v2/acme/web/manifests/other"),
        ("GET", "/v2/acme/web/manifests/main"),
        ("GET", "/v2/acme/web/blobs/sha256:0"),
        ("PUT", "/v2/acme/web/blobs/uploads/nothing?digest=sha256:0"),
        ("PUT", "/v2/acme/web/manifests/main"),
        ("DELETE", "/v2/acme/web/manifests/main"),
        ("GET", "/v2/acme/WEB/manifests/main"),
        ("GET", "/v2/acme/web/referrers/sha256:0"),
        ("GET", "/v2/_catalog"),
        ("POST", "/token"),
        ("GET", "/"),
    ] {
        let outcome = stage.outcome(method, path).await;
        seen.push(format!("{method} {path}\n  {outcome}"));
    }
    insta::assert_snapshot!(seen.join("\n"), @r"
    GET /v2/acme/web/manifests/other
      404 MANIFEST_UNKNOWN: manifest unknown
    GET /v2/acme/web/manifests/main
      404 MANIFEST_UNKNOWN: application/vnd.oci.image.index.v1+json found, but the accept header does not support it
    GET /v2/acme/web/blobs/sha256:0
      404 BLOB_UNKNOWN: blob unknown to registry
    PUT /v2/acme/web/blobs/uploads/nothing?digest=sha256:0
      404 BLOB_UPLOAD_UNKNOWN: blob upload unknown to registry
    PUT /v2/acme/web/manifests/main
      400 MANIFEST_INVALID: content type is not a manifest's
    DELETE /v2/acme/web/manifests/main
      405 UNSUPPORTED: The operation is unsupported.
    GET /v2/acme/WEB/manifests/main
      400 NAME_INVALID: invalid repository name
    GET /v2/acme/web/referrers/sha256:0
      404 NOT_FOUND: page not found
    GET /v2/_catalog
      501 UNSUPPORTED: the sandbox's registry does not model GET /v2/_catalog
    POST /token
      501 UNSUPPORTED: the sandbox's registry does not model POST /token
    GET /
      501 UNSUPPORTED: the sandbox's registry does not model GET /
    ");
}

#[tokio::test]
async fn deleting_is_docker_registrys_where_allowed() {
    let stage = Stage::new().await;
    let digest = stage
        .registry
        .publish("acme/web", "main", &Image::of(COMMIT));
    stage.registry.allow_deletes();
    let path = format!("/v2/acme/web/manifests/{digest}");
    assert_eq!(stage.outcome("DELETE", &path).await, "202");
    assert!(stage.registry.tags("acme/web").is_empty());
    assert_eq!(
        stage.outcome("DELETE", &path).await,
        "404 MANIFEST_UNKNOWN: unknown manifest"
    );
}

#[tokio::test]
async fn tags_come_in_pages() {
    let stage = Stage::new().await;
    for tag in ["c", "a", "b"] {
        stage.registry.publish("acme/web", tag, &Image::of(COMMIT));
    }
    let mut next = Some("/v2/acme/web/tags/list?n=2".to_owned());
    let mut pages = Vec::new();
    while let Some(path) = next {
        let page = stage.pusher("GET", &path).await.send().await.unwrap();
        next = page.headers().get("link").map(|link| {
            let link = link.to_str().unwrap();
            link[1..link.find('>').unwrap()].to_owned()
        });
        let body: Value = page.json().await.unwrap();
        pages.push(body["tags"].to_string());
    }
    assert_eq!(pages, [r#"["a","b"]"#, r#"["c"]"#]);
}

#[tokio::test]
async fn what_tests_do_to_an_image_is_seen_by_clients() {
    let stage = Stage::new().await;
    let image = Image::of(COMMIT)
        .and_platform("linux/arm64", COMMIT)
        .attested();
    let digest = stage.registry.publish("acme/web", "main", &image);
    let pieces = image.build();
    assert_eq!(pieces.digest(), digest);
    assert_eq!(pieces.digests(Kind::Manifest).len(), 4);
    let layer = pieces.digests(Kind::Layer)[0];
    let path = format!("/v2/acme/web/blobs/{layer}");

    let honest = stage.pusher("GET", &path).await.send().await.unwrap();
    let honest = honest.bytes().await.unwrap();
    assert!(stage.registry.corrupt("acme/web", layer));
    let corrupt = stage.pusher("GET", &path).await.send().await.unwrap();
    assert_eq!(corrupt.headers()["docker-content-digest"], layer);
    assert_ne!(corrupt.bytes().await.unwrap(), honest);

    assert!(stage.registry.remove_blob("acme/web", layer));
    assert_eq!(
        stage.outcome("GET", &path).await,
        "404 BLOB_UNKNOWN: blob unknown to registry"
    );
    assert!(stage.registry.remove_manifest("acme/web", &digest));
    assert!(!stage.registry.holds("acme/web", &digest));
    assert!(!stage.registry.remove_manifest("acme/web", &digest));
}

#[tokio::test]
async fn a_job_does_with_images_what_its_permissions_say() {
    let stage = Stage::new().await;
    stage
        .registry
        .publish("acme/web", "main", &Image::of(COMMIT));
    stage.registry.make_private("acme/web");
    stage.registry.let_job_in("reads", Level::Read);
    stage.registry.let_job_in("writes", Level::Write);
    let scope = "repository:acme/web:pull,push";
    let mut seen = Vec::new();
    for job in ["reads", "writes"] {
        let token = token(stage.token(scope, Some(job)).await).await;
        let manifest = stage.ask("GET", "/v2/acme/web/manifests/main");
        let manifest = manifest.header("accept", INDEX).bearer_auth(&token);
        let pulled = manifest.send().await.unwrap().status();
        let push = stage.ask("POST", UPLOADS).bearer_auth(&token);
        let pushed = told(push.send().await.unwrap()).await;
        seen.push(format!("{job}: {pulled}, {pushed}"));
    }
    let unknown = told(stage.token(scope, Some("nothing")).await).await;
    seen.push(format!("nothing: {unknown}"));
    insta::assert_snapshot!(seen.join("\n"), @r"
    reads: 200 OK, 403 DENIED: permission_denied: The token provided does not match expected scopes.
    writes: 200 OK, 202
    nothing: 403 DENIED: requested access to the resource is denied
    ");
}

#[tokio::test]
async fn a_client_that_has_a_gate_for_its_proxy_reads_and_is_held_where_it_writes() {
    let stage = Stage::new().await;
    let gate = Gate::closed_from_write(1);
    let way = Way::anywhere(&gate).await.unwrap();
    let proxy = Proxy::http(way.url()).unwrap();
    let http = Client::builder().proxy(proxy).build().unwrap();
    let host = stage.registry.url();
    for method in [Method::GET, Method::HEAD] {
        let read = http.request(method, format!("{host}/v2/")).send().await;
        assert_eq!(read.unwrap().status(), 401);
    }
    let written = http.put(format!("{host}/v2/acme/web/manifests/1")).send();
    let written = tokio::spawn(written);
    gate.holds().await;
    assert!(!written.is_finished());
    gate.open();
    assert_eq!(written.await.unwrap().unwrap().status(), 401);
    let came = gate.came().join("\n").replace(&host, "HOST");
    insta::assert_snapshot!(came, @r"
    GET HOST/v2/
    HEAD HOST/v2/
    PUT HOST/v2/acme/web/manifests/1
    ");
}
