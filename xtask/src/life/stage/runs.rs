//! What the programs do, each started as a workflow's runner starts it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use preview_core::{
    health::Failure,
    outcome::{Program, ResultFile},
};
use sandbox::{Gate, Way, github::ACTIONS_TOKEN};
use serde_json::{Value, json};

use super::{
    super::programs::{Ended, Step, is_secret},
    Alone, Stage, write,
};

/// No secret: it signs records on a GitHub that ends with the play.
pub(super) const RECORD_KEY: &str = "a key for records of a play, and of nothing else";

/// Where programs are on every runner.
pub(crate) const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Where the programs' event comes from.
pub(crate) enum Event {
    WorkflowRun,
    PullRequest,
    Push(String),
    /// By the clock: its payload says no more than when.
    Schedule,
}

/// A run of a program that can be started.
pub(crate) struct Prepared {
    program: Program,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    /// Where it leaves its result.
    result: PathBuf,
    /// The checkout.
    folder: PathBuf,
    /// Must be there for as long as it runs.
    ways: Vec<Way>,
}

impl Stage {
    /// Runs `preview-deploy` for the newest run of CI.
    pub(crate) async fn deploy(&mut self) -> anyhow::Result<ResultFile> {
        let ended = self.run(Program::Deploy, Event::WorkflowRun).await?;
        Ok(ended.with(0, "deployed")?.result)
    }

    /// Runs `preview-deploy` for a preview that cannot come up; gives why, and how long it took to tell.
    pub(crate) async fn deploy_in_vain(&mut self) -> anyhow::Result<(Failure, Duration)> {
        let ended = self.run(Program::Deploy, Event::WorkflowRun).await?;
        let result = ended.with(3, "failed")?.result;
        let reason = result.reason;
        let failure = result.failure.with_context(|| {
            format!("preview-deploy does not say what of the preview failed: {reason}")
        })?;
        Ok((failure, Duration::from_millis(result.took_ms)))
    }

    /// Runs `preview-deploy` for a preview that a rule says no to; gives the reason.
    pub(crate) async fn deploy_refused(&mut self) -> anyhow::Result<String> {
        let ended = self.run(Program::Deploy, Event::WorkflowRun).await?;
        Ok(ended.with(1, "refused")?.result.reason)
    }

    /// Runs `preview-promote` for the push of a commit to the default branch.
    pub(crate) async fn promote(&mut self, commit: &str) -> anyhow::Result<ResultFile> {
        let promotion = self.prepared_promotion(commit)?;
        let ended = self.started(promotion).await?;
        let result = ended.with(0, "promoted")?.result;
        self.has_adopted();
        Ok(result)
    }

    /// Runs `preview-promote` for a commit whose promotion has died: nothing may be left to do.
    pub(crate) async fn promote_again(&mut self, commit: &str) -> anyhow::Result<()> {
        let promotion = self.prepared_promotion(commit)?;
        let ended = self.started(promotion).await?;
        ended.with_or_nothing("promoted")
    }

    /// The promotion of a commit's push, ready to be started: the first one is told that it may replace what runs.
    pub(crate) fn prepared_promotion(&mut self, commit: &str) -> anyhow::Result<Prepared> {
        let event = Event::Push(commit.to_owned());
        let adopt: &[&str] = if self.is_adopted { &[] } else { &["--adopt"] };
        self.prepared(Program::Promote, event, adopt)
    }

    /// From now on promotions know what production runs.
    pub(crate) fn has_adopted(&mut self) {
        self.is_adopted = true;
    }

    /// Runs `preview-cleanup` for the closed pull request.
    pub(crate) async fn cleanup(&mut self) -> anyhow::Result<ResultFile> {
        let ended = self.run(Program::Cleanup, Event::PullRequest).await?;
        Ok(ended.with(0, "destroyed")?.result)
    }

    /// Runs `preview-cleanup` after another one of the same pull request, which may have left it nothing to destroy.
    pub(crate) async fn cleanup_again(&mut self) -> anyhow::Result<()> {
        let ended = self.run(Program::Cleanup, Event::PullRequest).await?;
        ended.with_or_nothing("destroyed")
    }

    /// Runs `preview-cleanup sweep`.
    pub(crate) async fn sweep(&mut self) -> anyhow::Result<ResultFile> {
        let sweep = self.run_with(Program::Cleanup, Event::Schedule, &["sweep"]);
        let ended = sweep.await?;
        Ok(ended.with(0, "swept")?.result)
    }

