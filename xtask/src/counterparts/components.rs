//! What runs on the node: every component's program, arguments and configuration, as data.

use std::{fmt, path::PathBuf};

use sha2::{Digest as _, Sha256};

use super::{
    PASSWORD, REGISTRY, TOKENS, USER, build::Binary, cgroups, definitions, network, state,
};

/// The audience of the tokens, and their issuer: the registry believes no others.
const ISSUER: &str = "preview-counterparts";

/// A long-lived process of the node.
pub(super) struct Component {
    pub(super) name: &'static str,
    /// A built binary below `bin/`, or a program of the distribution.
    program: &'static str,
    pub(super) arguments: Vec<String>,
}

impl Component {
    /// The program's path, or its name to be looked up.
    pub(super) fn program(&self) -> String {
        let built = state::path("bin").join(self.program);
        if built.exists() {
            built.display().to_string()
        } else {
            self.program.to_owned()
        }
    }
}

fn component(name: &'static str, program: &'static str, arguments: &[&str]) -> Component {
    Component {
        name,
        program,
        arguments: arguments.iter().map(|argument| fill(argument)).collect(),
    }
}

/// Puts paths and addresses in the place of `${STATE}` and its like.
pub(super) fn fill(template: &str) -> String {
    template
        .replace("${STATE}", state::STATE)
        .replace("${REGISTRY}", REGISTRY)
        .replace("${TOKENS}", TOKENS)
        .replace("${CGROUP}", cgroups::ROOT)
        .replace("${NODE}", &network::NODE.to_string())
        .replace("${PODS}", network::PODS.name)
        .replace("${SERVICES}", network::SERVICES.name)
}

/// Configuration files, by their place in the state folder.
pub(super) fn files() -> Vec<(String, String)> {
    [
        (
            "cni/10-counterparts.conflist",
            include_str!("../../counterparts/node/cni.conflist"),
        ),
        (
            "containerd.toml",
            include_str!("../../counterparts/node/containerd.toml"),
        ),
        (
            "hosts/${REGISTRY}/hosts.toml",
            include_str!("../../counterparts/node/hosts.toml"),
        ),
        (
            "kubelet.yaml",
            include_str!("../../counterparts/node/kubelet.yaml"),
        ),
        (
            "kube-proxy.yaml",
            include_str!("../../counterparts/node/kube-proxy.yaml"),
        ),
        (
            "registry.yml",
            include_str!("../../counterparts/node/registry.yml"),
        ),
        (
            "base.yaml",
            include_str!("../../counterparts/node/base.yaml"),
        ),
        ("resolv.conf", "nameserver 198.19.0.53\n"),
    ]
    .into_iter()
    .map(|(name, text)| (fill(name), fill(text)))
    .collect()
}

pub(super) fn etcd() -> Component {
    component(
        "etcd",
        "etcd",
        &[
            "--data-dir=${STATE}/etcd",
            // Nothing survives `down`, so nothing need survive a power cut.
            "--unsafe-no-fsync",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--log-level=warn",
        ],
    )
}

pub(super) fn apiserver() -> Component {
    component(
        "kube-apiserver",
        "kube-apiserver",
        &[
            "--etcd-servers=http://127.0.0.1:2379",
            "--advertise-address=${NODE}",
            "--bind-address=${NODE}",
            "--secure-port=6443",
            "--tls-cert-file=${STATE}/pki/apiserver.crt",
            "--tls-private-key-file=${STATE}/pki/apiserver.key",
            "--client-ca-file=${STATE}/pki/ca.crt",
            "--token-auth-file=${STATE}/pki/tokens.csv",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged",
            "--service-cluster-ip-range=${SERVICES}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-key-file=${STATE}/pki/service-accounts.pub",
            "--service-account-signing-key-file=${STATE}/pki/service-accounts.key",
            "--kubelet-client-certificate=${STATE}/pki/kubelet-client.crt",
            "--kubelet-client-key=${STATE}/pki/kubelet-client.key",
            "--kubelet-certificate-authority=${STATE}/pki/ca.crt",
            "--kubelet-preferred-address-types=InternalIP",
        ],
    )
}

