//! What goes over the wire, where a registry misbehaves in ways that the sandbox and a real one do not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use preview_core::names::{Digest, ImageName, PinnedImage};
use preview_registry::{Credentials, Error, Registry, Settings};
use wiremock::matchers::{any, basic_auth, header, header_exists, headers, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate, Times};

const MANIFEST: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const PASSWORD: &str = "correct-horse";

/// A server that answers as it is told, and us.
struct Stage {
    server: MockServer,
    us: Registry,
}

impl Stage {
    async fn new(timeout: Duration) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = MockServer::start().await;
        let host = server.address().to_string();
        let known = Credentials {
            user: "robot".to_owned(),
            password: PASSWORD.into(),
        };
        let us = Registry::new(Settings {
            credentials: BTreeMap::from([(host.clone(), known)]),
            plain_http: BTreeSet::from([host]),
            timeout,
        });
        let us = us.unwrap();
        Self { server, us }
    }

    async fn patient() -> Self {
        Self::new(Duration::from_secs(30)).await
    }

    async fn hurried() -> Self {
        Self::new(Duration::from_millis(900)).await
    }

    fn name(&self) -> ImageName {
        format!("{}/acme/web", self.server.address())
            .parse()
            .unwrap()
    }

    fn image(&self) -> PinnedImage {
        self.name().at(Digest::of(MANIFEST.as_bytes()))
    }

    async fn answers(
        &self,
        verb: &str,
        at: &str,
        answer: ResponseTemplate,
        times: impl Into<Times>,
    ) {
        let mock = Mock::given(method(verb)).and(path(at)).respond_with(answer);
        mock.expect(times).mount(&self.server).await;
    }

    /// The next `times` requests of the kind meet `answer`, later ones what is mounted after.
    async fn first(&self, verb: &str, at: &str, answer: ResponseTemplate, times: u64) {
        let mock = Mock::given(method(verb)).and(path(at)).respond_with(answer);
        let mock = mock.up_to_n_times(times).expect(times);
        mock.mount(&self.server).await;
    }

    async fn resolve(&self) -> Result<Option<Digest>, Error> {
        self.us.resolve(&self.name(), "main").await
    }

    async fn told(&self) -> String {
        self.text(&self.resolve().await.unwrap_err())
    }

    fn text(&self, error: &Error) -> String {
        let all = format!("{error} {error:?} {:?}", self.us);
        assert!(!all.contains(PASSWORD), "{all}");
        error
            .to_string()
            .replace(&self.server.address().to_string(), "REGISTRY")
    }
}

const MAIN: &str = "/v2/acme/web/manifests/main";

fn manifest() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(MANIFEST, INDEX_TYPE)
}

fn refusal(status: u16, code: &str, message: &str) -> ResponseTemplate {
    let error = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
    ResponseTemplate::new(status).set_body_raw(error.to_string(), "application/json")
}

#[tokio::test]
async fn a_tag_is_asked_for_with_all_four_media_types_and_hashed_here() {
    let stage = Stage::patient().await;
    let every = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
         application/vnd.docker.distribution.manifest.list.v2+json, \
         application/vnd.docker.distribution.manifest.v2+json";
    let asked = Mock::given(method("GET"))
        .and(path(MAIN))
        .and(headers("accept", every.split(", ").collect::<Vec<_>>()));
    asked
        .respond_with(manifest())
        .expect(1)
        .mount(&stage.server)
        .await;
    let digest = stage.resolve().await.unwrap();
    assert_eq!(digest, Some(Digest::of(MANIFEST.as_bytes())));
}

#[tokio::test]
async fn a_header_that_lies_about_the_digest_is_an_error() {
    let stage = Stage::patient().await;
    let lie = format!("sha256:{}", "0".repeat(64));
    let answer = manifest().insert_header("docker-content-digest", lie.as_str());
    stage.answers("GET", MAIN, answer, 1).await;
    insta::assert_snapshot!(stage.told().await, @"resolve REGISTRY/acme/web:main: the manifest should be sha256:0000000000000000000000000000000000000000000000000000000000000000 and is sha256:dff9de10919148711140d349bf03f1a99eb06f94b03e51715ccebfa7cdc518e2; do not use this image: build and push it again");
}

