//! A preview of manifests that somebody wrote: Kustomize's, or of a file.
//!
//! Furniture, database and the Jobs of `migrate` and `seed` are as in every preview. Workloads, their configuration,
//! their Services and routes are as they were written, with the preview's values in their variables, its components
//! pinned to the digests that were built, and within [`policy`](super::policy).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::policy::{Fault, Policy, Refusal, Rule, identity, template_of};
use super::source::{ORIGIN, Source, Written};
use super::substitute::Substitution;
use super::workloads::PATIENCE;
use super::{
    CONFIG_MAP, DATABASE, PULL_SECRET, Preview, SECRET, SEED_FILES, SERVICE_ACCOUNT, ShownWorkload,
    VOLUME_CLAIM, short_hash,
};
use crate::comment::display_name;
use crate::config::Component;
use crate::names::{ComponentName, PinnedImage};
use crate::objects::{Kind, Manifest, ObjectName};
use crate::ownership::keys;

/// The longest name of a Job: its pods carry it in a label of at most 63 characters, with a dash and a hash of ten.
const LONGEST_JOB: usize = 52;

/// What somebody's manifests come to in a preview.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rendered {
    /// What workloads need to be there: configuration, volumes, Services.
    pub(super) supplies: Vec<Manifest>,
    /// What runs.
    pub(super) workloads: Vec<Manifest>,
    /// How it is reached.
    pub(super) routes: Vec<Manifest>,
    /// The workload that stands for each component.
    shown: BTreeMap<ComponentName, (ObjectName, u32)>,
    other_images: BTreeMap<String, BTreeSet<ObjectName>>,
    unknown: BTreeMap<String, BTreeSet<ObjectName>>,
}

/// Why there can be no preview of these manifests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// An object breaks a rule.
    #[error("{0}")]
    Object(Refusal),
    /// What was built and what is described are not about the same thing.
    #[error(
        "no workload of the manifests runs component {component}: none has a container of the image {image}; name the \
         image so in them, or take the component out of preview.toml"
    )]
    RunsNowhere {
        /// The component.
        component: ComponentName,
        /// Its image, without tag and digest.
        image: String,
    },
}

impl<'a> Preview<'a> {
    /// The same preview, made of these manifests in place of the built-in ones.
    ///
    /// # Errors
    /// Everything because of which there can be no such preview.
    pub fn made_of(self, source: &Source) -> Result<Self, Vec<Unfit>> {
        let rendered = Rendering::of(&self).all(source)?;
        Ok(Self {
            rendered: Some(rendered),
            ..self
        })
    }

    /// What workloads need to be there before them: configuration, volumes and Services of somebody's manifests.
    /// Nothing where the manifests are the built-in ones.
    #[must_use]
    pub fn supplies(&self) -> Vec<Manifest> {
        let rendered = self.rendered.as_ref();
        rendered.map_or_else(Vec::new, |rendered| rendered.supplies.clone())
    }

    /// Images that were not built for this preview, and what runs them.
    #[must_use]
    pub fn other_images(&self) -> BTreeMap<String, BTreeSet<ObjectName>> {
        let rendered = self.rendered.as_ref();
        rendered.map_or_else(BTreeMap::new, |rendered| rendered.other_images.clone())
    }

    /// Variables in the manifests that stand for nothing and were left as they are, and where.
    #[must_use]
    pub fn unknown_variables(&self) -> BTreeMap<String, BTreeSet<ObjectName>> {
        let rendered = self.rendered.as_ref();
        rendered.map_or_else(BTreeMap::new, |rendered| rendered.unknown.clone())
    }

    /// Names that no manifest of somebody may have: of what every preview is made of, or may come to have.
    fn reserved(&self) -> BTreeSet<ObjectName> {
        let replaced: BTreeSet<ObjectName> = [self.workloads(), self.routes()]
            .concat()
            .into_iter()
            .map(|manifest| manifest.object().clone())
            .collect();
        let mut names = self.all_names(None);
        names.retain(|name| !replaced.contains(name));
        if self.config.database.is_some() {
            for (kind, name) in [
                (Kind::Secret, SECRET),
                (Kind::Secret, SEED_FILES),
                (Kind::PersistentVolumeClaim, VOLUME_CLAIM),
                (Kind::Service, DATABASE),
            ] {
                names.insert(ObjectName::new(kind, name));
            }
        }
        // The configuration does not know whether there is one.
        names.insert(ObjectName::new(Kind::Secret, PULL_SECRET));
        // Kubernetes' own, which it writes into every namespace.
        names.insert(ObjectName::new(Kind::ConfigMap, "kube-root-ca.crt"));
        names
    }
}

impl Rendered {
    /// The workloads that stand for components, in the order of `components`.
    pub(super) fn shown_workloads(&self, components: &[Component]) -> Vec<ShownWorkload> {
        let shown = components.iter().filter_map(|component| {
            let (object, replicas) = self.shown.get(&component.name)?;
            Some(ShownWorkload {
                object: object.clone(),
                display: display_name(&component.name),
                component: Some(component.name.clone()),
                replicas: *replicas,
            })
        });
        shown.collect()
    }

