//! Who may know whom (ARCHITECTURE.md): `bins → adapters → preview-core`, and beside them the tools.
//!
//! What a package declares is looked at (`cargo metadata --no-deps`), and what is built (`cargo tree`): neither needs
//! a network.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::{Dependency, DependencyKind, MetadataCommand, Package};

const CORE: &str = "preview-core";
const ADAPTERS: [&str; 7] = [
    "preview-actions",
    "preview-alerts",
    "preview-attestation",
    "preview-github",
    "preview-k8s",
    "preview-registry",
    "preview-visitor",
];
const BINS: [&str; 3] = ["preview-cleanup", "preview-deploy", "preview-promote"];
/// The servers of tests and demo: they know nothing of what is tested against them.
const SANDBOX: &str = "sandbox";
const XTASK: &str = "xtask";

/// Outside crates that one package alone may name, in whatever kind of dependency.
const RESERVED: [(&str, &str); 8] = [
    ("kube", "preview-k8s"),
    ("kube-", "preview-k8s"),
    ("k8s-openapi", "preview-k8s"),
    ("octocrab", "preview-github"),
    ("oci-client", "preview-registry"),
    ("lettre", "preview-alerts"),
    ("sigstore-", "preview-attestation"),
    ("ring", "preview-attestation"),
];

/// What the rules may be made of: crates that compute, and do nothing else.
const PURE: [&str; 13] = [
    "base64",
    "globset",
    "hmac",
    "jiff",
    "schemars",
    "secrecy",
    "serde",
    "serde-saphyr",
    "serde_json",
    "sha2",
    "subtle",
    "thiserror",
    "toml",
];

/// Their default features bring a second TLS provider, which panics at run time, or a runtime of their own.
const WITHOUT_DEFAULTS: [&str; 11] = [
    "axum",
    "backon",
    "jsonschema",
    "kube",
    "lettre",
    "oci-client",
    "octocrab",
    "reqwest",
    "rustls",
    "sigstore-verify",
    "tokio-rustls",
];

/// What must not be built into anything: TLS is rustls with ring.
const FOREIGN: [&str; 5] = [
    "aws-lc-rs",
    "aws-lc-sys",
    "native-tls",
    "openssl",
    "openssl-sys",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn packages() -> Vec<Package> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .unwrap();
    assert!(metadata.packages.len() >= 9, "cargo lists no packages");
    metadata.packages
}

/// Whose rules hold for the package. A new one must be given a place.
fn allowed(package: &str, kind: DependencyKind) -> Vec<&'static str> {
    let tests = kind == DependencyKind::Development;
    match package {
        CORE | SANDBOX => vec![],
        XTASK => [&[CORE, SANDBOX][..], &ADAPTERS, &BINS].concat(),
        // As released: its own stories need all of its features.
        name if BINS.contains(&name) && tests => {
            let own = BINS.iter().copied().filter(|bin| *bin == name);
            [&[CORE, SANDBOX][..], &ADAPTERS]
                .concat()
                .into_iter()
                .chain(own)
                .collect()
        }
        // A cluster runs images from a registry: its tests look digests up.
        name if ADAPTERS.contains(&name) && tests => [&[CORE, SANDBOX][..], &ADAPTERS].concat(),
        name if ADAPTERS.contains(&name) => vec![CORE],
        name if BINS.contains(&name) => [&[CORE][..], &ADAPTERS].concat(),
        name => panic!("{name} has no place in the architecture: give it one in this test"),
    }
}

fn dependencies(packages: &[Package]) -> impl Iterator<Item = (&str, &Dependency)> {
    packages.iter().flat_map(|package| {
        let of_package = package.dependencies.iter();
        of_package.map(|dependency| (package.name.as_str(), dependency))
    })
}

/// Fails with all faults at once.
fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn packages_know_only_who_stands_below_them() {
    let packages = packages();
    let ours: BTreeSet<_> = packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let between =
        dependencies(&packages).filter(|(_, dependency)| ours.contains(dependency.name.as_str()));
    let faults = between
        .filter(|(package, it)| !allowed(package, it.kind).contains(&it.name.as_str()))
        .map(|(package, it)| {
            let kind = it.kind;
            format!("{package} must not depend on {} ({kind})", it.name)
        });
    none(faults.collect());
    for package in ours {
        // Panics for a stranger, even one that depends on nobody.
        allowed(package, DependencyKind::Normal);
    }
}

#[test]
fn one_adapter_alone_knows_the_crates_of_its_counterpart() {
    let packages = packages();
    let owner = |name: &str| {
        let mut reserved = RESERVED.iter();
        let found = reserved.find(|(crate_name, _)| match crate_name.strip_suffix('-') {
            Some(_) => name.starts_with(crate_name),
            None => name == *crate_name,
        });
        found.map(|(_, owner)| *owner)
    };
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    for (package, dependency) in dependencies(&packages) {
        let Some(owner) = owner(&dependency.name) else {
            continue;
        };
        seen.insert(owner);
        if package != owner {
            let name = &dependency.name;
            faults.push(format!(
                "{package} must not depend on {name}, which is {owner}'s"
            ));
        }
    }
    none(faults);
    assert_eq!(seen.len(), 5, "a reserved crate went by another name");
}

#[test]
fn the_rules_are_made_of_pure_crates() {
    let packages = packages();
    let of_core = dependencies(&packages).filter(|(package, dependency)| {
        *package == CORE && dependency.kind != DependencyKind::Development
    });
    let faults = of_core
        .filter(|(_, dependency)| !PURE.contains(&dependency.name.as_str()))
        .map(|(_, dependency)| {
            let name = &dependency.name;
            format!("{name} is not among the pure crates that {CORE} may depend on")
        });
    none(faults.collect());
}

#[test]
fn default_features_that_bring_a_second_provider_are_off() {
    let packages = packages();
    let faults = dependencies(&packages)
        .filter(|(_, dependency)| WITHOUT_DEFAULTS.contains(&dependency.name.as_str()))
        .filter(|(_, dependency)| dependency.uses_default_features)
        .map(|(package, dependency)| {
            format!("{package} takes {} with default features", dependency.name)
        });
    none(faults.collect());
}

#[test]
fn tls_is_rustls_with_ring_and_nothing_else_is_built() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--offline"])
        .args(["--prefix=none", "--format={p}", "--edges=all"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    let tree = String::from_utf8(tree.stdout).unwrap();
    let built: BTreeSet<_> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(
        built.contains("rustls") && built.contains("ring"),
        "{built:?}"
    );
    let foreign = FOREIGN.iter().filter(|name| built.contains(**name));
    none(foreign.map(|name| format!("{name} is built")).collect());
}

#[test]
fn every_package_takes_the_lints_of_the_workspace_and_is_published_nowhere() {
    let lints = |package: &Package| {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let lints = manifest.get("lints")?.get("workspace")?.as_bool()?;
        lints.then_some(())
    };
    let mut faults = Vec::new();
    for package in packages() {
        if lints(&package).is_none() {
            faults.push(format!("{}: no `lints.workspace = true`", package.name));
        }
        if package.publish.as_deref() != Some(&[]) {
            faults.push(format!("{}: no `publish.workspace = true`", package.name));
        }
    }
    none(faults);
}