#[tokio::test]
async fn other_bytes_under_a_digest_are_an_error() {
    let stage = Stage::patient().await;
    let at = format!("/v2/acme/web/manifests/{}", stage.image().digest);
    let other = ResponseTemplate::new(200).set_body_raw(format!("{MANIFEST} "), INDEX_TYPE);
    stage.answers("GET", &at, other, 2).await;
    let error = stage.us.inspect(&stage.image()).await.unwrap_err();
    insta::assert_snapshot!(stage.text(&error), @"inspect REGISTRY/acme/web@sha256:dff9de10919148711140d349bf03f1a99eb06f94b03e51715ccebfa7cdc518e2: a manifest should be sha256:dff9de10919148711140d349bf03f1a99eb06f94b03e51715ccebfa7cdc518e2 and is sha256:d5dc63fb636105156db1ef8dd001a57cfb1a461cad462827c0043ab5aab7f7ee; do not use this image: build and push it again");
    let error = stage.us.tag(&stage.image(), "latest").await.unwrap_err();
    assert!(
        matches!(error, Error::Corrupt { .. }),
        "nothing is put: {error}"
    );
}

#[tokio::test]
async fn a_rate_limit_is_waited_out_as_long_as_the_message_says() {
    let stage = Stage::patient().await;
    let message = "retry-after: 1.1s, allowed: 44000/minute";
    let limited = refusal(429, "TOOMANYREQUESTS", message);
    stage.first("GET", MAIN, limited, 1).await;
    stage.answers("GET", MAIN, manifest(), 1).await;
    let begun = Instant::now();
    assert!(stage.resolve().await.unwrap().is_some());
    assert!(begun.elapsed() >= Duration::from_millis(1100));
}

#[tokio::test]
async fn an_index_of_nothing_is_no_image() {
    let stage = Stage::patient().await;
    let at = format!("/v2/acme/web/manifests/{}", stage.image().digest);
    stage.answers("GET", &at, manifest(), 1).await;
    let error = stage.us.inspect(&stage.image()).await.unwrap_err();
    insta::assert_snapshot!(stage.text(&error), @"inspect REGISTRY/acme/web@sha256:dff9de10919148711140d349bf03f1a99eb06f94b03e51715ccebfa7cdc518e2: sha256:dff9de10919148711140d349bf03f1a99eb06f94b03e51715ccebfa7cdc518e2 is not what it should be: an index of no image; look at it with `crane manifest` or `docker manifest inspect`");
}

#[tokio::test]
async fn a_rate_limit_beyond_the_deadline_is_told_at_once() {
    let stage = Stage::patient().await;
    let limited = refusal(
        429,
        "TOOMANYREQUESTS",
        "retry-after: 1m2.5s, allowed: 44000/minute",
    );
    stage.answers("GET", MAIN, limited, 1).await;
    let error = stage.resolve().await.unwrap_err();
    let Error::Unavailable { waited, reason, .. } = error else {
        panic!("{error}");
    };
    assert!(waited < Duration::from_secs(5), "{waited:?}");
    insta::assert_snapshot!(reason, @"429 TOOMANYREQUESTS: retry-after: 1m2.5s, allowed: 44000/minute (asks for a pause of 62.5s)");
}

