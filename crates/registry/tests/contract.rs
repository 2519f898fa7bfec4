//! The suite on the sandbox's registry.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod suite;
mod unpacked;

use suite::Backend;

/// The sandbox deletes as docker-registry does, so that images with missing pieces can be made.
async fn sandbox() -> Backend {
    let server = sandbox::registry::Registry::start().await.unwrap();
    server.allow_deletes();
    let account = server.account();
    Backend {
        host: server.host(),
        user: account.user,
        password: account.password,
        _server: Some(server),
    }
}

suite::every_story!(sandbox);
