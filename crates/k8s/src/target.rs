//! Production: what a target runs, and exactly its images changed.

use std::collections::{BTreeMap, BTreeSet};

use backon::BackoffBuilder as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{DynamicObject, Patch};
use preview_core::names::{CommitSha, Fence, NamespaceName, PinnedImage, Uid};
use preview_core::objects::ObjectName;
use preview_core::ownership::{keys, parse_images_annotation};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::call::{Answer, Operation, pauses};
use crate::cluster::Cluster;
use crate::error::Error;
use crate::facts::uid;
use crate::kinds::pod_spec;
use crate::lease::HeldLease;

/// What begins the names of our annotations.
const OUR_PREFIX: &str = "preview-environments/";

/// Labels and annotations by which a tool that reconciles from git marks what is its.
/// <https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/>,
/// <https://fluxcd.io/flux/components/kustomize/kustomizations/>
const MARKS: [(&str, &str); 4] = [
    ("argocd.argoproj.io/tracking-id", "Argo CD"),
    ("argocd.argoproj.io/instance", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("helm.toolkit.fluxcd.io/name", "Flux"),
];

/// Field managers of such tools.
const MANAGERS: [(&str, &str); 5] = [
    ("argocd-controller", "Argo CD"),
    ("argocd-application-controller", "Argo CD"),
    ("kustomize-controller", "Flux"),
    ("helm-controller", "Flux"),
    ("gitops-agent", "a GitOps agent"),
];

/// What is known of a production workload from one read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetFacts {
    /// Which workload.
    pub workload: ObjectName,
    /// Its uid.
    pub uid: Uid,
    /// The version that this read saw.
    pub resource_version: String,
    /// `metadata.generation`: counts changes of the spec.
    pub generation: i64,
    /// Init containers, then containers, in the order of the spec.
    pub containers: Vec<TargetContainer>,
    /// Our annotations.
    pub annotations: BTreeMap<String, String>,
    /// The tool that reconciles the workload from git, and how that is known: what we write it would write back.
    pub reconciler: Option<String>,
    /// By container, the field manager that set its image last, where that is not ours: who it is taken from.
    pub owners: BTreeMap<String, String>,
    /// Containers whose image we set before. An apply that leaves one out would take its image away.
    ours: BTreeSet<String>,
}

/// What a workload ran, as an annotation on it.
#[derive(Serialize, Deserialize)]
struct Before {
    /// By container.
    images: BTreeMap<String, String>,
    /// Our annotations.
    annotations: BTreeMap<String, String>,
}

/// One container of a production workload's pod template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetContainer {
    /// Its name.
    pub name: String,
    /// Its image, as the template names it.
    pub image: String,
    /// Whether it is an init container.
    pub init: bool,
}

impl TargetFacts {
    /// The commit of the default branch that runs, by our annotation.
    #[must_use]
    pub fn commit(&self) -> Option<CommitSha> {
        self.annotations.get(keys::COMMIT)?.parse().ok()
    }

    /// The images we promoted, by component, by our annotation.
    #[must_use]
    pub fn images(&self) -> Option<BTreeMap<String, PinnedImage>> {
        parse_images_annotation(self.annotations.get(keys::IMAGES)?).ok()
    }

    /// What it ran before `commit` was set, by the annotation that [`Cluster::set_images`] left; none where another commit
    /// runs, or nobody of us has set one.
    #[must_use]
    pub fn before(&self, commit: &CommitSha) -> Option<Self> {
        if self.commit().as_ref() != Some(commit) {
            return None;
        }
        let before: Before = serde_json::from_str(self.annotations.get(keys::BEFORE)?).ok()?;
        let mut facts = self.clone();
        for container in &mut facts.containers {
            if let Some(image) = before.images.get(&container.name) {
                container.image.clone_from(image);
            }
        }
        facts.annotations = before.annotations;
        Some(facts)
    }

    /// What is kept of it, to be found by [`Self::before`].
    fn as_before(&self) -> String {
        let annotations = self.annotations.iter();
        let annotations = annotations.filter(|(key, _)| *key != keys::BEFORE);
        let before = Before {
            images: self
                .containers
                .iter()
                .map(|c| (c.name.clone(), c.image.clone()))
                .collect(),
            annotations: annotations
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        };
        json!(before).to_string()
    }

    /// The container of that name.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&TargetContainer> {
        self.containers
            .iter()
            .find(|container| container.name == name)
    }
}

/// What came of writing to a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was written, and is this now.
    Done(TargetFacts),
    /// The workload is not what was read any more, or gone; nothing was written. Read again, and decide again.
    Changed,
    /// Another run has the target's Lease now; nothing was written.
    Superseded {
        /// The run; none when nobody has it.
        by: Option<Fence>,
    },
}

impl Cluster {
    /// What the workload runs; none where there is no such workload.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or the kind has no pod template.
    pub async fn target(
        &self,
        namespace: &NamespaceName,
        workload: &ObjectName,
    ) -> Result<Option<TargetFacts>, Error> {
        let operation = self.operation(format!("read {workload} in {namespace}"));
        template(&operation, workload)?;
        let api = self.api(workload.kind, namespace);
        let found = self.read(&operation, || api.get(&workload.name)).await?;
        found
            .map(|object| self.target_facts(&operation, workload, &object))
            .transpose()
    }

