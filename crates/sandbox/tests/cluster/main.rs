//! Stories on the sandbox's cluster, told by a client over HTTP. That it is like a real one is shown by the contract
//! suite of `preview-k8s`, which runs on both.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails the test, as the test itself does"
)]

mod apply;
mod client;
mod namespaces;
mod quota;
mod updates;
mod watches;
mod workloads;
