//! GitHub, the registry and the cluster, as configuration and environment name them.

use preview_actions::{Failed, Outside as _, RegistryLogin, Runner, UsageError};
use preview_core::config::Config;
use preview_core::health::FailureClass;
use preview_core::manifests::PullCredential;
use preview_core::names::{PrNumber, RepositorySlug};
use preview_core::pulls::{ChangedFiles, PullRequest};
use preview_core::record::RecordKey;
use preview_github::GitHub;
use preview_github::event::Account;
use preview_k8s::Cluster;
use preview_registry::{Registry, Settings};
use tokio::sync::OnceCell;

use crate::{Arguments, Command};

/// Everything outside, connected.
pub(crate) struct World<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) config: &'a Config,
    pub(crate) github: GitHub,
    pub(crate) registry: Registry,
    pub(crate) cluster: Cluster,
    /// The files that the pull request touches, once they are known.
    changed: OnceCell<ChangedFiles>,
    /// The repository, as the environment names it.
    pub(crate) slug: RepositorySlug,
    pub(crate) key: Option<RecordKey>,
    /// What the cluster's nodes pull images with.
    pub(crate) pull: Option<PullCredential>,
}

impl<'a> World<'a> {
    /// Checks everything that can be checked without asking anybody: the first that is asked is GitHub, for the pull
    /// request. A plan, and most commands in comments, do without a cluster where no kubeconfig names one.
    pub(crate) async fn connect(
        runner: &'a Runner,
        config: &'a Config,
        arguments: &Arguments,
    ) -> Result<Self, Failed> {
        let environment = runner.environment();
        let settings = environment.github()?;
        let slug = settings.repository.clone();
        let key = environment.record_key()?;
        let registry = registry(runner, config)?;
        let pull = environment.pull(&config.registries())?;
        let github = GitHub::connect(preview_github::Settings::new(
            settings.api_url,
            settings.token,
            settings.repository,
            runner.deadline_to_tell(),
        ))
        .misused()?;
        let registry = Registry::new(registry).outside()?;
        let settings = preview_k8s::Settings {
            kubeconfig: arguments.options.kubeconfig.clone(),
            ..preview_k8s::Settings::inferred("preview-deploy")
        };
        let cluster = match arguments.command {
            Some(Command::Plan | Command::Ask | Command::Answer | Command::Import(_)) => {
                Cluster::connect_if_known(settings).await
            }
            _ => Cluster::connect(settings).await,
        };
        let cluster = cluster.misused()?;
        Ok(Self {
            runner,
            config,
            github,
            registry,
            cluster,
            changed: OnceCell::new(),
            slug,
            key,
            pull: pull.map(|login| PullCredential {
                registry: login.host,
                user: login.user,
                password: login.password,
            }),
        })
    }

    /// The files that the pull request `number`, which this run is about, touches.
    pub(crate) async fn changed_files(&self, number: PrNumber) -> Result<&ChangedFiles, Failed> {
        let ask = || async { self.github.changed_files(number).await.outside() };
        self.changed.get_or_try_init(ask).await
    }

    /// Keeps which files the pull request touches, where something else has told it.
    pub(crate) fn learn_changed_files(&self, files: ChangedFiles) {
        // Whoever has asked already was told the same.
        let _ = self.changed.set(files);
    }

    /// The pull request `number`, which was there before, as it is now.
    ///
    /// # Errors
    /// When GitHub cannot tell, or does not find it: a 404 never means closed.
    pub(crate) async fn pull_again(&self, number: PrNumber) -> Result<PullRequest, Failed> {
        let pull = self.github.pull(number).await.outside()?;
        pull.ok_or_else(|| {
            Failed::Outside(
                FailureClass::GitHub,
                format!(
                    "read pull request #{number} again: GitHub does not find it any more; check that the token may \
                     still see it, and run this again"
                ),
            )
        })
    }

    /// Refuses what somebody has started who may not write to the repository any more. Whoever starts a workflow may as
    /// that happens; a run waits for approval for days, and can be run again later. A bot has proven its right by the start.
    pub(crate) async fn may_ask(&self, by: Option<&Account>) -> Result<(), Failed> {
        let Some(Account {
            login,
            is_bot: false,
        }) = by
        else {
            return Ok(());
        };
        match self.github.may_write(login).await.outside()? {
            true => Ok(()),
            false => Err(Failed::refused(format!(
                "{login} started this and may not write to {}; let somebody start it who may",
                self.slug
            ))),
        }
    }
}

/// How the registries are asked, as configuration and environment say.
///
/// # Errors
/// When the credential is half there, or it is not said which of several registries it is for.
pub(crate) fn registry(runner: &Runner, config: &Config) -> Result<Settings, UsageError> {
    let login = runner
        .environment()
        .registry(&config.registries())?
        .map(RegistryLogin::into_parts);
    Ok(Settings::new(login, config.registry.plain_http.clone()))
}
