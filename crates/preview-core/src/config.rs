//! `preview.toml`: what an adopter says about their system.
//!
//! Strict: a key that is not known is refused, with the nearest that is. Every value has a default but names, images
//! and hosts.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::names::{ComponentName, ImageName, TargetName};
use crate::paths::PathPatterns;

mod alerts;
mod attestation;
mod checks;
mod cleanup;
mod commands;
mod database;
mod error;
mod fields;
mod file;
mod isolation;
mod lifetime;
mod manifests;
mod patterns;
mod promote;
mod pulls;
mod quantity;
mod read;
mod routes;
mod slots;
mod template;

pub use alerts::{AlertSettings, MailAddress, MailRoute};
pub use attestation::{AttestationSettings, WorkflowFile, WorkflowRef};
pub use checks::{Address, Check, ChecksSettings, Through};
pub use cleanup::CleanupSettings;
pub use commands::CommandSettings;
pub(crate) use database::DIRECTORY;
pub use database::{Database, Seed};
pub use error::ConfigError;
pub use isolation::{Cidr, NetworkSettings, Peer, TlsSettings};
pub use lifetime::LifetimeSettings;
pub(crate) use lifetime::days;
pub use promote::{
    AfterMigration, Promote, Target, TargetCommand, TargetPage, TargetWorkload, Verification,
};
pub use pulls::{ApprovalOf, Forks, PullRules};
pub use quantity::{Cpu, Memory};
pub(crate) use routes::host_variables;
pub use routes::{GatewaySettings, Route, is_snippet};
pub use slots::{CapacityOf, QueueSettings, SweepSettings};
pub use template::{HostTemplate, NamespaceTemplate};

/// Everything that an adopter decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The name of a preview's Namespace.
    pub namespace: NamespaceTemplate,
    /// Where a preview answers.
    pub host: HostTemplate,
    /// How many previews may hold a slot at once.
    pub capacity: u32,
    /// Which previews that counts.
    pub capacity_of: CapacityOf,
    /// Which pull requests somebody has to approve before they run.
    pub approval: ApprovalOf,
    /// How long a run may take.
    pub deadline: Duration,
    /// Which pull requests get a preview.
    pub pull_requests: PullRules,
    /// What a preview is made of, in the order of the file.
    pub components: Vec<Component>,
    /// A PostgreSQL of each preview's own.
    pub database: Option<Database>,
    /// What a preview is made of, where that is not the built-in manifests.
    pub manifests: ManifestSettings,
    /// What a preview may use altogether.
    pub quota: Quota,
    /// What happens to previews that wait for a slot.
    pub queue: QueueSettings,
    /// What a sweep may do.
    pub sweep: SweepSettings,
    /// What taking a preview down takes along.
    pub cleanup: CleanupSettings,
    /// What becomes of previews that nobody touches any more.
    pub lifetime: LifetimeSettings,
    /// Which commands in comments are heard.
    pub commands: CommandSettings,
    /// Who is told of what nobody is looking at.
    pub alerts: AlertSettings,
    /// How images are read.
    pub registry: RegistrySettings,
    /// Where the certificate is that previews share; none to use the ingress controller's own.
    pub tls: Option<TlsSettings>,
    /// Who reaches previews, and what they do not reach.
    pub network: NetworkSettings,
    /// How a preview is reached from outside.
    pub ingress: IngressSettings,
    /// The Gateway that leads to a preview, where it is not an ingress controller.
    pub gateway: Option<GatewaySettings>,
    /// What all checks of components have in common.
    pub checks: ChecksSettings,
    /// How somebody gets access to the cluster, for people.
    pub access_hint: Option<String>,
    /// Where a merged pull request goes.
    pub promote: Promote,
}

