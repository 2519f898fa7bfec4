//! What a deploy would do, object by object, as the cluster foresees it; and as far as it is known without one.

use std::collections::BTreeMap;

use preview_actions::{Conclusion, Failed, Outside as _};
use preview_core::database::STATE;
use preview_core::manifests::{DATABASE, VOLUME_CLAIM};
use preview_core::markdown::inline;
use preview_core::names::Fence;
use preview_core::objects::{Kind, Manifest, ObjectName};
use preview_core::ownership::TakeOver;
use preview_core::plan::{Planned, PlannedChange, lines};
use preview_k8s::{Change, DryRun, Error};

use crate::database::Foreseen;
use crate::preflight::Found;
use crate::stop::Stop;
use crate::story::Story;
use crate::{Deploy, budget};

/// A plan speaks for whichever run comes next, so no run is newer. Nothing is ever written under it.
pub(crate) const FENCE: Fence = Fence {
    run: u64::MAX,
    attempt: u32::MAX,
};

/// What would become of each object.
type Plan = BTreeMap<ObjectName, Planned>;

impl Deploy<'_> {
    /// Says what a deploy would do, and does nothing of it.
    ///
    /// Where the cluster cannot be asked, or does not let this account ask, what is known without it stands, and a
    /// remark says why there is no more.
    ///
    /// # Errors
    /// When a rule, or the cluster, would say no.
    pub(crate) async fn planned(&self, story: &mut Story<'_>) -> Result<Conclusion, Failed> {
        budget::planned(self.runner, self.preview)?;
        self.tell_images();
        let plan = match self.asked_of_cluster(story).await {
            Ok(plan) => plan,
            Err(Stop::Failed(Failed::Outside(_, why))) => {
                self.remark(&format!(
                    "what this changes on the cluster is not known: {why}"
                ));
                self.known_without_cluster()?
            }
            Err(Stop::Failed(failed)) => return Err(failed),
            Err(stop) => return Ok(Conclusion::done("superseded", stop)),
        };
        let mut plan: Vec<Planned> = plan.into_values().collect();
        // What goes stands last: the hashes in the names of Jobs would strew it among what comes.
        plan.sort_by_key(|planned| planned.change == PlannedChange::Deleted);
        for line in lines(&plan) {
            self.runner.console().line(&line);
        }
        let (namespace, url) = (self.preview.namespace_name().clone(), self.preview.url());
        let reason = format!(
            "would deploy {} to {namespace}, to answer at {url}",
            self.previewed.at_head()
        );
        self.runner.know(|result| {
            result.namespace = Some(namespace);
            result.url = Some(url);
            result.plan = plan;
        });
        Ok(Conclusion::done("planned", reason))
    }

    fn tell_images(&self) {
        let images = self.accepted.pinned();
        for (component, image) in &images {
            let line = format!("{component}: {image}");
            self.runner.console().line(&line);
        }
        for (component, tested) in self.accepted.unchanged() {
            let unchanged = format!("{component}: not built again, as tested with {tested}");
            self.runner.console().line(&unchanged);
        }
        self.runner.know(|result| result.images = images);
    }

    /// Something that whoever reads the plan should know.
    fn remark(&self, text: &str) {
        self.runner.console().line(&format!("note: {text}"));
        let said = inline(text);
        self.runner.know(|result| result.notes.push(said));
    }

    /// Everything that the preview is made of, by name alone.
    fn known_without_cluster(&self) -> Result<Plan, Failed> {
        let volume = Foreseen::YET_TO_BE_MADE.parse().misused()?;
        let mut names = self.preview.all_names(Some(&volume));
        // What we keep there for ourselves is nothing to review.
        names.remove(&ObjectName::new(Kind::ConfigMap, STATE));
        let unknown = |name: ObjectName| {
            let shown = shown(&name, name.kind == Kind::Job);
            (name, Planned::new(shown, PlannedChange::Unknown))
        };
        Ok(names.into_iter().map(unknown).collect())
    }

    /// What the cluster says would come of it.
    async fn asked_of_cluster(&self, story: &mut Story<'_>) -> Result<Plan, Stop> {
        let Found { certificate, files } = self.preflight(story).await?;
        let name = self.preview.namespace_name();
        let existing = self.world.cluster.namespace(name).await.outside()?;
        let take_over = self.claimant.take_over(existing.as_ref());
        match take_over {
            TakeOver::Take => {}
            TakeOver::Finish => self.remark(&format!(
                "Namespace/{name} is being torn down; that would be finished first, and everything created afresh"
            )),
            _ => self.remark(&format!(
                "Namespace/{name} does not exist yet, so everything would be created; the cluster can only be asked about \
                 each object once it does"
            )),
        }
        let is_there = take_over == TakeOver::Take;
        let secrets = self.secrets(certificate).await?;
        let mut wanted = self.preview.furniture(&secrets);
        let database = self.foreseen_database(&files, !is_there).await?;
        if let Some(database) = &database {
            wanted.extend(database.manifests());
        }
        wanted.extend(self.preview.supplies());
        let (workloads, stops) = self.foreseen(self.preview.workloads()).await?;
        if stops {
            self.remark("the quota has no room for two versions side by side: the previous one would be stopped first");
        }
        wanted.extend(workloads);
        wanted.extend(self.preview.routes());
        match is_there {
            true => self.rehearsed(wanted, database.as_ref()).await,
            false => Ok(created(wanted, database.as_ref())),
        }
    }

    /// Asks the cluster about each object, and about those that the preview has no longer.
    async fn rehearsed(
        &self,
        mut wanted: Vec<Manifest>,
        database: Option<&Foreseen>,
    ) -> Result<Plan, Stop> {
        let mut plan = Plan::new();
        if let Some(why) = database.and_then(|database| database.rebuilt.as_ref()) {
            self.remark(&format!(
                "the database would be made afresh, and what is in it be gone: {why}"
            ));
            // The server is applied to nothing that is there.
            for name in made_afresh() {
                wanted.retain(|manifest| *manifest.object() != name);
                plan.insert(name.clone(), Planned::new(&name, PlannedChange::Recreated));
            }
        }
        let (cluster, namespace) = (&self.world.cluster, self.preview.namespace_name());
        let answers = cluster.dry_run(self.claimant, namespace, wanted).await;
        let mut refusals = Vec::new();
        for (name, answer) in answers {
            match answer {
                Ok(answer) => {
                    let planned = planned(&name, answer, database);
                    plan.insert(name, planned);
                }
                Err(refused @ (Error::Refused { .. } | Error::ForeignObject { .. })) => {
                    refusals.push(refused.to_string());
                }
                Err(error) => return Err(Failed::of(&error).into()),
            }
        }
        if !refusals.is_empty() {
            return Err(Failed::Refused(refusals).into());
        }
        let kept = database.and_then(|database| database.kept.as_ref());
        let mut keep = self.preview.all_names(kept);
        keep.extend(plan.keys().cloned());
        let owner = &self.claimant.owner;
        let unwanted = cluster.prunable(owner, namespace, &keep).await.outside()?;
        let deleted = |name: ObjectName| {
            let planned = Planned::new(&name, PlannedChange::Deleted);
            (name, planned)
        };
        plan.extend(unwanted.into_iter().map(deleted));
        Ok(plan)
    }
}

