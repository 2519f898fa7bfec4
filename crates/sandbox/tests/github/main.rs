//! Stories on the sandbox's GitHub, told by a client over HTTP.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails the test, as the test itself does"
)]

mod client;
mod deployments;
mod judge;
mod labels_and_comments;
mod life;
mod lists;
mod payloads;
mod runs;
