//! The front door: HTTPS as an ingress controller serves it, by the Ingresses and Secrets that are in the cluster at the
//! moment of each request.
//! <https://kubernetes.io/docs/concepts/services-networking/ingress/>

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State as Extract};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::response::{IntoResponse as _, Response};
use axum::serve::Listener;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Cluster;
use super::api::{Shared, lock};
use super::proxy;
use super::state::State;
use super::store::Key;

/// The one class of Ingress that is served, beside those of no class.
const CLASS: &str = "nginx";
/// For one handshake.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections that nobody took yet.
const WAITING: usize = 16;

/// A front door; it closes when dropped.
#[derive(Debug)]
pub struct FrontDoor {
    address: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

impl FrontDoor {
    /// Where it listens, for any host.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for FrontDoor {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Cluster {
    /// Opens a front door on a free loopback port: for whoever names a host of an Ingress that has `tls` for it, it shows
    /// the certificate in that Secret, and answers with the page of the Service behind the longest path that fits. Other
    /// hosts get no handshake, other paths 404; a Service without a ready pod is 502, as behind an nginx.
    ///
    /// # Errors
    /// When no loopback port can be bound.
    pub async fn open_front_door(&self) -> io::Result<FrontDoor> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::clone(&self.state);
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Certificates(Arc::clone(&state))));
        let (arrive, arrivals) = mpsc::channel(WAITING);
        let hall = Hall { address, arrivals };
        let router = Router::new().fallback(answer).with_state(state);
        let serving = async move {
            if let Err(error) = axum::serve(hall, router).await {
                tracing::error!(%error, "the front door ended");
            }
        };
        let greeting = greet(listener, TlsAcceptor::from(Arc::new(config)), arrive);
        Ok(FrontDoor {
            address,
            tasks: [tokio::spawn(greeting), tokio::spawn(serving)],
        })
    }
}

type Arrival = (TlsStream<TcpStream>, SocketAddr);

/// Takes connections; each has its handshake for itself, so that nobody waits for somebody who says nothing.
async fn greet(listener: TcpListener, acceptor: TlsAcceptor, arrive: mpsc::Sender<Arrival>) {
    while let Ok((stream, from)) = listener.accept().await {
        let (acceptor, arrive) = (acceptor.clone(), arrive.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => drop(arrive.send((stream, from)).await),
                Ok(Err(error)) => tracing::debug!(%error, "no handshake"),
                Err(_) => tracing::debug!("no handshake in time"),
            }
        });
    }
}

/// Those who came in.
struct Hall {
    address: SocketAddr,
    arrivals: mpsc::Receiver<Arrival>,
}

impl Listener for Hall {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.arrivals.recv().await {
            Some(arrival) => arrival,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Finds the certificate of the host that a client names.
struct Certificates(Shared);

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates")
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name()?;
        let state = lock(&self.0);
        let secret = ingresses(&state).find_map(|ingress| {
            let namespace = ingress["metadata"]["namespace"].as_str()?;
            let all = ingress["spec"]["tls"].as_array()?;
            let tls = all.iter().find(|tls| {
                let hosts = tls["hosts"].as_array();
                hosts.into_iter().flatten().any(|name| name == host)
            })?;
            let name = tls["secretName"].as_str()?;
            state.store.get(&Key::new("Secret", namespace, name))
        })?;
        certified(secret).map(Arc::new)
    }
}

/// The certificate chain and key of a Secret of type `kubernetes.io/tls`; none where they are none.
fn certified(secret: &Value) -> Option<CertifiedKey> {
    let pem = |key: &str| STANDARD.decode(secret["data"][key].as_str()?).ok();
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem("tls.crt")?).collect();
    let key = PrivateKeyDer::from_pem_slice(&pem("tls.key")?).ok()?;
    let key = ring::sign::any_supported_type(&key).ok()?;
    Some(CertifiedKey::new(chain.ok()?, key))
}

fn ingresses(state: &State) -> impl Iterator<Item = &Value> {
    let all = state.store.list("Ingress", None);
    all.map(|(_, ingress)| &**ingress).filter(|ingress| {
        let class = &ingress["spec"]["ingressClassName"];
        class.is_null() || class == CLASS
    })
}

async fn answer(Extract(shared): Extract<Arc<Mutex<State>>>, request: Request) -> Response {
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().to_owned();
    let path = request.uri().path().to_owned();
    let target = request.uri().path_and_query();
    let target = target.map_or_else(|| path.clone(), ToString::to_string);
    let state = lock(&shared);
    let Some((namespace, backend)) = backend(&state, &host, &path) else {
        return (StatusCode::NOT_FOUND, "404 Not Found\n").into_response();
    };
    let port = &backend["port"];
    let port = port["name"].as_str().map(str::to_owned);
    let port = port.unwrap_or_else(|| backend["port"]["number"].to_string());
    let service = backend["name"].as_str().unwrap_or_default();
    proxy::page_of(&state, &namespace, service, &port, target)
        .unwrap_or_else(|_| (StatusCode::BAD_GATEWAY, "502 Bad Gateway\n").into_response())
}

/// The namespace and the Service behind a path: an exact path before all, else the longest that it begins with.
fn backend(state: &State, host: &str, path: &str) -> Option<(String, Value)> {
    let mut best: Option<(usize, String, Value)> = None;
    for ingress in ingresses(state) {
        let namespace = ingress["metadata"]["namespace"].as_str()?;
        let rules = ingress["spec"]["rules"].as_array().into_iter().flatten();
        let rules = rules.filter(|rule| rule["host"] == host);
        for way in rules.flat_map(|rule| rule["http"]["paths"].as_array().into_iter().flatten()) {
            let Some(fit) = fit(way, path) else { continue };
            if best.as_ref().is_none_or(|(before, ..)| fit > *before) {
                let service = way["backend"]["service"].clone();
                best = Some((fit, namespace.to_owned(), service));
            }
        }
    }
    best.map(|(_, namespace, service)| (namespace, service))
}

/// How well a way fits the path that was asked for; none where it does not.
fn fit(way: &Value, path: &str) -> Option<usize> {
    let own = way["path"].as_str().unwrap_or("/");
    if way["pathType"] == "Exact" {
        return (own == path).then_some(usize::MAX);
    }
    // Element by element: /ap is no prefix of /api.
    let own = own.trim_end_matches('/');
    let rest = path.strip_prefix(own)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(own.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_fits_element_by_element_and_an_exact_one_best() {
        let fits = |kind: &str, own: &str, path: &str| {
            fit(&json!({ "path": own, "pathType": kind }), path)
        };
        assert_eq!(fits("Prefix", "/", "/anything"), Some(0));
        assert_eq!(fits("Prefix", "/api", "/api"), Some(4));
        assert_eq!(fits("Prefix", "/api/", "/api/notes"), Some(4));
        assert_eq!(fits("Prefix", "/ap", "/api"), None);
        assert_eq!(fits("Exact", "/api", "/api"), Some(usize::MAX));
        assert_eq!(fits("Exact", "/api", "/api/"), None);
    }
}
