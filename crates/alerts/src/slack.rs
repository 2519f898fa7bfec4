//! A Slack channel, by an incoming webhook.
//! <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use backon::{ConstantBuilder, Retryable as _};
use preview_core::alert::Alert;
use preview_core::causes::with_causes;
use preview_core::redaction::Redaction;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;

use crate::error::Error;

/// The pause before the only other attempt.
const PAUSE: Duration = Duration::from_millis(500);

/// Bytes of an answer that are shown: Slack's own have a word or two.
const SHOWN: usize = 200;

const NEXT: &str = "make a new incoming webhook where this one was taken away, and set PREVIEW_SLACK_WEBHOOK to it";

/// An incoming webhook: an address to which whoever has it can post.
#[derive(Clone)]
pub struct Webhook {
    http: Client,
    url: SecretString,
    host: String,
    limit: Duration,
    redaction: Redaction,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({})", self.host)
    }
}

/// Why an attempt failed.
enum Failure {
    /// Another may not.
    Transient(String),
    /// Another would, too.
    Lasting(String),
}

impl Webhook {
    pub(crate) fn new(url: &SecretString, limit: Duration) -> Result<Self, Error> {
        let text = url.expose_secret().trim();
        let parsed = Url::parse(text).map_err(|_| Error::Webhook("is no URL"))?;
        let host = parsed.host_str().ok_or(Error::Webhook("names no host"))?;
        match parsed.scheme() {
            "https" => {}
            "http" if is_loopback(host) => {}
            "http" => return Err(Error::Webhook("would be sent over plain http")),
            _ => return Err(Error::Webhook("is no address of https")),
        }
        let host = match parsed.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let http = Client::builder()
            .user_agent(concat!("preview-alerts/", env!("CARGO_PKG_VERSION")))
            // One that hangs leaves time for another.
            .timeout(limit / 2)
            .redirect(Policy::none())
            .build()
            .map_err(|error| Error::Client {
                to: host.clone(),
                reason: with_causes(&error.without_url()),
            })?;
        let path = parsed.path();
        let last = path.rsplit('/').next().unwrap_or_default();
        Ok(Self {
            redaction: Redaction::of([text, parsed.as_str(), path, last]),
            url: SecretString::from(parsed.as_str()),
            http,
            host,
            limit,
        })
    }

    pub(crate) async fn send(&self, alert: &Alert) -> Result<(), Error> {
        let body = alert.slack();
        let attempt = async || self.attempt(&body).await;
        let once_more = ConstantBuilder::default()
            .with_delay(PAUSE)
            .with_max_times(1)
            .with_jitter();
        let sent = attempt
            .retry(once_more)
            .when(|failure| matches!(failure, Failure::Transient(_)));
        let to = self.host.clone();
        match timeout(self.limit, sent).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Failure::Transient(reason))) => Err(Error::Unavailable { to, reason }),
            Ok(Err(Failure::Lasting(reason))) => Err(Error::Refused {
                to,
                reason,
                next: NEXT,
            }),
            Err(_) => Err(Error::Late {
                to,
                waited: self.limit,
            }),
        }
    }

    async fn attempt(&self, body: &serde_json::Value) -> Result<(), Failure> {
        let request = self.http.post(self.url.expose_secret()).json(body);
        let unreachable = |error: reqwest::Error| {
            Failure::Transient(self.clean(&with_causes(&error.without_url())))
        };
        let mut answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        // The words are worth no failure of their own.
        let words = answer.chunk().await.ok().flatten().unwrap_or_default();
        let words = String::from_utf8_lossy(&words[..words.len().min(SHOWN)]).into_owned();
        let told = match words.trim() {
            "" => format!("it answered {status}"),
            words => format!("it answered {status}: {}", self.clean(words)),
        };
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            Err(Failure::Transient(told))
        } else {
            Err(Failure::Lasting(told))
        }
    }

    /// A server's words may repeat what we sent.
    fn clean(&self, words: &str) -> String {
        self.redaction.clean(words)
    }
}

/// Whether nobody but this machine sees what is sent there.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
