//! Time that goes by without anybody deploying.

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use preview_core::{
    outcome::{Program, ResultFile},
    ownership::{Claim, keys},
};
use serde_json::json;

use super::{super::kube::Place, Stage, runs::Event};

const NAMESPACE: Place<'_> = Place {
    api: "v1",
    kind: "Namespace",
    namespace: None,
};

impl Stage {
    /// Nobody has deployed the preview for a day.
    pub(crate) async fn a_day_goes_by(&self) -> anyhow::Result<()> {
        let yesterday = Timestamp::now() - SignedDuration::from_hours(24);
        let annotations = json!({ keys::ACTIVE: yesterday.to_string() });
        let annotate = json!({ "metadata": { "annotations": annotations } });
        let name = self.preview()?;
        self.ground.kube.change(NAMESPACE, &name, &annotate).await?;
        self.progress
            .say("a day goes by, and nobody deploys the preview");
        Ok(())
    }

    /// Runs `preview-deploy wake`.
    pub(crate) async fn wake(&mut self) -> anyhow::Result<ResultFile> {
        let number = self.number()?.to_string();
        let wake = ["wake", "--pr", &number];
        let ended = self.run_with(Program::Deploy, Event::Schedule, &wake);
        Ok(ended.await?.with(0, "deployed")?.result)
    }

    /// The preview's claim on a slot.
    pub(crate) async fn claim(&self) -> anyhow::Result<Option<Claim>> {
        let name = self.preview()?;
        let namespace = self.object("v1", "Namespace", None, &name).await?;
        let claim = namespace["metadata"]["annotations"][keys::CLAIM].as_str();
        claim
            .map(str::parse)
            .transpose()
            .context("read the preview's claim")
    }

    /// The preview's pods that have not ended.
    pub(crate) async fn running_pods(&self) -> anyhow::Result<Vec<String>> {
        let pods = self.list("v1", "Pod", Some(&self.preview()?)).await?;
        let has_ended = |phase: Option<&str>| matches!(phase, Some("Succeeded" | "Failed"));
        let running = pods
            .iter()
            .filter(|pod| !has_ended(pod["status"]["phase"].as_str()));
        let names = running.filter_map(|pod| pod["metadata"]["name"].as_str());
        Ok(names.map(str::to_owned).collect())
    }
}
