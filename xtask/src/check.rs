//! `cargo xtask check`: whatever must hold of the source before it is proposed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::{cargo, openapi, pictures, schema, suites, workflows};

/// The version of cargo-deny that CI installs. Where there is none, its installation is told.
const DENY: &str = include_str!("../../.ci/cargo-deny").trim_ascii();
/// What cargo-deny says when it cannot get at the advisories. They are GitHub's to serve, and not everybody's to reach.
const UNREACHABLE: &str = "failed to fetch advisory database";

/// A thing to check: what it is called, and how it is done. Done gives a remark, or nothing.
type Check = (&'static str, fn(&Shell) -> anyhow::Result<Option<String>>);

const CHECKS: &[Check] = &[
    ("format", format),
    ("lints", lints),
    ("lints of the suites for real counterparts", lints_of_suites),
    ("documentation", documentation),
    ("example", example),
    ("dependencies: bans, licences, sources", dependencies),
    ("dependencies: advisories", advisories),
    ("workflows and actions", workflows_and_actions),
    ("copy of GitHub's OpenAPI description", description),
    ("schema of preview.toml", schema),
    ("pages that people see", pages),
    ("snapshots", snapshots),
];

/// Runs `cargo xtask check`: all of it, even where a part fails.
pub(crate) fn run() -> anyhow::Result<()> {
    let shell = Shell::new()?;
    shell.change_dir(root());
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        println!("== {name}");
        let start = Instant::now();
        let result = check(&shell);
        let took = start.elapsed();
        if let Err(error) = &result {
            println!("{error:#}");
            failed.push(*name);
        }
        lines.push(line(name, &result, took));
    }
    println!("\n{}", lines.join("\n"));
    ensure!(failed.is_empty(), "failed: {}", failed.join("; "));
    Ok(())
}

fn line(name: &str, result: &anyhow::Result<Option<String>>, took: Duration) -> String {
    let word = match result {
        Ok(None) => "ok",
        Ok(Some(remark)) => remark,
        Err(_) => "FAILED",
    };
    format!("  {name:44} {:>4} s  {word}", took.as_secs())
}

fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// As from a shell.
fn plain(mut command: Cmd<'_>) -> Cmd<'_> {
    for name in cargo::told() {
        command = command.env_remove(name);
    }
    command
}

fn format(shell: &Shell) -> anyhow::Result<Option<String>> {
    plain(cmd!(shell, "cargo fmt --all --check")).run()?;
    let example = "examples/Cargo.toml";
    plain(cmd!(
        shell,
        "cargo fmt --all --check --manifest-path {example}"
    ))
    .run()?;
    // No package has these as its own: they are laid over the example.
    let mut files = Vec::new();
    find(&root().join("examples/editions"), &mut files)?;
    files.retain(|file| file.extension().is_some_and(|it| it == "rs"));
    plain(cmd!(shell, "rustfmt --check --edition 2024 {files...}")).run()?;
    Ok(None)
}

fn lints(shell: &Shell) -> anyhow::Result<Option<String>> {
    let args = ["--workspace", "--all-targets", "--locked"];
    plain(cmd!(shell, "cargo clippy {args...} -- --deny warnings")).run()?;
    // As part of the workspace a package has every feature that another one asks of it.
    for package in suites::packages()? {
        if !package.features.is_empty() {
            let name = package.name.as_str();
            plain(cmd!(
                shell,
                "cargo clippy --package {name} --all-targets --locked -- --deny warnings"
            ))
            .run()?;
            // Tests switch on what a release has.
            plain(cmd!(
                shell,
                "cargo clippy --package {name} --lib --bins --locked -- --deny warnings"
            ))
            .run()?;
        }
    }
    Ok(None)
}

fn lints_of_suites(shell: &Shell) -> anyhow::Result<Option<String>> {
    // `--all-targets` leaves out what `cargo test` leaves out.
    let selected = suites::selection(&suites::suites()?);
    plain(cmd!(
        shell,
        "cargo clippy {selected...} --locked -- --deny warnings"
    ))
    .run()?;
    Ok(None)
}

fn documentation(shell: &Shell) -> anyhow::Result<Option<String>> {
    // Published nowhere: who reads it reads what is private too.
    let flags = "--deny warnings --allow rustdoc::private-intra-doc-links";
    plain(cmd!(
        shell,
        "cargo doc --workspace --no-deps --document-private-items --locked --quiet"
    ))
    .env("RUSTDOCFLAGS", flags)
    .run()?;
    Ok(None)
}

/// The example is a workspace of its own.
fn example(shell: &Shell) -> anyhow::Result<Option<String>> {
    let manifest = ["--manifest-path", "examples/Cargo.toml", "--locked"];
    // Not in this workspace's folder, wherever that is: `cargo xtask images` expects it there.
    let target = root().join("examples/target");
    let target = ["--target-dir".as_ref(), target.as_os_str()];
    plain(cmd!(
        shell,
        "cargo clippy --workspace --all-targets {manifest...} {target...} -- --deny warnings"
    ))
    .run()?;
    plain(cmd!(
        shell,
        "cargo test --workspace --quiet {manifest...} {target...}"
    ))
    .run()?;
    Ok(None)
}

fn dependencies(shell: &Shell) -> anyhow::Result<Option<String>> {
    if plain(cmd!(shell, "cargo deny --version"))
        .quiet()
        .ignore_stdout()
        .ignore_stderr()
        .run()
        .is_err()
    {
        bail!("missing: cargo-deny; install: cargo install cargo-deny --locked --version {DENY}");
    }
    // An exception that is not needed any more goes.
    let stale = [
        "unmatched-skip",
        "unnecessary-skip",
        "license-not-encountered",
    ];
    let stale = stale.map(|lint| format!("--deny={lint}"));
    plain(cmd!(
        shell,
        "cargo deny --all-features check {stale...} bans licenses sources"
    ))
    .run()?;
    Ok(None)
}

fn advisories(shell: &Shell) -> anyhow::Result<Option<String>> {
    let done = plain(cmd!(shell, "cargo deny --all-features check advisories"))
        .ignore_status()
        .output()?;
    let said = String::from_utf8_lossy(&done.stderr);
    match done.status.success() {
        true => Ok(None),
        false if said.contains(UNREACHABLE) => Ok(Some(
            "not checked: their database at github.com cannot be reached".to_owned(),
        )),
        false => bail!("{}", said.trim()),
    }
}

fn workflows_and_actions(shell: &Shell) -> anyhow::Result<Option<String>> {
    workflows::check(shell).map(|()| None)
}

fn description(_: &Shell) -> anyhow::Result<Option<String>> {
    openapi::check().map(|()| None)
}

fn schema(_: &Shell) -> anyhow::Result<Option<String>> {
    schema::check().map(|()| None)
}

fn pages(_: &Shell) -> anyhow::Result<Option<String>> {
    pictures::check().map(|()| None)
}

/// A snapshot that waits for somebody's decision is not to be committed.
fn snapshots(_: &Shell) -> anyhow::Result<Option<String>> {
    let mut found = Vec::new();
    for folder in ["bins", "crates", "examples", "xtask"] {
        find(&root().join(folder), &mut found)?;
    }
    found.retain(|file| is_undecided(file));
    let found: Vec<_> = found
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    ensure!(
        found.is_empty(),
        "snapshots wait for a decision; look at them, and remove them: {}",
        found.join(" ")
    );
    Ok(None)
}

fn is_undecided(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".pending-snap") || name.ends_with(".snap.new")
}

/// All files below a folder, save what is built.
fn find(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let what = || format!("list {}", folder.display());
    for entry in fs::read_dir(folder).with_context(what)? {
        let entry = entry.with_context(what)?;
        match entry.file_type().with_context(what)? {
            kind if kind.is_dir() && entry.file_name() != "target" => find(&entry.path(), found)?,
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn a_remark_and_a_failure_are_seen_in_the_table() {
        let took = Duration::from_secs(7);
        let lines = [
            line("format", &Ok(None), took),
            line("advisories", &Ok(Some("not checked".to_owned())), took),
            line("lints", &Err(anyhow::anyhow!("bad")), took),
        ];
        assert_snapshot!(lines.join("\n"), @r"
          format                                          7 s  ok
          advisories                                      7 s  not checked
          lints                                           7 s  FAILED
        ");
    }

    #[test]
    fn snapshots_that_wait_are_known_by_their_names() {
        assert!(is_undecided(Path::new("src/.comment.rs.pending-snap")));
        assert!(is_undecided(Path::new("tests/snapshots/a.snap.new")));
        assert!(!is_undecided(Path::new("tests/snapshots/a.snap")));
    }

    #[test]
    fn built_files_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["target/a", "src/target.rs", "src/b"] {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let mut found = Vec::new();
        find(folder.path(), &mut found).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
