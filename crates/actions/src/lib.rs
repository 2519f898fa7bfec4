//! Adapter to the runner: GitHub Actions, or a person's terminal.
//!
//! Everything that a program takes from its process and leaves there goes through this crate: the environment, read
//! once ([`Environment`]); the log, in which nothing foreign can be taken for a workflow command ([`Console`]); the
//! effects as they happen ([`Runner::step`]); and at the end `result.json`, outputs, job summary and exit code
//! ([`run()`]). The kubeconfig alone is looked for by the Kubernetes adapter.

mod console;
mod ended;
mod environment;
mod files;
mod run;
mod runner;

pub use console::Console;
pub use ended::{Conclusion, Failed, Outside};
pub use environment::{Environment, EventFile, GitHubSettings, RegistryLogin, UsageError};
pub use files::write_whole;
pub use run::{Options, run};
pub use runner::Runner;
