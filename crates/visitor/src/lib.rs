//! Adapter to a preview's own pages: asks as a visitor's browser would.
//!
//! By TLS, by the host's name, with the certificate verified against what this machine trusts and what the preview's own
//! certificate came with. Nothing is followed, nothing repeated and nothing kept: one question, one [`Answer`].

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use preview_core::causes::with_causes;
use preview_core::checks::Answer;
use preview_core::config::Address;
use preview_core::health::{Classified, FailureClass};
use preview_core::names::Host;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

/// Bytes of a page that are read: enough to see what it says.
const LIMIT: usize = 64 * 1024;
/// The port of `https`.
const HTTPS: u16 = 443;

/// Somebody who looks at previews from outside.
#[derive(Clone)]
pub struct Visitor {
    tls: TlsConnector,
    connect_to: Option<Address>,
}

/// Why there can be no visitor.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificates that came with the preview's own are none.
    #[error(
        "read the preview's certificate authority: {0}; correct `ca.crt` of the Secret with its certificate"
    )]
    Authority(String),
    /// Nothing is trusted, so no certificate can be verified.
    #[error(
        "no certificate authority is trusted here ({0}); install this machine's (Debian: ca-certificates), or name a file \
         of them in SSL_CERT_FILE"
    )]
    NoRoots(String),
}

impl Classified for Error {
    fn class(&self) -> FailureClass {
        match self {
            // It came with the certificate, from the cluster.
            Self::Authority(_) => FailureClass::Cluster,
            Self::NoRoots(_) => FailureClass::Runner,
        }
    }
}

impl Visitor {
    /// A visitor who trusts this machine's certificate authorities and those in `authority`, as PEM; and who goes to
    /// `connect_to` where that is given, whatever a host's name resolves to.
    ///
    /// A blank `authority` is none: whoever issued the certificate may have named no root.
    ///
    /// # Errors
    /// When `authority` is no certificate, or nothing is trusted at all.
    pub fn new(connect_to: Option<Address>, authority: Option<&str>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        let ours = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(ours.certs);
        if let Some(authority) = authority.filter(|pem| !pem.trim().is_empty()) {
            for certificate in certificates(authority)? {
                roots
                    .add(certificate)
                    .map_err(|error| Error::Authority(error.to_string()))?;
            }
        }
        if roots.is_empty() {
            let errors: Vec<String> = ours.errors.iter().map(ToString::to_string).collect();
            return Err(Error::NoRoots(errors.join(", ")));
        }
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            connect_to,
        })
    }

    /// What `path` of `host` answers within `patience`. Whatever keeps it from answering is an answer, too.
    pub async fn ask(&self, host: &Host, path: &str, patience: Duration) -> Answer {
        let deadline = Instant::now() + patience;
        match self.fetch(host, path, deadline).await {
            Ok(answer) => answer,
            Err(why) => Answer::None(why),
        }
    }

    async fn fetch(&self, host: &Host, path: &str, deadline: Instant) -> Result<Answer, String> {
        let to = match &self.connect_to {
            Some(to) => to.to_string(),
            None => format!("{host}:{HTTPS}"),
        };
        let connect = format!("connect to {to}");
        let stream = within(deadline, &connect, TcpStream::connect(&to)).await?;
        let name = ServerName::try_from(host.to_string())
            .map_err(|error| format!("{host} is no name of a server: {error}"))?;
        let greeting = format!("TLS with {host} at {to}");
        let stream = within(deadline, &greeting, self.tls.connect(name, stream)).await?;
        let request = http::Request::get(path)
            .header(http::header::HOST, host.as_str())
            .header(http::header::USER_AGENT, "preview-environments")
            .body(Empty::<Bytes>::new())
            .map_err(|error| format!("{path} cannot be asked for: {error}"))?;
        let asking = format!("GET https://{host}{path} at {to}");
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = within(deadline, &asking, handshake).await?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            Ok::<_, hyper::Error>((status, beginning(response.into_body()).await?))
        };
        // The connection moves the bytes; whichever of the two ends first, ends both.
        let exchange = async {
            tokio::select! {
                answer = exchange => answer,
                Err(error) = connection => Err(error),
            }
        };
        let (status, body) = within(deadline, &asking, exchange).await?;
        Ok(Answer::Page { status, body })
    }
}

/// The certificates of a PEM file: one at least.
fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let certificates = certificates.map_err(|error| Error::Authority(error.to_string()))?;
    if certificates.is_empty() {
        return Err(Error::Authority("it holds no certificate".to_owned()));
    }
    Ok(certificates)
}

/// The first [`LIMIT`] bytes of a body, as text.
async fn beginning(mut body: Incoming) -> Result<String, hyper::Error> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            let room = LIMIT - read.len();
            read.extend_from_slice(&data[..data.len().min(room)]);
        }
        if read.len() == LIMIT {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&read).into_owned())
}

/// The result of `work`, or why there is none, with everything that caused it.
async fn within<T, E: std::error::Error>(
    deadline: Instant,
    what: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match timeout_at(deadline, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(format!("{what}: {}", with_causes(&error))),
        Err(_) => Err(format!("{what}: no answer in time")),
    }
}
