//! The stage: a pull request on the sandbox's GitHub, and whatever cluster and registry the ground gives, with a verb
//! for everything that people, CI and the three programs do.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use preview_core::{
    health::Failure,
    outcome::{Program, ResultFile},
};
use sandbox::github::{ACTIONS_TOKEN, GitHub, MergeStyle, Repository};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    ground::{Ground, OWNER, REPOSITORY},
    kube::{Place, until},
    production::{Production, TARGET},
    programs::{Ended, Programs, Step, is_secret},
    progress::Progress,
    sight::Sight,
};
use crate::images::Edition;

/// No secret: it signs records on a GitHub that ends with the play.
const RECORD_KEY: &str = "a key for records of a play, and of nothing else";

/// Until production is there, and until a page shows what it should: on a node of two cores, with images to pull.
const PATIENCE: Duration = Duration::from_secs(120);
/// Until the Service of a Deployment that is complete leads to nothing but its new pods.
const MOMENT: Duration = Duration::from_secs(15);
/// Until the node has collected a dead pod's containers. It looks once a minute.
const GARBAGE: Duration = Duration::from_secs(150);

/// Everything a play needs.
pub(crate) struct Stage {
    pub(crate) progress: Progress,
    pub(crate) github: GitHub,
    pub(crate) repository: Repository,
    pub(crate) ground: Ground,
    programs: Programs,
    /// Where the result files go.
    results: PathBuf,
    /// Goes with the stage.
    folder: TempDir,
    /// The Namespaces' names begin with it: two plays on one cluster have two.
    name: &'static str,
    /// How many runs of programs there were: a run's number is greater than that of every run before.
    runs: u64,
    /// The pull request, once it is open.
    pull: Option<u64>,
    /// The database server's image, as the configuration names it.
    postgres: String,
}

/// What CI built, and from what.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    /// The pull request's head, which tags the images.
    pub(crate) head: String,
    /// B, the test merge that they were built from.
    pub(crate) test_merge: String,
    /// The images' digests by component.
    pub(crate) digests: BTreeMap<String, String>,
}

/// What must stay the same while a preview is updated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The Namespace's uid.
    pub(crate) namespace: String,
    /// The database's volume.
    pub(crate) volume: String,
    /// The database's password, as the cluster encodes it. Never printed.
    pub(crate) password: Secret,
}

/// A text that is compared and not shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("***")
    }
}

/// Where the programs' event comes from.
enum Event {
    WorkflowRun,
    PullRequest,
    Push(String),
}

impl Stage {
    /// Sets the stage: a repository with the example in it on a fresh GitHub. Whatever a play of the same name that
    /// was killed left on the cluster is removed.
    ///
    /// # Errors
    /// When the remains cannot be removed, or `results` not be made.
    pub(crate) async fn set(
        name: &'static str,
        github: GitHub,
        ground: Ground,
        programs: Programs,
        progress: Progress,
        results: &Path,
    ) -> anyhow::Result<Self> {
        let repository = github.create_repository(&format!("{OWNER}/{REPOSITORY}"), EXAMPLE);
        let stage = Self {
            postgres: ground.postgres(),
            progress,
            github,
            repository,
            ground,
            programs,
            results: std::path::absolute(results).context("find the folder for results")?,
            folder: tempfile::tempdir().context("make a folder for the play")?,
            name,
            runs: 1_000_000,
            pull: None,
        };
        clear_results(results)?;
        stage.clear().await?;
        Ok(stage)
    }

    /// Begins an act.
    pub(crate) fn act(&self, title: &str) {
        self.progress.act(title);
    }

    /// Shows the pull request as it looks now.
    pub(crate) fn show_page(&self) {
        if let Some(number) = self.pull {
            let page = self.repository.page(number);
            self.progress.show("the pull request's page", &page);
        }
    }

    fn number(&self) -> anyhow::Result<u64> {
        self.pull.context("no pull request is open yet")
    }

