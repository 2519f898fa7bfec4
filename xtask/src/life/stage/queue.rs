//! Many pull requests at once.

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use preview_core::outcome::Program;
use sandbox::github::Dispatch;

use super::{super::programs::Ended, Stage, runs::Event};
use crate::images::Edition;

/// The workflow that deploys, as a configuration that says nothing of it names it.
const WORKFLOW: &str = "preview-deploy.yml";

impl Stage {
    /// Previews are of the page alone, from now on: a node has room for many.
    pub(crate) fn uses_small_previews(&mut self) {
        self.small = true;
        let inputs = ["pr", "sha"];
        self.repository.add_dispatched_workflow(WORKFLOW, &inputs);
    }

    pub(super) fn small_configuration(&self) -> String {
        let (name, image, registry) = (&self.name, self.ground.image("web"), &self.ground.registry);
        format!(
            "namespace = \"{name}-pr-{{pr}}\"\ndeadline = \"5m\"\nhost = \"{{pr}}.pr.example.com\"\n\n\
             [components.web]\nimage = \"{image}\"\npath = \"/\"\nenv = {{ API_URL = \"http://api:8080\" }}\n\n\
             [registry]\nplain_http = [\"{registry}\"]\n{}",
            self.sections
        )
    }

    /// Opens pull requests, and CI builds the page of each.
    pub(crate) async fn open_pull_requests(&mut self, count: usize) -> anyhow::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for n in 1..=count {
            let (branch, file) = (format!("feature/{n}"), format!("docs/{n}.md"));
            let number = self
                .repository
                .open_pull_request(&branch, &[(&file, "Soon.\n")]);
            self.ci_builds_a_page(number).await?;
            numbers.push(number);
        }
        Ok(numbers)
    }

    /// Builds the page of the pull request's head, and pushes it under the head's tag.
    pub(crate) async fn ci_builds_a_page(&self, number: u64) -> anyhow::Result<()> {
        let revision = self.repository.merge_commit_of(number);
        let revision = revision.context("the pull request conflicts with its base")?;
        let folder = self.folder.path().join(format!("images-{number}"));
        let head = self.repository.head_of(number);
        let page = self
            .ground
            .publish_page(&revision, Edition::First, &head, &folder);
        page.await.map(drop)
    }

    /// Runs `preview-deploy` for all of these at the same time; gives each with how it ended.
    pub(crate) async fn deploy_at_once(
        &mut self,
        numbers: &[u64],
    ) -> anyhow::Result<Vec<(u64, Ended)>> {
        let mut prepared = Vec::new();
        for &number in numbers {
            self.pull = Some(number);
            let run = self.prepared(Program::Deploy, Event::WorkflowRun, &[])?;
            prepared.push((number, run));
        }
        let stage = &*self;
        let all = prepared.into_iter().map(|(number, run)| async move {
            Ok::<_, anyhow::Error>((number, stage.started(run).await?))
        });
        try_join_all(all).await
    }

    /// Closes a pull request, and runs `preview-cleanup` for it.
    pub(crate) async fn close_and_clean_up(&mut self, number: u64) -> anyhow::Result<()> {
        self.pull = Some(number);
        self.close()?;
        self.cleanup().await?;
        self.nothing_is_left_of_the_preview().await
    }

    /// Does what GitHub does with the one dispatch that was asked for: runs the workflow's program with its inputs.
    pub(crate) async fn github_starts(&mut self, number: u64) -> anyhow::Result<Ended> {
        let dispatches = self.repository.dispatches();
        let [
            Dispatch {
                workflow, inputs, ..
            },
        ] = dispatches.as_slice()
        else {
            anyhow::bail!("one workflow should have been started: {dispatches:?}");
        };
        self.pull = Some(number);
        let head = self.repository.head_of(number);
        let wanted = serde_json::json!({ "pr": number.to_string(), "sha": head });
        ensure!(
            workflow == WORKFLOW && *inputs == wanted,
            "{WORKFLOW} should be started with {wanted}: {workflow} with {inputs}"
        );
        let arguments = ["--pr", &number.to_string(), "--sha", &head];
        let ended = self.run_with(Program::Deploy, Event::WorkflowRun, &arguments);
        ended.await
    }
}
