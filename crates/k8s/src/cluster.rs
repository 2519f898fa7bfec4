//! The connection.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use kube::Config;
use kube::api::{Api, DynamicObject};
use kube::client::{Client, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use preview_core::names::NamespaceName;
use preview_core::objects::Kind;

use crate::error::{Error, chain};
use crate::kinds::resource;
use crate::requests::LoggedRequests;

/// The address of no server: <https://www.rfc-editor.org/rfc/rfc6761#section-6.4>.
const NOWHERE: &str = "https://cluster.invalid";

/// How to connect.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The kubeconfig; none for `KUBECONFIG`, `~/.kube/config` or the pod's own account, in this order.
    pub kubeconfig: Option<PathBuf>,
    /// The field manager of what we apply: the binary's name.
    pub manager: &'static str,
    /// How long to wait for answers.
    pub timeouts: Timeouts,
}

impl Settings {
    /// The kubeconfig that kube infers, usual timeouts.
    #[must_use]
    pub fn inferred(manager: &'static str) -> Self {
        Self {
            kubeconfig: None,
            manager,
            timeouts: Timeouts::default(),
        }
    }
}

/// How long to wait for answers; kube itself would wait without end.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For one answer.
    pub attempt: Duration,
    /// For one operation with its repetitions.
    pub operation: Duration,
    /// For the very first answer: an address that is wrong should not be tried for long.
    pub first_contact: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            attempt: Duration::from_secs(10),
            operation: Duration::from_secs(30),
            first_contact: Duration::from_secs(5),
        }
    }
}

/// A Kubernetes cluster, as one account sees it. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: Client,
    pub(crate) server: String,
    pub(crate) manager: &'static str,
    pub(crate) timeouts: Timeouts,
    /// Whether the server has answered anything yet.
    pub(crate) answered: Arc<AtomicBool>,
    /// Why no server is known.
    pub(crate) unknown: Option<String>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("server", &self.server)
            .field("manager", &self.manager)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Reads the kubeconfig and makes the client; nothing is sent yet.
    ///
    /// # Errors
    /// When there is no kubeconfig, or it names no usable cluster and account.
    pub async fn connect(settings: Settings) -> crate::Result<Self> {
        let mut config = configuration(settings.kubeconfig).await?;
        config.connect_timeout = Some(settings.timeouts.connect);
        // A watch is silent for as long as nothing happens; the server ends it after `WATCH_SECONDS`.
        config.read_timeout = Some(crate::watch::IDLE);
        config.reset_reader_on_write = true;
        // Its own policy repeats up to 15 times with pauses up to 1000 s; ours knows deadlines.
        config.default_retry = false;
        let server = config.cluster_url.to_string();
        let host = config.cluster_url.authority().map(ToString::to_string);
        let logged = LoggedRequests {
            host: host.unwrap_or_default(),
        };
        let client = ClientBuilder::try_from(config)
            .map_err(|error| Error::Configuration(format!("{server}: {}", chain(&error))))?
            .with_layer(&logged)
            .build();
        Ok(Self {
            client,
            server: server.trim_end_matches('/').to_owned(),
            manager: settings.manager,
            timeouts: settings.timeouts,
            answered: Arc::new(AtomicBool::new(false)),
            unknown: None,
        })
    }

    /// As [`Self::connect`], for whoever can do a part of their work without a cluster: where no kubeconfig names one,
    /// every question fails with [`Error::Configuration`], and nothing is sent.
    ///
    /// # Errors
    /// When not even a client can be made.
    pub async fn connect_if_known(settings: Settings) -> crate::Result<Self> {
        let (manager, timeouts) = (settings.manager, settings.timeouts);
        let reason = match Self::connect(settings).await {
            Err(Error::Configuration(reason)) => reason,
            connected => return connected,
        };
        let nowhere = Config::new(http::Uri::from_static(NOWHERE));
        let client =
            Client::try_from(nowhere).map_err(|error| Error::Configuration(chain(&error)))?;
        Ok(Self {
            client,
            server: NOWHERE.to_owned(),
            manager,
            timeouts,
            answered: Arc::new(AtomicBool::new(false)),
            unknown: Some(reason),
        })
    }

    /// The API server's URL.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The objects of `kind` in `namespace`, whichever type they are; those of the whole cluster where the kind lies in
    /// no namespace.
    pub(crate) fn api(&self, kind: Kind, namespace: &NamespaceName) -> Api<DynamicObject> {
        let (client, resource) = (self.client.clone(), resource(kind));
        match kind.is_namespaced() {
            true => Api::namespaced_with(client, namespace.as_str(), &resource),
            false => Api::all_with(client, &resource),
        }
    }
}

async fn configuration(kubeconfig: Option<PathBuf>) -> crate::Result<Config> {
    let Some(path) = kubeconfig else {
        return Config::infer()
            .await
            .map_err(|error| Error::Configuration(chain(&error)));
    };
    let named = |error: KubeconfigError| {
        let (path, text) = (path.display().to_string(), chain(&error));
        Error::Configuration(match text.contains(&path) {
            true => text,
            false => format!("{path}: {text}"),
        })
    };
    let read = Kubeconfig::read_from(&path).map_err(named)?;
    Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .map_err(named)
}
