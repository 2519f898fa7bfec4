//! The workloads and pods of a namespace, as far as they have been seen, and which pods are of the newest template.

use std::collections::BTreeSet;

use futures::stream::{BoxStream, SelectAll, StreamExt as _};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event as Noted, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ListParams};
use kube::runtime::watcher::{Config, Event};
use preview_core::names::NamespaceName;
use preview_core::objects::{Kind, ObjectName, PodFacts, WorkloadFacts};

use crate::call::Operation;
use crate::cluster::Cluster;
use crate::error::Error;
use crate::facts::{
    daemon_set_facts, deployment_facts, job_facts, newest_events, pod_facts, stateful_set_facts,
    uid,
};
use crate::watch::{Failure, Outcome, Store, watch};

/// Only what was noted of pods: the kubelet and the scheduler say there what no status holds.
const OF_PODS: &str = "involvedObject.kind=Pod";

/// Annotation of a Deployment and of its ReplicaSets: which rollout it is.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// Label of a ReplicaSet and its pods: the hash of their template.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// Label of a StatefulSet's pods: which template they were made from.
const CONTROLLER_REVISION: &str = "controller-revision-hash";
/// Annotation of a DaemonSet, and label of its pods: which version of the template.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#deprecated-daemonset-template-generation>
const TEMPLATE_GENERATION: (&str, &str) = (
    "deprecated.daemonset.template.generation",
    "pod-template-generation",
);

/// One event of one of the watches.
pub(crate) enum Seen {
    Deployment(Event<Deployment>),
    ReplicaSet(Event<ReplicaSet>),
    StatefulSet(Event<StatefulSet>),
    DaemonSet(Event<DaemonSet>),
    Job(Event<Job>),
    Pod(Event<Pod>),
    Noted(Event<Noted>),
}

#[derive(Debug, Default)]
pub(crate) struct World {
    deployments: Store<Deployment>,
    replica_sets: Store<ReplicaSet>,
    stateful_sets: Store<StatefulSet>,
    daemon_sets: Store<DaemonSet>,
    jobs: Store<Job>,
    pods: Store<Pod>,
    /// Of pods; it may lack what is not served or not allowed.
    noted: Store<Noted>,
}

impl World {
    pub(crate) fn take(&mut self, seen: Seen) {
        match seen {
            Seen::Deployment(event) => self.deployments.take(event),
            Seen::ReplicaSet(event) => self.replica_sets.take(event),
            Seen::StatefulSet(event) => self.stateful_sets.take(event),
            Seen::DaemonSet(event) => self.daemon_sets.take(event),
            Seen::Job(event) => self.jobs.take(event),
            Seen::Pod(event) => self.pods.take(event),
            Seen::Noted(event) => self.noted.take(event),
        }
    }

    /// Whether everything that `kinds` are judged by has been listed.
    pub(crate) fn knows(&self, kinds: &BTreeSet<Kind>) -> bool {
        self.pods.is_ready()
            && kinds.iter().all(|kind| match kind {
                Kind::Deployment => self.deployments.is_ready() && self.replica_sets.is_ready(),
                Kind::StatefulSet => self.stateful_sets.is_ready(),
                Kind::DaemonSet => self.daemon_sets.is_ready(),
                Kind::Job => self.jobs.is_ready(),
                _ => true,
            })
    }

    pub(crate) fn pod(&self, name: &str) -> Option<&Pod> {
        self.pods.get(name)
    }

