//! `preview.toml` as it is written: shapes and defaults. What the values must mean together is checked in
//! [`super::read`].

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::alerts::AlertsFile;
use super::checks::Through;
use super::cleanup::CleanupFile;
use super::commands::CommandsFile;
use super::database::Written as Database;
use super::isolation::{NetworkFile, TlsFile};
use super::lifetime::LifetimeFile;
use super::promote::PromoteFile;
use super::pulls::{ApprovalOf, PullsFile};
use super::quantity::{Cpu, Memory};
use super::slots::{CapacityOf, QueueFile, SweepFile};
use crate::names::{ComponentName, ImageName, NamespaceName};

/// Configuration of previews and of promotion.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(title = "preview.toml"))]
pub(super) struct File {
    /// The name of a preview's Namespace. `{pr}` is the pull request's number, or `c` and 12 digits of a commit;
    /// `{repo}` is the repository, for clusters that more than one repository shares.
    #[serde(default = "namespace")]
    pub(super) namespace: String,
    /// The host of a preview, with `{pr}` in its first label: a wildcard certificate covers one label.
    pub(super) host: String,
    /// How many previews may run at once.
    #[serde(default = "capacity")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub(super) capacity: u32,
    /// Which previews that counts: those of this repository, or all on the cluster.
    #[serde(default)]
    pub(super) capacity_of: CapacityOf,
    /// Which pull requests somebody has to approve before they run on the cluster: all; those of forks and of bots; or none.
    #[serde(default)]
    pub(super) approval: ApprovalOf,
    /// How long a run may take, such as `10m` or `90s`.
    #[serde(default = "deadline")]
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"))
    )]
    pub(super) deadline: String,
    /// Which pull requests get a preview; all that are open unless told.
    #[serde(default)]
    pub(super) pull_requests: PullsFile,
    /// The parts that a preview is made of, by name; each is a Deployment and a Service.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, Component>"))]
    pub(super) components: BTreeMap<ComponentName, Component>,
    /// A PostgreSQL of each preview's own.
    pub(super) database: Option<Database>,
    /// What a preview is made of, where that is not the built-in manifests.
    pub(super) manifests: Option<Manifests>,
    /// What a preview may use altogether.
    #[serde(default)]
    pub(super) quota: Quota,
    /// What happens to previews that wait for a slot.
    #[serde(default)]
    pub(super) queue: QueueFile,
    /// What `preview-cleanup sweep` may do.
    #[serde(default)]
    pub(super) sweep: SweepFile,
    /// What taking a preview down takes along.
    #[serde(default)]
    pub(super) cleanup: CleanupFile,
    /// What becomes of previews that nobody touches any more.
    #[serde(default)]
    pub(super) lifetime: LifetimeFile,
    /// Which commands in comments of pull requests are heard.
    #[serde(default)]
    pub(super) commands: CommandsFile,
    /// Who is told of a preview that cannot be taken down, and of a sweep that stopped.
    #[serde(default)]
    pub(super) alerts: AlertsFile,
    /// The wildcard certificate that every preview gets a copy of; the ingress controller's own serves unless told.
    pub(super) tls: Option<TlsFile>,
    /// Who reaches previews, and what they do not reach.
    #[serde(default)]
    pub(super) network: NetworkFile,
    /// How a preview is reached from outside.
    #[serde(default)]
    pub(super) ingress: Ingress,
    /// The Gateway that leads to previews, in place of an ingress controller: HTTPRoutes are made, and no Ingress.
    pub(super) gateway: Option<Gateway>,
    /// What all checks of components have in common.
    #[serde(default)]
    pub(super) checks: Checks,
    /// How images are read.
    #[serde(default)]
    pub(super) registry: Registry,
    /// Who may look into previews.
    #[serde(default)]
    pub(super) access: Access,
    /// Where a merged pull request goes.
    #[serde(default)]
    pub(super) promote: PromoteFile,
}

fn namespace() -> String {
    "preview-pr-{pr}".to_owned()
}

fn capacity() -> u32 {
    10
}

fn deadline() -> String {
    "10m".to_owned()
}

/// A part of the previewed system.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Component {
    /// The image's name with its registry and without tag or digest; CI tags it with the pull request's head.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub(super) image: ImageName,
    /// The paths of everything that its image is built from, such as `["web/**", "shared/**"]`. A pull request that
    /// touches none of them needs no image of it: it runs the one that was tested of its base.
    pub(super) unchanged: Option<Vec<String>>,
    /// The port that it listens on; it finds it in `PORT`.
    #[serde(default = "port")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub(super) port: u16,
    /// How many of it run.
    #[serde(default = "one")]
    pub(super) replicas: u32,
    /// A host of its own, with `{pr}` in its first label and otherwise below the same domain as the preview's.
    pub(super) host: Option<String>,
    /// The path that leads to it, of its own host (all of it unless told) or else of the preview's; without host and
    /// path it is not reached from outside.
    pub(super) path: Option<String>,
    /// What must be seen of it before the preview is ready: that a page answers.
    pub(super) check: Option<Check>,
    /// The HTTP path that answers 2xx when it is ready; without one, an open port is readiness.
    pub(super) readiness: Option<String>,
    /// Environment variables beside the fixed set, whose names may be used as `${NAME}`.
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    /// The command that brings the database's schema up to date, run from this component's image.
    pub(super) migrate: Option<Vec<String>>,
    /// The command that fills a fresh database, run after every component's `migrate`.
    pub(super) seed: Option<Vec<String>>,
    /// CPU and memory of each replica.
    #[serde(default)]
    pub(super) resources: Resources,
}

