//! `preview-deploy`.

use std::process::ExitCode;

use clap::Parser as _;
use preview_core::outcome::Program;
use preview_deploy::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = arguments.options.clone();
    preview_actions::run(Program::Deploy, &options, |runner| {
        preview_deploy::run(runner, arguments)
    })
}
