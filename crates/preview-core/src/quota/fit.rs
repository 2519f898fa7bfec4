//! Whether a preview fits its quota, and how it can be updated there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Uncountable;
use super::amount::{Resource, Usage};
use super::count::{Need, Rules, volume};
use super::table::{Line, Table};
use crate::manifests::DATABASE;
use crate::objects::{Kind, Manifest, ObjectName};

/// All that a preview needs, in the order in which it comes up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    rules: Rules,
    database: Vec<Need>,
    jobs: Vec<Vec<Need>>,
    workloads: Vec<Need>,
}

/// A PersistentVolumeClaim that is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its name.
    pub name: String,
    /// What it uses.
    pub uses: Usage,
}

impl Left {
    /// The claim `name` with this spec, as the server has it.
    ///
    /// # Errors
    /// When it cannot be counted.
    pub fn of(name: String, spec: &Value) -> Result<Self, Uncountable> {
        let object = ObjectName::new(Kind::PersistentVolumeClaim, &name);
        let uses = volume(&object, spec)?;
        Ok(Self { name, uses })
    }
}

/// When a preview needs too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// While Jobs run beside the database.
    Jobs,
    /// When everything is up and nothing is being replaced.
    AtRest,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jobs => "while its Jobs run",
            Self::AtRest => "when everything is up",
        })
    }
}

/// A preview that cannot fit, however long one waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Overdraft {
    /// When it needs too much.
    pub when: Moment,
    /// Who needs how much of what is exceeded.
    pub table: Table,
}

impl Overdraft {
    /// One reason for each resource that is exceeded, with its next step.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let (sum, hard) = (self.table.sum(), &self.table.hard);
        let reason = |resource: Resource| {
            format!(
                "the preview does not fit its quota: {} it needs {resource} {}, and {} is allowed; give its objects \
                 less, or raise [quota] in preview.toml",
                self.when,
                resource.show(sum.of(resource)),
                resource.show(hard.of(resource)),
            )
        };
        sum.beyond(hard).map(reason).collect()
    }
}

impl Budget {
    /// What the manifests need, under the ResourceQuota and the LimitRange that are among `furniture`.
    ///
    /// # Errors
    /// When one of them cannot be counted: Kubernetes would refuse it.
    pub fn of(
        furniture: &[Manifest],
        database: &[Manifest],
        jobs: &[Vec<Manifest>],
        workloads: &[Manifest],
    ) -> Result<Self, Uncountable> {
        let rules = Rules::of(furniture)?;
        let needs = |manifests: &[Manifest]| rules.needs(manifests);
        Ok(Self {
            database: needs(database)?,
            jobs: jobs
                .iter()
                .map(|wave| needs(wave))
                .collect::<Result<_, _>>()?,
            workloads: needs(workloads)?,
            rules: rules.clone(),
        })
    }

    /// What it needs when everything is up.
    #[must_use]
    pub fn at_rest(&self) -> Table {
        self.table(&self.workloads, &[])
    }

    /// Whether everything that it needs at the same time fits, beside volumes that are `left` from before and not its
    /// own any more: volumes are never removed with what used them.
    ///
    /// # Errors
    /// When it does not, which no waiting changes.
    pub fn check(&self, left: &[Left]) -> Result<(), Overdraft> {
        let jobs = self.jobs.iter().map(|wave| (Moment::Jobs, wave));
        for (when, beside) in jobs.chain([(Moment::AtRest, &self.workloads)]) {
            let table = self.table(beside, left);
            let exceeded: Vec<Resource> = table.sum().beyond(&self.rules.hard).collect();
            if !exceeded.is_empty() {
                let table = table.only(&exceeded);
                return Err(Overdraft { when, table });
            }
        }
        Ok(())
    }

    /// How what is `running` can give way to it; with nothing running, how it is updated as long as it stays as it is.
    #[must_use]
    pub fn update(&self, running: &[Running]) -> Update {
        let all = [self.database.as_slice(), &self.workloads].concat();
        update(&self.rules.hard, &all, running)
    }

    /// Whether `wave` fits beside what is `running`.
    ///
    /// # Errors
    /// When one of the manifests cannot be counted.
    pub fn has_room(&self, wave: &[Manifest], running: &[Running]) -> Result<bool, Uncountable> {
        Ok(has_room(
            &self.rules.hard,
            &self.rules.needs(wave)?,
            running,
        ))
    }

    fn table(&self, beside: &[Need], left: &[Left]) -> Table {
        let needs = self.database.iter().chain(beside);
        let own: BTreeSet<String> = self
            .database
            .iter()
            .chain(&self.workloads)
            .flat_map(|need| need.claims.iter().cloned())
            .collect();
        let left = left.iter().filter(|left| !own.contains(&left.name));
        let left = left.map(|left| Line {
            object: format!(
                "{}/{}, left from before",
                Kind::PersistentVolumeClaim,
                left.name
            ),
            pods: 0,
            uses: left.uses.clone(),
        });
        Table {
            lines: needs.map(Line::of).chain(left).collect(),
            hard: self.rules.hard.clone(),
        }
    }
}