pub(super) fn controller_manager() -> Component {
    component(
        "kube-controller-manager",
        "kube-controller-manager",
        &[
            "--kubeconfig=${STATE}/controller-manager.kubeconfig",
            "--authentication-kubeconfig=${STATE}/controller-manager.kubeconfig",
            "--authorization-kubeconfig=${STATE}/controller-manager.kubeconfig",
            "--use-service-account-credentials",
            "--service-account-private-key-file=${STATE}/pki/service-accounts.key",
            "--root-ca-file=${STATE}/pki/ca.crt",
            "--leader-elect=false",
            "--enable-hostpath-provisioner",
            "--allocate-node-cidrs",
            "--cluster-cidr=${PODS}",
            "--flex-volume-plugin-dir=${STATE}/volume-plugins",
            // Its controllers start one after another, each with requests of its own: 5 s at the default rate of 20.
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            "--bind-address=127.0.0.1",
        ],
    )
}

pub(super) fn scheduler() -> Component {
    component(
        "kube-scheduler",
        "kube-scheduler",
        &[
            "--kubeconfig=${STATE}/scheduler.kubeconfig",
            "--authentication-kubeconfig=${STATE}/scheduler.kubeconfig",
            "--authorization-kubeconfig=${STATE}/scheduler.kubeconfig",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
        ],
    )
}

pub(super) fn tokens() -> Component {
    let mut tokens = component(
        "token",
        "token",
        &[
            "-listen=${TOKENS}",
            "-certificate=${STATE}/token.crt",
            "-service=${REGISTRY}",
        ],
    );
    tokens.arguments.extend([
        format!("-issuer={ISSUER}"),
        format!("-user={USER}"),
        format!("-password={PASSWORD}"),
    ]);
    tokens
}

pub(super) fn registry() -> Component {
    component(
        "registry",
        "docker-registry",
        &["serve", "${STATE}/registry.yml"],
    )
}

pub(super) fn containerd() -> Component {
    component(
        "containerd",
        "containerd",
        &["--config=${STATE}/containerd.toml"],
    )
}

pub(super) fn kubelet() -> Component {
    component(
        "kubelet",
        "kubelet",
        &[
            "--config=${STATE}/kubelet.yaml",
            "--kubeconfig=${STATE}/kubelet.kubeconfig",
            "--hostname-override=node-1",
            "--node-ip=${NODE}",
            "--root-dir=${STATE}/kubelet",
        ],
    )
}

pub(super) fn proxy() -> Component {
    component(
        "kube-proxy",
        "kube-proxy",
        &["--config=${STATE}/kube-proxy.yaml"],
    )
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.name, self.program, self.arguments)
    }
}

/// Names this set of binaries and settings: where the running counterparts have another one, they are replaced.
///
/// # Errors
/// When a pin cannot be read.
pub(super) fn fingerprint(built: &[(&'static Binary, PathBuf)]) -> anyhow::Result<String> {
    let components = [
        etcd(),
        apiserver(),
        controller_manager(),
        scheduler(),
        tokens(),
        registry(),
        containerd(),
        kubelet(),
        proxy(),
    ];
    let paths: Vec<_> = built.iter().map(|(_, path)| path).collect();
    let definitions = definitions::pin()?;
    let text = format!("{components:?} {:?} {paths:?} {definitions}", files());
    Ok(Sha256::digest(text)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_placeholder_is_left_unfilled() {
        for (name, text) in files() {
            assert!(!name.contains("${") && !text.contains("${"), "{name}");
        }
        for component in [apiserver(), controller_manager(), kubelet(), tokens()] {
            assert!(!format!("{component:?}").contains("${"), "{component:?}");
        }
    }
}