    /// The workload and its pods, newest first; none when it is not there.
    pub(crate) fn workload(&self, name: &ObjectName) -> Option<(WorkloadFacts, Vec<PodFacts>)> {
        match name.kind {
            Kind::Deployment => self
                .deployments
                .get(&name.name)
                .map(|d| self.of_deployment(d)),
            Kind::StatefulSet => {
                let set = self.stateful_sets.get(&name.name)?;
                let newest = set
                    .status
                    .as_ref()
                    .and_then(|s| s.update_revision.as_deref());
                let facts = stateful_set_facts(set);
                let pods = self.pods_of(uid(&set.metadata), |pod| {
                    is_seen(&facts) && label(pod, CONTROLLER_REVISION) == newest
                });
                Some((facts, pods))
            }
            Kind::DaemonSet => {
                let set = self.daemon_sets.get(&name.name)?;
                let newest = annotation(&set.metadata, TEMPLATE_GENERATION.0);
                let facts = daemon_set_facts(set);
                let pods = self.pods_of(uid(&set.metadata), |pod| {
                    is_seen(&facts) && label(pod, TEMPLATE_GENERATION.1) == newest
                });
                Some((facts, pods))
            }
            Kind::Job => {
                let job = self.jobs.get(&name.name)?;
                Some((job_facts(job), self.pods_of(uid(&job.metadata), |_| true)))
            }
            _ => None,
        }
    }

    fn of_deployment(&self, deployment: &Deployment) -> (WorkloadFacts, Vec<PodFacts>) {
        let mut facts = deployment_facts(deployment);
        let revision = annotation(&deployment.metadata, REVISION);
        let owned = |set: &&ReplicaSet| owner(&set.metadata) == Some(uid(&deployment.metadata));
        let mut pods = Vec::new();
        let mut has_begun = false;
        for set in self.replica_sets.values().filter(owned) {
            // Before the controller has seen the newest spec, the annotation is of the previous rollout; where pods are
            // recreated, until those of the previous template are gone.
            let current = is_seen(&facts)
                && annotation(&set.metadata, REVISION) == revision
                && is_of_template(set, deployment);
            has_begun |= current;
            pods.extend(
                self.raw_pods_of(uid(&set.metadata))
                    .map(|pod| (pod, current)),
            );
        }
        if !has_begun {
            // What its controller says yet is of the previous template.
            facts.gave_up = None;
            facts.cannot_create_pods = None;
        }
        if facts.cannot_create_pods.is_none() && !gave_up_on_any(deployment, &pods) {
            facts.gave_up = None;
        }
        (facts, self.facts_of(pods))
    }

    fn raw_pods_of<'a>(&'a self, owner_uid: &'a str) -> impl Iterator<Item = &'a Pod> {
        let pods = self.pods.values();
        pods.filter(move |pod| owner(&pod.metadata) == Some(owner_uid))
    }

    fn pods_of(&self, owner_uid: &str, is_current: impl Fn(&Pod) -> bool) -> Vec<PodFacts> {
        let pods = self.raw_pods_of(owner_uid);
        self.facts_of(pods.map(|pod| (pod, is_current(pod))).collect())
    }

    /// The pods, newest first, each with what was noted of it.
    fn facts_of(&self, mut pods: Vec<(&Pod, bool)>) -> Vec<PodFacts> {
        newest_first(&mut pods);
        let pods = pods.into_iter().map(|(pod, current)| {
            let of_pod = |noted: &&Noted| noted.involved_object.uid == pod.metadata.uid;
            let events = newest_events(self.noted.values().filter(of_pod));
            pod_facts(pod, current, events)
        });
        pods.collect()
    }
}

fn newest_first(pods: &mut [(&Pod, bool)]) {
    pods.sort_by(|(a, _), (b, _)| {
        let made = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
        made(b).cmp(&made(a))
    });
}

/// Whether the pods that the controller gave up on, of which each is told with whether it is current, are there still. It
/// says so until it has seen one more come up, and those may have been deleted since.
fn gave_up_on_any(deployment: &Deployment, pods: &[(&Pod, bool)]) -> bool {
    let conditions = deployment
        .status
        .iter()
        .flat_map(|s| s.conditions.iter().flatten());
    let mut progressing = conditions.filter(|condition| condition.type_ == "Progressing");
    let said = progressing.find_map(|condition| condition.last_update_time.as_ref());
    pods.iter().any(|(pod, current)| {
        let made = pod.metadata.creation_timestamp.as_ref();
        let before = match (made, said) {
            // It waits for at least a second; both are whole ones.
            (Some(made), Some(said)) => made.0 < said.0,
            _ => true,
        };
        *current && before && pod.metadata.deletion_timestamp.is_none()
    })
}

