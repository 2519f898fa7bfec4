//! `[alerts]`: who is told of what nobody is looking at. Where the secrets of the channels come from the programs say.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::error::{ConfigError, Source};
use super::read::{check, value};
use crate::names::{NotA, is_host};

/// More are a mailing list, which has an address of its own.
const MOST_RECIPIENTS: usize = 20;

/// `[alerts]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct AlertsFile {
    /// The address that mails come from; with `mail_to`, and the server in PREVIEW_SMTP_URL.
    mail_from: Option<String>,
    /// The addresses that mails go to.
    #[serde(default)]
    mail_to: Vec<String>,
}

/// Who is told of what nobody is looking at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertSettings {
    /// From whom to whom mails go; none where no mail is sent.
    pub mail: Option<MailRoute>,
}

/// From whom to whom mails go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailRoute {
    /// The sender.
    pub from: MailAddress,
    /// The recipients, one at least.
    pub to: Vec<MailAddress>,
}

/// An address of mail, in the form that every server takes: `Dot-string@Domain` in ASCII.
/// <https://www.rfc-editor.org/rfc/rfc5321#section-4.1.2>
#[derive(Clone, PartialEq, Eq)]
pub struct MailAddress(String);

impl MailAddress {
    /// As it is written: `previews@example.com`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands after the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl FromStr for MailAddress {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Self, NotA> {
        let is_atom = |atom: &str| {
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
            !atom.is_empty() && atom.bytes().all(is_plain)
        };
        // <https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1>; 254, since a path has its angle brackets.
        let good = text.len() <= 254
            && text.rsplit_once('@').is_some_and(|(local, domain)| {
                local.len() <= 64 && local.split('.').all(is_atom) && is_host(domain)
            });
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotA::new(
                text,
                "an address of mail, such as previews@example.com",
            ))
        }
    }
}

impl fmt::Debug for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

pub(super) fn alerts(
    source: &Source<'_>,
    written: AlertsFile,
) -> Result<AlertSettings, ConfigError> {
    const TABLE: &str = "alerts";
    let AlertsFile { mail_from, mail_to } = written;
    let Some(from) = mail_from else {
        let problem = "mail goes to somebody and comes from nobody; write mail_from, too";
        check(source, mail_to.is_empty(), &[TABLE, "mail_to"], problem)?;
        return Ok(AlertSettings::default());
    };
    let from = value(source, &[TABLE, "mail_from"], &from)?;
    check(
        source,
        (1..=MOST_RECIPIENTS).contains(&mail_to.len()),
        &[TABLE, "mail_to"],
        format!(
            "mail goes to {} addresses; write 1 to {MOST_RECIPIENTS} of them",
            mail_to.len()
        ),
    )?;
    let to = mail_to
        .iter()
        .enumerate()
        .map(|(place, address)| value(source, &[TABLE, "mail_to", &format!("[{place}]")], address));
    let to = to.collect::<Result<_, _>>()?;
    Ok(AlertSettings {
        mail: Some(MailRoute { from, to }),
    })
}
