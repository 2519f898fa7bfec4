//! GitHub and the cluster, as configuration and environment name them.

use std::time::Duration;

use preview_actions::{Failed, Outside as _, Runner};
use preview_alerts::Channel;
use preview_core::config::Config;
use preview_core::pulls::Repository;
use preview_core::record::{RecordKey, Trust};
use preview_github::GitHub;
use preview_k8s::Cluster;

use crate::{Arguments, alerts};

/// Everything outside, connected.
pub(crate) struct World<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) config: &'a Config,
    pub(crate) github: GitHub,
    pub(crate) cluster: Cluster,
    pub(crate) repository: Repository,
    /// How long taking one preview down may take.
    pub(crate) within: Duration,
    /// Who is told of what nobody is looking at.
    pub(crate) channels: Vec<Channel>,
    key: Option<RecordKey>,
}

impl<'a> World<'a> {
    /// Checks everything that can be checked without asking anybody, then asks GitHub which repository this is.
    pub(crate) async fn connect(
        runner: &'a Runner,
        config: &'a Config,
        arguments: &Arguments,
    ) -> Result<Self, Failed> {
        let settings = runner.environment().github()?;
        let key = runner.environment().record_key()?;
        let github = GitHub::connect(preview_github::Settings::new(
            settings.api_url,
            settings.token,
            settings.repository,
            runner.deadline_to_tell(),
        ))
        .misused()?;
        let cluster = Cluster::connect(preview_k8s::Settings {
            kubeconfig: arguments.options.kubeconfig.clone(),
            ..preview_k8s::Settings::inferred("preview-cleanup")
        })
        .await
        .misused()?;
        let channels = alerts::channels(runner, config);
        let repository = github.repository().await.outside()?;
        runner.know(|result| result.repository = Some(repository.slug.clone()));
        Ok(Self {
            runner,
            config,
            github,
            cluster,
            repository,
            within: arguments.time(),
            channels,
            key,
        })
    }

    /// Which records are believed.
    pub(crate) fn trust(&self) -> Trust<'_> {
        self.config.promote.trust(self.key.as_ref())
    }
}
