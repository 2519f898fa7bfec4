//! The record: what was tested, for promotion to believe.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use jiff::Timestamp;
use preview_actions::{Failed, Outside as _};
use preview_core::deployments::{ENVIRONMENT, RECORD};
use preview_core::names::ComponentName;
use preview_core::objects::{Kind, ObjectName};
use preview_core::record::{Record, Recorded, VERSION};
use preview_github::{DeploymentRequest, DeploymentState, NewDeploymentStatus};

use crate::Deploy;
use crate::stop::Stop;
use crate::story::Story;

impl Deploy<'_> {
    /// Keeps what was tested in a deployment of its own: created only now that everything is ready.
    pub(crate) async fn record(&self, story: &mut Story<'_>) -> Result<(), Stop> {
        let pods = self.pods().await?;
        // Only now: what the pods of another run's images report is none of this record.
        if let Some(newer) = self.taken_over().await? {
            return Err(Stop::superseded_by(newer.fence()));
        }
        let record = Record {
            version: VERSION,
            repository: self.claimant.owner.repository,
            slug: self.claimant.repository.clone(),
            subject: self.previewed.subject(),
            head: self.previewed.head.clone(),
            tree: self.accepted.tree.clone(),
            base: self.accepted.base.clone(),
            components: self.components(),
            pods,
            run: self.claimant.fence,
            approval: self.approved.as_ref().map(|kept| kept.approved.clone()),
            tested_at: Timestamp::now(),
        };
        let key = self.world.key.as_ref();
        if key.is_none() {
            self.runner.console().warning(
                "PREVIEW_RECORD_KEY is not set, so the record of what was tested is unsigned and preview-promote will \
                 refuse it; set the secret in the environment of this job",
            );
        }
        let request = DeploymentRequest {
            reference: self.previewed.head.clone(),
            environment: ENVIRONMENT.to_owned(),
            task: RECORD.to_owned(),
            description: format!(
                "Tested: {} at {}",
                record.subject,
                self.previewed.head.short()
            ),
            payload: record.payload(key),
            production: false,
            transient: true,
        };
        let kept = async {
            let github = &self.world.github;
            let deployment = github.create_deployment(&request).await?;
            let tested = NewDeploymentStatus {
                state: DeploymentState::Success,
                description: "Tested in a preview".to_owned(),
                log_url: self.runner.environment().run_url(),
                environment_url: Some(self.preview.url()),
            };
            github.set_deployment_status(deployment.id, &tested).await?;
            Ok::<_, preview_github::Error>(deployment)
        };
        let subject = &record.subject;
        let kept = self
            .runner
            .step("record", format!("test of {subject}"), kept)
            .await
            .outside()?;
        story.record = Some(kept.id);
        story.own.push(kept.node);
        Ok(())
    }

    fn components(&self) -> BTreeMap<ComponentName, Recorded> {
        let images = self.accepted.images.iter();
        images
            .map(|(component, accepted)| {
                let recorded = Recorded {
                    image: accepted.image.clone(),
                    built_from: accepted.built_from.clone(),
                    built_by: accepted.built_by,
                    unchanged_since: accepted
                        .unchanged
                        .as_ref()
                        .map(|tested| tested.since.clone()),
                };
                (component.clone(), recorded)
            })
            .collect()
    }

    /// The image ids that the pods of each component report.
    async fn pods(&self) -> Result<BTreeMap<ComponentName, Vec<String>>, Failed> {
        let namespace = self.preview.namespace_name();
        let pods = self.accepted.images.keys().map(|component| async move {
            let workload = ObjectName::new(Kind::Deployment, component.as_str());
            let pods = self
                .world
                .cluster
                .pods(namespace, &workload)
                .await
                .outside()?;
            let containers = pods.into_iter().flat_map(|pod| pod.containers);
            let mut ids: Vec<String> = containers
                .filter(|container| container.name == component.as_str())
                .map(|container| container.image_id)
                .collect();
            ids.sort();
            ids.dedup();
            Ok::<_, Failed>((component.clone(), ids))
        });
        Ok(try_join_all(pods).await?.into_iter().collect())
    }
}