    fn put(&mut self, manifest: Manifest) {
        let place = match manifest.object().kind {
            Kind::Ingress | Kind::HttpRoute => &mut self.routes,
            kind if template_of(kind).is_some() => &mut self.workloads,
            _ => &mut self.supplies,
        };
        place.push(manifest);
    }
}

/// Manifests on their way into a preview.
struct Rendering<'p, 'a> {
    preview: &'p Preview<'a>,
    variables: BTreeMap<String, String>,
    rendered: Rendered,
    /// Components, and the workloads that run them.
    runs: BTreeMap<ComponentName, Vec<ObjectName>>,
}

impl<'p, 'a> Rendering<'p, 'a> {
    fn of(preview: &'p Preview<'a>) -> Self {
        Self {
            preview,
            variables: preview.variables(),
            rendered: Rendered::default(),
            runs: BTreeMap::new(),
        }
    }

    fn all(mut self, source: &Source) -> Result<Rendered, Vec<Unfit>> {
        let mut unfit = Vec::new();
        let objects = self.judged(source, &mut unfit);
        if !unfit.is_empty() {
            return Err(unfit);
        }
        let configuration = self.configuration(&objects);
        for (object, body) in objects {
            let manifest = self.prepared(object, body, &configuration);
            self.rendered.put(manifest);
        }
        for (component, image) in &self.preview.images {
            if !self.runs.contains_key(&component.name) {
                unfit.push(Unfit::RunsNowhere {
                    component: component.name.clone(),
                    image: image.name.to_string(),
                });
            }
        }
        match unfit.is_empty() {
            true => Ok(self.rendered),
            false => Err(unfit),
        }
    }

    /// The objects with their variables filled in; what breaks a rule is kept beside them.
    fn judged(&mut self, source: &Source, unfit: &mut Vec<Unfit>) -> Vec<(ObjectName, Value)> {
        let (hosts, ours) = (self.preview.hosts(), self.preview.reserved());
        let policy = Policy {
            namespace: &self.preview.namespace,
            hosts: &hosts,
            ours: &ours,
        };
        let mut seen = BTreeSet::new();
        let mut objects = Vec::new();
        for written in &source.objects {
            let mut body = written.body.clone();
            let mut substitution = Substitution::of(&self.variables);
            substitution.apply(&mut body);
            let object = match identity(&body) {
                Ok(object) => object,
                Err(fault) => {
                    unfit.push(refused(written, &body, fault));
                    continue;
                }
            };
            for variable in substitution.unknown {
                let places = self.rendered.unknown.entry(variable).or_default();
                places.insert(object.clone());
            }
            let mut faults = policy.faults(&object, &body);
            let whole = |field: &str, rule| Fault {
                field: field.to_owned(),
                rule,
            };
            if !seen.insert(object.clone()) {
                faults.push(whole("metadata.name", Rule::Twice));
            }
            if object.kind == Kind::Job && object.name.len() > LONGEST_JOB {
                faults.push(whole("metadata.name", Rule::JobName));
            }
            unfit.extend(
                faults
                    .into_iter()
                    .map(|fault| refused(written, &body, fault)),
            );
            objects.push((object, body));
        }
        objects
    }

    /// What the ConfigMaps and Secrets hold that workloads may be started with.
    fn configuration(&self, objects: &[(ObjectName, Value)]) -> BTreeMap<ObjectName, Value> {
        let written = objects
            .iter()
            .filter(|(object, _)| matches!(object.kind, Kind::ConfigMap | Kind::Secret));
        let data = |body: &Value| json!([body["data"], body["stringData"], body["binaryData"]]);
        let ours = (
            ObjectName::new(Kind::ConfigMap, CONFIG_MAP),
            json!(self.variables),
        );
        written
            .map(|(object, body)| (object.clone(), data(body)))
            .chain([ours])
            .collect()
    }

