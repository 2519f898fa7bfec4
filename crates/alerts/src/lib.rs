//! Adapter to those who have to be told: a Slack channel by its incoming webhook, and people by mail.
//!
//! An alert is told once by each [`Channel`], in a bounded time. A channel that fails is an [`Error`] for whoever sends to
//! report; nothing hangs on it.
//!
//! The webhook's address is a secret, for whoever has it can post: it is shown by its host alone, as is the mail server's.
//!
//! A rustls provider must be installed in the process before a channel is made.

mod error;
mod mail;
mod slack;

use std::fmt;
use std::time::Duration;

use preview_core::alert::Alert;
use preview_core::config::MailRoute;
use secrecy::SecretString;

pub use error::Error;

use mail::Mailer;
use slack::Webhook;

/// How long a channel may take, with all its attempts.
pub const LIMIT: Duration = Duration::from_secs(15);

/// Which channels there are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address of a Slack incoming webhook; none where nobody is told there.
    pub slack_webhook: Option<SecretString>,
    /// The mail server with the account on it, as a URL: `smtps://user:password@host`, `smtp://user:password@host?tls=required`
    /// for STARTTLS, or `smtp://host` without TLS.
    pub smtp_url: Option<SecretString>,
    /// From whom to whom mails go.
    pub mail: Option<MailRoute>,
    /// How long a channel may take.
    pub limit: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            slack_webhook: None,
            smtp_url: None,
            mail: None,
            limit: LIMIT,
        }
    }
}

impl Settings {
    /// The channels whose secret is there, and what is wrong with those that cannot be used. Nobody is asked yet.
    ///
    /// # Panics
    /// When no rustls provider is installed in the process.
    #[must_use]
    pub fn channels(&self) -> (Vec<Channel>, Vec<Error>) {
        let webhook = self.slack_webhook.as_ref();
        let slack = webhook.map(|url| Webhook::new(url, self.limit).map(Channel::Slack));
        let mail = match (&self.smtp_url, &self.mail) {
            (Some(url), Some(route)) => Some(
                Mailer::new(url, route, self.limit).map(|mailer| Channel::Mail(Box::new(mailer))),
            ),
            (Some(_), None) => Some(Err(Error::NoRoute)),
            (None, Some(_)) => Some(Err(Error::NoServer)),
            (None, None) => None,
        };
        let (mut channels, mut errors) = (Vec::new(), Vec::new());
        for made in [slack, mail].into_iter().flatten() {
            match made {
                Ok(channel) => channels.push(channel),
                Err(error) => errors.push(error),
            }
        }
        (channels, errors)
    }
}

/// A way to tell somebody. Its `Debug` and `Display` hold no secret.
#[derive(Clone, Debug)]
pub enum Channel {
    /// A Slack channel.
    Slack(Webhook),
    /// Mail.
    Mail(Box<Mailer>),
}

impl Channel {
    /// Tells it; what was sent in vain may yet arrive.
    ///
    /// # Errors
    /// When nobody took it in time.
    pub async fn send(&self, alert: &Alert) -> Result<(), Error> {
        match self {
            Self::Slack(webhook) => webhook.send(alert).await,
            Self::Mail(mailer) => mailer.send(alert).await,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slack(_) => f.write_str("Slack"),
            Self::Mail(mailer) => write!(f, "{}", mailer.recipients()),
        }
    }
}