    /// The preview's Namespace.
    pub(crate) fn preview(&self) -> anyhow::Result<String> {
        Ok(format!("{}-pr-{}", self.name, self.number()?))
    }

    /// Production's Namespace.
    pub(crate) fn production(&self) -> String {
        format!("{}-{TARGET}", self.name)
    }

    // What people do.

    /// Opens a pull request of one commit.
    pub(crate) fn open_pull_request(&mut self) -> u64 {
        let changes = &[("README.md", "Notes. Soon they will tell who wrote them.\n")];
        let number = self
            .repository
            .open_pull_request("feature/who-wrote-it", changes);
        self.pull = Some(number);
        let head = self.repository.head_of(number);
        let sha = short(&head);
        self.progress
            .say(&format!("#{number} is open at H = {sha}"));
        number
    }

    /// Pushes the example's second edition to the pull request's branch.
    pub(crate) fn push_second_edition(&self) -> anyhow::Result<()> {
        let head = self.repository.push(self.number()?, SECOND_EDITION);
        self.progress
            .say(&format!("the head is now H = {}", short(&head)));
        Ok(())
    }

    /// Closes the pull request without merging it.
    pub(crate) fn close(&self) -> anyhow::Result<()> {
        let number = self.number()?;
        self.repository.close(number);
        self.progress.say(&format!("#{number} is closed"));
        Ok(())
    }

    /// Somebody names a tag in the configuration that the registry does not have.
    pub(crate) fn misspell_the_databases_tag(&mut self) {
        self.postgres = format!("{}-misspelt", self.ground.postgres());
    }

    /// Squashes the pull request into the default branch; gives M.
    pub(crate) fn merge(&self) -> anyhow::Result<String> {
        let number = self.number()?;
        let merged = self.repository.merge(number, MergeStyle::Squash);
        self.progress
            .say(&format!("#{number} is merged as M = {}", short(&merged)));
        Ok(merged)
    }

    // What CI does.

    /// Builds the test merge of the pull request's head, and pushes the images under the head's tag.
    pub(crate) async fn ci_builds(&self, edition: Edition) -> anyhow::Result<Built> {
        let number = self.number()?;
        let run = self.repository.start_run(number, "ci.yml");
        let head = self.repository.head_of(number);
        let test_merge = self.repository.merge_commit_of(number);
        let test_merge = test_merge.context("the pull request conflicts with its base")?;
        let digests = self.publish(&test_merge, edition, &head).await?;
        self.repository.finish_run(run, "success");
        let (b, h) = (short(&test_merge), short(&head));
        self.progress
            .say(&format!("CI built B = {b} and tagged the images {h}…"));
        Ok(Built {
            head,
            test_merge,
            digests,
        })
    }

    /// Builds the page of the pull request's head once more, so that it crashes.
    pub(crate) async fn ci_builds_a_crashing_page(&self, built: &Built) -> anyhow::Result<()> {
        let folder = self.folder.path();
        self.ground
            .publish_crashing_page(&built.test_merge, &built.head, folder)
            .await
    }

    /// Builds and pushes the example; GitHub's package list hears of it, as ghcr tells it.
    async fn publish(
        &self,
        revision: &str,
        edition: Edition,
        tag: &str,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let folder = self.folder.path().join(format!("images-{revision}"));
        let digests = self
            .ground
            .publish_example(revision, edition, tag, &folder)
            .await?;
        for (component, digest) in &digests {
            let package = format!("{REPOSITORY}-{component}");
            self.github.package_pushed(OWNER, &package, digest, &[tag]);
        }
        Ok(digests)
    }

    // What the programs do.

    /// Runs `preview-deploy` for the newest run of CI.
    pub(crate) async fn deploy(&mut self) -> anyhow::Result<ResultFile> {
        let ended = self.run(Program::Deploy, Event::WorkflowRun).await?;
        Ok(ended.with(0, "deployed")?.result)
    }

