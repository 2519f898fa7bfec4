//! The Lease of a production target: one promotion at a time.

use backon::BackoffBuilder as _;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1 as coordination;
use kube::api::{Api, Patch, PatchParams};
use preview_core::names::{CommitSha, Fence, NamespaceName};
use preview_core::ownership::keys;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::apply::MUST_BE_ABSENT;
use crate::call::{Answer, Operation, pauses};
use crate::cluster::Cluster;
use crate::error::{Error, Final};

/// A Lease that its holder has not given back after this time belongs to nobody: the run has ended otherwise.
const DURATION_SECONDS: i32 = 3600;

/// What is known of a target's Lease from one read of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseFacts {
    /// The run that holds it; none when it was given back, or its time is over.
    pub holder: Option<Fence>,
    /// The commit that the holder promotes, or the last one promoted.
    pub commit: Option<CommitSha>,
    /// Why nobody may promote to the target: the value of the annotation [`keys::FROZEN`], which a rollback or a person
    /// wrote.
    pub frozen: Option<String>,
}

/// A Lease that this run holds. Writing to a target takes one, and reads it again each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLease {
    pub(crate) namespace: NamespaceName,
    pub(crate) name: String,
    pub(crate) fence: Fence,
}

/// What a run asks for a Lease with.
#[derive(Clone, Copy, Debug)]
pub struct Bid<'a> {
    /// The run.
    pub fence: Fence,
    /// The commit that it promotes.
    pub commit: &'a CommitSha,
    /// The run that it may take the Lease from, where that holds it.
    pub over: Option<Fence>,
    /// The reason for which it freezes the target, where it does.
    pub freeze: Option<&'a str>,
}

/// What came of asking for a Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Take {
    /// It is ours, until another run takes it over.
    Taken(HeldLease),
    /// Another run holds it.
    HeldBy {
        /// The run.
        fence: Fence,
        /// The commit it promotes.
        commit: Option<CommitSha>,
    },
    /// Somebody froze the target.
    Frozen {
        /// In their words.
        reason: String,
    },
}

impl Cluster {
    fn lease_api(&self, namespace: &NamespaceName) -> Api<coordination::Lease> {
        Api::namespaced(self.client.clone(), namespace.as_str())
    }

