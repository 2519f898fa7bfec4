//! Time that goes by without anybody deploying.

use std::time::Instant;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use preview_core::{
    outcome::{Program, ResultFile},
    ownership::{Claim, keys},
};
use serde_json::json;

use super::{
    super::kube::{Place, until},
    Built, PATIENCE, Stage,
    runs::Event,
};

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

    /// Checks that the images that CI built are gone from the registry, and the database server's is not.
    pub(crate) async fn images_are_gone(&self, built: &Built) -> anyhow::Result<()> {
        for (component, digest) in &built.digests {
            until(Instant::now() + PATIENCE, async || {
                Ok(match self.ground.holds(component, digest).await? {
                    false => Ok(()),
                    true => Err(format!("the registry has {component}@{digest} still")),
                })
            })
            .await?;
        }
        self.progress
            .say("the images of the pull request are gone from the registry");
        Ok(())
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