impl Config {
    /// The configuration in `text`, which errors call `file`.
    ///
    /// # Errors
    /// When it is not TOML, has a key that is not known, or a value that cannot be what was meant.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        read::read(file, text)
    }

    /// The component `name`.
    #[must_use]
    pub fn component(&self, name: &ComponentName) -> Option<&Component> {
        self.components
            .iter()
            .find(|component| component.name == *name)
    }

    /// The registries that the components' images come from.
    #[must_use]
    pub fn registries(&self) -> BTreeSet<&str> {
        let images = self.components.iter().map(|component| &component.image);
        images.map(ImageName::registry).collect()
    }

    /// The target `name`.
    #[must_use]
    pub fn target(&self, name: &TargetName) -> Option<&Target> {
        self.promote
            .targets
            .iter()
            .find(|target| target.name == *name)
    }

    /// The JSON schema of `preview.toml`, for editors.
    #[cfg(feature = "schema")]
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(file::File).to_value()
    }
}

/// A part of the previewed system: a Deployment and a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its name, and that of its Deployment, its Service and its container.
    pub name: ComponentName,
    /// Where its images live.
    pub image: ImageName,
    /// What its image is built from, where it need not be built for a pull request that touches nothing of it.
    pub unchanged: PathPatterns,
    /// The port that it listens on, and that of its Service.
    pub port: u16,
    /// How many of it run.
    pub replicas: u32,
    /// Where it is reached from outside, if it is.
    pub route: Option<Route>,
    /// What must be seen of it before the preview is ready.
    pub check: Option<Check>,
    /// The HTTP path that answers 2xx when it is ready; without one, an open port is readiness.
    pub readiness: Option<String>,
    /// Environment variables of its own.
    pub env: BTreeMap<String, EnvValue>,
    /// The command that brings the database's schema up to date.
    pub migrate: Option<Vec<String>>,
    /// The command that fills a fresh database.
    pub seed: Option<Vec<String>>,
    /// CPU and memory of each replica.
    pub resources: Resources,
}

/// CPU and memory: what is reserved, and what cannot be exceeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// What is reserved.
    pub requests: Amounts,
    /// What cannot be exceeded.
    pub limits: Amounts,
}

impl Resources {
    /// What a component has where nothing is said, and any container that a component starts beside its own.
    #[must_use]
    pub fn of_a_component() -> Self {
        Self {
            requests: Amounts::new(Cpu::millis(50), Memory::mebibytes(64)),
            limits: Amounts::new(Cpu::millis(500), Memory::mebibytes(256)),
        }
    }

    fn of_a_database() -> Self {
        Self {
            requests: Amounts::new(Cpu::millis(100), Memory::mebibytes(256)),
            limits: Amounts::new(Cpu::millis(500), Memory::mebibytes(512)),
        }
    }

    fn of_a_preview() -> Self {
        Self {
            requests: Amounts::new(Cpu::millis(2000), Memory::gibibytes(2)),
            limits: Amounts::new(Cpu::millis(4000), Memory::gibibytes(4)),
        }
    }
}

/// Amounts of CPU and memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amounts {
    /// CPU.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
}

impl Amounts {
    fn new(cpu: Cpu, memory: Memory) -> Self {
        Self { cpu, memory }
    }
}

/// What a preview may use altogether.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The sums over its containers.
    pub resources: Resources,
    /// How many PersistentVolumeClaims it may have.
    pub volumes: u32,
    /// The sum of the storage that they may ask for, where it is limited.
    pub storage: Option<Memory>,
}

/// What a preview is made of, where that is not the built-in manifests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestSettings {
    /// The folder of the kustomization, from the folder of `preview.toml`.
    pub kustomize: Option<String>,
    /// Which files manifests are made from; where nothing is said, the folders that the kustomization reads.
    pub paths: PathPatterns,
}

/// How images are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistrySettings {
    /// Registries, as `host` or `host:port`, that are spoken to over plain HTTP.
    pub plain_http: BTreeSet<String>,
    /// Registries whose images are packages of GitHub, which may be deleted there.
    pub github_packages: BTreeSet<String>,
}

/// How a preview is reached from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngressSettings {
    /// The IngressClass, where it is not the cluster's default.
    pub class: Option<String>,
    /// Annotations of every Ingress.
    pub annotations: BTreeMap<String, String>,
}

