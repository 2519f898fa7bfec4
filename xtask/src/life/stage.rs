//! The stage: a pull request on the sandbox's GitHub, and whatever cluster and registry the ground gives, with a verb
//! for everything that people, CI and the three programs do.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use sandbox::github::{GitHub, MergeStyle, Repository};
use tempfile::TempDir;

use super::{
    ground::{Ground, OWNER, REPOSITORY, Script},
    production::TARGET,
    programs::Programs,
    progress::Progress,
    repository::{EXAMPLE, SECOND_EDITION},
};
use crate::images::Edition;

mod approval;
mod beside;
mod commits;
mod database;
mod edge;
mod forks;
mod furnish;
mod golden;
mod links;
mod monorepo;
mod overlay;
mod promotion;
mod queue;
mod quota;
mod routes;
mod runs;
mod sights;
mod sleep;
pub(crate) mod workflows;

pub(crate) use links::as_read;
pub(crate) use monorepo::deployed;
pub(crate) use runs::{Event, Prepared, USUAL_PATH};
pub(crate) use sights::Identity;

/// Until something is there, or gone: on a node of two cores, with images to pull.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How much longer each Namespace may take to go, where there are many.
const EACH: Duration = Duration::from_secs(1);
/// How many Namespaces are removed at a time.
const AT_A_TIME: usize = 16;

/// Everything a play needs.
pub(crate) struct Stage {
    pub(crate) progress: Progress,
    pub(crate) github: GitHub,
    pub(crate) repository: Repository,
    pub(crate) ground: Arc<Ground>,
    programs: Programs,
    /// Where the result files go.
    results: PathBuf,
    /// Goes with the stage.
    folder: TempDir,
    /// The Namespaces' names begin with it: two plays on one cluster have two.
    name: String,
    /// A run's number is greater than that of every run before, also of a play that was killed.
    first_run: u64,
    /// How many runs of programs there were.
    runs: u64,
    /// Whether a promotion has brought anything to production: the first one has to be told that it may.
    is_adopted: bool,
    /// The pull request, once it is open.
    pull: Option<u64>,
    /// The commit whose preview is looked at, in place of the pull request's.
    commit: Option<String>,
    /// The database server's image, as the configuration names it.
    postgres: String,
    /// Name and password that the preview's images are pulled with; both empty where there are none.
    pub(crate) pull_login: (String, String),
    /// What the configuration says otherwise than the example's.
    changes: Vec<(String, String)>,
    /// The page alone, where previews are no more than that.
    alone: Option<Alone>,
    /// What the overlay has besides, where previews are made of the overlay.
    overlay: Option<&'static str>,
    /// Sections that the configuration has besides.
    sections: String,
    /// Keys that the configuration's `[database]` has besides.
    database: String,
    /// Where the preview's volumes were on this machine when they were seen.
    folders: Vec<PathBuf>,
    /// How often somebody typed into the database.
    typed: u32,
    /// How many copies of production's database were made.
    copies: u32,
    /// Whether previews are of the page alone, without a database.
    small: bool,
    /// The run in which somebody approves what is deployed, where that is wanted.
    gate: Option<approval::Gate>,
}

/// A preview that is a page and nothing else.
struct Alone {
    /// As the workflow rendered them.
    manifests: String,
    /// What is configured of its check.
    check: &'static str,
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

impl Stage {
    /// Sets the stage: a repository with the example in it on a fresh GitHub, and the certificate that previews share on
    /// the cluster. Whatever a play of the same name that was killed left on the cluster is removed.
    ///
    /// # Errors
    /// When the remains cannot be removed, or `results` not be made.
    pub(crate) async fn set(
        name: &str,
        github: GitHub,
        ground: Ground,
        programs: Programs,
        progress: Progress,
        results: &Path,
    ) -> anyhow::Result<Self> {
        // Plays that begin within one second have commits of their own, and so tags in the one registry.
        let files = [EXAMPLE, &[("PLAY", name)]].concat();
        let repository = github.create_repository(&format!("{OWNER}/{REPOSITORY}"), &files);
        let seconds = UNIX_EPOCH.elapsed().context("read the clock")?.as_secs();
        let stage = Self {
            postgres: ground.postgres(),
            progress,
            github,
            repository,
            ground: Arc::new(ground),
            programs,
            results: std::path::absolute(results).context("find the folder for results")?,
            folder: tempfile::tempdir().context("make a folder for the play")?,
            name: name.to_owned(),
            first_run: seconds,
            runs: 0,
            is_adopted: false,
            pull: None,
            commit: None,
            pull_login: Default::default(),
            changes: Vec::new(),
            alone: None,
            overlay: None,
            sections: String::new(),
            database: String::new(),
            folders: Vec::new(),
            typed: 0,
            copies: 0,
            small: false,
            gate: None,
        };
        clear_results(results)?;
        stage.clear().await?;
        stage.furnish_edge().await?;
        Ok(stage)
    }