    /// Sets the images of these containers, and these annotations beside our others, of the workload as it was read:
    /// exactly those fields, even where another manager set them. What ran before `commit` is kept in an annotation, through
    /// however many runs set it.
    ///
    /// # Errors
    /// When the workload has no such container, or the cluster cannot be asked, or refuses.
    pub async fn set_images(
        &self,
        lease: &HeldLease,
        read: &TargetFacts,
        images: &[(String, PinnedImage)],
        commit: &CommitSha,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Written, Error> {
        for (container, _) in images {
            if read.container(container).is_none() {
                return Err(Error::NoSuchContainer {
                    workload: read.workload.clone(),
                    container: container.clone(),
                    known: read.containers.iter().map(|c| c.name.clone()).collect(),
                });
            }
        }
        let mut all = read.images_of(&read.ours);
        all.extend(
            images
                .iter()
                .map(|(container, image)| (container.clone(), image.to_string())),
        );
        let mut noted = read.annotations.clone();
        noted.extend(annotations.clone());
        noted.insert(keys::COMMIT.to_owned(), commit.to_string());
        if read.commit().as_ref() != Some(commit) {
            noted.insert(keys::BEFORE.to_owned(), read.as_before());
        }
        self.write_target(lease, read, &all, &noted).await
    }

    /// Sets the images that we set, and our annotations, back to what they were in `before`.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or refuses.
    pub async fn restore_images(
        &self,
        lease: &HeldLease,
        read: &TargetFacts,
        before: &TargetFacts,
    ) -> Result<Written, Error> {
        let mut all = read.images_of(&read.ours);
        let earlier = before.images_of(&read.ours);
        all.extend(
            earlier
                .into_iter()
                .filter(|(name, _)| read.container(name).is_some()),
        );
        self.write_target(lease, read, &all, &before.annotations)
            .await
    }

    /// Writes the workload as it was read. Its status may have changed since, as it does whenever a pod comes or goes;
    /// nothing that a decision rests on may.
    async fn write_target(
        &self,
        lease: &HeldLease,
        read: &TargetFacts,
        images: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Written, Error> {
        let workload = &read.workload;
        let operation = self.operation(format!("set images of {workload} in {}", lease.namespace));
        let pointer = template(&operation, workload)?;
        let mut version = read.resource_version.clone();
        let mut pauses = pauses().build();
        for attempt in 1.. {
            if let Some(by) = self.lost_to(&operation, lease).await? {
                return Ok(Written::Superseded { by: by.0 });
            }
            let mut body = body(pointer, lease, read, images, annotations);
            body["metadata"]["resourceVersion"] = json!(version);
            let reason = match self
                .apply_target(&operation, lease, workload, &body)
                .await?
            {
                Answer::Done(after) => {
                    let facts = self.target_facts(&operation, workload, &after);
                    return facts.map(Written::Done);
                }
                Answer::Conflict(reason) | Answer::Absent(reason) => reason,
            };
            let now = self.target(&lease.namespace, workload).await?;
            match now.filter(|now| now.is_but_for_its_status(read)) {
                Some(now) => version = now.resource_version,
                None => return Ok(Written::Changed),
            }
            let pause = pauses.next().unwrap_or_default();
            if Instant::now() + pause >= operation.deadline {
                return Err(operation.contended(attempt, reason));
            }
            tokio::time::sleep(pause).await;
        }
        unreachable!("rounds are not limited by their number")
    }

    async fn apply_target(
        &self,
        operation: &Operation,
        lease: &HeldLease,
        workload: &ObjectName,
        body: &Value,
    ) -> Result<Answer<DynamicObject>, Error> {
        let api = self.api(workload.kind, &lease.namespace);
        let (params, patch) = (self.apply_params(), Patch::Apply(body));
        self.call(operation, || api.patch(&workload.name, &params, &patch))
            .await
    }

    fn target_facts(
        &self,
        operation: &Operation,
        workload: &ObjectName,
        object: &DynamicObject,
    ) -> Result<TargetFacts, Error> {
        let metadata = &object.metadata;
        let pointer = template(operation, workload)?;
        let spec = object.data.pointer(pointer).cloned().unwrap_or_default();
        let uid = uid(metadata).parse();
        let mut annotations = metadata.annotations.clone().unwrap_or_default();
        annotations.retain(|key, _| key.starts_with(OUR_PREFIX));
        Ok(TargetFacts {
            workload: workload.clone(),
            uid: uid.map_err(|error| self.malformed(operation, format!("{error}")))?,
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or(0),
            containers: containers(&spec),
            annotations,
            reconciler: reconciler(object),
            owners: self.owners(object, pointer),
            ours: self.ours(object, pointer),
        })
    }

    /// Who else has set the images of containers, by container.
    fn owners(&self, object: &DynamicObject, pointer: &str) -> BTreeMap<String, String> {
        let entries = object.metadata.managed_fields.iter().flatten();
        let theirs = entries.filter_map(|entry| Some((entry.manager.clone()?, entry)));
        theirs
            .filter(|(manager, _)| manager != self.manager)
            .flat_map(|(manager, entry)| {
                let images = images_in(entry, pointer).into_iter();
                images.map(move |container| (container, manager.clone()))
            })
            .collect()
    }

    /// The containers whose image this manager applied.
    fn ours(&self, object: &DynamicObject, pointer: &str) -> BTreeSet<String> {
        let entries = object.metadata.managed_fields.iter().flatten();
        let ours = entries.filter(|entry| {
            entry.manager.as_deref() == Some(self.manager)
                && entry.operation.as_deref() == Some("Apply")
        });
        ours.flat_map(|entry| images_in(entry, pointer)).collect()
    }
}

impl TargetFacts {
    /// Whether it is what `read` was, apart from its status. `generation` counts every change of the spec.
    fn is_but_for_its_status(&self, read: &Self) -> bool {
        let now = Self {
            resource_version: read.resource_version.clone(),
            ..self.clone()
        };
        now == *read
    }

    /// The images of the containers of these names.
    fn images_of(&self, names: &BTreeSet<String>) -> BTreeMap<String, String> {
        let all = self.containers.iter().filter(|c| names.contains(&c.name));
        all.map(|c| (c.name.clone(), c.image.clone())).collect()
    }
}

fn template(operation: &Operation, workload: &ObjectName) -> Result<&'static str, Error> {
    pod_spec(workload.kind).ok_or_else(|| Error::Misuse {
        operation: operation.what.clone(),
        reason: format!(
            "a {} has no containers; name a Deployment, StatefulSet, DaemonSet or CronJob",
            workload.kind
        ),
    })
}

/// Both lists of containers of a pod template, by their field's name, init containers first.
const LISTS: [(&str, bool); 2] = [("initContainers", true), ("containers", false)];

fn containers(spec: &Value) -> Vec<TargetContainer> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let mut all = Vec::new();
    for (list, init) in LISTS {
        let found = spec[list].as_array().into_iter().flatten();
        all.extend(found.map(|container| TargetContainer {
            name: text(container, "name"),
            image: text(container, "image"),
            init,
        }));
    }
    all
}

