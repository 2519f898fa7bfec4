//! `[promote]`: where a merged pull request goes, and what has to hold of it.

use std::time::Duration;

use serde::Deserialize;

use super::attestation::{self, AttestationFile, AttestationSettings};
use super::error::{ConfigError, Source};
use super::patterns::patterns;
use super::read::{check, duration, value};
use super::{Address, Component, checks};
use crate::names::{ComponentName, Host, NamespaceName, TargetName, is_dns_label};
use crate::objects::{Kind, ObjectName};
use crate::paths::PathPatterns;
use crate::record::{RecordKey, Trust};

/// The kinds of workloads whose images can be promoted to.
const TARGET_KINDS: [Kind; 4] = [
    Kind::Deployment,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::CronJob,
];

/// How long a verification may take.
const LONGEST_VERIFICATION: Duration = Duration::from_secs(3600);

/// Where a merged pull request goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Promote {
    /// Whether a record without a signature is believed.
    pub unsigned_records: bool,
    /// Which workflow must have built the images, where one must.
    pub require_attestation: Option<AttestationSettings>,
    /// Files that need not be as they were tested.
    pub ignore: PathPatterns,
    /// The targets, in the order in which they are promoted to.
    pub targets: Vec<Target>,
}

impl Promote {
    /// Which records are believed by whoever has this key, or none.
    #[must_use]
    pub fn trust<'a>(&self, key: Option<&'a RecordKey>) -> Trust<'a> {
        Trust {
            key,
            unsigned: self.unsigned_records,
        }
    }
}

/// A place that runs what was merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name, also that of its GitHub environment.
    pub name: TargetName,
    /// The Namespace of its workloads.
    pub namespace: NamespaceName,
    /// The workloads that run components.
    pub workloads: Vec<TargetWorkload>,
    /// What runs before any image is set.
    pub migrate: Option<TargetCommand>,
    /// What has to be seen once all of it runs.
    pub verify: Verification,
    /// Whether what ran before is set back where a rollout fails after a migration.
    pub rollback_after_migration: AfterMigration,
}

/// A workload of a target that runs a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetWorkload {
    /// The component.
    pub component: ComponentName,
    /// The workload.
    pub workload: ObjectName,
    /// The container in its pods.
    pub container: String,
}

/// A command that runs once in a target, as a container of one of its workloads would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetCommand {
    /// Whose image it runs, and whose environment, volumes and account it has.
    pub of: TargetWorkload,
    /// The command.
    pub command: Vec<String>,
}

/// What has to be seen of a target before a promotion to it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// A page that has to answer.
    pub page: Option<TargetPage>,
    /// A command that has to succeed.
    pub command: Option<TargetCommand>,
}

/// A page of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetPage {
    /// Its host, which is asked over TLS.
    pub host: Host,
    /// The path that is asked for.
    pub path: String,
    /// The HTTP status that it must answer with.
    pub status: u16,
    /// How long it may take until it does, after everything runs.
    pub deadline: Duration,
    /// Where the front door is, where the host's name does not lead to it from here.
    pub connect_to: Option<Address>,
}

impl TargetPage {
    /// What is asked, as people write it.
    #[must_use]
    pub fn address(&self) -> String {
        format!("https://{}{}", self.host, self.path)
    }
}

/// What becomes of a rollout that fails after a migration has changed the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AfterMigration {
    /// What ran before is set back: it must get along with the newer schema, which stays.
    #[default]
    Allow,
    /// It is left as it is, and somebody is told.
    Refuse,
}

/// Where a merged pull request goes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct PromoteFile {
    /// Whether a record without a signature is believed. Anybody who can start a workflow could have written it.
    #[serde(default)]
    unsigned_records: bool,
    /// Which workflow must have built the images, by GitHub's attestation; none unless told.
    require_attestation: Option<AttestationFile>,
    /// Patterns of paths that need not be as they were tested, such as `docs/**`: what was merged is promoted although they
    /// differ. None unless told. What an image is built from must not be among them.
    ignore: Option<Vec<String>>,
    /// The places that run what was merged, in the order in which they are promoted to.
    #[serde(default)]
    targets: Vec<TargetFile>,
}

