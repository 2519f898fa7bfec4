//! The example's API: `api` serves, `api migrate` brings the database's schema up to date, `api seed` fills it.

use std::{env, process::ExitCode};

mod database;
mod migrations;
mod notes;
mod server;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => service::run(server::run()),
        ["migrate"] => service::run(migrations::migrate()),
        ["seed"] => service::run(notes::seed()),
        _ => {
            eprintln!("usage: api [migrate|seed]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("api: {error:#}");
            ExitCode::FAILURE
        }
    }
}
