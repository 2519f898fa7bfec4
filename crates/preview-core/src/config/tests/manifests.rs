//! Manifests in place of the built-in ones.

use super::{Config, RIGHT, error};

fn with(table: &str) -> String {
    format!("{RIGHT}\n[manifests]\n{table}\n")
}

#[test]
fn a_kustomization_is_a_folder_of_the_repository_and_paths_are_patterns() {
    let text = with("kustomize = \"deploy/overlays/preview\"\npaths = [\"deploy/**\"]");
    let config = Config::parse("preview.toml", &text).unwrap();
    assert_eq!(
        config.manifests.kustomize.as_deref(),
        Some("deploy/overlays/preview")
    );
    let paths = config.manifests.paths;
    assert!(paths.mean("deploy/base/web.yaml") && !paths.mean("web/main.rs"));
}

#[test]
fn what_is_no_folder_or_no_pattern_is_told() {
    for folder in [
        "",
        "/etc",
        "../other",
        "deploy/../..",
        "-h",
        "deploy//preview",
        "github.com/acme/base?ref=main",
        "https://example.com/x",
        ".",
    ] {
        let said = error(&with(&format!("kustomize = \"{folder}\"")));
        assert!(
            said.contains("manifests.kustomize: no folder"),
            "{folder}: {said}"
        );
    }
    let said = error(&with("paths = [\"a\", \"/b\"]"));
    assert!(said.contains("manifests.paths"), "{said}");
    let said = error(&with("customize = \"x\""));
    assert!(said.contains("did you mean `kustomize`?"), "{said}");
}

#[test]
fn the_example_of_a_kustomization_is_right() {
    let text = include_str!("../../../../../examples/preview.kustomize.toml");
    let config = Config::parse("examples/preview.kustomize.toml", text).unwrap();
    assert_eq!(
        config.manifests.kustomize.as_deref(),
        Some("deploy/overlays/preview")
    );
    assert!(config.manifests.paths.mean("deploy/base/api.yaml"));
}