/// A place that runs what was merged.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct TargetFile {
    /// Its name, also that of its GitHub environment.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    name: TargetName,
    /// The Namespace of its workloads.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    namespace: NamespaceName,
    /// The workloads that run components; `Deployment/<component>` of every component unless told.
    workloads: Option<Vec<WorkloadFile>>,
    /// A command that runs to its end before any image is set, with the image that is promoted.
    migrate: Option<CommandFile>,
    /// What has to be seen once all of it runs; where it is not, what ran before is set back.
    verify: Option<VerifyFile>,
    /// Whether what ran before is set back where a rollout fails after `migrate` has run: the schema stays the newer one.
    #[serde(default)]
    rollback_after_migration: AfterMigration,
}

/// A workload that runs a component.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct WorkloadFile {
    /// The component.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    component: ComponentName,
    /// Kind and name, such as `Deployment/web`; that Deployment with the component's name unless told.
    workload: Option<String>,
    /// The container in its pods; the one with the component's name unless told.
    container: Option<String>,
}

/// A command that runs once in a target, in a pod like that of the workload which runs the component there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct CommandFile {
    /// The component whose image it runs; the target has to run it.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    component: ComponentName,
    /// The command; the component's `migrate` unless told.
    command: Option<Vec<String>>,
}

/// What has to be seen of a target: a page that answers, a command that succeeds, or both.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct VerifyFile {
    /// The host of the page, which is asked over TLS.
    host: Option<String>,
    /// Where the target's front door is, such as `203.0.113.7:443`, where the host's name does not lead to it from here.
    connect_to: Option<String>,
    /// The path that is asked for.
    path: Option<String>,
    /// The HTTP status that it must answer with; 200 unless told.
    #[cfg_attr(feature = "schema", schemars(range(min = 100, max = 599)))]
    status: Option<u16>,
    /// How long it may take until it does, after everything runs; `60s` unless told, `1h` at most.
    deadline: Option<String>,
    /// The component whose image runs the command; the target has to run it.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    component: Option<ComponentName>,
    /// The command.
    command: Option<Vec<String>>,
}

pub(super) fn promote(
    source: &Source<'_>,
    written: PromoteFile,
    components: &[Component],
) -> Result<Promote, ConfigError> {
    let mut targets: Vec<Target> = Vec::new();
    for (index, written) in written.targets.into_iter().enumerate() {
        let index = format!("[{index}]");
        let again = targets.iter().any(|target| target.name == written.name);
        check(
            source,
            !again,
            &["promote", "targets", &index, "name"],
            "there is a target of that name already",
        )?;
        targets.push(target(source, &index, written, components)?);
    }
    Ok(Promote {
        unsigned_records: written.unsigned_records,
        require_attestation: written
            .require_attestation
            .map(|written| attestation::attestation(source, written))
            .transpose()?,
        ignore: patterns(source, &["promote", "ignore"], written.ignore)?,
        targets,
    })
}

fn target(
    source: &Source<'_>,
    index: &str,
    written: TargetFile,
    components: &[Component],
) -> Result<Target, ConfigError> {
    let workloads = target_workloads(source, index, written.workloads, components)?;
    let table = ["promote", "targets", index];
    let migrate = written.migrate.map(|migrate| {
        let at = [&table[..], &["migrate"]].concat();
        let component = components.iter().find(|it| it.name == migrate.component);
        let by_default = component.and_then(|component| component.migrate.clone());
        let command = migrate.command.or(by_default);
        target_command(source, &at, migrate.component, command, &workloads)
    });
    let migrate = migrate.transpose()?;
    let verify = written
        .verify
        .map(|verify| {
            verification(
                source,
                &[&table[..], &["verify"]].concat(),
                verify,
                &workloads,
            )
        })
        .transpose()?
        .unwrap_or_default();
    Ok(Target {
        name: written.name,
        namespace: written.namespace,
        workloads,
        migrate,
        verify,
        rollback_after_migration: written.rollback_after_migration,
    })
}

fn target_workloads(
    source: &Source<'_>,
    index: &str,
    written: Option<Vec<WorkloadFile>>,
    components: &[Component],
) -> Result<Vec<TargetWorkload>, ConfigError> {
    let Some(written) = written else {
        let all = components.iter().map(|component| TargetWorkload {
            component: component.name.clone(),
            workload: ObjectName::new(Kind::Deployment, component.name.as_str()),
            container: component.name.to_string(),
        });
        return Ok(all.collect());
    };
    let table = ["promote", "targets", index, "workloads"];
    check(
        source,
        !written.is_empty(),
        &table,
        "a target that runs nothing; name a workload, or leave the key out for all components",
    )?;
    let all = written.into_iter().enumerate().map(|(place, written)| {
        let place = format!("[{place}]");
        let table = [&table[..], &[&place]].concat();
        target_workload(source, &table, written, components)
    });
    all.collect()
}