    /// Runs `preview-deploy` for a preview that cannot come up; gives why, and how long it took to tell.
    pub(crate) async fn deploy_in_vain(&mut self) -> anyhow::Result<(Failure, Duration)> {
        let ended = self.run(Program::Deploy, Event::WorkflowRun).await?;
        let result = ended.with(3, "failed")?.result;
        let failure = result
            .failure
            .context("preview-deploy does not say what failed")?;
        Ok((failure, Duration::from_millis(result.took_ms)))
    }

    /// Runs `preview-promote` for the push of a commit to the default branch.
    pub(crate) async fn promote(&mut self, commit: &str) -> anyhow::Result<ResultFile> {
        let event = Event::Push(commit.to_owned());
        let ended = self.run(Program::Promote, event).await?;
        Ok(ended.with(0, "promoted")?.result)
    }

    /// Runs `preview-cleanup` for the closed pull request.
    pub(crate) async fn cleanup(&mut self) -> anyhow::Result<ResultFile> {
        let ended = self.run(Program::Cleanup, Event::PullRequest).await?;
        Ok(ended.with(0, "destroyed")?.result)
    }

    async fn run(&mut self, program: Program, event: Event) -> anyhow::Result<Ended> {
        self.runs += 1;
        let nth = self.runs - 1_000_000;
        let folder = self.folder.path().join(format!("run-{nth}"));
        fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
        write(&folder.join("preview.toml"), &self.configuration()?)?;
        let (name, payload) = self.payload(event)?;
        write(&folder.join("event.json"), &payload.to_string())?;
        let result = self.results.join(format!("result-{nth}-{program}.json"));
        let step = Step {
            program,
            arguments: vec!["--result".to_owned(), result.display().to_string()],
            environment: self.environment(name, &folder),
            result: &result,
            checkout: &folder,
        };
        let who = program.to_string();
        let _live = self.progress.live();
        step.run(&self.programs, |line| {
            if !is_secret(line) {
                self.progress.hear(&who, line);
            }
        })
        .await
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
            ("GITHUB_RUN_ID", self.runs.to_string()),
            ("GITHUB_SERVER_URL", "https://github.com".to_owned()),
            ("GITHUB_STEP_SUMMARY", file("summary.md")),
            ("GITHUB_TOKEN", ACTIONS_TOKEN.to_owned()),
            ("GITHUB_WORKSPACE", folder.display().to_string()),
            ("HOME", folder.display().to_string()),
            ("KUBECONFIG", self.ground.kubeconfig.display().to_string()),
            ("PREVIEW_RECORD_KEY", RECORD_KEY.to_owned()),
            ("PREVIEW_REGISTRY_HOST", self.ground.registry.clone()),
            ("PREVIEW_REGISTRY_PASSWORD", password),
            ("PREVIEW_REGISTRY_USER", user),
            ("RUNNER_TEMP", folder.display().to_string()),
        ];
        let variables = variables.into_iter();
        variables
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// The example's own `preview.toml`, with the places of this play.
    fn configuration(&self) -> anyhow::Result<String> {
        let (name, registry) = (self.name, &self.ground.registry);
        let mut text = format!(
            "namespace = \"{name}-pr-{{pr}}\"\ndeadline = \"5m\"\n\n{}",
            include_str!("../../../examples/preview.toml")
        );
        let places = [
            ("ghcr.io/", format!("{registry}/")),
            (
                "[database]",
                format!("[database]\nimage = \"{}\"", self.postgres),
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
        Ok(format!(
            "{text}{workloads}\n\n[registry]\nplain_http = [\"{registry}\"]\n"
        ))
    }

    // What somebody sees who looks.

    /// Opens the preview's page, which shows `commit`.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) async fn look_at_preview(&self, commit: &str) -> anyhow::Result<Sight> {
        self.look(&self.preview()?, "the preview", commit).await
    }

    /// Opens production's page, which shows `commit`.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) async fn look_at_production(&self, commit: &str) -> anyhow::Result<Sight> {
        self.look(&self.production(), "production", commit).await
    }

