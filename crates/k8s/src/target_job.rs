//! Commands that run once in a production target, as Jobs under its Lease.

use backon::BackoffBuilder as _;
use kube::api::{Api, DynamicObject, PostParams};
use preview_core::health::{Failure, Rollout};
use preview_core::names::{Fence, NamespaceName};
use preview_core::objects::{Kind, Manifest, ObjectName};
use serde_json::Value;
use tokio::time::Instant;

use crate::call::{Answer, Operation, pauses};
use crate::cluster::Cluster;
use crate::error::{Error, Final};
use crate::kinds::{pod_spec, resource};
use crate::lease::HeldLease;
use crate::remove::has_failed;

/// How a command in a target ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// It succeeded, now or in an earlier run for the same.
    Succeeded,
    /// It failed.
    Failed(Box<Failure>),
    /// Another run has the target's Lease now.
    Superseded {
        /// The run; none when nobody has it.
        by: Option<Fence>,
    },
}

/// What there is of a Job.
enum Standing {
    /// Nothing.
    Absent,
    /// It runs, or has succeeded.
    Made,
    /// An earlier attempt that failed.
    Failed(Box<DynamicObject>),
    /// It is being deleted.
    Going,
}

impl Cluster {
    /// The `spec` of the workload's pods, as its template has it; none where there is no such workload.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn pod_template(
        &self,
        namespace: &NamespaceName,
        workload: &ObjectName,
    ) -> Result<Option<Value>, Error> {
        let operation = self.operation(format!("read {workload} in {namespace}"));
        let api = self.api(workload.kind, namespace);
        let found = self.read(&operation, || api.get(&workload.name)).await?;
        let pointer = pod_spec(workload.kind);
        Ok(found.and_then(|object| object.data.pointer(pointer?).cloned()))
    }

    /// Runs the Job `job` in the target whose Lease this run holds, and waits for its end: one that has succeeded before is
    /// not run again, one that runs already is waited for, and one that failed is deleted and made again.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or refuses, or the failed one does not go.
    pub async fn run_errand(
        &self,
        lease: &HeldLease,
        job: &Manifest,
        deadline: std::time::Instant,
        progress: impl FnMut(&ObjectName, &Rollout),
    ) -> Result<Errand, Error> {
        let namespace = &lease.namespace;
        let object = job.object();
        let operation = self.operation(format!("run {object} in {namespace}"));
        if let Some(by) = self.made(&operation, lease, job).await? {
            return Ok(Errand::Superseded { by });
        }
        let jobs = [object.clone()];
        let ended = self
            .await_rollout(namespace, &jobs, deadline, progress)
            .await?;
        let failed = ended.into_iter().find_map(|(_, rollout)| match rollout {
            Rollout::Failed(failure) => Some(failure),
            Rollout::Waiting { .. } | Rollout::Complete { .. } => None,
        });
        Ok(failed.map_or(Errand::Succeeded, |failure| {
            Errand::Failed(Box::new(failure))
        }))
    }

    /// Makes the Job, unless it is there and has not failed; the run that took the Lease, if one did.
    async fn made(
        &self,
        operation: &Operation,
        lease: &HeldLease,
        job: &Manifest,
    ) -> Result<Option<Option<Fence>>, Error> {
        let mut pauses = pauses().build();
        for attempt in 1.. {
            let standing = self
                .standing(operation, &lease.namespace, job.object())
                .await?;
            if matches!(standing, Standing::Made) {
                return Ok(None);
            }
            if let Some(lost) = self.lost_to(operation, lease).await? {
                return Ok(Some(lost.0));
            }
            match standing {
                // However soon it fails: that is this run's own attempt.
                Standing::Absent if self.created(operation, lease, job).await? => return Ok(None),
                Standing::Absent => {}
                Standing::Failed(read) => {
                    let delete = self.delete(operation, &lease.namespace, job.object(), &read);
                    delete.await?;
                }
                Standing::Made | Standing::Going => {}
            }
            let pause = pauses.next().unwrap_or_default();
            if Instant::now() + pause >= operation.deadline {
                return Err(operation.contended(attempt, "it was neither there nor gone".into()));
            }
            tokio::time::sleep(pause).await;
        }
        unreachable!("rounds are not limited by their number")
    }

    async fn standing(
        &self,
        operation: &Operation,
        namespace: &NamespaceName,
        job: &ObjectName,
    ) -> Result<Standing, Error> {
        let api = self.api(Kind::Job, namespace);
        let Some(read) = self.read(operation, || api.get(&job.name)).await? else {
            return Ok(Standing::Absent);
        };
        if read.metadata.deletion_timestamp.is_some() {
            return Ok(Standing::Going);
        }
        Ok(match has_failed(&read) {
            true => Standing::Failed(Box::new(read)),
            false => Standing::Made,
        })
    }

    /// Creates it; whether it was not there. Where the answer to that was lost it is there by now, and is looked at anew: its
    /// name says that it is the same.
    async fn created(
        &self,
        operation: &Operation,
        lease: &HeldLease,
        job: &Manifest,
    ) -> Result<bool, Error> {
        let api: Api<DynamicObject> = Api::namespaced_with(
            self.client.clone(),
            lease.namespace.as_str(),
            &resource(Kind::Job),
        );
        let body: DynamicObject = serde_json::from_value(job.body().clone())
            .map_err(|error| self.malformed(operation, error.to_string()))?;
        let params = PostParams {
            field_manager: Some(self.manager.to_owned()),
            ..PostParams::default()
        };
        let create = self.call(operation, || api.create(&params, &body));
        match create.await? {
            Answer::Done(_) => Ok(true),
            Answer::Conflict(_) => Ok(false),
            Answer::Absent(reason) => Err(self.finally(operation, Final::Refused(404, reason))),
        }
    }
}
