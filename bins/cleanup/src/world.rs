//! GitHub and the cluster, as configuration and environment name them.

use std::collections::BTreeSet;
use std::time::Duration;

use preview_actions::{Failed, Outside as _, RegistryLogin, Runner};
use preview_alerts::Channel;
use preview_core::config::Config;
use preview_core::pulls::Repository;
use preview_core::record::{RecordKey, Trust};
use preview_github::event::Account;
use preview_github::{Deployment, GitHub, NodeId};
use preview_k8s::Cluster;
use preview_registry::Registry;
use tokio::sync::OnceCell;

use crate::{Arguments, alerts};

/// Everything outside, connected.
pub(crate) struct World<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) config: &'a Config,
    pub(crate) github: GitHub,
    pub(crate) cluster: Cluster,
    pub(crate) registry: Registry,
    pub(crate) repository: Repository,
    /// How long taking one preview down may take.
    pub(crate) within: Duration,
    /// Who is told of what nobody is looking at.
    pub(crate) channels: Vec<Channel>,
    key: Option<RecordKey>,
    /// What each target runs, once somebody has asked.
    pub(crate) promoted: OnceCell<Vec<Option<Deployment>>>,
    /// All deployments of previews, once somebody has asked.
    pub(crate) deployments: OnceCell<Vec<Deployment>>,
    /// Which of them were not inactive.
    pub(crate) active: OnceCell<BTreeSet<NodeId>>,
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
        let login = runner
            .environment()
            .registry(&config.registries())?
            .map(RegistryLogin::into_parts);
        let plain_http = config.registry.plain_http.clone();
        let registry = preview_registry::Settings::new(login, plain_http);
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
        let registry = Registry::new(registry).outside()?;
        let channels = alerts::channels(runner, config);
        let repository = github.repository().await.outside()?;
        runner.know(|result| result.repository = Some(repository.slug.clone()));
        Ok(Self {
            runner,
            config,
            github,
            cluster,
            registry,
            repository,
            within: arguments.time(),
            channels,
            key,
            promoted: OnceCell::new(),
            deployments: OnceCell::new(),
            active: OnceCell::new(),
        })
    }

    /// Refuses what somebody has started who may not write to the repository any more. Whoever starts a workflow may as
    /// that happens; it can be run again later. A bot has proven its right by the start.
    pub(crate) async fn may_ask(&self, by: &Account) -> Result<(), Failed> {
        if by.is_bot || self.github.may_write(&by.login).await.outside()? {
            return Ok(());
        }
        Err(Failed::refused(format!(
            "{} started this and may not write to {}; let somebody start it who may",
            by.login, self.repository.slug
        )))
    }

    /// Which records are believed.
    pub(crate) fn trust(&self) -> Trust<'_> {
        self.config.promote.trust(self.key.as_ref())
    }
}
