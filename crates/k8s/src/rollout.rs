//! Waiting for workloads by watch: until all are complete, or one is certain to fail.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{BoxStream, SelectAll, StreamExt as _};
use kube::api::ResourceExt as _;
use kube::runtime::watcher::Event;
use preview_core::health::{
    Failure, FailureClass, Rollout, doubt, is_rejection, judge, overdue, waits_for_room,
};
use preview_core::names::NamespaceName;
use preview_core::objects::{Kind, ObjectName, PodFacts, WorkloadFacts};
use tokio::time::Instant;

use crate::call::Operation;
use crate::cluster::Cluster;
use crate::error::Error;
use crate::watch::{Failure as WatchFailure, Hiccup, Outcome};
use crate::world::{Seen, World};

impl Cluster {
    /// Waits until every workload's rollout is complete, or one is certain to fail, or the deadline; tells `progress`
    /// each change on the way. The verdicts come in the order of `workloads`.
    ///
    /// What is in doubt is waited for as long as [`doubt`] says. A failure carries the last log lines of its container, or
    /// else the last events of its object. At the deadline, what is not complete has a failure of the class of what keeps
    /// it, where that is known, and else of class [`FailureClass::Timeout`] with what it waits for. A CronJob is complete
    /// as soon as it is written.
    ///
    /// # Errors
    /// When the cluster cannot be watched, or a workload is not there.
    pub async fn await_rollout(
        &self,
        namespace: &NamespaceName,
        workloads: &[ObjectName],
        deadline: std::time::Instant,
        progress: impl FnMut(&ObjectName, &Rollout),
    ) -> Result<Vec<(ObjectName, Rollout)>, Error> {
        let mut watched = self.rollout_watch(namespace, workloads, deadline);
        watched.wait.must_be_there = true;
        watched.complete(progress).await
    }

    /// Begins to watch Jobs that need not be there yet: once this returns, nothing that happens to them is missed, not
    /// even of a Job that is removed as soon as it has ended. Of no other kind: what was there before would be taken for
    /// what is applied then.
    ///
    /// # Errors
    /// When the cluster cannot be watched, or something else than a Job is named.
    pub async fn watch_jobs<'a>(
        &'a self,
        namespace: &'a NamespaceName,
        jobs: &'a [ObjectName],
        deadline: std::time::Instant,
    ) -> Result<RolloutWatch<'a>, Error> {
        let mut watch = self.rollout_watch(namespace, jobs, deadline);
        if let Some(other) = jobs.iter().find(|job| job.kind != Kind::Job) {
            return Err(Error::Misuse {
                operation: watch.operation.what,
                reason: format!("{other} is no Job"),
            });
        }
        while !watch.wait.world.knows(&watch.kinds) {
            if !watch.next().await? {
                break;
            }
        }
        Ok(watch)
    }

    fn rollout_watch<'a>(
        &'a self,
        namespace: &'a NamespaceName,
        workloads: &'a [ObjectName],
        deadline: std::time::Instant,
    ) -> RolloutWatch<'a> {
        let kinds: BTreeSet<Kind> = workloads.iter().map(|workload| workload.kind).collect();
        RolloutWatch {
            events: self.watch_workloads(namespace, &kinds),
            kinds,
            operation: self.operation(format!("await the rollout in {namespace}")),
            deadline: Instant::from_std(deadline),
            wait: Wait {
                cluster: self,
                namespace,
                workloads,
                world: World::default(),
                must_be_there: false,
                seen: BTreeSet::new(),
                told: BTreeMap::new(),
                ended: BTreeMap::new(),
                waited_for_room: BTreeSet::new(),
                doubts: BTreeMap::new(),
                look_again: None,
                hiccup: None,
            },
        }
    }
}

/// A watch on workloads from before they are applied.
pub struct RolloutWatch<'a> {
    events: SelectAll<BoxStream<'static, Outcome<Seen>>>,
    kinds: BTreeSet<Kind>,
    operation: Operation,
    deadline: Instant,
    wait: Wait<'a>,
}

impl std::fmt::Debug for RolloutWatch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("RolloutWatch");
        debug
            .field("workloads", &self.wait.workloads)
            .finish_non_exhaustive()
    }
}

impl RolloutWatch<'_> {
    /// As [`Cluster::await_rollout`], of workloads that were applied since the watch began.
    ///
    /// # Errors
    /// When the cluster cannot be watched, or somebody deleted a workload.
    pub async fn complete(
        mut self,
        mut progress: impl FnMut(&ObjectName, &Rollout),
    ) -> Result<Vec<(ObjectName, Rollout)>, Error> {
        loop {
            if self.wait.world.knows(&self.kinds)
                && let Some(verdicts) = self.wait.look(&self.operation, &mut progress).await?
            {
                return Ok(verdicts);
            }
            if !self.next().await? {
                return Ok(self.wait.timed_out().await);
            }
        }
    }

    /// Takes note of the next event, or that a doubt has lasted; false at the deadline.
    async fn next(&mut self) -> Result<bool, Error> {
        let until = self.wait.look_again.unwrap_or(self.deadline);
        let until = until.min(self.deadline);
        let Ok(next) = tokio::time::timeout_at(until, self.events.next()).await else {
            return Ok(until < self.deadline);
        };
        match next {
            Some(Ok(seen)) => {
                self.wait.take(seen);
                self.wait.hiccup = None;
            }
            Some(Err(WatchFailure::Passing(Hiccup(reason)))) => {
                tracing::debug!(namespace = %self.wait.namespace, reason, "watch interrupted");
                self.wait.hiccup = Some(reason);
            }
            Some(Err(WatchFailure::Final(end))) => {
                return Err(self.wait.cluster.finally(&self.operation, end));
            }
            None => {
                return Err(self
                    .wait
                    .cluster
                    .malformed(&self.operation, "the watch ended"));
            }
        }
        Ok(true)
    }
}