/// A pod of a workload that runs and does not go by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Whose it is.
    pub workload: ObjectName,
    /// What it uses.
    pub uses: Usage,
}

/// How what runs can be replaced within the quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Update {
    /// New pods come before old ones go, as the manifests say.
    Surging,
    /// There is no room for a pod more: an old one goes before a new one comes.
    InPlace,
    /// Old and new do not fit beside each other: all old ones go first.
    StopFirst,
}

/// How the pods that are `running` can give way to those that are `wanted`, the database among both.
#[must_use]
pub fn update(hard: &Usage, wanted: &[Need], running: &[Running]) -> Update {
    let mut old = by_workload(running);
    let (mut beside, mut surge) = (Usage::none(), Usage::none());
    for need in wanted {
        let was = old.remove(&need.object).unwrap_or_default();
        beside = beside.plus(&was.while_exchanged_for(need));
        surge = surge.plus(&need.of_surge());
    }
    // What is no longer wanted is removed only after the new version is up.
    beside = old
        .values()
        .fold(beside, |all, old| all.plus(&old.together));
    if beside.plus(&surge).fits(hard) {
        Update::Surging
    } else if beside.fits(hard) {
        Update::InPlace
    } else {
        Update::StopFirst
    }
}

/// Whether `wave` fits beside what is `running`: its own older pods make room for it.
#[must_use]
pub fn has_room(hard: &Usage, wave: &[Need], running: &[Running]) -> bool {
    let mut old = by_workload(running);
    let of_wave = wave.iter().map(|need| {
        let was = old.remove(&need.object).unwrap_or_default();
        was.while_exchanged_for(need)
    });
    let of_wave: Usage = of_wave.sum();
    let all = old
        .values()
        .fold(of_wave, |all, old| all.plus(&old.together));
    all.fits(hard)
}

/// The pods of a workload that run.
#[derive(Clone, Debug, Default)]
struct Old {
    pods: u32,
    together: Usage,
    /// Of each resource what the largest of them uses.
    largest: Usage,
}

impl Old {
    /// The most that there is while pods go one by one and new ones come for them. The old ones that are more than
    /// wanted go at once; each of the others stays until a new one is there.
    fn while_exchanged_for(&self, need: &Need) -> Usage {
        let exchanged = self.pods.min(need.pods);
        let one_by_one = need.pod.or(&self.largest).times(exchanged);
        let added = need.pod.times(need.pods - exchanged);
        let pods = self.together.or(&one_by_one.plus(&added));
        pods.plus(&need.beside)
    }
}

fn by_workload(running: &[Running]) -> BTreeMap<ObjectName, Old> {
    let mut all = BTreeMap::<ObjectName, Old>::new();
    for pod in running {
        let old = all.entry(pod.workload.clone()).or_default();
        old.pods += 1;
        old.together = old.together.plus(&pod.uses);
        old.largest = old.largest.or(&pod.uses);
    }
    all
}

impl Running {
    /// A pod of `workload` with this spec, as the server has it.
    ///
    /// # Errors
    /// When it cannot be counted.
    pub fn of(workload: ObjectName, spec: &Value) -> Result<Self, Uncountable> {
        let uses = Rules::default().pod(&workload, spec)?;
        Ok(Self { workload, uses })
    }

    /// Whether it may be stopped to make room for a new version: everything but the database, and Jobs, which end by
    /// themselves.
    #[must_use]
    pub fn can_be_stopped(&self) -> bool {
        let database = ObjectName::new(Kind::StatefulSet, DATABASE);
        self.workload != database && self.workload.kind != Kind::Job
    }
}

/// The workload, to be updated without a pod more than it has: an old one goes before a new one comes.
#[must_use]
pub fn in_place(mut manifest: Manifest) -> Manifest {
    let strategy = match manifest.object().kind {
        Kind::Deployment => "strategy",
        Kind::DaemonSet => "updateStrategy",
        _ => return manifest,
    };
    let spec = &mut manifest.body_mut()["spec"];
    if matches!(
        spec[strategy]["type"].as_str(),
        Some("Recreate" | "OnDelete")
    ) {
        return manifest;
    }
    let unavailable = &spec[strategy]["rollingUpdate"]["maxUnavailable"];
    // Both cannot be zero.
    let unavailable = match unavailable {
        Value::Null => json!(1),
        zero if *zero == json!(0) || *zero == json!("0%") => json!(1),
        own => own.clone(),
    };
    spec[strategy] = json!({
        "type": "RollingUpdate",
        "rollingUpdate": { "maxSurge": 0, "maxUnavailable": unavailable },
    });
    manifest
}
