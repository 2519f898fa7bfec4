//! Registry.

use std::sync::Arc;

use crate::server::Server;

/// A handle on the server; the server ends with its last handle.
#[derive(Clone, Debug)]
pub struct Registry {
    server: Arc<Server>,
}

impl Registry {
    /// Starts the server on a free loopback port.
    ///
    /// # Errors
    /// When no loopback port can be bound.
    pub async fn start() -> std::io::Result<Self> {
        let listener = Server::bind().await?;
        Ok(Self {
            server: Arc::new(Server::serve(listener, axum::Router::new())?),
        })
    }

    /// The server's base URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The log of exchanges, and the place to plan faults.
    #[must_use]
    pub fn traffic(&self) -> crate::Traffic {
        self.server.traffic.clone()
    }
}
