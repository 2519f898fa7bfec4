//! From nothing, or from whatever remains are found, to running; and back to nothing.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Instant,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{
    Containerd, PASSWORD, REGISTRY, Running, USER,
    build::{self, Binary},
    certificates, cgroups, command, components,
    definitions::{self, DEFINITIONS},
    enclosure::Enclosure,
    images, network,
    node::{Kubectl, Node},
    processes::{self, Process},
    state,
};

/// Written last: what has no record did not start to the end.
const RECORD: &str = "up.json";

type Built = [(&'static Binary, PathBuf)];

/// What was started, kept in the state folder.
#[derive(Serialize, Deserialize)]
struct Record {
    fingerprint: String,
    processes: Vec<Process>,
    running: Running,
    /// Started by who means to end them.
    #[serde(default)]
    borrowed: bool,
}

/// Who asks for the counterparts, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// Somebody who will say `down`.
    Good,
    /// A command that ends what it started.
    ACommand,
}

fn record() -> Option<Record> {
    serde_json::from_slice(&fs::read(state::path(RECORD)).ok()?).ok()
}

/// What runs, if all of it runs and answers; else the first thing that does not.
pub(super) fn running() -> Result<Running, String> {
    let Some(record) = record() else {
        let remains = Path::new(state::STATE).exists()
            || processes::ours().is_ok_and(|pids| !pids.is_empty());
        return Err(if remains {
            "an `up` did not finish"
        } else {
            "down"
        }
        .to_owned());
    };
    if let Some(process) = record.processes.iter().find(|process| !process.is_alive()) {
        return Err(format!(
            "{} has ended; its log: {}",
            process.name,
            process.log().display()
        ));
    }
    if TcpStream::connect(REGISTRY).is_err() {
        return Err(format!("the registry does not answer on {REGISTRY}"));
    }
    let ready = Kubectl::of(&record.running).run(&["get", "--raw=/readyz"]);
    ready
        .map(|_| record.running)
        .map_err(|error| format!("the API server does not answer: {error:#}"))
}

/// Starts the counterparts, unless just these run already; and whether it did.
pub(super) fn up(until: For) -> anyhow::Result<(Running, bool)> {
    let built = build::build()?;
    let fingerprint = components::fingerprint(&built)?;
    match (running(), record()) {
        // Remains of a command that was killed: what it left in the cluster is nobody's.
        (Ok(_), Some(record)) if record.borrowed && until == For::ACommand => {
            eprintln!(
                "starting afresh: the command that started the counterparts did not end them"
            );
        }
        (Ok(running), Some(record)) if record.fingerprint == fingerprint => {
            if record.borrowed {
                keep(&Record {
                    borrowed: false,
                    ..record
                })?;
            }
            return Ok((running, false));
        }
        (Ok(_), _) => eprintln!("other versions or settings run: replacing them"),
        (Err(reason), _) if reason == "down" => {}
        (Err(reason), _) => eprintln!("starting afresh: {reason}"),
    }
    start(&built, fingerprint, until).map(|running| (running, true))
}

fn keep(record: &Record) -> anyhow::Result<()> {
    state::write(RECORD, serde_json::to_vec_pretty(record)?)
}

fn start(built: &Built, fingerprint: String, until: For) -> anyhow::Result<Running> {
    down()?;
    let start = Instant::now();
    let record = match start_all(built, fingerprint, until) {
        Ok(record) => record,
        Err(error) => {
            // The logs stay until the next `up` or `down`; what runs does not.
            end()?;
            return Err(error);
        }
    };
    keep(&record)?;
    eprintln!("up in {:.1?}", start.elapsed());
    Ok(record.running)
}

/// Ends what runs and clears what is left of it, whatever state it is in.
pub(super) fn down() -> anyhow::Result<()> {
    end()?;
    unmount()?;
    match fs::remove_dir_all(state::STATE) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", state::STATE))
        }
        _ => Ok(()),
    }
}

fn end() -> anyhow::Result<()> {
    processes::end_all()?;
    network::part()?;
    cgroups::remove()
}

/// Ours are in a namespace of their own and gone with it. Should anybody have mounted something below our folder,
/// its content must not be removed with the folder.
fn unmount() -> anyhow::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("read /proc/self/mountinfo")?;
    let below = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|at| Path::new(at).starts_with(state::STATE));
    for at in below.collect::<Vec<_>>().into_iter().rev() {
        command::output(Command::new("umount").arg("--lazy").arg(at))?;
    }
    Ok(())
}

fn start_all(built: &Built, fingerprint: String, until: For) -> anyhow::Result<Record> {
    network::check_free()?;
    furnish(built)?;
    cgroups::create()?;
    let enclosure = Enclosure::open()?;
    network::join(&enclosure)?;
    let running = describe(built)?;
    let mut node = Node::new(enclosure, &running);
    node.start_servers()?;
    // The API server needs some seconds to be ready: time to push the images that the node itself needs.
    thread::scope(|scope| {
        let pushed = scope.spawn(|| images::push(&running));
        node.start_kubernetes()?;
        pushed
            .join()
            .map_err(|_| anyhow::anyhow!("pushing the node's images panicked"))??;
        node.await_dns()
    })?;
    let processes = node.into_processes();
    Ok(Record {
        fingerprint,
        processes,
        running,
        borrowed: until == For::ACommand,
    })
}

/// Fills the state folder.
fn furnish(built: &Built) -> anyhow::Result<()> {
    for folder in ["bin", "log", "registry"] {
        fs::create_dir_all(state::path(folder))
            .with_context(|| format!("create {folder} in {}", state::STATE))?;
    }
    for (binary, path) in built {
        let to = state::path("bin").join(binary.name);
        // The cache may be in a folder that the node does not see.
        if fs::hard_link(path, &to).is_err() {
            fs::copy(path, &to)
                .with_context(|| format!("copy {} to {}", path.display(), to.display()))?;
        }
    }
    for (name, text) in components::files() {
        state::write(name, text)?;
    }
    state::write(definitions::FILE, definitions::manifests()?)?;
    certificates::write()
}

fn describe(built: &Built) -> anyhow::Result<Running> {
    let mut versions = Vec::new();
    for (binary, _) in built {
        if !matches!(binary.name, "containerd-shim-runc-v2" | "ctr" | "token") {
            versions.push((binary.name.to_owned(), binary.version()?));
        }
    }
    let registry = command::output(Command::new("docker-registry").arg("--version"))?;
    let registry = registry.split_whitespace().last().unwrap_or_default();
    versions.push(("registry".to_owned(), registry.to_owned()));
    for definitions in &DEFINITIONS {
        versions.push((definitions.name.to_owned(), definitions.version()?));
    }
    Ok(Running {
        kubeconfig: state::path("admin.kubeconfig"),
        kubectl: state::path("bin/kubectl"),
        registry: REGISTRY.to_owned(),
        registry_user: USER.to_owned(),
        registry_password: PASSWORD.to_owned(),
        registry_files: Some(state::path("registry")),
        containerd: Some(Containerd {
            ctr: state::path("bin/ctr"),
            socket: state::path("containerd.sock"),
            tmp: state::path("tmp"),
        }),
        versions,
    })
}
