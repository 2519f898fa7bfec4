//! What older runs have left in previews (`preview_core::leftovers`) is removed.

use std::collections::BTreeMap;

use preview_actions::{Failed, Outside as _};
use preview_core::leftovers::completed;
use preview_core::names::{Fence, NamespaceName};
use preview_core::objects::NamespaceFacts;
use preview_core::ownership::Owner;
use preview_core::sweep::{Measure, Swept};
use preview_k8s::Fenced;

use crate::sweep::{Sweep, failure};

impl Sweep<'_> {
    /// Removes what was left in previews whose run has succeeded. Only where there is something, GitHub is asked.
    pub(crate) async fn pruned(&self, previews: &[NamespaceFacts]) -> Vec<Swept> {
        let settled = previews
            .iter()
            .filter_map(|preview| Some((preview.name.clone(), completed(preview)?)));
        let settled: BTreeMap<NamespaceName, Fence> = settled.collect();
        if settled.is_empty() {
            return Vec::new();
        }
        let cluster = &self.world.cluster;
        let ours = Owner::selector_of_repository(self.world.repository.id);
        let found = match cluster.with_leftovers(&ours, &settled).await {
            Ok(found) => found,
            Err(error) => {
                let warning = format!("what older runs left in previews stays: {error}");
                self.world.runner.console().warning(&warning);
                return Vec::new();
            }
        };
        let mut swept = Vec::new();
        for preview in previews.iter().filter(|one| found.contains(&one.name)) {
            let pruned = self.prune(preview).await;
            swept.extend(pruned.unwrap_or_else(|failed| Some(failure(preview, &failed))));
        }
        swept
    }

    async fn prune(&self, preview: &NamespaceFacts) -> Result<Option<Swept>, Failed> {
        let (Some(subject), Some(head)) = (preview.subject(), preview.head()) else {
            return Ok(None);
        };
        let Some(fence) = completed(preview) else {
            return Ok(None);
        };
        let (cluster, github) = (&self.world.cluster, &self.world.github);
        if !github.run_has_succeeded(fence).await.outside()? {
            return Ok(None);
        }
        let claimant = self.claimant(&subject, fence, head);
        let prune = cluster.prune_leftovers(&claimant, &preview.name);
        let step = self.world.runner.step("prune", &preview.name, prune);
        let Fenced::Done(removed) = step.await.outside()? else {
            return Ok(None);
        };
        if removed.is_empty() {
            return Ok(None);
        }
        let removed: Vec<String> = removed.iter().map(ToString::to_string).collect();
        let why = format!("runs before {fence} had left {} there", removed.join(", "));
        Ok(Some(Swept::new(preview, Measure::Pruned, why)))
    }
}
