//! GitHub, the registry and the cluster, as configuration and environment name them.

use std::collections::BTreeMap;

use preview_actions::{Failed, Options, Outside as _, RegistryLogin, Runner};
use preview_alerts::Channel;
use preview_core::config::Config;
use preview_core::names::CommitSha;
use preview_core::promote::Lineage;
use preview_core::pulls::Repository;
use preview_core::record::RecordKey;
use preview_github::GitHub;
use preview_k8s::Cluster;
use preview_registry::Registry;
use tokio::sync::Mutex;

use crate::alerts;

use crate::attestation::{self, Verifier};

/// Everything outside, connected.
pub(crate) struct World<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) config: &'a Config,
    pub(crate) github: GitHub,
    pub(crate) registry: Registry,
    pub(crate) cluster: Cluster,
    pub(crate) repository: Repository,
    pub(crate) key: Option<RecordKey>,
    pub(crate) channels: Vec<Channel>,
    /// How commits stand to each other: the one that runs, then M.
    pub(crate) lineages: Mutex<BTreeMap<(CommitSha, CommitSha), Lineage>>,
    /// Where the configuration asks who built the images.
    pub(crate) verifier: Option<Verifier>,
}

impl<'a> World<'a> {
    /// Checks everything that can be checked without asking anybody, then asks GitHub which repository this is.
    pub(crate) async fn connect(
        runner: &'a Runner,
        config: &'a Config,
        options: &Options,
    ) -> Result<Self, Failed> {
        let environment = runner.environment();
        let settings = environment.github()?;
        let key = environment.record_key()?;
        let demanded = config.promote.require_attestation.as_ref();
        let verifier = attestation::verifier(options, demanded)?;
        let login = environment
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
        let registry = Registry::new(registry).outside()?;
        let cluster = Cluster::connect(preview_k8s::Settings {
            kubeconfig: options.kubeconfig.clone(),
            ..preview_k8s::Settings::inferred("preview-promote")
        })
        .await
        .misused()?;
        let repository = github.repository().await.outside()?;
        runner.know(|result| result.repository = Some(repository.slug.clone()));
        Ok(Self {
            runner,
            config,
            github,
            registry,
            cluster,
            repository,
            key,
            channels: alerts::channels(runner, config),
            lineages: Mutex::default(),
            verifier,
        })
    }
}
