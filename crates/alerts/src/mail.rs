//! Mail, by SMTP.

use std::fmt;
use std::process;
use std::time::Duration;

use jiff::Timestamp;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder, SinglePart};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use preview_core::alert::Alert;
use preview_core::causes::with_causes;
use preview_core::config::{MailAddress, MailRoute};
use preview_core::redaction::Redaction;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;

use crate::error::Error;
use crate::slack::is_loopback;

const NEXT: &str =
    "correct PREVIEW_SMTP_URL, or alerts.mail_from and alerts.mail_to in preview.toml";

/// A mail server, and from whom to whom it takes mail.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    route: MailRoute,
    host: String,
    limit: Duration,
    redaction: Redaction,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailer({} by {})", self.recipients(), self.host)
    }
}

impl Mailer {
    pub(crate) fn new(
        url: &SecretString,
        route: &MailRoute,
        limit: Duration,
    ) -> Result<Self, Error> {
        let text = url.expose_secret().trim();
        let parsed = Url::parse(text).map_err(|_| Error::Server("is no URL"))?;
        let host = parsed
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or(Error::Server("names no host"))?;
        let is_private = parsed.scheme() == "smtps"
            || parsed
                .query_pairs()
                .any(|pair| pair == ("tls".into(), "required".into()))
            || is_loopback(host);
        match (parsed.username(), parsed.password()) {
            ("", None) => {}
            (_, None) => return Err(Error::Server("has a user and no password")),
            (_, Some(_)) if is_private => {}
            (_, Some(_)) => return Err(Error::Server("would send the password without TLS")),
        }
        let host = match parsed.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        // Its error may repeat the URL.
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(text)
            .map_err(|_| Error::Server("is no address of a mail server"))?;
        Ok(Self {
            // One limit for all of it is enough.
            transport: builder.timeout(None).build(),
            route: route.clone(),
            host,
            limit,
            redaction: redaction(&parsed),
        })
    }

    /// The recipients, as people write them.
    pub(crate) fn recipients(&self) -> String {
        let to: Vec<&str> = self.route.to.iter().map(MailAddress::as_str).collect();
        to.join(", ")
    }

    pub(crate) async fn send(&self, alert: &Alert) -> Result<(), Error> {
        let message = self.message(alert).map_err(|reason| Error::Refused {
            to: self.host.clone(),
            reason,
            next: NEXT,
        })?;
        let to = self.host.clone();
        match timeout(self.limit, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                let reason = self.redaction.clean(&with_causes(&error));
                // What the server said, by its code, it would say again; all else is the way to it.
                Err(match error.is_permanent() || error.is_client() {
                    true => Error::Refused {
                        to,
                        reason,
                        next: NEXT,
                    },
                    false => Error::Unavailable { to, reason },
                })
            }
            Err(_) => Err(Error::Late {
                to,
                waited: self.limit,
            }),
        }
    }

    fn message(&self, alert: &Alert) -> Result<Message, String> {
        let mail = alert.mail();
        let from = &self.route.from;
        let now = Timestamp::now().as_nanosecond();
        let id = format!("<{now}.{}.preview@{}>", process::id(), from.domain());
        let head = Message::builder()
            .from(mailbox(from)?)
            .subject(mail.subject)
            .message_id(Some(id))
            .raw_header(by_a_program());
        let to = |head: MessageBuilder, address| Ok::<_, String>(head.to(mailbox(address)?));
        let head = self.route.to.iter().try_fold(head, to)?;
        head.singlepart(SinglePart::plain(mail.body))
            .map_err(|error| with_causes(&error))
    }
}

/// Nobody who is away shall answer. <https://www.rfc-editor.org/rfc/rfc3834#section-5>
fn by_a_program() -> HeaderValue {
    let name = HeaderName::new_from_ascii_str("Auto-Submitted");
    HeaderValue::new(name, "auto-generated".to_owned())
}

fn mailbox(address: &MailAddress) -> Result<Mailbox, String> {
    let parsed: Address = address
        .as_str()
        .parse()
        .map_err(|error| format!("{address}: {error}"))?;
    Ok(Mailbox::new(None, parsed))
}

/// What a server may say of an account: its password, as it stands in the URL and as it is.
fn redaction(url: &Url) -> Redaction {
    let written = url.password().unwrap_or_default();
    Redaction::of([url.as_str(), written, &decoded(written)])
}

/// `text` of a URL without its percent-encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex
            .filter(|_| *first == b'%')
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