    /// A Service hears of its pods' coming and going a moment later than a Deployment: for that moment a page may be
    /// the old one, or none because the API that it asks has just ended.
    async fn look(&self, namespace: &str, what: &str, commit: &str) -> anyhow::Result<Sight> {
        let sight = until(Instant::now() + MOMENT, async || {
            let answer = self.ground.kube.page(namespace, "web", 8080, "/").await?;
            Ok(Sight::read(&answer)
                .map_err(|error| format!("{error:#}"))
                .and_then(|sight| self.shows(sight, commit)))
        });
        let sight = sight.await.with_context(|| format!("{what}'s page"))?;
        self.progress.say(&format!("{what}'s page: {sight}"));
        Ok(sight)
    }

    /// The sight, if it is of `commit` and has rows from its database where there can be any.
    fn shows(&self, sight: Sight, commit: &str) -> Result<Sight, String> {
        if sight.commit != commit {
            return Err(format!("it should show {commit}: {sight}"));
        }
        // The sandbox's containers answer with a page that tells commit and environment.
        if sight.rows == 0 && self.ground.world().is_none() {
            return Err(format!("it shows no rows: {sight}"));
        }
        Ok(sight)
    }

    /// What makes this preview this one.
    pub(crate) async fn identity(&self) -> anyhow::Result<Identity> {
        let namespace = self.preview()?;
        let whole = self.object("v1", "Namespace", None, &namespace).await?;
        let secret = self
            .object("v1", "Secret", Some(&namespace), "app-secret")
            .await?;
        let text = |value: &Value, what: &str| {
            let text = value.as_str().map(str::to_owned);
            text.with_context(|| format!("the preview has no {what}"))
        };
        let volumes = self.volumes(&namespace).await?;
        let [volume] = &volumes[..] else {
            bail!("the preview should have one volume; it has {volumes:?}");
        };
        Ok(Identity {
            namespace: text(&whole["metadata"]["uid"], "uid")?,
            volume: volume.clone(),
            password: Secret(text(
                &secret["data"]["DATABASE_PASSWORD"],
                "database password",
            )?),
        })
    }

    /// Checks that the pods of production's servers run these images and no others.
    pub(crate) async fn production_runs(&self, images: &ResultFile) -> anyhow::Result<()> {
        let namespace = self.production();
        ensure!(!images.images.is_empty(), "no images were deployed");
        for (component, image) in &images.images {
            let component = component.as_str();
            let digest = image.digest.to_string();
            // The pods of the rollout before may still be ending.
            let ids = until(Instant::now() + PATIENCE, async || {
                let ids = self.image_ids(&namespace, component).await?;
                let all = !ids.is_empty() && ids.iter().all(|id| id.ends_with(&digest));
                Ok(match all {
                    true => Ok(ids),
                    false => Err(format!(
                        "production's {component} should run {digest}; its pods' imageIDs: {ids:?}"
                    )),
                })
            })
            .await?;
            let id = &ids[0];
            self.progress
                .say(&format!("production's {component} runs {id}"));
        }
        Ok(())
    }

    /// The imageIDs of the container `name` in the pods of `app`.
    async fn image_ids(&self, namespace: &str, name: &str) -> anyhow::Result<Vec<String>> {
        let pods = self.list("v1", "Pod", Some(namespace)).await?;
        let of_app = pods
            .iter()
            .filter(|pod| pod["metadata"]["labels"]["app"] == name);
        let containers = of_app.flat_map(|pod| {
            let statuses = pod["status"]["containerStatuses"].as_array();
            statuses.into_iter().flatten()
        });
        let ids = containers
            .filter(|container| container["name"] == name)
            .map(|container| container["imageID"].as_str().unwrap_or("").to_owned());
        Ok(ids.collect())
    }

