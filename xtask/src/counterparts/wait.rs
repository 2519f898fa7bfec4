//! Waiting for a condition, with a deadline and the log of whoever did not meet it.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;

use super::processes::Process;

const PAUSE: Duration = Duration::from_millis(50);
const TAIL: usize = 15;

/// Asks `probe` until it gives something.
///
/// # Errors
/// When `process` ends or `limit` passes first; the error tells what `probe` answered last, and ends with the last
/// lines of the process's log.
pub(super) fn until<T>(
    what: &str,
    process: &Process,
    limit: Duration,
    mut probe: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        let answer = match probe() {
            Ok(found) => return Ok(found),
            Err(answer) => answer,
        };
        if !process.is_alive() {
            bail!(
                "{} ended before {what}; {}",
                process.name,
                tail(&process.log())
            );
        }
        if start.elapsed() > limit {
            bail!(
                "waited {limit:?} in vain until {what}: {answer:#}; {}",
                tail(&process.log())
            );
        }
        thread::sleep(PAUSE);
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL)..];
    format!("last lines of {}:\n{}", log.display(), last.join("\n"))
}
