//! What a step of our actions does, with a `cargo`, a `curl` and a program that say what they are told.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "bash is where the environment has it"
)]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use insta::assert_snapshot;
use tempfile::TempDir;

/// The SHA-256 of what [`CURL`] fetches.
const FETCHED: &str = "f6e379b0639054c51806fd5d67948cbcaebd354b0e91a7683932b043c5c3ba32";
const CARGO: &str =
    "echo \"cargo $*\"; pwd; mkdir -p target/release; echo built >target/release/preview-promote";
const CURL: &str =
    "for to; do [ \"$before\" = --output ] && echo fetched >\"$to\"; before=$to; done";
const SECRET: &str = "apiVersion: v1\nkind: Config";

/// A runner on which the actions were unpacked, as GitHub does.
struct Runner(TempDir);

impl Runner {
    fn new() -> Self {
        let runner = Self(tempfile::tempdir().unwrap());
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.github/actions");
        let actions = runner.path("unpacked/.github/actions");
        fs::create_dir_all(actions.join("promote")).unwrap();
        for script in ["get.sh", "run.sh", "name-release.sh"] {
            fs::copy(ours.join(script), actions.join(script)).unwrap();
        }
        fs::create_dir_all(runner.path("temp/preview-environments")).unwrap();
        runner.program("bin/cargo", CARGO);
        runner.program("bin/curl", CURL);
        runner.names_release("", "");
        runner
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn program(&self, name: &str, script: &str) {
        let file = self.path(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, format!("#!/bin/bash\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn names_release(&self, url: &str, sha256: &str) {
        let release = self.path("unpacked/.github/actions/promote/release");
        fs::write(
            release,
            format!("# a release\nurl={url}\nsha256={sha256}\n"),
        )
        .unwrap();
    }

    /// Runs a script of the action, with these variables besides.
    fn step(&self, script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let action = self.path("unpacked/.github/actions/promote");
        let system = std::env::var("PATH").unwrap();
        let path = format!("{}:{system}", self.path("bin").display());
        let mut bash = Command::new("bash");
        bash.arg(action.join("..").join(script)).args(arguments);
        bash.env_clear()
            .env("PATH", path)
            .env("GITHUB_ACTION_PATH", &action)
            .env("RUNNER_TEMP", self.path("temp"))
            .envs(variables.iter().copied());
        self.told(&bash.output().unwrap())
    }

    fn told(&self, done: &Output) -> String {
        let said = [done.stdout.as_slice(), &done.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        let here = self.0.path().to_str().unwrap();
        let code = done.status.code().unwrap();
        format!("{}exit code {code}", said.replace(here, "@RUNNER@"))
    }

    fn got(&self) -> String {
        let program = self.path("temp/preview-environments/preview-promote");
        fs::read_to_string(program).unwrap_or_else(|_| "nothing".to_owned())
    }
}

fn get(runner: &Runner) -> String {
    let features = ["preview-promote", "--features", "attestation"];
    runner.step("get.sh", &features, &[])
}

#[test]
fn without_a_release_the_program_is_built_from_the_source_that_came_with_the_action() {
    let runner = Runner::new();
    assert_snapshot!(get(&runner), @r"
    preview-promote: no release is named; building it from source
    cargo build --quiet --release --locked --target-dir target --package preview-promote --features attestation
    @RUNNER@/unpacked
    exit code 0
    ");
    assert_eq!(runner.got(), "built\n");
}

#[test]
fn a_release_is_taken_where_it_is_what_the_action_was_made_with() {
    let runner = Runner::new();
    runner.names_release("https://example.com/preview-promote", FETCHED);
    assert_snapshot!(get(&runner), @r"
    preview-promote: https://example.com/preview-promote
    exit code 0
    ");
    assert_eq!(runner.got(), "fetched\n");
}

#[test]
fn a_release_with_something_else_in_it_is_neither_run_nor_gone_around() {
    let runner = Runner::new();
    runner.names_release("https://example.com/preview-promote", &"0".repeat(64));
    assert_snapshot!(get(&runner), @r"
    ::error::https://example.com/preview-promote is not what this action was made with: its SHA-256 is not 0000000000000000000000000000000000000000000000000000000000000000
    exit code 1
    ");
    assert_eq!(runner.got(), "nothing");
}

#[test]
fn a_release_has_each_action_name_what_is_published_and_nothing_else_is_run() {
    let runner = Runner::new();
    for program in ["deploy", "cleanup", "promote"] {
        fs::create_dir_all(runner.path(&format!("unpacked/.github/actions/{program}"))).unwrap();
        fs::create_dir_all(runner.path("release")).unwrap();
        let binary = runner.path(&format!("release/preview-{program}"));
        // What `curl` fetches.
        fs::write(binary, "fetched\n").unwrap();
    }
    let github = [
        ("GITHUB_SERVER_URL", "https://github.com"),
        ("GITHUB_REPOSITORY", "acme/previews"),
    ];
    let folder = runner.path("release").display().to_string();
    let named = runner.step("name-release.sh", &["v1.2.3", &folder], &github);
    assert_eq!(named, "exit code 0");
    assert_snapshot!(get(&runner), @r"
    preview-promote: https://github.com/acme/previews/releases/download/v1.2.3/preview-promote
    exit code 0
    ");
    assert_eq!(runner.got(), "fetched\n");
    let refused = runner.step("name-release.sh", &["v1.2.3; true", &folder], &github);
    assert_snapshot!(refused, @r"
    ::error::v1.2.3\;\ true is no version, as v1.2.3 is one
    exit code 1
    ");
}

#[test]
fn a_release_that_cannot_be_had_is_built() {
    let runner = Runner::new();
    runner.program("bin/curl", "exit 22");
    runner.names_release("https://example.com/preview-promote", FETCHED);
    assert_snapshot!(get(&runner), @r"
    preview-promote: https://example.com/preview-promote cannot be had; building it from source
    cargo build --quiet --release --locked --target-dir target --package preview-promote --features attestation
    @RUNNER@/unpacked
    exit code 0
    ");
    assert_eq!(runner.got(), "built\n");
}

/// A program that says what it is told, and ends with this.
fn run(code: u8, variables: &[(&str, &str)]) -> String {
    let runner = Runner::new();
    let program = format!(
        "printf '<%s>\\n' \"$@\"; if [ -n \"${{KUBECONFIG-}}\" ]; then stat -c %a \"$KUBECONFIG\"; cat \"$KUBECONFIG\"; fi; \
         /usr/bin/env | grep ^INPUT_KUBECONFIG; exit {code}"
    );
    runner.program("temp/preview-environments/preview-promote", &program);
    let inputs = "preview-promote pr= adopt config= command to= reason=";
    let inputs: Vec<&str> = inputs.split(' ').collect();
    let told = runner.step("run.sh", &inputs, variables);
    let left = fs::read_dir(runner.path("temp")).unwrap().count();
    assert_eq!(left, 1, "a kubeconfig is left behind: {told}");
    told
}

#[test]
fn inputs_become_options_around_the_subcommand_and_the_kubeconfig_a_file_for_as_long_as_it_runs() {
    let told = run(
        1,
        &[
            ("INPUT_CONFIG", "shop/preview.toml"),
            ("INPUT_ADOPT", "true"),
            ("INPUT_COMMAND", "rollback"),
            ("INPUT_REASON", "prices are wrong:"),
            ("INPUT_KUBECONFIG", SECRET),
        ],
    );
    assert_snapshot!(told, @r"
    <--adopt>
    <--config=shop/preview.toml>
    <rollback>
    <--reason=prices are wrong:>
    600
    apiVersion: v1
    kind: Config
    exit code 1
    ");
}

#[test]
fn an_input_is_never_another_option_or_shell() {
    let hostile = "7 --adopt; $(touch /tmp/x) `id`";
    assert_snapshot!(run(0, &[("INPUT_PR", hostile), ("INPUT_ADOPT", "false")]), @r"
    <--pr=7 --adopt; $(touch /tmp/x) `id`>
    exit code 0
    ");
    assert_snapshot!(run(0, &[("INPUT_COMMAND", "--adopt")]), @r"
    ::error::the input command is neither what it should be nor left out
    exit code 2
    ");
    assert_snapshot!(run(0, &[("INPUT_ADOPT", "yes")]), @r"
    ::error::the input adopt is neither what it should be nor left out
    exit code 2
    ");
}
