//! A gate on one client's way to the servers.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::server::Server;

/// A way to servers that one client alone takes, with a gate on it: from some request on none goes through until the gate
/// is opened, as if the client were frozen there.
///
/// A client takes it by the addresses that [`crate::github::GitHub::through`] and [`crate::cluster::Cluster::through`]
/// give: requests are counted over all of these servers together.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The first request that is held, counted from 1.
    closed_from: usize,
    /// Whether what only reads is not counted.
    counts_writes: bool,
    came: Mutex<Vec<String>>,
    open: watch::Sender<bool>,
    held: watch::Sender<bool>,
}

impl Gate {
    /// A gate that lets requests through before the one numbered `nth`, counted from 1.
    #[must_use]
    pub fn closed_from(nth: usize) -> Self {
        Self::new(nth, false)
    }

    /// A gate that lets requests through before the one that writes the `nth` time, counted from 1: where that is does not
    /// depend on how often a client had to look.
    #[must_use]
    pub fn closed_from_write(nth: usize) -> Self {
        Self::new(nth, true)
    }

    fn new(closed_from: usize, counts_writes: bool) -> Self {
        Self(Arc::new(Inner {
            closed_from,
            counts_writes,
            came: Mutex::default(),
            open: watch::Sender::new(false),
            held: watch::Sender::new(false),
        }))
    }

    /// Waits until a request is held.
    pub async fn holds(&self) {
        // The sender lives as long as we do.
        let _ = self.0.held.subscribe().wait_for(|held| *held).await;
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.0.open.send_replace(true);
    }

    /// Method, path and query of every request that came, in the order in which they came.
    #[must_use]
    pub fn came(&self) -> Vec<String> {
        self.lock().clone()
    }

    /// The request that was held first.
    #[must_use]
    pub fn held(&self) -> Option<String> {
        let first = self.0.closed_from.checked_sub(1)?;
        let came = self.lock();
        let mut counted = came.iter().filter(|request| self.counts(request));
        counted.nth(first).cloned()
    }

    fn counts(&self, request: &str) -> bool {
        !self.0.counts_writes || is_write(request)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.came.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn passes(&self, request: String) {
        let number = {
            let mut came = self.lock();
            came.push(request);
            came.iter().filter(|request| self.counts(request)).count()
        };
        if number >= self.0.closed_from {
            self.0.held.send_replace(true);
            let _ = self.0.open.subscribe().wait_for(|open| *open).await;
        }
    }

    /// Serves `router` on another port, behind this gate; gives its base URL, and the task that serves.
    pub(crate) async fn before(&self, router: Router) -> io::Result<(String, JoinHandle<()>)> {
        let listener = Server::bind().await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = router.layer(middleware::from_fn_with_state(self.clone(), pass));
        let task = tokio::spawn(async move {
            // As the server's own: it ends with the task.
            let _ = axum::serve(listener, router).await;
        });
        Ok((url, task))
    }
}

/// The way to a server that is not ours; it ends when dropped.
#[derive(Debug)]
pub struct Way {
    url: String,
    task: JoinHandle<()>,
}

impl Way {
    /// A way to the server that speaks plain HTTP at `address`, behind `gate`.
    ///
    /// # Errors
    /// When no loopback port can be bound.
    pub async fn through(gate: &Gate, address: SocketAddr) -> io::Result<Self> {
        let address = address.to_string();
        let there = async move |request: Request| answered(&address, request).await;
        let (url, task) = gate.before(Router::new().fallback(there)).await?;
        Ok(Self { url, task })
    }

    /// A way to whatever server a request names, which must speak plain HTTP, behind `gate`: for a client that is told of it
    /// as its proxy (`HTTP_PROXY`).
    ///
    /// # Errors
    /// When no loopback port can be bound.
    pub async fn anywhere(gate: &Gate) -> io::Result<Self> {
        let there = async move |request: Request| match request.uri().authority().cloned() {
            Some(address) => answered(address.as_str(), request).await,
            None => (StatusCode::BAD_REQUEST, "this is a proxy").into_response(),
        };
        let (url, task) = gate.before(Router::new().fallback(there)).await?;
        Ok(Self { url, task })
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the server at `address` answers, or that it does not.
async fn answered(address: &str, request: Request) -> Response {
    let answer = forwarded(address, request).await;
    answer.unwrap_or_else(|error| {
        let said = format!("{address} does not answer: {error}");
        (StatusCode::BAD_GATEWAY, said).into_response()
    })
}

/// Asks the server at `address` over a connection of its own; what it answers goes on as it comes, for a watch has no end.
async fn forwarded(
    address: &str,
    mut request: Request,
) -> Result<Response, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let host = HeaderValue::from_str(address)?;
    request.headers_mut().insert(header::HOST, host);
    // Whom a proxy is asked for goes before the path; a server is asked by the path alone.
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse()?;
    let answer = sender.send_request(request).await?;
    Ok(answer.map(Body::new))
}

/// Whether a request, as [`Gate::came`] has it, is one that does more than read.
#[must_use]
pub fn is_write(request: &str) -> bool {
    !["GET ", "HEAD "]
        .iter()
        .any(|reads| request.starts_with(reads))
}

async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    gate.passes(format!("{} {}", request.method(), request.uri()))
        .await;
    next.run(request).await
}
