//! A job: what it waits for, the machine that it gets, and its steps in their order.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use futures::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::{
    expression::{Scope, Status},
    permissions::Permissions,
    queue::Stop,
    run::{Run, values},
    service::{Ended, Waits},
    step::Done,
    syntax::{Environment, Job, Step},
    value::{holds, number, text},
};

/// Between one look at whether somebody has approved and the next.
const GLANCE: Duration = Duration::from_millis(10);

/// The machine of one job.
pub(super) struct Machine<'a> {
    pub(super) run: &'a Run,
    pub(super) id: &'a str,
    job: &'a Job,
    /// Of the run's jobs.
    number: usize,
    scope: Scope,
    pub(super) permissions: Permissions,
    pub(super) token: String,
    /// Everything that the job has.
    pub(super) folder: PathBuf,
    /// What steps have put into `GITHUB_ENV`.
    pub(super) env: BTreeMap<String, String>,
    /// Who logged in to which registry.
    pub(super) logins: BTreeMap<String, (String, String)>,
    pub(super) log: Vec<String>,
    pub(super) remarks: Vec<String>,
    /// How many steps there were.
    pub(super) steps: usize,
    stop: Stop,
}

/// How long something may take.
struct Timeout {
    /// As the workflow has it.
    minutes: String,
    long: Duration,
}

/// What steps are run in: a job, or a composite action.
pub(super) struct Frame {
    pub(super) scope: Scope,
    /// What the environment has besides the job's.
    pub(super) env: BTreeMap<String, String>,
    /// The folder of the action.
    pub(super) action: Option<PathBuf>,
}

