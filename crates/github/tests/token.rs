//! The token stays where it is. In a process of its own: what is logged is decided per process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use preview_github::{CommitState, CommitStatus, GitHub, Settings};
use secrecy::SecretString;
use serde_json::json;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const TOKEN: &str = "ghs_verySecretTokenOfTheRun";

/// Everything that is logged on this thread, down to the HTTP client's own trace.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_token_is_in_no_log_error_or_debug_output_even_when_the_server_sends_it_back() {
    let logged = Logged::default();
    let writer = logged.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = MockServer::start().await;
    let echo = |request: &Request| {
        let header = request.headers["authorization"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(header, format!("Bearer {TOKEN}"));
        let status = if request.method.as_str() == "GET" {
            502
        } else {
            403
        };
        ResponseTemplate::new(status).set_body_json(json!({ "message": header }))
    };
    Mock::given(wiremock::matchers::any())
        .respond_with(echo)
        .mount(&server)
        .await;
    let deadline = Instant::now() + Duration::from_secs(10);
    let slug = "acme/shop".parse().unwrap();
    let settings = Settings {
        first_pause: Duration::from_millis(1),
        ..Settings::new(server.uri(), SecretString::from(TOKEN), slug, deadline)
    };
    let shown = format!("{settings:?}");
    let status = CommitStatus {
        context: "preview/promotable".into(),
        state: CommitState::Success,
        description: String::new(),
        target_url: None,
    };
    let github = GitHub::connect(settings).unwrap();
    let read = github.repository().await.unwrap_err();
    let written = github
        .set_status(&"a".repeat(40).parse().unwrap(), &status)
        .await
        .unwrap_err();
    let shown = format!("{shown} {github:?} {read:?} {read} {written:?} {written}");
    assert!(!shown.contains(TOKEN), "{shown}");
    assert!(shown.contains("Bearer ***"), "{shown}");
    let log = String::from_utf8(logged.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("/repos/acme/shop 502 in "), "{log}");
    assert!(!log.contains(TOKEN), "{log}");
}
