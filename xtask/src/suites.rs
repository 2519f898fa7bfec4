//! `cargo xtask test`: the plain tests, and with `--real` all that runs against real counterparts.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    iter,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use cargo_metadata::{MetadataCommand, Package};

use crate::{
    cargo,
    counterparts::{self, Running},
    images, kinds, life, openapi, reachability,
};

/// What tests must not take from whoever runs them: a developer's own cluster, and the settings of `--real`.
const NOT_FOR_TESTS: [&str; 7] = [
    "KUBECONFIG",
    "PREVIEW_TEST_KUBECONFIG",
    "PREVIEW_TEST_REGISTRY",
    "PREVIEW_TEST_REGISTRY_USER",
    "PREVIEW_TEST_REGISTRY_PASSWORD",
    OPENAPI,
    EVERY_READ,
];
/// Names the description by which the sandbox's GitHub judges.
const OPENAPI: &str = "PREVIEW_TEST_OPENAPI";
/// Has the stories of the fence tried at every read, of which the plain tests take some.
const EVERY_READ: &str = "PREVIEW_TEST_EVERY_READ";
/// How many stories of a suite run at a time: each has a namespace of its own, and the node is small.
const PARALLEL: &str = "--test-threads=4";

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Runs what is for a real node and a real registry.
    #[arg(long)]
    real: bool,
    /// Runs the plain tests with GitHub's sandbox judged by GitHub's whole description, and the fence tried at every read.
    #[arg(long, conflicts_with = "real")]
    judged: bool,
    /// Of all that, only this play (may be repeated).
    #[arg(long, value_name = "NAME", requires = "real")]
    play: Vec<String>,
}

/// Runs `cargo xtask test`.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    match (arguments.real, arguments.play.as_slice()) {
        (true, []) => real(),
        (true, names) => plays(names),
        (false, _) if arguments.judged => judged(),
        (false, _) => succeed(cargo().args(["test", "--workspace"])),
    }
}

/// A test target that `cargo test` does not run by itself.
#[derive(Debug)]
pub(crate) struct Suite {
    /// The package.
    pub(crate) package: String,
    /// The target's name.
    pub(crate) target: String,
}

/// What selects the suites for cargo. Always of the whole workspace: a package by itself resolves to other features of
/// what it depends on, and all of that would be built anew.
pub(crate) fn selection(suites: &[Suite]) -> Vec<String> {
    let targets: BTreeSet<_> = suites.iter().map(|suite| &suite.target).collect();
    let targets = targets.into_iter().map(|target| format!("--test={target}"));
    iter::once("--workspace".to_owned())
        .chain(targets)
        .collect()
}

/// The packages of this workspace.
///
/// # Errors
/// When cargo does not answer.
pub(crate) fn packages() -> anyhow::Result<Vec<Package>> {
    let metadata = MetadataCommand::new().no_deps().exec();
    Ok(metadata.context("ask cargo for the packages")?.packages)
}

/// The suites for real counterparts: each is a test target with `test = false`, so none can be forgotten here.
///
/// # Errors
/// When there is none.
pub(crate) fn suites() -> anyhow::Result<Vec<Suite>> {
    let mut found = Vec::new();
    for package in packages()? {
        for target in package.targets {
            if target.is_test() && !target.test {
                found.push(Suite {
                    package: package.name.to_string(),
                    target: target.name,
                });
            }
        }
    }
    ensure!(
        !found.is_empty(),
        "no package has a test target with `test = false`: there is nothing to run on real counterparts"
    );
    Ok(found)
}

fn real() -> anyhow::Result<()> {
    let suites = suites()?;
    // All that can fail without the counterparts comes before them.
    succeed(cargo().args(["test", "--workspace", "--no-run"]))?;
    let selected = selection(&suites);
    succeed(cargo().arg("test").args(&selected).arg("--no-run"))?;
    let borrowed = counterparts::borrow()?;
    let running = &borrowed.running;
    eprintln!("\n{}\n", versions(running));
    let account = images::Account::of(&running.registry_user, &running.registry_password);
    images::publish(&running.registry, account.as_ref())?;

    let mut results = Results::default();
    let packages: Vec<_> = suites.iter().map(|suite| suite.package.as_str()).collect();
    let mut on_real = cargo();
    on_real.arg("test").args(&selected).arg("--no-fail-fast");
    on_real.envs(settings(running)).args(["--", PARALLEL]);
    results.add(packages.join(", "), &mut on_real);
    results.add_work("network policies, read by cyclonus", reachability::run);
    results.add_work("the sandbox's kinds are the node's", || {
        kinds::check(running)
    });
    results.add_work("a pull request's life, real", || {
        life::on_real(running, life::PLAYS)
    });
    println!("\n{}\n\n{}", versions(running), results.table());
    borrowed.give_back()?;
    results.verdict()
}

