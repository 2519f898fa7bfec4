//! The built-in manifests: everything that a preview is made of, from `preview.toml` alone.
//!
//! Fit for server-side apply with `fieldValidation=Strict` on Kubernetes v1.33 and later. Owner labels and the fence
//! come with applying, except on the Namespace, which must have them from the moment it exists.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::comment::display_name;
use crate::config::{Component, Config, Variable, host_variables};
use crate::database::{STATE, State};
use crate::lifecycle::Phase;
use crate::names::{
    CommitSha, ComponentName, Host, NamespaceName, NotA, PinnedImage, RepositorySlug, Uid,
};
use crate::objects::{Kind, Manifest, ObjectName};
use crate::ownership::{Claim, Claimant, Owner, keys};
use crate::snapshot::StoredSnapshot;

mod access;
mod budget;
mod checks;
mod database;
mod field;
mod furniture;
mod jobs;
pub mod kustomization;
mod network;
mod pod;
mod policy;
mod rendered;
mod routes;
mod seed;
mod snapshot;
mod source;
mod substitute;
mod workloads;

pub use access::{PullCredential, Secrets};
pub use jobs::{JobWave, Work};
pub use network::NEVER_REACHED;
pub use policy::{Refusal, Rule};
pub use rendered::Unfit;
pub use seed::{FILES as SEED_FILES, SeedTooLarge, files as seed_files};
pub use source::Source;

/// The name of the database's StatefulSet, its Service and its container.
pub const DATABASE: &str = "database";
/// The port of PostgreSQL.
pub const DATABASE_PORT: u16 = 5432;
/// The claim of the database's volume, as its StatefulSet names it.
pub const VOLUME_CLAIM: &str = "data-database-0";
/// The ConfigMap that every component's environment comes from.
pub const CONFIG_MAP: &str = "app-config";
/// The Secret that every component's environment comes from.
pub const SECRET: &str = "app-secret";
/// The database's password in [`SECRET`].
pub const PASSWORD_KEY: &str = "DATABASE_PASSWORD";
/// The Secret of the credential that its images are pulled with, where they are not public.
pub const PULL_SECRET: &str = "image-pull";
/// The ServiceAccount of every pod, which has no token.
pub const SERVICE_ACCOUNT: &str = "preview";
/// Replicas that an update may have beyond those wanted: old ones serve until new ones are ready.
pub(crate) const SURGE: u32 = 1;

/// Kubernetes' own label for which program an object runs; with [`keys::COMPONENT`] what selectors go by.
pub(crate) const NAME_LABEL: &str = "app.kubernetes.io/name";

/// A preview that is wanted: of which head, from which images, under which names.
#[derive(Clone, Debug)]
pub struct Preview<'a> {
    config: &'a Config,
    owner: &'a Owner,
    head: &'a CommitSha,
    images: Vec<(&'a Component, &'a PinnedImage)>,
    namespace: NamespaceName,
    host: Host,
    own_hosts: BTreeMap<ComponentName, Host>,
    /// Whether its images are pulled with a credential.
    pulls_with_credential: bool,
    /// What it is made of where that is not the built-in manifests.
    rendered: Option<rendered::Rendered>,
}

/// Why there can be no such preview.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPreview {
    /// A component has no image.
    #[error("component {0} has no image; a preview is of all components of preview.toml")]
    NoImage(ComponentName),
    /// An image is of no component.
    #[error("there is an image for {0}, which is no component of preview.toml")]
    NoComponent(ComponentName),
    /// Its name or host cannot be.
    #[error("the preview cannot be named: {0}; choose another template in preview.toml")]
    Name(#[from] NotA),
}

/// A workload that a preview waits for and its comment tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownWorkload {
    /// The object.
    pub object: ObjectName,
    /// What people call it: `Database`, `Web`, `API`.
    pub display: String,
    /// The component, unless it is the database.
    pub component: Option<ComponentName>,
    /// Replicas wanted.
    pub replicas: u32,
}

