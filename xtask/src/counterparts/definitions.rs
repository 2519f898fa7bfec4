//! Kinds that Kubernetes itself lacks: CustomResourceDefinitions from pinned Go modules. Nothing here acts on their
//! objects: no Gateway listens and no snapshot is taken, but the API server judges and keeps what is written.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::Deserialize;

use super::{build, command};

/// The file in the state folder that [`manifests`] are written to.
pub(super) const FILE: &str = "definitions.yaml";

/// Definitions of one group, and the Go module that they are published in.
pub(super) struct Definitions {
    /// What they are called where versions are told.
    pub(super) name: &'static str,
    module: &'static str,
    /// Within the module.
    folder: &'static str,
    group: &'static str,
    /// Plural names.
    kinds: &'static [&'static str],
}

/// All that are installed.
pub(super) const DEFINITIONS: [Definitions; 2] = [
    Definitions {
        name: "Gateway API",
        module: "sigs.k8s.io/gateway-api",
        folder: "config/crd/standard",
        group: "gateway.networking.k8s.io",
        kinds: &["gatewayclasses", "gateways", "httproutes"],
    },
    Definitions {
        name: "volume snapshots",
        module: "github.com/kubernetes-csi/external-snapshotter/client/v8",
        folder: "config/crd",
        group: "snapshot.storage.k8s.io",
        kinds: &[
            "volumesnapshotclasses",
            "volumesnapshotcontents",
            "volumesnapshots",
        ],
    },
];

impl Definitions {
    /// The module's version.
    pub(super) fn version(&self) -> anyhow::Result<String> {
        build::pinned(&folder(), self.module)
    }

    /// The definitions' names on the cluster.
    pub(super) fn names(&self) -> impl Iterator<Item = String> + '_ {
        let named = |kind: &&str| format!("crd/{kind}.{}", self.group);
        self.kinds.iter().map(named)
    }

    /// One YAML document for each kind.
    fn read(&self) -> anyhow::Result<Vec<String>> {
        let module = self.module()?;
        let file = |kind: &&str| {
            let name = format!("{}_{kind}.yaml", self.group);
            let file = module.join(self.folder).join(name);
            fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))
        };
        self.kinds.iter().map(file).collect()
    }

    /// The module's files, which Go fetches and compares with `go.sum`.
    fn module(&self) -> anyhow::Result<PathBuf> {
        let mut go = build::go_command();
        go.args(["mod", "download", "-json", self.module]);
        let told = command::output(go.current_dir(folder()))?;
        let module: Module = serde_json::from_str(&told)
            .with_context(|| format!("read what `go mod download` says of {}", self.module))?;
        Ok(module.dir)
    }
}

/// What `go mod download -json` tells of a module.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Module {
    dir: PathBuf,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("counterparts/definitions")
}

/// What decides which definitions there are: their names, and the hashes of what they are read from.
///
/// # Errors
/// When it cannot be read.
pub(super) fn pin() -> anyhow::Result<String> {
    let file = folder().join("go.sum");
    let hashes = fs::read_to_string(&file);
    let hashes = hashes.with_context(|| format!("read {}", file.display()))?;
    let names = DEFINITIONS.iter().flat_map(Definitions::names);
    Ok(names.chain([hashes]).collect::<Vec<_>>().join("\n"))
}

/// All definitions in one file.
///
/// # Errors
/// When Go cannot fetch a module, or it lacks a definition.
pub(super) fn manifests() -> anyhow::Result<String> {
    let mut documents = Vec::new();
    for definitions in &DEFINITIONS {
        documents.extend(definitions.read()?);
    }
    Ok(documents.join("\n---\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_of_definitions_is_pinned() {
        for definitions in &DEFINITIONS {
            let version = definitions.version().unwrap();
            assert!(version.starts_with('v'), "{}: {version}", definitions.name);
        }
    }
}
