//! Stories of `preview-deploy`, the built program against the sandbox.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod approval;
mod bad_input;
mod checks;
mod commands;
mod commits;
mod database;
mod doctor;
mod enterprise;
mod failures;
mod fence;
mod forks;
mod golden;
mod hostile;
mod isolation;
mod layouts;
mod life;
mod limits;
mod observation;
mod overlay;
mod plan;
mod promotable;
mod pulls;
mod queue;
mod quota;
mod requests;
mod shop;
mod tokens;
mod unchanged;

/// The program that was built for these tests.
const DEPLOY: &str = env!("CARGO_BIN_EXE_preview-deploy");
