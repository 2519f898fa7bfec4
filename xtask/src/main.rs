//! `cargo xtask …`: everything a developer does here.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a developer's tool talks to a terminal and is told by the environment what to use"
)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod cargo;
mod check;
mod counterparts;
mod demo;
mod images;
mod kinds;
mod life;
mod openapi;
mod pictures;
mod reachability;
mod runner;
mod schema;
mod suites;
mod workflows;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Everything a developer does here")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Checks format, lints, documentation, dependencies, workflows, and that what is generated is current.
    Check,
    /// Has GitHub's parser, actionlint and zizmor read all workflows and actions; part of `check`.
    Workflows(workflows::Arguments),
    /// The real Kubernetes node and registry that tests run against.
    Counterparts(counterparts::Arguments),
    /// Measures how fast we are, beside somebody else in the same run.
    Bench,
    /// Plays a pull request's whole life with the three programs.
    Demo(demo::Arguments),
    /// Makes the OCI layouts of the example application and of PostgreSQL.
    Images(images::Arguments),
    /// Asks cyclonus who reaches whom in previews, and compares with the table in the repository.
    Reachability,
    /// Runs the tests; with `--real` also those for the real counterparts, which it starts and ends.
    Test(suites::Arguments),
    /// Cuts GitHub's OpenAPI description down to what the sandbox judges by.
    Openapi(openapi::Arguments),
    /// Writes the fields of the kinds that the sandbox's cluster models, as the real API server declares them.
    Kinds(kinds::Arguments),
    /// Writes the JSON schema of preview.toml, for editors.
    Schema(schema::Arguments),
    /// Makes the pages that people see, and takes pictures of them.
    Pictures,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        Verb::Check => check::run(),
        Verb::Workflows(arguments) => workflows::run(arguments),
        Verb::Counterparts(arguments) => counterparts::run(arguments),
        Verb::Bench => bench::run(),
        Verb::Demo(arguments) => demo::run(arguments),
        Verb::Images(arguments) => images::run(arguments),
        Verb::Reachability => reachability::run(),
        Verb::Test(arguments) => suites::run(arguments),
        Verb::Openapi(arguments) => openapi::run(arguments),
        Verb::Kinds(arguments) => kinds::run(arguments),
        Verb::Schema(arguments) => schema::run(arguments),
        Verb::Pictures => pictures::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
