//! Builds the real servers from the Go modules in `xtask/counterparts`, once per set of versions and flags.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::{command, state};

/// A binary, and how it is built.
pub(super) struct Binary {
    /// What the file is called.
    pub(super) name: &'static str,
    /// The folder in `xtask/counterparts` whose `go.mod` pins it.
    tool: &'static str,
    package: &'static str,
    /// The module whose version in `go.mod` is this binary's; none for our own.
    module: &'static str,
    tags: &'static str,
    cgo: bool,
    /// The linker's `-X` settings that make the binary tell its version.
    stamp: fn(&str) -> String,
}

const KUBERNETES: Binary = Binary {
    name: "",
    tool: "kubernetes",
    package: "",
    module: "k8s.io/kubernetes",
    tags: "",
    cgo: false,
    stamp: kubernetes_version,
};
const CONTAINERD: Binary = Binary {
    tool: "containerd",
    module: "github.com/containerd/containerd/v2",
    // As the recipe of the distributions that have none of these file systems: their libraries are not asked for.
    tags: "no_btrfs no_zfs no_devmapper",
    stamp: |version| format!("-X github.com/containerd/containerd/v2/version.Version={version}"),
    ..PLAIN
};
const PLAIN: Binary = Binary {
    name: "",
    tool: "",
    package: "",
    module: "",
    tags: "",
    cgo: false,
    stamp: |_| String::new(),
};

/// Everything that is built. The versions are in the `go.mod` files, and nowhere else.
pub(super) const BINARIES: &[Binary] = &[
    Binary {
        name: "kube-apiserver",
        package: "k8s.io/kubernetes/cmd/kube-apiserver",
        ..KUBERNETES
    },
    Binary {
        name: "kube-controller-manager",
        package: "k8s.io/kubernetes/cmd/kube-controller-manager",
        ..KUBERNETES
    },
    Binary {
        name: "kube-scheduler",
        package: "k8s.io/kubernetes/cmd/kube-scheduler",
        ..KUBERNETES
    },
    Binary {
        name: "kubelet",
        package: "k8s.io/kubernetes/cmd/kubelet",
        ..KUBERNETES
    },
    Binary {
        name: "kube-proxy",
        package: "k8s.io/kubernetes/cmd/kube-proxy",
        ..KUBERNETES
    },
    Binary {
        name: "kubectl",
        package: "k8s.io/kubernetes/cmd/kubectl",
        ..KUBERNETES
    },
    Binary {
        name: "etcd",
        tool: "etcd",
        package: "go.etcd.io/etcd/server/v3",
        module: "go.etcd.io/etcd/server/v3",
        ..PLAIN
    },
    Binary {
        name: "containerd",
        package: "github.com/containerd/containerd/v2/cmd/containerd",
        ..CONTAINERD
    },
    Binary {
        name: "containerd-shim-runc-v2",
        package: "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        ..CONTAINERD
    },
    Binary {
        name: "ctr",
        package: "github.com/containerd/containerd/v2/cmd/ctr",
        ..CONTAINERD
    },
    Binary {
        name: "runc",
        tool: "runc",
        package: "github.com/opencontainers/runc",
        module: "github.com/opencontainers/runc",
        tags: "seccomp",
        cgo: true,
        ..PLAIN
    },
    Binary {
        name: "coredns",
        tool: "coredns",
        package: "github.com/coredns/coredns",
        module: "github.com/coredns/coredns",
        ..PLAIN
    },
    Binary {
        name: "kwok",
        tool: "kwok",
        package: "sigs.k8s.io/kwok/cmd/kwok",
        module: "sigs.k8s.io/kwok",
        ..PLAIN
    },
    Binary {
        name: "kustomize",
        tool: "kustomize",
        package: "sigs.k8s.io/kustomize/kustomize/v5",
        module: "sigs.k8s.io/kustomize/kustomize/v5",
        stamp: |version| format!("-X sigs.k8s.io/kustomize/api/provenance.version={version}"),
        ..PLAIN
    },
    Binary {
        name: "token",
        tool: "token",
        package: ".",
        ..PLAIN
    },
];