    /// The names of the volumes that are bound to claims of a namespace.
    async fn volumes(&self, namespace: &str) -> anyhow::Result<Vec<String>> {
        let volumes = self.list("v1", "PersistentVolume", None).await?;
        let bound = volumes
            .iter()
            .filter(|volume| volume["spec"]["claimRef"]["namespace"] == namespace);
        let names =
            bound.map(|volume| volume["metadata"]["name"].as_str().unwrap_or("").to_owned());
        Ok(names.collect())
    }

    /// Checks that what is about to be destroyed can be seen: what is not seen now proves nothing when it is gone.
    pub(crate) async fn the_preview_can_be_seen(&self) -> anyhow::Result<()> {
        let namespace = self.preview()?;
        for kind in ["Pod", "PersistentVolumeClaim"] {
            let there = self.list("v1", kind, Some(&namespace)).await?;
            ensure!(!there.is_empty(), "{namespace} has no {kind}");
        }
        ensure!(
            !self.volumes(&namespace).await?.is_empty(),
            "{namespace} has no volume"
        );
        if let Some(containers) = self.ground.containers(&namespace).await? {
            ensure!(
                !containers.is_empty(),
                "the node has no containers of {namespace}"
            );
        }
        Ok(())
    }

    /// Checks that nothing of the preview is left: no namespace, claim, volume or container.
    pub(crate) async fn nothing_is_left_of_the_preview(&self) -> anyhow::Result<()> {
        let namespace = self.preview()?;
        let place = Place {
            api: "v1",
            kind: "Namespace",
            namespace: None,
        };
        let there = self.ground.kube.get(place, &namespace).await?;
        ensure!(there.is_none(), "the namespace {namespace} is still there");
        for kind in ["Pod", "PersistentVolumeClaim"] {
            let left = self.list("v1", kind, Some(&namespace)).await?;
            ensure!(left.is_empty(), "left of {namespace}: {left:?}");
        }
        let volumes = self.volumes(&namespace).await?;
        ensure!(volumes.is_empty(), "left of {namespace}: {volumes:?}");
        let seen = until(Instant::now() + GARBAGE, async || {
            Ok(match self.ground.containers(&namespace).await? {
                None => Ok("volume"),
                Some(left) if left.is_empty() => Ok("volume, container"),
                Some(left) => Err(format!("containers of {namespace} are left: {left:?}")),
            })
        })
        .await?;
        self.progress.say(&format!(
            "nothing is left of {namespace}: no namespace, pod, claim, {seen}"
        ));
        Ok(())
    }

