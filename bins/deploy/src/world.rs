//! GitHub, the registry and the cluster, as configuration and environment name them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use preview_actions::{Failed, Options, Outside as _, Runner, UsageError};
use preview_core::config::Config;
use preview_core::record::RecordKey;
use preview_github::{GitHub, Repository};
use preview_k8s::Cluster;
use preview_registry::{Credentials, Registry};

/// How long after the run's deadline GitHub may still be told how it went: what was begun by then may have to be undone
/// first.
const TO_TELL: Duration = Duration::from_secs(400);

/// Everything outside, connected.
pub(crate) struct World<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) config: &'a Config,
    pub(crate) github: GitHub,
    pub(crate) registry: Registry,
    pub(crate) cluster: Cluster,
    pub(crate) repository: Repository,
    pub(crate) key: Option<RecordKey>,
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
        let registry = preview_registry::Settings {
            credentials: credentials(runner, config)?,
            plain_http: config.registry.plain_http.clone(),
            ..preview_registry::Settings::default()
        };
        let github = GitHub::connect(preview_github::Settings::new(
            settings.api_url,
            settings.token,
            settings.repository,
            runner.deadline() + TO_TELL,
        ))
        .misused()?;
        let registry = Registry::new(registry).outside()?;
        let cluster = Cluster::connect(preview_k8s::Settings {
            kubeconfig: options.kubeconfig.clone(),
            ..preview_k8s::Settings::inferred("preview-deploy")
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
        })
    }
}

/// The one credential there is, for the one registry it can be meant for.
fn credentials(
    runner: &Runner,
    config: &Config,
) -> Result<BTreeMap<String, Credentials>, UsageError> {
    let Some(login) = runner.environment().registry()? else {
        return Ok(BTreeMap::new());
    };
    let hosts: BTreeSet<&str> = config
        .components
        .iter()
        .map(|component| component.image.registry())
        .collect();
    let host = match (login.host, hosts.first()) {
        (Some(host), _) => host,
        (None, Some(host)) if hosts.len() == 1 => (*host).to_owned(),
        (None, _) => {
            let hosts: Vec<&str> = hosts.into_iter().collect();
            return Err(UsageError(format!(
                "PREVIEW_REGISTRY_PASSWORD may be meant for any of {}; say which in PREVIEW_REGISTRY_HOST",
                hosts.join(", ")
            )));
        }
    };
    let credentials = Credentials {
        user: login.user,
        password: login.password,
    };
    Ok(BTreeMap::from([(host, credentials)]))
}