/// The evaluator of NetworkPolicies: a program of ours around cyclonus' own. It is no part of the node.
pub(super) const CYCLONUS: Binary = Binary {
    name: "cyclonus",
    tool: "cyclonus",
    package: ".",
    module: "github.com/mattfenwick/cyclonus",
    ..PLAIN
};

/// What reads workflows: it is no part of the node.
pub(super) const ACTIONLINT: Binary = Binary {
    name: "actionlint",
    tool: "actionlint",
    package: "github.com/rhysd/actionlint/cmd/actionlint",
    module: "github.com/rhysd/actionlint",
    ..PLAIN
};

/// Without it the API server calls itself v0.0.0, and clients that look at its version misbehave.
fn kubernetes_version(version: &str) -> String {
    let package = "k8s.io/component-base/version";
    let mut parts = version.trim_start_matches('v').split('.');
    let (major, minor) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    format!(
        "-X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor} -X {package}.gitTreeState=clean"
    )
}

impl Binary {
    fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("counterparts")
            .join(self.tool)
    }

    /// The version in `go.mod`, such as `v1.36.3`; empty for our own.
    pub(super) fn version(&self) -> anyhow::Result<String> {
        if self.module.is_empty() {
            return Ok(String::new());
        }
        pinned(&self.folder(), self.module)
    }

    fn ldflags(&self) -> anyhow::Result<String> {
        Ok(format!("-s -w {}", (self.stamp)(&self.version()?))
            .trim_end()
            .to_owned())
    }

    /// Where the built binary is kept: a folder named by everything that decides what is in it.
    pub(super) fn path(&self, go: &str) -> anyhow::Result<PathBuf> {
        let mut hash = Sha256::new();
        let mut sources: Vec<_> = fs::read_dir(self.folder())
            .with_context(|| format!("list {}", self.folder().display()))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        sources.sort();
        for source in sources {
            hash.update(fs::read(&source).with_context(|| format!("read {}", source.display()))?);
        }
        hash.update(format!(
            "{go} {} {} {} {}",
            self.package,
            self.tags,
            self.cgo,
            self.ldflags()?
        ));
        let key: String = hash
            .finalize()
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(state::cache()
            .join(format!("{}-{key}", self.name))
            .join(self.name))
    }

    fn build(&self, to: &Path) -> anyhow::Result<()> {
        let start = Instant::now();
        let folder = to.parent().context("a binary has a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        eprint!("  {} {} ", self.name, self.version()?);
        let unfinished = to.with_extension(std::process::id().to_string());
        let mut go = go_command();
        go.arg("build")
            .arg("-trimpath")
            .arg("-buildvcs=false")
            .arg("-o")
            .arg(&unfinished);
        go.args([
            "-tags",
            self.tags,
            "-ldflags",
            &self.ldflags()?,
            self.package,
        ]);
        go.current_dir(self.folder())
            .env("CGO_ENABLED", if self.cgo { "1" } else { "0" });
        command::output(&mut go)?;
        // A half-written binary must never be taken for a whole one.
        fs::rename(&unfinished, to)
            .with_context(|| format!("put {} in its place", to.display()))?;
        eprintln!("in {:.0?}", start.elapsed());
        Ok(())
    }
}

/// The version of `module` that the `go.mod` in `folder` requires.
pub(super) fn pinned(folder: &Path, module: &str) -> anyhow::Result<String> {
    let file = folder.join("go.mod");
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let version = required(&text, module);
    version
        .map(str::to_owned)
        .with_context(|| format!("{} does not require {module}", file.display()))
}

/// The version that a `go.mod` requires of a module.
fn required<'a>(text: &'a str, module: &str) -> Option<&'a str> {
    let mut lines = text
        .lines()
        .map(|line| line.trim().trim_start_matches("require "));
    lines.find_map(|line| {
        line.strip_prefix(module)?
            .strip_prefix(' ')?
            .split(' ')
            .next()
    })
}