/// What every component finds in its environment, and what `${…}` may name in a value of `env`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variable {
    /// `preview`.
    Env,
    /// Where the preview answers, such as `https://7.pr.example.com`.
    BaseUrl,
    /// The pull request's number, or `c` and 12 digits of a commit.
    PrNumber,
    /// The preview's Namespace.
    Namespace,
    /// The commit H that the preview is of.
    Commit,
    /// The database's Service.
    DatabaseHost,
    /// The database's port.
    DatabasePort,
    /// The database's name.
    DatabaseName,
    /// The user that owns it.
    DatabaseUser,
    /// The host of a component that is reached from outside, such as `7-api.pr.example.com`.
    Host(ComponentName),
}

impl Variable {
    /// All that every preview has, in the order in which they are documented; the database's only where it has one.
    pub const FIXED: [Self; 9] = [
        Self::Env,
        Self::BaseUrl,
        Self::PrNumber,
        Self::Namespace,
        Self::Commit,
        Self::DatabaseHost,
        Self::DatabasePort,
        Self::DatabaseName,
        Self::DatabaseUser,
    ];

    /// What the variable of a component's host begins with.
    const HOST: &'static str = "HOST_";

    /// The variable's name; that of a host is `HOST_` and the component's in capitals, with `_` for `-`.
    #[must_use]
    pub fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Env => "ENV",
            Self::BaseUrl => "BASE_URL",
            Self::PrNumber => "PR_NUMBER",
            Self::Namespace => "NAMESPACE",
            Self::Commit => "COMMIT",
            Self::DatabaseHost => "DATABASE_HOST",
            Self::DatabasePort => "DATABASE_PORT",
            Self::DatabaseName => "DATABASE_NAME",
            Self::DatabaseUser => "DATABASE_USER",
            Self::Host(component) => {
                let component = component.as_str().to_ascii_uppercase().replace('-', "_");
                return Cow::Owned(format!("{}{component}", Self::HOST));
            }
        })
    }

    /// The variable of that name; whether a preview has it is another question.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if let Some(component) = name.strip_prefix(Self::HOST) {
            let component = component.to_ascii_lowercase().replace('_', "-");
            let variable = Self::Host(component.parse().ok()?);
            return Some(variable).filter(|variable| variable.name() == name);
        }
        let mut fixed = Self::FIXED.into_iter();
        fixed.find(|variable| variable.name() == name)
    }

    /// Whether only a preview with a database has it.
    #[must_use]
    pub const fn needs_database(&self) -> bool {
        matches!(
            self,
            Self::DatabaseHost | Self::DatabasePort | Self::DatabaseName | Self::DatabaseUser
        )
    }
}

/// A value of `env`: text in which `${NAME}` stands for a [`Variable`], and `$${` for `${` itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvValue(Vec<EnvPart>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum EnvPart {
    Text(String),
    Variable(Variable),
}

impl EnvValue {
    /// The value with every variable replaced by what `value_of` says.
    #[must_use]
    pub fn render(&self, mut value_of: impl FnMut(&Variable) -> String) -> String {
        self.0
            .iter()
            .map(|part| match part {
                EnvPart::Text(text) => text.clone(),
                EnvPart::Variable(variable) => value_of(variable),
            })
            .collect()
    }

    fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.0.iter().filter_map(|part| match part {
            EnvPart::Text(_) => None,
            EnvPart::Variable(variable) => Some(variable),
        })
    }

    /// The value written `text`, or what stands in it between `${` and `}` and is no variable.
    fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                parts.push(EnvPart::Text(format!("{}{{", &rest[..at])));
                rest = &rest[at + 2..];
                continue;
            }
            let name = rest[at + 2..].split('}').next().unwrap_or_default();
            let closed = rest[at + 2 + name.len()..].starts_with('}');
            let Some(variable) = Variable::named(name).filter(|_| closed) else {
                return Err(name.to_owned());
            };
            parts.push(EnvPart::Text(rest[..at].to_owned()));
            parts.push(EnvPart::Variable(variable));
            rest = &rest[at + 2 + name.len() + 1..];
        }
        parts.push(EnvPart::Text(rest.to_owned()));
        parts.retain(|part| !matches!(part, EnvPart::Text(text) if text.is_empty()));
        Ok(Self(parts))
    }
}

#[cfg(test)]
mod tests;
