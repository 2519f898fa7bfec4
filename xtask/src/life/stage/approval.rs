//! A head that somebody has to approve: who is asked, and who says yes.

use anyhow::{Context as _, ensure};
use preview_core::{
    deploy::{GATE, Need},
    deployments::ENVIRONMENT,
    outcome::{Program, ResultFile},
};
use sandbox::github::Environment;

use super::{Stage, runs::Event};

/// Who approves.
const REVIEWER: &str = "anna";

/// A run of the deploy workflow that waits for its reviewer.
pub(crate) struct Gate {
    pub(super) run: u64,
    /// What was shown, as `ask` has put it out.
    images: String,
}

impl Stage {
    /// From now on every head has to be approved: `preview-deploy ask` shows what would run, in a run of the deploy workflow.
    ///
    /// # Errors
    /// When it does not say that somebody has to approve it.
    pub(crate) async fn ask(&mut self) -> anyhow::Result<ResultFile> {
        let repository = &self.repository;
        repository.set_environment(Environment::new(GATE).reviewers(&[REVIEWER]));
        repository.set_environment(Environment::new(ENVIRONMENT).branches(&["main"]));
        let number = self.number()?;
        let head = repository.head_of(number);
        let title = format!("preview of #{number} at {head}");
        let run = repository.wait_for_approval("preview-deploy.yml", GATE, &title);
        let images = String::new();
        self.gate = Some(Gate { run, images });
        let asked = self.run_with(Program::Deploy, Event::WorkflowRun, &["ask"]);
        let result = asked.await?.with(0, "asked")?.result;
        ensure!(
            result.approval == Some(Need::Required),
            "somebody should have to approve it: {:?}",
            result.approval
        );
        let images = serde_json::to_string(&result.images).context("write what was shown")?;
        self.gate = Some(Gate { run, images });
        Ok(result)
    }

    /// Somebody looks at what would run and approves it; gives what runs then.
    ///
    /// # Errors
    /// When it is not deployed, or nobody was asked.
    pub(crate) async fn approved(&mut self) -> anyhow::Result<ResultFile> {
        let Gate { run, images } = self.gate.as_ref().context("nobody was asked")?;
        self.repository.approve(*run, GATE, REVIEWER);
        self.progress.say(&format!("{REVIEWER} approves run {run}"));
        let (run, images) = (*run, images.clone());
        let shown = ["--images", images.as_str()];
        let ended = self.run_with(Program::Deploy, Event::WorkflowRun, &shown);
        let result = ended.await?.with(0, "deployed")?.result;
        self.repository.finish_run(run, "success");
        let by = result.approved.as_ref().map(|approved| &*approved.by);
        ensure!(
            by == Some(REVIEWER),
            "the preview should say who approved it: {by:?}"
        );
        Ok(result)
    }
}
