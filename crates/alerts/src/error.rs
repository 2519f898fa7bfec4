//! What can go wrong, and what to do then.

use std::time::Duration;

/// Somebody was not told, or cannot be. The text names the operation and the next step, and never holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The webhook's address is none, so nothing was asked.
    #[error(
        "PREVIEW_SLACK_WEBHOOK {0}, so no alert goes to Slack; set it to the address of an incoming webhook, \
         https://hooks.slack.com/services/…"
    )]
    Webhook(&'static str),
    /// The mail server's address is none, so nothing was asked.
    #[error(
        "PREVIEW_SMTP_URL {0}, so no alert goes by mail; write it like smtps://user:password@smtp.example.com or \
         smtp://user:password@smtp.example.com?tls=required, with %40 for an @ in user or password"
    )]
    Server(&'static str),
    /// There is a mail server, and nobody to write to.
    #[error(
        "PREVIEW_SMTP_URL is set and preview.toml does not say from whom to whom mail goes, so no alert goes by mail; write \
         alerts.mail_from and alerts.mail_to, or take the secret away"
    )]
    NoRoute,
    /// There is somebody to write to, and no mail server.
    #[error(
        "preview.toml has alerts.mail_to and PREVIEW_SMTP_URL is not set, so no alert goes by mail; pass that secret to the \
         step, or take `[alerts]` out"
    )]
    NoServer,
    /// The client could not be made.
    #[error("make the client for {to}: {reason}; check the machine's certificates")]
    Client {
        /// Whom it would speak to.
        to: String,
        /// What is wrong.
        reason: String,
    },
    /// The server did not take it.
    #[error("send an alert to {to}: {reason}; {next}")]
    Refused {
        /// The host.
        to: String,
        /// The server's words, without our secrets.
        reason: String,
        /// What to set.
        next: &'static str,
    },
    /// No useful answer within the time limit.
    #[error(
        "send an alert to {to}: {reason}; look whether it is up and reachable from here, and its certificate trusted"
    )]
    Unavailable {
        /// The host.
        to: String,
        /// Why the last attempt failed.
        reason: String,
    },
    /// Nothing came within the time limit.
    #[error(
        "send an alert to {to}: no answer in {waited:.1?}; look whether it is up and reachable from here"
    )]
    Late {
        /// The host.
        to: String,
        /// How long was waited.
        waited: Duration,
    },
}