impl<'a> Preview<'a> {
    /// The preview of `owner`'s subject at `head`, with an image for each component.
    ///
    /// # Errors
    /// When images and components do not match, or the templates give no valid name.
    pub fn new(
        config: &'a Config,
        repository: &'a RepositorySlug,
        owner: &'a Owner,
        head: &'a CommitSha,
        images: &'a BTreeMap<ComponentName, PinnedImage>,
    ) -> Result<Self, NoPreview> {
        if let Some(unknown) = images.keys().find(|name| config.component(name).is_none()) {
            return Err(NoPreview::NoComponent(unknown.clone()));
        }
        let images = config.components.iter().map(|component| {
            let image = images.get(&component.name);
            let image = image.ok_or_else(|| NoPreview::NoImage(component.name.clone()))?;
            Ok((component, image))
        });
        Ok(Self {
            config,
            owner,
            head,
            images: images.collect::<Result<_, NoPreview>>()?,
            namespace: config.namespace.render(repository, &owner.subject)?,
            host: config.host.render(&owner.subject)?,
            own_hosts: routes::own_hosts(config, &owner.subject)?,
            pulls_with_credential: false,
            rendered: None,
        })
    }

    /// The same preview, whose images are pulled with a credential, or are public: `furniture` has one then or has none.
    #[must_use]
    pub fn pulling_with_credential(self, pulls_with_credential: bool) -> Self {
        Self {
            pulls_with_credential,
            ..self
        }
    }

    /// Its Namespace's name.
    #[must_use]
    pub fn namespace_name(&self) -> &NamespaceName {
        &self.namespace
    }

