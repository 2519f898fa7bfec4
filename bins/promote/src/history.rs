//! What was promoted, as the deployments of the targets tell it.

use preview_actions::{Conclusion, Failed, Outside as _};
use preview_core::config::Target;
use preview_core::deployments::{FAILED_PROMOTION, PROMOTION};
use preview_core::promote::{Promotion, Told, table};
use preview_github::DeploymentFilter;

use crate::world::World;

impl World<'_> {
    /// Shows the newest promotions to each target, `limit` of each.
    ///
    /// # Errors
    /// When GitHub cannot be asked.
    pub(crate) async fn history(
        &self,
        targets: &[&Target],
        limit: usize,
    ) -> Result<Conclusion, Failed> {
        let mut all = Vec::new();
        for target in targets {
            let of_target = DeploymentFilter {
                environment: Some(target.name.to_string()),
                ..DeploymentFilter::default()
            };
            let deployments = self.github.deployments(&of_target).await.outside()?;
            let told = deployments.into_iter().filter_map(|deployment| {
                let is_ours = [PROMOTION, FAILED_PROMOTION].contains(&deployment.task.as_str());
                Some(Told {
                    target: target.name.to_string(),
                    at: deployment.created_at,
                    promotion: Promotion::read(&deployment.payload).filter(|_| is_ours)?,
                })
            });
            all.extend(told.take(limit));
        }
        all.sort_by_key(|told| std::cmp::Reverse(told.at));
        let console = self.runner.console();
        if !all.is_empty() {
            for line in table(&all, self.runner.environment().columns()) {
                console.line(&line);
            }
        }
        let told = match all.len() {
            1 => "1 promotion".to_owned(),
            count => format!("{count} promotions"),
        };
        self.runner.know(|result| result.history = all);
        Ok(Conclusion::done("listed", told))
    }
}
