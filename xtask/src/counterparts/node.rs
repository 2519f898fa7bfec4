//! The node's processes, started in the order in which one needs the other.

use std::{net::TcpStream, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, ensure};

use super::{
    REGISTRY, Running, TOKENS, command,
    components::{self, Component},
    definitions::{self, DEFINITIONS, Definitions},
    enclosure::Enclosure,
    processes::Process,
    state, wait,
};

const LIMIT: Duration = Duration::from_secs(60);

/// `kubectl` as the cluster's administrator.
pub(super) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    pub(super) fn of(running: &Running) -> Self {
        Self {
            program: running.kubectl.clone(),
            kubeconfig: running.kubeconfig.clone(),
        }
    }

    pub(super) fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut kubectl = Command::new(&self.program);
        kubectl
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--request-timeout=5s")
            .args(arguments);
        // Its cache of API kinds would otherwise be written to the home folder.
        kubectl
            .env("KUBECACHEDIR", state::path("kubectl-cache"))
            .env("NO_PROXY", "*")
            .env("no_proxy", "*");
        command::output(&mut kubectl)
    }
}

/// What has been started, and where.
pub(super) struct Node {
    enclosure: Enclosure,
    kubectl: Kubectl,
    processes: Vec<Process>,
}

impl Node {
    pub(super) fn new(enclosure: Enclosure, running: &Running) -> Self {
        let processes = vec![enclosure.holder().clone()];
        Self {
            enclosure,
            kubectl: Kubectl::of(running),
            processes,
        }
    }

    /// Everything that was started.
    pub(super) fn into_processes(self) -> Vec<Process> {
        self.processes
    }

    fn start(&mut self, component: &Component) -> anyhow::Result<Process> {
        let process =
            self.enclosure
                .start(component.name, &component.program(), &component.arguments)?;
        self.processes.push(process.clone());
        Ok(process)
    }

    /// Starts those that need nobody, and awaits the registry.
    pub(super) fn start_servers(&mut self) -> anyhow::Result<()> {
        self.start(&components::etcd())?;
        self.start(&components::apiserver())?;
        self.start(&components::containerd())?;
        let tokens = self.start(&components::tokens())?;
        // The registry reads the certificate of the tokens' key once, when it starts.
        wait::until("the token server answers", &tokens, LIMIT, || {
            Ok(TcpStream::connect(TOKENS)?)
        })?;
        let registry = self.start(&components::registry())?;
        wait::until("the registry answers", &registry, LIMIT, || {
            Ok(TcpStream::connect(REGISTRY)?)
        })
        .map(drop)
    }

    /// Starts Kubernetes and awaits the node.
    pub(super) fn start_kubernetes(&mut self) -> anyhow::Result<()> {
        let apiserver = self.process("kube-apiserver")?;
        let ready = || self.kubectl.run(&["get", "--raw=/readyz"]);
        wait::until("the API server is ready", &apiserver, LIMIT, ready)?;
        self.install_definitions(&apiserver)?;
        let controller_manager = self.start(&components::controller_manager())?;
        self.start(&components::scheduler())?;
        // A kubelet that finds no socket gives up.
        let socket = state::path("containerd.sock");
        let listens = || {
            ensure!(socket.exists(), "there is no {}", socket.display());
            Ok(())
        };
        wait::until(
            "containerd listens",
            &self.process("containerd")?,
            LIMIT,
            listens,
        )?;
        self.start(&components::kubelet())?;
        self.start(&components::proxy())?;
        let base = state::path("base.yaml").display().to_string();
        let apply = || self.kubectl.run(&["apply", "--filename", &base]);
        wait::until(
            "the base manifests are applied",
            &controller_manager,
            LIMIT,
            apply,
        )?;
        self.await_condition("node/node-1", "Ready")?;
        self.await_definitions(&apiserver)
    }

    fn install_definitions(&self, apiserver: &Process) -> anyhow::Result<()> {
        let file = state::path(definitions::FILE).display().to_string();
        // Their last version does not fit into the annotation of an apply by the client.
        let apply = ["apply", "--server-side", "--filename", &file];
        let apply = || self.kubectl.run(&apply);
        wait::until("the definitions are applied", apiserver, LIMIT, apply).map(drop)
    }

    fn await_definitions(&self, apiserver: &Process) -> anyhow::Result<()> {
        let names: Vec<_> = DEFINITIONS.iter().flat_map(Definitions::names).collect();
        let mut served = vec!["wait", "--for=condition=Established", "--timeout=1s"];
        served.extend(names.iter().map(String::as_str));
        let served = || self.kubectl.run(&served);
        wait::until("the definitions are served", apiserver, LIMIT, served).map(drop)
    }

    /// Awaits cluster DNS, whose image must have been pushed.
    pub(super) fn await_dns(&self) -> anyhow::Result<()> {
        self.await_condition("deployment/coredns", "Available")
    }

    fn process(&self, name: &str) -> anyhow::Result<Process> {
        let found = self.processes.iter().find(|process| process.name == name);
        found
            .cloned()
            .with_context(|| format!("{name} was not started"))
    }

    fn await_condition(&self, object: &str, condition: &str) -> anyhow::Result<()> {
        let path = format!("--output=jsonpath={{.status.conditions[?(@.type==\"{condition}\")]}}");
        let what = format!("{object} is {condition}");
        wait::until(&what, &self.process("kubelet")?, LIMIT, || {
            let found = self
                .kubectl
                .run(&["--namespace=kube-system", "get", object, &path])?;
            ensure!(
                found.contains("\"status\":\"True\""),
                "{condition} is {found:?}"
            );
            Ok(())
        })
    }
}