fn port() -> u16 {
    8080
}

fn one() -> u32 {
    1
}

/// A page that must answer before the preview is ready. Redirects are not followed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Check {
    /// The path that is asked for; the component's own, where it has one and is asked through its route, else `/`.
    pub(super) path: Option<String>,
    /// The HTTP status that it must answer with.
    #[serde(default = "ok")]
    #[cfg_attr(feature = "schema", schemars(range(min = 100, max = 599)))]
    pub(super) status: u16,
    /// How long it may take until it does, such as `60s`, once everything runs.
    #[serde(default = "a_minute")]
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"))
    )]
    pub(super) deadline: String,
    /// Which way it is asked; through its route where it has one, else through the cluster.
    pub(super) through: Option<Through>,
}

fn ok() -> u16 {
    200
}

fn a_minute() -> String {
    "60s".to_owned()
}

/// What all checks have in common.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Checks {
    /// Where to connect to in place of what the name of a host resolves to, such as `203.0.113.7:443`: for runners that
    /// cannot resolve it. The certificate must be the host's all the same.
    pub(super) connect_to: Option<String>,
}

/// CPU and memory of a container.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Resources {
    /// What is reserved for it.
    #[serde(default)]
    pub(super) requests: Amounts,
    /// What it cannot exceed.
    #[serde(default)]
    pub(super) limits: Amounts,
}

/// Amounts of CPU and memory.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Amounts {
    /// Cores, such as `2` or `250m`.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(super) cpu: Option<Cpu>,
    /// Bytes, such as `512Mi` or `1Gi`.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(super) memory: Option<Memory>,
}

/// What a preview may use altogether: its namespace's ResourceQuota.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Quota {
    /// The sum of what its containers reserve; 2 CPU and 2Gi unless told.
    #[serde(default)]
    pub(super) requests: Amounts,
    /// The sum of what its containers cannot exceed; 4 CPU and 4Gi unless told.
    #[serde(default)]
    pub(super) limits: Amounts,
    /// How many PersistentVolumeClaims it may have.
    #[serde(default = "volumes")]
    pub(super) volumes: u32,
    /// The sum of the storage that they may ask for; not limited unless told.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(super) storage: Option<Memory>,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            requests: Amounts::default(),
            limits: Amounts::default(),
            volumes: volumes(),
            storage: None,
        }
    }
}

fn volumes() -> u32 {
    3
}

/// How a preview is reached from outside.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Ingress {
    /// The IngressClass; the cluster's default unless told.
    pub(super) class: Option<String>,
    /// Annotations of every Ingress, for what the controller in front can do: `noindex`, a password, limits.
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
}

/// A Gateway that leads to previews. It must take routes from their namespaces, and its listener has the certificate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Gateway {
    /// Its name.
    pub(super) name: String,
    /// Its namespace.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub(super) namespace: NamespaceName,
    /// The listener that takes the routes; every one that would unless told.
    pub(super) section: Option<String>,
}

/// What a preview is made of, where that is not the built-in manifests: a Deployment and a Service for each component,
/// and routes. Furniture, the database and the commands of components are the same in every preview.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Manifests {
    /// The folder of a kustomization, from the folder of this file. `kustomize build` or `kubectl kustomize` renders it,
    /// whichever is there.
    pub(super) kustomize: Option<String>,
    /// Patterns of the files that manifests are made from: of a pull request that changes one it is told that its
    /// preview has it as it is on the base branch. The folders that the kustomization reads, unless told.
    pub(super) paths: Option<Vec<String>>,
}

/// How images are read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Registry {
    /// Registries, as `host` or `host:port`, that are spoken to over plain HTTP.
    #[serde(default)]
    pub(super) plain_http: BTreeSet<String>,
    /// Registries whose images are packages of GitHub: `preview-cleanup` deletes those that nothing needs any more. Of a
    /// GitHub Enterprise Server it is `containers.` and its host; an empty list keeps all images.
    #[serde(default = "github_packages")]
    pub(super) github_packages: BTreeSet<String>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            plain_http: BTreeSet::new(),
            github_packages: github_packages(),
        }
    }
}

fn github_packages() -> BTreeSet<String> {
    BTreeSet::from(["ghcr.io".to_owned()])
}

/// Who may look into previews.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Access {
    /// How somebody gets access to the cluster, such as `ask in #platform, or https://wiki.example.com/kubectl`. It stands
    /// in the comment of a failure, beside the command that shows more.
    #[cfg_attr(feature = "schema", schemars(length(max = 300)))]
    pub(super) hint: Option<String>,
}