/// Whether the ReplicaSet makes pods of the Deployment's template, as the controller decides it: but for the label that
/// tells its ReplicaSets apart.
fn is_of_template(set: &ReplicaSet, deployment: &Deployment) -> bool {
    let template = set.spec.as_ref().and_then(|spec| spec.template.clone());
    let wanted = deployment.spec.as_ref().map(|spec| &spec.template);
    let template = template.map(|mut template| {
        if let Some(metadata) = &mut template.metadata
            && let Some(labels) = &mut metadata.labels
        {
            labels.remove(TEMPLATE_HASH);
        }
        template
    });
    template.as_ref() == wanted
}

fn is_seen(facts: &WorkloadFacts) -> bool {
    facts.observed_generation >= facts.generation
}

fn owner(metadata: &ObjectMeta) -> Option<&str> {
    metadata
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.as_str())
}

fn label<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

fn annotation<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

impl Cluster {
    /// One watch for each kind that `kinds` are judged by.
    pub(crate) fn watch_workloads(
        &self,
        namespace: &NamespaceName,
        kinds: &BTreeSet<Kind>,
    ) -> SelectAll<BoxStream<'static, Outcome<Seen>>> {
        let mut all = SelectAll::new();
        macro_rules! add {
            ($seen:ident) => {
                let api = Api::namespaced(self.client.clone(), namespace.as_str());
                let events = watch(api, Config::default());
                all.push(events.map(|event| event.map(Seen::$seen)).boxed());
            };
        }
        add!(Pod);
        all.push(self.watch_notes(namespace));
        for kind in kinds {
            match kind {
                Kind::Deployment => {
                    add!(Deployment);
                    add!(ReplicaSet);
                }
                Kind::StatefulSet => {
                    add!(StatefulSet);
                }
                Kind::DaemonSet => {
                    add!(DaemonSet);
                }
                Kind::Job => {
                    add!(Job);
                }
                _ => {}
            }
        }
        all
    }

    /// What is noted of pods, for as long as that can be watched: it explains, and nothing depends on it.
    fn watch_notes(&self, namespace: &NamespaceName) -> BoxStream<'static, Outcome<Seen>> {
        let api: Api<Noted> = Api::namespaced(self.client.clone(), namespace.as_str());
        let events = watch(api, Config::default().fields(OF_PODS));
        let events = events.take_while(|event| {
            let goes_on = !matches!(event, Err(Failure::Final(_)));
            std::future::ready(goes_on)
        });
        let events = events.filter_map(|event| std::future::ready(event.ok()));
        events.map(|event| Ok(Seen::Noted(event))).boxed()
    }

    /// The world as it is now, as far as workloads of `kinds` are judged by it.
    pub(crate) async fn world_now(
        &self,
        operation: &Operation,
        namespace: &NamespaceName,
        kinds: &BTreeSet<Kind>,
    ) -> Result<World, Error> {
        let mut world = World::default();
        let params = ListParams::default();
        macro_rules! fill {
            ($store:ident) => {
                let api = Api::namespaced(self.client.clone(), namespace.as_str());
                let list = self.list(operation, || api.list(&params)).await?;
                world.$store = Store::of(list.items);
            };
        }
        for kind in kinds {
            match kind {
                Kind::Deployment => {
                    fill!(deployments);
                    fill!(replica_sets);
                }
                Kind::StatefulSet => {
                    fill!(stateful_sets);
                }
                Kind::DaemonSet => {
                    fill!(daemon_sets);
                }
                Kind::Job => {
                    fill!(jobs);
                }
                _ => {}
            }
        }
        fill!(pods);
        let api: Api<Noted> = Api::namespaced(self.client.clone(), namespace.as_str());
        let of_pods = ListParams::default().fields(OF_PODS);
        match self.list(operation, || api.list(&of_pods)).await {
            Ok(list) => world.noted = Store::of(list.items),
            Err(error) => tracing::debug!(%error, "no events"),
        }
        Ok(world)
    }
}