fn body(
    pointer: &str,
    lease: &HeldLease,
    read: &TargetFacts,
    images: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
) -> Value {
    let mut spec = Map::new();
    for (list, init) in LISTS {
        let of_list = read.containers.iter().filter(|c| c.init == init);
        let entries: Vec<Value> = of_list
            .filter_map(|c| Some(json!({ "name": c.name, "image": images.get(&c.name)? })))
            .collect();
        if !entries.is_empty() {
            spec.insert(list.to_owned(), entries.into());
        }
    }
    let mut body = json!({
        "apiVersion": read.workload.kind.api_version(),
        "kind": read.workload.kind.as_str(),
        "metadata": {
            "name": read.workload.name,
            "namespace": lease.namespace,
            "uid": read.uid,
            "annotations": annotations,
        },
    });
    let mut place = &mut body;
    for step in pointer.split('/').skip(1) {
        place = &mut place[step];
    }
    *place = Value::Object(spec);
    body
}

/// The containers whose image is among the fields of `entry`.
/// <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>
fn images_in(entry: &ManagedFieldsEntry, pointer: &str) -> Vec<String> {
    let Some(mut fields) = entry.fields_v1.as_ref().map(|fields| &fields.0) else {
        return Vec::new();
    };
    for step in pointer.split('/').skip(1) {
        fields = &fields[format!("f:{step}")];
    }
    let mut names = Vec::new();
    for (list, _) in LISTS {
        let items = fields[format!("f:{list}")]
            .as_object()
            .into_iter()
            .flatten();
        let with_image = items.filter(|(_, owned)| owned.get("f:image").is_some());
        names.extend(with_image.filter_map(|(key, _)| container_of(key)));
    }
    names
}

/// The container that `k:{"name":"web"}` means.
fn container_of(key: &str) -> Option<String> {
    let key: Value = serde_json::from_str(key.strip_prefix("k:")?).ok()?;
    key["name"].as_str().map(str::to_owned)
}

fn reconciler(object: &DynamicObject) -> Option<String> {
    let metadata = &object.metadata;
    let keys = || {
        let maps = metadata.labels.iter().chain(&metadata.annotations);
        maps.flat_map(BTreeMap::keys)
    };
    let mark = MARKS.iter().find(|(mark, _)| keys().any(|key| key == mark));
    if let Some((mark, tool)) = mark {
        return Some(format!("{tool} ({mark})"));
    }
    let entries = metadata.managed_fields.iter().flatten();
    let mut managers = entries.filter_map(|entry| entry.manager.as_deref());
    managers.find_map(|manager| {
        let (_, tool) = MANAGERS.iter().find(|(known, _)| *known == manager)?;
        Some(format!("{tool} (field manager {manager})"))
    })
}
