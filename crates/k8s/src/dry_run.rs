//! What applying would change, as the API server itself tells it.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>

use futures::StreamExt as _;
use kube::api::{DynamicObject, Patch};
use preview_core::names::NamespaceName;
use preview_core::objects::{Kind, Manifest, ObjectName};
use preview_core::ownership::Claimant;
use preview_core::plan::{FieldPath, changes};
use serde_json::Value;

use crate::apply::{Change, PARALLEL, body, conditional};
use crate::call::{Answer, Operation};
use crate::cluster::Cluster;
use crate::contents;
use crate::error::Error;
use crate::fence::{Round, until_settled};

/// What applying an object would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRun {
    /// Whether it would be made or changed.
    pub change: Change,
    /// The fields that would be others, where it would be changed.
    pub fields: Vec<FieldPath>,
}

impl DryRun {
    const fn of(change: Change) -> Self {
        Self {
            change,
            fields: Vec::new(),
        }
    }
}

impl Cluster {
    /// Has the server do everything that [`Self::apply`] would have it do, admission included, but keep nothing of it.
    ///
    /// It needs the rights of the real thing, and a Namespace that is there. Whose that is, is for the caller to have
    /// looked at: there is no fence to confirm where nothing is written. What is on its way out would be made afresh, and
    /// is not asked for.
    ///
    /// Each object has its own answer; the error of one is most often a refusal of the server ([`Error::Refused`]).
    pub async fn dry_run(
        &self,
        claimant: &Claimant,
        namespace: &NamespaceName,
        wave: Vec<Manifest>,
    ) -> Vec<(ObjectName, Result<DryRun, Error>)> {
        futures::stream::iter(wave)
            .map(|manifest| async move {
                let object = manifest.object().clone();
                let answer = self.dry_run_one(claimant, namespace, manifest).await;
                (object, answer)
            })
            .buffered(PARALLEL)
            .collect()
            .await
    }

    async fn dry_run_one(
        &self,
        claimant: &Claimant,
        namespace: &NamespaceName,
        manifest: Manifest,
    ) -> Result<DryRun, Error> {
        let object = manifest.object().clone();
        let operation = self.operation(format!("dry-run {object} in {namespace}"));
        let body = body(claimant, namespace, manifest);
        until_settled(&operation, async || {
            self.dry_run_round(&operation, claimant, namespace, &object, &body)
                .await
        })
        .await
    }

    /// One read and one dry run on the condition that it is still what was read: a controller may write in between, and
    /// that would be no change of ours.
    async fn dry_run_round(
        &self,
        operation: &Operation,
        claimant: &Claimant,
        namespace: &NamespaceName,
        object: &ObjectName,
        body: &Value,
    ) -> Result<Round<DryRun>, Error> {
        let api = self.api(object.kind, namespace);
        let existing = self.read(operation, || api.get(&object.name)).await?;
        let binding = self.binding(operation, namespace, object, existing.as_ref());
        let binding = binding.await?;
        if let Some(existing) = &existing {
            contents::check(operation, &claimant.owner, namespace, object, existing)?;
            if existing.metadata.deletion_timestamp.is_some() {
                return Ok(Round::Settled(DryRun::of(Change::Created)));
            }
            if object.kind == Kind::Job {
                return Ok(Round::Settled(DryRun::of(Change::Unchanged)));
            }
        }
        let body = conditional(body.clone(), existing.as_ref(), binding);
        let (params, patch) = (self.apply_params().dry_run(), Patch::Apply(&body));
        let answer = self.call(operation, || api.patch(&object.name, &params, &patch));
        match answer.await? {
            Answer::Done(after) => {
                let compared = self.compared(operation, existing, after);
                compared.map(Round::Settled)
            }
            Answer::Conflict(reason) => Ok(Round::Again(reason)),
            Answer::Absent(reason) => Err(Error::Absent {
                operation: operation.what.clone(),
                reason,
                next: "check that the Namespace is there, and that the cluster serves this kind of object"
                    .to_owned(),
            }),
        }
    }

    fn compared(
        &self,
        operation: &Operation,
        before: Option<DynamicObject>,
        after: DynamicObject,
    ) -> Result<DryRun, Error> {
        let Some(before) = before else {
            return Ok(DryRun::of(Change::Created));
        };
        let json = |object| {
            let object = serde_json::to_value(object);
            object.map_err(|error| self.malformed(operation, error.to_string()))
        };
        let fields = changes(&json(before)?, &json(after)?);
        let change = match fields.is_empty() {
            true => Change::Unchanged,
            false => Change::Changed,
        };
        Ok(DryRun { change, fields })
    }
}
