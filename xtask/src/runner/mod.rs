//! GitHub Actions in small: workflow files are read and executed as GitHub's runners do, on the sandbox's GitHub.
//!
//! An [`Event`] starts the workflows that hear of it ([`Service::happens`]). A run's jobs go in the order of `needs` and `if`,
//! wait in concurrency groups and for reviewers of environments, and end; runs that end start others. A job has a token with exactly
//! its `permissions`, and the secrets of its environment alone. Steps are bash, our composite actions by what stands in them, and
//! other people's actions by stand-ins ([`standins`]). Whatever of a workflow is not known here is an error.
//!
//! Other than on GitHub: one machine runs all jobs, `timeout-minutes` is longer than any test, what a run's token causes but
//! dispatches starts nothing, as there, and a workflow is that of the files which the runner was given, whatever the branch has.

mod commands;
mod event;
mod expression;
mod job;
mod permissions;
mod queue;
mod references;
mod run;
mod service;
mod standins;
mod step;
mod syntax;
mod tools;
mod value;

pub(crate) use event::Event;
pub(crate) use service::{Ended, Secrets, Service, Setting, workflows_of};
pub(crate) use syntax::Workflow;
#[cfg(test)]
pub(crate) use syntax::read;
