//! A step: bash, one of our actions, or a stand-in for somebody else's.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, ensure};
use preview_core::outcome::Program;
use serde_json::{Map, Value, json};

use super::{
    commands,
    expression::{Scope, Status},
    job::{Frame, Machine, write_program},
    run::values,
    service::actions_folder,
    standins,
    syntax::Step,
    tools,
    value::text,
};
use crate::life::{USUAL_PATH, is_secret};

/// The properties of `github` that are variables of every step, too.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/variables>
pub(super) const VARIABLES: [&str; 16] = [
    "actor",
    "api_url",
    "base_ref",
    "event_name",
    "head_ref",
    "job",
    "ref",
    "ref_name",
    "repository",
    "repository_id",
    "repository_owner",
    "run_attempt",
    "run_id",
    "server_url",
    "sha",
    "workflow",
];

/// How a step ended.
pub(super) struct Done {
    pub(super) succeeded: bool,
    pub(super) outputs: BTreeMap<String, String>,
}

/// What GitHub's runners start for each `shell`.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsshell>
fn options(shell: Option<&str>) -> anyhow::Result<&'static [&'static str]> {
    match shell {
        None => Ok(&["-e"]),
        Some("bash") => Ok(&["--noprofile", "--norc", "-eo", "pipefail"]),
        Some(other) => anyhow::bail!("the shell {other} is not modelled"),
    }
}