impl<'a> Machine<'a> {
    /// A machine for a job.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub(super) fn new(
        run: &'a Run,
        id: &'a str,
        job: &'a Job,
        scope: Scope,
        (number, stop): (usize, Stop),
    ) -> anyhow::Result<Self> {
        let setting = &run.inner.setting;
        let permissions = run.inner.permissions(&run.workflow, id, run.about.of_fork);
        let token = setting.github.token_with(&permissions.all());
        let packages = permissions.level("packages");
        if let (Some(world), Some(level)) = (setting.ground.world(), packages) {
            world.registry.let_job_in(&token, level);
        }
        let folder = setting.folder.join(format!("{}-{id}-{number}", run.id));
        for inner in ["workspace", "temp", "home", "files", "bin"] {
            let inner = folder.join(inner);
            fs::create_dir_all(&inner).with_context(|| format!("make {}", inner.display()))?;
        }
        Ok(Self {
            run,
            id,
            job,
            number,
            scope,
            permissions,
            token,
            folder,
            env: BTreeMap::new(),
            logins: BTreeMap::new(),
            log: Vec::new(),
            remarks: Vec::new(),
            steps: 0,
            stop,
        })
    }

    /// The checkout.
    pub(super) fn workspace(&self) -> PathBuf {
        self.folder.join("workspace")
    }

    /// Runs the job to its end.
    ///
    /// # Errors
    /// When it asks for what the runner cannot do.
    pub(super) async fn through(mut self) -> anyhow::Result<Ended> {
        let timeout = self.timeout(&self.job.timeout_minutes, &self.scope)?;
        let held = match &self.job.concurrency {
            None => None,
            Some(concurrency) => {
                let turn = self
                    .run
                    .turn(concurrency, &self.scope, self.number, &self.stop);
                let Some(held) = turn.await? else {
                    return Ok(self.ended("cancelled"));
                };
                Some(held)
            }
        };
        let environment = match &self.job.environment {
            None => None,
            Some(environment) => match self.enter(environment).await? {
                Ok(name) => Some(name),
                Err(conclusion) => return Ok(self.ended(conclusion)),
            },
        };
        let mut frame = self.frame(environment.as_deref())?;
        let (job, stop) = (self.job, self.stop.clone());
        let conclusion = tokio::select! {
            ran = self.all(&job.steps, &mut frame) => {
                ran?;
                if frame.scope.status == Status::Success { "success" } else { "failure" }
            }
            () = stop.told() => "cancelled",
            // Where it does not wait for anybody any more: GitHub counts from when a runner has it.
            () = tokio::time::sleep(timeout.long) => {
                let minutes = timeout.minutes;
                let remark = format!("error: The job has exceeded the maximum execution time of {minutes} minutes.");
                self.remarks.push(remark);
                "cancelled"
            }
        };
        drop(held);
        let outputs = job.outputs.iter();
        let outputs = outputs.map(|(name, it)| Ok((name.clone(), frame.scope.text(it)?)));
        let outputs = outputs.collect::<anyhow::Result<_>>()?;
        Ok(Ended {
            outputs,
            ..self.ended(conclusion)
        })
    }

    /// How long something may take, as a workflow says it.
    fn timeout(&self, minutes: &Value, scope: &Scope) -> anyhow::Result<Timeout> {
        let minutes = match minutes {
            Value::String(template) => scope.value(template)?,
            plain => plain.clone(),
        };
        let count = number(&minutes).filter(|count| *count > 0.0);
        let count = count.with_context(|| format!("{minutes} is no timeout"))?;
        let long = self.run.inner.setting.minute.mul_f64(count);
        let minutes = text(&minutes);
        Ok(Timeout { minutes, long })
    }

    /// Runs a step that fails where it takes longer.
    async fn within(
        &mut self,
        timeout: Timeout,
        step: &Step,
        frame: Frame,
    ) -> anyhow::Result<Done> {
        match tokio::time::timeout(timeout.long, self.step(step, frame)).await {
            Ok(done) => done,
            Err(_) => {
                let first = |script: &String| script.lines().next().unwrap_or_default().to_owned();
                let what = step.uses.as_ref().or(step.run.as_ref());
                let unnamed = || format!("Run {}", what.map(first).unwrap_or_default());
                let name = step.name.clone().unwrap_or_else(unnamed);
                let minutes = timeout.minutes;
                let remark =
                    format!("error: The action '{name}' has timed out after {minutes} minutes.");
                self.remarks.push(remark);
                Ok(Done {
                    succeeded: false,
                    outputs: BTreeMap::new(),
                })
            }
        }
    }

    fn ended(self, conclusion: &'static str) -> Ended {
        Ended {
            remarks: self.remarks,
            log: self.log,
            ..self.run.ended(self.id, conclusion)
        }
    }

    /// Waits until it may enter an environment; gives its name, or how the job ends outside.
    async fn enter(
        &mut self,
        environment: &Environment,
    ) -> anyhow::Result<std::result::Result<String, &'static str>> {
        ensure!(
            environment.deployment == Some(false),
            "the runner makes no deployments of its own: {environment:?}"
        );
        let name = self.scope.text(&environment.name)?;
        let (repository, run) = (&self.run.inner.setting.repository, self.run.id);
        let protection = repository.protection(&name, &self.run.about.ref_name);
        if !protection.admits_branch {
            let from = &self.run.about.ref_name;
            self.remarks.push(format!(
                "error: Branch \"{from}\" is not allowed to deploy to {name} due to environment protection rules."
            ));
            return Ok(Err("failure"));
        }
        if protection.reviewers.is_empty() {
            return Ok(Ok(name));
        }
        repository.hold_run(run, &name);
        self.run
            .inner
            .waits(run, self.number, Waits::Approval(name.clone()));
        let entered = loop {
            if self.stop.is_told() {
                break Err("cancelled");
            }
            if let (_, Some(conclusion)) = repository.run_state(run) {
                let cancelled = conclusion == "cancelled";
                break Err(if cancelled { "cancelled" } else { "failure" });
            }
            if !repository.awaited_by(run).contains(&name) {
                break Ok(name);
            }
            tokio::time::sleep(GLANCE).await;
        };
        self.run.inner.goes_on(run, self.number);
        Ok(entered)
    }

    /// What the job's own steps are run in: the secrets are those of its environment, and nobody else's.
    fn frame(&self, environment: Option<&str>) -> anyhow::Result<Frame> {
        let all = self.run.inner.setting.secrets.iter();
        let mut secrets = Map::new();
        for ((of, name), secret) in all {
            let has = environment.is_some_and(|it| it == *of) && !self.run.about.of_fork;
            let value = secrets
                .entry((*name).to_owned())
                .or_insert_with(|| json!(""));
            if has {
                *value = json!(secret);
            }
        }
        let mut scope = self.scope.clone();
        if let Some(github) = scope.contexts.get_mut("github") {
            github["token"] = json!(self.token);
            github["job"] = json!(self.id);
        }
        let temp = self.folder.join("temp").display().to_string();
        let mut scope = scope
            .with("secrets", Value::Object(secrets))
            .with("steps", json!({}))
            .with(
                "runner",
                json!({ "temp": temp, "os": "Linux", "arch": "X64" }),
            );
        scope.status = Status::Success;
        let own = values(&self.job.env, &scope)?;
        let mut env: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in scope.contexts["env"].as_object().into_iter().flatten() {
            env.insert(name.clone(), value.as_str().unwrap_or_default().to_owned());
        }
        env.extend(own);
        let scope = scope.with("env", json!(env));
        Ok(Frame {
            scope,
            env,
            action: None,
        })
    }

    /// Runs steps one after the other; what they came to is in the frame.
    pub(super) fn all<'f>(
        &'f mut self,
        steps: &'f [Step],
        frame: &'f mut Frame,
    ) -> BoxFuture<'f, anyhow::Result<()>> {
        Box::pin(async move {
            for step in steps {
                self.one(step, frame).await.with_context(|| {
                    let name = step.name.as_ref().or(step.uses.as_ref());
                    name.map_or_else(|| "a step".to_owned(), |name| format!("the step {name}"))
                })?;
            }
            Ok(())
        })
    }

    async fn one(&mut self, step: &Step, frame: &mut Frame) -> anyhow::Result<()> {
        let mut env = frame.env.clone();
        env.extend(self.env.clone());
        env.extend(values(&step.env, &frame.scope)?);
        let scope = frame.scope.clone().with("env", json!(env));
        if !scope.lets_run(step.condition.as_deref())? {
            frame.knows(step, "skipped", "skipped", BTreeMap::new());
            return Ok(());
        }
        let forgives = match &step.continue_on_error {
            Value::String(template) => scope.value(template)?,
            plain => plain.clone(),
        };
        self.steps += 1;
        let within = Frame {
            scope,
            env,
            action: frame.action.clone(),
        };
        let timeout = match &step.timeout_minutes {
            None => None,
            Some(minutes) => Some(self.timeout(minutes, &within.scope)?),
        };
        let Done { succeeded, outputs } = match timeout {
            None => self.step(step, within).await?,
            Some(timeout) => self.within(timeout, step, within).await?,
        };
        let outcome = if succeeded { "success" } else { "failure" };
        let conclusion = if holds(&forgives) { "success" } else { outcome };
        if conclusion == "failure" {
            frame.scope.status = Status::Failure;
        }
        frame.knows(step, outcome, conclusion, outputs);
        Ok(())
    }
}

impl Frame {
    fn knows(
        &mut self,
        step: &Step,
        outcome: &str,
        conclusion: &str,
        outputs: BTreeMap<String, String>,
    ) {
        if let Some(id) = &step.id {
            self.scope.contexts["steps"][id] =
                json!({ "outcome": outcome, "conclusion": conclusion, "outputs": outputs });
        }
    }
}

/// Writes a script that can be started.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write_program(path: &Path, script: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let what = || format!("write {}", path.display());
    fs::write(path, format!("#!/bin/bash\n{script}\n")).with_context(what)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).with_context(what)
}
