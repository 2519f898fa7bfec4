//! A commit that is previewed by itself.

use preview_core::outcome::{Program, ResultFile};

use super::{Stage, runs::Event, short};
use crate::images::Edition;

impl Stage {
    /// Builds a commit of the default branch, and pushes the images under its tag.
    pub(crate) async fn ci_builds_the_commit(
        &self,
        commit: &str,
        edition: Edition,
    ) -> anyhow::Result<()> {
        self.publish(commit, edition, commit).await?;
        let commit = short(commit);
        self.progress
            .say(&format!("CI built {commit} and tagged the images with it"));
        Ok(())
    }

    /// Runs `preview-deploy --commit`; from then on, the preview of the play is that of the commit.
    pub(crate) async fn deploy_commit(&mut self, commit: &str) -> anyhow::Result<ResultFile> {
        self.commit = Some(commit.to_owned());
        let ended = self.run_of_commit(Program::Deploy, commit).await?;
        Ok(ended.with(0, "deployed")?.result)
    }

    /// Runs `preview-cleanup --commit`.
    pub(crate) async fn cleanup_commit(&mut self, commit: &str) -> anyhow::Result<ResultFile> {
        let ended = self.run_of_commit(Program::Cleanup, commit).await?;
        Ok(ended.with(0, "destroyed")?.result)
    }

    /// Runs `preview-promote` for a push that it refuses; gives the reason.
    pub(crate) async fn promote_refused(&mut self, commit: &str) -> anyhow::Result<String> {
        let event = Event::Push(commit.to_owned());
        let ended = self.run(Program::Promote, event).await?;
        Ok(ended.with(1, "refused")?.result.reason)
    }

    async fn run_of_commit(
        &mut self,
        program: Program,
        commit: &str,
    ) -> anyhow::Result<super::super::programs::Ended> {
        let event = Event::Push(commit.to_owned());
        self.run_with(program, event, &["--commit", commit]).await
    }
}
