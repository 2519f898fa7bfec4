//! The three programs, built by cargo and started as a workflow's runner starts them: with an environment of their
//! own, an event's payload in a file, and nothing of this process.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, bail, ensure};
use preview_core::outcome::{Program, ResultFile};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

use crate::cargo::cargo;

const ALL: [Program; 3] = [Program::Deploy, Program::Cleanup, Program::Promote];

/// Lines of a program's words that an error quotes.
const TAIL: usize = 25;

/// Where the built programs are.
#[derive(Clone, Debug)]
pub(crate) struct Programs(BTreeMap<Program, PathBuf>);

/// Along with what else the programs are built: the features of their dependencies, and so all that is compiled, follow
/// from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Like {
    /// The programs alone.
    Programs,
    /// `cargo test --workspace`, which has built all of it.
    Tests,
}

impl Programs {
    /// Builds them, or finds them built. They are where cargo says they are.
    ///
    /// # Errors
    /// When they do not compile.
    pub(crate) fn build(like: Like) -> anyhow::Result<Self> {
        let mut build = cargo();
        build
            .args([
                "build",
                "--locked",
                "--message-format=json-render-diagnostics",
            ])
            // All packages have a say in which features the dependencies get, as in `cargo test --workspace`.
            .arg("--workspace")
            // As released.
            .arg("--features=preview-promote/attestation")
            .args(ALL.map(|program| format!("--bin={program}")))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        if like == Like::Tests {
            // The dependencies of tests have a say where a test is built. This one is small.
            build.arg("--test=architecture");
        }
        let done = build
            .output()
            .with_context(|| format!("build the programs: start {build:?}"))?;
        if !done.status.success() {
            bail!("build the programs: {build:?}: {}", done.status);
        }
        let built = executables(&String::from_utf8_lossy(&done.stdout));
        let mut places = BTreeMap::new();
        for program in ALL {
            let place = built.get(&program.to_string()).with_context(|| {
                format!("build the programs: cargo says nothing of a built {program}")
            })?;
            places.insert(program, place.clone());
        }
        Ok(Self(places))
    }

    /// Where one of them is.
    pub(crate) fn place(&self, program: Program) -> &Path {
        &self.0[&program]
    }
}

/// The executables among cargo's messages, by the name of their target.
/// <https://doc.rust-lang.org/cargo/reference/external-tools.html#artifact-messages>
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    let messages = messages.lines().map(serde_json::from_str::<Value>);
    let found = messages.filter_map(|message| {
        let message = message.ok()?;
        let place = message["executable"].as_str()?;
        Some((message["target"]["name"].as_str()?.to_owned(), place.into()))
    });
    found.collect()
}

/// A step of a workflow.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    /// What is started.
    pub(crate) program: Program,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// The environment, whole: nothing of ours is added but `PATH`.
    pub(crate) environment: BTreeMap<String, String>,
    /// Where it is told to leave its result.
    pub(crate) result: &'a Path,
    /// The folder it is started in: the checkout.
    pub(crate) checkout: &'a Path,
}

/// How a step ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Which program it was.
    pub(crate) program: Program,
    /// The exit code; none where a signal ended it.
    pub(crate) exit: Option<i32>,
    /// What it said, on both channels as it came.
    pub(crate) said: Vec<String>,
    /// Its result file.
    pub(crate) result: ResultFile,
}

impl Ended {
    /// The step, if it ended with this exit code and verdict.
    ///
    /// # Errors
    /// When it did not, with what it said last.
    pub(crate) fn with(self, exit: i32, verdict: &str) -> anyhow::Result<Self> {
        if self.exit == Some(exit) && self.result.verdict == verdict {
            return Ok(self);
        }
        bail!(
            "{} should end with exit code {exit}, {verdict:?}; it ended with {}, {:?}: {}{}",
            self.program,
            code(self.exit),
            self.result.verdict,
            self.result.reason,
            last_words(&self.said)
        );
    }

    /// Whether it ended well with this verdict, or found nothing to do.
    ///
    /// # Errors
    /// When it did not, with what it said last.
    pub(crate) fn with_or_nothing(self, verdict: &str) -> anyhow::Result<()> {
        let wanted = match self.result.verdict.as_str() {
            "nothing" => "nothing",
            _ => verdict,
        };
        self.with(0, wanted).map(drop)
    }
}

