//! The real servers that tests run against: a Kubernetes node with real containers, and an OCI registry.
//!
//! Everything runs in one enclosure (a mount and a network namespace, see [`enclosure`]) joined to the host by a veth
//! pair, so that the host reaches the API server, the registry, services and pods, and keeps nothing of them.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

mod build;
mod certificates;
mod cgroups;
mod command;
mod components;
mod definitions;
mod enclosure;
mod images;
mod needs;
mod network;
mod node;
mod processes;
mod state;
mod up;
mod wait;

/// The registry's name on host and node alike.
const REGISTRY: &str = "198.51.100.10:5000";
const TOKENS: &str = "198.51.100.10:5001";
/// The one account that may push. No secret: the registry is reached from this machine only, and ends with the tests.
const USER: &str = "preview";
const PASSWORD: &str = "only-for-tests";

/// Built with the rest, and run by nobody here.
const IDLE: &[&str] = &["kubectl", "kustomize", "kwok"];

/// Arguments of `cargo xtask counterparts`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Builds the servers from pinned Go modules, where the cache lacks them.
    Build,
    /// Builds what is missing, and starts all of it unless it runs.
    Up,
    /// Ends all of it and leaves nothing behind but the built binaries.
    Down,
    /// Prints what runs and where; fails when it is not up.
    Status,
}

/// Counterparts that answer: where they are and who they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Running {
    /// An administrator's kubeconfig.
    pub(crate) kubeconfig: PathBuf,
    /// A kubectl of the cluster's version.
    pub(crate) kubectl: PathBuf,
    /// The registry as images name it, `HOST:PORT`. Plain HTTP.
    pub(crate) registry: String,
    /// The account that may push; empty where anybody may.
    pub(crate) registry_user: String,
    /// Its password.
    pub(crate) registry_password: String,
    /// The folder where the registry keeps what is pushed, where it is ours.
    #[serde(default)]
    pub(crate) registry_files: Option<PathBuf>,
    /// The node's container runtime, where it is ours.
    pub(crate) containerd: Option<Containerd>,
    /// What runs or was built, by name, with its version.
    pub(crate) versions: Vec<(String, String)>,
}

/// How to look at containers and volumes from the host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Containerd {
    /// containerd's own client.
    pub(crate) ctr: PathBuf,
    /// Its socket. The pods' containers are in containerd's namespace `k8s.io`.
    pub(crate) socket: PathBuf,
    /// What `/tmp` is to the node, where it keeps volumes.
    pub(crate) tmp: PathBuf,
}

/// Runs `cargo xtask counterparts`.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.verb {
        Verb::Build => {
            needs::to_build()?;
            let _lock = state::lock()?;
            build::build()?;
            build::build_one(&build::CYCLONUS).map(drop)
        }
        Verb::Up => {
            let running = up()?;
            println!("{}", summary(&running));
            Ok(())
        }
        Verb::Down => down(),
        Verb::Status => status(),
    }
}

/// Starts the counterparts unless they run. Where `PREVIEW_TEST_KUBECONFIG` and `PREVIEW_TEST_REGISTRY` are set,
/// nothing is started and those are used.
///
/// Must not be called on a thread that drives an async runtime: it has one of its own.
///
/// # Errors
/// When something is missing (root, a package; said with the command that installs it), an address range is routed
/// by somebody else, or a component does not become ready (with the end of its log).
pub(crate) fn up() -> anyhow::Result<Running> {
    if let Some(given) = asked()? {
        return Ok(given);
    }
    needs::to_start()?;
    let _lock = state::lock()?;
    up::up(up::For::Good).map(|(running, _)| running)
}

/// Counterparts in the hands of a command.
#[derive(Debug)]
pub(crate) struct Borrowed {
    /// Where they are.
    pub(crate) running: Running,
    /// Whether they end with the command.
    started: bool,
    _turn: Option<state::Lock>,
}

