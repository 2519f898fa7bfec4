//! What the three servers share: a loopback port, a log of all exchanges, and faults on demand.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use futures::stream;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::gate::Gate;

/// One request and what was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// HTTP method.
    pub method: String,
    /// Path and query as the client sent them.
    pub target: String,
    /// Status of the answer.
    pub status: u16,
}

/// What happens to a request instead of, or after, being served.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answer this without touching the state.
    Answer {
        /// Status code.
        status: u16,
        /// Headers of the answer.
        headers: Vec<(&'static str, String)>,
        /// Body of the answer.
        body: String,
    },
    /// Change the state as asked, then answer this instead: "the answer got lost".
    AnswerAfter {
        /// Status code.
        status: u16,
        /// Body of the answer.
        body: String,
    },
    /// Change the state as asked, then break the connection in the middle of the answer.
    BreakAfter,
}

#[derive(Debug)]
struct Planned {
    method: String,
    path_contains: String,
    remaining: usize,
    fault: Fault,
}

#[derive(Debug, Default)]
struct Log {
    exchanges: Vec<Exchange>,
    faults: VecDeque<Planned>,
}

/// The log of a server's exchanges, and the faults planned for the next ones.
#[derive(Clone, Debug, Default)]
pub struct Traffic(Arc<Mutex<Log>>);

impl Traffic {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything asked so far, oldest first.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.lock().exchanges.clone()
    }

    /// Forgets what was asked so far.
    pub fn forget(&self) {
        self.lock().exchanges.clear();
    }

    /// Lets the next `times` requests of `method` whose path and query contain `path_contains` meet `fault`.
    pub fn plan(&self, method: &str, path_contains: &str, times: usize, fault: Fault) {
        self.lock().faults.push_back(Planned {
            method: method.to_owned(),
            path_contains: path_contains.to_owned(),
            remaining: times,
            fault,
        });
    }

    fn take_fault(&self, method: &str, target: &str) -> Option<Fault> {
        let mut log = self.lock();
        let planned = log
            .faults
            .iter_mut()
            .find(|p| p.remaining > 0 && p.method == method && target.contains(&p.path_contains))?;
        planned.remaining -= 1;
        let fault = planned.fault.clone();
        log.faults.retain(|p| p.remaining > 0);
        Some(fault)
    }

    fn record(&self, method: String, target: String, status: u16) {
        self.lock().exchanges.push(Exchange {
            method,
            target,
            status,
        });
    }
}

/// A running server; ends when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) traffic: Traffic,
    router: Router,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let tasks = self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Server {
    /// Binds a free loopback port; call before building a router that must know its own address.
    pub(crate) async fn bind() -> std::io::Result<TcpListener> {
        TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await
    }

    /// Serves `router` on `listener`, with every exchange logged and planned faults applied.
    pub(crate) fn serve(listener: TcpListener, router: Router) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let traffic = Traffic::default();
        let router = router.layer(middleware::from_fn_with_state(traffic.clone(), observe));
        let served = router.clone();
        let task = tokio::spawn(async move {
            // Serving ends with the task; `axum::serve` itself never returns an error.
            let _ = axum::serve(listener, served).await;
        });
        Ok(Self {
            address,
            traffic,
            router,
            tasks: Mutex::new(vec![task]),
        })
    }

    /// The base URL of another way to the same server, behind `gate`.
    pub(crate) async fn through(&self, gate: &Gate) -> std::io::Result<String> {
        let (url, task) = gate.before(self.router.clone()).await?;
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.push(task);
        Ok(url)
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn observe(State(traffic): State<Traffic>, request: Request, next: Next) -> Response {
    let method = request.method().to_string();
    let target = request.uri().to_string();
    let response = match traffic.take_fault(&method, &target) {
        None => next.run(request).await,
        Some(Fault::Answer {
            status,
            headers,
            body,
        }) => answer(status, &headers, body),
        Some(Fault::AnswerAfter { status, body }) => {
            let _ = next.run(request).await;
            answer(status, &[], body)
        }
        Some(Fault::BreakAfter) => broken(next.run(request).await),
    };
    traffic.record(method, target, response.status().as_u16());
    response
}

/// The head of an answer, and nothing of what it announces.
fn broken(served: Response) -> Response {
    let lost = std::io::Error::other("the connection is broken");
    let body = Body::from_stream(stream::iter([Err::<Bytes, _>(lost)]));
    Response::from_parts(served.into_parts().0, body)
}

fn answer(status: u16, headers: &[(&'static str, String)], body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let map: &mut HeaderMap = response.headers_mut();
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            map.insert(HeaderName::from_static(name), value);
        }
    }
    response
}