impl Machine<'_> {
    /// Runs one step, which has an environment and an `if` that lets it run.
    pub(super) async fn step(&mut self, step: &Step, frame: Frame) -> anyhow::Result<Done> {
        match (&step.uses, &step.run) {
            (None, Some(script)) => {
                let script = frame.scope.text(script)?;
                self.bash(step, &script, &frame).await
            }
            (Some(uses), None) => {
                let with = values(&step.with, &frame.scope)?;
                match standins::ours(uses) {
                    Some(name) => self.composite(name, &with, frame).await,
                    None => standins::act(self, uses, &with).await,
                }
            }
            _ => anyhow::bail!("it has to run or use something, and not both"),
        }
    }

    /// One of our actions, step by step as it stands in this repository.
    async fn composite(
        &mut self,
        name: &str,
        with: &BTreeMap<String, String>,
        frame: Frame,
    ) -> anyhow::Result<Done> {
        let action = self.run.inner.actions.get(name);
        let action = action
            .with_context(|| format!("there is no action {name}"))?
            .clone();
        let mut inputs = Map::new();
        for (input, declared) in &action.inputs {
            let value = match (with.get(input), &declared.default) {
                (Some(given), _) => given.clone(),
                (None, Some(Value::String(template))) => frame.scope.text(template)?,
                (None, default) => default.as_ref().map(text).unwrap_or_default(),
            };
            inputs.insert(input.clone(), json!(value));
        }
        // An action knows no secrets but what it is told.
        let mut scope = frame.scope.clone();
        scope.contexts.remove("secrets");
        scope.contexts.remove("needs");
        scope.contexts.remove("matrix");
        let scope = Scope {
            status: Status::Success,
            ..scope
                .with("inputs", Value::Object(inputs))
                .with("steps", json!({}))
        };
        let mut within = Frame {
            scope,
            env: frame.env,
            action: Some(self.unpack(name)?),
        };
        self.all(&action.runs.steps, &mut within).await?;
        let outputs = action.outputs.iter();
        let outputs = outputs.map(|(name, it)| Ok((name.clone(), within.scope.text(&it.value)?)));
        Ok(Done {
            succeeded: within.scope.status == Status::Success,
            outputs: outputs.collect::<anyhow::Result<_>>()?,
        })
    }

    /// Puts our actions where a runner unpacks them, with what stands in for downloads and builds; gives one's folder.
    fn unpack(&self, name: &str) -> anyhow::Result<PathBuf> {
        let to = self.folder.join("action/.github/actions");
        copy(&actions_folder(), &to)?;
        // The programs that tests have built, instead of what a release or cargo would give.
        let programs = [Program::Deploy, Program::Cleanup, Program::Promote];
        let places = programs.map(|program| {
            let place = self.run.inner.setting.programs.place(program);
            format!("  {program}) place={} ;;", place.display())
        });
        let script = format!(
            "while [ $# -gt 0 ]; do [ \"$1\" != --package ] || program=$2; shift; done\n\
             case $program in\n{}\nesac\nmkdir -p target/release\n\
             printf '#!/bin/bash\\nexec %s \"$@\"\\n' \"$place\" >\"target/release/$program\"\n\
             chmod 755 \"target/release/$program\"",
            places.join("\n")
        );
        write_program(&self.folder.join("bin/cargo"), &script)?;
        Ok(to.join(name))
    }

    /// A script, as GitHub's runner starts it: nothing of this process's environment is there.
    async fn bash(&mut self, step: &Step, script: &str, frame: &Frame) -> anyhow::Result<Done> {
        let files = self.folder.join("files");
        let nth = self.steps;
        let file = |name: &str| files.join(format!("{name}-{nth}"));
        for name in ["output", "env", "path", "summary", "state"] {
            fs::write(file(name), "").context("make the files of a step")?;
        }
        let payload = frame.scope.contexts["github"]["event"].to_string();
        fs::write(files.join("event.json"), payload).context("write the event")?;
        let path = file("script");
        fs::write(&path, script).context("write the step's script")?;
        for name in tools::NAMES {
            let script = self.run.inner.tools.script(name);
            write_program(&self.folder.join("bin").join(name), &script)?;
        }
        let mut environment = frame.env.clone();
        environment.extend(self.variables(frame, &file));
        self.with_registry(&mut environment);
        let mut bash = tokio::process::Command::new("bash");
        let within = step.working_directory.as_deref();
        bash.args(options(step.shell.as_deref())?)
            .arg(&path)
            .current_dir(self.workspace().join(within.unwrap_or(".")))
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let done = bash.output().await.context("start bash")?;
        let said = [done.stdout, b"\n".to_vec(), done.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        let lines = said
            .lines()
            .filter(|line| !is_secret(line) && !line.is_empty());
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        self.remarks.extend(commands::remarks(&lines));
        self.log.extend(lines);
        self.env.extend(commands::pairs(&read(&file("env"))?)?);
        ensure!(
            read(&file("path"))?.is_empty(),
            "GITHUB_PATH is not modelled"
        );
        Ok(Done {
            succeeded: done.status.success(),
            outputs: commands::pairs(&read(&file("output"))?)?,
        })
    }

    /// <https://docs.github.com/en/actions/reference/workflows-and-actions/variables>
    fn variables(&self, frame: &Frame, file: &dyn Fn(&str) -> PathBuf) -> BTreeMap<String, String> {
        let github = &frame.scope.contexts["github"];
        let of_context = VARIABLES.map(|name| {
            (
                format!("GITHUB_{}", name.to_uppercase()),
                text(&github[name]),
            )
        });
        let place = |path: PathBuf| path.display().to_string();
        let tools = self.run.inner.setting.ground.tools();
        let tools = tools.map_or_else(String::new, |tools| format!("{}:", tools.display()));
        let bin = place(self.folder.join("bin"));
        let more = [
            ("CI", "true".to_owned()),
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("GITHUB_TRIGGERING_ACTOR", text(&github["actor"])),
            (
                "GITHUB_EVENT_PATH",
                place(self.folder.join("files/event.json")),
            ),
            ("GITHUB_OUTPUT", place(file("output"))),
            ("GITHUB_ENV", place(file("env"))),
            ("GITHUB_PATH", place(file("path"))),
            ("GITHUB_STATE", place(file("state"))),
            ("GITHUB_STEP_SUMMARY", place(file("summary"))),
            ("GITHUB_WORKSPACE", place(self.workspace())),
            ("HOME", place(self.folder.join("home"))),
            ("PATH", format!("{bin}:{tools}{USUAL_PATH}")),
            ("RUNNER_ARCH", "X64".to_owned()),
            ("RUNNER_OS", "Linux".to_owned()),
            ("RUNNER_TEMP", place(self.folder.join("temp"))),
        ];
        let more = more
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        let action = frame.action.iter();
        let action = action.map(|path| ("GITHUB_ACTION_PATH".to_owned(), place(path.clone())));
        of_context.into_iter().chain(more).chain(action).collect()
    }

    /// A real registry knows no tokens of the sandbox's GitHub: whoever may use packages has its account there.
    fn with_registry(&self, environment: &mut BTreeMap<String, String>) {
        let ground = &self.run.inner.setting.ground;
        let password = environment.get("PREVIEW_REGISTRY_PASSWORD");
        let by_token = password.is_some_and(|password| *password == self.token);
        if ground.world().is_none() && by_token && self.permissions.level("packages").is_some() {
            let (user, password) = ground.login();
            environment.insert("PREVIEW_REGISTRY_USER".to_owned(), user);
            environment.insert("PREVIEW_REGISTRY_PASSWORD".to_owned(), password);
        }
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

/// Copies a folder with what is in it.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let what = || format!("copy {}", from.display());
    fs::create_dir_all(to).with_context(what)?;
    for entry in fs::read_dir(from).with_context(what)? {
        let entry = entry.with_context(what)?;
        let inner = to.join(entry.file_name());
        match entry.file_type().with_context(what)?.is_dir() {
            true => copy(&entry.path(), &inner)?,
            false => fs::copy(entry.path(), &inner)
                .map(drop)
                .with_context(what)?,
        }
    }
    Ok(())
}