impl Borrowed {
    /// Leaves the counterparts as they were found: ended, unless they ran before.
    ///
    /// # Errors
    /// As [`down`].
    pub(crate) fn give_back(mut self) -> anyhow::Result<()> {
        match std::mem::take(&mut self.started) {
            true => down(),
            false => Ok(()),
        }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // A command that failed before it gave them back.
        if self.started
            && let Err(error) = down()
        {
            eprintln!("the counterparts are still up: {error:#}");
        }
    }
}

/// Starts the counterparts unless they run, as [`up()`], for a command that leaves them as it found them. One command
/// at a time has them. Those that a killed command left behind are replaced by fresh ones.
///
/// # Errors
/// As [`up()`].
pub(crate) fn borrow() -> anyhow::Result<Borrowed> {
    if let Some(running) = asked()? {
        return Ok(Borrowed {
            running,
            started: false,
            _turn: None,
        });
    }
    needs::to_start()?;
    let turn = state::turn()?;
    let _lock = state::lock()?;
    let (running, started) = up::up(up::For::ACommand)?;
    Ok(Borrowed {
        running,
        started,
        _turn: Some(turn),
    })
}

/// The program that tells what NetworkPolicies let through, built where the cache lacks it.
///
/// # Errors
/// When it cannot be built.
pub(crate) fn cyclonus() -> anyhow::Result<PathBuf> {
    needs::to_build()?;
    let _lock = state::lock()?;
    build::build_one(&build::CYCLONUS)
}

/// The program that reads workflows, built where the cache lacks it. It takes no more than Go.
///
/// # Errors
/// When it cannot be built.
pub(crate) fn actionlint() -> anyhow::Result<PathBuf> {
    let _lock = state::lock()?;
    build::build_one(&build::ACTIONLINT).context("needs Go 1.26")
}

/// Ends the counterparts and clears whatever is left of them, in whatever state they are.
///
/// # Errors
/// When a process cannot be killed or a cgroup not be removed.
pub(crate) fn down() -> anyhow::Result<()> {
    needs::root()?;
    let _lock = state::lock()?;
    up::down()
}

fn status() -> anyhow::Result<()> {
    let running = match asked()? {
        Some(given) => given,
        None => {
            needs::root()?;
            up::running().map_err(|reason| match state::is_locked() {
                true => anyhow::anyhow!("not up: another `cargo xtask counterparts` is at work"),
                false => {
                    anyhow::anyhow!("not up: {reason}; start it: cargo xtask counterparts up")
                }
            })?
        }
    };
    println!("{}", summary(&running));
    Ok(())
}

/// Servers of somebody else, named by the environment.
fn given(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<Running>> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let (kubeconfig, registry) = match (
        set("PREVIEW_TEST_KUBECONFIG"),
        set("PREVIEW_TEST_REGISTRY"),
    ) {
        (None, None) => return Ok(None),
        (Some(kubeconfig), Some(registry)) => (PathBuf::from(kubeconfig), registry),
        _ => bail!(
            "PREVIEW_TEST_KUBECONFIG and PREVIEW_TEST_REGISTRY belong together: set both or neither"
        ),
    };
    if !kubeconfig.exists() {
        bail!(
            "PREVIEW_TEST_KUBECONFIG names {}, which does not exist",
            kubeconfig.display()
        );
    }
    Ok(Some(Running {
        kubeconfig,
        kubectl: "kubectl".into(),
        registry,
        registry_user: set("PREVIEW_TEST_REGISTRY_USER").unwrap_or_default(),
        registry_password: set("PREVIEW_TEST_REGISTRY_PASSWORD").unwrap_or_default(),
        registry_files: None,
        containerd: None,
        versions: Vec::new(),
    }))
}