/// What is removed with the database, and made again.
fn made_afresh() -> [ObjectName; 2] {
    [
        ObjectName::new(Kind::StatefulSet, DATABASE),
        ObjectName::new(Kind::PersistentVolumeClaim, VOLUME_CLAIM),
    ]
}

/// A name as people read it: where its end follows from a database that is yet to be made, that is not known.
fn shown(name: &ObjectName, is_yet_to_be: bool) -> String {
    let shown = name.to_string();
    match shown.rsplit_once('-') {
        Some((known, _)) if is_yet_to_be => format!("{known}-…"),
        _ => shown,
    }
}

fn shown_beside(name: &ObjectName, database: Option<&Foreseen>) -> String {
    let of_database = database.filter(|database| database.kept.is_none());
    let is_job = |manifest: &Manifest| manifest.object() == name;
    shown(
        name,
        of_database.is_some_and(|database| database.jobs.iter().any(is_job)),
    )
}

fn created(wanted: Vec<Manifest>, database: Option<&Foreseen>) -> Plan {
    let objects = wanted.iter().map(|manifest| manifest.object().clone());
    let created = objects.map(|name| {
        let shown = shown_beside(&name, database);
        (name, Planned::new(shown, PlannedChange::Created))
    });
    created.collect()
}

fn planned(name: &ObjectName, answer: DryRun, database: Option<&Foreseen>) -> Planned {
    let change = match answer.change {
        Change::Created => PlannedChange::Created,
        Change::Changed => PlannedChange::Changed,
        Change::Unchanged => PlannedChange::Unchanged,
    };
    Planned {
        fields: answer.fields,
        ..Planned::new(shown_beside(name, database), change)
    }
}
