//! `preview-promote`.

use std::process::ExitCode;

use clap::Parser as _;
use preview_core::outcome::Program;
use preview_promote::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = arguments.options.clone();
    preview_actions::run(Program::Promote, &options, |runner| {
        preview_promote::run(runner, arguments)
    })
}