/// The command of `component`, which runs like the first container of the target that has its image.
fn target_command(
    source: &Source<'_>,
    table: &[&str],
    component: ComponentName,
    command: Option<Vec<String>>,
    workloads: &[TargetWorkload],
) -> Result<TargetCommand, ConfigError> {
    let at = |key: &'static str| [table, &[key]].concat();
    let command = command.unwrap_or_default();
    check(
        source,
        !command.is_empty(),
        &at("command"),
        "a command of no words; write it like [\"/api\", \"migrate\"]",
    )?;
    let of = workloads.iter().find(|it| it.component == component);
    let of = of.cloned().ok_or_else(|| {
        let problem =
            format!("the target runs no component {component}; name one of its workloads'");
        source.wrong(&at("component"), problem)
    })?;
    Ok(TargetCommand { of, command })
}

fn verification(
    source: &Source<'_>,
    table: &[&str],
    written: VerifyFile,
    workloads: &[TargetWorkload],
) -> Result<Verification, ConfigError> {
    let at = |key: &'static str| [table, &[key]].concat();
    check(
        source,
        written.host.is_some() || written.component.is_some(),
        table,
        "nothing to look at; write the `host` of a page, or `component` and `command`",
    )?;
    check(
        source,
        written.host.is_some()
            || (written.path.is_none()
                && written.status.is_none()
                && written.deadline.is_none()
                && written.connect_to.is_none()),
        &at("host"),
        "a page without its host; write the host, too",
    )?;
    check(
        source,
        written.component.is_some() || written.command.is_none(),
        &at("component"),
        "a command of no component; write whose image runs it",
    )?;
    let page = written.host.as_deref().map(|host| {
        let path = written.path.unwrap_or_else(|| "/".to_owned());
        check(
            source,
            checks::is_asked_for(&path),
            &at("path"),
            "no path; it begins with / and is of letters, digits, % and -._~!$&'()*+,;=:@",
        )?;
        let status = written.status.unwrap_or(200);
        check(
            source,
            (100..=599).contains(&status),
            &at("status"),
            "no HTTP status; write 100 to 599",
        )?;
        let text = written.deadline.as_deref().unwrap_or("60s");
        let deadline = duration(text)
            .filter(|long| (Duration::from_secs(1)..=LONGEST_VERIFICATION).contains(long))
            .ok_or_else(|| {
                let problem = format!(
                    "{text:?} is no duration of at least 1s and at most 1h; write it like 60s or 2m"
                );
                source.wrong(&at("deadline"), problem)
            })?;
        Ok(TargetPage {
            host: value(source, &at("host"), host)?,
            path,
            status,
            deadline,
            connect_to: written
                .connect_to
                .map(|at_door| value(source, &at("connect_to"), &at_door))
                .transpose()?,
        })
    });
    let command = written
        .component
        .map(|component| target_command(source, table, component, written.command, workloads));
    Ok(Verification {
        page: page.transpose()?,
        command: command.transpose()?,
    })
}

fn target_workload(
    source: &Source<'_>,
    table: &[&str],
    written: WorkloadFile,
    components: &[Component],
) -> Result<TargetWorkload, ConfigError> {
    let at = |key: &'static str| [table, &[key]].concat();
    let names: Vec<&str> = components
        .iter()
        .map(|component| component.name.as_str())
        .collect();
    let component = written.component;
    check(
        source,
        names.contains(&component.as_str()),
        &at("component"),
        format!(
            "there is no component {component}; there are: {}",
            names.join(", ")
        ),
    )?;
    let workload: ObjectName = match &written.workload {
        Some(text) => value(source, &at("workload"), text)?,
        None => ObjectName::new(Kind::Deployment, component.as_str()),
    };
    let kinds = TARGET_KINDS.map(Kind::as_str).join(", ");
    check(
        source,
        TARGET_KINDS.contains(&workload.kind),
        &at("workload"),
        format!(
            "a {} runs no component; name one of: {kinds}",
            workload.kind
        ),
    )?;
    let container = written.container.unwrap_or_else(|| component.to_string());
    check(
        source,
        is_dns_label(&container),
        &at("container"),
        "no name of a container: a-z, 0-9 and -",
    )?;
    Ok(TargetWorkload {
        component,
        workload,
        container,
    })
}
