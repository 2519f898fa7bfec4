//! A fork, and who builds for it.

use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, ensure};
use preview_core::{
    import,
    outcome::{Program, ResultFile},
};
use serde_json::Value;

use super::super::repository::SECOND_EDITION;
use super::{Built, Stage, runs::Event, short};
use crate::images::Edition;

/// Whose fork it is.
const AUTHOR: &str = "mallory";

impl Stage {
    /// Opens a pull request from somebody's fork, with the example's second edition on a branch of this name.
    pub(crate) fn open_pull_request_from_fork(&mut self, branch: &str) -> anyhow::Result<()> {
        let note = (branch, "By me.\n");
        let changes = [SECOND_EDITION, &[note]].concat();
        let number = self
            .repository
            .open_pull_request_from_fork(AUTHOR, branch, &changes);
        self.pull = Some(number);
        let head = self.repository.head_of(number);
        let sha = short(&head);
        self.progress.say(&format!(
            "#{number} is open from {AUTHOR}'s fork at H = {sha}"
        ));
        Ok(())
    }

    /// The pull request's own run ends well, and has pushed nothing: it may not.
    pub(crate) fn the_forks_ci_pushes_nothing(&self) -> anyhow::Result<()> {
        let run = self.repository.start_run(self.number()?, "ci.yml");
        self.repository.finish_run(run, "success");
        Ok(())
    }

    /// Runs `preview-deploy plan` for what is not built yet; gives what it says.
    pub(crate) async fn plan_of_fork(&mut self) -> anyhow::Result<String> {
        let plan = self.run_with(Program::Deploy, Event::WorkflowRun, &["plan"]);
        Ok(plan.await?.with(0, "unbuilt")?.result.reason)
    }

    /// Builds the pull request's test merge into an archive for each component.
    pub(crate) async fn builds_layouts(&self, edition: Edition) -> anyhow::Result<Built> {
        let number = self.number()?;
        let head = self.repository.head_of(number);
        let test_merge = self.repository.merge_commit_of(number);
        let test_merge = test_merge.context("the pull request conflicts with its base")?;
        let folder = self.folder.path().join(format!("images-{test_merge}"));
        let example = self.ground.example(&test_merge, edition, &folder).await?;
        let to = self.layouts();
        fs::create_dir_all(&to).with_context(|| format!("make {}", to.display()))?;
        let mut digests = BTreeMap::new();
        for (component, layout) in [("web", &example.web), ("api", &example.api)] {
            let archive = to.join(format!("{component}.tar"));
            layout.archive(&archive)?;
            digests.insert(component.to_owned(), layout.digest().to_owned());
            self.ground
                .has_package(layout, component, &[&head, &format!("pr-{number}")])?;
        }
        let b = short(&test_merge);
        self.progress.say(&format!(
            "B = {b} is built into an OCI layout for each component"
        ));
        Ok(Built {
            head,
            test_merge,
            digests,
        })
    }

    fn layouts(&self) -> std::path::PathBuf {
        self.folder.path().join("layouts")
    }

    /// Runs `preview-deploy import` with the layouts that were built last.
    pub(crate) async fn import(&mut self, built_by: &str) -> anyhow::Result<ResultFile> {
        let layouts = self.layouts().display().to_string();
        let import = ["import", "--layouts", &layouts, "--built-by", built_by];
        let ended = self.run_with(Program::Deploy, Event::WorkflowRun, &import);
        Ok(ended.await?.with(0, "imported")?.result)
    }

    /// Checks that the registry has the images by their digests.
    pub(crate) async fn is_tagged(&self, built: &Built) -> anyhow::Result<()> {
        for (component, digest) in &built.digests {
            let is_there = self.ground.holds(component, digest).await?;
            ensure!(is_there, "the registry lacks {component} as {digest}");
        }
        Ok(())
    }

    /// Checks who built all images of the newest record.
    pub(crate) fn the_record_says_built_by(&self, whom: &str) -> anyhow::Result<()> {
        let deployments = self.repository.deployments();
        let mut texts = deployments
            .iter()
            .filter_map(|deployment| deployment.payload["record"].as_str());
        let text = texts.next_back().context("there is no record")?;
        let record: Value = serde_json::from_str(text).context("read the record")?;
        let components = record["components"]
            .as_object()
            .context("it names no components")?;
        for (component, recorded) in components {
            ensure!(
                recorded["built_by"] == whom,
                "{component} is recorded as {recorded}"
            );
        }
        self.progress
            .say(&format!("the record says: built by {whom}"));
        Ok(())
    }

    /// Checks that what told of imports is put away.
    pub(crate) fn no_import_is_active(&self) -> anyhow::Result<()> {
        let deployments = self.repository.deployments();
        let mut imports = deployments
            .iter()
            .filter(|deployment| deployment.payload["kind"] == import::KIND);
        let active = imports.find(|deployment| deployment.state != "inactive");
        ensure!(active.is_none(), "{active:?} is active");
        Ok(())
    }
}