    /// The Lease of the target; none before its first promotion.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn lease(
        &self,
        namespace: &NamespaceName,
        target: &str,
    ) -> Result<Option<LeaseFacts>, Error> {
        let name = lease_name(target);
        let operation = self.operation(format!("read Lease/{name} in {namespace}"));
        let api = self.lease_api(namespace);
        let found = self.read(&operation, || api.get(&name)).await?;
        Ok(found.as_ref().map(lease_facts))
    }

    /// Takes the target's Lease for a run, by compare-and-set. One that another run holds is left alone, unless that is the
    /// one that this run may take over from; that run cannot write to the target any more then. A frozen one is left alone,
    /// unless this run itself freezes the target.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or refuses.
    pub async fn take_lease(
        &self,
        namespace: &NamespaceName,
        target: &str,
        bid: &Bid<'_>,
    ) -> Result<Take, Error> {
        let name = lease_name(target);
        let operation = self.operation(format!("take Lease/{name} in {namespace}"));
        let held = HeldLease {
            namespace: namespace.clone(),
            name,
            fence: bid.fence,
        };
        let mut pauses = pauses().build();
        for attempt in 1.. {
            if let Some(taken) = self.take_round(&operation, &held, bid).await? {
                return Ok(taken);
            }
            let pause = pauses.next().unwrap_or_default();
            if Instant::now() + pause >= operation.deadline {
                return Err(operation.contended(attempt, "others took it at the same time".into()));
            }
            tokio::time::sleep(pause).await;
        }
        unreachable!("rounds are not limited by their number")
    }

    /// One read and one write; none when somebody wrote in between.
    async fn take_round(
        &self,
        operation: &Operation,
        held: &HeldLease,
        bid: &Bid<'_>,
    ) -> Result<Option<Take>, Error> {
        let api = self.lease_api(&held.namespace);
        let existing = self.read(operation, || api.get(&held.name)).await?;
        let facts = existing.as_ref().map(lease_facts).unwrap_or_default();
        if let Some(reason) = facts.frozen.filter(|_| bid.freeze.is_none()) {
            return Ok(Some(Take::Frozen { reason }));
        }
        let gives_way = |holder: &Fence| *holder != held.fence && Some(*holder) != bid.over;
        if let Some(fence) = facts.holder.filter(gives_way) {
            let commit = facts.commit;
            return Ok(Some(Take::HeldBy { fence, commit }));
        }
        let change = Change {
            holder: Some(held.fence),
            commit: Some(bid.commit),
            freeze: bid.freeze,
        };
        let written = self.write_lease(operation, held, existing.as_ref(), change);
        Ok(written.await?.then(|| Take::Taken(held.clone())))
    }

    /// Gives the Lease back; nothing where another run has it by now.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or refuses.
    pub async fn give_back(&self, held: &HeldLease) -> Result<(), Error> {
        let operation = self.operation(format!(
            "give back Lease/{} in {}",
            held.name, held.namespace
        ));
        let api = self.lease_api(&held.namespace);
        // Twice at most: a person may have frozen the target in between, a run that took the Lease has it.
        for _ in 0..2 {
            let Some(existing) = self.read(&operation, || api.get(&held.name)).await? else {
                return Ok(());
            };
            if holder(&existing) != Some(held.fence)
                || self
                    .write_lease(&operation, held, Some(&existing), Change::default())
                    .await?
            {
                return Ok(());
            }
        }
        Err(operation.contended(2, "the Lease kept changing".into()))
    }

    /// Takes away what freezes the target; gives the reason that was there, none where it was not frozen.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or refuses.
    pub async fn unfreeze(
        &self,
        namespace: &NamespaceName,
        target: &str,
    ) -> Result<Option<String>, Error> {
        let name = lease_name(target);
        let operation = self.operation(format!("unfreeze Lease/{name} in {namespace}"));
        let api = self.lease_api(namespace);
        let params = PatchParams {
            field_manager: Some(self.manager.to_owned()),
            ..PatchParams::default()
        };
        let mut pauses = pauses().build();
        for attempt in 1.. {
            let Some(read) = self.read(&operation, || api.get(&name)).await? else {
                return Ok(None);
            };
            let Some(reason) = lease_facts(&read).frozen else {
                return Ok(None);
            };
            // Not by an apply: where a person set it, leaving it out would leave it there.
            let change = json!({ "metadata": {
                "uid": read.metadata.uid,
                "resourceVersion": read.metadata.resource_version,
                "annotations": { keys::FROZEN: null },
            } });
            let patch = Patch::Merge(&change);
            let answer = self.call(&operation, || api.patch(&name, &params, &patch));
            match answer.await? {
                Answer::Done(_) => return Ok(Some(reason)),
                Answer::Absent(_) => return Ok(None),
                Answer::Conflict(why) => {
                    let pause = pauses.next().unwrap_or_default();
                    if Instant::now() + pause >= operation.deadline {
                        return Err(operation.contended(attempt, why));
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
        unreachable!("rounds are not limited by their number")
    }

    /// Whether this run has the Lease still.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn holds(&self, held: &HeldLease) -> Result<bool, Error> {
        let operation = self.operation(format!("read Lease/{} in {}", held.name, held.namespace));
        Ok(self.lost_to(&operation, held).await?.is_none())
    }

    /// The run that holds the Lease now, if it is not ours any more.
    pub(crate) async fn lost_to(
        &self,
        operation: &Operation,
        held: &HeldLease,
    ) -> Result<Option<Lost>, Error> {
        let api = self.lease_api(&held.namespace);
        let existing = self.read(operation, || api.get(&held.name)).await?;
        let now = existing.as_ref().and_then(holder);
        Ok((now != Some(held.fence)).then_some(Lost(now)))
    }

    /// Writes the holder on the condition of the version that was read; whether that was still there.
    async fn write_lease(
        &self,
        operation: &Operation,
        held: &HeldLease,
        read: Option<&coordination::Lease>,
        change: Change<'_>,
    ) -> Result<bool, Error> {
        let body = body(held, read, change);
        let params = PatchParams::apply(self.manager).force();
        let (api, patch) = (self.lease_api(&held.namespace), Patch::Apply(&body));
        let answer = self
            .call(operation, || api.patch(&held.name, &params, &patch))
            .await?;
        match answer {
            Answer::Done(_) => Ok(true),
            Answer::Conflict(_) => Ok(false),
            Answer::Absent(reason) => Err(self.finally(operation, Final::Refused(404, reason))),
        }
    }
}

/// The run that holds a Lease that was ours; none when nobody does.
pub(crate) struct Lost(pub(crate) Option<Fence>);

fn lease_name(target: &str) -> String {
    format!("preview-promote-{target}")
}

/// What of a Lease is written; what is none stays as it was read, but for the holder.
#[derive(Clone, Copy, Debug, Default)]
struct Change<'a> {
    holder: Option<Fence>,
    commit: Option<&'a CommitSha>,
    freeze: Option<&'a str>,
}

fn body(held: &HeldLease, read: Option<&coordination::Lease>, change: Change<'_>) -> Value {
    let mut metadata = json!({
        "name": held.name,
        "namespace": held.namespace,
        "labels": { keys::MANAGED_BY: keys::MANAGED_BY_US },
        "resourceVersion": MUST_BE_ABSENT,
    });
    if let Some(read) = read {
        metadata["uid"] = json!(read.metadata.uid);
        metadata["resourceVersion"] = json!(read.metadata.resource_version);
    }
    let known = read.map(lease_facts).unwrap_or_default();
    if let Some(commit) = change.commit.or(known.commit.as_ref()) {
        metadata["annotations"][keys::COMMIT] = json!(commit);
    }
    // An apply that leaves out what an earlier one of ours set takes it away.
    if let Some(reason) = change.freeze.or(known.frozen.as_deref()) {
        metadata["annotations"][keys::FROZEN] = json!(reason);
    }
    let now = format!("{:.6}", Timestamp::now());
    let mut spec = json!({ "leaseDurationSeconds": DURATION_SECONDS, "renewTime": now });
    if let Some(holder) = change.holder {
        spec["holderIdentity"] = json!(holder.to_string());
    }
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": spec,
    })
}

