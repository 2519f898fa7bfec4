//! `preview-cleanup`.

use std::process::ExitCode;

use clap::Parser as _;
use preview_cleanup::Arguments;
use preview_core::outcome::Program;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = arguments.options.clone();
    preview_actions::run(Program::Cleanup, &options, |runner| {
        preview_cleanup::run(runner, arguments)
    })
}