    async fn object(
        &self,
        api: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> anyhow::Result<Value> {
        let place = Place {
            api,
            kind,
            namespace,
        };
        let found = self.ground.kube.get(place, name).await?;
        found.with_context(|| format!("there is no {kind} {name}"))
    }

    async fn list(
        &self,
        api: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> anyhow::Result<Vec<Value>> {
        let place = Place {
            api,
            kind,
            namespace,
        };
        self.ground.kube.list(place).await
    }

    // Production, before and after.

    /// Puts production there as it was before anybody had previews: the default branch's commit, with rows.
    pub(crate) async fn furnish_production(&self) -> anyhow::Result<()> {
        let commit = self.repository.head("main");
        let digests = self.publish(&commit, Edition::First, &commit).await?;
        self.publish_postgres().await?;
        let image = |name: &str| format!("{}@{}", self.ground.image(name), digests[name]);
        let namespace = self.production();
        let production = Production {
            namespace: &namespace,
            postgres: &self.ground.postgres(),
            web: &image("web"),
            api: &image("api"),
            password: "no secret: it ends with the play",
        };
        for object in production.ground() {
            self.ground.kube.create(&object).await?;
        }
        self.ready("StatefulSet", "database").await?;
        self.ground.kube.create(&production.seed()).await?;
        self.seeded().await?;
        for object in production.servers() {
            self.ground.kube.create(&object).await?;
        }
        for server in ["api", "web"] {
            self.ready("Deployment", server).await?;
        }
        self.progress
            .say(&format!("{namespace} runs {}", short(&commit)));
        Ok(())
    }

    /// Pushes the database server's image, which no CI of ours builds.
    pub(crate) async fn publish_postgres(&self) -> anyhow::Result<()> {
        self.ground.publish_postgres(self.folder.path()).await
    }

    async fn ready(&self, kind: &str, name: &str) -> anyhow::Result<()> {
        let namespace = self.production();
        until(Instant::now() + PATIENCE, async || {
            let object = self.object("apps/v1", kind, Some(&namespace), name).await?;
            let status = &object["status"];
            Ok(match status["readyReplicas"] == 1 {
                true => Ok(()),
                false => Err(format!(
                    "{kind}/{name} in {namespace} is not ready: {status}"
                )),
            })
        })
        .await
    }

    async fn seeded(&self) -> anyhow::Result<()> {
        let namespace = self.production();
        until(Instant::now() + PATIENCE, async || {
            let job = self
                .object("batch/v1", "Job", Some(&namespace), "seed")
                .await?;
            let status = &job["status"];
            Ok(match status["succeeded"] == 1 {
                true => Ok(()),
                false => Err(format!("Job/seed in {namespace} is not done: {status}")),
            })
        })
        .await
    }

    /// Checks that GitHub's own description had nothing against what was asked and answered.
    pub(crate) fn github_is_content(&self) -> anyhow::Result<()> {
        let violations = self.github.violations();
        ensure!(
            violations.is_empty(),
            "GitHub would not have this:\n{}",
            violations.join("\n")
        );
        let asked = self.github.traffic().exchanges().len();
        self.progress.say(&format!(
            "{asked} requests to GitHub, each as GitHub describes it"
        ));
        Ok(())
    }

    /// Removes what this play, or one of the same name before it, has on the cluster.
    pub(crate) async fn clear(&self) -> anyhow::Result<()> {
        let namespaces = self.list("v1", "Namespace", None).await?;
        let deadline = Instant::now() + PATIENCE;
        for namespace in namespaces {
            let name = namespace["metadata"]["name"].as_str().unwrap_or_default();
            let ours = name.starts_with(&format!("{}-pr-", self.name)) || name == self.production();
            if ours {
                self.ground.kube.remove_namespace(name, deadline).await?;
            }
        }
        Ok(())
    }
}

/// The beginning of a SHA, as people write it.
pub(crate) fn short(sha: &str) -> &str {
    sha.get(..7).unwrap_or(sha)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// Makes the folder, and removes the result files of a play before.
fn clear_results(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("result-") && name.ends_with(".json") {
            fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// The repository's files in the beginning: those of the example that its second edition changes, and a few more.
const EXAMPLE: &[(&str, &str)] = &[
    ("README.md", "Notes.\n"),
    (
        "web/src/headline.txt",
        include_str!("../../../examples/web/src/headline.txt"),
    ),
    (
        "api/src/notes.rs",
        include_str!("../../../examples/api/src/notes.rs"),
    ),
    (
        "api/seed.sql",
        include_str!("../../../examples/api/seed.sql"),
    ),
    (
        "api/migrations/0001_notes.sql",
        include_str!("../../../examples/api/migrations/0001_notes.sql"),
    ),
    (
        "api/migrations/0002_notes_are_not_empty.sql",
        include_str!("../../../examples/api/migrations/0002_notes_are_not_empty.sql"),
    ),
];

/// What the second edition changes.
const SECOND_EDITION: &[(&str, &str)] = &[
    (
        "web/src/headline.txt",
        include_str!("../../../examples/editions/second/web/src/headline.txt"),
    ),
    (
        "api/src/notes.rs",
        include_str!("../../../examples/editions/second/api/src/notes.rs"),
    ),
    (
        "api/seed.sql",
        include_str!("../../../examples/editions/second/api/seed.sql"),
    ),
    (
        "api/migrations/0003_notes_have_authors.sql",
        include_str!(
            "../../../examples/editions/second/api/migrations/0003_notes_have_authors.sql"
        ),
    ),
];
