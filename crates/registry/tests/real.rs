//! The suite on a real registry, which `cargo xtask test --real` starts and names in the environment.
//!
//! `PREVIEW_TEST_REGISTRY` is its host as in the names of images; `PREVIEW_TEST_REGISTRY_USER` and
//! `PREVIEW_TEST_REGISTRY_PASSWORD` are an account that may push and delete. Without them every story fails.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "`cargo xtask test --real` names the registry in the environment"
)]

mod suite;
mod unpacked;

use suite::Backend;

fn given(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("set {name}, or run these by `cargo xtask test --real`"))
}

async fn real() -> Backend {
    Backend {
        host: given("PREVIEW_TEST_REGISTRY"),
        user: given("PREVIEW_TEST_REGISTRY_USER"),
        password: given("PREVIEW_TEST_REGISTRY_PASSWORD"),
        _server: None,
    }
}

suite::every_story!(real);
