//! Running a short command and saying what went wrong with it.

use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// Runs to the end and gives what was written to standard output.
///
/// # Errors
/// When the program cannot be started or fails; the error quotes the command and what it wrote to standard error.
pub(super) fn output(command: &mut Command) -> anyhow::Result<String> {
    let done = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {command:?}"))?;
    checked(command, done)
}

fn checked(command: &Command, done: std::process::Output) -> anyhow::Result<String> {
    if !done.status.success() {
        bail!(
            "{command:?}: {}: {}",
            done.status,
            String::from_utf8_lossy(&done.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