/// `go` that never fetches another toolchain and never changes what is pinned.
pub(super) fn go_command() -> Command {
    let mut go = Command::new("go");
    go.env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=readonly")
        .env("GOWORK", "off");
    go.env_remove("GOOS")
        .env_remove("GOARCH")
        .env_remove("GOEXPERIMENT");
    go
}

/// The Go that builds, such as `go1.26.8`.
pub(super) fn go_version() -> anyhow::Result<String> {
    Ok(command::output(go_command().args(["env", "GOVERSION"]))?
        .trim()
        .to_owned())
}

/// Builds what the cache lacks, and gives every binary with its place in the cache.
///
/// # Errors
/// When `go build` fails; its words are in the error.
pub(super) fn build() -> anyhow::Result<Vec<(&'static Binary, PathBuf)>> {
    let go = go_version()?;
    let mut built = Vec::new();
    for binary in BINARIES {
        built.push((binary, binary.path(&go)?));
    }
    let missing: Vec<_> = built.iter().filter(|(_, path)| !path.exists()).collect();
    if !missing.is_empty() {
        eprintln!(
            "building {} binaries with {go} into {}",
            missing.len(),
            state::cache().display()
        );
    }
    for (binary, path) in missing {
        binary
            .build(path)
            .with_context(|| format!("build {}", binary.name))?;
    }
    Ok(built)
}

/// Builds a binary that is no part of the node, where the cache lacks it, and gives its place there.
///
/// # Errors
/// As [`build`].
pub(super) fn build_one(binary: &Binary) -> anyhow::Result<PathBuf> {
    let path = binary.path(&go_version()?)?;
    if !path.exists() {
        binary
            .build(&path)
            .with_context(|| format!("build {}", binary.name))?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_binary_has_a_version_pinned_in_its_go_mod() {
        let all = BINARIES.iter().chain([&CYCLONUS, &ACTIONLINT]);
        for binary in all.filter(|binary| !binary.module.is_empty()) {
            let version = binary.version().unwrap();
            assert!(version.starts_with('v'), "{}: {version}", binary.name);
        }
    }

    #[test]
    fn the_33_staging_modules_follow_the_version_of_kubernetes() {
        let kubernetes = &BINARIES[0];
        let text = fs::read_to_string(kubernetes.folder().join("go.mod")).unwrap();
        let staging = kubernetes.version().unwrap().replacen("v1.", "v0.", 1);
        let replaced: Vec<_> = text.lines().filter(|line| line.contains(" => ")).collect();
        assert_eq!(replaced.len(), 33);
        for line in replaced {
            assert!(line.ends_with(&staging), "{line} is not {staging}");
        }
    }

    #[test]
    fn a_required_version_is_read_as_go_writes_it() {
        let text = "module m\n\nrequire one.example/a v1.2.3\n\nrequire (\n\tone.example/a/b v2.0.0 // indirect\n)\n";
        assert_eq!(required(text, "one.example/a"), Some("v1.2.3"));
        assert_eq!(required(text, "one.example/a/b"), Some("v2.0.0"));
        assert_eq!(required(text, "one.example"), None);
    }

    #[test]
    fn flags_are_part_of_the_place_in_the_cache() {
        let runc = || Binary {
            name: "runc",
            tool: "runc",
            package: "p",
            ..PLAIN
        };
        let plain = runc().path("go1").unwrap();
        assert_eq!(plain, runc().path("go1").unwrap());
        assert_ne!(plain, runc().path("go2").unwrap());
        assert_ne!(
            plain,
            Binary {
                tags: "seccomp",
                ..runc()
            }
            .path("go1")
            .unwrap()
        );
        assert_ne!(
            plain,
            Binary {
                stamp: |_| "-X a.b=c".to_owned(),
                ..runc()
            }
            .path("go1")
            .unwrap()
        );
    }
}