    /// From now on the programs have this kubeconfig.
    pub(crate) fn acts_with(&mut self, kubeconfig: &Path) -> anyhow::Result<()> {
        let ground = Arc::get_mut(&mut self.ground).context("workflows are running")?;
        kubeconfig.clone_into(&mut ground.kubeconfig);
        Ok(())
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

    pub(crate) fn number(&self) -> anyhow::Result<u64> {
        self.pull.context("no pull request is open yet")
    }

    /// The preview's Namespace.
    pub(crate) fn preview(&self) -> anyhow::Result<String> {
        let of = match &self.commit {
            Some(commit) => format!("c{}", commit.get(..12).unwrap_or(commit)),
            None => self.number()?.to_string(),
        };
        Ok(format!("{}-pr-{of}", self.name))
    }

    /// Production's Namespace.
    pub(crate) fn production(&self) -> String {
        format!("{}-{TARGET}", self.name)
    }

    // What people do.

    /// Opens a pull request of one commit.
    pub(crate) fn open_pull_request(&mut self) -> u64 {
        let changes = &[("README.md", "Notes. Soon they will tell who wrote them.\n")];
        self.open("feature/who-wrote-it", changes)
    }

    /// Opens a pull request of one commit with these files.
    pub(crate) fn open(&mut self, branch: &str, changes: &[(&str, &str)]) -> u64 {
        let number = self.repository.open_pull_request(branch, changes);
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

    /// Opens the closed pull request again.
    pub(crate) fn reopen(&self) -> anyhow::Result<()> {
        let number = self.number()?;
        self.repository.reopen(number);
        self.progress.say(&format!("#{number} is opened again"));
        Ok(())
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

    /// Builds the page of the pull request's head once more: the tag means another index of the same manifests by then.
    pub(crate) async fn ci_builds_the_page_again(&self, built: &Built) -> anyhow::Result<()> {
        let folder = self.folder.path().join("images-once-more");
        let page = self
            .ground
            .build("web", &built.test_merge, Edition::First, &folder);
        let page = page.await?.built_again()?;
        let again = self.ground.publish(&page, "web", &built.head).await?;
        let before = &built.digests["web"];
        ensure!(again != *before, "it is the same index: {again}");
        self.progress.say(&format!(
            "CI built the page again: {again} lists the manifests that {before} lists"
        ));
        Ok(())
    }

    /// Builds the page of the pull request's head once more, as a shell script.
    pub(crate) async fn ci_builds_a_script(&self, page: &Script) -> anyhow::Result<()> {
        let number = self.number()?;
        let head = self.repository.head_of(number);
        let test_merge = self.repository.merge_commit_of(number);
        let test_merge = test_merge.context("the pull request conflicts with its base")?;
        let folder = self.folder.path();
        self.ground
            .publish_script(page, &test_merge, &head, folder)
            .await
    }

    /// From now on the preview is the page alone, of these manifests, and its page is checked where `check` says so.
    pub(crate) fn is_the_page_alone(&mut self, manifests: String, check: &'static str) {
        self.alone = Some(Alone { manifests, check });
    }

    /// Builds and pushes the example.
    async fn publish(
        &self,
        revision: &str,
        edition: Edition,
        tag: &str,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let folder = self.folder.path().join(format!("images-{revision}"));
        self.ground
            .publish_example(revision, edition, tag, &folder)
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

    /// Clears the stage, whatever came of the play.
    ///
    /// # Errors
    /// What stopped the play, with the act that it stopped in; else what is in the way of clearing.
    pub(crate) async fn cleared_after(&mut self, played: anyhow::Result<()>) -> anyhow::Result<()> {
        let act = self.progress.current();
        let played = played.with_context(|| format!("the play stops in {act}"));
        self.act("The stage is cleared");
        let cleared = self.clear().await.context("clear the stage");
        played.and(cleared)
    }

    /// Removes what this play, or one of the same name before it, has on the cluster.
    pub(crate) async fn clear(&self) -> anyhow::Result<()> {
        let namespaces = self.list("v1", "Namespace", None).await?;
        let names = namespaces
            .iter()
            .filter_map(|it| it["metadata"]["name"].as_str());
        let ours: Vec<&str> = names
            .filter(|name| {
                name.starts_with(&format!("{}-pr-", self.name))
                    || *name == self.production()
                    || *name == self.edge()
                    || *name == self.golden()
            })
            .collect();
        let deadline = Instant::now() + PATIENCE + EACH * u32::try_from(ours.len())?;
        let removed = ours
            .iter()
            .map(|name| self.ground.kube.remove_namespace(name, deadline));
        let removed = stream::iter(removed).buffer_unordered(AT_A_TIME);
        removed.try_collect::<Vec<()>>().await?;
        self.clear_snapshots().await
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