    /// Runs `preview-cleanup list`; gives how many previews it tells of.
    pub(crate) async fn list_previews(&mut self) -> anyhow::Result<usize> {
        let list = self.run_with(Program::Cleanup, Event::Schedule, &["list"]);
        Ok(list.await?.with(0, "listed")?.result.previews.len())
    }

    pub(crate) async fn run(&mut self, program: Program, event: Event) -> anyhow::Result<Ended> {
        self.run_with(program, event, &[]).await
    }

    pub(super) async fn run_with(
        &mut self,
        program: Program,
        event: Event,
        more: &[&str],
    ) -> anyhow::Result<Ended> {
        let prepared = self.prepared(program, event, more)?;
        self.started(prepared).await
    }

    /// Makes everything ready that a run of a program finds.
    pub(crate) fn prepared(
        &mut self,
        program: Program,
        event: Event,
        more: &[&str],
    ) -> anyhow::Result<Prepared> {
        self.runs += 1;
        let nth = self.runs;
        let folder = self.folder.path().join(format!("run-{nth}"));
        fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
        let approval = self.gate.as_ref().map_or("none", |_| "all");
        let configuration = self.configuration()?;
        let configuration = format!("approval = \"{approval}\"\n{configuration}");
        write(&folder.join("preview.toml"), &configuration)?;
        let (name, payload) = self.payload(event)?;
        write(&folder.join("event.json"), &payload.to_string())?;
        let result = self.results.join(format!("result-{nth}-{program}.json"));
        let mut arguments = vec!["--result".to_owned(), result.display().to_string()];
        if program == Program::Deploy {
            arguments.extend(self.check_manifests_out(&folder)?);
        }
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        let mut environment = self.environment(name, &folder);
        if let Some(gate) = self.gate.as_ref().filter(|_| program == Program::Deploy) {
            environment.insert("GITHUB_RUN_ID".to_owned(), gate.run.to_string());
        }
        Ok(Prepared {
            program,
            arguments,
            environment,
            result,
            folder,
            ways: Vec::new(),
        })
    }

    /// Starts a program, and waits for its end. Several may run at the same time.
    pub(crate) async fn started(&self, prepared: Prepared) -> anyhow::Result<Ended> {
        let Prepared { program, .. } = prepared;
        let step = Step {
            program,
            arguments: prepared.arguments,
            environment: prepared.environment,
            result: &prepared.result,
            checkout: &prepared.folder,
        };
        let who = program.to_string();
        let _ways = prepared.ways;
        let _live = self.progress.live();
        step.run(&self.programs, |line| {
            if !is_secret(line) {
                self.progress.hear(&who, line);
            }
        })
        .await
    }

    /// The run, by ways to GitHub, the cluster and the registry with a gate on them.
    pub(crate) async fn behind(&self, run: Prepared, gate: &Gate) -> anyhow::Result<Prepared> {
        let mut run = self.behind_on_cluster(run, gate).await?;
        let github = self.github.through(gate).await?;
        run.environment.insert("GITHUB_API_URL".to_owned(), github);
        // The registry's address is part of what images are called, so the way to it cannot have another one. The clients of
        // GitHub and of the cluster take no notice of this variable.
        let registry = Way::anywhere(gate).await?;
        let proxy = registry.url().to_owned();
        run.environment.insert("HTTP_PROXY".to_owned(), proxy);
        run.ways.push(registry);
        Ok(run)
    }

    /// The run, by a way to the cluster with a gate on it.
    pub(crate) async fn behind_on_cluster(
        &self,
        mut run: Prepared,
        gate: &Gate,
    ) -> anyhow::Result<Prepared> {
        let file = run.folder.join("kubeconfig");
        run.ways.extend(self.ground.behind(gate, &file).await?);
        let file = file.display().to_string();
        run.environment.insert("KUBECONFIG".to_owned(), file);
        Ok(run)
    }

    fn payload(&self, event: Event) -> anyhow::Result<(&'static str, Value)> {
        Ok(match event {
            Event::WorkflowRun => (
                "workflow_run",
                self.repository.workflow_run_payload(self.number()?),
            ),
            Event::PullRequest => (
                "pull_request",
                self.repository.pull_request_closed_payload(self.number()?),
            ),
            Event::Push(commit) => ("push", self.repository.push_payload(&commit)),
            Event::Schedule => ("schedule", json!({ "schedule": "17 * * * *" })),
        })
    }

