//! A gate on one client's way to the servers.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
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
    came: Mutex<Vec<String>>,
    open: watch::Sender<bool>,
    held: watch::Sender<bool>,
}

impl Gate {
    /// A gate that lets requests through before the one numbered `nth`, counted from 1.
    #[must_use]
    pub fn closed_from(nth: usize) -> Self {
        Self(Arc::new(Inner {
            closed_from: nth,
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
        self.lock().get(first).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.came.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn passes(&self, request: String) {
        let number = {
            let mut came = self.lock();
            came.push(request);
            came.len()
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

async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    gate.passes(format!("{} {}", request.method(), request.uri()))
        .await;
    next.run(request).await
}
