//! A mount and a network namespace that last exactly as long as the processes in them.
//!
//! Everything of the node runs in here: its mounts, its CNI namespaces and its links end with its processes, whoever
//! kills them, and what it writes to fixed paths (`/run`, `/tmp/hostpath_pv`, `/var/log/containers`, `/var/lib/cni`)
//! never reaches the host. A holder process, which only sleeps, is the first in and what others enter by.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context as _, ensure};

use super::{command::output, processes::Process, state, wait};

/// Kernel settings that a kubelet changes to its liking at every start (`setupKernelTunables`), with no option to
/// leave them alone. They are the whole machine's, so ours gets files with the values it likes to see.
const KERNEL_SETTINGS: &[(&str, &str)] = &[
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// The two namespaces.
pub(super) struct Enclosure {
    holder: Process,
}

impl Enclosure {
    /// Makes the namespaces and hides from the node what is the host's.
    pub(super) fn open() -> anyhow::Result<Self> {
        let mut command = Command::new("setsid");
        command.args([
            "unshare",
            "--mount",
            "--net",
            "--propagation",
            "private",
            "--",
            "sleep",
            "infinity",
        ]);
        let holder = Process::start("holder", command)?;
        let outside = fs::read_link("/proc/self/ns/mnt").context("read our mount namespace")?;
        wait::until(
            "the namespaces are made",
            &holder,
            Duration::from_secs(5),
            || {
                let inside = fs::read_link(format!("/proc/{}/ns/mnt", holder.pid))?;
                let name = fs::read_to_string(format!("/proc/{}/comm", holder.pid))?;
                ensure!(
                    inside != outside && name.trim() == "sleep",
                    "the holder is still {}",
                    name.trim()
                );
                Ok(())
            },
        )?;
        let enclosure = Self { holder };
        enclosure
            .furnish()
            .context("mount what the node may write to")?;
        Ok(enclosure)
    }

    fn furnish(&self) -> anyhow::Result<()> {
        let state = state::STATE;
        fs::create_dir_all(state::path("var-log")).context("create var-log")?;
        fs::create_dir_all(state::path("tmp")).context("create tmp")?;
        for step in [
            // -n: the first of them would otherwise make /run/mount while /run is still the host's.
            "mount -n -t tmpfs tmpfs /run".to_owned(),
            // The state folder must stay visible below the tmpfs that hides its parent.
            "mkdir -p /run/state /run/lock".to_owned(),
            format!("mount -n --bind {state} /run/state"),
            "mount -n -t tmpfs tmpfs /var/lib".to_owned(),
            format!("mkdir {state}"),
            format!("mount -n --move /run/state {state}"),
            format!("mount -n --bind {state}/tmp /tmp"),
            format!("mount -n --bind {state}/var-log /var/log"),
        ] {
            self.run(&step)?;
        }
        for (setting, value) in KERNEL_SETTINGS {
            let file = format!("kernel/{}", setting.replace('/', "."));
            state::write(&file, format!("{value}\n"))?;
            self.run(&format!(
                "mount -n --bind {state}/{file} /proc/sys/{setting}"
            ))?;
        }
        // Among themselves containerd, kubelet and containers share mounts as on any node.
        self.run("mount --make-rshared /")
    }

    /// A process inside, by which others enter.
    pub(super) fn pid(&self) -> u32 {
        self.holder.pid
    }

    pub(super) fn holder(&self) -> &Process {
        &self.holder
    }

    /// Runs a short command inside; its words are separated by single spaces.
    pub(super) fn run(&self, words: &str) -> anyhow::Result<()> {
        output(self.enter(Command::new("nsenter")).args(words.split(' '))).map(drop)
    }

    /// Starts a long-lived process inside.
    pub(super) fn start(
        &self,
        name: &str,
        program: &str,
        arguments: &[String],
    ) -> anyhow::Result<Process> {
        let mut command = Command::new("setsid");
        command.arg("nsenter");
        let mut command = self.enter(command);
        command.arg(program).args(arguments);
        Process::start(name, command)
    }

    // Not `ip netns exec`: that remounts /sys and hides the cgroups.
    fn enter(&self, mut nsenter: Command) -> Command {
        nsenter
            .arg("--target")
            .arg(self.holder.pid.to_string())
            .args(["--mount", "--net", "--"]);
        nsenter
    }
}
