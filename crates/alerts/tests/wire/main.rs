//! What those who take alerts may do to us.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod mail;
mod receivers;
mod slack;

use std::time::{Duration, Instant};

use preview_alerts::{Channel, Error, Settings};
use preview_core::alert::{Alert, Origin};
use tokio::net::TcpListener;

/// As long as a channel may take where a test waits for the end of it.
const SHORT: Duration = Duration::from_secs(1);

fn alert() -> Alert {
    Alert {
        title: "The preview of pull request #7 is not gone".to_owned(),
        happened: vec![
            "PersistentVolumeClaim/data-database-0: still there (finalizer example.com/<backup> – für später)"
                .to_owned(),
            ".".to_owned(),
        ],
        next: vec!["kubectl get namespace preview-pr-7 -o yaml".to_owned()],
        origin: Origin {
            repository: "acme/shop".parse().unwrap(),
            run: None,
            run_url: Some("https://github.com/acme/shop/actions/runs/100/attempts/1".to_owned()),
        },
    }
}

/// The only channel of these settings.
fn only(settings: &Settings) -> Channel {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (mut channels, errors) = settings.channels();
    assert!(errors.is_empty() && channels.len() == 1, "{errors:?}");
    channels.remove(0)
}

/// Why there is no channel of these settings.
fn no_channel(settings: &Settings) -> Error {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (channels, mut errors) = settings.channels();
    assert!(channels.is_empty() && errors.len() == 1, "{channels:?}");
    errors.remove(0)
}

/// A port that was free a moment ago.
async fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// Sends in vain; in time, and without these secrets in anything that could be printed.
async fn in_vain(channel: &Channel, secrets: &[&str]) -> String {
    let began = Instant::now();
    let error = channel.send(&alert()).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(10), "{error}");
    let told = format!("{channel} {channel:?} {error} {error:?}");
    for secret in secrets {
        assert!(!told.contains(secret), "a secret is shown: {told}");
    }
    error.to_string()
}

#[test]
fn who_is_told_nothing_has_no_channels() {
    let (channels, errors) = Settings::default().channels();
    assert!(channels.is_empty() && errors.is_empty());
}
