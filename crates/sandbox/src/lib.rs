//! GitHub, an OCI registry and a Kubernetes cluster as stateful servers on loopback.
//!
//! For tests and `cargo xtask demo` only, never published. Each server is a plain model of its state, and every
//! answer is derived from that state. What a server does not model it refuses loudly with `501` and the request in
//! the body, so that a client that starts to use something new fails at once instead of passing by luck.
//!
//! The servers know nothing of our adapters or rules: they model the outside world, in its own words.

pub mod cluster;
mod gate;
pub mod github;
pub mod registry;
mod server;
pub mod sigstore;
mod world;

pub use gate::{Gate, Way, is_write};
pub use server::{Exchange, Fault, Traffic};
pub use world::World;