/// The plain tests, as strict as they can be.
fn judged() -> anyhow::Result<()> {
    let description = openapi::whole_description()?;
    let mut judged = cargo();
    judged
        .args(["test", "--workspace", "--no-fail-fast"])
        .env(OPENAPI, &description)
        .env(EVERY_READ, "1");
    succeed(&mut judged)
}

/// Plays what is named, on the real counterparts.
fn plays(names: &[String]) -> anyhow::Result<()> {
    let plays = life::named(names)?;
    let borrowed = counterparts::borrow()?;
    let mut results = Results::default();
    results.add_work(&names.join(", "), || {
        life::on_real(&borrowed.running, &plays)
    });
    println!("\n{}", results.table());
    borrowed.give_back()?;
    results.verdict()
}

/// What tells a suite where the real servers are.
fn settings(running: &Running) -> Vec<(&'static str, OsString)> {
    vec![
        ("PREVIEW_TEST_KUBECONFIG", running.kubeconfig.clone().into()),
        ("PREVIEW_TEST_REGISTRY", running.registry.clone().into()),
        (
            "PREVIEW_TEST_REGISTRY_USER",
            running.registry_user.clone().into(),
        ),
        (
            "PREVIEW_TEST_REGISTRY_PASSWORD",
            running.registry_password.clone().into(),
        ),
    ]
}

fn versions(running: &Running) -> String {
    let (description, version) = openapi::version();
    let mut lines = vec!["tested against:".to_owned()];
    let servers = running
        .versions
        .iter()
        .map(|(name, version)| (name.as_str(), version.as_str()));
    for (name, version) in servers.chain([("OpenAPI description", version)]) {
        lines.push(format!("  {name:24} {version}"));
    }
    if let Some(last) = lines.last_mut() {
        *last += &format!(" ({description})");
    }
    lines.join("\n")
}

/// How the suites went. A failure does not keep the others from being run.
#[derive(Default)]
struct Results(Vec<(String, Duration, Result<(), String>)>);

impl Results {
    fn add(&mut self, name: String, command: &mut Command) {
        self.add_work(&name, || succeed(command));
    }

    fn add_work(&mut self, name: &str, work: impl FnOnce() -> anyhow::Result<()>) {
        let start = Instant::now();
        let result = work().map_err(|error| format!("{error:#}"));
        self.0.push((name.to_owned(), start.elapsed(), result));
    }

    fn table(&self) -> String {
        let lines = self.0.iter().map(|(name, took, result)| {
            let word = if result.is_ok() { "passed" } else { "FAILED" };
            format!("  {name:48} {word} {:>5} s", took.as_secs())
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn verdict(self) -> anyhow::Result<()> {
        let failures: Vec<_> = self
            .0
            .into_iter()
            .filter_map(|(name, _, result)| Some(format!("{name}: {}", result.err()?)))
            .collect();
        match failures.is_empty() {
            true => Ok(()),
            false => bail!("{}", failures.join("; ")),
        }
    }
}

/// cargo, without what tests must not take from the environment.
fn cargo() -> Command {
    let mut cargo = cargo::cargo();
    for name in NOT_FOR_TESTS {
        cargo.env_remove(name);
    }
    // A snapshot that differs is a failure, and nothing is written into the checkout.
    cargo.env("INSTA_UPDATE", "no");
    cargo
}

/// Runs a command to its end, with its output going where ours goes.
fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let program = Path::new(command.get_program()).file_name();
    let arguments = command.get_args();
    let words = program.into_iter().chain(arguments);
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    let words = words.join(" ");
    let status = command.status().with_context(|| format!("run {words}"))?;
    ensure!(status.success(), "`{words}` failed ({status})");
    Ok(())
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn suites_for_real_counterparts_are_found_by_what_cargo_test_leaves_out() {
        let found = suites().unwrap();
        let registry = found
            .iter()
            .find(|suite| suite.package == "preview-registry")
            .unwrap();
        assert_eq!(registry.target, "real");
        assert_snapshot!(selection(&found).join(" "), @"--workspace --test=real");
    }

    #[test]
    fn a_failure_is_in_the_table_and_in_the_verdict() {
        let mut results = Results::default();
        results.add("good".to_owned(), &mut Command::new("true"));
        results.add("bad".to_owned(), &mut Command::new("false"));
        assert_snapshot!(results.table(), @r"
          good                                             passed     0 s
          bad                                              FAILED     0 s
        ");
        assert_snapshot!(results.verdict().unwrap_err(), @"bad: `false` failed (exit status: 1)");
    }
}