fn code(exit: Option<i32>) -> String {
    exit.map_or_else(|| "a signal".to_owned(), |code| code.to_string())
}

/// Whether a line holds a secret, for the runner alone to see.
pub(crate) fn is_secret(line: &str) -> bool {
    line.starts_with("::add-mask::")
}

fn last_words(said: &[String]) -> String {
    let said: Vec<_> = said
        .iter()
        .map(String::as_str)
        .filter(|line| !is_secret(line))
        .collect();
    let last = &said[said.len().saturating_sub(TAIL)..];
    format!("; it said last:\n{}", last.join("\n"))
}

impl Step<'_> {
    /// Starts it, hands every line that it says to `hear`, and waits for its end.
    ///
    /// # Errors
    /// When it cannot be started, or leaves no readable result file.
    pub(crate) async fn run(
        self,
        programs: &Programs,
        mut hear: impl FnMut(&str),
    ) -> anyhow::Result<Ended> {
        let program = self.program;
        let what = || format!("run {program}");
        let place = &programs.0[&program];
        let mut command = tokio::process::Command::new(place);
        command
            .args(&self.arguments)
            .current_dir(self.checkout)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Whoever stops the play stops its programs.
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("run {program}: start {}", place.display()))?;
        let mut said = Vec::new();
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (Some(out), Some(err)) = (out, err) else {
            bail!("run {program}: it has no output");
        };
        hear_both(out, err, |line| {
            hear(&line);
            said.push(line);
        })
        .await
        .with_context(what)?;
        let exit = child.wait().await.with_context(what)?.code();
        let result = self.read_result().with_context(|| {
            let words = last_words(&said);
            format!("run {program}: it ended with {}{words}", code(exit))
        })?;
        Ok(Ended {
            program,
            exit,
            said,
            result,
        })
    }

    fn read_result(&self) -> anyhow::Result<ResultFile> {
        let path = self.result;
        let text = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let parse = || format!("parse {}", path.display());
        let result = serde_json::from_slice(&text).with_context(parse)?;
        as_the_schema_says(&result).with_context(parse)?;
        serde_json::from_value(result).with_context(parse)
    }
}

/// Others read a result by its published schema alone.
fn as_the_schema_says(result: &Value) -> anyhow::Result<()> {
    let validator = jsonschema::validator_for(&ResultFile::schema())?;
    let wrong = validator.iter_errors(result);
    let wrong: Vec<String> = wrong
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    ensure!(
        wrong.is_empty(),
        "it is not as result.schema.json says: {}",
        wrong.join("; ")
    );
    Ok(())
}

/// Both channels, line by line as they come.
async fn hear_both(
    out: impl AsyncRead + Unpin,
    err: impl AsyncRead + Unpin,
    mut hear: impl FnMut(String),
) -> std::io::Result<()> {
    let (mut out, mut err) = (BufReader::new(out).lines(), BufReader::new(err).lines());
    let (mut out_ended, mut err_ended) = (false, false);
    while !(out_ended && err_ended) {
        tokio::select! {
            line = out.next_line(), if !out_ended => match line? {
                Some(line) => hear(line),
                None => out_ended = true,
            },
            line = err.next_line(), if !err_ended => match line? {
                Some(line) => hear(line),
                None => err_ended = true,
            },
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_is_known_by_its_targets_name() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"preview-core"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"preview-deploy"},"executable":"/t/debug/preview-deploy"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let found = executables(messages);
        assert_eq!(
            found,
            BTreeMap::from([(
                "preview-deploy".to_owned(),
                "/t/debug/preview-deploy".into()
            )])
        );
    }

    #[tokio::test]
    async fn what_is_said_on_either_channel_is_heard_to_its_end() {
        let mut heard = Vec::new();
        let channels = ("one\ntwo".as_bytes(), "three\n".as_bytes());
        hear_both(channels.0, channels.1, |line| heard.push(line))
            .await
            .unwrap();
        heard.sort();
        assert_eq!(heard, ["one", "three", "two"]);
    }
}