    fn prepared(
        &mut self,
        object: ObjectName,
        mut body: Value,
        configuration: &BTreeMap<ObjectName, Value>,
    ) -> Manifest {
        if let Some(fields) = body.as_object_mut() {
            fields.remove("status");
        }
        if let Some(metadata) = body["metadata"].as_object_mut() {
            metadata.remove("namespace");
            metadata.remove("creationTimestamp");
            if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
                annotations.remove(ORIGIN);
            }
        }
        if let Some(pointer) = template_of(object.kind)
            && let Some(template) = body.pointer_mut(pointer)
        {
            self.fit_pods(&object, template, configuration);
            self.show(&object, &body);
        }
        match object.kind {
            Kind::Job => return job(object, body),
            Kind::Deployment => {
                let patience = self.preview.config.deadline.as_secs().min(PATIENCE);
                let deadline = &mut body["spec"]["progressDeadlineSeconds"];
                if deadline.is_null() {
                    *deadline = json!(patience);
                }
            }
            _ => {}
        }
        Manifest::of_body(object, body)
    }

    /// Pods of a preview have no token, run as its account, and run components by digest.
    fn fit_pods(
        &mut self,
        object: &ObjectName,
        template: &mut Value,
        configuration: &BTreeMap<ObjectName, Value>,
    ) {
        let pod = &mut template["spec"];
        let Some(fields) = pod.as_object_mut() else {
            return;
        };
        fields.insert("automountServiceAccountToken".to_owned(), json!(false));
        fields.insert("serviceAccountName".to_owned(), json!(SERVICE_ACCOUNT));
        // The same under its former name.
        fields.remove("serviceAccount");
        for key in ["initContainers", "containers"] {
            let containers = pod.get_mut(key).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                if let Some(image) = container.get_mut("image") {
                    self.pin(object, image);
                }
            }
        }
        if matches!(
            object.kind,
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet
        ) {
            annotate_configuration(template, configuration);
        }
    }

    fn pin(&mut self, object: &ObjectName, image: &mut Value) {
        let Some(written) = image.as_str() else {
            return;
        };
        match self.component_of(written) {
            Some((component, pinned)) => {
                *image = json!(pinned);
                self.runs.entry(component).or_default().push(object.clone());
            }
            None => {
                let others = self.rendered.other_images.entry(written.to_owned());
                others.or_default().insert(object.clone());
            }
        }
    }

    fn component_of(&self, reference: &str) -> Option<(ComponentName, &'a PinnedImage)> {
        let name = image_name(reference);
        let mut images = self.preview.images.iter();
        let (component, image) =
            images.find(|(_, image)| image_name(image.name.as_str()) == name)?;
        Some((component.name.clone(), *image))
    }

    /// A component is shown by what serves it: rather a Deployment than anything else.
    fn show(&mut self, object: &ObjectName, body: &Value) {
        let rank = |kind| match kind {
            Kind::Deployment => Some(0),
            Kind::StatefulSet => Some(1),
            Kind::DaemonSet => Some(2),
            _ => None,
        };
        let Some(rank_of_this) = rank(object.kind) else {
            return;
        };
        let replicas = body["spec"]["replicas"].as_u64().unwrap_or(1);
        let replicas = u32::try_from(replicas).unwrap_or(u32::MAX);
        let run = self.runs.iter().filter(|(_, by)| by.contains(object));
        for (component, _) in run {
            let shown = self.rendered.shown.get(component);
            let better = shown.is_none_or(|(other, _)| rank(other.kind) > Some(rank_of_this));
            if better {
                let this = (object.clone(), replicas);
                self.rendered.shown.insert(component.clone(), this);
            }
        }
    }
}

fn refused(written: &Written, body: &Value, fault: Fault) -> Unfit {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let kind = text(&body["kind"]);
    let name = text(&body["metadata"]["name"]);
    Unfit::Object(Refusal {
        place: written.place.clone(),
        object: format!("{kind}/{name}"),
        field: fault.field,
        rule: fault.rule,
    })
}

/// The Job under a name that tells its template, which cannot be changed. It is kept when it is done, as the proof that
/// it was.
fn job(object: ObjectName, mut body: Value) -> Manifest {
    if let Some(spec) = body["spec"].as_object_mut() {
        spec.remove("ttlSecondsAfterFinished");
    }
    let hash = short_hash(&[&body["spec"]]);
    let object = ObjectName::new(object.kind, format!("{}-{hash}", object.name));
    body["metadata"]["name"] = json!(object.name);
    Manifest::of_body(object, body)
}

/// A ConfigMap or Secret that changes starts nothing anew by itself.
fn annotate_configuration(template: &mut Value, configuration: &BTreeMap<ObjectName, Value>) {
    let mut named = BTreeSet::new();
    references(&template["spec"], &mut named);
    let used: Vec<&Value> = named
        .iter()
        .filter_map(|name| configuration.get(name))
        .collect();
    if used.is_empty() {
        return;
    }
    template["metadata"]["annotations"][keys::CONFIGURATION] = json!(short_hash(&used));
}

/// The ConfigMaps and Secrets that a pod's environment and volumes are from.
fn references(value: &Value, named: &mut BTreeSet<ObjectName>) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|inner| references(inner, named)),
        Value::Object(fields) => {
            for (key, inner) in fields {
                let kind = match key.as_str() {
                    "configMap" | "configMapRef" | "configMapKeyRef" => Some(Kind::ConfigMap),
                    "secret" | "secretRef" | "secretKeyRef" => Some(Kind::Secret),
                    _ => None,
                };
                let name = inner["name"].as_str().or(inner["secretName"].as_str());
                if let Some((kind, name)) = kind.zip(name) {
                    named.insert(ObjectName::new(kind, name));
                }
                references(inner, named);
            }
        }
        _ => {}
    }
}

/// The name in an image reference, without tag and digest, and with the registry that is meant where none is named.
/// <https://github.com/distribution/reference/blob/main/normalize.go>
fn image_name(reference: &str) -> String {
    let name = reference.split('@').next().unwrap_or(reference);
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let name = match name[last..].find(':') {
        Some(colon) => &name[..last + colon],
        None => name,
    };
    match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
    }
}

#[cfg(test)]
mod tests;