    /// The environment of a step as GitHub's runner makes it.
    /// <https://docs.github.com/en/actions/reference/workflows-and-actions/variables>
    fn environment(&self, event: &str, folder: &Path) -> BTreeMap<String, String> {
        let file = |name: &str| folder.join(name).display().to_string();
        let (user, password) = self.ground.login();
        let variables = [
            ("CI", "true".to_owned()),
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("GITHUB_API_URL", self.github.url()),
            ("GITHUB_EVENT_NAME", event.to_owned()),
            ("GITHUB_EVENT_PATH", file("event.json")),
            ("GITHUB_OUTPUT", file("output")),
            ("GITHUB_REPOSITORY", self.repository.slug()),
            ("GITHUB_REPOSITORY_ID", self.repository.id().to_string()),
            ("GITHUB_RUN_ATTEMPT", "1".to_owned()),
            ("GITHUB_RUN_ID", (self.first_run + self.runs).to_string()),
            ("GITHUB_SERVER_URL", "https://github.com".to_owned()),
            ("GITHUB_STEP_SUMMARY", file("summary.md")),
            ("GITHUB_TOKEN", ACTIONS_TOKEN.to_owned()),
            ("GITHUB_WORKSPACE", folder.display().to_string()),
            ("HOME", folder.display().to_string()),
            ("KUBECONFIG", self.ground.kubeconfig.display().to_string()),
            ("PREVIEW_PULL_HOST", self.ground.registry.clone()),
            ("PREVIEW_PULL_PASSWORD", self.pull_login.1.clone()),
            ("PREVIEW_PULL_USER", self.pull_login.0.clone()),
            ("PREVIEW_RECORD_KEY", RECORD_KEY.to_owned()),
            ("PREVIEW_REGISTRY_HOST", self.ground.registry.clone()),
            ("PREVIEW_REGISTRY_PASSWORD", password),
            ("PREVIEW_REGISTRY_USER", user),
            ("RUNNER_TEMP", folder.display().to_string()),
        ];
        let tools = self.ground.tools().map(|tools| {
            // Where a runner has kubectl and Kustomize.
            ("PATH", format!("{}:{USUAL_PATH}", tools.display()))
        });
        let variables = variables.into_iter().chain(tools);
        variables
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// The example's own `preview.toml`, with the places of this play.
    pub(super) fn configuration(&self) -> anyhow::Result<String> {
        if self.small {
            return Ok(self.small_configuration());
        }
        let (name, registry) = (&self.name, &self.ground.registry);
        if let Some(Alone { check, .. }) = &self.alone {
            return Ok(format!(
                "namespace = \"{name}-pr-{{pr}}\"\ndeadline = \"3m\"\nhost = \"{{pr}}.pr.example.com\"\n\n\
                 [components.web]\nimage = \"{}\"\n{check}\n\n[registry]\nplain_http = [\"{registry}\"]\n\
                 github_packages = [\"{registry}\"]\n",
                self.ground.image("web")
            ));
        }
        let mut text = format!(
            "namespace = \"{name}-pr-{{pr}}\"\ndeadline = \"5m\"\n\n{}",
            match self.overlay {
                None => include_str!("../../../../examples/preview.toml"),
                Some(_) => include_str!("../../../../examples/preview.kustomize.toml"),
            }
        );
        let places = [
            ("ghcr.io/", format!("{registry}/")),
            (
                "[database]",
                format!(
                    "[database]\nimage = \"{}\"\n{}",
                    self.postgres, self.database
                ),
            ),
            (
                "secret = \"preview-wildcard-tls\"",
                format!(
                    "secret = \"preview-wildcard-tls\"\nnamespace = \"{}\"",
                    self.edge()
                ),
            ),
            (
                "namespace = \"shop\"",
                format!("namespace = \"{}\"", self.production()),
            ),
        ];
        for (example, here) in places {
            ensure!(
                text.contains(example),
                "examples/preview.toml has no {example:?} any more: the play must find its places anew"
            );
            text = text.replace(example, &here);
        }
        // Production's API migrates its database in a container of its own, from the same image.
        let workloads = "workloads = [\n    { component = \"web\" },\n    { component = \"api\" },\n    \
                         { component = \"api\", container = \"migrate\" },\n]";
        let mut text = format!(
            "{text}{workloads}\n\n[registry]\nplain_http = [\"{registry}\"]\n\
                 github_packages = [\"{registry}\"]\n"
        );
        for (from, to) in &self.changes {
            ensure!(
                text.contains(from),
                "there is no {from:?} to change:\n{text}"
            );
            text = text.replacen(from, to, 1);
        }
        Ok(format!("{text}\n{}", self.sections))
    }
}
