//! Long-lived processes of ours: started so that they outlive us, and found again whatever happened in between.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::{cgroups, state};

/// In the environment of every process that we start, and so of all that those start. A number in a file may belong
/// to somebody else after a restart of the machine; this cannot.
const MARK: &str = "_PREVIEW_COUNTERPARTS_PROCESS";

const PATIENCE: Duration = Duration::from_secs(20);

/// How long an `exec` of ours may take on a machine that is busy with other things: until it is over, the process has no
/// environment, as the dead have none.
const EXEC: Duration = Duration::from_secs(5);

/// The same for each process of everybody: some really have an empty environment, and there may be many of them.
const EXEC_OF_ANYBODY: Duration = Duration::from_millis(10);

/// A process of ours.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Process {
    pub(super) name: String,
    pub(super) pid: u32,
}

impl Process {
    /// Starts a component in a session of its own, with its output in its log.
    pub(super) fn start(name: &str, mut command: Command) -> anyhow::Result<Self> {
        let log = state::log(name);
        let file = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        // Nothing of the caller's environment: no proxy between the node and its registry, no credentials.
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("HOME", state::STATE)
            .env(MARK, name);
        // containerd finds its shim and runc by name.
        command.env("PATH", format!("{}:{path}", state::path("bin").display()));
        command
            .stdin(Stdio::null())
            .stderr(file.try_clone()?)
            .stdout(file);
        let child = command
            .spawn()
            .with_context(|| format!("start {name}: {command:?}"))?;
        Ok(Self {
            name: name.to_owned(),
            pid: child.id(),
        })
    }

    /// Whether it runs: its number may be another's by now.
    pub(super) fn is_alive(&self) -> bool {
        mark_of(self.pid, EXEC).is_some_and(|mark| mark == self.name)
    }

    /// Where it writes.
    pub(super) fn log(&self) -> PathBuf {
        state::log(&self.name)
    }
}

/// What we called the process when we started it or its ancestor. A dead one that nobody has waited for has none.
fn mark_of(pid: u32, exec: Duration) -> Option<String> {
    let environment = environment(pid, exec)?;
    let mark = environment.split(|byte| *byte == 0).find_map(|variable| {
        let rest = variable.strip_prefix(MARK.as_bytes())?;
        rest.strip_prefix(b"=")
    })?;
    Some(String::from_utf8_lossy(mark).into_owned())
}

fn environment(pid: u32, exec: Duration) -> Option<Vec<u8>> {
    let start = Instant::now();
    while start.elapsed() <= exec {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        // Threads of the kernel and the dead have none, nor an executable. A process in the middle of an `exec` has
        // none for a moment, and must not be taken for dead, or be overlooked.
        if !environment.is_empty() || fs::read_link(format!("/proc/{pid}/exe")).is_err() {
            return Some(environment);
        }
        thread::sleep(Duration::from_millis(1));
    }
    None
}

/// Every process of ours: by its mark, or because it is in a cgroup of ours (a container has its own environment).
pub(super) fn ours() -> anyhow::Result<Vec<u32>> {
    let mut pids = cgroups::processes()?;
    for entry in fs::read_dir("/proc").context("list /proc")? {
        let name = entry?.file_name();
        if let Some(pid) = name.to_str().and_then(|name| name.parse().ok())
            && mark_of(pid, EXEC_OF_ANYBODY).is_some()
        {
            pids.push(pid);
        }
    }
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

/// Ends every process of ours. Nothing of theirs is worth a farewell: their data goes with them.
///
/// # Errors
/// When some are still there after 20 seconds.
pub(super) fn end_all() -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        // Asked anew each time: what a dying process had just started is seen in the next round.
        let pids = ours()?;
        if pids.is_empty() {
            return Ok(());
        }
        for pid in pids
            .iter()
            .filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?))
        {
            // Gone already is as good.
            let _ = kill_process(pid, Signal::KILL);
        }
        if start.elapsed() > PATIENCE {
            bail!(
                "processes {pids:?} do not end; look at /proc/PID/stack of each, then: cargo xtask counterparts down"
            );
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_has_no_environment_yet_is_not_dead() {
        // As in an `exec` that takes its time: nothing in the environment, and then the mark.
        let slow = format!("sleep 0.2; export {MARK}=slow; exec sleep 60");
        let mut child = Command::new("/bin/sh")
            .args(["-c", &slow])
            .env_clear()
            .spawn()
            .unwrap();
        let process = Process {
            name: "slow".to_owned(),
            pid: child.id(),
        };
        assert!(process.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!process.is_alive());
    }
}
