//! Which workflow must have built what is promoted.

use super::*;
use crate::pulls::Repository;

fn with(attestation: &str) -> String {
    let table = format!("[promote.require_attestation]\n{attestation}\n[database]");
    RIGHT.replacen("[database]", &table, 1)
}

fn demanded(attestation: &str) -> String {
    let config = Config::parse("preview.toml", &with(attestation)).unwrap();
    let shop = Repository {
        id: crate::names::RepositoryId(42),
        slug: "acme/shop".parse().unwrap(),
        default_branch: "trunk".into(),
    };
    let settings = config.promote.require_attestation.unwrap();
    settings.demand(&shop).signer
}

#[test]
fn a_workflow_is_one_of_this_repository_or_of_another_at_one_ref() {
    let demanded = [
        "workflow = \".github/workflows/build.yml\"",
        "workflow = \".github/workflows/build.yaml\"\nref = \"refs/tags/v1\"",
        "workflow = \"acme/ci/.github/workflows/build.yml\"\nref = \"refs/heads/main\"",
        "workflow = \"acme/ci/.github/workflows/build.yml\"\nref = \"09b495c3f12c7881b3cc17209a327792065c1a1d\"",
    ]
    .map(demanded);
    insta::assert_snapshot!(demanded.join("\n"), @r"
    https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/trunk
    https://github.com/acme/shop/.github/workflows/build.yaml@refs/tags/v1
    https://github.com/acme/ci/.github/workflows/build.yml@refs/heads/main
    https://github.com/acme/ci/.github/workflows/build.yml@09b495c3f12c7881b3cc17209a327792065c1a1d
    ");
    let none = Config::parse("preview.toml", RIGHT).unwrap();
    assert_eq!(none.promote.require_attestation, None);
}

#[test]
fn what_proves_nothing_is_refused() {
    let build = "workflow = \".github/workflows/build.yml\"";
    let told = [
        "",
        "workflow = \"build.yml\"",
        "workflow = \".github/workflows/../build.yml\"",
        "workflow = \"acme/.github/workflows/build.yml\"",
        "workflow = \"acme/ci/.github/workflows/build.yml\"",
        &format!("{build}\nref = \"main\""),
        &format!("{build}\nref = \"refs/pull/7/merge\""),
        &format!("{build}\ntrust_root = \"../root.json\""),
        &format!("{build}\nself-hosted = true"),
    ]
    .map(|attestation| error(&with(attestation)));
    insta::assert_snapshot!(told.join("\n"), @r#"
    preview.toml:13: promote.require_attestation: missing field `workflow`
    preview.toml:14: promote.require_attestation.workflow: "build.yml" is not the file of a workflow, such as .github/workflows/build.yml or acme/ci/.github/workflows/build.yml
    preview.toml:14: promote.require_attestation.workflow: ".github/workflows/../build.yml" is not the file of a workflow, such as .github/workflows/build.yml or acme/ci/.github/workflows/build.yml
    preview.toml:14: promote.require_attestation.workflow: "acme/.github/workflows/build.yml" is not the file of a workflow, such as .github/workflows/build.yml or acme/ci/.github/workflows/build.yml
    preview.toml:14: promote.require_attestation.workflow: a workflow of another repository, whose default branch is not known here; write ref, too, such as ref = "refs/heads/main"
    preview.toml:15: promote.require_attestation.ref: "main" is not a branch, a tag or a commit, such as refs/heads/main, refs/tags/v1 or 40 hex digits
    preview.toml:15: promote.require_attestation.ref: "refs/pull/7/merge" is not a branch, a tag or a commit, such as refs/heads/main, refs/tags/v1 or 40 hex digits
    preview.toml:15: promote.require_attestation.trust_root: no file of this repository; write it from its root, like .github/trusted-root.jsonl
    preview.toml:15: promote.require_attestation.self-hosted: unknown key; did you mean `self_hosted`?
    "#);
}
