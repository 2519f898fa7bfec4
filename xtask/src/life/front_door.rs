//! The front door: what somebody meets who opens a preview's URL. A real nginx on a real cluster, the sandbox's own on
//! the sandbox's; both obey the Ingresses and the TLS Secrets that are on the API server.

use std::{fmt, net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail};
use reqwest::{Certificate, Client, Url, redirect, tls::TlsInfo};

mod config;
mod nginx;

pub(super) use nginx::Nginx;

/// For one page.
const PATIENCE: Duration = Duration::from_secs(15);

/// A front door that is open.
pub(crate) struct FrontDoor {
    address: SocketAddr,
    /// Who signed the certificates that a visitor believes, in PEM.
    authority: String,
    /// Closes the sandbox's with this.
    _sandbox: Option<sandbox::cluster::FrontDoor>,
}

impl fmt::Debug for FrontDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrontDoor({})", self.address)
    }
}

/// What a visitor sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// HTTP status; a redirect is not followed.
    pub(crate) status: u16,
    /// The page.
    pub(crate) body: String,
    /// The certificate that the door showed, in PEM. It was verified, for the URL's host too.
    pub(crate) certificate: String,
}

impl FrontDoor {
    /// A door at `address`, whose visitors believe the certificates of `authority` (PEM) and no others.
    pub(super) fn at(address: SocketAddr, authority: String) -> Self {
        Self {
            address,
            authority,
            _sandbox: None,
        }
    }

    /// The sandbox's.
    pub(super) fn of_sandbox(door: sandbox::cluster::FrontDoor, authority: String) -> Self {
        Self {
            address: door.address(),
            authority,
            _sandbox: Some(door),
        }
    }

    /// Where it listens with TLS, for every host.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens a page by its URL, such as `https://7.pr.example.com/api`, whose host leads to this door.
    ///
    /// # Errors
    /// When the door shows no certificate of the authority for that host, or does not answer.
    pub(crate) async fn get(&self, url: &str) -> anyhow::Result<Seen> {
        let parsed: Url = url.parse().with_context(|| format!("{url} is no URL"))?;
        let host = parsed.host_str().unwrap_or_default();
        let trusted = Certificate::from_pem(self.authority.as_bytes());
        let client = Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .https_only(true)
            .redirect(redirect::Policy::none())
            .tls_certs_only([trusted.context("read the authority's certificate")?])
            .tls_info(true)
            .resolve(host, self.address)
            .build()
            .context("make a client")?;
        let opened = client.get(parsed).send().await;
        let answer = opened.with_context(|| format!("open {url} through {self:?}"))?;
        let shown = answer.extensions().get::<TlsInfo>();
        let Some(certificate) = shown.and_then(TlsInfo::peer_certificate) else {
            bail!("{self:?} showed no certificate for {url}");
        };
        let certificate = pem(certificate);
        Ok(Seen {
            status: answer.status().as_u16(),
            body: answer.text().await.with_context(|| format!("read {url}"))?,
            certificate,
        })
    }
}

/// <https://www.rfc-editor.org/rfc/rfc7468>
fn pem(der: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let text = STANDARD.encode(der);
    let mut lines = vec!["-----BEGIN CERTIFICATE-----"];
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        lines.push(line);
        rest = after;
    }
    lines.push("-----END CERTIFICATE-----");
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::life::certificate::Wildcard;

    #[test]
    fn a_certificate_is_written_as_its_secret_has_it() {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let wildcard = Wildcard::valid_for("*.pr.example.com", 30).unwrap();
        let own = wildcard.certificate.replace('\r', "");
        let lines = own.lines().filter(|line| !line.starts_with('-'));
        let der = STANDARD.decode(lines.collect::<String>()).unwrap();
        assert_eq!(pem(&der), own);
    }
}