#[tokio::test]
async fn the_header_retry_after_is_honoured() {
    let stage = Stage::patient().await;
    let limited = ResponseTemplate::new(429).insert_header("retry-after", "1");
    stage.first("GET", MAIN, limited, 1).await;
    stage.answers("GET", MAIN, manifest(), 1).await;
    let begun = Instant::now();
    assert!(stage.resolve().await.unwrap().is_some());
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_failing_server_is_asked_again() {
    let stage = Stage::patient().await;
    stage
        .first("GET", MAIN, ResponseTemplate::new(502), 1)
        .await;
    stage
        .first("GET", MAIN, ResponseTemplate::new(503), 1)
        .await;
    stage.answers("GET", MAIN, manifest(), 1).await;
    assert!(stage.resolve().await.unwrap().is_some());
}

#[tokio::test]
async fn a_put_of_the_same_bytes_is_repeated() {
    let stage = Stage::patient().await;
    let at = format!("/v2/acme/web/manifests/{}", stage.image().digest);
    stage.answers("GET", &at, manifest(), 1).await;
    let latest = "/v2/acme/web/manifests/latest";
    stage
        .first("PUT", latest, ResponseTemplate::new(500), 1)
        .await;
    let put = Mock::given(method("PUT"))
        .and(path(latest))
        .and(header("content-type", INDEX_TYPE));
    let put = put.and(wiremock::matchers::body_string(MANIFEST));
    put.respond_with(ResponseTemplate::new(201))
        .expect(1)
        .mount(&stage.server)
        .await;
    stage.us.tag(&stage.image(), "latest").await.unwrap();
}

#[tokio::test]
async fn nothing_is_repeated_beyond_the_deadline() {
    let stage = Stage::hurried().await;
    stage
        .answers("GET", MAIN, ResponseTemplate::new(503), 2..)
        .await;
    let begun = Instant::now();
    let error = stage.resolve().await.unwrap_err();
    assert!(
        begun.elapsed() < Duration::from_millis(1200),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        matches!(error, Error::Unavailable { attempts: 2.., .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_at_the_deadline() {
    let stage = Stage::hurried().await;
    let never = manifest().set_delay(Duration::from_secs(60));
    stage.answers("GET", MAIN, never, 2..).await;
    let begun = Instant::now();
    let error = stage.resolve().await.unwrap_err();
    assert!(
        begun.elapsed() < Duration::from_millis(1500),
        "{:?}",
        begun.elapsed()
    );
    assert!(error.to_string().contains("timed out"), "{error}");
}

#[tokio::test]
async fn a_page_of_a_proxy_is_neither_a_manifest_nor_an_unknown_tag() {
    for status in [200, 404] {
        let stage = Stage::patient().await;
        let page = ResponseTemplate::new(status).set_body_raw("<html>Sign in</html>", "text/html");
        stage.answers("GET", MAIN, page, 1).await;
        match status {
            200 => {
                insta::assert_snapshot!(stage.told().await, @"resolve REGISTRY/acme/web:main: main is not what it should be: expected value at line 1 column 1; look at it with `crane manifest` or `docker manifest inspect`")
            }
            _ => {
                insta::assert_snapshot!(stage.told().await, @"resolve REGISTRY/acme/web:main: REGISTRY answered 404 <html>Sign in</html>; check the image's name and that this is a registry")
            }
        }
    }
    let stage = Stage::patient().await;
    stage
        .answers("GET", MAIN, ResponseTemplate::new(404), 1)
        .await;
    insta::assert_snapshot!(stage.told().await, @"resolve REGISTRY/acme/web:main: REGISTRY answered 404; check the image's name and that this is a registry");
}

#[tokio::test]
async fn a_manifest_cut_short_is_malformed() {
    let stage = Stage::patient().await;
    let cut = ResponseTemplate::new(200).set_body_raw(&MANIFEST[..40], INDEX_TYPE);
    stage.answers("GET", MAIN, cut, 1).await;
    insta::assert_snapshot!(stage.told().await, @"resolve REGISTRY/acme/web:main: main is not what it should be: EOF while parsing a string at line 1 column 40; look at it with `crane manifest` or `docker manifest inspect`");
}

#[tokio::test]
async fn an_endless_manifest_is_not_read() {
    let stage = Stage::patient().await;
    let large = ResponseTemplate::new(200).set_body_raw(vec![b' '; (4 << 20) + 1], INDEX_TYPE);
    stage.answers("GET", MAIN, large, 1).await;
    insta::assert_snapshot!(stage.told().await, @"resolve REGISTRY/acme/web:main: REGISTRY answered 200 with more than 4194304 bytes; check the image's name and that this is a registry");
}

#[tokio::test]
async fn unknown_names_and_unknown_tags_are_none() {
    for code in ["NAME_UNKNOWN", "MANIFEST_UNKNOWN", "NOT_FOUND"] {
        let stage = Stage::patient().await;
        stage
            .answers("GET", MAIN, refusal(404, code, "not here"), 1)
            .await;
        assert_eq!(stage.resolve().await.unwrap(), None, "{code}");
    }
}

impl Stage {
    /// The registry asks for a token.
    async fn challenges(&self, times: impl Into<Times>) {
        let realm = format!(r#"Bearer realm="{}/token",service="s""#, self.server.uri());
        let challenge = refusal(401, "UNAUTHORIZED", "authentication required");
        let challenge = challenge.insert_header("www-authenticate", realm.as_str());
        self.answers("GET", MAIN, challenge, times).await;
    }
}

#[tokio::test]
async fn a_token_endpoint_that_refuses_is_told_and_not_asked_again() {
    let stage = Stage::patient().await;
    stage.challenges(1).await;
    // Some servers repeat what they were sent.
    let echo = format!("{{\"details\":\"no user robot with {PASSWORD}\"}}");
    let refused = ResponseTemplate::new(401).set_body_raw(echo, "application/json");
    stage.answers("GET", "/token", refused, 1).await;
    insta::assert_snapshot!(stage.told().await, @r#"resolve REGISTRY/acme/web:main: REGISTRY refuses: 401 {"details":"no user robot with ***"}; check that its credential is valid, that the image exists, and that the account may pull it"#);
}

#[tokio::test]
async fn a_token_endpoint_that_fails_is_asked_again() {
    let stage = Stage::patient().await;
    let with_token = Mock::given(method("GET")).and(header("authorization", "Bearer sesame"));
    with_token
        .respond_with(manifest())
        .expect(1)
        .with_priority(1)
        .mount(&stage.server)
        .await;
    stage.challenges(2).await;
    stage
        .first("GET", "/token", ResponseTemplate::new(503), 1)
        .await;
    let token = Mock::given(path("/token"))
        .and(basic_auth("robot", PASSWORD))
        .and(wiremock::matchers::query_param(
            "scope",
            "repository:acme/web:pull",
        ))
        .and(wiremock::matchers::query_param("service", "s"));
    let given =
        ResponseTemplate::new(200).set_body_raw(r#"{"access_token":"sesame"}"#, "application/json");
    token
        .respond_with(given)
        .expect(1)
        .mount(&stage.server)
        .await;
    assert!(stage.resolve().await.unwrap().is_some());
}

#[tokio::test]
async fn a_token_endpoint_without_a_token_is_told() {
    let stage = Stage::patient().await;
    stage.challenges(1).await;
    let odd = ResponseTemplate::new(200).set_body_raw(r#"{"jwt":"sesame"}"#, "application/json");
    stage.answers("GET", "/token", odd, 1).await;
    insta::assert_snapshot!(stage.told().await, @"resolve REGISTRY/acme/web:main: REGISTRY answered 200 without a token at its token endpoint; check the image's name and that this is a registry");
}

#[tokio::test]
async fn a_registry_without_tokens_gets_the_credential_itself() {
    let stage = Stage::patient().await;
    let proven = Mock::given(method("GET"))
        .and(path(MAIN))
        .and(basic_auth("robot", PASSWORD));
    proven
        .respond_with(manifest())
        .expect(1)
        .with_priority(1)
        .mount(&stage.server)
        .await;
    let challenge =
        ResponseTemplate::new(401).insert_header("www-authenticate", "Basic realm=\"x\"");
    stage.answers("GET", MAIN, challenge, 1).await;
    assert!(stage.resolve().await.unwrap().is_some());
}

#[tokio::test]
async fn another_registry_never_sees_the_credential() {
    let other = MockServer::start().await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let known = Credentials {
        user: "robot".to_owned(),
        password: PASSWORD.into(),
    };
    let us = Registry::new(Settings {
        credentials: BTreeMap::from([("ghcr.io".to_owned(), known)]),
        plain_http: BTreeSet::from([other.address().to_string()]),
        timeout: Duration::from_secs(30),
    });
    let proven = Mock::given(header_exists("authorization"));
    proven
        .respond_with(ResponseTemplate::new(200))
        .expect(0)
        .with_priority(1)
        .mount(&other)
        .await;
    let challenge =
        ResponseTemplate::new(401).insert_header("www-authenticate", "Basic realm=\"x\"");
    Mock::given(any())
        .respond_with(challenge)
        .mount(&other)
        .await;
    let name = format!("{}/acme/web", other.address()).parse().unwrap();
    let error = us.unwrap().resolve(&name, "main").await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
}