    /// Its host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.host)
    }

    /// Its Namespace as `claimant` creates it: queued for a slot, and kept by our finalizer until its teardown is
    /// proven.
    #[must_use]
    pub fn namespace(&self, claimant: &Claimant) -> Manifest {
        let mut labels = claimant.owner.labels();
        labels.insert(
            "pod-security.kubernetes.io/enforce".to_owned(),
            "baseline".to_owned(),
        );
        Manifest::new(Kind::Namespace, self.namespace.as_str(), &labels, json!({}))
            .annotated(claimant.annotations())
            .annotated([
                (keys::CLAIM.to_owned(), Claim::Queued.to_string()),
                (keys::PHASE.to_owned(), Phase::Queued.to_string()),
                (keys::URL.to_owned(), self.url()),
            ])
            .finalized(keys::FINALIZER)
    }

    /// What the namespace is furnished with before anything runs in it: ResourceQuota, LimitRange, NetworkPolicies,
    /// ServiceAccounts, ConfigMap, and a Secret for each of `secrets`, the only place that has it.
    #[must_use]
    pub fn furniture(&self, secrets: &Secrets) -> Vec<Manifest> {
        let mut all = furniture::open(self);
        all.extend(access::accounts(self.pulls_with_credential));
        if self.config.database.is_some() {
            all.push(furniture::secret(&secrets.database_password));
        }
        all.extend(secrets.pull.iter().map(access::pull_secret));
        if let (Some(tls), Some(data)) = (&self.config.tls, &secrets.certificate) {
            all.push(access::certificate(&tls.secret, data));
        }
        all
    }

    /// The database: a StatefulSet with a volume, and its Service. Nothing where none is configured.
    ///
    /// Where databases are made from a golden snapshot, [`Self::database_from`] has one that is.
    #[must_use]
    pub fn database(&self) -> Vec<Manifest> {
        self.fresh_database(None)
    }

    /// The database whose volume begins as a copy of the snapshot `stored`, of which there must be
    /// [the preview's own objects](Self::snapshot_pair).
    #[must_use]
    pub fn database_from(&self, stored: &StoredSnapshot) -> Vec<Manifest> {
        self.fresh_database(Some(stored))
    }

    fn fresh_database(&self, source: Option<&StoredSnapshot>) -> Vec<Manifest> {
        let database = self.config.database.iter();
        database
            .flat_map(|database| {
                database::manifests(database, &database::Files::of(database), source)
            })
            .collect()
    }

    /// The database on the volume that it has: `existing` is its StatefulSet as the cluster holds it, whose claim cannot
    /// be changed. Another size, StorageClass or snapshot counts for the next one that is made.
    #[must_use]
    pub fn database_as(&self, existing: &Value) -> Vec<Manifest> {
        let database = self.config.database.iter();
        database
            .flat_map(|database| database::on_its_volume(database, existing))
            .collect()
    }

    /// The VolumeSnapshotContent and the VolumeSnapshot by which a volume of this preview is a copy of `stored`.
    #[must_use]
    pub fn snapshot_pair(&self, stored: &StoredSnapshot) -> [Manifest; 2] {
        snapshot::pair(&self.namespace, stored)
    }

    /// The VolumeSnapshotContent of [the pair](Self::snapshot_pair) that the database's volume is a copy by, where it is
    /// one: `existing` is its StatefulSet as the cluster holds it.
    #[must_use]
    pub fn snapshot_content_of(&self, existing: &Value) -> Option<ObjectName> {
        let snapshot = snapshot::source_of(existing)?;
        let name = snapshot::content_name(&self.namespace, snapshot);
        Some(ObjectName::new(Kind::VolumeSnapshotContent, name))
    }

    /// [The pair](Self::snapshot_pair) once more, of which `content` is the VolumeSnapshotContent as the cluster holds it.
    #[must_use]
    pub fn snapshot_pair_as(&self, content: &Value) -> Option<[Manifest; 2]> {
        Some(self.snapshot_pair(&snapshot::stored_by(content)?))
    }

    /// Jobs in waves, each to be complete before the next: every `migrate`, then what fills a fresh database, then every
    /// `seed`.
    ///
    /// A migrate Job is named by the hash of its template and the uid of the database's volume claim: its template cannot
    /// be changed, other images bring other migrations, and a fresh database must run all of them. A seed Job runs once
    /// for each database, whatever its image is then: it is named by the uid alone.
    #[must_use]
    pub fn job_waves(&self, volume_claim: &Uid) -> Vec<JobWave> {
        jobs::waves(self, volume_claim)
    }

    /// The Jobs of [`Self::job_waves`] alone.
    #[must_use]
    pub fn jobs(&self, volume_claim: &Uid) -> Vec<Vec<Manifest>> {
        let waves = self.job_waves(volume_claim).into_iter();
        waves.map(|wave| wave.jobs).collect()
    }

    /// The ConfigMap that keeps what was done to the database.
    #[must_use]
    pub fn database_state(&self, state: &State) -> Manifest {
        let labels = labels(DATABASE, DATABASE);
        let data = json!({ "data": state.data() });
        Manifest::new(Kind::ConfigMap, STATE, &labels, data)
    }

    /// What runs: a Deployment and a Service for each component, or what the manifests say that it is
    /// [made of](Self::made_of).
    #[must_use]
    pub fn workloads(&self) -> Vec<Manifest> {
        let mut all: Vec<Manifest> = match &self.rendered {
            Some(rendered) => rendered.workloads.clone(),
            None => {
                let images = self.images.iter();
                images
                    .flat_map(|(component, image)| workloads::manifests(self, component, image))
                    .collect()
            }
        };
        if self.pulls_with_credential {
            all.iter_mut().for_each(access::pull_with_credential);
        }
        all
    }

    /// An Ingress, or an HTTPRoute where a Gateway leads to previews, for each component that is reached from outside.
    #[must_use]
    pub fn routes(&self) -> Vec<Manifest> {
        if let Some(rendered) = &self.rendered {
            return rendered.routes.clone();
        }
        self.config
            .components
            .iter()
            .filter_map(|component| routes::manifest(self, component))
            .collect()
    }

    /// Everything within the namespace: what carries the owner's labels and is not among it, is pruned.
    ///
    /// The database's volume belongs to its StatefulSet and is not among it.
    #[must_use]
    pub fn all_names(&self, volume_claim: Option<&Uid>) -> BTreeSet<ObjectName> {
        let jobs = volume_claim.map(|uid| self.jobs(uid)).unwrap_or_default();
        let mut names: BTreeSet<ObjectName> = furniture::open(self)
            .iter()
            .chain(&self.database())
            .chain(jobs.iter().flatten())
            .chain(&self.supplies())
            .chain(&self.workloads())
            .chain(&self.routes())
            .map(|manifest| manifest.object().clone())
            .collect();
        let accounts = access::accounts(false);
        names.extend(accounts.iter().map(|account| account.object().clone()));
        if self.config.database.is_some() {
            names.insert(ObjectName::new(Kind::Secret, SECRET));
            names.insert(ObjectName::new(Kind::ConfigMap, STATE));
        }
        if self.pulls_with_credential {
            names.insert(ObjectName::new(Kind::Secret, PULL_SECRET));
        }
        if let Some(tls) = &self.config.tls {
            names.insert(ObjectName::new(Kind::Secret, &tls.secret));
        }
        names
    }

    /// The workloads to wait for, as the comment tells of them: the database first, then components in the file's
    /// order.
    #[must_use]
    pub fn shown_workloads(&self) -> Vec<ShownWorkload> {
        let database = self.config.database.iter().map(|_| ShownWorkload {
            object: ObjectName::new(Kind::StatefulSet, DATABASE),
            display: "Database".to_owned(),
            component: None,
            replicas: 1,
        });
        if let Some(rendered) = &self.rendered {
            let components = rendered.shown_workloads(&self.config.components);
            return database.chain(components).collect();
        }
        let components = self
            .config
            .components
            .iter()
            .map(|component| ShownWorkload {
                object: ObjectName::new(Kind::Deployment, component.name.as_str()),
                display: display_name(&component.name),
                component: Some(component.name.clone()),
                replicas: component.replicas,
            });
        database.chain(components).collect()
    }

    /// The value of a variable; nothing for the database's where there is none, and for the host of a component that is
    /// not reached from outside.
    fn variable(&self, variable: &Variable) -> Option<String> {
        let database = self.config.database.as_ref();
        Some(match variable {
            Variable::Env => "preview".to_owned(),
            Variable::BaseUrl => self.url(),
            Variable::PrNumber => self.owner.subject.slug(),
            Variable::Namespace => self.namespace.to_string(),
            Variable::Commit => self.head.to_string(),
            Variable::DatabaseHost => database.map(|_| DATABASE.to_owned())?,
            Variable::DatabasePort => database.map(|_| DATABASE_PORT.to_string())?,
            Variable::DatabaseName => database?.name.clone(),
            Variable::DatabaseUser => database?.user.clone(),
            Variable::Host(component) => self.host_of(component)?.to_string(),
        })
    }

    /// Every variable of this preview by name: what its components find in their environment, and what `${…}` stands
    /// for.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<String, String> {
        let hosts = host_variables(self.config);
        let all = Variable::FIXED.into_iter().chain(hosts);
        all.filter_map(|variable| Some((variable.name().into_owned(), self.variable(&variable)?)))
            .collect()
    }
}

/// Labels of an object that runs `program` of `component`, by which its pods are selected.
fn labels(program: &str, component: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (NAME_LABEL.to_owned(), program.to_owned()),
        (keys::COMPONENT.to_owned(), component.to_owned()),
    ])
}

/// The first ten hex digits of the SHA-256 of `parts`: enough that no two names of one namespace meet.
pub(crate) fn short_hash(parts: &[&Value]) -> String {
    let texts: Vec<String> = parts.iter().map(|part| canonical(part)).collect();
    crate::names::Digest::of(texts.join("\n").as_bytes()).hex()[..10].to_owned()
}

/// JSON with sorted keys, whatever serde_json was built with.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            let fields = sorted
                .into_iter()
                .map(|(key, value)| format!("{}:{}", json!(key), canonical(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(canonical).collect();
            format!("[{}]", elements.join(","))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests;