/// The servers that the environment names, once they answer.
fn asked() -> anyhow::Result<Option<Running>> {
    let Some(mut running) = given(|name| env::var(name).ok())? else {
        return Ok(None);
    };
    let ask = |arguments: &[&str]| {
        let mut kubectl = Command::new(&running.kubectl);
        kubectl
            .arg("--kubeconfig")
            .arg(&running.kubeconfig)
            .arg("--request-timeout=10s");
        command::output(kubectl.args(arguments))
            .context("ask the cluster of PREVIEW_TEST_KUBECONFIG for its versions")
    };
    let version: serde_json::Value = serde_json::from_str(&ask(&["get", "--raw=/version"])?)?;
    let version = version["gitVersion"]
        .as_str()
        .unwrap_or("unknown")
        .to_owned();
    let runtime = "--output=jsonpath={.items[0].status.nodeInfo.containerRuntimeVersion}";
    let runtime = ask(&["get", "nodes", runtime])?;
    let (runtime, runtime_version) = runtime
        .split_once("://")
        .unwrap_or(("container runtime", &runtime));
    running.versions.extend([
        ("kube-apiserver".to_owned(), version),
        (runtime.to_owned(), runtime_version.to_owned()),
        (
            "registry".to_owned(),
            format!(
                "{} (its version is its operator's to say)",
                running.registry
            ),
        ),
    ]);
    Ok(Some(running))
}

fn summary(running: &Running) -> String {
    let mut lines = vec![
        format!("kubeconfig  {}", running.kubeconfig.display()),
        format!("kubectl     {}", running.kubectl.display()),
        format!(
            "registry    {} (plain HTTP; pull: anybody, push: {})",
            running.registry,
            account(running)
        ),
    ];
    if let Some(containerd) = &running.containerd {
        let (ctr, socket) = (containerd.ctr.display(), containerd.socket.display());
        lines.push(format!(
            "containers  {ctr} --address {socket} --namespace k8s.io containers list"
        ));
        lines.push(format!("logs        {}", state::path("log").display()));
        lines.push(format!(
            "addresses   host {}, node {}, pods {}, services {}",
            network::HOST,
            network::NODE,
            network::PODS.name,
            network::SERVICES.name
        ));
    }
    for (name, version) in &running.versions {
        let idle = if IDLE.contains(&name.as_str()) {
            " (built, for those who need it)"
        } else {
            ""
        };
        lines.push(format!("  {name:24} {version}{idle}"));
    }
    lines.join("\n")
}

fn account(running: &Running) -> String {
    match (
        running.registry_user.as_str(),
        running.registry_password.as_str(),
    ) {
        ("", _) => "anybody".to_owned(),
        (USER, PASSWORD) => format!("{USER} with {PASSWORD}"),
        (user, _) => user.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn without_settings_the_servers_are_our_own() {
        assert!(given(|_| None).unwrap().is_none());
        assert!(given(|_| Some(String::new())).unwrap().is_none());
    }

    #[test]
    fn a_cluster_without_its_registry_is_refused() {
        let only = |name: &str| (name == "PREVIEW_TEST_KUBECONFIG").then(|| "/dev/null".to_owned());
        assert_snapshot!(given(only).unwrap_err(), @"PREVIEW_TEST_KUBECONFIG and PREVIEW_TEST_REGISTRY belong together: set both or neither");
    }

    #[test]
    fn servers_of_somebody_else_are_taken_as_named_and_their_password_is_not_shown() {
        let set = |name: &str| match name {
            "PREVIEW_TEST_KUBECONFIG" => Some("/dev/null".to_owned()),
            "PREVIEW_TEST_REGISTRY" => Some("registry.example:5000".to_owned()),
            "PREVIEW_TEST_REGISTRY_USER" => Some("pusher".to_owned()),
            "PREVIEW_TEST_REGISTRY_PASSWORD" => Some("hunter2".to_owned()),
            _ => None,
        };
        let running = given(set).unwrap().unwrap();
        assert_eq!(running.registry_password, "hunter2");
        assert_snapshot!(summary(&running), @r"
        kubeconfig  /dev/null
        kubectl     kubectl
        registry    registry.example:5000 (plain HTTP; pull: anybody, push: pusher)
        ");
    }
}