/// The state of one wait.
struct Wait<'a> {
    cluster: &'a Cluster,
    namespace: &'a NamespaceName,
    workloads: &'a [ObjectName],
    world: World,
    /// Whether the workloads were applied before the watch began.
    must_be_there: bool,
    /// Workloads that were there.
    seen: BTreeSet<ObjectName>,
    /// The verdict last told of each workload.
    told: BTreeMap<ObjectName, Rollout>,
    /// How Jobs ended that are removed.
    ended: BTreeMap<ObjectName, Rollout>,
    /// Workloads that the quota had no room for, and whose controllers gave up meanwhile.
    waited_for_room: BTreeSet<ObjectName>,
    /// What is in doubt, of which class, and since when it has been so without a break.
    doubts: BTreeMap<ObjectName, (FailureClass, Instant)>,
    /// When the first doubt will have lasted.
    look_again: Option<Instant>,
    /// Why the watch is interrupted, while it is.
    hiccup: Option<String>,
}

impl Wait<'_> {
    /// Takes note of an event. A Job that is removed leaves its last state: with `ttlSecondsAfterFinished: 0` nobody may
    /// see it ended and still there.
    fn take(&mut self, seen: Seen) {
        if let Seen::Job(Event::Delete(last)) = &seen {
            let name = ObjectName::new(Kind::Job, last.name_any());
            self.world.take(Seen::Job(Event::Apply(last.clone())));
            if let Some((facts, pods)) = self.world.workload(&name) {
                let verdict = judge(&name, &facts, &pods);
                if !matches!(verdict, Rollout::Waiting { .. }) {
                    self.ended.insert(name, verdict);
                }
            }
        }
        self.world.take(seen);
    }

    /// Judges all workloads; the verdicts once there is nothing left to wait for.
    async fn look(
        &mut self,
        operation: &Operation,
        progress: &mut impl FnMut(&ObjectName, &Rollout),
    ) -> Result<Option<Vec<(ObjectName, Rollout)>>, Error> {
        let mut verdicts = Vec::new();
        self.look_again = None;
        for name in self.workloads {
            let Some(verdict) = self.verdict(operation, name).await? else {
                return Ok(None);
            };
            if self.told.get(name) != Some(&verdict) {
                progress(name, &verdict);
                self.told.insert(name.clone(), verdict.clone());
            }
            verdicts.push((name.clone(), verdict));
        }
        let failed = |verdict: &Rollout| matches!(verdict, Rollout::Failed(_));
        let complete = |verdict: &Rollout| matches!(verdict, Rollout::Complete { .. });
        if verdicts.iter().any(|(_, verdict)| failed(verdict)) {
            return Ok(Some(self.with_evidence(verdicts).await));
        }
        let all_complete = verdicts.iter().all(|(_, verdict)| complete(verdict));
        Ok(all_complete.then_some(verdicts))
    }

    /// How far it is; none while it has not been seen, and need not have been.
    async fn verdict(
        &mut self,
        operation: &Operation,
        name: &ObjectName,
    ) -> Result<Option<Rollout>, Error> {
        if name.kind == Kind::CronJob {
            return Ok(Some(COMPLETED));
        }
        if let Some((facts, pods)) = self.world.workload(name) {
            self.seen.insert(name.clone());
            let facts = self.without_giving_up_for_room(name, facts);
            return Ok(Some(self.judged(name, &facts, &pods)));
        }
        if let Some(end) = self.ended.get(name) {
            return Ok(Some(end.clone()));
        }
        if !self.must_be_there && !self.seen.contains(name) {
            return Ok(None);
        }
        // The watch had to begin anew, and missed how it ended.
        let was_complete = matches!(self.told.get(name), Some(Rollout::Complete { .. }));
        if name.kind == Kind::Job
            && (was_complete || self.cluster.has_completed(self.namespace, &name.name).await)
        {
            self.ended.insert(name.clone(), COMPLETED);
            return Ok(Some(COMPLETED));
        }
        Err(Error::Absent {
            operation: operation.what.clone(),
            reason: format!("{name} is not there"),
            next: "somebody deleted it, or it was never applied: run the deploy again".into(),
        })
    }

    /// How far it is, where a doubt that has lasted for too long is a failure.
    fn judged(&mut self, name: &ObjectName, facts: &WorkloadFacts, pods: &[PodFacts]) -> Rollout {
        let verdict = judge(name, facts, pods);
        let doubt = match &verdict {
            Rollout::Waiting { .. } => doubt(name, facts, pods),
            Rollout::Complete { .. } | Rollout::Failed(_) => None,
        };
        let Some(doubt) = doubt else {
            self.doubts.remove(name);
            return verdict;
        };
        let (class, now) = (doubt.failure.class, Instant::now());
        let known = self.doubts.get(name).filter(|(known, _)| *known == class);
        let since = known.map_or(now, |(_, since)| *since);
        self.doubts.insert(name.clone(), (class, since));
        let end = since.checked_add(doubt.patience);
        match end {
            Some(end) if end <= now => return Rollout::Failed(doubt.failure),
            Some(end) => {
                let first = self.look_again.map_or(end, |known| known.min(end));
                self.look_again = Some(first);
            }
            None => {}
        }
        verdict
    }

    /// The facts without what the controller said while it waited for room: it goes on where there is some, and takes
    /// back that it gave up only after the first new pod.
    fn without_giving_up_for_room(
        &mut self,
        name: &ObjectName,
        facts: WorkloadFacts,
    ) -> WorkloadFacts {
        if waits_for_room(&facts) {
            self.waited_for_room.insert(name.clone());
        } else if facts.gave_up.is_none() {
            self.waited_for_room.remove(name);
        }
        WorkloadFacts {
            gave_up: facts
                .gave_up
                .filter(|_| !self.waited_for_room.contains(name)),
            ..facts
        }
    }

    async fn with_evidence(
        &self,
        verdicts: Vec<(ObjectName, Rollout)>,
    ) -> Vec<(ObjectName, Rollout)> {
        let mut with_evidence = Vec::with_capacity(verdicts.len());
        for (name, verdict) in verdicts {
            let verdict = match verdict {
                Rollout::Failed(failure) => {
                    let (failure, pods) = self.looked_at_again(&name, failure).await;
                    let cluster = self.cluster;
                    let failure = cluster.with_evidence(self.namespace, failure, &pods).await;
                    Rollout::Failed(failure)
                }
                other => other,
            };
            with_evidence.push((name, verdict));
        }
        with_evidence
    }

    /// The failure by what the cluster holds now, and the pods: their watch may be behind the workload's, and they say
    /// why more precisely.
    async fn looked_at_again(
        &self,
        name: &ObjectName,
        failure: Failure,
    ) -> (Failure, Vec<PodFacts>) {
        let what = format!("read {name} and its pods in {}", self.namespace);
        let operation = self.cluster.operation(what);
        let kinds = BTreeSet::from([name.kind]);
        let now = self.cluster.world_now(&operation, self.namespace, &kinds);
        let now = now.await.unwrap_or_else(|error| {
            tracing::debug!(%error, "judged by what was seen before");
            World::default()
        });
        let Some((facts, pods)) = now.workload(name).or_else(|| self.world.workload(name)) else {
            return (failure, Vec::new());
        };
        match judge(name, &facts, &pods) {
            Rollout::Failed(now) => (now, pods),
            Rollout::Waiting { .. } | Rollout::Complete { .. } => (failure, pods),
        }
    }

    /// The deadline came first: what is not complete has failed, with all that is known of why.
    async fn timed_out(&self) -> Vec<(ObjectName, Rollout)> {
        let mut verdicts = Vec::new();
        for name in self.workloads {
            let verdict = match self.told.get(name) {
                Some(complete @ Rollout::Complete { .. }) => complete.clone(),
                None if self.missed_the_end_of(name).await => COMPLETED,
                _ => Rollout::Failed(self.timeout_of(name).await),
            };
            verdicts.push((name.clone(), verdict));
        }
        self.with_evidence(verdicts).await
    }

    /// Whether a Job came and went without being seen, by what Kubernetes noted of it.
    async fn missed_the_end_of(&self, name: &ObjectName) -> bool {
        name.kind == Kind::Job && self.cluster.has_completed(self.namespace, &name.name).await
    }

    async fn timeout_of(&self, name: &ObjectName) -> Failure {
        let mut failure = match self.world.workload(name) {
            Some((facts, pods)) => overdue(name, &facts, &pods),
            None => Failure::new(FailureClass::Timeout, name, "it was never seen"),
        };
        if let Some(reason) = &self.hiccup {
            failure.message = format!("{}; the watch was interrupted: {reason}", failure.message);
        }
        if failure.class == FailureClass::Timeout
            && let Some(warning) = self.cluster.last_warning(self.namespace, &failure).await
        {
            failure.message = format!("{}; last warning: {warning}", failure.message);
        }
        // Only a Deployment says in its status that its pods are rejected; of the others there are events.
        if failure.pod.is_none() && is_rejection(&failure.message) {
            failure.class = FailureClass::Quota;
        }
        failure
    }
}

const COMPLETED: Rollout = Rollout::Complete {
    ready: 1,
    desired: 1,
};