fn lease_facts(lease: &coordination::Lease) -> LeaseFacts {
    let annotation = |key: &str| lease.metadata.annotations.as_ref()?.get(key).cloned();
    LeaseFacts {
        holder: holder(lease).filter(|_| !is_over(lease)),
        commit: annotation(keys::COMMIT).and_then(|commit| commit.parse().ok()),
        frozen: annotation(keys::FROZEN),
    }
}

/// Who wrote the Lease last as its holder, whether or not its time is over.
fn holder(lease: &coordination::Lease) -> Option<Fence> {
    let spec = lease.spec.as_ref()?;
    spec.holder_identity.as_deref()?.parse().ok()
}

fn is_over(lease: &coordination::Lease) -> bool {
    let spec = lease.spec.clone().unwrap_or_default();
    let Some(renewed) = spec.renew_time else {
        return true;
    };
    let seconds = spec.lease_duration_seconds.unwrap_or(DURATION_SECONDS);
    Timestamp::now().duration_since(renewed.0).as_secs() > i64::from(seconds)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;

    fn renewed(renew_time: Option<Timestamp>) -> coordination::Lease {
        coordination::Lease {
            spec: Some(coordination::LeaseSpec {
                holder_identity: Some("7.1".to_owned()),
                lease_duration_seconds: Some(60),
                renew_time: renew_time.map(MicroTime),
                ..coordination::LeaseSpec::default()
            }),
            ..coordination::Lease::default()
        }
    }

    #[test]
    fn a_lease_of_a_run_that_died_is_nobodys_after_its_time() {
        let ago = |seconds| Timestamp::now() - Duration::from_secs(seconds);
        let of = |lease| lease_facts(&lease).holder;
        let fence = Fence { run: 7, attempt: 1 };
        assert_eq!(of(renewed(Some(ago(5)))), Some(fence));
        assert_eq!(of(renewed(Some(ago(3600)))), None);
        assert_eq!(of(renewed(None)), None);
        // Until somebody takes it, who wrote it last has it.
        assert_eq!(holder(&renewed(Some(ago(3600)))), Some(fence));
    }
}
